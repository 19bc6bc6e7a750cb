"""A page taken apart in; its blocks of text out, each with counts of what stands in it."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .html_kernels import CELL, LINK
from .html_scan import Scan
from .html_tables import Props, phrase_words, tag_table
from .text_kernels import int64, jit_in_place

__all__ = ["Blocks", "blocks_of"]

PHRASE_BYTES: Final = 160
"""Bytes at the beginning of a block that are searched for phrases; boilerplate is short."""


class Blocks(NamedTuple):
    """Blocks of text in document order, row-aligned with their counts, and counts of the elements."""

    blocks: NDArray[np.int64]
    """First run, run behind the last, row of the element around it, break before it."""
    counts: NDArray[np.int64]
    """Characters (a reference counts as one, white space not), words written in letters with spaces, characters of
    Japanese, Chinese and Korean, characters in links, marks within and at the end of sentences, digits, links,
    separators such as |, line breaks, phrase groups as bits, whether the last character ends a sentence,
    capital letters of ASCII."""
    sums: NDArray[np.int64]
    """Of each element, with all inside it: weight, weight in links, marks, blocks. The weight of a text is its number
    of characters, those of CJK counted twice."""


def blocks_of(scan: Scan) -> Blocks:
    """Join runs to blocks and count.

    >>> from .html_scan import scan_page
    >>> blocks_of(scan_page("<p>One, <a>two</a>.<br>三。<li>x".encode())).counts[:, :9].tolist()
    [[10, 2, 1, 3, 3, 0, 1, 0, 1], [1, 1, 0, 0, 0, 0, 0, 0, 0]]
    """
    phrases = phrase_words()
    starts = np.flatnonzero(scan.runs[:, 4] >= CELL)
    blocks = np.empty((len(starts), 4), np.int64)
    counts = np.zeros((len(starts), 12), np.int64)
    sums = np.zeros((len(scan.nodes), 4), np.int64)
    if len(starts):
        blocks[:, 0] = starts
        blocks[:-1, 1] = starts[1:]
        blocks[-1, 1] = len(scan.runs)
        blocks[:, 3] = scan.runs[starts, 4]
        _count(scan.data, scan.nodes, scan.runs, tag_table().rules, *phrases, blocks, counts, sums)
    return Blocks(blocks, counts, sums)


_CHARS, _WORDS, _CJK, _IN_LINKS, _MARKS, _DIGITS, _LINKS, _SEPARATORS, _BREAKS, _PHRASES, _ENDS, _CAPITALS = range(12)
_BLOCK = Props.BLOCK
# Classes of characters.
_OTHER, _LETTER, _WIDE, _DIGIT, _MARK, _END_MARK, _SEPARATOR = range(7)
_ASCII: Final = np.zeros(128, np.uint8)
_ASCII[[code for code in range(128) if chr(code).isalpha() or chr(code) == "'"]] = _LETTER
for _kind, _signs in ((_DIGIT, b"0123456789"), (_MARK, b",;"), (_END_MARK, b".!?"), (_SEPARATOR, b"|>/")):
    _ASCII[list(_signs)] = _kind

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]


@jit_in_place
def _count(
    data: Bytes, nodes: Ints, runs: Ints, rules: Ints, step: NDArray[np.int32], classes: Bytes, found: Ints,
    blocks: Ints, counts: Ints, sums: Ints,
) -> None:  # fmt: skip
    for block in range(len(blocks)):
        first, last = blocks[block, 0], blocks[block, 1]
        node = runs[first, 2]
        while node > 0 and not rules[nodes[node, 1], 0] & _BLOCK:
            node = nodes[node, 0]
        blocks[block, 2] = node
        phrase_bytes, phrase_state = 0, 0
        was_link = False
        for run in range(first, last):
            is_link = runs[run, 3] & LINK != 0
            counts[block, _LINKS] += is_link and not was_link
            counts[block, _BREAKS] += run > first and runs[run, 4] > 0
            was_link = is_link
            chars = counts[block, _CHARS]
            _count_run(data, runs[run, 0], runs[run, 1], counts[block])
            if is_link:
                counts[block, _IN_LINKS] += counts[block, _CHARS] - chars
            if phrase_bytes < PHRASE_BYTES:
                stop = min(runs[run, 1], runs[run, 0] + PHRASE_BYTES - phrase_bytes)
                for position in range(runs[run, 0], stop):
                    phrase_state = step[phrase_state, classes[data[position]]]
                    counts[block, _PHRASES] |= found[phrase_state]
                phrase_bytes += stop - runs[run, 0]
        weight = counts[block, _CHARS] + counts[block, _CJK]
        sums[node, 0] += weight
        sums[node, 1] += counts[block, _IN_LINKS] * weight // max(1, counts[block, _CHARS])
        sums[node, 2] += counts[block, _MARKS]
        sums[node, 3] += 1
    for node in range(len(nodes) - 1, 0, -1):
        for column in range(4):
            sums[nodes[node, 0], column] += sums[node, column]


@jit_in_place
def _count_run(data: Bytes, position: int, end: int, counts: Ints) -> None:
    """Count the characters of one run, class by class; sums without branches, as one class follows any other."""
    chars, words, capitals, cjk, digits, marks, separators = 0, 0, 0, 0, 0, 0, 0
    kind, was_letter = -1, False
    while position < end:
        byte = data[position]
        if byte <= 32:
            was_letter = False
            position += 1
            continue
        kind, length = (int64(_ASCII[byte]), 1) if byte < 128 and byte != 38 else _character(data, position, end)
        position += length
        is_letter = kind == _LETTER
        chars += 1
        words += is_letter and not was_letter
        capitals += 65 <= byte <= 90
        cjk += kind == _WIDE
        digits += kind == _DIGIT
        marks += kind == _MARK or kind == _END_MARK
        separators += kind == _SEPARATOR
        was_letter = is_letter
    if chars:
        counts[_ENDS] = kind == _END_MARK
    counts[_CHARS] += chars
    counts[_WORDS] += words
    counts[_CAPITALS] += capitals
    counts[_CJK] += cjk
    counts[_DIGITS] += digits
    counts[_MARKS] += marks
    counts[_SEPARATORS] += separators


@jit_in_place
def _character(data: Bytes, position: int, end: int) -> tuple[int, int]:
    """Class and length in bytes of the character outside ASCII, or of the reference, at `position`."""
    byte = data[position]
    if byte == 38:
        return _reference(data, position, end)
    if byte < 0xE0:
        return (_OTHER if byte == 0xC2 else _LETTER), 2
    if byte >= 0xF0:
        return _OTHER, 4
    if byte == 0xE3 and data[position + 1] == 0x80:
        third = data[position + 2]
        if third == 0x82:  # 。
            return _END_MARK, 3
        return (_MARK if third == 0x81 else _OTHER if third < 0x85 else _WIDE), 3  # 、 and 々
    if 0xE3 <= byte <= 0xED:
        return (_WIDE if byte > 0xE3 or 0x81 <= data[position + 1] <= 0x83 else _OTHER), 3
    if byte == 0xEF and data[position + 1] == 0xBC:
        third = data[position + 2]
        if third == 0x81 or third == 0x9F or third == 0x8E:  # ！, ？ and ．
            return _END_MARK, 3
        return (_MARK if third == 0x8C else _SEPARATOR if third == 0x9C or third == 0x9E else _WIDE), 3
    if byte == 0xEF and (data[position + 1] == 0xBD or data[position + 1] == 0xBE):
        return (_SEPARATOR if data[position + 1] == 0xBD and data[position + 2] == 0x9C else _WIDE), 3
    return (_OTHER if byte == 0xE2 else _LETTER), 3


@jit_in_place
def _reference(data: Bytes, position: int, end: int) -> tuple[int, int]:
    """Class and length of the character reference at `position`; a number above 3000 (hex) stands for a wide one."""
    stop = position + 1
    digits = 0
    while stop < end and stop < position + 12:
        byte = data[stop]
        if byte == 59:
            is_wide = data[position + 1] == 35 and (digits >= 5 or (data[position + 2] | 32 == 120 and digits == 4))
            return (_WIDE if is_wide else _OTHER), stop + 1 - position
        if not (48 <= byte <= 57 or 97 <= byte | 32 <= 122 or byte == 35):
            break
        digits += 48 <= byte <= 57 or (data[position + 1] == 35 and 97 <= byte | 32 <= 102)
        stop += 1
    return _OTHER, 1
