"""Counts over words as str.split() cuts them, as Dolma and DCLM read Gopher's rules."""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import int64, jit
from .unicode_table import LETTER_BIT

__all__ = ["SPACE_COUNTS", "count_space_words"]

SPACE_COUNTS = ("space_words", "median_twice", "symbol_words", "alpha_words", "stops", "lower_stops", "spaced_ellipses")
"""`median_twice`: two times the median length; `stops`: occurrences of Gopher's stop words."""
WORDS, MEDIAN_TWICE, SYMBOL_WORDS, ALPHA_WORDS, STOPS, LOWER_STOPS, SPACED_ELLIPSES = range(7)

HASH, STOP, ELLIPSIS, SPACE = 0x23, 0x2E, 0x2026, 0x20
STOP_KEYS = np.array(
    [int.from_bytes(word.encode(), "big") for word in ("the", "be", "to", "of", "and", "that", "have", "with")]
)
LONGEST_STOP, LENGTHS = 4, 1024


@jit
def count_space_words(
    codes: NDArray[np.int32],
    marks: NDArray[np.uint16],
    offsets: NDArray[np.int64],
    starts: NDArray[np.int32],
    ends: NDArray[np.int32],
    bounds: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Fill counts[text, :] (SPACE_COUNTS); word k is codes[starts[k]:ends[k]], of text i from bounds[i] on."""
    lengths = np.zeros(LENGTHS, np.int64)
    for text in range(len(offsets) - 1):
        out = counts[text]
        for k in range(bounds[text], bounds[text + 1]):
            flags, symbol, key, lower = marks[starts[k]], False, 0, 0
            size = int64(ends[k]) - int64(starts[k])
            for at in range(starts[k], ends[k]):
                flags |= marks[at]
                symbol |= codes[at] == HASH or codes[at] == ELLIPSIS
            out[ALPHA_WORDS] += flags & LETTER_BIT != 0
            out[SYMBOL_WORDS] += symbol
            lengths[min(size, LENGTHS - 1)] += 1
            if size > LONGEST_STOP:
                continue
            for at in range(starts[k], ends[k]):
                code = int64(codes[at])
                key = key << 8 | min(code, 255)
                lower = lower << 8 | (code | 0x20 if 0x41 <= code <= 0x5A else min(code, 255))
            for stop in STOP_KEYS:
                out[STOPS] += key == stop
                out[LOWER_STOPS] += lower == stop
        out[WORDS] = bounds[text + 1] - bounds[text]
        out[MEDIAN_TWICE] = _median_twice(lengths, out[WORDS], starts, ends, bounds[text])
        out[SPACED_ELLIPSES] = _spaced_ellipses(codes[offsets[text] : offsets[text + 1]])
        for size in range(LENGTHS):
            lengths[size] = 0


@jit
def _median_twice(
    lengths: NDArray[np.int64], n: int, starts: NDArray[np.int32], ends: NDArray[np.int32], first: int
) -> int:
    """Two times the median length; where half of the words are too long for the table, they are sorted."""
    if n == 0:
        return 0
    total, seen = 0, 0
    middles = ((n - 1) // 2, n // 2)
    if n - lengths[LENGTHS - 1] <= middles[1]:
        sizes = np.sort(ends[first : first + n] - starts[first : first + n])
        return int64(sizes[middles[0]]) + int64(sizes[middles[1]])
    for size in range(LENGTHS):
        for middle in middles:
            total += size if seen <= middle < seen + lengths[size] else 0
        seen += lengths[size]
    return total


@jit
def _spaced_ellipses(codes: NDArray[np.int32]) -> int:
    """What str.count(". . .") counts."""
    n, at = 0, 0
    while at + 5 <= len(codes):
        found = codes[at] == STOP and codes[at + 1] == SPACE and codes[at + 2] == STOP
        found = found and codes[at + 3] == SPACE and codes[at + 4] == STOP
        n += found
        at += 5 if found else 1
    return n
