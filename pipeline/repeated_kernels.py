"""Hashes of folded lines, and copies counted off in the order of the documents."""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import jit
from .unicode_table import CATEGORY_MASK, CONTROL, NUMBER, PUNCTUATION, SEQUENCE, SPACE_BIT

__all__ = ["count_off", "hash_lines"]

BASE = np.uint64(0x9E3779B97F4A7C15)
"""Multiplier of the polynomial hash of code points: 2^64 over the golden ratio, odd."""
ZERO = 0x30


@jit
def _mix(value: np.uint64) -> np.uint64:
    """MurmurHash3's 64-bit finalizer."""
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@jit
def hash_lines(
    codes: NDArray[np.int32],
    classes: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    hosts: NDArray[np.uint64],
    block_of: NDArray[np.uint8],
    blocks: NDArray[np.int32],
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]:
    """A hash of each line codes[starts:ends] with its host, one of the line alone, and the code points of that one.

    Both fold code points by table and pass over white space; the second one also passes over punctuation and control
    characters, and takes every digit for a zero.
    """
    of_host, coarse = np.empty(len(starts), np.uint64), np.empty(len(starts), np.uint64)
    lengths = np.zeros(len(starts), np.int64)
    for line in range(len(starts)):
        first, second = np.uint64(0), np.uint64(0)
        for k in range(starts[line], ends[line]):
            if classes[k] & SPACE_BIT:
                continue
            value = blocks[block_of[codes[k] >> 8], codes[k] & 255]
            code = codes[k] + value if value < SEQUENCE else codes[k]
            first = first * BASE + np.uint64(code + 1)
            category = classes[k] & CATEGORY_MASK
            if category != PUNCTUATION and category != CONTROL:
                second = second * BASE + np.uint64((ZERO if category == NUMBER else code) + 1)
                lengths[line] += 1
        of_host[line], coarse[line] = _mix(_mix(first) ^ hosts[line]), _mix(second)
    return of_host, coarse, lengths


@jit
def count_off(places: NDArray[np.int64], left: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each line goes, in order: place k (-1: none) has left[k] copies that may stay, counted down in place."""
    gone = np.zeros(len(places), np.bool_)
    for line in range(len(places)):
        if places[line] >= 0:
            gone[line] = left[places[line]] <= 0
            left[places[line]] -= 1
    return gone
