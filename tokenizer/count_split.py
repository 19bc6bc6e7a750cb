"""Texts in; where the `ja-en` split cuts them out: the same pieces as its regular expression, 10 times as fast.

The kernel walks over code points with the alternatives of `split.py` written out; `test_count_split.py` holds it to the
expression. Any other pattern is cut by the expression itself.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import chain
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from . import split_ranges as ranges
from .counts import finder
from .split import DIGITS, NEWLINES_AFTER_SYMBOLS, PHRASE_RUN, SPACE_RUN, SYMBOL_RUN, WORD_RUN, pieces, split_pattern

__all__ = ["Cut", "cut_long", "cutter", "is_japanese"]

Array = NDArray[Any]
Cut = Callable[[list[str]], tuple[Array, Array, Array]]
"""Texts to: UTF-8 of all pieces one after the other, characters of each, pieces up to each text's last."""

OPENER, KANJI, HIRAGANA, KATAKANA, LETTER, MARK, DIGIT, SPACE = (1 << bit for bit in range(8))
TABLES = (
    (OPENER, ranges.OPENERS), (KANJI, ranges.KANJI), (HIRAGANA, ranges.HIRAGANA), (KATAKANA, ranges.KATAKANA),
    (LETTER, ranges.LETTERS), (MARK, ranges.MARKS), (DIGIT, ranges.DIGITS), (SPACE, ranges.SPACES),
)  # fmt: skip
WORDS = KANJI | HIRAGANA | KATAKANA | LETTER | DIGIT
BLANK, APOSTROPHE, CURLY = 0x20, 0x27, 0x2019
LINE_FEED, RETURN = 0xA, 0xD
REACH = 128
"""Characters from a piece's first on that decide where it ends, and some more: the longest has 65, and one is looked
at behind it."""


def cutter(pattern: str) -> Cut:
    """How texts are cut by a pattern.

    >>> data, lengths, ends = cutter(split_pattern())(["白い 雲", "白い"])
    >>> bytes(data).decode(), lengths.tolist(), ends.tolist()
    ('白い 雲白い', [2, 1, 1, 2], [3, 4])
    """
    for digits in DIGITS:
        if pattern == split_pattern(digits):
            return partial(_cut_ja_en, digits=digits)
    return partial(_cut_by, find=finder(pattern))


def cut_long(text: str, pattern: str, cut: Cut, max_chars: int) -> Iterator[tuple[Array, Array, Array]]:
    """What `cut` gives for one text, by and by, from some `max_chars` characters at a time.

    >>> parts = cut_long("白い 雲" * 100, split_pattern(), cutter(split_pattern()), 256)
    >>> [lengths.sum().item() for _, lengths, _ in parts]
    [127, 128, 145]
    """
    if getattr(cut, "func", None) is not _cut_ja_en:
        yield from (cut([piece]) for piece in pieces(text, pattern, max_chars))
        return
    start, max_chars = 0, max(max_chars, 2 * REACH)
    while start < len(text):
        data, lengths, ends = cut([text[start : start + max_chars]])
        if start + max_chars < len(text):
            # The last pieces might end otherwise with what follows; they are cut again.
            ends = np.searchsorted(np.cumsum(lengths), [max_chars - REACH], side="right")
            lengths = lengths[: ends[0]]
        yield data, lengths, ends
        start += int(lengths.sum())


def is_japanese(text: str) -> NDArray[np.bool_]:
    """For each character whether it is kana or kanji.

    >>> is_japanese("「コーヒー a").tolist()
    [False, True, True, True, True, False, False]
    """
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    found: NDArray[np.bool_] = (_kinds()[codes] & (KANJI | HIRAGANA | KATAKANA)) != 0
    return found


def _cut_by(texts: list[str], find: Callable[[str], list[str]]) -> tuple[Array, Array, Array]:
    found = [find(text) for text in texts]
    flat = list(chain.from_iterable(found))
    lengths = np.fromiter(map(len, flat), np.int32, len(flat))
    return np.frombuffer("".join(flat).encode(), np.uint8), lengths, np.cumsum([len(each) for each in found])


def _cut_ja_en(texts: list[str], digits: int) -> tuple[Array, Array, Array]:
    whole = "".join(texts)
    codes = np.frombuffer(whole.encode("utf-32-le"), np.uint32)
    text_ends = np.cumsum([len(text) for text in texts])
    lengths, ends = _cut(codes, _kinds(), text_ends, digits)
    return np.frombuffer(whole.encode(), np.uint8), lengths, ends


@cache
def _kinds() -> NDArray[np.uint8]:
    """The tables each code point stands in, as bits."""
    kinds = np.zeros(0x110000, np.uint8)
    for bit, table in TABLES:
        for item in table.split():
            first, _, last = item.partition("-")
            kinds[int(first, 16) : int(last or first, 16) + 1] |= bit
    return kinds


