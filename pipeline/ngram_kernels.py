"""Words, and n-grams of words and characters that stand more than once, without strings and without wrong matches.

An n-gram can only repeat where both (n-1)-grams inside it repeat. So each order looks only at places the order before
left over, and names an n-gram by the numbers of its two (n-1)-grams: 9 orders cost about 3 passes, and equal numbers
mean equal n-grams (words themselves are told apart by 64-bit hashes).
"""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import jit
from .unicode_table import CATEGORY_MASK, LETTER, MARK, NUMBER, SCRIPT_SHIFT, SPACE_BIT

__all__ = ["CHAR_COUNTS", "STOP_WORDS", "WORD_COUNTS", "count_ngrams", "word_hash"]

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
"""Gopher's (Rae et al. 2021, arXiv:2112.11446, A1.1)."""

WORD_COUNTS = (
    *("words", "plain_words", "plain_word_chars", "alpha_words", "stop_words"),
    *(f"top_word_{n}gram_chars" for n in (2, 3, 4)),
    *(f"dup_word_{n}gram_chars" for n in range(5, 11)),
)
CHAR_COUNTS = tuple(f"{part}_char_{n}grams" for n in range(2, 11) for part in ("all", "top", "distinct", "dup"))
"""Of each order: n-grams, times the most frequent stands, distinct ones, distinct ones that stand more than once."""

WORDS, PLAIN_WORDS, PLAIN_WORD_CHARS, ALPHA_WORDS, STOP_WORDS_SEEN, TOP_WORD, DUP_WORD = 0, 1, 2, 3, 4, 5, 8
CHAR_NGRAMS = len(WORD_COUNTS)
LONGEST = 10

APOSTROPHE, QUOTE, STOP, COMMA, LONG_VOWEL, HALF_LONG_VOWEL = 0x27, 0x2019, 0x2E, 0x2C, 0x30FC, 0xFF70

BASE = np.uint64(0x9E3779B97F4A7C15)


@jit
def word_hash(codes: NDArray[np.int32]) -> np.uint64:
    """64-bit hash of a word."""
    value = np.uint64(len(codes))
    for k in range(len(codes)):
        value = (value + np.uint64(codes[k]) + np.uint64(1)) * BASE
        value ^= value >> np.uint64(29)
    return value


@jit
def count_ngrams(
    codes: NDArray[np.int32],
    classes: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    stops: NDArray[np.uint64],
    counts: NDArray[np.int64],
) -> None:
    """Fill counts[text, :] (WORD_COUNTS, then CHAR_COUNTS) for every text; `stops`: the hashes of the stop words."""
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    places, names = np.empty(longest + 1, np.int32), np.empty(longest + 1, np.int32)
    starts, ends, hashes = np.empty(longest, np.int32), np.empty(longest, np.int32), np.empty(longest, np.uint64)
    for text in range(len(offsets) - 1):
        part, kinds = codes[offsets[text] : offsets[text + 1]], classes[offsets[text] : offsets[text + 1]]
        n = _words(part, kinds, stops, starts, ends, hashes, counts[text])
        _word_ngrams(starts, ends, hashes, n, places, names, counts[text])
        _char_ngrams(part, places, names, counts[text, CHAR_NGRAMS:])


@jit
def _word_end(codes: NDArray[np.int32], classes: NDArray[np.uint8], at: int) -> int:
    """Where the word that begins at `at` ends; measure.py says what a word is."""
    kind = classes[at] & CATEGORY_MASK
    end, n = at + 1, len(codes)
    if kind != LETTER and kind != NUMBER and kind != MARK:
        while end < n and codes[end] == codes[at]:
            end += 1
        return end
    script = classes[at] >> SCRIPT_SHIFT & 3
    while end < n:
        kind, code = classes[end] & CATEGORY_MASK, codes[end]
        inside = kind == MARK or code == LONG_VOWEL or code == HALF_LONG_VOWEL
        if inside or ((kind == LETTER or kind == NUMBER) and classes[end] >> SCRIPT_SHIFT & 3 == script):
            end += 1
            continue
        if script or end + 1 == n or classes[end + 1] >> SCRIPT_SHIFT & 3:
            return end
        kind = classes[end + 1] & CATEGORY_MASK
        digits = kind == NUMBER and classes[end - 1] & CATEGORY_MASK == NUMBER
        joins = code == APOSTROPHE or code == QUOTE or code == STOP or (code == COMMA and digits)
        if not joins or (kind != LETTER and kind != NUMBER):
            return end
        end += 2
    return end


@jit
def _words(
    codes: NDArray[np.int32],
    classes: NDArray[np.uint8],
    stops: NDArray[np.uint64],
    starts: NDArray[np.int32],
    ends: NDArray[np.int32],
    hashes: NDArray[np.uint64],
    out: NDArray[np.int64],
) -> int:
    """Cut into words: their places and hashes, and Gopher's counts over them."""
    n, at, seen = 0, 0, 0
    while at < len(codes):
        if classes[at] & SPACE_BIT:
            at += 1
            continue
        end, alpha, plain = _word_end(codes, classes, at), False, False
        for k in range(at, end):
            kind = classes[k] & CATEGORY_MASK
            alpha |= kind == LETTER
            plain |= kind == LETTER or kind == NUMBER or kind == MARK
        starts[n], ends[n], hashes[n] = at, end, word_hash(codes[at:end])
        out[ALPHA_WORDS] += alpha
        out[PLAIN_WORDS] += plain
        out[PLAIN_WORD_CHARS] += end - at if plain else 0
        if alpha and end - at <= 4:
            for k in range(len(stops)):
                seen |= (hashes[n] == stops[k]) << k
        n, at = n + 1, end
    out[WORDS] = n
    for k in range(len(stops)):
        out[STOP_WORDS_SEEN] += seen >> k & 1
    return n


