"""Counts over code points: characters, lines, paragraphs and sentences, one text after the other.

Every kernel adds to one row of int64 counts, whose order is `COUNTS`; measure.py makes the ratios. Copies of a line or
a sentence are found by 64-bit hashes of their code points, never by strings.
"""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import jit
from .unicode_table import (
    BREAK_BIT,
    CATEGORY_MASK,
    JAPANESE_BIT,
    LETTER,
    NUMBER,
    PUNCTUATION,
    SCRIPT_SHIFT,
    SPACE_BIT,
    SYMBOL,
)

__all__ = ["COUNTS", "count_text"]

COUNTS = (
    *("chars", "letters", "digits", "punctuation", "symbols", "spaces", "hiragana", "katakana", "kanji"),
    *("swallow_hiragana", "swallow_katakana", "swallow_kanji", "swallow_japanese"),
    *("hashes", "ellipses", "lines", "bullet_lines", "ellipsis_lines"),
    *("pieces", "dup_pieces", "dup_piece_chars", "paragraphs", "dup_paragraphs", "dup_paragraph_chars"),
    *("sentences", "dup_sentences", "dup_sentence_chars", "ja_lines", "dup_ja_lines", "dup_ja_line_chars"),
    *("sentence_chars", "max_sentence_chars", "ellipsis_sentences"),
)
"""What is counted, in the order of a row: a piece is a line as datatrove's repetition rules cut them."""

CHARS, LETTERS, DIGITS, PUNCTUATIONS, SYMBOLS, SPACES, HIRAGANA, KATAKANA, KANJI = range(9)
SWALLOW_HIRAGANA, SWALLOW_KATAKANA, SWALLOW_KANJI, SWALLOW_JAPANESE, HASHES, ELLIPSES = range(9, 15)
LINES, BULLET_LINES, ELLIPSIS_LINES, PIECES, DUP_PIECES, DUP_PIECE_CHARS = range(15, 21)
PARAGRAPHS, DUP_PARAGRAPHS, DUP_PARAGRAPH_CHARS, SENTENCES, DUP_SENTENCES, DUP_SENTENCE_CHARS = range(21, 27)
JA_LINES, DUP_JA_LINES, DUP_JA_LINE_CHARS, SENTENCE_CHARS, MAX_SENTENCE_CHARS, ELLIPSIS_SENTENCES = range(27, 33)

NEWLINE, RETURN, HASH, HYPHEN, STOP, ELLIPSIS, BULLET, MIDDLE_DOT = 0x0A, 0x0D, 0x23, 0x2D, 0x2E, 0x2026, 0x2022, 0x30FB

INSIDE, LEADING, END, LINE_END = range(4)

BASE = np.uint64(0x9E3779B97F4A7C15)
"""Odd multiplier of the polynomial hashes: 2^64 over the golden ratio."""


@jit
def count_text(
    codes: NDArray[np.int32],
    classes: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    stop_ends: bool,
    counts: NDArray[np.int64],
) -> None:
    """Fill counts[text, :] for every text; `stop_ends`: a full stop before white space ends a sentence too."""
    for text in range(len(offsets) - 1):
        first, last = offsets[text], offsets[text + 1]
        out = counts[text]
        _characters(codes[first:last], classes[first:last], out)
        _lines(codes[first:last], classes[first:last], out)
        _pieces(codes[first:last], classes[first:last], out)
        _sentences(codes[first:last], classes[first:last], stop_ends, out)


@jit
def _characters(codes: NDArray[np.int32], classes: NDArray[np.uint8], out: NDArray[np.int64]) -> None:
    """Characters by category and script; # and ellipses ("..." as str.count finds it, and …)."""
    histogram = np.zeros(256, np.int64)
    stops = 0
    for k in range(len(codes)):
        histogram[classes[k]] += 1
        code = codes[k]
        stops = stops + 1 if code == STOP else 0
        if stops == 3:
            out[ELLIPSES] += 1
            stops = 0
        out[HASHES] += code == HASH
        out[ELLIPSES] += code == ELLIPSIS
    out[CHARS] = len(codes)
    for value in range(256):
        n, category, script = histogram[value], value & CATEGORY_MASK, value >> SCRIPT_SHIFT & 3
        out[LETTERS] += n if category == LETTER else 0
        out[DIGITS] += n if category == NUMBER else 0
        out[PUNCTUATIONS] += n if category == PUNCTUATION else 0
        out[SYMBOLS] += n if category == SYMBOL else 0
        out[SPACES] += n if value & SPACE_BIT else 0
        if script:
            out[HIRAGANA + script - 1] += n
        if value & JAPANESE_BIT:
            out[SWALLOW_JAPANESE] += n
            if script:
                out[SWALLOW_HIRAGANA + script - 1] += n