@numba.njit(cache=True, nogil=True)
def _run(kinds: Array, at: int, end: int, most: int, wanted: int) -> int:
    """End of a run of at most so many code points that stand in one of the tables."""
    end = min(end, at + most)
    while at < end and kinds[at] & wanted:
        at += 1
    return at


@numba.njit(cache=True, nogil=True)
def _newlines(codes: Array, at: int, end: int, most: int) -> int:
    end = min(end, at + most)
    while at < end and (codes[at] == LINE_FEED or codes[at] == RETURN):
        at += 1
    return at


@numba.njit(cache=True, nogil=True)
def _phrase(kinds: Array, at: int, end: int) -> int:
    """End of a Japanese phrase, `at` where none begins."""
    if at >= end:
        return at
    if kinds[at] & KANJI:
        return _run(kinds, _run(kinds, at, end, PHRASE_RUN, KANJI), end, PHRASE_RUN, HIRAGANA)
    if kinds[at] & HIRAGANA:
        return _run(kinds, at, end, 2 * PHRASE_RUN, HIRAGANA)
    if kinds[at] & KATAKANA:
        return _run(kinds, _run(kinds, at, end, PHRASE_RUN, KATAKANA), end, PHRASE_RUN, HIRAGANA)
    return at


@numba.njit(cache=True, nogil=True)
def _contraction(codes: Array, kinds: Array, at: int, end: int) -> int:
    """End of s, t, re, ve, m, ll or d before what is no letter; `at` for none."""
    if at >= end:
        return at
    first = codes[at] | 0x20
    length = 0
    if first == ord("s") or first == ord("t") or first == ord("m") or first == ord("d"):
        length = 1
    elif at + 1 < end:
        second = codes[at + 1] | 0x20
        if (first == ord("r") or first == ord("v")) and second == ord("e"):
            length = 2
        elif first == ord("l") and second == ord("l"):
            length = 2
    behind = at + length
    if length == 0 or codes[at] >= 0x80 or codes[behind - 1] >= 0x80:
        return at
    return at if behind < end and kinds[behind] & (LETTER | MARK) else behind


@numba.njit(cache=True, nogil=True)
def _space(codes: Array, kinds: Array, at: int, end: int) -> int:
    """End of white space: newlines with the blanks before them, or blanks, the last one left to a word behind it."""
    blank = at
    while blank < min(end, at + SPACE_RUN) and kinds[blank] & SPACE and _newlines(codes, blank, end, 1) == blank:
        blank += 1
    behind = _newlines(codes, blank, end, SPACE_RUN)
    if behind > blank:
        return behind
    behind = _run(kinds, at, end, SPACE_RUN, SPACE)
    if behind < end and not kinds[behind] & SPACE and behind > at + 1:
        return behind - 1
    return behind


@numba.njit(cache=True, nogil=True)
def _piece(codes: Array, kinds: Array, at: int, end: int, digits: int) -> int:
    """End of the piece that begins at `at`, by the first alternative that fits."""
    kind, code = kinds[at], codes[at]
    if kind & OPENER:
        behind = _phrase(kinds, at + 1, end)
        if behind > at + 1:
            return behind
    behind = _phrase(kinds, at, end)
    if behind > at:
        return behind
    if code == APOSTROPHE or code == CURLY:
        behind = _contraction(codes, kinds, at + 1, end)
        if behind > at + 1:
            return behind
    symbol = not kind & WORDS and code != LINE_FEED and code != RETURN
    first = at + 1 if symbol else at
    if first < end and kinds[first] & LETTER:
        return _run(kinds, first + 1, end, WORD_RUN - 1, LETTER | MARK)
    if kind & DIGIT:
        return _run(kinds, at, end, digits, DIGIT)
    first = at + 1 if code == BLANK else at
    behind = first
    while behind < min(end, first + SYMBOL_RUN) and not kinds[behind] & (WORDS | SPACE):
        behind += 1
    if behind > first:
        return _newlines(codes, behind, end, NEWLINES_AFTER_SYMBOLS)
    return _space(codes, kinds, at, end)


@numba.njit(cache=True, nogil=True)
def _cut(codes: Array, table: Array, text_ends: Array, digits: int) -> tuple[Array, Array]:
    """Characters of each piece, and pieces up to each text's last."""
    kinds, lengths = np.empty(len(codes), np.uint8), np.empty(len(codes), np.int32)
    for i in range(len(codes)):
        kinds[i] = table[codes[i]]
    ends, at, n_pieces = np.empty(len(text_ends), np.int64), 0, 0
    for text in range(len(text_ends)):
        while at < text_ends[text]:
            behind = _piece(codes, kinds, at, text_ends[text], digits)
            lengths[n_pieces] = behind - at
            n_pieces, at = n_pieces + 1, behind
        ends[text] = n_pieces
    return lengths[:n_pieces], ends
