"""Words and their counts in; fewer and shorter words out, cut where no merge can reach.

With the character-boundary rule a token that covers two neighbouring characters holds both whole. It cannot come from a
merge seen `threshold` times where the two stand together less often in the whole table, so the word may be cut between
them: every merge above the threshold stays what it was (measured on 1 GB: research/tokenizer.md, finding 4). Cut words
become equal to others and are added up.

Bigrams are counted in a table of sums without keys. Two that share a field only look commoner than they are, so a cut
may be missed, never made wrongly.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["Pieces", "cut_unreached", "cut_words", "whole_words"]

Array = NDArray[Any]
FIELD_BITS = (16, 25)
"""Least and most bits of the number of bigram sums (8 bytes each)."""
FIELDS_PER_WORD = 2
MULTIPLIER = -7046029254386353131
"""2^64 / golden ratio, as int64: spreads keys over a table (Knuth, The Art of Computer Programming 6.4)."""
FIRST_ROOM = 1 << 16
EMPTY, LOW = -1, (1 << 32) - 1
"""A field of the table of pieces: the upper half of the piece's hash, its number in the lower half."""


class Pieces(NamedTuple):
    """Words as places in one byte array, each at least two bytes long and there once."""

    starts: NDArray[np.int64]
    sizes: NDArray[np.int32]
    counts: NDArray[np.int64]


def whole_words(offsets: NDArray[np.int64], counts: NDArray[np.int64]) -> Pieces:
    """The words as they are, without those that have no pair.

    >>> whole_words(np.array([0, 1, 3]), np.array([9, 4])).starts.tolist()
    [1]
    """
    sizes = np.diff(offsets)
    kept = np.flatnonzero((sizes > 1) & (counts > 0))
    return Pieces(offsets[kept], sizes[kept].astype(np.int32), counts[kept])


def cut_words(data: NDArray[np.uint8], offsets: NDArray[np.int64], counts: NDArray[np.int64], threshold: int) -> Pieces:
    """Cut the words between characters that stand together less than `threshold` times; equal pieces are added up.

    `data`: UTF-8 of all words, word i from offsets[i] to offsets[i + 1].

    >>> data = np.frombuffer("山川山海".encode(), np.uint8)
    >>> pieces = cut_words(data, np.array([0, 6, 12]), np.array([5, 1]), 2)
    >>> pieces.starts.tolist(), pieces.sizes.tolist(), pieces.counts.tolist()
    ([0, 6, 9], [6, 3, 3], [5, 1, 1])
    """
    bits = int(np.clip((FIELDS_PER_WORD * len(counts)).bit_length(), *FIELD_BITS))
    sums = _bigram_sums(data, offsets, counts, bits)
    return Pieces(*_pieces(data, offsets, counts, sums, bits, threshold))


