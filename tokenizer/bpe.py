"""Pre-token counts in; the merges of exact byte-level BPE out, from flat arrays with 64-bit counts.

The same merges as `tokenizers.trainers.BpeTrainer` on the same text (boundary rule off): the pair seen most often is
merged, among equals the one with the smallest ids, bytes standing in the order of GPT-2's printable alphabet. That
library adds its counts in 32 bits, which wrap at 13 to 23 GB of Japanese.

Every byte of every distinct pre-token is a position. A position where a token starts is in the list of its pair (a, b);
lists are linked through arrays over positions, stay in rising order, and a pair's list is complete from the merge on
that made its younger token, so a merge touches only what it changes. 20 bytes a position, 40 a pair.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .counts import flat_counts
from .vocabulary import BYTE_ORDER

__all__ = ["learn_merges"]

Array = NDArray[Any]
CONTINUATION = -1
MAX_POSITIONS = 2**31 - 1


class Slots(NamedTuple):
    """One slot per pair ever seen, and the lists of positions."""

    pairs: Array
    """a << 32 | b, int64."""
    totals: Array
    """How often the pair stands in the text, int64."""
    head: Array
    """First position in the pair's list, -1 when empty, int32."""
    tail: Array
    """Last position in it."""
    slot_of: Array
    """By position: the slot of the pair that begins there, -1 for none."""
    links: Array
    """By position, shape (n, 2): the one before and the one behind it in its list, -1 at the ends."""


def learn_merges(counts: pa.Table, n_merges: int, *, boundary: bool = True, min_count: int = 2) -> NDArray[np.int32]:
    """At most `n_merges` merges as pairs of token ids, shape (n, 2): ids 0 to 255 are bytes, 256 + i is merge i.

    `boundary`: an unfinished character joins nothing but its own next byte. `min_count`: the least count of a merged
    pair; training stops early where none has it. Raises ValueError above 2^31 bytes of distinct pre-tokens.

    >>> import pyarrow as pa
    >>> table = pa.table({"pretoken": pa.array([b"ab", b"abc"], pa.large_binary()), "count": [5, 2]})
    >>> learn_merges(table, 9).tolist()
    [[97, 98], [256, 99]]
    """
    data, offsets, word_counts = flat_counts(counts)
    n_positions = len(data) + len(word_counts) + 1
    if n_positions > MAX_POSITIONS:
        raise ValueError(f"{len(data):,} bytes of distinct pre-tokens; at most {MAX_POSITIONS:,} fit 32-bit positions")
    rank = np.empty(256, np.int32)
    rank[BYTE_ORDER] = np.arange(256, dtype=np.int32)
    # Position 0, every gap between words and the last position hold -1.
    words = np.repeat(np.arange(len(word_counts), dtype=np.int32), np.diff(offsets))
    symbols, word_of = np.full(n_positions, -1, np.int32), np.zeros(n_positions, np.int32)
    places = np.arange(1, len(data) + 1) + words
    symbols[places], word_of[places] = rank[data], words
    missing = _missing_bytes()[BYTE_ORDER] if boundary else np.zeros(256, np.int8)
    merges = _learn(symbols, word_of, np.ascontiguousarray(word_counts, np.int64), missing, n_merges, min_count)
    return np.where(merges < 256, BYTE_ORDER[np.minimum(merges, 255)], merges).astype(np.int32)


def _missing_bytes() -> NDArray[np.int8]:
    """For each byte how many more its character needs; -1 for a continuation byte."""
    missing = np.zeros(256, np.int8)
    missing[0x80:0xC0] = CONTINUATION
    missing[0xC0:0xE0], missing[0xE0:0xF0], missing[0xF0:] = 1, 2, 3
    return missing


@numba.njit(cache=True, nogil=True)
def _allowed(missing: Array, a: int, b: int) -> bool:
    """Whole characters join whole ones, an unfinished one its next byte."""
    if missing[a] == 0:
        return bool(missing[b] == 0)
    return bool(missing[a] > 0 and missing[b] == CONTINUATION)


@numba.njit(cache=True, nogil=True)
def _before(count: int, slot: int, other_count: int, other_slot: int, pairs: Array) -> bool:
    """Heap order: the larger count, among equals the smaller pair of ids."""
    if count != other_count:
        return bool(count > other_count)
    return bool(pairs[slot] < pairs[other_slot])


@numba.njit(cache=True, nogil=True)
def _push(heap: Array, size: int, count: int, slot: int, pairs: Array) -> int:
    child = size
    while child > 0:
        parent = (child - 1) >> 1
        if not _before(count, slot, heap[parent, 0], heap[parent, 1], pairs):
            break
        heap[child] = heap[parent]
        child = parent
    heap[child, 0], heap[child, 1] = count, slot
    return size + 1


@numba.njit(cache=True, nogil=True)
def _pop(heap: Array, size: int, pairs: Array) -> int:
    """Take the top (read it before) and return the new size."""
    size -= 1
    count, slot = heap[size, 0], heap[size, 1]
    parent, child = 0, 1
    while child < size:
        right = child + 1
        if right < size and _before(heap[right, 0], heap[right, 1], heap[child, 0], heap[child, 1], pairs):
            child = right
        if not _before(heap[child, 0], heap[child, 1], count, slot, pairs):
            break
        heap[parent] = heap[child]
        parent, child = child, 2 * child + 1
    heap[parent, 0], heap[parent, 1] = count, slot
    return size


@numba.njit(cache=True, nogil=True)
def _grown(array: Array, capacity: int) -> Array:
    larger = np.empty(capacity, array.dtype)
    larger[: len(array)] = array
    return larger


