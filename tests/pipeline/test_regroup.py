"""Stars of candidates and what exact Jaccard leaves of them, against plain Python."""

import itertools
import random

import numpy as np
import pytest

from seimai.pipeline.dedup import band_keys
from seimai.pipeline.jaccard import ShingleSets
from seimai.pipeline.jaccard_kernels import NOBODY, join_rest
from seimai.pipeline.regroup import Stars, cluster_numbers, regroup, stars_of_edges, stars_of_keys


def some_sets(count: int, seed: int) -> list[set[int]]:
    """Sets in families, so that similarities of all sizes stand among them."""
    numbers = random.Random(seed)
    found: list[set[int]] = []
    while len(found) < count:
        base = numbers.sample(range(10**6), 30)
        for _ in range(numbers.randrange(1, 6)):
            changed = numbers.sample(range(30), numbers.randrange(0, 9))
            found.append({numbers.randrange(10**6) if k in changed else base[k] for k in range(30)})
    numbers.shuffle(found)
    return found[:count]


def laid(values: list[set[int]]) -> ShingleSets:
    """Sets as the kernels take them."""
    arrays = [np.array(sorted(value), np.uint32) for value in values]
    return ShingleSets(np.append(0, np.cumsum([len(a) for a in arrays])).astype(np.int64), np.concatenate(arrays))


def alike(a: set[int], b: set[int], threshold: float) -> bool:
    """Exact Jaccard from the threshold."""
    return len(a & b) / len(a | b) >= threshold


def components(count: int, edges: list[tuple[int, int]]) -> list[int]:
    """Smallest number in each component, by repeated relabelling."""
    label = list(range(count))
    for a, b in edges:
        low, high = sorted((label[a], label[b]))
        label = [low if mark == high else mark for mark in label]
    return label


def leaders_of(star: list[int], values: list[set[int]], threshold: float, rounds: int) -> list[tuple[int, int]]:
    """The rejected are regrouped among themselves: edges of at most so many rounds."""
    edges: list[tuple[int, int]] = []
    for _ in range(rounds):
        if not star:
            break
        centre, *others = star
        edges += [(centre, other) for other in others if alike(values[centre], values[other], threshold)]
        star = [other for other in others if not alike(values[centre], values[other], threshold)]
    return edges


@pytest.mark.parametrize("threshold", [0.3, 0.6, 0.8, 1.0])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_small_star_is_joined_exactly(threshold: float, seed: int) -> None:
    values = some_sets(60, seed)
    numbers = random.Random(seed)
    stars = [sorted(numbers.sample(range(60), numbers.randrange(2, 20))) for _ in range(15)]
    flat = Stars(np.append(0, np.cumsum([len(s) for s in stars])), np.array(list(itertools.chain.from_iterable(stars))))
    found = regroup(flat, laid(values), threshold=threshold)
    expected = [
        (a, b) for star in stars for a, b in itertools.combinations(star, 2) if alike(values[a], values[b], threshold)
    ]
    assert {tuple(edge) for edge in found.edges.tolist()} <= set(expected)
    assert cluster_numbers(60, found.edges).tolist() == components(60, expected)
    assert found.compared == sum(len(star) - 1 for star in stars)
    assert found.cut == sum(not alike(values[s[0]], values[m], threshold) for s in stars for m in s[1:])


@pytest.mark.parametrize("rounds", [1, 2, 5, 80])
def test_a_large_star_is_regrouped_in_rounds(rounds: int) -> None:
    values = some_sets(80, 3)
    star = list(range(80))
    found = regroup(Stars(np.array([0, 80]), np.array(star)), laid(values), threshold=0.6, rounds=rounds, few=4)
    assert sorted(map(tuple, found.edges.tolist())) == sorted(leaders_of(star, values, 0.6, rounds))
    assert found.cut == sum(not alike(values[0], value, 0.6) for value in values[1:])


@pytest.mark.parametrize("piece", [1, 7, 80])
def test_a_star_in_pieces_is_the_star(piece: int) -> None:
    values = some_sets(80, 4)
    leaders: list[int] = []
    edges: list[tuple[int, int]] = []
    for begin in range(0, 80, piece):
        rows = [*leaders, *range(begin, min(begin + piece, 80))]
        places = np.empty(5, np.int64)
        taken, many = join_rest(*laid([values[row] for row in rows]), len(leaders), 0.6, 5, places)
        for place in range(len(leaders), len(rows)):
            if taken[place] not in (NOBODY, place):
                edges.append((rows[taken[place]], rows[place]))
        leaders = [rows[place] for place in places[:many]]
    assert sorted(edges) == sorted(leaders_of(list(range(80)), values, 0.6, 5))


def test_stars_of_keys_hold_every_pair_of_a_bucket() -> None:
    generator = np.random.default_rng(1)
    keys = band_keys(generator.integers(0, 3, (200, 8), dtype=np.uint32), 4, 2)
    stars = stars_of_keys(keys)
    groups = [set(g.tolist()) for g in np.split(stars.members, stars.starts[1:-1])]
    assert all(group == set(group) and len(group) > 1 for group in groups)
    for key in np.unique(keys):
        bucket = set(np.flatnonzero((keys == key).any(axis=1)).tolist())
        assert len(bucket) == 1 or any(bucket <= group and min(bucket) == min(group) for group in groups)
    assert len(stars_of_keys(keys[:0]).members) == len(stars_of_edges(np.empty((0, 2), np.int64)).members) == 0


def test_cluster_numbers() -> None:
    generator = np.random.default_rng(2)
    edges = generator.integers(0, 300, (150, 2))
    assert cluster_numbers(300, edges).tolist() == components(300, [(int(a), int(b)) for a, b in edges])
    assert cluster_numbers(3, np.empty((0, 2), np.int64)).tolist() == [0, 1, 2]
