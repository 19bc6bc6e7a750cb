"""Sentences in two readings: Swallow's expression for Japanese, and one that knows quotations and abbreviations.

Only events (measure_kernels.py) are visited, not every character. A sentence never goes beyond its line.
"""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import int64, jit
from .unicode_table import SPACE_BIT, TERMINAL_BIT

__all__ = ["SENTENCE_COUNTS", "abbreviation_keys", "cut_sentences"]

SENTENCE_COUNTS = (
    *("full_sentences", "sentence_chars", "max_sentence_chars", "ellipsis_sentences", "closed_sentences"),
)
FULL_SENTENCES, SENTENCE_CHARS, MAX_SENTENCE_CHARS, ELLIPSIS_SENTENCES, CLOSED_SENTENCES = range(5)
CLOSED_CHARS = 10
"""Least length of a sentence that counts as closed; twice where words stand apart."""

NEWLINE, STOP, ELLIPSIS, MIDDLE_DOT, EXCLAMATION, QUESTION = 0x0A, 0x2E, 0x2026, 0x30FB, 0x21, 0x3F
KUTEN, WIDE_STOP, WIDE_EXCLAMATION, WIDE_QUESTION = 0x3002, 0xFF0E, 0xFF01, 0xFF1F
CLOSERS = np.array([ord(c) for c in "」』）】〕》〉)]\"'”’»"], np.int32)
GOES_ON = np.array([ord(c) for c in "とっのをにがもへや、，"], np.int32)
"""Behind a closing bracket these carry the sentence on: 「行く。」と言った。"""

NEVER = (
    *("Mr", "Mrs", "Ms", "Dr", "Prof", "Rev", "Gen", "Col", "Lt", "Sgt", "Capt", "Cmdr", "Gov", "Sen", "Rep", "Hon"),
    *("St", "Mt", "Ft", "Messrs", "Mme", "Mlle", "Fr", "vs", "Fig", "Figs", "Vol", "Vols", "pp", "cf", "viz", "al"),
    *("Eq", "eg", "ie", "e.g", "i.e", "ca", "approx", "Art", "Sec", "Ch", "Op", "Nos", "Ph.D", "M.D"),
)
"""Abbreviations that end no sentence; nor do single capital letters but I, and those with full stops between (U.S.)."""
SOMETIMES = (
    *("Jr", "Sr", "Inc", "Ltd", "Co", "Corp", "Bros", "Dept", "Univ", "Assn", "Ave", "Blvd", "Rd", "etc", "esp"),
    *("Jan", "Feb", "Mar", "Apr", "Jun", "Jul", "Aug", "Sep", "Sept", "Oct", "Nov", "Dec", "Mon", "Tue", "Wed"),
    *("Thu", "Fri", "Sat", "Sun", "est", "ed", "eds", "trans", "rev", "min", "max", "p", "No"),
)
"""Abbreviations that end one before a capital letter or nothing; so do words with a full stop inside."""
LONGEST_ABBREVIATION = 6
BASE = np.uint64(0x9E3779B97F4A7C15)


def abbreviation_keys() -> tuple[NDArray[np.uint64], int]:
    """Hashes of the abbreviations as sums and powers give them, NEVER first; how many those are.

    >>> keys, n_never = abbreviation_keys()
    >>> len(set(keys.tolist())) == len(keys) > n_never
    True
    """
    keys = []
    for word in (*NEVER, *SOMETIMES):
        value = 0
        for char in word:
            value = (value * int(BASE) + ord(char)) & 0xFFFF_FFFF_FFFF_FFFF
        keys.append(value)
    return np.array(keys, np.uint64), len(NEVER)


