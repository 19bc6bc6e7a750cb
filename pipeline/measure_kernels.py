"""What signals look at: marks of code points, sums that hash any stretch at once, places to stop at; and characters.

The hash of codes[a:b] is sums[b] - sums[a] * powers[b - a], a polynomial of 64 bits: lines, sentences and words are
told apart for the price of one pass, whatever of them is asked.
"""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import int64, jit
from .unicode_table import (
    BROKEN_BIT,
    CATEGORY_MASK,
    EVENT_BIT,
    JAPANESE_BIT,
    LETTER,
    NUMBER,
    PUNCTUATION,
    SCRIPT_SHIFT,
    SPACE_BIT,
    SPECIAL_BIT,
    SYMBOL,
)

__all__ = ["BASE", "CHARACTER_COUNTS", "count_characters", "power_table", "prepare"]

CHARACTER_COUNTS = (
    *("chars", "letters", "digits", "punctuation", "symbols", "spaces", "hiragana", "katakana", "kanji"),
    *("swallow_hiragana", "swallow_katakana", "swallow_kanji", "swallow_japanese"),
    *("hashes", "ellipses", "newlines", "kutens", "curlies", "special_chars", "broken_chars"),
    *("longest_run", "kana_first_50", "ja_stop_chars", "lorem_ipsums"),
)
"""What is counted of characters, in the order of a row."""

CHARS, LETTERS, DIGITS, PUNCTUATIONS, SYMBOLS, SPACES, HIRAGANA, KATAKANA, KANJI = range(9)
SWALLOW_HIRAGANA, SWALLOW_KATAKANA, SWALLOW_KANJI, SWALLOW_JAPANESE, HASHES, ELLIPSES, NEWLINES = range(9, 16)
KUTENS, CURLIES, SPECIALS, BROKENS, LONGEST_RUN, KANA_FIRST_50, JA_STOP_CHARS, LOREM_IPSUMS = range(16, 24)

BASE = np.uint64(0x9E3779B97F4A7C15)
"""Odd multiplier of the polynomial hashes: 2^64 over the golden ratio."""

_STOPS = "のにをはたてがとで年し・月れさ"
STOP_BITS = np.array([1 << _STOPS.index(chr(c)) if chr(c) in _STOPS else 0 for c in range(0x3000, 0x3100)], np.int64)
YEAR_BIT, MONTH_BIT, N_STOPS = 1 << _STOPS.index("年"), 1 << _STOPS.index("月"), len(_STOPS)
"""FineWeb-2's stop words of Japanese, each one character (fineweb-2 configs/jpn_Jpan.yml)."""
LOREM = np.array([ord(c) for c in "lorem ipsum"], np.int32)
WESTERN = np.array([ord(c) for c in "€‚ƒ„…†‡ˆ‰Š‹Œ‘’“”•–—˜™š›œ"], np.int32)
"""What bytes 0x80 to 0x9C of UTF-8 become when read as Windows-1252."""


@jit
def power_table(n: int) -> NDArray[np.uint64]:
    """BASE to the powers 0 to n."""
    powers = np.ones(n + 1, np.uint64)
    for k in range(n):
        powers[k + 1] = powers[k] * BASE
    return powers


@jit
def prepare(
    codes: NDArray[np.int32],
    table: NDArray[np.uint16],
    offsets: NDArray[np.int64],
    marks: NDArray[np.uint16],
    sums: NDArray[np.uint64],
    events: NDArray[np.int32],
    event_bounds: NDArray[np.int64],
) -> None:
    """Fill marks and sums (one longer than codes); events of text i: places from event_bounds[i] to [i + 1].

    An event is a line break, a mark that may end a sentence, a bracket, a colon or an @.
    """
    value, at, n = np.uint64(0), 0, len(codes)
    square = BASE * BASE
    cube, fourth = square * BASE, square * square
    sums[0] = 0
    # Four at a time: each sum waits for the one four places before, not for its neighbour.
    while at + 4 <= n:
        one, two = np.uint64(codes[at]), np.uint64(codes[at + 1])
        two += one * BASE
        three = two * BASE + np.uint64(codes[at + 2])
        four = three * BASE + np.uint64(codes[at + 3])
        sums[at + 1], sums[at + 2], sums[at + 3] = value * BASE + one, value * square + two, value * cube + three
        value = value * fourth + four
        sums[at + 4] = value
        at += 4
    while at < n:
        value = value * BASE + np.uint64(codes[at])
        at += 1
        sums[at] = value
    for k in range(n):
        marks[k] = table[np.uint32(codes[k])]
    filled = 0
    for text in range(len(offsets) - 1):
        for k in range(offsets[text], offsets[text + 1]):
            events[filled] = k
            filled += marks[k] & EVENT_BIT != 0
        event_bounds[text + 1] = filled


