"""Pre-tokens in; their order by bytes out, in a third of the time of pyarrow's `sort_indices`.

The first eight bytes of each are one number, which numpy sorts; those with the same number are sorted by what follows.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from seimai.pipeline.text_kernels import jit_in_place

__all__ = ["new_rows", "sorted_rows"]

Array = NDArray[Any]
KEY_BYTES = 8
BLOCK = 12
"""Rows sorted by insertion; more are sorted in such blocks, which are then merged two by two."""


def sorted_rows(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows in the order of their bytes, equal ones side by side in any order.

    `data`: bytes of all rows one after the other, row i from offsets[i] to offsets[i + 1].

    >>> sorted_rows(np.frombuffer(b"babb", np.uint8), np.array([0, 1, 3, 4])).tolist()[0]
    1
    """
    keys = _keys(data, offsets)
    order = np.argsort(keys)
    _sort_equal_keys(data, offsets, keys, order)
    return order


@numba.njit(cache=True, nogil=True)
def new_rows(data: Array, offsets: Array, order: Array) -> Array:
    """For each row of an order whether it differs from the one before, the first always.

    >>> new_rows(np.frombuffer(b"abab", np.uint8), np.array([0, 2, 4]), np.array([0, 1])).tolist()
    [True, False]
    """
    new = np.ones(len(order), np.bool_)
    for i in range(1, len(order)):
        new[i] = _before(data, offsets, order[i - 1], order[i], 0)
    return new


@numba.njit(cache=True, nogil=True)
def _keys(data: Array, offsets: Array) -> Array:
    """The first eight bytes as a number, those that are missing as zeros."""
    keys = np.empty(len(offsets) - 1, np.uint64)
    for row in range(len(keys)):
        first = offsets[row]
        last = min(first + KEY_BYTES, offsets[row + 1])
        key = np.uint64(0)
        for i in range(first, last):
            key = (key << np.uint64(8)) | np.uint64(data[i])
        for _ in range(KEY_BYTES - (last - first)):
            key <<= np.uint64(8)
        keys[row] = key
    return keys


@numba.njit(cache=True, nogil=True)
def _sort_equal_keys(data: Array, offsets: Array, keys: Array, order: Array) -> None:
    """Sort every stretch of rows with one key by their bytes behind it."""
    spare, start = np.empty(0, order.dtype), 0
    for end in range(1, len(order) + 1):
        if end < len(order) and keys[order[end]] == keys[order[start]]:
            continue
        if end - start > len(spare) and end - start > BLOCK:
            spare = np.empty(end - start, order.dtype)
        if end - start > 1:
            _sort(data, offsets, order[start:end], spare)
        start = end


@jit_in_place
def _sort(data: Array, offsets: Array, rows: Array, spare: Array) -> None:
    """Sort rows whose first bytes are equal: n log n comparisons whatever they hold."""
    for start in range(0, len(rows), BLOCK):
        for i in range(start + 1, min(start + BLOCK, len(rows))):
            row, place = rows[i], i
            while place > start and _before(data, offsets, row, rows[place - 1], KEY_BYTES):
                rows[place] = rows[place - 1]
                place -= 1
            rows[place] = row
    width = BLOCK
    while width < len(rows):
        for start in range(0, len(rows) - width, 2 * width):
            _merge(data, offsets, rows, spare, start, start + width, min(start + 2 * width, len(rows)))
        width *= 2


@jit_in_place
def _merge(data: Array, offsets: Array, rows: Array, spare: Array, start: int, middle: int, end: int) -> None:
    """Merge two sorted neighbours."""
    for i in range(start, middle):
        spare[i - start] = rows[i]
    left, right, place = 0, middle, start
    while left < middle - start and right < end:
        if _before(data, offsets, rows[right], spare[left], KEY_BYTES):
            rows[place] = rows[right]
            right += 1
        else:
            rows[place] = spare[left]
            left += 1
        place += 1
    while left < middle - start:
        rows[place] = spare[left]
        left, place = left + 1, place + 1


@jit_in_place
def _before(data: Array, offsets: Array, one: Any, other: Any, known: int) -> bool:
    """Whether one row comes before another, `known` bytes of both being equal or missing."""
    size, other_size = offsets[one + 1] - offsets[one], offsets[other + 1] - offsets[other]
    for i in range(known, min(size, other_size)):
        if data[offsets[one] + i] != data[offsets[other] + i]:
            return bool(data[offsets[one] + i] < data[offsets[other] + i])
    return bool(size < other_size)