@jit
def cut_sentences(
    codes: NDArray[np.int32],
    classes: NDArray[np.uint8],
    marks: NDArray[np.uint16],
    sums: NDArray[np.uint64],
    powers: NDArray[np.uint64],
    offsets: NDArray[np.int64],
    events: NDArray[np.int32],
    event_bounds: NDArray[np.int64],
    abbreviations: NDArray[np.uint64],
    n_never: int,
    spaced: bool,
    hashes: NDArray[np.uint64],
    sizes: NDArray[np.int64],
    bounds: NDArray[np.int64],
    line_hashes: NDArray[np.uint64],
    line_sizes: NDArray[np.int64],
    line_bounds: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Hashes and sizes of sentences, and of lines as lists of them (a line without one is none); SENTENCE_COUNTS.

    `spaced`: words stand apart, a full stop before white space ends a sentence, white space around belongs to none.
    """
    n, n_lines = 0, 0
    for text in range(len(offsets) - 1):
        begin, last, out = offsets[text], offsets[text + 1], counts[text]
        value, size, number = np.uint64(0), 0, event_bounds[text]
        while begin < last or number <= event_bounds[text + 1]:
            # The next place where a sentence or a line ends.
            place = int64(events[number]) if number < event_bounds[text + 1] else last
            number += 1
            if place < begin:
                continue
            end, line_ends = place, place == last or codes[place] == NEWLINE
            if not line_ends:
                # No call for what ends nothing: calls are what costs here.
                if not _ends(codes[place]) and not (spaced and codes[place] == STOP):
                    continue
                end = (
                    place + 1
                    if not spaced
                    else _end(codes, classes, sums, powers, begin, place, last, abbreviations, n_never)
                )
                if end < 0:
                    continue
            first, stop = begin, end
            while first < end and ((spaced and classes[first] & SPACE_BIT) or _ends(codes[first])):
                first += 1
            while spaced and stop > first and classes[stop - 1] & SPACE_BIT:
                stop -= 1
            if stop > first:
                hashes[n], sizes[n] = sums[stop] - sums[first] * powers[stop - first], stop - first
                value, size = (value + hashes[n]) * BASE + np.uint64(1), size + stop - first
                _describe(codes, classes, marks, first, stop, 2 * CLOSED_CHARS if spaced else CLOSED_CHARS, out)
                n += 1
            begin = end + 1 if line_ends else end
            if line_ends and size > 0:
                line_hashes[n_lines], line_sizes[n_lines] = value, size
                n_lines, value, size = n_lines + 1, np.uint64(0), 0
            if place == last:
                break
        bounds[text + 1], line_bounds[text + 1] = n, n_lines
        places = events[event_bounds[text] : event_bounds[text + 1]]
        out[FULL_SENTENCES] = n - bounds[text] if spaced else _full(codes, classes, places, offsets[text], last)


@jit
def _ends(code: int) -> bool:
    """A mark that always ends a sentence in Swallow's reading."""
    if code < 0x80:
        return code == EXCLAMATION or code == QUESTION
    return code == KUTEN or code == WIDE_STOP or code == WIDE_EXCLAMATION or code == WIDE_QUESTION


@jit
def _describe(
    codes: NDArray[np.int32],
    classes: NDArray[np.uint8],
    marks: NDArray[np.uint16],
    first: int,
    last: int,
    closed_chars: int,
    out: NDArray[np.int64],
) -> None:
    """Count one sentence."""
    size = last - first
    out[SENTENCE_CHARS] += size
    out[MAX_SENTENCE_CHARS] = max(out[MAX_SENTENCE_CHARS], size)
    while last > first and classes[last - 1] & SPACE_BIT:
        last -= 1
    if last == first:
        return
    out[ELLIPSIS_SENTENCES] += codes[last - 1] == MIDDLE_DOT or codes[last - 1] == ELLIPSIS
    while last > first and _is_closer(codes[last - 1]):
        last -= 1
    closed = last > first and (marks[last - 1] & TERMINAL_BIT != 0 or codes[last - 1] == ELLIPSIS)
    out[CLOSED_SENTENCES] += closed and size >= closed_chars


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
def _end(
    codes: NDArray[np.int32],
    classes: NDArray[np.uint8],
    sums: NDArray[np.uint64],
    powers: NDArray[np.uint64],
    begin: int,
    place: int,
    last: int,
    abbreviations: NDArray[np.uint64],
    n_never: int,
) -> int:
    """Where the sentence ends that may end with the mark at `place`; -1 where it goes on."""
    code = codes[place]
    end, closed = place + 1, False
    while end < last and (_ends(codes[end]) or codes[end] == STOP):
        end += 1
    single = end == place + 1
    while end < last and _is_closer(codes[end]):
        end, closed = end + 1, True
    wide = code >= 0x80
    if not wide and end < last and not classes[end] & SPACE_BIT:
        return -1
    if code == STOP and single and not closed:
        if _is_abbreviation(codes, classes, sums, powers, begin, place, last, abbreviations, n_never):
            return -1
    return end


@jit
def _is_abbreviation(
    codes: NDArray[np.int32],
    classes: NDArray[np.uint8],
    sums: NDArray[np.uint64],
    powers: NDArray[np.uint64],
    begin: int,
    place: int,
    last: int,
    abbreviations: NDArray[np.uint64],
    n_never: int,
) -> bool:
    """The full stop at `place` belongs to the word before and ends no sentence."""
    first, inner = place, False
    while first > begin and place - first <= LONGEST_ABBREVIATION:
        code = codes[first - 1]
        if code != STOP and not (0x41 <= code <= 0x5A or 0x61 <= code <= 0x7A):
            break
        inner |= code == STOP
        first -= 1
    size = place - first
    if size == 0 or size > LONGEST_ABBREVIATION:
        return False
    if size == 1 and 0x41 <= codes[first] <= 0x5A:
        return bool(codes[first] != 0x49)
    value, found = sums[place] - sums[first] * powers[size], -1
    for k in range(len(abbreviations)):
        if abbreviations[k] == value:
            found = k
    if found < 0 and not inner:
        return False
    if found < 0 and codes[first] <= 0x5A and codes[place - 1] <= 0x5A:
        return True
    if 0 <= found < n_never:
        return True
    at = place + 1
    while (
        at < last and codes[at] != NEWLINE and (classes[at] & SPACE_BIT or _is_closer(codes[at]) or codes[at] == 0x28)
    ):
        at += 1
    if at == last or codes[at] == NEWLINE:
        return False
    return bool(0x61 <= codes[at] <= 0x7A or 0x30 <= codes[at] <= 0x39 or codes[at] == 0x2C)


@jit
def _full(
    codes: NDArray[np.int32], classes: NDArray[np.uint8], places: NDArray[np.int32], begin: int, last: int
) -> int:
    """Sentences of text without spaces: marks and closing brackets behind one belong to it, 「…。」と goes on."""
    n = 0
    for number in range(len(places) + 1):
        place = int64(places[number]) if number < len(places) else last
        if place < begin:
            continue
        end, line_ends = place, place == last or codes[place] == NEWLINE
        if not line_ends:
            if not _ends(codes[place]):
                continue
            end += 1
            while end < last and _ends(codes[end]):
                end += 1
            closed = end
            while closed < last and _is_closer(codes[closed]):
                closed += 1
            if closed > end and closed < last:
                goes_on = False
                for code in GOES_ON:
                    goes_on |= codes[closed] == code
                if goes_on:
                    continue
            end = closed
        text = False
        for k in range(begin, end):
            if not classes[k] & SPACE_BIT and not _ends(codes[k]):
                text = True
                break
        n += text
        begin = end + 1 if line_ends else end
    return n
