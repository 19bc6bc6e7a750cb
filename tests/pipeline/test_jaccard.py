"""Shingle sets and exact Jaccard against Python's sets."""

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.pipeline.jaccard import ShingleSets, jaccard, jaccard_pairs, shingle_sets
from seimai.pipeline.jaccard_kernels import sort_sets, take_sets
from seimai.pipeline.shingles import shingle_hashes

TEXTS = ["精米は白い。玄米は茶色い。", None, "", "。。", "One two three four five six.", "短い", "あ" * 50]


def plain(a: set[int], b: set[int]) -> float:
    """|a & b| / |a | b| of Python sets."""
    return len(a & b) / len(a | b) if a | b else 0.0


def sets_of(values: list[set[int]]) -> ShingleSets:
    """Python sets laid end to end."""
    arrays = [np.array(sorted(value), np.uint32) for value in values]
    offsets = np.append(0, np.cumsum([len(array) for array in arrays]))
    return ShingleSets(offsets.astype(np.int64), np.concatenate([np.empty(0, np.uint32), *arrays]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sets(st.integers(0, 60)), min_size=2, max_size=8))
def test_jaccard_is_that_of_python_sets(values: list[set[int]]) -> None:
    sets = sets_of(values)
    pairs = np.array([[a, b] for a in range(len(values)) for b in range(len(values))])
    expected = [plain(values[a], values[b]) for a, b in pairs]
    assert jaccard_pairs(*sets, pairs).tolist() == expected
    first, second = (sets.hashes[sets.offsets[k] : sets.offsets[k + 1]] for k in (0, 1))
    assert jaccard(first, second) == plain(values[0], values[1])
    assert jaccard(first.astype(np.uint64), second.astype(np.uint64)) == plain(values[0], values[1])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 40), max_size=90), max_size=6))
def test_sorted_sets(values: list[list[int]]) -> None:
    hashes = np.array([h for value in values for h in value], np.uint32)
    offsets = np.append(0, np.cumsum([len(value) for value in values])).astype(np.int64)
    ends = sort_sets(hashes, offsets)
    found = [hashes[a:b].tolist() for a, b in itertools.pairwise(ends)]
    assert found == [sorted(set(value)) for value in values]
    order = np.arange(len(values))[::-1]
    taken_ends, taken = take_sets(ends, hashes, order)
    assert [taken[a:b].tolist() for a, b in itertools.pairwise(taken_ends)] == found[::-1]


@pytest.mark.parametrize("lang", ["auto", "ja", "en"])
def test_shingle_sets_are_the_distinct_shingle_hashes(lang: str) -> None:
    sets = shingle_sets(TEXTS, lang=lang)
    for number, text in enumerate(TEXTS):
        found = sets.hashes[sets.offsets[number] : sets.offsets[number + 1]]
        assert found.tolist() == np.unique(shingle_hashes(text or "", lang=lang)).tolist()


def test_shingle_sets_by_row() -> None:
    texts = pa.array(["一二三四五六七", "a b c d e f g"])
    sets = shingle_sets(texts, lang=pa.array(["ja", "en"]), shingle_chars=3, shingle_words=6)
    assert np.diff(sets.offsets).tolist() == [5, 2]
    assert len(shingle_sets([])) == 0