def cut_unreached(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    counts: NDArray[np.int64],
    tokens: NDArray[np.uint8],
    token_offsets: NDArray[np.int64],
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Cut the words where no token holds the two characters: bytes, where each piece begins and the last ends, counts.

    Whatever these tokens (whole characters, or parts of one) make of the words they make of the pieces; pieces of one
    byte are left out. `data` and `tokens` as in `cut_words`.

    >>> words, tokens = (np.frombuffer(text.encode(), np.uint8) for text in ("山川山海", "山川"))
    >>> bytes(cut_unreached(words, np.array([0, 12]), np.array([5]), tokens, np.array([0, 6]))[0]).decode()
    '山川山海'
    """
    bits = int(np.clip((FIELDS_PER_WORD * len(token_offsets)).bit_length(), *FIELD_BITS))
    held = _bigram_sums(tokens, token_offsets, np.ones(len(token_offsets) - 1, np.int64), bits)
    starts, sizes, totals = _pieces(data, offsets, counts, held, bits, 1)
    begins = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])
    places = np.repeat(starts - begins[:-1], sizes) + np.arange(begins[-1])
    return data[places], begins, totals


@numba.njit(cache=True, nogil=True)
def _character_end(data: Array, start: int, end: int) -> int:
    """Behind the character that begins there; continuation bytes belong to the byte before."""
    start += 1
    while start < end and 0x80 <= data[start] < 0xC0:
        start += 1
    return start


@numba.njit(cache=True, nogil=True)
def _packed(data: Array, start: int, end: int) -> int:
    code = np.int64(0)
    for i in range(start, end):
        code = (code << 8) | np.int64(data[i])
    return int(code)


@numba.njit(cache=True, nogil=True)
def _field(first: int, second: int, bits: int) -> int:
    """Where the sum of two neighbouring characters stands."""
    return ((((first * MULTIPLIER) ^ second) * MULTIPLIER) >> 32) & ((1 << bits) - 1)


@numba.njit(cache=True, nogil=True)
def _bigram_sums(data: Array, offsets: Array, counts: Array, bits: int) -> Array:
    sums = np.zeros(1 << bits, np.int64)
    for word in range(len(counts)):
        start, end = offsets[word], offsets[word + 1]
        middle = _character_end(data, start, end)
        first = _packed(data, start, middle)
        while middle < end:
            behind = _character_end(data, middle, end)
            second = _packed(data, middle, behind)
            sums[_field(first, second, bits)] += counts[word]
            first, middle = second, behind
    return sums


@numba.njit(cache=True, nogil=True)
def _grown(array: Array, room: int) -> Array:
    larger = np.empty(room, array.dtype)
    larger[: len(array)] = array
    return larger


@numba.njit(cache=True, nogil=True)
def _hash(data: Array, start: int, size: int) -> int:
    code = np.int64(size)
    for i in range(start, start + size):
        code = (code ^ np.int64(data[i])) * MULTIPLIER
        code ^= code >> 29
    return int(code)


@numba.njit(cache=True, nogil=True)
def _find(data: Array, start: int, size: int, code: int, table: Array, starts: Array, sizes: Array) -> int:
    """The field of `table` that holds the piece, or the empty one where it belongs."""
    field = (code >> 32) & (len(table) - 1)
    while table[field] != EMPTY:
        other = table[field] & LOW
        if table[field] >> 32 == code >> 32 and sizes[other] == size:
            i = 0
            while i < size and data[starts[other] + i] == data[start + i]:
                i += 1
            if i == size:
                break
        field = (field + 1) & (len(table) - 1)
    return field


@numba.njit(cache=True, nogil=True)
def _doubled(table: Array) -> Array:
    larger = np.full(2 * len(table), EMPTY, np.int64)
    for entry in table:
        if entry != EMPTY:
            field = (entry >> 32) & (len(larger) - 1)
            while larger[field] != EMPTY:
                field = (field + 1) & (len(larger) - 1)
            larger[field] = entry
    return larger


@numba.njit(cache=True, nogil=True)
def _pieces(
    data: Array, offsets: Array, counts: Array, sums: Array, bits: int, threshold: int
) -> tuple[Array, Array, Array]:
    room, n_pieces = FIRST_ROOM, 0
    starts, sizes, totals = np.empty(room, np.int64), np.empty(room, np.int32), np.empty(room, np.int64)
    table = np.full(2 * room, EMPTY, np.int64)
    for word in range(len(counts)):
        start, end = offsets[word], offsets[word + 1]
        middle = _character_end(data, start, end)
        first = _packed(data, start, middle)
        while start < end:
            uncut = middle < end
            if uncut:
                behind = _character_end(data, middle, end)
                second = _packed(data, middle, behind)
                uncut = sums[_field(first, second, bits)] >= threshold
            else:
                behind, second = end, first
            if not uncut:
                size = middle - start
                if size > 1:
                    code = _hash(data, start, size)
                    field = _find(data, start, size, code, table, starts, sizes)
                    if table[field] != EMPTY:
                        totals[table[field] & LOW] += counts[word]
                    else:
                        table[field] = (code & ~LOW) | n_pieces
                        starts[n_pieces], sizes[n_pieces], totals[n_pieces] = start, size, counts[word]
                        n_pieces += 1
                        if n_pieces == room:
                            room *= 2
                            starts, sizes, totals = _grown(starts, room), _grown(sizes, room), _grown(totals, room)
                            table = _doubled(table)
                start = middle
            first, middle = second, behind
    return starts[:n_pieces].copy(), sizes[:n_pieces].copy(), totals[:n_pieces].copy()
