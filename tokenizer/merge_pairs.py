"""Pairs of neighbouring symbols and their places: listed from words, probed, compacted; for merge_loop.py."""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from seimai.pipeline.text_kernels import jit_in_place

from .words import Words

__all__ = [
    "CONTINUATION",
    "FEW",
    "ID_BITS",
    "ID_MASK",
    "NO_PAIRS",
    "SPARE",
    "Pairs",
    "Tokens",
    "allowed",
    "first_pairs",
    "first_pairs_of_many",
    "keep_live",
    "list_pair",
    "probe",
    "with_room",
]

Array = NDArray[Any]
CONTINUATION = -1
NO_PAIRS: NDArray[np.int64] = np.empty(0, np.int64)
FEW = 320
"""Most first symbols whose pairs are counted in a square table: the bytes and what first_merges.py makes."""
SPARE = 1 << 12
"""Slots and places kept free beside what the next merge may need."""
ID_BITS = 32
ID_MASK = (1 << ID_BITS) - 1
MULTIPLIER = -7046029254386353131
"""2^64 / golden ratio, as int64: spreads keys over a hash table (Knuth, The Art of Computer Programming 6.4)."""


class Tokens(NamedTuple):
    """Per token id: what the rules for joining ask."""

    lengths: Array
    """Bytes, int32."""
    missing: Array
    """Bytes its last character still lacks, -n for n lone continuation bytes; all 0 where the rule is off; int8."""
    chars: Array
    """Characters begun in it, int32."""


class Pairs(NamedTuple):
    """Listed pairs, one slot each, with a hash table from pair to slot."""

    keys: Array
    """a << 32 | b, int64."""
    totals: Array
    """How often the pair stands in the text, 0 once merged, int64."""
    starts: Array
    """Where its places begin in the pool, int64."""
    sizes: Array
    """How many places were listed, int32."""
    table: Array
    """Slot of a key, -1 for none, linear probing; int32, length a power of two."""
    pool: Array
    """Places of all pairs, slot after slot, int32."""


@jit_in_place
def allowed(a: Any, b: Any, tokens: Tokens, max_chars: int) -> bool:
    """Whole characters join whole ones, an unfinished one its next byte, and the token is not too long."""
    if tokens.chars[a] + tokens.chars[b] > max_chars:
        return False
    if tokens.missing[a] == 0:
        return bool(tokens.missing[b] == 0)
    return bool(tokens.missing[a] > 0 and tokens.missing[b] < 0 and tokens.missing[a] + tokens.missing[b] >= 0)


@jit_in_place
def probe(pairs: Pairs, key: int) -> int:
    """Where the key stands in the table, or the empty field where it would."""
    mask = len(pairs.table) - 1
    field = ((np.int64(key) * np.int64(MULTIPLIER)) >> 24) & mask
    while pairs.table[field] >= 0 and pairs.keys[pairs.table[field]] != key:
        field = (field + 1) & mask
    return int(field)


@numba.njit(cache=True, nogil=True)
def _empty_pairs(n_slots: Any, n_places: Any) -> Pairs:
    """Room for so many slots and places; the hash table stays at most half full."""
    n_fields = 2
    while n_fields < 2 * n_slots:
        n_fields *= 2
    return Pairs(
        np.empty(n_slots, np.int64), np.empty(n_slots, np.int64), np.empty(n_slots, np.int64),
        np.empty(n_slots, np.int32), np.full(n_fields, -1, np.int32), np.empty(n_places, np.int32),
    )  # fmt: skip


@jit_in_place
def list_pair(pairs: Pairs, slot: int, key: Any, total: int, start: Any, size: int) -> None:
    pairs.keys[slot], pairs.totals[slot], pairs.starts[slot], pairs.sizes[slot] = key, total, start, size
    pairs.table[probe(pairs, key)] = slot


@numba.njit(cache=True, nogil=True)
def keep_live(pairs: Pairs, n_slots: int, symbols: Array, lengths: Array, min_count: int) -> tuple[Any, ...]:
    """Close the gaps that stale places and pairs below `min_count` leave; returns the slots and places left."""
    n_kept, n_places = 0, np.int64(0)
    for slot in range(n_slots):
        if pairs.totals[slot] < min_count:
            continue
        a, b, start = pairs.keys[slot] >> ID_BITS, pairs.keys[slot] & ID_MASK, n_places
        for i in range(pairs.starts[slot], pairs.starts[slot] + pairs.sizes[slot]):
            place = pairs.pool[i]
            if symbols[place] == a and symbols[place + lengths[a]] == b:
                pairs.pool[n_places] = place
                n_places += 1
        pairs.keys[n_kept], pairs.totals[n_kept] = pairs.keys[slot], pairs.totals[slot]
        pairs.starts[n_kept], pairs.sizes[n_kept] = start, n_places - start
        n_kept += 1
    return n_kept, n_places


