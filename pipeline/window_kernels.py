"""Hashes of every window of so many code points, text by text."""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import jit

__all__ = ["hash_windows"]

BASE = np.uint64(0x9E3779B97F4A7C15)
"""Multiplier of the polynomial hash, odd."""


@jit
def _mix(value: np.uint64) -> np.uint64:
    """MurmurHash3's 64-bit finalizer."""
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@jit
def hash_windows(
    codes: NDArray[np.int32], starts: NDArray[np.int64], size: int, first: int
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The 64-bit hash of every window of `size` code points and where it begins, `first` being that of codes[0].

    Text t has the code points from starts[t] to starts[t + 1]; no window reaches over its end.
    """
    count = 0
    for text in range(len(starts) - 1):
        count += max(0, starts[text + 1] - starts[text] - size + 1)
    keys, places = np.empty(count, np.uint64), np.empty(count, np.int64)
    leading = np.uint64(1)
    for _ in range(size):
        leading *= BASE
    n = 0
    for text in range(len(starts) - 1):
        value = np.uint64(0)
        for k in range(starts[text], starts[text + 1]):
            # Code points are mixed before they are added: sums of small numbers collide sooner.
            value = value * BASE + _mix(np.uint64(codes[k]) + np.uint64(1))
            if k - starts[text] >= size:
                value -= leading * _mix(np.uint64(codes[k - size]) + np.uint64(1))
            if k - starts[text] >= size - 1:
                keys[n], places[n] = _mix(value), first + k - size + 1
                n += 1
    return keys, places
