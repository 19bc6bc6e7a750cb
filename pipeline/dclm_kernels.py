"""Repetition as DCLM's copy of RefinedWeb counts it, on the words of any cut that begin with a letter or a digit.

Top n-gram: how often the most frequent one stands, times the longest of those that stand so often. Copied n-grams: the
characters of all words that any n-gram covers which stands more than once, its first place too.
"""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import jit
from .unicode_table import CATEGORY_MASK, LETTER, NUMBER

__all__ = ["DCLM_COUNTS", "count_dclm"]

DCLM_COUNTS = (
    *("words", "word_chars"),
    *(f"top_{n}gram_chars" for n in (2, 3, 4)),
    *(f"covered_{n}gram_chars" for n in range(5, 11)),
)
TOP, COVERED, LONGEST = 2, 5, 10
BASE = np.uint64(0x9E3779B97F4A7C15)


@jit
def count_dclm(
    codes: NDArray[np.int32],
    classes: NDArray[np.uint8],
    starts: NDArray[np.int32],
    ends: NDArray[np.int32],
    bounds: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Fill counts[text, :] (DCLM_COUNTS); word k of text i stands at codes[starts[k]:ends[k]], bounds[i] <= k."""
    most = 0
    for text in range(len(bounds) - 1):
        most = max(most, bounds[text + 1] - bounds[text])
    keys, chars = np.empty(most, np.uint64), np.empty(most + 1, np.int64)
    words, names, tally = np.empty(most, np.int32), np.empty(most, np.int32), np.empty(most, np.int32)
    for text in range(len(bounds) - 1):
        n = 0
        chars[0] = 0
        for word in range(bounds[text], bounds[text + 1]):
            kind = classes[starts[word]] & CATEGORY_MASK
            if kind != LETTER and kind != NUMBER:
                continue
            value = np.uint64(ends[word] - starts[word])
            for k in range(starts[word], ends[word]):
                value = (value + np.uint64(codes[k]) + np.uint64(1)) * BASE
                value ^= value >> np.uint64(29)
            keys[n], chars[n + 1] = value, chars[n] + ends[word] - starts[word]
            n += 1
        counts[text, 0], counts[text, 1] = n, chars[n]
        _repeated(keys, n, words, tally)
        names[:n] = words[:n]
        for size in range(2, LONGEST + 1):
            # An n-gram can only repeat where the (n-1)-gram at its place and its last word do.
            for k in range(n):
                whole = k + size <= n and names[k] >= 0 and words[k + size - 1] >= 0
                keys[k] = np.uint64(names[k]) << np.uint64(32) | np.uint64(words[k + size - 1]) if whole else BASE
            _repeated(keys, n, names, tally)
            if size <= 4:
                counts[text, TOP + size - 2] = _top(names, tally, chars, n, size)
            else:
                counts[text, COVERED + size - 5] = _covered(names, chars, n, size)


@jit
def _repeated(keys: NDArray[np.uint64], n: int, names: NDArray[np.int32], tally: NDArray[np.int32]) -> None:
    """names[k]: number of keys[k] if it stands more than once and is not BASE, else -1; tally[number]: how often."""
    bits = 2
    while 1 << bits < 2 * n:
        bits += 1
    table, numbers = np.zeros(1 << bits, np.uint64), np.empty(1 << bits, np.int32)
    mask, shift, found = (1 << bits) - 1, np.uint64(64 - bits), 0
    for k in range(n):
        if keys[k] == BASE:
            names[k] = -1
            continue
        key = max(keys[k] + np.uint64(1), np.uint64(1))
        place = np.int64(((key ^ (key >> np.uint64(32))) * BASE) >> shift)
        while table[place] != 0 and table[place] != key:
            place = (place + 1) & mask
        if table[place] == 0:
            table[place], numbers[place], tally[found] = key, found, 0
            found += 1
        names[k] = numbers[place]
        tally[names[k]] += 1
    for k in range(n):
        if names[k] >= 0 and tally[names[k]] < 2:
            names[k] = -1


@jit
def _top(names: NDArray[np.int32], tally: NDArray[np.int32], chars: NDArray[np.int64], n: int, size: int) -> int:
    """Times the most frequent n-gram stands, times the characters of the longest that stands so often; 0 for once."""
    most, longest = 0, 0
    for k in range(n):
        if names[k] >= 0:
            times, length = tally[names[k]], chars[k + size] - chars[k]
            if times > most:
                most, longest = times, length
            elif times == most:
                longest = max(longest, length)
    return most * longest


@jit
def _covered(names: NDArray[np.int32], chars: NDArray[np.int64], n: int, size: int) -> int:
    """Characters of the words that repeated n-grams cover."""
    total, end = 0, 0
    for k in range(n):
        if names[k] >= 0:
            total += chars[k + size] - chars[max(k, end)]
            end = k + size
    return total
