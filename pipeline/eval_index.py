"""The index of evaluation items: their seeds, every run of so many units, and the units themselves.

Units are characters for Japanese and words for the rest, folded as shingles are: width, case, white space and
punctuation make no difference.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .eval_items import EvalItem
from .shingles import folded, role_table

__all__ = ["FLOOR", "SEED", "EvalIndex", "build_eval_index"]

SEED = (6, 5)
"""Units of a seed: characters, words."""
FLOOR = (14, 8)
"""Least units of an item that is looked for: shorter ones cannot be told from ordinary language."""
TEMPLATE_ITEMS = 8
"""A seed in more items is their common phrase and is not looked for,"""
RAREST = 4
"""unless it is one of so many rarest of an item, which would else never be found."""


@dataclass(frozen=True, slots=True)
class EvalIndex:
    """The seeds and units of all items; `build_eval_index` makes it."""

    items: tuple[EvalItem, ...]
    kinds: NDArray[np.uint8]
    """What each item's units are: characters (0) or words (1)."""
    units: NDArray[np.uint64]
    ends: NDArray[np.int64]
    """Item i has the units from ends[i] to ends[i + 1]."""
    seeds: NDArray[np.uint64]
    """Distinct, ascending."""
    starts: NDArray[np.int64]
    """Postings of seed s are those from starts[s] to starts[s + 1]."""
    owners: NDArray[np.int64]
    places: NDArray[np.int64]
    table: NDArray[np.int32]
    sieve: NDArray[np.uint8]

    @property
    def item_units(self) -> NDArray[np.int64]:
        """Units of every item."""
        return np.diff(self.ends)

    @property
    def too_short(self) -> int:
        """Items of fewer than FLOOR units, which are not looked for."""
        return int((self.item_units < np.array(FLOOR)[self.kinds]).sum())


def build_eval_index(items: Sequence[EvalItem]) -> EvalIndex:
    """An index of all items; of equal texts the first stands for all. Some 70 bytes of memory a unit.

    >>> texts = ["日本で一番高い山はなんですか？", "富士山"]
    >>> index = build_eval_index([EvalItem("quiz", row, "q", text) for row, text in enumerate(texts)])
    >>> index.item_units.tolist(), index.too_short
    ([14, 3], 1)
    """
    from .seed_kernels import hash_seeds, place_seeds
    from .shingle_kernels import AUTO, units_of_texts

    once = tuple({item.text: item for item in reversed(items)}.values())[::-1]
    kinds, lengths = np.empty(len(once), np.uint8), np.empty(len(once), np.int64)
    units = [np.empty(0, np.uint64)]
    hashes, owners, places = [np.empty(0, np.uint64)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for part in folded(pa.array([item.text for item in once], pa.large_string())):
        modes = np.full(part.last - part.first, AUTO, np.uint8)
        some, ends, kinds[part.first : part.last] = units_of_texts(part.codes, part.offsets, modes, *role_table())
        units.append(some.copy())
        for item, (begin, end) in enumerate(itertools.pairwise(ends), start=part.first):
            lengths[item] = end - begin
            out = np.empty(end - begin + 1, np.uint64)
            count = hash_seeds(some[begin:end], SEED[kinds[item]], out) if end - begin >= FLOOR[kinds[item]] else 0
            chosen = np.flatnonzero(_telling(some[begin:end], kinds[item])[:count])
            hashes.append(out[chosen])
            owners.append(np.full(len(chosen), item))
            places.append(chosen)
    seeds, starts, order = _postings(np.concatenate(hashes), np.concatenate(owners))
    table, sieve = place_seeds(seeds, max(10, int(4 * len(seeds)).bit_length()))
    return EvalIndex(
        items=once,
        kinds=kinds,
        units=np.concatenate(units),
        ends=np.append(0, np.cumsum(lengths)),
        seeds=seeds,
        starts=starts,
        owners=np.concatenate(owners)[order],
        places=np.concatenate(places)[order],
        table=table,
        sieve=sieve,
    )


def _telling(units: NDArray[np.uint64], kind: int) -> NDArray[np.bool_]:
    """Which seeds may be looked for: of characters, those with kana or kanji, for six Latin letters are any word."""
    from .shingle_kernels import CHAR, JAPANESE_BIT

    if kind != CHAR:
        return np.ones(len(units), np.bool_)
    places, roles = role_table()
    japanese = roles[places[units >> 8] + (units & 255).astype(np.int64)] & JAPANESE_BIT != 0
    before = np.append(0, np.cumsum(japanese))
    return before[np.minimum(np.arange(len(units)) + SEED[kind], len(units))] > before[:-1]


def _postings(
    hashes: NDArray[np.uint64], owners: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
    """Distinct seeds, where the postings of each begin, and the postings, without those of templates."""
    order = np.lexsort((owners, hashes))
    hashes, owners = hashes[order], owners[order]
    new = hashes[1:] != hashes[:-1]
    seed = np.append(0, np.cumsum(new)) if len(order) else np.empty(0, np.int64)
    new_owner = np.append(True, new | (owners[1:] != owners[:-1])) if len(order) else np.empty(0, np.bool_)
    holders = np.bincount(seed, new_owner)[seed].astype(np.int64) if len(order) else np.empty(0, np.int64)
    by_item = np.lexsort((holders, owners))
    rank = np.empty(len(order), np.int64)
    rank[by_item] = np.arange(len(order)) - np.searchsorted(owners[by_item], owners[by_item])
    kept = (holders <= TEMPLATE_ITEMS) | (rank < RAREST)
    seeds, counts = np.unique(hashes[kept], return_counts=True)
    return seeds, np.append(0, np.cumsum(counts)), order[kept]
