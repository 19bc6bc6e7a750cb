"""Texts in, their lines out: where each stands and what it is made of; and lines to be cut, as edits."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .edits import Spans

__all__ = ["Lines", "cut_lines", "line_strings", "runs", "split_lines"]


class Lines(NamedTuple):
    """The lines of texts that are not blank, without white space at their ends, in order.

    `text` is the number of the text; `start`, `end` its code points and `byte_start`, `byte_end` its bytes, from the
    text's beginning; `breaks` the newlines before the line; `from_start` and `from_end` the lines before and behind it
    in its text. Counts: `chars`, `words` (runs without white space), `longest_word` (characters), `letters` (Unicode
    L), `capitals` (Latin-1, Greek, Cyrillic and full-width ones), `digits` (Unicode N), `plain` (letters, marks and
    digits), `japanese` (kana and kanji).
    """

    text: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    byte_start: NDArray[np.int64]
    byte_end: NDArray[np.int64]
    chars: NDArray[np.int64]
    words: NDArray[np.int64]
    longest_word: NDArray[np.int64]
    letters: NDArray[np.int64]
    capitals: NDArray[np.int64]
    digits: NDArray[np.int64]
    plain: NDArray[np.int64]
    japanese: NDArray[np.int64]
    breaks: NDArray[np.int64]
    from_start: NDArray[np.int64]
    from_end: NDArray[np.int64]
    lengths: NDArray[np.int64]
    """Code points of every text, not of every line."""


def split_lines(texts: pa.Array) -> Lines:
    """The lines of a large_string array; a null text has none.

    >>> lines = split_lines(pa.array(["a b\\n\\n 精米 ", None], pa.large_string()))
    >>> lines.start.tolist(), lines.end.tolist(), lines.words.tolist(), lines.from_end.tolist()
    ([0, 6], [3, 8], [2, 1], [1, 0])
    """
    from .line_kernels import COUNTS, measure_lines
    from .text_kernels import slices

    found, counts, lengths = [np.empty(0, np.int64)], [np.empty((0, len(COUNTS)), np.int64)], [np.empty(0, np.int64)]
    for part in slices(texts):
        text, count = measure_lines(part.codes, part.classes, part.offsets)
        found.append(text + part.first)
        counts.append(count)
        lengths.append(np.diff(part.offsets))
    text, columns = np.concatenate(found), np.concatenate(counts).T
    length = np.concatenate(lengths)
    lines_of = np.bincount(text, minlength=len(length))
    ends = np.cumsum(lines_of)
    where = np.arange(len(text))
    measured = {name: np.ascontiguousarray(column) for name, column in zip(COUNTS, columns, strict=True)}
    from_start = where - (ends - lines_of)[text]
    return Lines(text, **measured, from_start=from_start, from_end=ends[text] - 1 - where, lengths=length)


def line_strings(texts: pa.Array, lines: Lines, chosen: NDArray[np.int64]) -> pa.Array:
    """The chosen lines (places in `lines`) as large_string.

    >>> texts = pa.array(["a b\\n\\n 精米 "], pa.large_string())
    >>> line_strings(texts, split_lines(texts), np.array([1])).to_pylist()
    ['精米']
    """
    from .edits import text_buffers
    from .line_kernels import gather

    data, offsets = text_buffers(texts)
    base = offsets[lines.text[chosen]]
    out, ends = gather(data, base + lines.byte_start[chosen], base + lines.byte_end[chosen])
    return pa.Array.from_buffers(pa.large_string(), len(chosen), [None, pa.py_buffer(ends), pa.py_buffer(out)])


def cut_lines(lines: Lines, cut: NDArray[np.bool_]) -> Spans:
    """The spans that take the marked lines away, one a line; what stays keeps its paragraphs apart.

    >>> texts = pa.array(["a\\n\\nmenu\\nb"], pa.large_string())
    >>> spans = cut_lines(split_lines(texts), np.array([False, True, False]))
    >>> spans.start.tolist(), spans.end.tolist()  # "a\\n\\nb" is left
    ([3], [8])
    """
    from .line_kernels import cut_spans

    begins, stops = cut_spans(lines.text, lines.start, lines.end, lines.breaks, cut, lines.lengths)
    return Spans(lines.text[cut], begins[cut], stops[cut], pa.array([""] * int(cut.sum()), pa.string()))


def runs(lines: Lines, marked: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last (places in `lines`) of every run of adjacent marked lines of one text."""
    before = np.concatenate([[False], marked[:-1] & (lines.text[1:] == lines.text[:-1])]) if len(marked) else marked
    firsts = np.flatnonzero(marked & ~before)
    behind = np.concatenate([before[1:] & marked[1:], [False]]) if len(marked) else marked
    return firsts, np.flatnonzero(marked & ~behind)
