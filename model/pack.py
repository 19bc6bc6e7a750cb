"""Document lengths in, rows of segments out: best fit, documents split at row ends, no (input, target) pair lost.

A document of n tokens has n − 1 pairs of neighbours. A segment of m tokens carries m − 1 of them, so a document cut
into two segments repeats the token at the cut: it is the target of the first and the context of the second.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["Plan", "count_rows", "pack"]

Int64s = NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """Segments in order of (row, start), one entry each."""

    row: Int64s
    """Row the segment stands in, 0 … n_rows − 1."""
    start: Int64s
    """Its first token's place in the row."""
    length: Int64s
    """Its tokens, at least 2."""
    document: Int64s
    """Index of its document in the lengths given."""
    offset: Int64s
    """Its first token's place in the document."""
    n_rows: int
    """Rows of the plan."""

    @cached_property
    def first_segment(self) -> Int64s:
        """Index of the first segment of every row, and the number of all segments."""
        return np.searchsorted(self.row, np.arange(self.n_rows + 1))

    def segments(self, row: int) -> slice:
        """Where the segments of a row stand."""
        return slice(int(self.first_segment[row]), int(self.first_segment[row + 1]))


def pack(lengths: Int64s, row_tokens: int) -> Plan:
    """Rows of row_tokens + 1 tokens that hold every pair of every document exactly once.

    Long documents fill whole rows first. What is left goes, row by row, into the place it fits best: the longest piece
    that fits, and when none fits the longest of all is cut at the row's end. A row is padded by one token where only
    that is left, and the last row by what remains (below 0.1 %: test_pack.py::test_padding). Documents shorter than two
    tokens have no pair and no segment. A pure function of its arguments; 2 to 10 million documents a second.

    >>> plan = pack(np.array([6, 3, 2]), row_tokens=4)
    >>> list(zip(plan.row.tolist(), plan.document.tolist(), plan.offset.tolist(), plan.length.tolist()))
    [(0, 0, 0, 5), (1, 1, 0, 3), (1, 0, 4, 2), (2, 2, 0, 2)]
    """
    whole, rest = _divided(lengths, row_tokens)
    filled = _whole_rows(whole, row_tokens)
    pieces = np.flatnonzero(rest)
    fits = _fits(np.bincount(rest[pieces] + 1, minlength=row_tokens + 2).tolist())
    filler = _placed(fits, rest[pieces] + 1, pieces, whole[pieces] * row_tokens)
    filler[0] += int(whole.sum())
    row, start, length, document, offset = np.concatenate([filled, filler], axis=1)
    return Plan(row, start, length, document, offset, int(row[-1]) + 1 if len(row) else 0)


def count_rows(lengths: Int64s, row_tokens: int) -> int:
    """The rows `pack` makes of these lengths, without making them.

    >>> count_rows(np.array([6, 3, 2]), row_tokens=4)
    3
    """
    whole, rest = _divided(lengths, row_tokens)
    fits = _fits(np.bincount(rest[rest > 0] + 1, minlength=row_tokens + 2).tolist())
    return int(whole.sum()) + fits.n_rows


def _divided(lengths: Int64s, row_tokens: int) -> tuple[Int64s, Int64s]:
    """The rows every document fills alone, and the pairs left of it."""
    pairs = np.maximum(lengths.astype(np.int64, copy=False) - 1, 0)
    whole = pairs // row_tokens
    return whole, pairs - whole * row_tokens


def _whole_rows(whole: Int64s, row_tokens: int) -> Int64s:
    """(5, segments): those that fill a row alone, `whole[i]` of them for document i."""
    total = int(whole.sum())
    document = np.repeat(np.arange(len(whole)), whole)
    ordinal = np.arange(total) - np.repeat(np.cumsum(whole) - whole, whole)
    zeros, full = np.zeros(total, np.int64), np.full(total, row_tokens + 1)
    return np.stack([np.arange(total), zeros, full, document, ordinal * row_tokens])


@dataclass(frozen=True)
class _Fits:
    """How pieces fill rows, by length alone: the pieces of each length wait in a queue, and rows take them in turn.

    A line of `taken` stands for `times` rows from `row` on, of which row j takes the piece at `queue + j · stride` in
    the queue of `length`, puts it at `start` and keeps `kept` tokens of it. A line of `cut` stands for as many pieces
    that such a cut leaves over: they join the queue of `left` at `joins`, and begin `kept − 1` tokens later.
    """

    taken: list[tuple[int, int, int, int, int, int, int]]
    """(row, times, length, queue, stride, start, kept)."""
    cut: list[tuple[int, int, int, int, int, int]]
    """(left, joins, times, length, queue, kept); the stride of what a row cuts is the stride of its line in taken."""
    strides: list[int]
    """Strides of the lines of cut."""
    n_rows: int


