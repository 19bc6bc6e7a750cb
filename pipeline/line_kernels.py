"""Lines of texts measured in one pass over code points, and the spans that cutting some of them takes away."""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import jit
from .unicode_table import (
    CATEGORY_MASK,
    HAN,
    HIRAGANA,
    KATAKANA,
    LETTER,
    MARK,
    NUMBER,
    SCRIPT_SHIFT,
    SPACE_BIT,
)

__all__ = ["COUNTS", "cut_spans", "gather", "measure_lines"]

COUNTS = ("start", "end", "byte_start", "byte_end", "chars", "words", "longest_word", "letters", "capitals", "digits",
          "plain", "japanese", "breaks")  # fmt: skip
"""What `measure_lines` finds of a line, in the order of its columns."""

START, END, BYTE_START, BYTE_END, CHARS, WORDS, LONGEST, LETTERS, CAPITALS, DIGITS, PLAIN, JAPANESE, BREAKS = range(13)
NEWLINE = 10


@jit
def _bytes(code: int) -> int:
    return 1 + (code >= 0x80) + (code >= 0x800) + (code >= 0x10000)


@jit
def _capital(code: int) -> bool:
    """A to Z, À to Þ, Greek and Cyrillic capitals, full-width A to Z."""
    if code < 0x80:
        return 0x41 <= code <= 0x5A
    if code < 0x100:
        return 0xC0 <= code <= 0xDE and code != 0xD7
    return 0x391 <= code <= 0x3A9 or 0x400 <= code <= 0x42F or 0xFF21 <= code <= 0xFF3A


@jit
def measure_lines(
    codes: NDArray[np.int32], classes: NDArray[np.uint8], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The lines that are not blank: the text each stands in, and its counts, one row a line.

    A line ends at a newline; white space at its ends is not part of it. Positions count from the text's beginning;
    `breaks` are the newlines between a line and the one before it (the text's beginning).
    """
    most = len(offsets)
    for k in range(len(codes)):
        most += codes[k] == NEWLINE
    texts, counts = np.empty(most, np.int64), np.zeros((most, 13), np.int64)
    n = 0
    for text in range(len(offsets) - 1):
        first, stop = offsets[text], offsets[text + 1]
        begin, byte, breaks = first, np.int64(0), 0
        while begin < stop:
            end = begin
            while end < stop and codes[end] != NEWLINE:
                end += 1
            low, high = begin, end
            while low < end and classes[low] & SPACE_BIT:
                byte += _bytes(codes[low])
                low += 1
            while high > low and classes[high - 1] & SPACE_BIT:
                high -= 1
            if low < high:
                line = counts[n]
                texts[n], line[START], line[END], line[CHARS] = text, low - first, high - first, high - low
                line[BYTE_START], line[BREAKS] = byte, breaks
                byte += _measure(codes[low:high], classes[low:high], line)
                line[BYTE_END] = byte
                breaks = 0
                n += 1
            for k in range(high, end):
                byte += _bytes(codes[k])
            if end < stop:
                byte += 1
                breaks += 1
            begin = end + 1
    return texts[:n], counts[:n]


@jit
def _measure(codes: NDArray[np.int32], classes: NDArray[np.uint8], line: NDArray[np.int64]) -> int:
    """Fill in what a line is made of; returns its bytes."""
    size, word = 0, 0
    for k in range(len(codes)):
        code, kind = codes[k], classes[k]
        size += _bytes(code)
        category, script = kind & CATEGORY_MASK, kind >> SCRIPT_SHIFT & 3
        if kind & SPACE_BIT:
            word = 0
            continue
        line[WORDS] += word == 0
        word += 1
        line[LONGEST] = max(line[LONGEST], word)
        line[LETTERS] += category == LETTER
        line[CAPITALS] += category == LETTER and _capital(code)
        line[DIGITS] += category == NUMBER
        line[PLAIN] += category == LETTER or category == MARK or category == NUMBER
        line[JAPANESE] += script == HIRAGANA or script == KATAKANA or script == HAN
    return size


@jit
def gather(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pieces [starts, ends) of the bytes, one after the other, and their offsets."""
    offsets = np.zeros(len(starts) + 1, np.int64)
    for k in range(len(starts)):
        offsets[k + 1] = offsets[k] + ends[k] - starts[k]
    out = np.empty(offsets[-1], np.uint8)
    for k in range(len(starts)):
        out[offsets[k] : offsets[k + 1]] = data[starts[k] : ends[k]]
    return out, offsets


@jit
def cut_spans(
    texts: NDArray[np.int64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    breaks: NDArray[np.int64],
    cut: NDArray[np.bool_],
    lengths: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the span of each cut line begins and ends in its text of `lengths` code points.

    Between the lines that stay, a run of cut lines leaves the wider of the gaps before and behind it, so that a
    paragraph stays apart from the next; at the text's ends it leaves nothing.
    """
    begins, stops = np.empty(len(texts), np.int64), np.empty(len(texts), np.int64)
    first = 0
    while first < len(texts):
        if not cut[first]:
            first += 1
            continue
        last = first
        while last + 1 < len(texts) and cut[last + 1] and texts[last + 1] == texts[first]:
            last += 1
        opens = first == 0 or texts[first - 1] != texts[first]
        closes = last + 1 == len(texts) or texts[last + 1] != texts[last]
        before = 0 if opens else ends[first - 1]
        behind = lengths[texts[last]] if closes else starts[last + 1]
        # Where the gap before stays (it is the wider one, or the text begins here), each line takes what follows it.
        forward = opens or (not closes and breaks[first] >= breaks[last + 1])
        for k in range(first, last + 1):
            if forward:
                begins[k] = before if opens and k == first else starts[k]
                stops[k] = behind if k == last else starts[k + 1]
            else:
                begins[k] = before if k == first else ends[k - 1]
                stops[k] = behind if closes and k == last else ends[k]
        first = last + 1
    return begins, stops
