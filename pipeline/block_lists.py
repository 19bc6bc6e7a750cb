"""A page with next to no text in; where one list of links is what it is for, that list out: contents, indexes.

To a model of blocks an item of such a list is an entry of a menu. What it is shows in the page as a whole: one list is
nearly all of it, something introduces that list, and no other text is there. Menus as long as that stand on pages that
are entries of theirs, in parts of the page that say what they are, or before a text.
"""

import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .html_blocks import Blocks
from .html_scan import Scan
from .html_tables import HINTS, TAG_NAMES
from .text_kernels import jit

__all__ = ["with_contents"]

MIN_ITEMS: Final = 50
"""Items from which a list may be the text of a page; menus on pages without a text are shorter."""
ITEM_SHARE: Final = 0.75
"""Share of the page's weight (see Blocks) that blocks of one signature must have."""
HOLDER_SHARE: Final = 0.9
"""Share of the weight of these blocks that the element which is taken for the list must hold."""
MAX_PROSE_SHARE: Final = 0.1
"""Share of the page's weight up to which kept blocks introduce a list; above it they are the text."""
MAX_KEPT_SHARE: Final = 0.5
"""Share of the list's weight from which the model itself kept it."""

_H1, _H3 = TAG_NAMES.index("h1"), TAG_NAMES.index("h3")
_APART: Final = [TAG_NAMES.index(name) for name in ("nav", "aside", "header", "footer", "form")]
_NAV: Final = 1 << tuple(HINTS).index("nav")
_BESIDE: Final = "footer header side ad share comment consent hidden meta tool".split()
_ELSEWHERE: Final = sum(1 << tuple(HINTS).index(name) for name in _BESIDE)
_CONTENTS = re.compile(rb"toc|index|contents|sitemap|glossary|chapter", re.IGNORECASE)
MAX_TAG_BYTES: Final = 1000
"""Bytes of an element's tag that are searched for a name that says it holds a table of contents."""

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]


def with_contents(scan: Scan, blocks: Blocks, kept: Bools) -> Bools:
    """The kept blocks, and where the page is one list of links under a heading and an introduction, that list.

    >>> from .html_blocks import blocks_of
    >>> from .html_scan import scan_page
    >>> items = b"".join(b"<li><a href=%d>Chapter %d, on rice" % (number, number) for number in range(60))
    >>> page = scan_page(b"<h1>The Mill</h1><p>A novel in sixty chapters.<ul>" + items + b"</ul><p>top")
    >>> int(with_contents(page, blocks_of(page), np.arange(63) == 1).sum())
    61
    """
    found = _items(blocks, scan.nodes, kept)
    if found is None:
        return kept
    holder, items = found
    within = _inside(scan.nodes, holder)[blocks.blocks[:, 2]]
    first, last = np.flatnonzero(items & within)[[0, -1]].tolist()
    if not _may_hold_text(scan, holder) or not _is_introduced(scan, blocks, kept, within, first, last):
        return kept
    listed = kept.copy()
    listed[first : last + 1] |= within[first : last + 1]
    return listed


def _items(blocks: Blocks, nodes: Ints, kept: Bools) -> tuple[int, Bools] | None:
    """The element that holds the page's one list, and which blocks are its items; None where there is no such list."""
    counts = blocks.counts
    if len(kept) < MIN_ITEMS:
        return None
    weights = (counts[:, 0] + counts[:, 2]).astype(np.float64)
    page = weights.sum()
    if weights[kept].sum() > (MAX_PROSE_SHARE + MAX_KEPT_SHARE) * page:
        return None
    owners = blocks.blocks[:, 2]
    signatures, numbers = np.unique(nodes[owners, 6], return_inverse=True)
    sums = np.bincount(numbers, weights, len(signatures))
    items = numbers == sums.argmax()
    total = sums.max()
    links = (weights * counts[:, 3] / np.maximum(1, counts[:, 0]))[items].sum()
    if items.sum() < MIN_ITEMS or total < ITEM_SHARE * page or links < 0.5 * total:
        return None
    if weights[kept & items].sum() > MAX_KEPT_SHARE * total or weights[kept & ~items].sum() > MAX_PROSE_SHARE * page:
        return None
    held = np.zeros(len(nodes))
    np.add.at(held, owners[items], weights[items])
    return _holder(nodes, held, HOLDER_SHARE * total), items


def _may_hold_text(scan: Scan, node: int) -> bool:
    """Whether no element around a list, or the list, says that it is a part of the page beside its text."""
    while node > 0:
        _, tag, hints, *_ = scan.nodes[node].tolist()
        if tag in _APART or hints & _ELSEWHERE:
            return False
        if hints & _NAV:
            start = int(scan.nodes[node, 5])
            name = scan.data[start : start + MAX_TAG_BYTES].tobytes().partition(b">")[0]
            if not _CONTENTS.search(name):
                return False
        node = int(scan.nodes[node, 0])
    return True


def _is_introduced(scan: Scan, blocks: Blocks, kept: Bools, within: Bools, first: int, last: int) -> bool:
    """Whether a heading and kept words, more than behind the list, stand before it, and nothing in it is that heading.

    A menu names the page that it stands on; a table of contents names others.
    """
    tags, counts = scan.nodes[blocks.blocks[:, 2], 1], blocks.counts
    is_heading = (tags >= _H1) & (tags <= _H3)
    headings = np.flatnonzero(is_heading[:first])
    words = kept & ~is_heading & (2 * counts[:, 3] < counts[:, 0])
    before, after = counts[:first, 0][words[:first]].sum(), counts[last + 1 :, 0][kept[last + 1 :]].sum()
    if not len(headings) or not before or after > before:
        return False
    outside = headings[~within[headings]]
    of_page = outside if len(outside) else headings[tags[headings] == tags[headings].min()]
    letters = _letters(scan.data, scan.runs, blocks.blocks)
    return not np.isin(letters[within & ~is_heading], letters[of_page][letters[of_page] != 0]).any()


@jit
def _holder(nodes: Ints, held: NDArray[np.float64], least: float) -> int:
    """The innermost element that holds so much; `held` is what stands in each element itself, and is added up."""
    holder = 0
    for node in range(len(nodes) - 1, 0, -1):
        if held[node] >= least and holder == 0:
            holder = node
        held[nodes[node, 0]] += held[node]
    return holder


@jit
def _inside(nodes: Ints, holder: int) -> Bools:
    """Whether each element is another or stands in it."""
    inside = np.zeros(len(nodes), np.bool_)
    inside[holder] = True
    for node in range(holder + 1, len(nodes)):
        inside[node] = inside[nodes[node, 0]]
    return inside


@jit
def _letters(data: Bytes, runs: Ints, blocks: Ints) -> Ints:
    """Hashes of the letters of blocks, whatever their case, digits and signs; 0 for none."""
    hashes = np.zeros(len(blocks), np.int64)
    for block in range(len(blocks)):
        for run in range(blocks[block, 0], blocks[block, 1]):
            for position in range(runs[run, 0], runs[run, 1]):
                byte = int(data[position])
                is_sign = byte == 0xC2 or (position > 0 and data[position - 1] == 0xC2)  # as ¶ behind a heading
                if 97 <= byte | 32 <= 122 or (byte >= 0x80 and not is_sign):
                    hashes[block] = (hashes[block] * 1_000_003 + (byte | 32)) & 0xFFFFFFFFFFFF
    return hashes
