"""Rows of tokens with where every token comes from."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rows"]

Int64s = NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Rows of one step of one rank; `row` to `group` have one entry a segment, ordered by (row, start)."""

    tokens: NDArray[Any]
    """(rows, row_tokens + 1) in the storage type; what no segment covers holds the padding id."""
    number: Int64s
    """Global number of every row: step · batch_rows + its place in the batch."""
    skipped: NDArray[np.bool_]
    """Rows that are masked from the loss by choice."""
    row: Int64s
    """Row of the segment in `tokens`."""
    start: Int64s
    """Place of its first token in the row."""
    length: Int64s
    """Its tokens."""
    document: Int64s
    """Row number of its document over all shards in manifest order."""
    offset: Int64s
    """Place of its first token in the document."""
    group: Int64s
    """Number of its group in the mixture; 0 without one."""

    @cached_property
    def token_segment(self) -> Int64s:
        """(rows, row_tokens + 1): number of the segment of every token over all rows, −1 for padding."""
        return self._spread(np.arange(len(self.row)), -1)

    @cached_property
    def token_document(self) -> Int64s:
        """(rows, row_tokens + 1): document of every token, −1 for padding."""
        return self._spread(self.document, -1)

    @cached_property
    def token_position(self) -> Int64s:
        """(rows, row_tokens + 1): position from 0 in every segment, 0 for padding."""
        filled = self._spread(self.start, 0)
        place = np.arange(self.tokens.shape[1]) - filled
        return np.where(self.token_segment >= 0, place, 0)

    @cached_property
    def counted(self) -> NDArray[np.bool_]:
        """(rows, row_tokens): whether the pair of token t and t + 1 is trained."""
        segment = self.token_segment
        inside: NDArray[np.bool_] = (segment[:, :-1] == segment[:, 1:]) & (segment[:, 1:] >= 0)
        return inside & ~self.skipped[:, None]

    def _spread(self, values: Int64s, padding: int) -> Int64s:
        """One value a segment to one a token: gaps and segments by turns, each repeated as often as it is long."""
        begins = self.row * self.tokens.shape[1] + self.start
        ends = begins + self.length
        lengths = np.empty(2 * len(begins) + 1, np.int64)
        lengths[0::2] = np.append(begins, self.tokens.size) - np.append(0, ends)
        lengths[1::2] = self.length
        both = np.full(len(lengths), padding, np.int64)
        both[1::2] = values
        return np.repeat(both, lengths).reshape(self.tokens.shape)
