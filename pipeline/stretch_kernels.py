"""Lines and what they make up, from the places where one may end: their shapes, and hashes to find copies by.

Only events (measure_kernels.py) and the ends of lines are visited, not every character.
"""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import int64, jit
from .unicode_table import BREAK_BIT, HIRAGANA, SCRIPT_SHIFT, SPACE_BIT, TERMINAL_BIT

__all__ = ["LINE_COUNTS", "STRETCHES", "count_lines", "cut_lines", "hash_stretches"]

LINE_COUNTS = (
    *("lines", "bullet_lines", "ellipsis_lines"),
    *("tiny_lines", "star_lines", "ellipsis_char_lines", "ellipsis_newlines"),
    *("text_lines", "terminal_lines", "short_lines", "prose_chars", "kana_lines"),
    *("dclm_bullet_lines", "dclm_ellipsis_lines"),
)
"""What is counted of lines, in the order of a row; the first three are lines of str.splitlines."""
LINES, BULLET_LINES, ELLIPSIS_LINES, TINY_LINES, STAR_LINES, ELLIPSIS_CHAR_LINES, ELLIPSIS_NEWLINES = range(7)
TEXT_LINES, TERMINAL_LINES, SHORT_LINES, PROSE_CHARS, KANA_LINES, DCLM_BULLETS, DCLM_ELLIPSES = range(7, 14)

STRETCHES = ("pieces", "every_line", "text_line", "stripped_line", "block", "paragraphs")
"""What `hash_stretches` may cut, by number: re.split("\\n+"), text.split("\\n"), of these the ones with text, the same
stripped, text.split("\\n\\n") stripped and with text, re.split("\\n{2,}", text.strip())."""
PIECE, EVERY_LINE, TEXT_LINE, STRIPPED_LINE, BLOCK, PARAGRAPH = range(6)

NEWLINE, RETURN, STAR, HYPHEN, STOP = 0x0A, 0x0D, 0x2A, 0x2D, 0x2E
ELLIPSIS, BULLET, BLACK_CIRCLE = 0x2026, 0x2022, 0x25CF
CLOSERS = np.array([ord(c) for c in "」』）】〕》〉)]\"'”’»"], np.int32)
SHORT_CHARS, TINY_CHARS = 30, 10


@jit
def cut_lines(
    codes: NDArray[np.int32],
    classes: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    events: NDArray[np.int32],
    event_bounds: NDArray[np.int64],
    lines: NDArray[np.int64],
    bounds: NDArray[np.int64],
) -> None:
    """lines[k]: begin and end of what stands between newlines, and of it without white space around.

    The lines of text i stand from bounds[i] to bounds[i + 1].
    """
    n = 0
    for text in range(len(offsets) - 1):
        begin, last = offsets[text], offsets[text + 1]
        for number in range(event_bounds[text], event_bounds[text + 1] + 1):
            end = int64(events[number]) if number < event_bounds[text + 1] else last
            if end < last and codes[end] != NEWLINE:
                continue
            left, right = begin, end
            while left < right and classes[left] & SPACE_BIT:
                left += 1
            while right > left and classes[right - 1] & SPACE_BIT:
                right -= 1
            lines[n, 0], lines[n, 1], lines[n, 2], lines[n, 3] = begin, end, left, right
            n, begin = n + 1, end + 1
        bounds[text + 1] = n