@jit
def count_characters(
    codes: NDArray[np.int32],
    classes: NDArray[np.uint8],
    marks: NDArray[np.uint16],
    offsets: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Fill counts[text, :] (CHARACTER_COUNTS) for every text."""
    histogram = np.empty(1024, np.int64)
    for text in range(len(offsets) - 1):
        first, last = offsets[text], offsets[text + 1]
        part, out = codes[first:last], counts[text]
        _classes(classes[first:last], histogram, out)
        _single(part, marks[first:last], out)
        out[LONGEST_RUN] = _longest_run(part)
        for k in range(min(50, last - first)):
            out[KANA_FIRST_50] += 0x3041 <= part[k] <= 0x3093 or 0x30A1 <= part[k] <= 0x30F3


@jit
def _classes(classes: NDArray[np.uint8], histogram: NDArray[np.int64], out: NDArray[np.int64]) -> None:
    """Characters by category and script."""
    for value in range(1024):
        histogram[value] = 0
    # Four histograms: neighbours are often alike, and a count waits for the same count before it.
    n, k = len(classes), 0
    while k + 4 <= n:
        histogram[classes[k]] += 1
        histogram[256 + int64(classes[k + 1])] += 1
        histogram[512 + int64(classes[k + 2])] += 1
        histogram[768 + int64(classes[k + 3])] += 1
        k += 4
    while k < n:
        histogram[classes[k]] += 1
        k += 1
    out[CHARS] = len(classes)
    for value in range(256):
        n = histogram[value] + histogram[256 + value] + histogram[512 + value] + histogram[768 + value]
        category, script = value & CATEGORY_MASK, value >> SCRIPT_SHIFT & 3
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
def _single(codes: NDArray[np.int32], marks: NDArray[np.uint16], out: NDArray[np.int64]) -> None:
    """Characters of one kind each; the loops are short for the compiler to take many characters at once."""
    hashes, newlines, kutens, curlies, ellipses, largest = 0, 0, 0, 0, 0, np.int32(0)
    for k in range(len(codes)):
        hashes += codes[k] == 0x23
        newlines += codes[k] == 0x0A
        kutens += codes[k] == 0x3002
        curlies += codes[k] == 0x7B
        ellipses += codes[k] == 0x2026
        largest = max(largest, codes[k])
    leads, dots, lorems = 0, 0, 0
    for k in range(len(codes) - 2):
        code = codes[k]
        leads += (code == 0xC3) | (code == 0xC2) | (code == 0xE3) | (code == 0xE2)
        dots += (code == 0x2E) & (codes[k + 1] == 0x2E) & (codes[k + 2] == 0x2E)
    for k in range(len(codes) - 10):
        lorems += (codes[k] | 0x20 == 0x6C) & (codes[k + 4] | 0x20 == 0x6D) & (codes[k + 6] | 0x20 == 0x69)
    # What is rare is counted exactly only where there may be some.
    if leads or len(codes) < 3:
        _western(codes, out)
    if dots:
        ellipses += _ellipses(codes)
    if lorems:
        out[LOREM_IPSUMS] = _lorem_ipsums(codes)
    specials, brokens = 0, 0
    for k in range(len(marks)):
        specials += marks[k] & SPECIAL_BIT != 0
        brokens += marks[k] & BROKEN_BIT != 0
    out[HASHES], out[NEWLINES], out[KUTENS], out[CURLIES], out[ELLIPSES] = hashes, newlines, kutens, curlies, ellipses
    out[SPECIALS], out[BROKENS] = specials, brokens
    seen = 0
    if largest >= 0x3000:
        for k in range(len(codes)):
            if 0x3000 <= codes[k] < 0x3100:
                seen |= STOP_BITS[codes[k] - 0x3000]
            elif codes[k] == 0x5E74 or codes[k] == 0x6708:
                seen |= YEAR_BIT if codes[k] == 0x5E74 else MONTH_BIT
    for stop in range(N_STOPS):
        out[JA_STOP_CHARS] += seen >> stop & 1


@jit
def _western(codes: NDArray[np.int32], out: NDArray[np.int64]) -> None:
    """Kana and Latin letters that UTF-8 leaves when read as Windows-1252: a lead and what follows it."""
    for k in range(len(codes) - 1):
        lead = codes[k]
        if lead == 0xC3 or lead == 0xC2 or lead == 0xE3 or lead == 0xE2:
            follower = codes[k + 1]
            found = 0x80 <= follower <= 0xBF
            for value in WESTERN:
                found |= follower == value
            # A C1 control counts as broken already.
            out[BROKENS] += (1 if follower < 0xA0 else 2) if found else 0


@jit
def _longest_run(codes: NDArray[np.int32]) -> int:
    """The longest run of one character; leaps as far as the best so far."""
    n, twos, threes, fours = len(codes), 0, 0, 0
    # Most texts have no run of four but a heading's rule: the compiler takes many characters at once to find that out.
    for k in range(n - 3):
        two = codes[k] == codes[k + 1]
        three = two & (codes[k + 1] == codes[k + 2])
        twos, threes, fours = twos + two, threes + three, fours + (three & (codes[k + 2] == codes[k + 3]))
    best = min(1, n) + (twos > 0) + (threes > 0) + (fours > 0)
    at = 0 if fours else max(n - 4, 0)
    while at + best < n:
        back = at + best
        while back > at and codes[back] == codes[back - 1]:
            back -= 1
        if back > at:
            at = back
            continue
        end = at + best + 1
        while end < n and codes[end] == codes[at]:
            end += 1
        best, at = end - at, end
    return best


@jit
def _ellipses(codes: NDArray[np.int32]) -> int:
    """Three full stops in a row, as str.count finds them."""
    n, run = 0, 0
    for k in range(len(codes)):
        run = run + 1 if codes[k] == 0x2E else 0
        if run == 3:
            n, run = n + 1, 0
    return n


@jit
def _lorem_ipsums(codes: NDArray[np.int32]) -> int:
    """lorem ipsum in either case, as str.count finds it."""
    n = 0
    at = 0
    while at + len(LOREM) <= len(codes):
        if codes[at] | 0x20 != LOREM[0] or codes[at + 4] | 0x20 != LOREM[4]:
            at += 1
            continue
        same = 0
        for k in range(len(LOREM)):
            code = codes[at + k]
            same += (code | 0x20 if 0x41 <= code <= 0x5A else code) == LOREM[k]
        n += same == len(LOREM)
        at += len(LOREM) if same == len(LOREM) else 1
    return n
