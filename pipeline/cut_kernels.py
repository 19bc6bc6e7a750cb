"""Words by the rules of UAX #29 over the tables of unicode_table.py, and words between white space."""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import int64, jit
from .unicode_table import WORD_CLASS_MASK, WORD_CLASSES

__all__ = ["cut_spaces", "cut_words", "flag_words"]

SYMBOL, SPACE, LETTER, HEBREW, NUMERIC, EXTEND_NUM_LET, KATAKANA, LONG, HIRAGANA, HAN, OTHER_LETTER = range(11)
EXTEND, ZWJ, MID_LETTER, MID_NUM, MID_NUM_LET, SINGLE_QUOTE, DOUBLE_QUOTE, REGIONAL, PICTURE = range(11, 20)
assert len(WORD_CLASSES) == PICTURE + 1

_ALPHANUMERIC = 1 << LETTER | 1 << HEBREW | 1 << NUMERIC
_KATAKANA = 1 << KATAKANA | 1 << LONG
_JOINS = {
    **dict.fromkeys((LETTER, HEBREW, NUMERIC), _ALPHANUMERIC | 1 << EXTEND_NUM_LET),
    EXTEND_NUM_LET: _ALPHANUMERIC | _KATAKANA | 1 << EXTEND_NUM_LET,
    KATAKANA: _KATAKANA | 1 << EXTEND_NUM_LET,
    HIRAGANA: 1 << HIRAGANA | 1 << LONG,
    HAN: 1 << HAN,
    OTHER_LETTER: 1 << OTHER_LETTER,
    REGIONAL: 1 << REGIONAL,
}
JOINS = np.array([_JOINS.get(kind, 0) for kind in range(len(WORD_CLASSES))], np.int64)
"""JOINS[kind] >> next & 1: no boundary between the two (rules WB5, WB8 to WB10, WB13 to WB13b, WB15)."""


@jit
def cut_words(
    codes: NDArray[np.int32],
    marks: NDArray[np.uint16],
    offsets: NDArray[np.int64],
    starts: NDArray[np.int32],
    ends: NDArray[np.int32],
    flags: NDArray[np.uint16],
    bounds: NDArray[np.int64],
) -> None:
    """Words of text i: codes[starts[k]:ends[k]] for k from bounds[i] to bounds[i + 1]; measure.py says what a word is.

    flags[k]: the marks of all its characters in one.
    """
    longest = 1
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    begins, stops, n = np.empty(longest + 1, np.int32), np.empty(longest + 1, np.int32), 0
    for text in range(len(offsets) - 1):
        at, last = offsets[text], offsets[text + 1]
        n_runs = _runs(marks, at, last, begins, stops)
        for run in range(n_runs):
            at, stop = max(at, int64(begins[run])), int64(stops[run])
            while at < stop:
                flag = marks[np.uint64(at)]
                kind = int64(flag & WORD_CLASS_MASK)
                joins, end = JOINS[np.uint64(kind)], stop
                if joins == 0 or kind == REGIONAL:
                    end = at + 1
                    while joins == 0 and end < last and codes[end] == codes[at]:
                        end += 1
                # Nine words of ten end here: no call for them.
                step = int64(marks[np.uint64(end)] & WORD_CLASS_MASK) if end < last else SPACE
                if step >= EXTEND or joins >> step & 1 or kind == LONG:
                    begin, end = end, _word_end(codes, marks, at, end, last)
                    for k in range(begin, end):
                        flag |= marks[k]
                starts[n], ends[n], flags[n] = at, end, flag
                n, at = n + 1, end
        bounds[text + 1] = n