@numba.njit(cache=True, nogil=True)
def with_room(pairs: Pairs, n_slots: int, n_places: int, more_slots: int, more_places: int) -> Pairs:
    """The same slots and places with room for more, and a quarter of them besides."""
    moved, pool = _empty_pairs(n_slots + n_slots // 4 + more_slots, 0), pairs.pool
    if n_places + n_places // 4 + more_places > len(pool):
        pool = np.empty(n_places + n_places // 2 + more_places, np.int32)
        pool[:n_places] = pairs.pool[:n_places]
    moved = Pairs(moved.keys, moved.totals, moved.starts, moved.sizes, moved.table, pool)
    for slot in range(n_slots):
        list_pair(moved, slot, pairs.keys[slot], pairs.totals[slot], pairs.starts[slot], pairs.sizes[slot])
    return moved


@numba.njit(cache=True, nogil=True)
def first_pairs(words: Words, tokens: Tokens, max_chars: int, min_count: int) -> tuple[Any, ...]:
    """List the pairs of at most FEW first symbols that are seen at least `min_count` times."""
    symbols, gap = words.symbols, np.int64(words.symbols[0])
    totals, sizes = np.zeros(FEW * FEW, np.int64), np.zeros(FEW * FEW, np.int64)
    for group in range(len(words.group_counts)):
        for place in range(words.group_starts[group], words.group_starts[group + 1] - 1):
            a, b = np.int64(symbols[place]), np.int64(symbols[place + 1])
            if a != gap and b != gap and allowed(a, b, tokens, max_chars):
                totals[a * FEW + b] += words.group_counts[group]
                sizes[a * FEW + b] += 1
    sizes[totals < min_count] = 0
    n_slots, n_places = np.count_nonzero(sizes), np.sum(sizes)
    # Room for what the commonest pair may need, so that the first merge does not copy the pool at its longest. Bytes
    # that lack others come first where the rule is on.
    sides = 1 if np.any(tokens.missing > 0) else 2
    pairs = _empty_pairs(4 * n_slots + SPARE, n_places + max(n_places // 4, sides * np.max(sizes)) + SPARE)
    next_place, slot, start = np.full(FEW * FEW, -1, np.int64), 0, np.int64(0)
    for code in np.flatnonzero(sizes):
        key = (np.int64(code // FEW) << ID_BITS) | (code % FEW)
        list_pair(pairs, slot, key, totals[code], start, sizes[code])
        next_place[code] = start
        start += sizes[code]
        slot += 1
    for place in range(len(symbols) - 1):
        a, b = np.int64(symbols[place]), np.int64(symbols[place + 1])
        if a != gap and b != gap and next_place[a * FEW + b] >= 0 and allowed(a, b, tokens, max_chars):
            pairs.pool[next_place[a * FEW + b]] = place
            next_place[a * FEW + b] += 1
    return pairs, n_slots, n_places


@numba.njit(cache=True, nogil=True)
def first_pairs_of_many(words: Words, tokens: Tokens, max_chars: int, min_count: int, barred: Array) -> tuple[Any, ...]:
    """The same for more first symbols, whose pairs are counted in a hash table; `barred` are listed never."""
    symbols, gap, seen, n_seen = words.symbols, np.int64(words.symbols[0]), _empty_pairs(SPARE, 0), 0
    for group in range(len(words.group_counts)):
        for place in range(words.group_starts[group], words.group_starts[group + 1] - 1):
            a, b = np.int64(symbols[place]), np.int64(symbols[place + 1])
            if a == gap or b == gap or not allowed(a, b, tokens, max_chars):
                continue
            key = int((a << ID_BITS) | b)
            slot = seen.table[probe(seen, key)]
            if slot < 0:
                if n_seen == len(seen.keys):
                    seen = with_room(seen, n_seen, 0, n_seen, 0)
                slot = n_seen
                list_pair(seen, slot, key, 0, 0, 0)
                n_seen += 1
            seen.totals[slot] += words.group_counts[group]
            seen.sizes[slot] += 1
    for key in barred:
        slot = seen.table[probe(seen, key)]
        if slot >= 0:
            seen.totals[slot] = 0
    chosen = np.flatnonzero(seen.totals[:n_seen] >= min_count)
    sizes = seen.sizes[chosen].astype(np.int64)
    n_places, longest = int(np.sum(sizes)), 0
    for size in sizes:
        longest = max(longest, int(size))
    pairs = _empty_pairs(4 * len(chosen) + SPARE, n_places + max(n_places // 4, 2 * longest) + SPARE)
    start, next_place = np.int64(0), np.empty(len(chosen), np.int64)
    for slot in range(len(chosen)):
        old = chosen[slot]
        list_pair(pairs, slot, seen.keys[old], seen.totals[old], start, sizes[slot])
        next_place[slot] = start
        start += sizes[slot]
    for place in range(len(symbols) - 1):
        a, b = np.int64(symbols[place]), np.int64(symbols[place + 1])
        if a != gap and b != gap:
            slot = pairs.table[probe(pairs, int((a << ID_BITS) | b))]
            if slot >= 0:
                pairs.pool[next_place[slot]] = place
                next_place[slot] += 1
    return pairs, len(chosen), n_places
