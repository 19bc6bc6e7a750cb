"""Words and their counts in; one array of symbols out, and what each position weighs: the text BPE is learned on."""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from seimai.errors import ConfigError
from seimai.pipeline.text_kernels import jit_in_place

from .cut import Pieces
from .vocabulary import BYTE_ORDER

__all__ = ["Words", "weight_at", "with_blocks", "words_of"]

Array = NDArray[Any]
BLOCK_BITS = 6
MAX_POSITIONS = 2**31 - 1


class Words(NamedTuple):
    """The text: symbols, and the weight of every position. Words of one count stand together, a group."""

    symbols: Array
    """Ids and gaps, uint16 where all ids fit, else uint32; the greatest number is a gap, so are the first and last."""
    group_starts: Array
    """First position of each group and, last, one beyond all, int64."""
    group_counts: Array
    """How often each word of the group is seen, int64."""
    block_group: Array
    """The group of the first position of every 64, int32."""


def words_of(data: Array, pieces: Pieces, n_tokens: int, rank: Array | None = None) -> Words:
    """Symbols of all words, those of one count together, so that a weight is found without an entry per position.

    `data`: bytes, or numbers whose symbols `rank` gives; by default a byte's place in BYTE_ORDER. Raises
    ConfigError above 2^31 positions: a byte or a gap each.
    """
    n_positions = int(pieces.sizes.sum(dtype=np.int64)) + len(pieces.sizes) + 1
    if n_positions > MAX_POSITIONS:
        raise ConfigError(f"{n_positions:,} bytes of distinct words, at most {MAX_POSITIONS:,} fit; count less text")
    order = np.argsort(pieces.counts, kind="stable")
    group_counts, firsts = np.unique(pieces.counts[order], return_index=True)
    order = order.astype(np.int32)
    ends = np.cumsum(pieces.sizes[order] + 1, dtype=np.int64)
    group_starts = np.append(np.append(0, ends)[firsts], n_positions)
    del ends, firsts
    # Two numbers are kept for the gap and for what a merge hollows out.
    dtype = np.uint16 if n_tokens + 2 <= 1 << 16 else np.uint32
    if rank is None:
        rank = np.empty(256, np.int64)
        rank[BYTE_ORDER] = np.arange(256)
    symbols = np.full(n_positions, np.iinfo(dtype).max, dtype)
    _fill_symbols(symbols, data, pieces.starts, pieces.sizes, order, rank.astype(dtype))
    return with_blocks(symbols, group_starts, group_counts)


def with_blocks(symbols: Array, group_starts: Array, group_counts: Array) -> Words:
    """The text with the groups of its blocks.

    >>> with_blocks(np.zeros(70, np.uint16), np.array([0, 60, 70]), np.array([5, 9])).block_group.tolist()
    [0, 1]
    """
    blocks = np.arange(0, group_starts[-1], 1 << BLOCK_BITS)
    block_group = np.searchsorted(group_starts, blocks, side="right").astype(np.int32) - 1
    return Words(symbols, group_starts, group_counts, block_group)


@jit_in_place
def weight_at(words: Words, place: int) -> int:
    """How often the word at that position is seen."""
    group = words.block_group[place >> BLOCK_BITS]
    while words.group_starts[group + 1] <= place:
        group += 1
    return int(words.group_counts[group])


@numba.njit(cache=True, nogil=True)
def _fill_symbols(symbols: Array, data: Array, starts: Array, sizes: Array, order: Array, rank: Array) -> None:
    """Write rank[byte] for the bytes of the words in that order, leaving a gap before each and behind the last."""
    place = 1
    for word in order:
        for i in range(sizes[word]):
            symbols[place + i] = rank[data[starts[word] + i]]
        place += 1 + sizes[word]
