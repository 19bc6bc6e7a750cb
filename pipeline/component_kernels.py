"""Union-find over an array of rows, whole or a block of one."""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import jit

__all__ = ["absorb", "flatten", "join_edges"]


@jit
def join_edges(parent: NDArray[np.int64], edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Join the two trees of each edge (n, 2) under the smaller root; every entry of `parent` becomes a root."""
    for i in range(len(edges)):
        a, b = edges[i, 0], edges[i, 1]
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        if a < b:
            parent[b] = a
        else:
            parent[a] = b
    # Roots are smaller than their members, so one forward pass makes every parent a root.
    for i in range(len(parent)):
        parent[i] = parent[parent[i]]
    return parent


@jit
def absorb(
    parent: NDArray[np.int64],
    below: NDArray[np.int64],
    start: int,
    rows: NDArray[np.int64],
    firsts: NDArray[np.int64],
    out_rows: NDArray[np.int64],
    out_firsts: NDArray[np.int64],
) -> int:
    """Join edges whose `rows` lie in the block that begins at row `start` and whose `firsts` may lie before it.

    `parent` holds the block's trees, by place in the block; `below`, at roots, the smallest row before the block that
    the tree is joined to, or -1. What joins two rows before the block is passed on in `out_rows` and `out_firsts`, at
    most one edge for each taken; returns how many.
    """
    n = 0
    for i in range(len(rows)):
        a = rows[i] - start
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        other = firsts[i]
        if other >= start:
            b = other - start
            while parent[b] != b:
                parent[b] = parent[parent[b]]
                b = parent[b]
            if a == b:
                continue
            a, b = min(a, b), max(a, b)
            parent[b] = a
            other = below[b]
        if other < 0 or other == below[a]:
            continue
        if below[a] < 0:
            below[a] = other
        else:
            out_rows[n], out_firsts[n] = max(below[a], other), min(below[a], other)
            below[a] = min(below[a], other)
            n += 1
    return n


@jit
def flatten(parent: NDArray[np.int64]) -> None:
    """Make every entry a root; roots are smaller than their members."""
    for i in range(len(parent)):
        parent[i] = parent[parent[i]]
