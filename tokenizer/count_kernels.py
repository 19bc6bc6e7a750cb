"""Pre-tokens of documents in; sums by (pre-token, owner) in flat hash tables, and capped sums by pre-token, out.

An owner is a pair of host and language. Both tables hold their rows in the order in which they came, found through
slots (row + 1, 0 for none) by linear probing; they double when half of the slots are taken.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from seimai.pipeline.text_kernels import jit_in_place

from .prefetch import prefetch

__all__ = ["Pairs", "Types", "add_tokens", "capped_sums", "empty_pairs", "empty_types", "rows_by_type", "type_rows"]

Array = NDArray[Any]
FIRST_ROWS = 1 << 16
STEP = 1 << 12
"""Pre-tokens for which room is made at a time."""
AHEAD = 16
"""Pre-tokens between the one looked up and the one whose slot the processor is asked for; halfway its other slots are.
Asking saves a fifth of the time: the tables are larger than the caches."""
FNV_OFFSET, FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
MIX = np.uint64(0x9E3779B97F4A7C15)
"""2^64 / golden ratio, odd: spreads a pair's bits over the upper half of a product (Fibonacci hashing)."""


class Types(NamedTuple):
    """Distinct pre-tokens: their bytes one after the other."""

    slots: Array
    """int64: upper half of the hash, row + 1."""
    offsets: Array
    """int64, where each row's bytes begin; one more than rows."""
    data: Array
    """uint8."""


class Pairs(NamedTuple):
    """Sums by pre-token and owner."""

    slots: Array
    """int32: row + 1."""
    rows: Array
    """int64, shape (n, 5), a row's numbers side by side in memory: KEY to WITHIN."""


KEY, COUNT, DOCUMENTS, LAST, WITHIN = range(5)
"""Type and owner (type << 32 | owner); occurrences, of each document at most its limit; documents that have the
pre-token; number of the last of them, from 1; occurrences in it so far."""


def empty_types() -> Types:
    """A table of no pre-tokens."""
    return Types(np.zeros(2 * FIRST_ROWS, np.int64), np.zeros(FIRST_ROWS + 1, np.int64), np.zeros(FIRST_ROWS, np.uint8))


def empty_pairs() -> Pairs:
    """A table of no sums."""
    return Pairs(np.zeros(2 * FIRST_ROWS, np.int32), np.zeros((FIRST_ROWS, 5), np.int64))


@jit_in_place
def _hash(data: Array, first: int, last: int) -> Any:
    """63 bits, FNV-1a with its upper bits folded in."""
    code = FNV_OFFSET
    for i in range(first, last):
        code = (code ^ np.uint64(data[i])) * FNV_PRIME
    return np.int64((code ^ (code >> np.uint64(29))) >> np.uint64(1))


@numba.njit(cache=True, nogil=True)
def _with_room_types(types: Types, n_rows: int, room: int, n_bytes: int) -> Types:
    """The same rows, with room for `room` of them and `n_bytes` bytes."""
    slots, offsets, data = types
    if n_bytes > len(data):
        larger = np.zeros(max(n_bytes, 2 * len(data)), np.uint8)
        larger[: offsets[n_rows]] = data[: offsets[n_rows]]
        data = larger
    length = len(offsets) - 1
    if room > length:
        while room > length:
            length *= 2
        more = np.zeros(length + 1, np.int64)
        more[: n_rows + 1] = offsets[: n_rows + 1]
        offsets, slots = more, np.zeros(2 * length, np.int64)
        mask = len(slots) - 1
        for row in range(n_rows):
            code = _hash(data, offsets[row], offsets[row + 1])
            at = code & mask
            while slots[at] != 0:
                at = (at + 1) & mask
            slots[at] = (code >> 32 << 32) | (row + 1)
    return Types(slots, offsets, data)


@jit_in_place
def _spread(key: Any) -> Any:
    return np.int64((np.uint64(key) * MIX) >> np.uint64(32))


@numba.njit(cache=True, nogil=True)
def _with_room_pairs(pairs: Pairs, n_rows: int, room: int) -> Pairs:
    """The same rows, with room for `room` of them."""
    length = len(pairs.rows)
    while length < room:
        length *= 2
    slots, rows = np.zeros(2 * length, np.int32), np.zeros((length, 5), np.int64)
    rows[:n_rows] = pairs.rows[:n_rows]
    mask = len(slots) - 1
    for row in range(n_rows):
        at = _spread(rows[row, KEY]) & mask
        while slots[at] != 0:
            at = (at + 1) & mask
        slots[at] = row + 1
    return Pairs(slots, rows)


