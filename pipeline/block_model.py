"""Which blocks of a page are its main text, by boosted trees that `bench/train_blocks.py` grew on gold pages."""

from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .block_choice import choose, drop_bars, drop_copies
from .block_context import with_context
from .block_features import N_FEATURES, features_of
from .block_lists import with_contents
from .html_blocks import Blocks
from .html_scan import Scan
from .text_kernels import jit_in_place

__all__ = ["MODEL", "Masks", "Trees", "keep_blocks", "load_trees", "masks_of", "pick_blocks", "scores_of"]

MODEL: Final = "block_model.npz"
MAX_LEAVES: Final = 32
ALL_LEAVES: Final = 2**32 - 1
_DE_BRUIJN: Final = 0x077CB531
"""A number whose 32 runs of five bits differ: times a single bit, its highest five tell which bit it was."""
_LOWEST_BIT: Final = np.zeros(32, np.uint8)
_LOWEST_BIT[[((_DE_BRUIJN << bit) & ALL_LEAVES) >> 27 for bit in range(32)]] = np.arange(32)
LANES: Final = 8
"""Blocks that go at once; their number is filled up to a multiple, as those left over would go one by one."""
MAX_LINK_SHARE: Final = 0.5
"""Share of links up to which a block is text, on pages of which the model keeps nothing."""


class Trees(NamedTuple):
    """A sum of binary trees; node i goes left where the feature is at most the threshold, and a child below zero is
    the leaf -1 - child."""

    features: NDArray[np.int16]
    thresholds: NDArray[np.float32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    leaves: NDArray[np.float32]
    roots: NDArray[np.int32]


@cache
def load_trees() -> Trees:
    """The trees that ship with the package; raises ValueError where they were grown for other features."""
    with (files(__package__) / MODEL).open("rb") as file, np.load(file, allow_pickle=False) as stored:
        if int(stored["n_features"]) != N_FEATURES:
            raise ValueError(f"{MODEL} is for {int(stored['n_features'])} features a block, not {N_FEATURES}")
        return Trees(*(stored[name] for name in Trees._fields))


class Masks(NamedTuple):
    """The same trees as masks (QuickScorer; Lucchese et al. 2015): leaf i of a tree is bit i, from the left, and a node
    whose feature is above its threshold strikes out the leaves to its left. The lowest bit that is left is the leaf."""

    features: NDArray[np.int64]
    thresholds: NDArray[np.float32]
    masks: NDArray[np.uint32]
    nodes: NDArray[np.int64]
    """Of each tree its first node, and the number of all nodes."""
    leaves: NDArray[np.float32]
    """Of each tree MAX_LEAVES places."""


def masks_of(trees: Trees) -> Masks:
    """Trees as masks; raises ValueError where one has more than MAX_LEAVES leaves.

    >>> one = Trees(*(np.array(a, t) for a, t in zip(
    ...     ([3], [0.5], [-1], [-2], [-1.0, 1.0], [0]), "i2 f4 i4 i4 f4 i4".split())))
    >>> masks_of(one).masks.tolist() == [2**32 - 2]
    True
    """
    order: list[int] = []
    masks: list[int] = []
    firsts = [0]
    leaves = np.zeros((len(trees.roots), MAX_LEAVES), np.float32)
    for tree, root in enumerate(trees.roots.tolist()):
        found: list[float] = []
        _walk(trees, root, order, masks, found)
        if len(found) > MAX_LEAVES:
            raise ValueError(f"a tree of {len(found)} leaves; at most {MAX_LEAVES} can be read")
        leaves[tree, : len(found)] = found
        firsts.append(len(order))
    features, thresholds = trees.features[order].astype(np.int64), trees.thresholds[order]
    return Masks(features, thresholds, np.array(masks, np.uint32), np.array(firsts), leaves.ravel())


def _walk(trees: Trees, node: int, order: list[int], masks: list[int], leaves: list[float]) -> None:
    if node < 0:
        leaves.append(float(trees.leaves[-1 - node]))
        return
    place, first = len(order), len(leaves)
    order.append(node)
    masks.append(0)
    _walk(trees, int(trees.left[node]), order, masks, leaves)
    masks[place] = ALL_LEAVES & ~((1 << len(leaves)) - (1 << first))
    _walk(trees, int(trees.right[node]), order, masks, leaves)


@cache
def _shipped() -> Masks:
    return masks_of(load_trees())


def scores_of(rows: NDArray[np.float32], masks: Masks) -> NDArray[np.float32]:
    """Of each row of features the log odds that its block is main text."""
    n_padded = len(rows) + -len(rows) % LANES
    columns = np.zeros((rows.shape[1], n_padded), np.float32)
    columns[:, : len(rows)] = rows.T
    scores = np.zeros(n_padded, np.float32)
    _sum_leaves(columns, *masks, _LOWEST_BIT, np.empty(n_padded, np.uint32), scores)
    return scores[: len(rows)]


def keep_blocks(scan: Scan, blocks: Blocks) -> NDArray[np.bool_]:
    """Whether each block is main text, by the trees that ship with the package.

    >>> from .html_blocks import blocks_of
    >>> from .html_scan import scan_page
    >>> scan = scan_page(b"<nav><a href=/>Home</a></nav><article><p>" + b"Rice is polished slowly, and with care. " * 9)
    >>> keep_blocks(scan, blocks_of(scan)).tolist()
    [False, True]
    """
    return pick_blocks(scan, blocks, scores_of(features_of(scan, blocks), _shipped()))


def pick_blocks(scan: Scan, blocks: Blocks, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether each block is main text, by scores of theirs; on a page with none of it, all that is no link."""
    kept = choose(scores)
    counts = blocks.counts
    if not counts[kept, 0].sum():
        kept = counts[:, 3] <= MAX_LINK_SHARE * counts[:, 0]
    kept = with_contents(scan, blocks, with_context(scan, blocks, kept))
    return drop_bars(scan, blocks, drop_copies(scan, blocks, kept))


Floats = NDArray[np.float32]


@jit_in_place
def _sum_leaves(
    columns: Floats, features: NDArray[np.int64], thresholds: Floats, masks: NDArray[np.uint32],
    nodes: NDArray[np.int64], leaves: Floats, lowest_bit: NDArray[np.uint8], left: NDArray[np.uint32],
    scores: Floats,
) -> None:  # fmt: skip
    """Node by node over all blocks: a compare and a mask without a branch, so that eight blocks go at once."""
    all_leaves = np.uint32(ALL_LEAVES)
    for tree in range(len(nodes) - 1):
        for block in range(len(scores)):
            left[block] = all_leaves
        for node in range(nodes[tree], nodes[tree + 1]):
            column, threshold, mask = columns[features[node]], thresholds[node], masks[node]
            for block in range(len(scores)):
                left[block] &= all_leaves if column[block] <= threshold else mask
        for block in range(len(scores)):
            bit = left[block] & (~left[block] + np.uint32(1))
            leaf = lowest_bit[np.uint32(bit * np.uint32(_DE_BRUIJN)) >> np.uint32(27)]
            scores[block] += leaves[MAX_LEAVES * tree + leaf]
