"""The order of the kernels over a slice of texts, their buffers, and the names of what they count."""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .agreement_kernels import CHAR_COUNTS, count_char_ngrams
from .copy_kernels import COPY_COUNTS, count_copies
from .cut_kernels import cut_spaces, cut_words, flag_words
from .dclm_kernels import DCLM_COUNTS, count_dclm
from .measure_kernels import CHARACTER_COUNTS, count_characters, power_table, prepare
from .ngram_kernels import sort_places
from .pattern_kernels import PATTERN_COUNTS, count_patterns
from .sentence_kernels import SENTENCE_COUNTS, abbreviation_keys, cut_sentences
from .space_kernels import SPACE_COUNTS, count_space_words
from .stretch_kernels import LINE_COUNTS, STRETCHES, count_lines, cut_lines, hash_stretches
from .text_kernels import Slice
from .unicode_table import mark_table
from .word_kernels import JAPANESE_STOP_WORDS, STOP_WORDS, WORD_COUNTS, count_words

__all__ = ["CUT_GROUPS", "GROUP_COUNTS", "Work", "count_slice", "work_for"]


def _copy_names(item: str) -> tuple[str, ...]:
    return tuple(name.format(item) for name in COPY_COUNTS)


_CORE_COUNTS = (
    *CHARACTER_COUNTS,
    *LINE_COUNTS,
    *PATTERN_COUNTS,
    *(name for item in STRETCHES for name in (*_copy_names(item), f"{item}_chars")),
    *SENTENCE_COUNTS,
    *_copy_names("sentences"),
    *_copy_names("ja_lines"),
    *WORD_COUNTS,
    *CHAR_COUNTS,
)
CUT_GROUPS = ("space", "datatrove", "dclm", "sudachi")
GROUP_COUNTS: Mapping[str, tuple[str, ...]] = {
    "core": _CORE_COUNTS,
    "space": tuple(f"space.{name}" for name in (*SPACE_COUNTS, *WORD_COUNTS)),
    "datatrove": tuple(f"datatrove.{name}" for name in WORD_COUNTS),
    "dclm": tuple(f"dclm.{name}" for name in DCLM_COUNTS),
    "sudachi": tuple(f"sudachi.{name}" for name in WORD_COUNTS),
}
"""Names of the counts of each group, in the order `count_slice` fills them."""

HIRAGANA = CHARACTER_COUNTS.index("hiragana")
_BASE = 0x9E3779B97F4A7C15


class Work(NamedTuple):
    """Buffers for slices of up to so many characters and texts; used again from slice to slice."""

    marks: NDArray[np.uint16]
    sums: NDArray[np.uint64]
    events: NDArray[np.int32]
    lines: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    sizes: NDArray[np.int64]
    line_hashes: NDArray[np.uint64]
    line_sizes: NDArray[np.int64]
    starts: NDArray[np.int32]
    ends: NDArray[np.int32]
    flags: NDArray[np.uint16]
    numbers: NDArray[np.int32]
    agree: NDArray[np.uint8]
    copied: NDArray[np.bool_]


def work_for(n_chars: int, n_texts: int) -> Work:
    """Buffers for slices of at most so many characters in so many texts."""
    n_items = n_chars + n_texts + 1
    return Work(
        np.empty(n_chars, np.uint16),
        np.empty(n_chars + 1, np.uint64),
        np.empty(n_chars + 1, np.int32),
        np.empty((n_items, 4), np.int64),
        np.empty(n_items, np.uint64),
        np.empty(n_items, np.int64),
        np.empty(n_items, np.uint64),
        np.empty(n_items, np.int64),
        np.empty(n_chars, np.int32),
        np.empty(n_chars, np.int32),
        np.empty(n_chars, np.uint16),
        np.zeros(0x110000, np.int32),
        np.empty(n_chars, np.uint8),
        np.empty(n_chars, np.bool_),
    )


@lru_cache(maxsize=1)
def _powers(bits: int) -> NDArray[np.uint64]:
    return power_table(1 << bits)


@lru_cache(maxsize=1)
def _stop_keys() -> NDArray[np.uint64]:
    """Hashes of the stop words as count_words makes them."""
    keys = []
    for word in (*STOP_WORDS, *JAPANESE_STOP_WORDS):
        value = 0
        for char in word:
            value = (value * _BASE + ord(char)) % (1 << 64)
        keys.append((value + len(word)) * _BASE % (1 << 64))
    return np.array(keys, np.uint64)


@lru_cache(maxsize=1)
def _abbreviations() -> tuple[NDArray[np.uint64], int]:
    return abbreviation_keys()


