"""What words make up, whatever cut them (cut_kernels.py): Gopher's counts, and n-grams of words without strings.

A word n-gram can only repeat where both (n-1)-grams inside it repeat. So each order looks only at places the order
before left over, and names an n-gram by the numbers of its two (n-1)-grams: 9 orders cost about 3 passes, and equal
numbers mean equal n-grams (single words and pairs are told apart by 64-bit hashes).
"""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import int64, jit
from .unicode_table import LETTER_BIT, NOT_PUNCTUATION_BIT, PLAIN_BIT

__all__ = ["JAPANESE_STOP_WORDS", "STOP_WORDS", "WORD_COUNTS", "count_words"]

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
"""Gopher's (Rae et al. 2021, arXiv:2112.11446, A1.1)."""
JAPANESE_STOP_WORDS = tuple("のにをはたてがとで年し・月れさ")
"""FineWeb-2's for Japanese (fineweb-2 configs/jpn_Jpan.yml)."""

WORD_COUNTS = (
    *("words", "plain_words", "plain_word_chars", "alpha_words", "stop_words", "ja_stop_words"),
    *("datatrove_words", "datatrove_word_chars", "word_chars"),
    *(f"top_word_{n}gram_chars" for n in (2, 3, 4)),
    *(f"dup_word_{n}gram_chars" for n in range(5, 11)),
    *(f"top_word_{n}gram_plain_chars" for n in (2, 3, 4)),
    *(f"all_dup_word_{n}gram_chars" for n in range(5, 11)),
    *(f"all_word_{n}gram_chars" for n in range(5, 11)),
)
"""top: joined with spaces, and plain; dup: copies; all_dup: whatever stands more than once."""
WORDS, PLAIN_WORDS, PLAIN_WORD_CHARS, ALPHA_WORDS, STOPS_SEEN, JA_STOPS_SEEN, DT_WORDS, DT_WORD_CHARS = range(8)
WORD_CHARS, TOP_WORD, DUP_WORD, TOP_PLAIN, ALL_DUP_WORD, ALL_WORD = 8, 9, 12, 18, 21, 27
LONGEST = 10

BASE = np.uint64(0x9E3779B97F4A7C15)


@jit
def count_words(
    sums: NDArray[np.uint64],
    powers: NDArray[np.uint64],
    starts: NDArray[np.int32],
    ends: NDArray[np.int32],
    flags: NDArray[np.uint16],
    bounds: NDArray[np.int64],
    stops: NDArray[np.uint64],
    n_gopher: int,
    counts: NDArray[np.int64],
) -> None:
    """Fill counts[text, :] (WORD_COUNTS) for every text; `stops`: hashes of stop words, the first n_gopher Gopher's."""
    longest = 1
    for text in range(len(bounds) - 1):
        longest = max(longest, bounds[text + 1] - bounds[text])
    bits = 2
    while 1 << bits < 2 * longest:
        bits += 1
    table, numbers = np.empty(1 << bits, np.uint64), np.empty(1 << bits, np.int32)
    places, names, tally = np.empty(longest, np.int32), np.empty(longest, np.int32), np.empty(longest, np.int32)
    hashes, lengths = np.empty(longest, np.uint64), np.empty(longest + 1, np.int64)
    keys, sieve = _sieve(stops)
    for text in range(len(bounds) - 1):
        first, last = bounds[text], bounds[text + 1]
        out = counts[text]
        _describe(
            sums,
            powers,
            starts[first:last],
            ends[first:last],
            flags[first:last],
            keys,
            n_gopher,
            sieve,
            hashes,
            lengths,
            out,
        )
        _word_ngrams(hashes, lengths, last - first, places, names, tally, table, numbers, out)


