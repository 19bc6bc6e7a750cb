"""A binary heap of pair counts in a flat array: the commonest pair on top, among equals the smallest pair of ids."""

from typing import Any

from numpy.typing import NDArray

from seimai.pipeline.text_kernels import jit_in_place

__all__ = ["pop", "push"]

Array = NDArray[Any]
"""Shape (room, 2), int64: count and slot; `keys` holds the pair of each slot."""


@jit_in_place
def _before(heap: Array, i: int, count: int, slot: int, keys: Array) -> bool:
    """Heap order: the larger count, among equals the smaller pair of ids."""
    return bool(heap[i, 0] > count or (heap[i, 0] == count and keys[heap[i, 1]] < keys[slot]))


@jit_in_place
def push(heap: Array, size: int, count: int, slot: int, keys: Array) -> int:
    """Add an entry and return the new size; the heap has room for it.

    >>> import numpy as np
    >>> heap, keys = np.zeros((3, 2), np.int64), np.array([70, 60, 50])
    >>> sizes = [push(heap, slot, count, slot, keys) for slot, count in enumerate([4, 9, 9])]
    >>> heap[0].tolist()
    [9, 2]
    """
    child = size
    while child > 0:
        parent = (child - 1) >> 1
        if _before(heap, parent, count, slot, keys):
            break
        heap[child, 0], heap[child, 1] = heap[parent, 0], heap[parent, 1]
        child = parent
    heap[child, 0], heap[child, 1] = count, slot
    return size + 1


@jit_in_place
def pop(heap: Array, size: int, keys: Array) -> int:
    """Take the top (read it before) and return the new size."""
    size -= 1
    count, slot = heap[size, 0], heap[size, 1]
    parent, child = 0, 1
    while child < size:
        right = child + 1
        if right < size and _before(heap, right, heap[child, 0], heap[child, 1], keys):
            child = right
        if not _before(heap, child, count, slot, keys):
            break
        heap[parent, 0], heap[parent, 1] = heap[child, 0], heap[child, 1]
        parent, child = child, 2 * child + 1
    heap[parent, 0], heap[parent, 1] = count, slot
    return size
