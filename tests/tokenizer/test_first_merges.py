"""Merges made by moving all symbols: with those behind them, the same as the loop's alone, and as plain BPE's."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.tokenizer.counts import count, flat_counts
from seimai.tokenizer.cut import whole_words
from seimai.tokenizer.first_merges import MOST, first_merges
from seimai.tokenizer.merge_loop import NO_PAIRS, merge_loop
from seimai.tokenizer.split import split_pattern
from seimai.tokenizer.words import Words, words_of

NO_RULE = np.zeros(256, np.int8)
CHARS = np.ones(256, np.int32)
NO_LIMIT = 2**31 - 1
WORDS = st.sampled_from(["aab", "aabbcd", "abcdefgh"]).flatmap(
    lambda alphabet: st.dictionaries(
        st.text(alphabet=alphabet, min_size=1, max_size=12).map(str.encode), st.integers(1, 9), min_size=1, max_size=30
    )
)
"""Few letters overlap in every way; of more, several merges are made at one reading, with ties among them."""


def _words(counts: dict[bytes, int], n_tokens: int = 400) -> Words:
    data, offsets, weights = flat_counts(
        pa.table({"pretoken": pa.array(counts, pa.large_binary()), "count": pa.array(counts.values(), pa.int64())})
    )
    return words_of(data, whole_words(offsets, weights), n_tokens)


@given(words=WORDS, n_merges=st.integers(0, 40), min_count=st.integers(1, 5), limit=st.sampled_from([3, NO_LIMIT]))
@settings(max_examples=300, deadline=None)
def test_both_together_are_the_loop_alone(words: dict[bytes, int], n_merges: int, min_count: int, limit: int) -> None:
    alone, _ = merge_loop(_words(words), NO_RULE, CHARS, n_merges, min_count, limit, NO_PAIRS)
    first, shorter, missing, chars = first_merges(_words(words), NO_RULE, CHARS, n_merges, min_count, limit)
    rest, _ = merge_loop(shorter, missing, chars, n_merges - len(first), min_count, limit, NO_PAIRS)
    assert np.concatenate([first, rest]).tolist() == alone.tolist()


def test_only_merges_at_one_position_in_1024_are_made(texts: dict[str, list[str]]) -> None:
    batch = pa.RecordBatch.from_pydict({"text": pa.array(texts["ja"], pa.large_string())})
    data, offsets, weights = flat_counts(count([batch], split_pattern()))
    words = words_of(data, whole_words(offsets, weights), 1000)
    n_positions = len(words.symbols)
    first, shorter, missing, chars = first_merges(words, NO_RULE, CHARS, 500, 2, NO_LIMIT)
    assert 1 < len(first) < MOST
    assert len(missing) == len(chars) == 256 + len(first)
    assert len(shorter.symbols) < n_positions - len(first) * len(shorter.symbols) // 1024
    assert shorter.group_starts[-1] == len(shorter.symbols)


@pytest.mark.parametrize("length", [2, 3, 4, 5, 8])
def test_equal_symbols_merge_from_the_left(length: int) -> None:
    first, shorter, _, _ = first_merges(_words({b"a" * length: 3}), NO_RULE, CHARS, 1, 1, NO_LIMIT)
    assert first.tolist() == [[64, 64]]  # "a" in the order of the printable alphabet
    gap = int(shorter.symbols[0])
    assert shorter.symbols.tolist() == [gap, *[256] * (length // 2), *[64] * (length % 2), gap]
