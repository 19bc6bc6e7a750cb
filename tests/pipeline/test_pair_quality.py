"""Figures of clusters against enumeration of every pair, intervals against known ones, and what bad files get."""

import gzip
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.errors import InputError
from seimai.pipeline.pair_quality import LabelledPairs, judge_pairs, read_documents, read_pairs, share_of


def components(n: int, pairs: list[tuple[int, int]]) -> list[int]:
    parent = list(range(n))
    for a, b in pairs:
        low, high = sorted((parent[a], parent[b]))
        parent = [low if p == high else p for p in parent]
    return parent


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_figures_are_those_of_every_pair(n: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    every = list(itertools.combinations(range(n), 2))
    labelled = {pair: float(generator.uniform(0.3, 1.0)) for pair in every if generator.random() < 0.4}
    clusters = np.array(components(n, [pair for pair in every if generator.random() < 0.15]))
    labels = LabelledPairs(np.array(list(labelled), np.int64).reshape(-1, 2), np.array(list(labelled.values())))
    found = judge_pairs(clusters, labels, threshold=0.7, lang="ja")

    together = [pair for pair in every if clusters[pair[0]] == clusters[pair[1]]]
    chain = components(n, [pair for pair, j in labelled.items() if j >= 0.7 - 0.05])
    exact = components(n, [pair for pair, j in labelled.items() if j >= 0.7])
    surely = [pair for pair, j in labelled.items() if j >= 0.72]
    alike = [pair for pair, j in labelled.items() if j >= 0.7]

    def share(part: list[tuple[int, int]], whole: list[tuple[int, int]]) -> float:
        return len(set(part) & set(whole)) / len(whole) if whole else 1.0

    assert (found.lang, found.documents) == ("ja", n)
    assert found.recall.value == share(together, surely)
    assert found.strict_recall.value == share(together, alike)
    assert found.precision.value == share([p for p in every if chain[p[0]] == chain[p[1]]], together)
    assert found.strict_precision.value == share(alike, together)
    inside = [pair for pair in every if exact[pair[0]] == exact[pair[1]]]
    assert found.ceiling == (len(alike) / len(inside) if inside else 0.0)
    assert found.precision.pairs == len(together)
    for got in (found.recall, found.precision, found.strict_recall, found.strict_precision):
        assert 0 <= got.low <= got.value <= got.high <= 1


def test_an_interval_of_independent_pairs_is_wilsons() -> None:
    # 81 of 263, the example of Newcombe, Statistics in Medicine 17 (1998): 0.2553 to 0.3662.
    hits = np.array([1] * 81 + [0] * 182)
    found = share_of(hits, np.ones(263, np.int64))
    assert [found.low, found.high] == pytest.approx([0.2553, 0.3662], abs=2e-4)


def test_pairs_that_stand_together_count_less() -> None:
    hits, pairs = np.array([10, 10, 10, 0]), np.array([10, 10, 10, 10])
    alone = share_of(np.repeat([1, 0], [30, 10]), np.ones(40, np.int64))
    grouped = share_of(hits, pairs)
    assert grouped.value == alone.value
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)
    assert share_of(np.array([500]), np.array([500])).low < 0.3  # one group says little, however large


@pytest.mark.parametrize("groups", [20, 60])
def test_intervals_hold_what_they_promise(groups: int) -> None:
    generator, truth, held = np.random.default_rng(groups), 0.9, 0
    for _ in range(400):
        # Groups of 1 to 8 pairs with a share of their own; the expected share over all pairs is the truth.
        pairs = generator.integers(1, 9, groups)
        hits = generator.binomial(pairs, generator.beta(18, 2, groups))
        found = share_of(hits, pairs)
        held += found.low <= truth <= found.high
    assert 0.91 <= held / 400 <= 0.995


def test_no_pairs() -> None:
    assert share_of(np.zeros(3, np.int64), np.zeros(3, np.int64)) == (1.0, 0.0, 1.0, 0)


def lines(path: Path, rows: list[dict[str, object]]) -> Path:
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs.jsonl.gz"])
def test_files_are_read(tmp_path: Path, name: str) -> None:
    documents = read_documents(lines(tmp_path / f"docs-{name}", [{"id": "a", "text": "x", "title": "t"}]))
    assert documents.to_pylist() == [{"id": "a", "text": "x", "lang": "auto"}]
    path = lines(tmp_path / name, [{"a": "c", "b": "a", "jaccard": 0.5}, {"a": "a", "b": "b", "jaccard": 1}])
    rows, jaccard = read_pairs(path, ["a", "b", "c"])
    assert rows.tolist() == [[0, 1], [0, 2]]
    assert jaccard.tolist() == [1.0, 0.5]
    truth = lines(tmp_path / f"truth-{name}", [{"a": "a", "b": "b", "duplicate": True}])
    assert read_pairs(truth, ["a", "b"]).jaccard.tolist() == [1.0]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"a": "a", "b": "z", "jaccard": 1}], "line 1 names 'z'"),
        ([{"a": "a", "b": "a", "jaccard": 1}], "pairs 'a' with itself"),
        (
            [{"a": "a", "b": "b", "jaccard": 1}, {"a": "b", "b": "a", "jaccard": 1}],
            "1 pairs stand there more than once",
        ),
        ([{"a": "a", "b": "b"}], "need a number `jaccard`"),
        ([{"a": "a", "jaccard": 1}], "lines need b; found a, jaccard"),
    ],
)
def test_mistakes_in_pairs(tmp_path: Path, rows: list[dict[str, object]], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_pairs(lines(tmp_path / "pairs.jsonl", rows), ["a", "b"])


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "broken.jsonl").write_text("{")
    for name in ("broken.jsonl", "absent.jsonl"):
        with pytest.raises(InputError, match="cannot be read as JSON lines"):
            read_documents(tmp_path / name)
