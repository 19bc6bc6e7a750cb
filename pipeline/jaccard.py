"""Shingle sets of texts, and their exact Jaccard similarity.

Sets are of the hashes `shingles.py` makes (uint32), so two different shingles count as one once in 2^32 pairs; what
signatures estimate, these measure.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .shingles import folded, role_table, shingle_modes

__all__ = ["ShingleSets", "jaccard", "jaccard_pairs", "shingle_sets"]


class ShingleSets(NamedTuple):
    """Sets laid end to end: set i is hashes[offsets[i]:offsets[i + 1]], uint32 ascending without repeats."""

    offsets: NDArray[np.int64]
    hashes: NDArray[np.uint32]

    def __len__(self) -> int:
        """How many sets."""
        return len(self.offsets) - 1


def shingle_sets(
    texts: Sequence[str | None] | pa.Array,
    *,
    lang: pa.Array | str = "auto",
    shingle_chars: int = 5,
    shingle_words: int = 5,
) -> ShingleSets:
    """The shingle set of each text, of the shingles its signature is made from; empty where the text has none.

    `lang` is one code for all texts, "auto", or an array of a code for each.

    >>> len(shingle_sets(["精米は白い。玄米", "", "one two three"]).offsets)
    4
    >>> shingle_sets(["ああああああああ"], lang="ja").offsets.tolist()
    [0, 1]
    """
    from .jaccard_kernels import sort_sets
    from .shingle_kernels import shingle_texts
    from .text_kernels import as_strings

    array = as_strings(texts)
    modes, sizes = shingle_modes(len(array), "auto", lang), np.array([shingle_chars, shingle_words], np.int64)
    pieces, lengths = [np.empty(0, np.uint32)], [np.zeros(1, np.int64)]
    for part in folded(array):
        rows = slice(part.first, part.last)
        hashes, ends = shingle_texts(part.codes, part.offsets, modes[rows], sizes, *role_table())
        ends = sort_sets(hashes, ends)
        pieces.append(hashes[: ends[-1]].copy())
        lengths.append(np.diff(ends))
    return ShingleSets(np.cumsum(np.concatenate(lengths)), np.concatenate(pieces))


def jaccard(a_hashes: NDArray[np.uint32], b_hashes: NDArray[np.uint32]) -> float:
    """|a & b| / |a | b| of two ascending arrays without repeats (uint32 or uint64); 0.0 where both are empty.

    >>> jaccard(np.array([1, 2, 3], np.uint32), np.array([2, 3, 4], np.uint32))
    0.5
    """
    from .jaccard_kernels import jaccard_of_pairs

    offsets = np.array([0, len(a_hashes), len(a_hashes) + len(b_hashes)], np.int64)
    both = np.concatenate([a_hashes, b_hashes])
    return float(jaccard_of_pairs(offsets, both, np.array([[0, 1]], np.int64))[0])


def jaccard_pairs(
    offsets: NDArray[np.int64], hashes: NDArray[np.uint32], pairs: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The similarity of the sets pairs[i, 0] and pairs[i, 1] for each i, float64; sets as in `ShingleSets`.

    >>> sets = ShingleSets(np.array([0, 2, 4]), np.array([1, 2, 2, 5], np.uint32))
    >>> jaccard_pairs(*sets, np.array([[0, 1], [1, 1]])).round(2).tolist()
    [0.33, 1.0]
    """
    from .jaccard_kernels import jaccard_of_pairs

    return jaccard_of_pairs(offsets.astype(np.int64, copy=False), hashes, pairs.reshape(-1, 2).astype(np.int64))
