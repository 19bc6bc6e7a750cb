"""Where a block stands to what holds text on its page: the part that calls itself an article, the best element, h1.

Extractors that follow rules begin with the element whose name promises the text and judge what stands inside it by what
lies between (Barbaresi 2021, trafilatura); here both are numbers for the model, beside all others.
"""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .html_scan import Scan
from .html_tables import HINTS, TAG_NAMES
from .text_kernels import jit, jit_in_place

__all__ = ["INSIDE", "N_CONTAINERS", "fill_containers", "inside_bits"]

INSIDE: Final = "article main aside nav header footer form table li blockquote figure dl section td".split()
"""Elements of which it is noted that a block stands in one."""

_N_HINTS: Final = len(HINTS)
_N_INSIDE: Final = len(INSIDE)
_WAY: Final = 7
_SIDE: Final = _WAY + _N_HINTS
_PROSE: Final = _SIDE + _N_INSIDE
N_CONTAINERS: Final = _PROSE + 4
"""Numbers a block that are filled in here."""

SHORT_WEIGHT: Final = 160
"""Weight (see Blocks) below which a block without a mark of a sentence counts a third as prose."""
PROSE_WEIGHT: Final = 100
"""Weight outside of links from which a block counts as prose before or behind another."""
_BODY: Final = 1 << tuple(HINTS).index("body")
_ARTICLE, _MAIN, _H1 = (TAG_NAMES.index(name) for name in ("article", "main", "h1"))

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@lru_cache(maxsize=1)
def inside_bits() -> Ints:
    """Of each known element its place in INSIDE as a bit, 0 for the others.

    >>> int(inside_bits()[TAG_NAMES.index("main")])
    2
    """
    bits = np.zeros(len(TAG_NAMES), np.int64)
    for place, name in enumerate(INSIDE):
        bits[TAG_NAMES.index(name)] = 1 << place
    bits.setflags(write=False)
    return bits


def fill_containers(
    scan: Scan, blocks: Ints, counts: Ints, sums: Ints, homes: Ints, depths: Ints, links: Floats, best: int,
    rows: Floats,
) -> None:  # fmt: skip
    """Fill N_CONTAINERS columns of `rows`, a row a block.

    `homes` are the elements that hold the blocks and their like, `links` the blocks' shares of links, `depths` those of
    the elements, and `best` the element with the most prose in it.
    """
    _article(scan.nodes, counts, sums, homes, links, rows)
    _side(scan.nodes, blocks, inside_bits(), depths, best, rows)
    headings = np.flatnonzero(scan.nodes[:, 1] == _H1)
    _prose(scan.nodes, counts, homes, depths, links, int(headings[0]) if len(headings) else -1, rows)


@jit
def _article(nodes: Ints, counts: Ints, sums: Ints, homes: Ints, links: Floats, rows: Floats) -> None:
    """The nearest element around a block that says it holds an article, and the hints on the way up to it."""
    holder, way, steps = np.full(len(nodes), -1, np.int64), np.zeros(len(nodes), np.int64), np.zeros(len(nodes))
    for node in range(1, len(nodes)):
        parent = nodes[node, 0]
        if nodes[node, 2] & _BODY or nodes[node, 1] == _ARTICLE or nodes[node, 1] == _MAIN:
            holder[node] = node
        else:
            holder[node] = holder[parent]
            way[node] = way[parent] | nodes[node, 2]
            steps[node] = steps[parent] + 1
    prose = np.zeros(len(nodes))
    page = 1.0
    for block in range(len(rows)):
        weight = counts[block, 0] + counts[block, 2]
        own = weight * (1.0 - links[block])
        if weight < SHORT_WEIGHT and counts[block, 4] == 0:
            own *= 0.3
        page += own
        if holder[homes[block]] >= 0:
            prose[holder[homes[block]]] += own
    largest, most, n_holders = -1, 0.0, 0
    for node in range(len(nodes)):
        n_holders += prose[node] > 0
        if prose[node] > most:
            largest, most = node, prose[node]
    for block in range(len(rows)):
        row, home = rows[block], homes[block]
        node = holder[home]
        row[0] = row[1] = row[6] = -1
        row[2] = -1 if largest >= 0 else -2
        if node >= 0:
            row[0], row[1] = steps[home], np.log2(1.0 + prose[node])
            row[2] = prose[node] / max(1e-9, most)
            row[3] = 1 if node == largest else 2 if node < largest else 3
            row[6] = sums[node, 1] / max(1, sums[node, 0])
        row[4], row[5] = most / page, np.log2(1.0 + n_holders)
        for group in range(_N_HINTS):
            row[_WAY + group] = way[home] >> group & 1


@jit_in_place
def _side(nodes: Ints, blocks: Ints, bits: Ints, depths: Ints, best: int, rows: Floats) -> None:
    """Elements around a block that are not around the best element: what parts it from the text."""
    for block in range(len(rows)):
        one, other, inside = blocks[block, 2], best, 0
        while one != other:
            if depths[one] >= depths[other]:
                inside |= bits[nodes[one, 1]]
                one = nodes[one, 0]
            else:
                other = nodes[other, 0]
        for group in range(_N_INSIDE):
            rows[block, _SIDE + group] = inside >> group & 1


@jit_in_place
def _prose(nodes: Ints, counts: Ints, homes: Ints, depths: Ints, links: Floats, heading: int, rows: Floats) -> None:
    """Shares of the page's prose before and behind a block; steps up to what holds the first h1 too, and down to it."""
    total = 0.0
    for block in range(len(rows)):
        own = (counts[block, 0] + counts[block, 2]) * (1.0 - links[block])
        total += own if own >= PROSE_WEIGHT else 0.0
    before = 0.0
    for block in range(len(rows)):
        row = rows[block]
        own = (counts[block, 0] + counts[block, 2]) * (1.0 - links[block])
        own = own if own >= PROSE_WEIGHT else 0.0
        row[_PROSE] = before / max(1.0, total)
        row[_PROSE + 1] = (total - before - own) / max(1.0, total)
        before += own
        row[_PROSE + 2] = row[_PROSE + 3] = -1
        if heading >= 0:
            one, other = homes[block], heading
            row[_PROSE + 2] = row[_PROSE + 3] = 0
            while one != other:
                if depths[one] >= depths[other]:
                    one = nodes[one, 0]
                    row[_PROSE + 2] += 1
                else:
                    other = nodes[other, 0]
                    row[_PROSE + 3] += 1
