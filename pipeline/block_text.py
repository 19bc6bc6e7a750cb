"""Chosen blocks of a page in, readable text out: lines, paragraphs, lists, tables and code as a reader sees them."""

import re
from functools import lru_cache
from html import unescape
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .html_blocks import Blocks
from .html_kernels import BR, CELL, LINE, NONE, PARAGRAPH, PRE, SPACE
from .html_scan import Scan
from .html_tables import TAG_NAMES
from .text_kernels import jit_in_place

__all__ = ["text_of"]

MAX_CELL_CHARS: Final = 80
"""Characters up to which a cell of a table shares a line with the one before it; longer ones are columns of a page."""
_LI, _TD, _TH = (TAG_NAMES.index(name) for name in ("li", "td", "th"))
UPRIGHT_LINES: Final = 4
"""Lines of one character each from which they are taken for vertical writing."""

_WIDE = "\u3001-\u30ff\u3400-\u9fff\uf900-\ufaff\uff01-\uff60"
_COLUMN = re.compile(rf"(?:^[{_WIDE}]\n){{{UPRIGHT_LINES - 1},}}[{_WIDE}]$", re.MULTILINE)
# What any such column has in it: a pattern that begins with \n goes from line to line, the other from place to place.
_TWO_UPRIGHT = re.compile(rf"\n[{_WIDE}]\n[{_WIDE}]\n")
_PERMALINK = re.compile("[ \t]?¶$", re.MULTILINE)
_VERTICAL_FORMS = str.maketrans(
    "︐︑︒︓︔︕︖︗︘︙︰︱︵︶︷︸︹︺︻︼︽︾︿﹀﹁﹂﹃﹄", "，、。：；！？〖〗…‥―（）｛｝〔〕【】《》〈〉「」『』"
)
_ANY_VERTICAL_FORM = re.compile("[︐-︙︰︱︵-﹄]")
# What html.unescape takes for a reference.
_REFERENCE = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)")


def text_of(scan: Scan, blocks: Blocks, kept: NDArray[np.bool_]) -> str:
    """Text of the kept blocks: paragraphs parted by blank lines, items by newlines, short cells by tabs.

    White space is as a browser shows it: a line end between two Japanese or Chinese characters is nothing (CSS Text 3,
    section 4.1.3); that of `pre` stays.

    >>> from .html_blocks import blocks_of
    >>> from .html_scan import scan_page
    >>> scan = scan_page("<p>米を\\n 炊く。<ol><li>a<li>b</ol><table><td>c<td>d</table>".encode())
    >>> text_of(scan, blocks_of(scan), np.ones(5, bool))
    '米を炊く。\\n\\n1. a\\n2. b\\n\\nc\\td'
    """
    size = int((scan.runs[:, 1] - scan.runs[:, 0]).sum()) + 16 * len(scan.runs)
    out = np.empty(size, np.uint8)
    items, cells = np.zeros((2, len(scan.nodes)), np.int64)
    _around(scan.nodes, _LI, -2, items)
    _around(scan.nodes, _TD, _TH, cells)
    marked = np.zeros(len(scan.nodes), np.bool_)
    length = _write(scan.data, scan.runs, scan.nodes, blocks.blocks, blocks.counts, kept, items, cells, marked, out)
    text = out[:length].tobytes().decode("utf-8", "replace")
    if "&" in text:
        text = _REFERENCE.sub(_referred, text)
    text = text.replace("\u00a0", " ")
    return _upright(_PERMALINK.sub("", text) if "¶" in text else text)


def _referred(reference: re.Match[str]) -> str:
    return _unescaped(reference[0])


@lru_cache(maxsize=4096)
def _unescaped(reference: str) -> str:
    """What a character reference stands for; a few make up nearly all of them."""
    return unescape(reference)


def _upright(text: str) -> str:
    """Vertical writing as text that runs on: lines of one character joined, upright signs for turned ones."""
    if _ANY_VERTICAL_FORM.search(text):
        text = text.translate(_VERTICAL_FORMS)
    if not _TWO_UPRIGHT.search(text):
        return text
    return _COLUMN.sub(lambda column: column[0].replace("\n", ""), text)


Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]