@jit_in_place
def _type_row(types: Types, n_types: int, data: Array, first: int, last: int, code: Any) -> int:
    """Row of the pre-token data[first:last] of that hash, a new one (`n_types`) where it was never seen."""
    mask = len(types.slots) - 1
    at = code & mask
    while types.slots[at] != 0:
        if types.slots[at] >> 32 == code >> 32:
            row = (types.slots[at] & 0xFFFFFFFF) - 1
            start = types.offsets[row]
            if types.offsets[row + 1] - start == last - first:
                i = 0
                while i < last - first and types.data[start + i] == data[first + i]:
                    i += 1
                if i == last - first:
                    return int(row)
        at = (at + 1) & mask
    start = types.offsets[n_types]
    for i in range(last - first):
        types.data[start + i] = data[first + i]
    types.offsets[n_types + 1] = start + last - first
    types.slots[at] = (code >> 32 << 32) | (n_types + 1)
    return n_types


@jit_in_place
def _pair_row(pairs: Pairs, n_pairs: int, key: int) -> int:
    """Row of a pair, a new one (`n_pairs`) where it was never seen."""
    mask = len(pairs.slots) - 1
    at = _spread(key) & mask
    while pairs.slots[at] != 0:
        row = pairs.slots[at] - 1
        if pairs.rows[row, KEY] == key:
            return int(row)
        at = (at + 1) & mask
    pairs.slots[at] = n_pairs + 1
    pairs.rows[n_pairs, KEY] = key
    return n_pairs


@jit_in_place
def _find_tokens(data: Array, lengths: Array, starts: Array, codes: Array) -> int:
    """Write where each pre-token begins, and its hash; returns where the last one ends."""
    place = 0
    for token in range(len(lengths)):
        starts[token] = place
        for _ in range(lengths[token]):
            place += 1
            while place < len(data) and data[place] & 0xC0 == 0x80:
                place += 1
        codes[token] = _hash(data, starts[token], place)
    starts[len(lengths)] = place
    return place


