"""Candidates to clusters in memory: band keys to stars, stars to edges by exact Jaccard, edges to cluster numbers.

A star is a document and every later one that shares a bucket of which it is the first: that many candidates find all
members of a bucket, and a bucket of n costs n, not n^2. Where each of the star's documents may be compared with each
(FEW), every pair counts. In a larger star the centre turns away whom it is not like; those are regrouped among
themselves, the first of them being the next centre, in at most ROUNDS rounds, in row order. What is found depends on
the documents alone, so the out-of-core path (`verify.py`) finds the same in whatever pieces it works.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .jaccard import ShingleSets

__all__ = ["FEW", "ROUNDS", "Regrouped", "Stars", "cluster_numbers", "regroup", "stars_of_edges", "stars_of_keys"]

FEW = 32
"""Documents of a star compared all with all: at most 15.5 comparisons a document, as many as ROUNDS leaders cost."""
ROUNDS = 16
"""Centres a larger star may have, one after the other."""


class Stars(NamedTuple):
    """Star s is members[starts[s]:starts[s + 1]]: its centre, then the others, ascending."""

    starts: NDArray[np.int64]
    members: NDArray[np.int64]


class Regrouped(NamedTuple):
    """Edges (n, 2) of enough similarity; how many members were compared with their centre, and how many it refused."""

    edges: NDArray[np.int64]
    compared: int
    cut: int


def stars_of_keys(keys: NDArray[np.uint64]) -> Stars:
    """The stars of band keys, shape (documents, bands): documents meet where one key is equal.

    >>> stars_of_keys(np.array([[1, 5], [2, 6], [1, 6]], np.uint64))
    Stars(starts=array([0, 2, 4]), members=array([0, 2, 1, 2]))
    """
    rows = np.repeat(np.arange(len(keys)), keys.shape[1])
    flat = keys.reshape(-1)
    order = np.argsort(flat, kind="stable")
    flat, rows = flat[order], rows[order]
    begins = np.flatnonzero(np.append(True, flat[1:] != flat[:-1])) if len(flat) else np.empty(0, np.int64)
    first = np.repeat(rows[begins], np.diff(np.append(begins, len(flat))))
    return stars_of_edges(np.unique(np.stack([first, rows], axis=1)[first != rows], axis=0))


def stars_of_edges(edges: NDArray[np.int64]) -> Stars:
    """The stars of (centre, member) edges without repeats, ascending."""
    begins = np.flatnonzero(np.append(True, edges[1:, 0] != edges[:-1, 0])) if len(edges) else np.empty(0, np.int64)
    members = np.insert(edges[:, 1], begins, edges[begins, 0])
    return Stars(np.append(begins + np.arange(len(begins)), len(members)), members)


def regroup(stars: Stars, sets: ShingleSets, *, threshold: float, rounds: int = ROUNDS, few: int = FEW) -> Regrouped:
    """The edges that hold, of pairs of documents of a star with exact Jaccard >= `threshold` (0 to 1).

    `members` number the sets. Not every such pair is an edge, but those in a star of at most `few` are connected.

    >>> sets = ShingleSets(np.array([0, 3, 6, 8]), np.array([1, 2, 3, 1, 2, 3, 2, 9], np.uint32))
    >>> regroup(Stars(np.array([0, 3]), np.array([0, 1, 2])), sets, threshold=0.8)
    Regrouped(edges=array([[0, 1]]), compared=2, cut=1)
    """
    from .jaccard_kernels import join_stars

    edges, compared, cut = join_stars(stars.starts, stars.members, *sets, threshold, rounds, few)
    return Regrouped(edges, int(compared), int(cut))


def cluster_numbers(documents: int, edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """The smallest document number in each document's connected component, int64.

    >>> cluster_numbers(5, np.array([[3, 1], [3, 4]])).tolist()
    [0, 1, 2, 1, 1]
    """
    from .component_kernels import join_edges

    return join_edges(np.arange(documents), edges.reshape(-1, 2))
