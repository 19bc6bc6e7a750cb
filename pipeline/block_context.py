"""Blocks that were chosen in, with what they cannot do without: their headings, their terms, the lists they announce.

A model judges a block by itself and by those around it; a heading that is a link, or three words of a list, are much
like a menu to it. What binds them to the text is a rule of language, which is the same on every site.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from .html_blocks import Blocks
from .html_kernels import LINK
from .html_scan import Scan
from .html_tables import HINTS, TAG_NAMES
from .text_kernels import jit

__all__ = ["with_context"]

MAX_TAG_BYTES: Final = 1000
"""Bytes of the tag of a link that are searched for where it leads."""

_H2, _H6 = TAG_NAMES.index("h2"), TAG_NAMES.index("h6")  # names of equal length stand in order
_A, _DD, _DT, _LI = (TAG_NAMES.index(name) for name in ("a", "dd", "dt", "li"))
_ROLES: Final = np.zeros(len(TAG_NAMES), np.int64)
"""1 of what begins an item of a list, 2 of what may stand in one, 0 of all that ends it or makes it more than that."""
_ROLES[[_LI, _DT, _DD]] = 1
_ROLES[[TAG_NAMES.index(name) for name in "p pre table tbody tr td th".split()]] = 2
_COMMENT: Final = 1 << tuple(HINTS).index("comment")
_BESIDE: Final = _COMMENT | sum(
    1 << tuple(HINTS).index(name) for name in ("nav", "footer", "side", "ad", "share", "consent")
)

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]


def with_context(scan: Scan, blocks: Blocks, kept: Bools) -> Bools:
    """The kept blocks, and with them four kinds of short ones.

    Headings (h2 to h6; h1 is the title) right before kept text, unless they lead to another page; terms right before
    what is said of them; and items of a list, unless they are links, that a kept block announces with a colon or that
    stand between kept blocks.

    >>> from .html_blocks import blocks_of
    >>> from .html_scan import scan_page
    >>> scan = scan_page(b"<h1>Rice</h1><h2>Milling</h2><h3>Bran</h3><p>It is taken off:<ol><li>dry<li>mill</ol><p>x")
    >>> with_context(scan, blocks_of(scan), np.arange(7) == 3).tolist()
    [False, True, True, True, True, True, False]
    """
    with_them = kept.copy()
    if kept.any():
        _add_heads(scan.data, scan.runs, blocks.blocks, blocks.counts, scan.nodes, with_them)
        _add_lists(scan.data, scan.runs, blocks.blocks, blocks.counts, scan.nodes, with_them)
        _add_items(blocks.blocks, blocks.counts, scan.nodes, _ROLES, with_them)
        _add_heads(scan.data, scan.runs, blocks.blocks, blocks.counts, scan.nodes, with_them)
    return with_them


@jit
def _add_lists(data: Bytes, runs: Ints, blocks: Ints, counts: Ints, nodes: Ints, kept: Bools) -> None:
    """Keep the items of lists that the block before them announces; time is linear however lists nest."""
    lists, last = np.zeros(len(nodes), np.int64), np.full(len(nodes), -1, np.int64)
    for node in range(1, len(nodes)):
        parent = nodes[node, 0]
        lists[node] = parent if nodes[node, 1] == _LI else lists[parent]
    chars, links = np.zeros(len(blocks) + 1, np.int64), np.zeros(len(blocks) + 1, np.int64)
    for block in range(len(blocks)):
        last[blocks[block, 2]] = block
        chars[block + 1], links[block + 1] = chars[block] + counts[block, 0], links[block] + counts[block, 3]
    for node in range(len(nodes) - 1, 0, -1):
        last[nodes[node, 0]] = max(last[nodes[node, 0]], last[node])
    announced = -1
    for block in range(len(blocks) - 1):
        kept[block] |= block <= announced
        around = lists[blocks[block + 1, 2]]
        if not kept[block] or around <= blocks[block, 2] or nodes[around, 2] & _COMMENT:  # no list, or one around both
            continue
        end = last[around] + 1
        is_links = 2 * (links[end] - links[block + 1]) > chars[end] - chars[block + 1]
        if not is_links and _announces(data, runs, blocks[block, 0], blocks[block, 1]):
            announced = max(announced, end - 1)
    if len(blocks):
        kept[len(blocks) - 1] |= announced == len(blocks) - 1


@jit
def _add_items(blocks: Ints, counts: Ints, nodes: Ints, roles: Ints, kept: Bools) -> None:
    """Keep items between kept blocks, where nothing else stands there and at most half of it is links."""
    in_item = np.zeros(len(nodes), np.bool_)
    for node in range(1, len(nodes)):
        role, parent = roles[nodes[node, 1]] if nodes[node, 1] >= 0 else 0, nodes[node, 0]
        is_beside = (nodes[node, 2] | nodes[parent, 2]) & _BESIDE
        in_item[node] = not is_beside and (role == 1 or (role == 2 and in_item[parent]))
    first, chars, links = -1, 0, 0
    for block in range(len(blocks)):
        if not kept[block]:
            if first >= 0 and in_item[blocks[block, 2]]:
                chars, links = chars + counts[block, 0], links + counts[block, 3]
            else:
                first = -1
            continue
        if first >= 0 and 2 * links <= chars:
            kept[first:block] = True
        first, chars, links = block + 1, 0, 0


@jit
def _announces(data: Bytes, runs: Ints, first: int, last: int) -> bool:
    """Whether the last character of some runs of text is a colon, of either width."""
    for run in range(last - 1, first - 1, -1):
        for position in range(runs[run, 1] - 1, runs[run, 0] - 1, -1):
            if data[position] > 32:
                is_wide = data[position] == 0x9A and data[position - 1] == 0xBC and data[position - 2] == 0xEF
                return bool(is_wide or data[position] == 58)
    return False


@jit
def _add_heads(data: Bytes, runs: Ints, blocks: Ints, counts: Ints, nodes: Ints, kept: Bools) -> None:
    """Keep headings and terms before kept blocks; from the end, so that a heading may stand before a heading."""
    for block in range(len(blocks) - 2, -1, -1):
        if kept[block] or not kept[block + 1]:
            continue
        node, behind = blocks[block, 2], blocks[block + 1, 2]
        if _H2 <= nodes[node, 1] <= _H6:
            is_prose = 2 * counts[block + 1, 3] < counts[block + 1, 0] or _H2 <= nodes[behind, 1] <= _H6
            if 2 * counts[block, 3] < counts[block, 0]:
                kept[block] = True
            elif is_prose:
                kept[block] = not _leads_away(data, runs, nodes, blocks[block])
        elif nodes[node, 1] == _DT:
            while nodes[behind, 0] > nodes[node, 0]:  # all of these began after the term: linear over the page
                behind = nodes[behind, 0]
            is_said = nodes[behind, 1] == _DD or nodes[behind, 1] == _DT
            kept[block] = is_said and nodes[behind, 0] == nodes[node, 0]


@jit
def _leads_away(data: Bytes, runs: Ints, nodes: Ints, block: Ints) -> bool:
    """Whether a link of a block leads to another page: it has an address without #, or stands around the block."""
    for run in range(block[0], block[1]):
        if not runs[run, 3] & LINK:
            continue
        node = runs[run, 2]
        while node > block[2] and nodes[node, 1] != _A:
            node = nodes[node, 0]
        if node <= block[2]:
            return True
        address = -1
        for position in range(nodes[node, 5], min(nodes[node, 5] + MAX_TAG_BYTES, len(data) - 4)):
            byte = data[position]
            if byte == 62:
                break
            if byte | 32 == 104 and _is_href(data, position):
                address = position
            elif byte == 35 and address >= 0:
                address = -2
                break
        if address >= 0:
            return True
    return False


@jit
def _is_href(data: Bytes, position: int) -> bool:
    """Whether an attribute begins there whose name is that of an address."""
    is_word = data[position + 1] | 32 == 114 and data[position + 2] | 32 == 101 and data[position + 3] | 32 == 102
    return bool(is_word and data[position - 1] <= 32)
