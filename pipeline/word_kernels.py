"""Words by the rules of UAX #29 over the tables of unicode_table.py, and n-grams of words without strings.

A word n-gram can only repeat where both (n-1)-grams inside it repeat. So each order looks only at places the order
before left over, and names an n-gram by the numbers of its two (n-1)-grams: 9 orders cost about 3 passes, and equal
numbers mean equal n-grams (single words and pairs are told apart by 64-bit hashes). Any cut into words may be counted.
"""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import int64, jit
from .unicode_table import (
    LETTER_BIT,
    NOT_PUNCTUATION_BIT,
    PLAIN_BIT,
    WORD_CLASS_MASK,
    WORD_CLASSES,
)

__all__ = ["JAPANESE_STOP_WORDS", "STOP_WORDS", "WORD_COUNTS", "count_words", "cut_spaces", "cut_words", "flag_words"]

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

BASE = np.uint64(0x9E3779B97F4A7C15)


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
def _runs(
    marks: NDArray[np.uint16], first: int, last: int, begins: NDArray[np.int32], stops: NDArray[np.int32]
) -> int:
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
