"""Which blocks of a page are its main text, by boosted trees that `bench/train_blocks.py` grew on gold pages."""

from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .block_features import N_FEATURES, features_of
from .html_blocks import Blocks
from .html_scan import Scan
from .text_kernels import jit

__all__ = ["MODEL", "Trees", "keep_blocks", "load_trees", "probabilities"]

MODEL: Final = "block_model.npz"
THRESHOLD: Final = 0.5
"""Probability from which a block is kept."""
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


def probabilities(rows: NDArray[np.float32], trees: Trees) -> NDArray[np.float32]:
    """Of each row of features the probability, 0 to 1, that its block is main text."""
    scores = np.zeros(len(rows), np.float32)
    _sum_trees(np.ascontiguousarray(rows.T), *trees, scores)
    return np.asarray(1 / (1 + np.exp(-scores)), np.float32)


def keep_blocks(scan: Scan, blocks: Blocks) -> NDArray[np.bool_]:
    """Whether each block is main text; on a page with none of it, all that is no link.

    >>> from .html_blocks import blocks_of
    >>> from .html_scan import scan_page
    >>> scan = scan_page(b"<nav><a href=/>Home</a></nav><article><p>" + b"Rice is polished slowly, and with care. " * 9)
    >>> keep_blocks(scan, blocks_of(scan)).tolist()
    [False, True]
    """
    counts = blocks.counts
    if not len(counts):
        return np.zeros(0, np.bool_)
    kept: NDArray[np.bool_] = probabilities(features_of(scan, blocks), load_trees()) >= THRESHOLD
    if not counts[kept, 0].sum():
        kept = counts[:, 3] <= MAX_LINK_SHARE * counts[:, 0]
    return kept


Floats = NDArray[np.float32]


@jit
def _sum_trees(
    columns: Floats, features: NDArray[np.int16], thresholds: Floats, left: NDArray[np.int32], right: NDArray[np.int32],
    leaves: Floats, roots: NDArray[np.int32], scores: Floats,
) -> None:  # fmt: skip
    for tree in range(len(roots)):
        for block in range(len(scores)):
            node = roots[tree]
            while node >= 0:
                node = left[node] if columns[features[node], block] <= thresholds[node] else right[node]
            scores[block] += leaves[-1 - node]