@numba.njit(cache=True, nogil=True)
def _attach(
    by_token: Array, token: int, pair: Any, position: int, weight: int, fresh: int, n_slots: int, slots: Slots
) -> int:
    """Put a position into the list of a pair this merge made, opening the list if need be; returns how many there are.

    `by_token` finds it by the pair's other token; an entry below `fresh` belongs to an earlier merge.
    """
    slot = by_token[token]
    if slot < fresh:
        slot, n_slots = n_slots, n_slots + 1
        by_token[token] = slot
        slots.pairs[slot], slots.totals[slot], slots.head[slot], slots.tail[slot] = pair, 0, -1, -1
    last = slots.tail[slot]
    slots.links[position, 0], slots.links[position, 1] = last, -1
    if last < 0:
        slots.head[slot] = position
    else:
        slots.links[last, 1] = position
    slots.tail[slot] = position
    slots.totals[slot] += weight
    slots.slot_of[position] = slot
    return n_slots


@numba.njit(cache=True, nogil=True)
def _detach(position: int, weight: int, slots: Slots) -> None:
    """Take a position out of its pair's list, if it is in one."""
    slot = slots.slot_of[position]
    if slot < 0:
        return
    before, after = slots.links[position, 0], slots.links[position, 1]
    if before < 0:
        slots.head[slot] = after
    else:
        slots.links[before, 1] = after
    if after < 0:
        slots.tail[slot] = before
    else:
        slots.links[after, 0] = before
    slots.totals[slot] -= weight
    slots.slot_of[position] = -1


@numba.njit(cache=True, nogil=True)
def _with_room(slots: Slots, room: int) -> Slots:
    """The same slots, with arrays for at least `room` of them."""
    if room <= len(slots.pairs):
        return slots
    room = max(room, 2 * len(slots.pairs))
    pairs, totals = _grown(slots.pairs, room), _grown(slots.totals, room)
    head, tail = _grown(slots.head, room), _grown(slots.tail, room)
    return Slots(pairs, totals, head, tail, slots.slot_of, slots.links)


@numba.njit(cache=True, nogil=True)
def _first_pairs(symbols: Array, word_of: Array, counts: Array, lacking: Array, slots: Slots) -> int:
    """List the pairs of bytes; returns how many there are."""
    n_slots = 0
    rows = np.full((256, 256), -1, np.int32)
    for position in range(len(symbols) - 1):
        a, b = symbols[position], symbols[position + 1]
        if a >= 0 and b >= 0 and _allowed(lacking, a, b):
            weight = counts[word_of[position]]
            n_slots = _attach(rows[a], b, (np.int64(a) << 32) | b, position, weight, 0, n_slots, slots)
    return n_slots


@numba.njit(cache=True, nogil=True)
def _learn(symbols: Array, word_of: Array, counts: Array, missing: Array, n_merges: int, min_count: int) -> Array:
    """The merge loop; a token's id stands at its first and at its last position, what lies between is never read."""
    most, room = 256 + n_merges, 1 << 17
    lengths, lacking = np.ones(most, np.int32), np.zeros(most, np.int8)
    lacking[:256] = missing
    slots = Slots(
        np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int32), np.empty(room, np.int32),
        np.full(len(symbols), -1, np.int32), np.empty((len(symbols), 2), np.int32),
    )  # fmt: skip
    n_slots = _first_pairs(symbols, word_of, counts, lacking, slots)
    heap, size = np.empty((room, 2), np.int64), 0
    for slot in range(n_slots):
        size = _push(heap, size, slots.totals[slot], slot, slots.pairs)
    with_left, with_right = np.full(most, -1, np.int32), np.full(most, -1, np.int32)
    merges, done = np.empty((n_merges, 2), np.int32), 0
    while size > 0 and done < n_merges:
        total, merged = heap[0, 0], heap[0, 1]
        size = _pop(heap, size, slots.pairs)
        if slots.totals[merged] != total:
            # Counts only fall once a list is full, so an old one may wait in the heap until it comes up.
            if slots.totals[merged] > 0:
                size = _push(heap, size, slots.totals[merged], merged, slots.pairs)
            continue
        if total < min_count:
            break
        a, b, new = np.int32(slots.pairs[merged] >> 32), np.int32(slots.pairs[merged] & 0xFFFFFFFF), 256 + done
        merges[done, 0], merges[done, 1] = a, b
        done += 1
        lengths[new] = lengths[a] + lengths[b]
        lacking[new] = max(lacking[a] - 1, 0)
        fresh = n_slots
        slots = _with_room(slots, n_slots + 2 * min(total, new + 1))
        p = slots.head[merged]
        while p >= 0:
            q, weight = p + lengths[a], counts[word_of[p]]
            r = q + lengths[b]
            x, y = symbols[p - 1], symbols[r]
            if y >= 0:
                _detach(q, weight, slots)
            # Read only now: where the pair overlaps itself (aaa), q was the next in this list.
            following = slots.links[p, 1]
            slots.slot_of[p] = -1
            if y >= 0 and _allowed(lacking, new, y):
                n_slots = _attach(with_right, y, (np.int64(new) << 32) | y, p, weight, fresh, n_slots, slots)
            if x >= 0:
                o = p - lengths[x]
                _detach(o, weight, slots)
                if _allowed(lacking, x, new):
                    n_slots = _attach(with_left, x, (np.int64(x) << 32) | new, o, weight, fresh, n_slots, slots)
            symbols[p], symbols[r - 1] = new, new
            p = following
        if n_slots > len(heap):
            larger = np.empty((len(slots.pairs), 2), np.int64)
            larger[:size] = heap[:size]
            heap = larger
        for slot in range(fresh, n_slots):
            if slots.totals[slot] > 0:
                size = _push(heap, size, slots.totals[slot], slot, slots.pairs)
    return merges[:done]