@jit
def _ellipsis_ends(codes: NDArray[np.int32], first: int, last: int) -> bool:
    """The stretch ends in ... or …"""
    if last > first and codes[last - 1] == ELLIPSIS:
        return True
    return last - first >= 3 and codes[last - 1] == STOP and codes[last - 2] == STOP and codes[last - 3] == STOP


@jit
def _lines(codes: NDArray[np.int32], classes: NDArray[np.uint8], out: NDArray[np.int64]) -> None:
    """Lines of str.splitlines: those that begin with a bullet, those that end in an ellipsis."""
    first, at, n = 0, 0, len(codes)
    while at < n:
        if not classes[at] & BREAK_BIT and at + 1 < n:
            at += 1
            continue
        last = at if classes[at] & BREAK_BIT else at + 1
        at += 2 if codes[at] == RETURN and at + 1 < n and codes[at + 1] == NEWLINE else 1
        left, right = first, last
        while left < right and classes[left] & SPACE_BIT:
            left += 1
        while right > left and classes[right - 1] & SPACE_BIT:
            right -= 1
        out[LINES] += 1
        out[BULLET_LINES] += left < right and (codes[left] == BULLET or codes[left] == HYPHEN)
        out[ELLIPSIS_LINES] += _ellipsis_ends(codes, left, right)
        first = at


@jit
def _copies(hashes: NDArray[np.uint64], sizes: NDArray[np.int64], n: int, at: int, out: NDArray[np.int64]) -> None:
    """out[at:at + 3]: items, items that were seen before, their characters."""
    out[at] = n
    if n < 2:
        return
    bits = 2
    while 1 << bits < 2 * n:
        bits += 1
    table, mask = np.zeros(1 << bits, np.uint64), (1 << bits) - 1
    for k in range(n):
        # 0 marks a free place, so the hash 0 becomes 1; the length joins so that "" differs from every text.
        key = max((hashes[k] ^ np.uint64(sizes[k])) * BASE, np.uint64(1))
        place = np.int64(key >> np.uint64(32)) & mask
        while table[place] != 0 and table[place] != key:
            place = (place + 1) & mask
        if table[place] == key:
            out[at + 1] += 1
            out[at + 2] += sizes[k]
        table[place] = key


@jit
def _split(
    codes: NDArray[np.int32], first: int, last: int, breaks: int, hashes: NDArray[np.uint64], sizes: NDArray[np.int64]
) -> int:
    """Items between runs of at least `breaks` newlines, hashed; as re.split, also empty ones at the ends."""
    n, at, size, value = 0, first, 0, np.uint64(0)
    while at < last:
        run = at
        while run < last and codes[run] == NEWLINE:
            run += 1
        if run - at >= breaks:
            hashes[n], sizes[n] = value, size
            n, at, size, value = n + 1, run, 0, np.uint64(0)
            continue
        # A run too short to split belongs to the item, newlines and all; otherwise one character does.
        for k in range(at, max(run, at + 1)):
            value = (value + np.uint64(codes[k]) + np.uint64(1)) * BASE
            value ^= value >> np.uint64(29)
            size += 1
        at = max(run, at + 1)
    hashes[n], sizes[n] = value, size
    return n + 1