@jit_in_place
def _ask(types: Types, pairs: Pairs, codes: Array, owner: int) -> None:
    """Have the slots loaded that the last of these hashes needs, and those that the middle one needs next."""
    prefetch(types.slots, codes[-1] & (len(types.slots) - 1))
    slot = types.slots[codes[len(codes) // 2] & (len(types.slots) - 1)] & 0xFFFFFFFF
    prefetch(types.offsets, slot)
    if slot > 0:
        prefetch(pairs.slots, _spread((slot - 1) << 32 | owner) & (len(pairs.slots) - 1))


@jit_in_place
def _add_text(
    types: Types, pairs: Pairs, n_types: int, n_pairs: int, data: Array, starts: Array, codes: Array, number: int,
    owner: int, limit: int,
) -> tuple[int, int]:  # fmt: skip
    """Add pre-tokens of one text to tables with room for them; returns the rows of both."""
    for token in range(len(codes)):
        if token + AHEAD < len(codes):
            _ask(types, pairs, codes[token : token + AHEAD + 1], owner)
        kind = _type_row(types, n_types, data, starts[token], starts[token + 1], codes[token])
        n_types = max(n_types, kind + 1)
        pair = _pair_row(pairs, n_pairs, kind << 32 | owner)
        n_pairs = max(n_pairs, pair + 1)
        row = pairs.rows[pair]
        if row[LAST] != number:
            row[LAST], row[WITHIN] = number, 0
            row[DOCUMENTS] += 1
        if row[WITHIN] < limit:
            row[WITHIN] += 1
            row[COUNT] += 1
    return n_types, n_pairs


@numba.njit(cache=True, nogil=True)
def add_tokens(
    types: Types, pairs: Pairs, n_types: int, n_pairs: int, data: Array, lengths: Array, ends: Array,
    numbers: Array, owners: Array, limits: Array,
) -> tuple[Types, Pairs, int, int]:  # fmt: skip
    """Add the pre-tokens of some texts; returns the tables, perhaps moved, and their rows.

    `data`: UTF-8 of all pre-tokens; `lengths`: characters of each; by text: `ends` (pre-tokens up to its last),
    `numbers` (of its document, rising from 1), `owners`, and `limits`, the most a document may add to one pre-token.
    """
    place, first = 0, 0
    starts, codes = np.empty(STEP + 1, np.int64), np.empty(STEP, np.int64)
    for text in range(len(ends)):
        while first < ends[text]:
            own = lengths[first : min(first + STEP, ends[text])]
            n_bytes = types.offsets[n_types] + min(len(data) - place, 4 * own.sum())
            if n_types + len(own) > len(types.offsets) - 1 or n_bytes > len(types.data):
                types = _with_room_types(types, n_types, n_types + len(own), n_bytes)
            if n_pairs + len(own) > len(pairs.rows):
                pairs = _with_room_pairs(pairs, n_pairs, n_pairs + len(own))
            rest = data[place:]
            place += _find_tokens(rest, own, starts, codes)
            n_types, n_pairs = _add_text(
                types,
                pairs,
                n_types,
                n_pairs,
                rest,
                starts,
                codes[: len(own)],
                numbers[text],
                owners[text],
                limits[text],
            )
            first += len(own)
    return types, pairs, n_types, n_pairs


@numba.njit(cache=True, nogil=True)
def rows_by_type(rows: Array, order: Array) -> tuple[Array, Array]:
    """The rows of pairs in the order of their types, and where each type's begin; `order` has every type once."""
    starts, ends = np.zeros(len(order) + 1, np.int64), np.zeros(len(order), np.int64)
    for row in range(len(rows)):
        ends[rows[row, KEY] >> 32] += 1
    for rank in range(len(order)):
        starts[rank + 1] = starts[rank] + ends[order[rank]]
        ends[order[rank]] = starts[rank]
    by = np.empty(len(rows), np.int64)
    for row in range(len(rows)):
        kind = rows[row, KEY] >> 32
        by[ends[kind]] = row
        ends[kind] += 1
    return by, starts


@numba.njit(cache=True, nogil=True)
def type_rows(types: Types, n_types: int, data: Array, lengths: Array) -> tuple[Types, int, Array]:
    """The row of every pre-token, those never seen before added; returns the table, perhaps moved, and its rows.

    `data`: UTF-8 of all pre-tokens; `lengths`: characters of each.
    """
    n_bytes = types.offsets[n_types] + len(data)
    if n_types + len(lengths) > len(types.offsets) - 1 or n_bytes > len(types.data):
        types = _with_room_types(types, n_types, n_types + len(lengths), n_bytes)
    rows, place = np.empty(len(lengths), np.int64), 0
    for token in range(len(lengths)):
        start = place
        for _ in range(lengths[token]):
            place += 1
            while place < len(data) and data[place] & 0xC0 == 0x80:
                place += 1
        rows[token] = _type_row(types, n_types, data, start, place, _hash(data, start, place))
        n_types = max(n_types, rows[token] + 1)
    return types, n_types, rows


@numba.njit(cache=True, nogil=True)
def capped_sums(
    types: Array, hosts: Array, langs: Array, counts: Array, documents: Array, cap: int, n_types: int, n_langs: int
) -> tuple[Array, Array, Array]:
    """Documents, hosts and (n_types, n_langs) counts of each pre-token, from entries sorted by (type, host).

    A host adds at most `cap` to a pre-token, shared among its languages in proportion: of the first j languages
    together floor(cap * their part). Entries of host 0 stand for documents without a host: they are capped already,
    and each document counts as a host.
    """
    n_documents, n_hosts = np.zeros(n_types, np.int64), np.zeros(n_types, np.int64)
    sums, own = np.zeros((n_types, n_langs), np.int64), np.zeros(n_langs, np.int64)
    at = 0
    while at < len(types):
        kind, host, total = types[at], hosts[at], np.int64(0)
        own[:] = 0
        while at < len(types) and types[at] == kind and hosts[at] == host:
            own[langs[at]] += counts[at]
            total += counts[at]
            n_documents[kind] += documents[at]
            if host == 0:
                n_hosts[kind] += documents[at]
            at += 1
        if host != 0:
            n_hosts[kind] += 1
        if host == 0 or total <= cap:
            sums[kind] += own
            continue
        seen, given = np.int64(0), np.int64(0)
        for lang in range(n_langs):
            seen += own[lang]
            share = cap * seen // total
            sums[kind, lang] += share - given
            given = share
    return n_documents, n_hosts, sums
