"""Ids of pre-tokens, each worked out once: most of a text is pre-tokens that were seen before."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .count_kernels import empty_types, type_rows
from .count_split import cutter

__all__ = ["CACHED_WORDS", "WordCache"]

CACHED_WORDS = 1 << 20
"""Pre-tokens kept, some 60 bytes each; beyond that the cache begins anew."""

CACHED_BYTES = 1 << 26
"""UTF-8 of the pre-tokens kept, where they are long; beyond that the cache begins anew too."""

Int64s = NDArray[np.int64]
EncodeWords = Callable[[NDArray[np.uint8], Int64s], tuple[NDArray[Any], Int64s]]


class WordCache:
    """Splits texts by a pattern and looks every piece up; what is new is encoded in one call for all texts."""

    def __init__(self, pattern: str, encode_words: EncodeWords, dtype: np.dtype[Any]) -> None:
        """`encode_words` takes UTF-8 and offsets of words; it gives their ids end to end, and how many each has."""
        self._cut = cutter(pattern)
        self._encode_words, self._dtype = encode_words, dtype
        self._forget()

    def _forget(self) -> None:
        self._types, self._n_types = empty_types(), 0
        self._ids = np.empty(0, self._dtype)
        self._first, self._counts = np.empty(0, np.int64), np.empty(0, np.int64)

    def ids(self, texts: Sequence[str]) -> list[NDArray[Any] | None]:
        """Ids of every text; None for a text that the pattern does not cover to the last character."""
        if self._n_types > CACHED_WORDS or self._types.offsets[self._n_types] > CACHED_BYTES:
            self._forget()
        data, lengths, ends = self._cut(list(texts))
        known = self._n_types
        self._types, self._n_types, rows = type_rows(self._types, known, data, lengths)
        if self._n_types > known:
            self._learn(known)
        counts = self._counts[rows]
        found = self._gather(rows, counts)
        cut_chars, cut_ids = (np.concatenate([[0], np.cumsum(each, dtype=np.int64)]) for each in (lengths, counts))
        bounds = [0, *ends.tolist()]
        return [
            found[cut_ids[first] : cut_ids[last]] if cut_chars[last] - cut_chars[first] == len(text) else None
            for text, first, last in zip(texts, bounds, bounds[1:], strict=False)
        ]

    def _learn(self, known: int) -> None:
        """Encode the words from row `known` on."""
        offsets = self._types.offsets[known : self._n_types + 1]
        ids, counts = self._encode_words(self._types.data[offsets[0] : offsets[-1]], offsets - offsets[0])
        first = len(self._ids) + np.cumsum(counts) - counts
        self._ids = np.concatenate([self._ids, ids.astype(self._dtype)])
        self._first, self._counts = np.concatenate([self._first, first]), np.concatenate([self._counts, counts])

    def _gather(self, rows: Int64s, counts: Int64s) -> NDArray[Any]:
        ends = np.cumsum(counts)
        index = np.repeat(self._first[rows] - ends + counts, counts)
        index += np.arange(len(index))
        found: NDArray[Any] = self._ids[index]
        return found
