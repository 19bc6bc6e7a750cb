"""Ids of pre-tokens, each worked out once: most of a text is pre-tokens that were seen before."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CACHED_WORDS", "WordCache"]

CACHED_WORDS = 1 << 19
"""Pre-tokens kept, some 150 bytes each; beyond that the cache begins anew."""

Int64s = NDArray[np.int64]
EncodeWords = Callable[[list[str]], tuple[NDArray[Any], Int64s]]


class WordCache:
    """Splits texts by a pattern and looks every piece up; what is new is encoded in one call for all texts."""

    def __init__(self, pattern: str, encode_words: EncodeWords, dtype: np.dtype[Any]) -> None:
        """`encode_words` gives the ids of words end to end, and how many each has."""
        self._find = re.compile(pattern).findall
        self._encode_words, self._dtype = encode_words, dtype
        self._forget()

    def _forget(self) -> None:
        self._numbers = _Numbers()
        self._ids = np.empty(0, self._dtype)
        self._first, self._counts = np.empty(0, np.int64), np.empty(0, np.int64)

    def ids(self, texts: Sequence[str]) -> list[NDArray[Any] | None]:
        """Ids of every text; None for a text that the pattern does not cover to the last character."""
        if len(self._numbers) > CACHED_WORDS:
            self._forget()
        words = [self._find(text) for text in texts]
        covered = [sum(map(len, each)) == len(text) for each, text in zip(words, texts, strict=True)]
        numbers = [np.fromiter(map(self._numbers.__getitem__, each), np.int64, len(each)) for each in words]
        if self._numbers.new:
            self._learn(self._numbers.new)
            self._numbers.new = []
        return [self._gather(each) if whole else None for each, whole in zip(numbers, covered, strict=True)]

    def _learn(self, words: list[str]) -> None:
        ids, counts = self._encode_words(words)
        first = len(self._ids) + np.cumsum(counts) - counts
        self._ids = np.concatenate([self._ids, ids.astype(self._dtype)])
        self._first, self._counts = np.concatenate([self._first, first]), np.concatenate([self._counts, counts])

    def _gather(self, numbers: Int64s) -> NDArray[Any]:
        counts = self._counts[numbers]
        ends = np.cumsum(counts)
        index = np.repeat(self._first[numbers] - ends + counts, counts)
        index += np.arange(len(index))
        found: NDArray[Any] = self._ids[index]
        return found


class _Numbers(dict[str, int]):
    """Numbers words in order of first sight, and keeps those not seen before in `new`."""

    def __init__(self) -> None:
        super().__init__()
        self.new: list[str] = []

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self)
        self.new.append(word)
        return number
