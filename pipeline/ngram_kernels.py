"""Character n-grams of orders 2 to 10 that stand more than once, exactly, by sorting the places of a text once.

Sorted by the ten characters that begin there, neighbours agree in so many characters, and the numbers of agreement say
everything about every order at once: an order's distinct n-grams are the neighbours that agree in fewer, its repeated
ones the rises from below n to n or more, its most frequent one the longest run of n or more.

Characters become small numbers, several of which fit a 64-bit word. English has some thousand distinct pairs of
characters in a text: five pairs are one word, nothing else is needed. Otherwise a word holds what fits beside the
place, and runs that agree in all of it are sorted by what follows there.
"""

from collections.abc import Callable
from typing import cast

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from .text_kernels import int64, jit

__all__ = ["LONGEST", "sort_places"]

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]
F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
LONGEST = 10
PAIRS = LONGEST // 2
MAX_NAMES = 1 << 14
MAX_PAIRS = 1 << 12  # five of so many distinct pairs of characters fit a 64-bit word
DIGIT_BITS = 11
INSERTION = 24  # longest run that is sorted by insertion
SIEVE_BITS = 15
BASE = np.uint64(0x9E3779B97F4A7C15)
ZERO = int64(0)
"""A literal would make numba compile what is called with it twice."""


def _count_leading_zeros(typing_context, value):  # type: ignore[no-untyped-def]
    """Zero bits above the highest one of a uint64: one instruction, for which numba has no name."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ctlz(arguments[0], context.get_constant(types.boolean, False))

    return types.int64(types.uint64), generate


_leading_zeros = cast(Callable[[object], int], intrinsic(_count_leading_zeros))


@jit
def sort_places(codes: I32, offsets: I64, numbers: I32, agree: U8, copied: Bools, entropies: F64) -> None:
    """Sort the places of every text by the ten characters from there on; numbers of a text begin at its offset.

    agree[k]: characters, ten at most, that the k-th place in order shares with the one before; copied[k]: the ten from
    place k on stand at an earlier place too. `numbers`: zeros, one for each code point, left zero again.
    """
    longest = 1
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    symbols, seen = np.zeros(longest + 2 * LONGEST, np.int32), np.empty(longest + 1, np.int32)
    times = np.empty(longest + 1, np.int32)
    words, spare = np.empty(longest, np.uint64), np.empty(longest, np.uint64)
    grams, table = np.zeros(longest + 2 * LONGEST, np.uint64), np.empty(8, np.uint64)
    digits, sieve = np.empty(PAIRS << 12, np.int32), np.empty(1 << SIEVE_BITS, np.uint8)
    pairs = np.zeros((3, MAX_NAMES), np.int32)
    for text in range(len(offsets) - 1):
        part = codes[offsets[text] : offsets[text + 1]]
        n, near, again = len(part), agree[offsets[text] : offsets[text + 1]], copied[offsets[text] : offsets[text + 1]]
        if n == 0:
            continue
        n_symbols = _symbols(part, numbers, seen, times, symbols)
        entropies[text] = _entropy(n, n_symbols, times)
        for k in range(n, n + 2 * LONGEST):
            symbols[k] = 0
        bits = 1
        while 1 << bits <= n_symbols:
            bits += 1
        # Names of pairs cost one look at every possible pair.
        n_pairs = MAX_PAIRS + 1
        stride = n_symbols + 1
        if stride * stride <= min(MAX_NAMES, 8 * n):
            n_pairs = _pairs(symbols, n, stride, pairs[0], pairs[1], pairs[2])
        if n_pairs <= MAX_PAIRS:
            _sort_pairs(symbols, stride, n_pairs, pairs, words, spare, grams, digits, near)
        else:
            _sort_places(symbols, n, bits, words, spare, grams, digits, near)
        n_copied = 0
        for k in range(n):
            n_copied += near[k] == LONGEST
            again[k] = False
        if n_copied and n_pairs <= MAX_PAIRS:
            while len(table) < 4 * n_copied:
                table = np.empty(2 * len(table), np.uint64)
            _copied_words(words, near, n, grams, n_copied, table, sieve, seen, again)
        elif n_copied:
            _copied_places(words, near, n, again)


@jit
def _symbols(codes: I32, numbers: I32, seen: I32, times: I32, symbols: I32) -> int:
    """Number the distinct characters from 1 on, in order of appearance; times[number]. Returns how many there are."""
    found = 0
    for k in range(len(codes)):
        number = numbers[np.uint32(codes[k])]
        if number == 0:
            seen[found] = codes[k]
            found += 1
            number = found
            numbers[codes[k]], times[number] = number, 0
        symbols[k] = number
        times[np.uint32(number)] += 1
    for k in range(found):
        numbers[seen[k]] = 0
    return found


@jit
def _entropy(n: int, n_symbols: int, times: I32) -> float:
    """Bits a character, were every character drawn by itself."""
    total = 0.0
    for k in range(1, n_symbols + 1):
        total += times[k] * np.log2(times[k])
    return float(np.log2(n) - total / n)


@jit
def _pairs(symbols: I32, n: int, stride: int, names: I32, firsts: I32, times: I32) -> int:
    """names[first * stride + second], from 1 on, in order; firsts[name] of both; times[name]. How many, with 0."""
    stride_u = np.uint32(stride)
    for pair in range(stride * stride):
        names[pair] = 0
    for k in range(n):
        names[np.uint32(symbols[k]) * stride_u + np.uint32(symbols[k + 1])] += 1
    found = int64(1)
    times[0] = 0
    for first in range(1, stride):
        # Without a branch: which pairs there are is not foreseen.
        for pair in range(first * stride, (first + 1) * stride):
            count = names[pair]
            times[found], firsts[found], names[pair] = count, first, found * (count > 0)
            found += count > 0
    return found


@jit
def _sort_digits(words: U64, spare: U64, n: int, low: int, passes: int, width: int, digits: I32) -> bool:
    """Sort words[:n] by `passes` digits of `width` bits from bit `low` on; True when the result stands in `spare`.

    digits[number << width | digit]: how many words have that digit.
    """
    size, width_u, low_u = 1 << width, np.uint64(width), np.uint64(low)
    mask = np.uint64(size - 1)
    for number in range(passes):
        places, total = digits[number * size : (number + 1) * size], 0
        for digit in range(size):
            count = places[digit]
            places[digit] = total
            total += count
        source, target = (spare, words) if number & 1 else (words, spare)
        shift = low_u + np.uint64(number) * width_u
        # Indices without a sign: numba would ask each of the others whether it counts from the end.
        for k in range(n):
            word = source[k]
            place = places[word >> shift & mask]
            target[np.uint32(place)] = word
            places[word >> shift & mask] = place + 1
    return passes & 1 == 1


@jit
def _sort_pairs(
    symbols: I32, stride: int, n_pairs: int, pairs: I32, words: U64, spare: U64, grams: U64, digits: I32, agree: U8
) -> None:
    """Sort all places by five pairs of characters; agree[k]: characters the k-th shares with the one before."""
    n, names, firsts, times = len(agree), pairs[0], pairs[1], pairs[2]
    width = 1
    while 1 << width < n_pairs:
        width += 1
    width_u = np.uint64(width)
    mask = (np.uint64(1) << np.uint64(PAIRS * width)) - np.uint64(1)
    # Every digit is a pair some places behind: the first of them are not met, nothing stands behind the text.
    for number in range(PAIRS):
        ahead = LONGEST - 2 - 2 * number
        for name in range(1 << width):
            digits[number << width | name] = times[name] if name < n_pairs else 0
        for k in range(min(ahead, n)):
            digits[number << width | names[symbols[k] * stride + symbols[k + 1]]] -= 1
        digits[number << width] += min(ahead, n)
    total = 0
    for name in range(1 << width):
        count = digits[name]
        digits[name] = total
        total += count
    small = (np.uint64(1) << width_u) - np.uint64(1)
    # Even and odd places are two chains of pairs; the first pass of the sort takes the words as they are made.
    for start in range(2):
        word = np.uint64(0)
        for k in range(start, start + LONGEST - 2, 2):
            word = word << width_u | np.uint64(names[symbols[k] * stride + symbols[k + 1]])
        for k in range(start, n, 2):
            at = k + LONGEST - 2
            pair = np.uint32(symbols[at]) * np.uint32(stride) + np.uint32(symbols[at + 1])
            word = (word << width_u | np.uint64(names[pair])) & mask
            grams[k] = word
            place = digits[word & small]
            words[np.uint32(place)] = word
            digits[word & small] = place + 1
    _sort_digits(words, spare, n, width, int64(PAIRS - 1), width, digits[1 << width :])
    # A table, for a division would take longer than all the rest.
    shifts = np.zeros(65, np.uint64)
    for zeros in range(64):
        shifts[zeros] = min((63 - zeros) // width, PAIRS - 1) * width
    shared = np.zeros(65, np.uint8)
    for zeros in range(64):
        shared[zeros] = 2 * (PAIRS - 1 - min((63 - zeros) // width, PAIRS - 1))
    shared[64] = LONGEST - 1
    agree[0] = 0
    last = words[0]
    for k in range(1, n):
        word = words[k]
        leading = np.uint64(_leading_zeros(word ^ last))
        shift = shifts[leading]
        # Equal words (64 zeros) need no branch: nine from the table, and one for equal first symbols.
        agree[k] = shared[leading] + (firsts[word >> shift & small] == firsts[last >> shift & small])
        last = word


@jit
def _sort_places(symbols: I32, n: int, bits: int, words: U64, spare: U64, grams: U64, digits: I32, agree: U8) -> None:
    """As _sort_pairs, for any characters: a word holds the characters that fit beside the place, runs are refined."""
    place_bits = 1
    while 1 << place_bits < n:
        place_bits += 1
    size = min((64 - place_bits) // bits, LONGEST)
    bits_u, place_u = np.uint64(bits), np.uint64(place_bits)
    mask = (np.uint64(1) << np.uint64(size * bits)) - np.uint64(1)
    word = np.uint64(0)
    for k in range(size - 1):
        word = word << bits_u | np.uint64(symbols[k])
    for k in range(n):
        word = (word << bits_u | np.uint64(symbols[k + size - 1])) & mask
        grams[k], words[k] = word, word << place_u | np.uint64(k)
    for k in range(n, n + 2 * LONGEST):
        grams[k] = 0
    _sort_run(words, spare, ZERO, n, place_bits, size * bits, digits)
    _agreement(words, ZERO, n, place_bits, bits, ZERO, size, agree)
    agree[0] = 0
    depth, place_mask = size, (np.uint64(1) << place_u) - np.uint64(1)
    while depth < LONGEST:
        step = min(size, LONGEST - depth)
        first = ZERO
        while first < n:
            last = first + 1
            while last < n and agree[last] >= depth:
                last += 1
            if last - first == 2:
                # Two are most runs by far, and a call costs more than they do.
                one, other = int64(words[first] & place_mask), int64(words[first + 1] & place_mask)
                different = (grams[one + depth] ^ grams[other + depth]) >> np.uint64(bits * (size - step))
                shared = step - 1 - (63 - _leading_zeros(different)) // bits if different else step
                agree[first + 1] = depth + shared
            elif last - first > 2:
                _refine(words, spare, grams, first, last, place_bits, bits, depth, step, size, digits, agree)
            first = last
        depth += step


@jit
def _sort_run(words: U64, spare: U64, first: int, last: int, low: int, n_bits: int, digits: I32) -> None:
    """Sort words[first:last] by n_bits bits from bit `low` on."""
    n = last - first
    if n <= INSERTION:
        for k in range(first + 1, last):
            word, at = words[k], k
            while at > first and words[at - 1] > word:
                words[at] = words[at - 1]
                at -= 1
            words[at] = word
        return
    width = 5
    while width < DIGIT_BITS and 1 << width < n:
        width += 1
    passes = (n_bits + width - 1) // width
    width = (n_bits + passes - 1) // passes
    mask = np.uint64((1 << width) - 1)
    for place in range(passes << width):
        digits[place] = 0
    for k in range(first, last):
        word = words[k] >> np.uint64(low)
        for number in range(passes):
            digits[np.uint64(number << width) | word & mask] += 1
            word >>= np.uint64(width)
    if _sort_digits(words[first:last], spare[first:last], n, low, passes, width, digits):
        for k in range(first, last):
            words[k] = spare[k]


@jit
def _agreement(words: U64, first: int, last: int, place_bits: int, bits: int, depth: int, size: int, agree: U8) -> None:
    """agree[k] for all but the first of a sorted run of words that hold `size` characters behind the `depth` shared."""
    inverse = (1 << 16) // bits + 1
    place_u = np.uint64(place_bits)
    for k in range(first + 1, last):
        zeros = _leading_zeros((words[k] ^ words[k - 1]) >> place_u)
        # Exact division by shifting: zeros are below 65, bits below 22.
        agree[k] = depth + size - 1 - ((63 - zeros) * inverse >> 16) if zeros < 64 else depth + size


@jit
def _refine(
    words: U64,
    spare: U64,
    grams: U64,
    first: int,
    last: int,
    place_bits: int,
    bits: int,
    depth: int,
    step: int,
    size: int,
    digits: I32,
    agree: U8,
) -> None:
    """Sort a run that agrees in `depth` characters by the `step` that follow."""
    place_u, surplus = np.uint64(place_bits), np.uint64(bits * (size - step))
    mask = (np.uint64(1) << place_u) - np.uint64(1)
    for k in range(first, last):
        place = words[k] & mask
        words[k] = (grams[int64(place) + depth] >> surplus) << place_u | place
    _sort_run(words, spare, first, last, place_bits, step * bits, digits)
    _agreement(words, first, last, place_bits, bits, depth, step, agree)


@jit
def _copied_words(
    words: U64, agree: U8, n: int, grams: U64, n_copied: int, table: U64, sieve: U8, found: I32, copied: Bools
) -> None:
    """copied[k]: the ten characters from place k on stand at an earlier place too; grams[k] is their word."""
    bits = 3
    while 1 << bits < 4 * n_copied:
        bits += 1
    mask, shift, sieve_shift = np.uint64((1 << bits) - 1), np.uint64(64 - bits), np.uint64(64 - SIEVE_BITS)
    for place in range(1 << bits):
        table[place] = 0
    for place in range(1 << SIEVE_BITS):
        sieve[place] = 0
    one, two = np.uint64(1), np.uint64(2)
    # An entry: the word, whether it was met, and a 1 that tells it from a free place.
    for k in range(1, n):
        if agree[k] == LONGEST and agree[k - 1] < LONGEST:
            value = words[k] * BASE
            place = value >> shift
            while table[place] != 0:
                place = (place + one) & mask
            table[place] = words[k] << two | one
            sieve[value >> sieve_shift] = 1
    # Most places are none: what the sieve holds is gathered without a branch.
    n_found = 0
    for k in range(n):
        found[n_found] = k
        n_found += sieve[(grams[k] * BASE) >> sieve_shift]
    for number in range(n_found):
        start = np.uint32(found[number])
        word = grams[start]
        place = (word * BASE) >> shift
        while table[place] != 0 and table[place] >> two != word:
            place = (place + one) & mask
        entry = table[place]
        if entry != 0:
            copied[start] = entry & two != 0
            table[place] = entry | two


@jit
def _copied_places(words: U64, agree: U8, n: int, copied: Bools) -> None:
    """As _copied_words, from words that carry their places."""
    place_bits = 1
    while 1 << place_bits < n:
        place_bits += 1
    mask = (np.uint64(1) << np.uint64(place_bits)) - np.uint64(1)
    first = ZERO
    while first < n:
        last = first + 1
        least = words[first] & mask
        while last < n and agree[last] == LONGEST:
            least = min(least, words[last] & mask)
            last += 1
        for k in range(first, last):
            place = words[k] & mask
            copied[int64(place)] = place != least
        first = last