@jit
def _pieces(codes: NDArray[np.int32], classes: NDArray[np.uint8], out: NDArray[np.int64]) -> None:
    """Copies among pieces (cut at newlines) and among paragraphs (the stripped text cut at blank lines)."""
    newlines = 1
    for k in range(len(codes)):
        newlines += codes[k] == NEWLINE
    hashes, sizes = np.empty(newlines, np.uint64), np.empty(newlines, np.int64)
    n = _split(codes, 0, len(codes), 1, hashes, sizes)
    _copies(hashes, sizes, n, PIECES, out)
    first, last = 0, len(codes)
    while first < last and classes[first] & SPACE_BIT:
        first += 1
    while last > first and classes[last - 1] & SPACE_BIT:
        last -= 1
    n = _split(codes, first, last, 2, hashes, sizes)
    _copies(hashes, sizes, n, PARAGRAPHS, out)


@jit
def _borders(codes: NDArray[np.int32], classes: NDArray[np.uint8], stop_ends: bool, out: NDArray[np.uint8]) -> int:
    """out[k]: INSIDE, LEADING (not at the start of a sentence), END or LINE_END; how many of the last two.

    A pass of its own: a call per character costs 20 ns in numba, a byte of memory less than one.
    """
    n = 0
    for k in range(len(codes)):
        code = codes[k]
        border = LEADING if stop_ends and classes[k] & SPACE_BIT else INSIDE
        if code == NEWLINE:
            border = LINE_END
        elif code == 0x21 or code == 0x3F or code == 0x3002 or code == 0xFF0E or code == 0xFF01 or code == 0xFF1F:
            border = END
        elif code == STOP and stop_ends and (k + 1 == len(codes) or classes[k + 1] & SPACE_BIT != 0):
            border = END
        out[k] = border
        n += border >= END
    return n


@jit
def _sentence(
    codes: NDArray[np.int32], classes: NDArray[np.uint8], first: int, last: int, out: NDArray[np.int64]
) -> np.uint64:
    """Count the sentence codes[first:last]; its hash."""
    value = np.uint64(0)
    for k in range(first, last):
        value = (value + np.uint64(codes[k]) + np.uint64(1)) * BASE
        value ^= value >> np.uint64(29)
    out[SENTENCE_CHARS] += last - first
    out[MAX_SENTENCE_CHARS] = max(out[MAX_SENTENCE_CHARS], last - first)
    while last > first and classes[last - 1] & SPACE_BIT:
        last -= 1
    out[ELLIPSIS_SENTENCES] += last > first and (codes[last - 1] == MIDDLE_DOT or codes[last - 1] == ELLIPSIS)
    return value


@jit
def _sentences(codes: NDArray[np.int32], classes: NDArray[np.uint8], stop_ends: bool, out: NDArray[np.int64]) -> None:
    """Sentences within lines, as the expression [^。．！？!?]+[。．！？!?]? finds them, and lines as lists of them.

    With `stop_ends` (languages written with spaces) white space before a sentence does not belong to it. A line without
    a sentence is none.
    """
    borders = np.empty(len(codes), np.uint8)
    capacity = _borders(codes, classes, stop_ends, borders) + 1
    hashes, sizes = np.empty(capacity, np.uint64), np.empty(capacity, np.int64)
    line_hashes, line_sizes = np.empty(capacity, np.uint64), np.empty(capacity, np.int64)
    n, n_lines, at, line_value, line_size = 0, 0, 0, np.uint64(0), 0
    while at < len(codes):
        if borders[at] == INSIDE:
            last = at + 1
            while last < len(codes) and borders[last] < END:
                last += 1
            line_ends = last == len(codes) or borders[last] == LINE_END
            last += 0 if line_ends else 1
            hashes[n], sizes[n] = _sentence(codes, classes, at, last, out), last - at
            line_value, line_size, n = (line_value + hashes[n]) * BASE, line_size + last - at, n + 1
            at = last
        else:
            line_ends, at = borders[at] == LINE_END, at + 1
        if line_size > 0 and (line_ends or at == len(codes)):
            line_hashes[n_lines], line_sizes[n_lines] = line_value, line_size
            n_lines, line_value, line_size = n_lines + 1, np.uint64(0), 0
    _copies(hashes, sizes, n, SENTENCES, out)
    _copies(line_hashes, line_sizes, n_lines, JA_LINES, out)
