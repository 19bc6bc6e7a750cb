"""Document lengths in, rows of segments out: best fit, documents split at row ends, no (input, target) pair lost.

A document of n tokens has n − 1 pairs of neighbours. A segment of m tokens carries m − 1 of them, so a document cut
into two segments repeats the token at the cut: it is the target of the first and the context of the second.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Plan", "pack"]

Int64s = NDArray[np.int64]
Segment = tuple[int, int, int, int, int]


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

    def segments(self, row: int) -> slice:
        """Where the segments of a row stand."""
        first, last = np.searchsorted(self.row, [row, row + 1])
        return slice(int(first), int(last))


def pack(lengths: Int64s, row_tokens: int) -> Plan:
    """Rows of row_tokens + 1 tokens that hold every pair of every document exactly once.

    Long documents fill whole rows first. What is left goes, row by row, into the place it fits best: the longest piece
    that fits, and when none fits the longest of all is cut at the row's end. A row is padded by one token where only
    that is left, and the last row by what remains (below 0.1 %: test_pack.py::test_padding). Documents shorter than two
    tokens have no pair and no segment. A pure function of its arguments.

    >>> plan = pack(np.array([6, 3, 2]), row_tokens=4)
    >>> list(zip(plan.row.tolist(), plan.document.tolist(), plan.offset.tolist(), plan.length.tolist()))
    [(0, 0, 0, 5), (1, 1, 0, 3), (1, 0, 4, 2), (2, 2, 0, 2)]
    """
    lengths = lengths.astype(np.int64, copy=False)
    pairs = np.maximum(lengths - 1, 0)
    whole = pairs // row_tokens
    rest = pairs - whole * row_tokens
    filled = _whole_rows(whole, row_tokens)
    pieces = np.flatnonzero(rest)
    filler = _fill(rest[pieces] + 1, pieces, whole[pieces] * row_tokens, row_tokens + 1, int(whole.sum()))
    joined = np.concatenate([filled, filler])
    row, start, length, document, offset = (np.ascontiguousarray(column) for column in joined.T)
    return Plan(row, start, length, document, offset, int(row[-1]) + 1 if len(row) else 0)


def _whole_rows(whole: Int64s, row_tokens: int) -> Int64s:
    """Segments that fill a row alone: `whole[i]` of them for document i."""
    total = int(whole.sum())
    document = np.repeat(np.arange(len(whole)), whole)
    ordinal = np.arange(total) - np.repeat(np.cumsum(whole) - whole, whole)
    zeros, full = np.zeros(total, np.int64), np.full(total, row_tokens + 1)
    return np.stack([np.arange(total), zeros, full, document, ordinal * row_tokens], axis=1)


def _fill(tokens: Int64s, documents: Int64s, offsets: Int64s, width: int, first_row: int) -> Int64s:
    """Best fit of pieces of at most `width` tokens into rows of `width`.

    Lengths are the bits of one integer, so that the longest piece that fits is one mask and one bit_length: about a
    microsecond a segment, far below what reading the tokens costs.
    """
    stacks: list[list[tuple[int, int]]] = [[] for _ in range(width + 1)]
    # Backwards, so that of equally long pieces the first in the data's order is taken first.
    backwards = [column[::-1].tolist() for column in (tokens, documents, offsets)]
    for length, document, offset in zip(*backwards, strict=True):
        stacks[length].append((document, offset))
    present = sum(1 << length for length, stack in enumerate(stacks) if stack)
    segments: list[Segment] = []
    row = first_row
    while present:
        start, space = 0, width
        while space >= 2 and present:
            length = _best(present, space)
            cut = length > space
            document, offset = stacks[length].pop()
            if not stacks[length]:
                present ^= 1 << length
            if cut:
                left = length - space + 1
                stacks[left].append((document, offset + space - 1))
                present |= 1 << left
                length = space
            segments.append((row, start, length, document, offset))
            start, space = start + length, space - length
        row += 1
    return np.array(segments, np.int64).reshape(-1, 5)


def _best(present: int, space: int) -> int:
    """The longest length that fits into `space`, without leaving one token over if it can; else the longest of all."""
    fits = present & ((1 << (space + 1)) - 1)
    if fits.bit_length() == space:
        # One token over carries no pair; a shorter piece leaves room for another.
        fits = (present & ((1 << (space - 1)) - 1)) or fits
    return (fits or present).bit_length() - 1
