"""Document lengths in, rows of segments out: documents end to end in the order given, cut where a row ends."""

import numpy as np
from numpy.typing import NDArray

from .pack import Plan

__all__ = ["concatenate", "count_concatenated"]

Int64s = NDArray[np.int64]


def concatenate(lengths: Int64s, row_tokens: int) -> Plan:
    """Rows of row_tokens + 1 tokens that hold every pair of every document exactly once, in the order of the documents.

    A document cut at a row's end starts the next row with that last token again, as in `pack`. A row is padded by one
    token where only that is left, and the last row by what remains. Documents shorter than two tokens have no segment.

    >>> plan = concatenate(np.array([6, 3, 2]), row_tokens=4)
    >>> list(zip(plan.row.tolist(), plan.document.tolist(), plan.offset.tolist(), plan.length.tolist()))
    [(0, 0, 0, 5), (1, 0, 4, 2), (1, 1, 0, 3), (2, 2, 0, 2)]
    """
    width = row_tokens + 1
    row, space = 0, width
    # Each document: its first row, the place in it, and the tokens it has there; the rest fills rows from their start.
    first_row, first_start, first_length = (np.zeros(len(lengths), np.int64) for _ in range(3))
    for document, length in enumerate(lengths.tolist()):
        if length < 2:
            continue
        if space < 2:
            row, space = row + 1, width
        first_row[document], first_start[document] = row, width - space
        first_length[document] = kept = min(length, space)
        whole, rest = divmod(length - kept, row_tokens)
        # Each further row takes row_tokens new tokens behind the one repeated.
        row, space = row + whole, space - kept if not whole else 0
        if rest:
            row, space = row + 1, width - rest - 1
    return _plan(lengths, row_tokens, first_row, first_start, first_length)


def count_concatenated(lengths: Int64s, row_tokens: int) -> int:
    """The rows `concatenate` makes of these lengths.

    >>> count_concatenated(np.array([6, 3, 2]), row_tokens=4)
    3
    """
    return concatenate(lengths, row_tokens).n_rows


def _plan(lengths: Int64s, row_tokens: int, row: Int64s, start: Int64s, kept: Int64s) -> Plan:
    """All segments of documents whose first one is given."""
    documents = np.flatnonzero(kept)
    beyond = -(-(lengths[documents] - kept[documents]) // row_tokens)
    document = np.repeat(documents, beyond + 1)
    nth = np.arange(len(document)) - np.repeat(np.cumsum(beyond + 1) - beyond - 1, beyond + 1)
    # Segment n > 0 begins at the last token of the one before.
    offset = np.where(nth > 0, kept[document] - 1 + (nth - 1) * row_tokens, 0)
    length = np.where(nth > 0, np.minimum(lengths[document] - offset, row_tokens + 1), kept[document])
    rows = row[document] + nth
    return Plan(
        rows, np.where(nth > 0, 0, start[document]), length, document, offset, int(rows[-1]) + 1 if len(rows) else 0
    )