def count_slice(
    part: Slice, lang: str, spaced: bool, groups: tuple[str, ...], work: Work, entropy: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Counts of every text of a slice, one row each: GROUP_COUNTS of the core and of `groups`; fills `entropy`."""
    codes, classes, offsets = part.codes, part.classes, part.offsets
    n, n_texts = len(codes), len(offsets) - 1
    marks, sums, powers = work.marks[:n], work.sums[: n + 1], _powers(max(n, 1).bit_length())
    event_bounds, line_bounds = np.zeros(n_texts + 1, np.int64), np.zeros(n_texts + 1, np.int64)
    prepare(codes, mark_table(), offsets, marks, sums, work.events, event_bounds)
    found = [np.zeros((n_texts, len(names)), np.int64) for names in (CHARACTER_COUNTS, LINE_COUNTS, PATTERN_COUNTS)]
    count_characters(codes, classes, marks, offsets, found[0])
    cut_lines(codes, classes, offsets, work.events, event_bounds, work.lines, line_bounds)
    events = (offsets, work.events, event_bounds)
    count_lines(codes, classes, marks, *events, work.lines, line_bounds, spaced, found[0][:, HIRAGANA].copy(), found[1])
    count_patterns(codes, classes, marks, *events, work.lines, line_bounds, spaced, found[2])
    for kind in range(len(STRETCHES)):
        bounds, chars = np.zeros(n_texts + 1, np.int64), np.zeros(n_texts, np.int64)
        hash_stretches(sums, powers, work.lines, line_bounds, kind, work.hashes, work.sizes, bounds, chars)
        found += [_copies(work.hashes, work.sizes, bounds), chars.reshape(-1, 1)]
    found += _sentences(part, marks, sums, powers, events, spaced, work)
    bounds = np.zeros(n_texts + 1, np.int64)
    cut_words(codes, marks, offsets, work.starts, work.ends, work.flags, bounds)
    found.append(_words(sums, powers, work.starts, work.ends, work.flags, bounds))
    ngrams = np.zeros((n_texts, len(CHAR_COUNTS)), np.int64)
    sort_places(codes, offsets, work.numbers, work.agree, work.copied, entropy)
    count_char_ngrams(work.agree, work.copied, offsets, ngrams)
    found.append(ngrams)
    for group in groups:
        found += _cut_group(part, lang, group, marks, sums, powers, work)
    return np.concatenate(found, axis=1)


def _copies(hashes: NDArray[np.uint64], sizes: NDArray[np.int64], bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    counts = np.zeros((len(bounds) - 1, len(COPY_COUNTS)), np.int64)
    count_copies(hashes, sizes, bounds, counts)
    return counts


def _sentences(
    part: Slice,
    marks: NDArray[np.uint16],
    sums: NDArray[np.uint64],
    powers: NDArray[np.uint64],
    events: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]],
    spaced: bool,
    work: Work,
) -> list[NDArray[np.int64]]:
    """SENTENCE_COUNTS, then copies of sentences and of lines of them."""
    counts = np.zeros((len(part.offsets) - 1, len(SENTENCE_COUNTS)), np.int64)
    bounds, line_bounds = np.zeros(len(part.offsets), np.int64), np.zeros(len(part.offsets), np.int64)
    keys, n_never = _abbreviations()
    sentences, lines = (work.hashes, work.sizes, bounds), (work.line_hashes, work.line_sizes, line_bounds)
    cut_sentences(
        *(part.codes, part.classes, marks, sums, powers, *events, keys, n_never, spaced, *sentences, *lines, counts)
    )
    return [counts, _copies(*sentences), _copies(*lines)]


def _words(
    sums: NDArray[np.uint64],
    powers: NDArray[np.uint64],
    starts: NDArray[np.int32],
    ends: NDArray[np.int32],
    flags: NDArray[np.uint16],
    bounds: NDArray[np.int64],
) -> NDArray[np.int64]:
    """WORD_COUNTS of any cut into words."""
    counts = np.zeros((len(bounds) - 1, len(WORD_COUNTS)), np.int64)
    count_words(sums, powers, starts, ends, flags, bounds, _stop_keys(), len(STOP_WORDS), counts)
    return counts


def _cut_group(
    part: Slice,
    lang: str,
    group: str,
    marks: NDArray[np.uint16],
    sums: NDArray[np.uint64],
    powers: NDArray[np.uint64],
    work: Work,
) -> list[NDArray[np.int64]]:
    """The counts of another cut into words."""
    bounds = np.zeros(len(part.offsets), np.int64)
    starts, ends, found = work.starts, work.ends, []
    if group == "space":
        cut_spaces(part.codes, marks, part.offsets, starts, ends, bounds)
        counts = np.zeros((len(bounds) - 1, len(SPACE_COUNTS)), np.int64)
        count_space_words(part.codes, marks, part.offsets, starts, ends, bounds, counts)
        found.append(counts)
    elif group == "dclm":
        cut_words(part.codes, marks, part.offsets, starts, ends, work.flags, bounds)
        counts = np.zeros((len(bounds) - 1, len(DCLM_COUNTS)), np.int64)
        count_dclm(part.codes, part.classes, starts, ends, bounds, counts)
        return [counts]
    elif group == "sudachi":
        from .analyse import cut_analysed

        starts, ends, bounds = cut_analysed(part)
    elif lang == "ja":
        cut_words(part.codes, marks, part.offsets, starts, ends, work.flags, bounds)
    else:
        from .english_tables import english_tables
        from .english_words import cut_english

        tables, n = english_tables(), 0
        for text in range(len(bounds) - 1):
            first, last = part.offsets[text], part.offsets[text + 1]
            codes, classes = part.codes[first:last], part.classes[first:last]
            n_words = cut_english(codes, classes, *tables, starts[n:], ends[n:])
            starts[n : n + n_words] += first
            ends[n : n + n_words] += first
            n += n_words
            bounds[text + 1] = n
    flag_words(marks, starts, ends, bounds[-1], work.flags)
    found.append(_words(sums, powers, starts, ends, work.flags, bounds))
    return found
