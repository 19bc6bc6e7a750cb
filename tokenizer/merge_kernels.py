"""BPE on many short byte strings at once: the pair of lowest rank is merged first, of equal ranks the leftmost."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["encode_words", "rank_table"]

Array = NDArray[np.int64]

EMPTY = -1
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def rank_table(merges: NDArray[np.int32], first_id: int, joins: NDArray[np.int32] | None = None) -> tuple[Array, Array]:
    """Open addressing from a pair of ids to the id of what they become: (keys, ids), a power of two of places.

    `merges` is (n, 2); merge k makes id `joins[k]`, by default `first_id + k`, which is its rank too: a lower id was
    learned earlier.
    """
    size = 1 << max(4, int(2 * len(merges)).bit_length())
    keys, ids = np.full(size, EMPTY, np.int64), np.zeros(size, np.int64)
    pairs = (merges[:, 0].astype(np.int64) << 32) | merges[:, 1].astype(np.int64)
    made = np.arange(first_id, first_id + len(merges)) if joins is None else joins.astype(np.int64)
    _fill(pairs, made, keys, ids)
    return keys, ids


def encode_words(
    data: NDArray[np.uint8], offsets: Array, table: tuple[Array, Array]
) -> tuple[NDArray[np.uint32], Array]:
    """Ids of all words, end to end, and how many each has; word i is data[offsets[i]:offsets[i + 1]].
    The id of a byte is the byte.

    A word of n bytes costs O(n²) at worst: for words of at most some hundred bytes.
    """
    ids = np.empty(len(data), np.uint32)
    counts = np.empty(len(offsets) - 1, np.int64)
    longest = int(np.diff(offsets).max(initial=0))
    total = _encode(data, offsets, *table, np.empty(longest + 1, np.int64), np.empty(longest, np.int64),
                    ids, counts)  # fmt: skip
    return ids[:total], counts


@njit(nogil=True, cache=True)
def _place(pair: int, size: int) -> int:
    return int((np.uint64(pair) * GOLDEN) >> np.uint64(20)) & (size - 1)


@njit(nogil=True, cache=True)
def _fill(pairs: Array, made: Array, keys: Array, ids: Array) -> None:
    for k in range(len(pairs)):
        at = _place(pairs[k], len(keys))
        while keys[at] != EMPTY and keys[at] != pairs[k]:
            at = (at + 1) & (len(keys) - 1)
        if keys[at] == EMPTY:
            keys[at], ids[at] = pairs[k], made[k]


@njit(nogil=True, cache=True)
def _merged(left: int, right: int, keys: Array, ids: Array) -> int:
    """The id of the pair, or one beyond all ids where the pair does not merge."""
    pair = (left << 32) | right
    at = _place(pair, len(keys))
    while keys[at] != EMPTY:
        if keys[at] == pair:
            return int(ids[at])
        at = (at + 1) & (len(keys) - 1)
    return 1 << 40


@njit(nogil=True, cache=True)
def _encode(
    data: NDArray[np.uint8],
    offsets: Array,
    keys: Array,
    ids: Array,
    word: Array,
    becomes: Array,
    out: NDArray[np.uint32],
    counts: Array,
) -> int:
    total = 0
    for i in range(len(offsets) - 1):
        n = offsets[i + 1] - offsets[i]
        for j in range(n):
            word[j] = data[offsets[i] + j]
        for j in range(n - 1):
            becomes[j] = _merged(word[j], word[j + 1], keys, ids)
        while n > 1:
            best = 0
            for j in range(1, n - 1):
                if becomes[j] < becomes[best]:
                    best = j
            if becomes[best] == 1 << 40:
                break
            word[best] = becomes[best]
            for j in range(best + 1, n - 1):
                word[j] = word[j + 1]
                becomes[j] = becomes[j + 1]
            n -= 1
            if best > 0:
                becomes[best - 1] = _merged(word[best - 1], word[best], keys, ids)
            if best < n - 1:
                becomes[best] = _merged(word[best], word[best + 1], keys, ids)
        for j in range(n):
            out[total + j] = word[j]
        counts[i] = n
        total += n
    return total