def _fits(counts: list[int]) -> _Fits:
    """Best fit of `counts[n]` pieces of n tokens into rows of len(counts) − 1 tokens.

    Lengths are the bits of one integer, so that the longest piece that fits is one mask and one bit_length. A row that
    leaves the same lengths waiting as it found is repeated as long as that holds: a few thousand rows are tried for
    65,536 documents, whatever their lengths.
    """
    width = len(counts) - 1
    waiting, ahead, joined = list(counts), [0] * (width + 1), list(counts)
    present = sum(1 << length for length, count in enumerate(counts) if count)
    taken: list[tuple[int, int, int, int, int, int, int]] = []
    cuts: list[tuple[int, int, int, int, int, int]] = []
    strides: list[int] = []
    row = 0
    while present:
        chosen, uses, still = _one_row(present, waiting, width)
        length, _, kept = chosen[-1]
        left = length - kept + 1 if kept < length else 0
        times = max(1, min((waiting[each] - 1) // count for each, count in uses.items()))
        if left and not present >> left & 1:
            times = 1
        seen: dict[int, int] = {}
        for each, start, kept in chosen:
            nth = seen.get(each, 0)
            seen[each] = nth + 1
            taken.append((row, times, each, ahead[each] + nth, uses[each], start, kept))
        if left:
            cuts.append((left, joined[left], times, length, taken[-1][3], kept))
            strides.append(uses[length])
        for each, count in uses.items():
            ahead[each] += times * count
            waiting[each] -= times * count
        present = still
        if left:
            joined[left] += times
            waiting[left] += times
            present |= 1 << left
        row += times
    return _Fits(taken, cuts, strides, row)


def _one_row(present: int, waiting: list[int], width: int) -> tuple[list[tuple[int, int, int]], dict[int, int], int]:
    """The next row: (length, start, kept) of its pieces, how many of each length it takes, what is present after it."""
    chosen: list[tuple[int, int, int]] = []
    uses: dict[int, int] = {}
    start = 0
    while present and width - start >= 2:
        space = width - start
        length = _best(present, space)
        count = uses[length] = uses.get(length, 0) + 1
        if count == waiting[length]:
            present ^= 1 << length
        kept = min(length, space)
        chosen.append((length, start, kept))
        start += kept
    return chosen, uses, present


def _best(present: int, space: int) -> int:
    """The longest length that fits into `space`, without leaving one token over if it can; else the longest of all."""
    fits = present & ((1 << (space + 1)) - 1)
    if fits.bit_length() == space:
        # One token over carries no pair; a shorter piece leaves room for another.
        fits = (present & ((1 << (space - 1)) - 1)) or fits
    return (fits or present).bit_length() - 1


def _placed(fits: _Fits, tokens: Int64s, documents: Int64s, offsets: Int64s) -> Int64s:
    """(5, segments): the rows of `fits` with the pieces that stand in them, of one length in the order given."""
    by_length = np.argsort(tokens, kind="stable")
    counts = np.bincount(tokens, minlength=int(tokens.max(initial=0)) + 1)
    first = np.cumsum(counts) - counts
    taken = np.array(fits.taken, np.int64).reshape(-1, 7).T
    row, _, length, queue, stride, start, kept = np.repeat(taken, taken[1], axis=1)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(taken[1]) - taken[1], taken[1])
    cut = np.array(fits.cut, np.int64).reshape(-1, 6).T
    left, joins, _, source, source_queue, advance = np.repeat(cut, cut[2], axis=1)
    again = np.arange(len(left)) - np.repeat(np.cumsum(cut[2]) - cut[2], cut[2])
    strides = np.repeat(np.array(fits.strides, np.int64), cut[2])
    # Cut pieces are numbered behind the given ones, by length and place in its queue.
    order = np.lexsort((joins + again, left))
    cuts_of = np.bincount(left, minlength=len(counts))
    first_cut = len(tokens) + np.cumsum(cuts_of) - cuts_of

    def piece(lengths: Int64s, places: Int64s) -> Int64s:
        given = places < counts[lengths]
        return np.where(
            given,
            by_length[np.where(given, first[lengths] + places, 0)] if len(tokens) else 0,
            first_cut[lengths] + places - counts[lengths],
        )

    parent = np.concatenate([np.arange(len(tokens)), piece(source, source_queue + again * strides)[order]])
    later = np.concatenate([np.zeros(len(tokens), np.int64), (advance - 1)[order]])
    while bool((parent >= len(tokens)).any()):
        later, parent = later + later[parent], parent[parent]
    origin = piece(length, queue + nth * stride)
    root = parent[origin]
    placed = np.stack([row + nth, start, kept, documents[root], offsets[root] + later[origin]])
    by_place = np.lexsort((placed[1], placed[0]))
    return placed[:, by_place]