@jit
def _number(keys: NDArray[np.uint64], n: int, names: NDArray[np.int32], tally: NDArray[np.int32]) -> int:
    """names[k]: number of keys[k] in order of first appearance; tally[number]: times it stands. Returns how many."""
    bits = 2
    while 1 << bits < 2 * n:
        bits += 1
    table, numbers = np.zeros(1 << bits, np.uint64), np.empty(1 << bits, np.int32)
    mask, shift, found = (1 << bits) - 1, np.uint64(64 - bits), 0
    for k in range(n):
        key = keys[k] + np.uint64(1)
        place = np.int64(((key ^ (key >> np.uint64(32))) * BASE) >> shift)
        while table[place] != 0 and table[place] != key:
            place = (place + 1) & mask
        if table[place] == 0:
            table[place], numbers[place], tally[found] = key, found, 0
            found += 1
        names[k] = numbers[place]
        tally[names[k]] += 1
    return found


@jit
def _refine(
    places: NDArray[np.int32], names: NDArray[np.int32], n: int, keys: NDArray[np.uint64], tally: NDArray[np.int32]
) -> tuple[int, int, int, int]:
    """From the repeated (n-1)-grams to the repeated n-grams, in place.

    Returns how many places are left, how many distinct n-grams stand there, and of the most frequent one (the earliest
    of them) how often it stands and its first place; 1 and 0 where none repeats.
    """
    pairs = 0
    for k in range(n - 1):
        if places[k + 1] == places[k] + 1:
            keys[pairs] = np.uint64(names[k]) << np.uint64(32) | np.uint64(names[k + 1])
            places[pairs] = places[k]
            pairs += 1
    found = _number(keys, pairs, names, tally)
    repeated = 0
    for number in range(found):
        repeated += tally[number] > 1
    left, top, top_place = 0, 1, 0
    for k in range(pairs):
        times = tally[names[k]]
        if times > 1:
            if times > top:
                top, top_place = times, places[k]
            places[left], names[left] = places[k], names[k]
            left += 1
    return left, repeated, top, top_place


@jit
def _char_ngrams(
    codes: NDArray[np.int32], places: NDArray[np.int32], names: NDArray[np.int32], out: NDArray[np.int64]
) -> None:
    """Counts of character n-grams, 2 to 10."""
    left = len(codes)
    for k in range(left):
        places[k], names[k] = k, codes[k]
    keys, tally = np.empty(left, np.uint64), np.empty(left, np.int32)
    for n in range(2, LONGEST + 1):
        total = max(len(codes) - n + 1, 0)
        left, repeated, top, _ = _refine(places, names, left, keys, tally)
        at = 4 * (n - 2)
        out[at], out[at + 1], out[at + 2], out[at + 3] = total, min(top, total), total - left + repeated, repeated


@jit
def _copied_chars(
    places: NDArray[np.int32],
    names: NDArray[np.int32],
    left: int,
    n: int,
    seen: NDArray[np.int32],
    lengths: NDArray[np.int64],
) -> int:
    """Characters of n-grams seen before, going on behind each hit, as datatrove reads Gopher."""
    for k in range(left):
        seen[names[k]] = 0
    chars, at = 0, 0
    for k in range(left):
        if places[k] < at:
            continue
        if seen[names[k]]:
            chars += lengths[places[k] + n] - lengths[places[k]]
            at = places[k] + n
        seen[names[k]] = 1
    return chars


@jit
def _word_ngrams(
    starts: NDArray[np.int32],
    ends: NDArray[np.int32],
    hashes: NDArray[np.uint64],
    n_words: int,
    places: NDArray[np.int32],
    names: NDArray[np.int32],
    out: NDArray[np.int64],
) -> None:
    """Characters of the most frequent 2- to 4-gram of words and of copied 5- to 10-grams."""
    lengths = np.zeros(n_words + 1, np.int64)
    for k in range(n_words):
        lengths[k + 1] = lengths[k] + ends[k] - starts[k]
    tally, keys = np.empty(n_words, np.int32), np.empty(n_words, np.uint64)
    _number(hashes, n_words, names, tally)
    left = 0
    for k in range(n_words):
        if tally[names[k]] > 1:
            places[left], names[left] = k, names[k]
            left += 1
    for n in range(2, LONGEST + 1):
        left, _, top, first = _refine(places, names, left, keys, tally)
        if n <= 4 and n_words >= n:
            # Words are joined with spaces, which datatrove counts as characters of the n-gram.
            out[TOP_WORD + n - 2] = top * (lengths[first + n] - lengths[first] + n - 1)
        if n >= 5:
            out[DUP_WORD + n - 5] = _copied_chars(places, names, left, n, tally, lengths)