@jit
def _sieve(stops: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """The stop words' hashes from place 1 on, and the place of a hash by its high bits, as many as tell all apart."""
    keys, bits, clash = np.zeros(len(stops) + 1, np.uint64), 7, True
    sieve = np.zeros(1 << bits, np.uint8)
    while clash:
        bits, clash = bits + 1, False
        sieve = np.zeros(1 << bits, np.uint8)
        for k in range(len(stops)):
            keys[k + 1], place = stops[k], stops[k] >> np.uint64(64 - bits)
            clash |= sieve[place] != 0
            sieve[place] = k + 1
    return keys, sieve


@jit
def _describe(
    sums: NDArray[np.uint64],
    powers: NDArray[np.uint64],
    starts: NDArray[np.int32],
    ends: NDArray[np.int32],
    flags: NDArray[np.uint16],
    keys: NDArray[np.uint64],
    n_gopher: int,
    sieve: NDArray[np.uint8],
    hashes: NDArray[np.uint64],
    lengths: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    """Gopher's counts over the words of one text; the words' hashes, and characters up to each."""
    n, plain_words, plain_chars, alpha_words, dt_words, dt_chars, seen = len(starts), 0, 0, 0, 0, 0, 0
    lengths[0], bits = 0, 0
    while 1 << bits < len(sieve):
        bits += 1
    shift = np.uint64(64 - bits)
    # Indices without a sign: numba would ask each of the others whether it counts from the end.
    for k in range(n):
        first, end = np.uint32(starts[k]), np.uint32(ends[k])
        size, flag = int64(end) - int64(first), flags[k]
        plain, dt = flag & PLAIN_BIT != 0, flag & NOT_PUNCTUATION_BIT != 0
        plain_words += plain
        plain_chars += size if plain else 0
        alpha_words += flag & LETTER_BIT != 0
        dt_words += dt
        dt_chars += size if dt else 0
        # The length joins so that no leading NUL is lost; the product spreads what low bits lack over the high ones.
        value = (sums[end] - sums[first] * powers[np.uint64(size)] + np.uint64(size)) * BASE
        hashes[k], lengths[k + 1] = value, lengths[k] + size
        stop = sieve[value >> shift]
        seen |= int64(value == keys[stop]) << int64(stop)
    out[WORDS], out[PLAIN_WORDS], out[PLAIN_WORD_CHARS], out[ALPHA_WORDS] = n, plain_words, plain_chars, alpha_words
    out[DT_WORDS], out[DT_WORD_CHARS], out[WORD_CHARS] = dt_words, dt_chars, lengths[n]
    for number in range(1, len(keys)):
        out[STOPS_SEEN if number <= n_gopher else JA_STOPS_SEEN] += seen >> number & 1


@jit
def _number(
    keys: NDArray[np.uint64],
    n: int,
    names: NDArray[np.int32],
    tally: NDArray[np.int32],
    table: NDArray[np.uint64],
    numbers: NDArray[np.int32],
) -> int:
    """names[k]: number of keys[k] in order of first appearance; tally[number]: times it stands. Returns how many."""
    bits = 2
    while 1 << bits < 2 * n:
        bits += 1
    mask, shift, one, found = np.uint64((1 << bits) - 1), np.uint64(64 - bits), np.uint64(1), 0
    table[: 1 << bits] = 0
    for k in range(n):
        # 0 marks a free place; keys are names below 2^31 in pairs or hashes, for which one value in 2^64 is doubled.
        key = keys[k] + np.uint64(1)
        key += np.uint64(key == 0)
        place = ((key ^ (key >> np.uint64(32))) * BASE) >> shift
        while table[place] != 0 and table[place] != key:
            place = (place + one) & mask
        if table[place] == 0:
            table[place], numbers[place], tally[found] = key, found, 0
            found += 1
        name = numbers[place]
        names[k] = name
        tally[np.uint32(name)] += 1
    return found


@jit
def _keep_repeated(
    places: NDArray[np.int32],
    names: NDArray[np.int32],
    n: int,
    keys: NDArray[np.uint64],
    tally: NDArray[np.int32],
    table: NDArray[np.uint64],
    numbers: NDArray[np.int32],
) -> tuple[int, int, int]:
    """From n-grams to the repeated ones and their names, in place.

    Returns how many places are left, and of the most frequent n-gram (the earliest of them) how often it stands and its
    first place; 1 and 0 where none repeats.
    """
    _number(keys, n, names, tally, table, numbers)
    left, top, top_place = int64(0), int64(1), int64(0)
    for k in range(n):
        name = names[k]
        times = int64(tally[np.uint32(name)])
        if times > top:
            top, top_place = times, int64(places[k])
        # Stored whether it stays or not: which of the two is not foreseen.
        places[left], names[left] = places[k], name
        left += times > 1
    return left, top, top_place


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
    hashes: NDArray[np.uint64],
    lengths: NDArray[np.int64],
    n_words: int,
    places: NDArray[np.int32],
    names: NDArray[np.int32],
    tally: NDArray[np.int32],
    table: NDArray[np.uint64],
    numbers: NDArray[np.int32],
    out: NDArray[np.int64],
) -> None:
    """Characters of the most frequent 2- to 4-gram of words and of copied 5- to 10-grams."""
    # Pairs of words by their hashes at once: numbers of single words are nothing that is asked for.
    pairs = max(n_words - 1, 0)
    for k in range(pairs):
        hashes[k] = (hashes[k] ^ (hashes[k] >> np.uint64(31))) * BASE + hashes[k + 1]
        places[k] = k
    left, top, first = _keep_repeated(places, names, pairs, hashes, tally, table, numbers)
    for n in range(2, LONGEST + 1):
        if n > 2:
            pairs = int64(0)
            for k in range(left - 1):
                if places[k + 1] == places[k] + 1:
                    hashes[pairs] = np.uint64(names[k]) << np.uint64(32) | np.uint64(names[k + 1])
                    places[pairs] = places[k]
                    pairs += 1
            left, top, first = _keep_repeated(places, names, pairs, hashes, tally, table, numbers)
        if n <= 4 and n_words >= n:
            # Words are joined with spaces, which datatrove counts as characters of the n-gram.
            out[TOP_WORD + n - 2] = top * (lengths[first + n] - lengths[first] + n - 1)
            out[TOP_PLAIN + n - 2] = top * (lengths[first + n] - lengths[first])
        if n >= 5 and left:
            out[DUP_WORD + n - 5] = _copied_chars(places, names, left, n, tally, lengths)
            for k in range(left):
                out[ALL_DUP_WORD + n - 5] += lengths[places[k] + n] - lengths[places[k]]
        if n >= 5 and n_words >= n:
            # The sum over all n-grams of lengths[k + n] - lengths[k], but for what stands in both sums.
            for k in range(n):
                out[ALL_WORD + n - 5] += lengths[n_words - k] - lengths[k]