@jit
def _runs(marks: NDArray[np.uint16], first: int, last: int, begins: NDArray[np.int32], stops: NDArray[np.int32]) -> int:
    """Where runs of equal marks begin and stop, but for white space; how many there are.

    Without a branch: where a word ends is what a processor does not foresee.
    """
    n_begins, n_stops, before, solid_before = int64(0), int64(0), np.uint16(SPACE), False
    for k in range(first, last):
        mark = marks[k]
        solid, changes = mark & WORD_CLASS_MASK != SPACE, mark != before
        begins[n_begins] = k
        stops[n_stops] = k
        n_begins += changes & solid
        n_stops += changes & solid_before
        before, solid_before = mark, solid
    stops[n_stops] = last
    return n_begins


@jit
def flag_words(
    marks: NDArray[np.uint16],
    starts: NDArray[np.int32],
    ends: NDArray[np.int32],
    n: int,
    flags: NDArray[np.uint16],
) -> None:
    """flags[k] of n words that were cut elsewhere."""
    for k in range(n):
        flag = np.uint16(0)
        for at in range(starts[k], ends[k]):
            flag |= marks[at]
        flags[k] = flag


@jit
def _word_end(codes: NDArray[np.int32], marks: NDArray[np.uint16], first: int, end: int, last: int) -> int:
    """Where the word ends that begins at `first` and reaches `end` at least."""
    kind = int64(marks[end - 1] & WORD_CLASS_MASK)
    kind = KATAKANA if kind == LONG else kind
    if JOINS[kind] == 0:
        while end < last and codes[end] == codes[first]:
            end += 1
    while end < last:
        step = int64(marks[end] & WORD_CLASS_MASK)
        if step == EXTEND or step == ZWJ:
            picture = step == ZWJ and end + 1 < last and marks[end + 1] & WORD_CLASS_MASK == PICTURE
            end, kind = (end + 2, PICTURE) if picture else (end + 1, kind)
        elif JOINS[kind] >> step & 1:
            # ー leaves the script as it is; two regional indicators are a flag, a third begins the next one.
            kind = (HIRAGANA if kind == HIRAGANA else KATAKANA) if step == LONG else step
            end, kind = end + 1, SYMBOL if step == REGIONAL else kind
        else:
            behind = end + 1
            while behind < last and (
                marks[behind] & WORD_CLASS_MASK == EXTEND or marks[behind] & WORD_CLASS_MASK == ZWJ
            ):
                behind += 1
            follower = int64(marks[behind] & WORD_CLASS_MASK) if behind < last else SPACE
            if _bridges(kind, step, follower):
                end, kind = behind + 1, follower
            elif kind == HEBREW and step == SINGLE_QUOTE:
                end, kind = end + 1, SINGLE_QUOTE
            else:
                break
    return end


@jit
def _bridges(kind: int, step: int, follower: int) -> bool:
    """`step` stands between two parts of one word (WB6, WB7, WB7b, WB7c, WB11, WB12)."""
    quote = step == MID_NUM_LET or step == SINGLE_QUOTE
    if kind == LETTER or kind == HEBREW:
        if step == DOUBLE_QUOTE:
            return kind == HEBREW and follower == HEBREW
        return (step == MID_LETTER or quote) and (follower == LETTER or follower == HEBREW)
    return kind == NUMERIC and (step == MID_NUM or quote) and follower == NUMERIC


@jit
def cut_spaces(
    codes: NDArray[np.int32],
    marks: NDArray[np.uint16],
    offsets: NDArray[np.int64],
    starts: NDArray[np.int32],
    ends: NDArray[np.int32],
    bounds: NDArray[np.int64],
) -> None:
    """As cut_words without the flags, for words as str.split() cuts them."""
    n = 0
    for text in range(len(offsets) - 1):
        at, last = offsets[text], offsets[text + 1]
        while at < last:
            if marks[at] & WORD_CLASS_MASK == SPACE:
                at += 1
                continue
            end = at + 1
            while end < last and marks[end] & WORD_CLASS_MASK != SPACE:
                end += 1
            starts[n], ends[n] = at, end
            n, at = n + 1, end
        bounds[text + 1] = n