@jit_in_place
def _around(nodes: Ints, tag: int, other: int, found: Ints) -> None:
    """Of each element the nearest `tag` or `other` around it, or itself where it is one; 0 where there is none."""
    for node in range(1, len(nodes)):
        is_one = nodes[node, 1] == tag or nodes[node, 1] == other
        found[node] = node if is_one else found[nodes[node, 0]]


@jit_in_place
def _cell_gap(gap: int, one: int, other: int, nodes: Ints) -> int:
    """What parts short texts of two cells: CELL in a row, LINE between rows of a table; else the gap as it is."""
    if one == other or one == 0 or other == 0:
        return gap
    if nodes[one, 0] == nodes[other, 0]:
        return CELL
    return LINE if nodes[nodes[one, 0], 0] == nodes[nodes[other, 0], 0] else gap


@jit_in_place
def _write(
    data: Bytes, runs: Ints, nodes: Ints, blocks: Ints, counts: Ints, kept: NDArray[np.bool_], items: Ints, cells: Ints,
    marked: NDArray[np.bool_], out: Bytes,
) -> int:  # fmt: skip
    length, last, gap = 0, -2, NONE
    for block in range(len(blocks)):
        gap = max(gap, blocks[block, 3])
        if not kept[block]:
            continue
        if length:
            is_short = counts[block, 0] <= MAX_CELL_CHARS and counts[last, 0] <= MAX_CELL_CHARS
            if is_short and last == block - 1:
                gap = _cell_gap(gap, cells[blocks[last, 2]], cells[blocks[block, 2]], nodes)
            else:
                gap = max(gap, LINE)
            out[length] = 9 if gap == CELL else 10
            out[length + 1] = 10
            length += 2 if gap == PARAGRAPH else 1
        item = items[blocks[block, 2]]
        if item and not marked[item]:
            marked[item] = True
            length = _put_mark(nodes[item, 4], out, length)
        start = length
        for run in range(blocks[block, 0], blocks[block, 1]):
            length = _put_run(data, runs[run], run == blocks[block, 0], start, out, length)
        if length > start and out[length - 1] == 32:
            length -= 1
        last, gap = block, NONE
    return length


@jit_in_place
def _put_mark(number: int, out: Bytes, length: int) -> int:
    """`- `, or the number of an item in a numbered list and a full stop."""
    if number <= 0:
        out[length] = 45
        length += 1
    else:
        digits = 1
        while 10**digits <= number:
            digits += 1
        for place in range(digits - 1, -1, -1):
            out[length] = 48 + number // 10**place % 10
            length += 1
        out[length] = 46
        length += 1
    out[length] = 32
    return length + 1


@jit_in_place
def _put_run(data: Bytes, run: Ints, is_first: bool, start: int, out: Bytes, length: int) -> int:
    """Put a run of text behind out[start:length], the block so far."""
    if run[4] == BR and not is_first:
        if length > start and out[length - 1] == 32:
            length -= 1
        out[length] = 10
        length += 1
    if run[3] & PRE:
        for position in range(run[0], run[1]):
            out[length] = data[position]
            length += 1
        return length
    blank, line_end = run[3] & SPACE != 0, False
    for position in range(run[0], run[1]):
        byte = data[position]
        if byte <= 32:
            blank = True
            line_end |= byte == 10 or byte == 13
            continue
        if blank and length > start and out[length - 1] > 32:
            if not (line_end and _ends_wide(out, length) and _is_wide(byte, data[position + 1])):
                out[length] = 32
                length += 1
        blank = line_end = False
        out[length] = byte
        length += 1
    if blank and length > start and out[length - 1] > 32:
        out[length] = 32
        length += 1
    return length


@jit_in_place
def _ends_wide(out: Bytes, length: int) -> bool:
    return length >= 3 and out[length - 1] >> 6 == 2 and _is_wide(out[length - 3], out[length - 2])


@jit_in_place
def _is_wide(lead: int, second: int) -> bool:
    """Whether a character of three bytes is written without spaces: kana, kanji, their marks and full-width forms."""
    return 0xE3 <= lead <= 0xE9 or (lead == 0xEF and 0xBC <= second <= 0xBD)