@jit
def count_lines(
    codes: NDArray[np.int32],
    classes: NDArray[np.uint8],
    marks: NDArray[np.uint16],
    offsets: NDArray[np.int64],
    events: NDArray[np.int32],
    event_bounds: NDArray[np.int64],
    lines: NDArray[np.int64],
    bounds: NDArray[np.int64],
    spaced: bool,
    hiragana: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Fill counts[text, :] (LINE_COUNTS) for every text; `spaced`: words stand apart, so that a sentence is longer.

    hiragana[text]: how many the text has; lines are looked through for them where there are any.
    """
    for text in range(len(offsets) - 1):
        places = events[event_bounds[text] : event_bounds[text + 1]]
        _broken_lines(codes, classes, places, offsets[text], offsets[text + 1], counts[text])
        _line_shapes(codes, classes, marks, lines[bounds[text] : bounds[text + 1]], spaced, counts[text])
        if hiragana[text]:
            counts[text, KANA_LINES] = _kana_lines(classes, lines[bounds[text] : bounds[text + 1]])


@jit
def _ellipsis_ends(codes: NDArray[np.int32], first: int, last: int) -> bool:
    """The stretch ends in ... or …"""
    if last > first and codes[last - 1] == ELLIPSIS:
        return True
    return last - first >= 3 and codes[last - 1] == STOP and codes[last - 2] == STOP and codes[last - 3] == STOP


@jit
def _broken_lines(
    codes: NDArray[np.int32],
    classes: NDArray[np.uint8],
    places: NDArray[np.int32],
    first: int,
    last: int,
    out: NDArray[np.int64],
) -> None:
    """Lines of str.splitlines: those that begin with a bullet, those that end in an ellipsis."""
    begin = first
    for number in range(len(places) + 1):
        end = int64(places[number]) if number < len(places) else last
        if end < last and not classes[end] & BREAK_BIT:
            continue
        if end > first and end < last and codes[end] == NEWLINE and codes[end - 1] == RETURN:
            begin = end + 1
            continue
        if end == last and begin == last:
            break
        left, right = begin, end
        while left < right and classes[left] & SPACE_BIT:
            left += 1
        while right > left and classes[right - 1] & SPACE_BIT:
            right -= 1
        out[LINES] += 1
        out[BULLET_LINES] += left < right and (codes[left] == BULLET or codes[left] == HYPHEN)
        out[ELLIPSIS_LINES] += _ellipsis_ends(codes, left, right)
        begin = end + 1


@jit
def _line_shapes(
    codes: NDArray[np.int32],
    classes: NDArray[np.uint8],
    marks: NDArray[np.uint16],
    lines: NDArray[np.int64],
    spaced: bool,
    out: NDArray[np.int64],
) -> None:
    """How lines between newlines begin and end, and how long they are."""
    n, prose_chars = len(lines), 40 if spaced else 20
    for k in range(n):
        begin, end, left, right = lines[k, 0], lines[k, 1], lines[k, 2], lines[k, 3]
        size = end - begin
        out[TINY_LINES] += size <= TINY_CHARS
        out[STAR_LINES] += size > 0 and (codes[begin] == STAR or codes[begin] == HYPHEN)
        out[ELLIPSIS_CHAR_LINES] += size > 0 and codes[end - 1] == ELLIPSIS
        out[ELLIPSIS_NEWLINES] += k + 1 < n and _ellipsis_ends(codes, begin, end)
        if left == right:
            continue
        out[TEXT_LINES] += 1
        out[TERMINAL_LINES] += marks[end - 1] & TERMINAL_BIT != 0
        out[SHORT_LINES] += size <= SHORT_CHARS
        stop = right
        while stop > left and _is_closer(codes[stop - 1]):
            stop -= 1
        prose = size >= prose_chars and stop > left
        prose = prose and (marks[stop - 1] & TERMINAL_BIT != 0 or codes[stop - 1] == ELLIPSIS)
        out[PROSE_CHARS] += size if prose else 0
        bullet = codes[left] == BLACK_CIRCLE or codes[left] == BULLET or codes[left] == STAR or codes[left] == HYPHEN
        out[DCLM_BULLETS] += bullet
        spread = right - left >= 5 and codes[right - 1] == STOP and codes[right - 3] == STOP
        spread = spread and codes[right - 5] == STOP and codes[right - 2] == 0x20 and codes[right - 4] == 0x20
        out[DCLM_ELLIPSES] += spread or _ellipsis_ends(codes, left, right)


@jit
def _kana_lines(classes: NDArray[np.uint8], lines: NDArray[np.int64]) -> int:
    """Lines that have hiragana."""
    n = 0
    for k in range(len(lines)):
        for at in range(lines[k, 2], lines[k, 3]):
            if classes[at] >> SCRIPT_SHIFT & 3 == HIRAGANA:
                n += 1
                break
    return n


@jit
def _is_closer(code: int) -> bool:
    """A closing bracket or quotation mark."""
    if code < 0x80:
        return code == 0x22 or code == 0x27 or code == 0x29 or code == 0x5D
    found = False
    for closer in CLOSERS:
        found |= code == closer
    return found


@jit
def hash_stretches(
    sums: NDArray[np.uint64],
    powers: NDArray[np.uint64],
    lines: NDArray[np.int64],
    bounds: NDArray[np.int64],
    kind: int,
    hashes: NDArray[np.uint64],
    sizes: NDArray[np.int64],
    item_bounds: NDArray[np.int64],
    chars: NDArray[np.int64],
) -> None:
    """Hashes and sizes of stretches of one kind (STRETCHES) of every text; chars[text]: their characters."""
    found = 0
    for text in range(len(bounds) - 1):
        part = lines[bounds[text] : bounds[text + 1]]
        if kind == BLOCK:
            found = _blocks(sums, powers, part, hashes, sizes, found)
        elif kind == PARAGRAPH:
            found = _paragraphs(sums, powers, part, hashes, sizes, found)
        else:
            found = _single_lines(sums, powers, part, kind, hashes, sizes, found)
        item_bounds[text + 1] = found
        for k in range(item_bounds[text], found):
            chars[text] += sizes[k]


@jit
def _single_lines(
    sums: NDArray[np.uint64],
    powers: NDArray[np.uint64],
    lines: NDArray[np.int64],
    kind: int,
    hashes: NDArray[np.uint64],
    sizes: NDArray[np.int64],
    found: int,
) -> int:
    """Append lines; an empty one is a piece only at the top or the bottom of the text."""
    for k in range(len(lines)):
        begin, end, blank = lines[k, 0], lines[k, 1], lines[k, 2] == lines[k, 3]
        if (kind == PIECE and begin == end and 0 < k < len(lines) - 1) or (blank and kind >= TEXT_LINE):
            continue
        if kind == STRIPPED_LINE:
            begin, end = lines[k, 2], lines[k, 3]
        hashes[found], sizes[found] = sums[end] - sums[begin] * powers[end - begin], end - begin
        found += 1
    return found


@jit
def _blocks(
    sums: NDArray[np.uint64],
    powers: NDArray[np.uint64],
    lines: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    sizes: NDArray[np.int64],
    found: int,
) -> int:
    """Append what stands between pairs of newlines: a block goes on to the next empty line."""
    k = 0
    while k < len(lines):
        begin, end = lines[k, 2], lines[k, 3]
        k += 1
        while k < len(lines) and lines[k, 0] != lines[k, 1]:
            if lines[k, 2] < lines[k, 3]:
                begin, end = lines[k, 2] if begin == end else begin, lines[k, 3]
            k += 1
        k += 1
        if begin < end:
            hashes[found], sizes[found] = sums[end] - sums[begin] * powers[end - begin], end - begin
            found += 1
    return found


@jit
def _paragraphs(
    sums: NDArray[np.uint64],
    powers: NDArray[np.uint64],
    lines: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    sizes: NDArray[np.int64],
    found: int,
) -> int:
    """Append what stands between empty lines of the stripped text; a blank text is one empty paragraph."""
    top, bottom = 0, len(lines) - 1
    while top < bottom and lines[top, 2] == lines[top, 3]:
        top += 1
    while bottom > top and lines[bottom, 2] == lines[bottom, 3]:
        bottom -= 1
    begin = lines[top, 2]
    for k in range(top, bottom + 1):
        if lines[k, 0] == lines[k, 1] and top < bottom:
            begin = lines[k + 1, 0]
        elif k == bottom or lines[k + 1, 0] == lines[k + 1, 1]:
            end = lines[k, 3] if k == bottom else lines[k, 1]
            hashes[found], sizes[found] = sums[end] - sums[begin] * powers[end - begin], end - begin
            found += 1
    return found
