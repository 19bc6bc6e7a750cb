"""Items of a text that stand more than once, told apart by 64-bit hashes."""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import int64, jit

__all__ = ["COPY_COUNTS", "count_copies"]

COPY_COUNTS = ("{}", "dup_{}", "dup_{}_chars", "all_dup_{}", "all_dup_{}_chars")
"""Items; those seen before, and their characters; those that stand more than once, and their characters."""

BASE = np.uint64(0x9E3779B97F4A7C15)


@jit
def count_copies(
    hashes: NDArray[np.uint64], sizes: NDArray[np.int64], bounds: NDArray[np.int64], counts: NDArray[np.int64]
) -> None:
    """Fill counts[text, :] (COPY_COUNTS); the items of text i stand from bounds[i] to bounds[i + 1]."""
    most = 1
    for text in range(len(bounds) - 1):
        most = max(most, bounds[text + 1] - bounds[text])
    bits = 2
    while 1 << bits < 2 * most:
        bits += 1
    table, single = np.empty(1 << bits, np.uint64), np.empty(1 << bits, np.bool_)
    for text in range(len(bounds) - 1):
        n = bounds[text + 1] - bounds[text]
        out = counts[text]
        out[0] = n
        if n < 2:
            continue
        bits = 2
        while 1 << bits < 2 * n:
            bits += 1
        mask = (1 << bits) - 1
        for place in range(1 << bits):
            table[place] = 0
        for k in range(bounds[text], bounds[text + 1]):
            # 0 marks a free place, so the hash 0 becomes 1; the length joins so that no leading NUL is lost.
            key = max((hashes[k] + np.uint64(sizes[k])) * BASE, np.uint64(1))
            place = int64(key >> np.uint64(32)) & mask
            while table[place] != 0 and table[place] != key:
                place = (place + 1) & mask
            if table[place] == 0:
                table[place], single[place] = key, True
                continue
            out[1] += 1
            out[2] += sizes[k]
            out[3] += 2 if single[place] else 1
            out[4] += 2 * sizes[k] if single[place] else sizes[k]
            single[place] = False
