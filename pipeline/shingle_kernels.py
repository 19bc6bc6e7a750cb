"""Folded code points, the units shingles are made of, and MinHash signatures, one text after the other."""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import jit
from .unicode_table import (
    CATEGORY_MASK,
    CONTROL,
    LETTER,
    MARK,
    NUMBER,
    PUNCTUATION,
    SCRIPT_SHIFT,
    SEPARATOR,
    SEQUENCE,
    SPACE_BIT,
    UNKNOWN,
)

__all__ = ["AUTO", "CHAR", "WORD", "fold_text", "minhash_texts", "shingle_texts", "to_utf8"]

CHAR, WORD, AUTO = range(3)
"""What a shingle is made of; AUTO decides by the share of kana and kanji among the letters."""

SHINGLE_BASE = np.uint64(0x9E3779B97F4A7C15)
"""Multiplier of the polynomial hash of units: 2^64 over the golden ratio, odd."""
BLOCK = 4096
"""Shingle hashes reduced at once (16 KiB, half of a first-level cache), code points folded at once."""
LONGEST_SEQUENCE = 32

APOSTROPHE, QUOTE = 0x27, 0x2019
HANGUL, LEADS, VOWELS, TAILS = 0xAC00, 0x1100, 0x1161, 0x11A7


@jit
def _compose(first: int, second: int, pairs: NDArray[np.int64], composed: NDArray[np.int32]) -> int:
    """The code point NFC makes of two, or -1."""
    if LEADS <= first < LEADS + 19 and VOWELS <= second < VOWELS + 21:
        return HANGUL + ((first - LEADS) * 21 + second - VOWELS) * 28
    if HANGUL <= first < HANGUL + 11172 and (first - HANGUL) % 28 == 0 and TAILS < second < TAILS + 28:
        return first + second - TAILS
    key = np.int64(first) << 32 | np.int64(second)
    low, high = 0, len(pairs)
    while low < high:
        middle = (low + high) // 2
        if pairs[middle] < key:
            low = middle + 1
        else:
            high = middle
    return composed[low] if low < len(pairs) and pairs[low] == key else -1


@jit
def _fold_run(
    codes: NDArray[np.int32],
    out: NDArray[np.int32],
    first: int,
    n: int,
    block_of: NDArray[np.uint8],
    blocks: NDArray[np.int32],
    sequences: NDArray[np.int32],
    pairs: NDArray[np.int64],
    composed: NDArray[np.int32],
    second_block_of: NDArray[np.uint8],
    second_blocks: NDArray[np.uint8],
) -> int:
    """Append the folded codes to out[first:n], the text so far; the new n."""
    for k in range(len(codes)):
        code, start = codes[k], n
        if code < 0x80:
            # The table says the same at three times the price.
            out[n] = code + 32 if 0x41 <= code <= 0x5A else code
            n += 1
            continue
        value = blocks[block_of[code >> 8], code & 255]
        if value < SEQUENCE:
            out[n] = code + value
            n += 1
        else:
            place, length = (value - SEQUENCE) >> 5, (value - SEQUENCE) & 31
            for j in range(length):
                out[n + j] = sequences[place + j]
            n += length
        if n > start > first and second_blocks[second_block_of[out[start] >> 8], out[start] & 255]:
            both = _compose(out[start - 1], out[start], pairs, composed)
            if both >= 0:
                out[start - 1] = both
                for j in range(start, n - 1):
                    out[j] = out[j + 1]
                n -= 1
    return n


@jit
def fold_text(
    codes: NDArray[np.int32],
    offsets: NDArray[np.int64],
    block_of: NDArray[np.uint8],
    blocks: NDArray[np.int32],
    sequences: NDArray[np.int32],
    pairs: NDArray[np.int64],
    composed: NDArray[np.int32],
    second_block_of: NDArray[np.uint8],
    second_blocks: NDArray[np.uint8],
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Fold every code point by table, then compose a code point with the one before it; codes and offsets."""
    out = np.empty(len(codes) + BLOCK * LONGEST_SEQUENCE, np.int32)
    ends = np.zeros(len(offsets), np.int64)
    n = 0
    for text in range(len(offsets) - 1):
        for start in range(offsets[text], offsets[text + 1], BLOCK):
            # Room for the worst block, so that no code point has to ask.
            if n + BLOCK * LONGEST_SEQUENCE > len(out):
                longer = np.empty(2 * len(out), np.int32)
                longer[:n] = out[:n]
                out = longer
            part = codes[start : min(start + BLOCK, offsets[text + 1])]
            tables = (block_of, blocks, sequences, pairs, composed, second_block_of, second_blocks)
            n = _fold_run(part, out, ends[text], n, *tables)
        ends[text + 1] = n
    return out[:n], ends


@jit
def to_utf8(
    codes: NDArray[np.int32],
    offsets: NDArray[np.int64],
    block_of: NDArray[np.uint8],
    blocks: NDArray[np.uint8],
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The code points without white space, in UTF-8."""
    out = np.empty(4 * len(codes), np.uint8)
    ends = np.zeros(len(offsets), np.int64)
    n = 0
    for text in range(len(offsets) - 1):
        for k in range(offsets[text], offsets[text + 1]):
            code = codes[k]
            if blocks[block_of[code >> 8], code & 255] & SPACE_BIT:
                continue
            if code < 0x80:
                out[n] = code
                n += 1
                continue
            if code < 0x800:
                out[n] = 0xC0 | code >> 6
                n += 1
            else:
                if code < 0x10000:
                    out[n] = 0xE0 | code >> 12
                    n += 1
                else:
                    out[n], out[n + 1] = 0xF0 | code >> 18, 0x80 | (code >> 12 & 0x3F)
                    n += 2
                out[n] = 0x80 | (code >> 6 & 0x3F)
                n += 1
            out[n] = 0x80 | (code & 0x3F)
            n += 1
        ends[text + 1] = n
    return out[:n], ends


@jit
def _finish64(value: np.uint64) -> np.uint64:
    """MurmurHash3's 64-bit finalizer."""
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@jit
def _units(
    codes: NDArray[np.int32], mode: int, block_of: NDArray[np.uint8], blocks: NDArray[np.uint8], out: NDArray[np.uint64]
) -> tuple[int, int]:
    """out: the characters that count, or the hashes of words; how many, and CHAR or WORD."""
    if mode == AUTO:
        letters, japanese = 0, 0
        for k in range(len(codes)):
            value = blocks[block_of[codes[k] >> 8], codes[k] & 255]
            letters += value & CATEGORY_MASK == LETTER
            japanese += value & CATEGORY_MASK == LETTER and value >> SCRIPT_SHIFT & 3 != 0
        mode = CHAR if 10 * japanese >= 3 * letters and japanese > 0 else WORD
    n, word, inside = 0, np.uint64(0), False
    for k in range(len(codes)):
        code = codes[k]
        value = blocks[block_of[code >> 8], code & 255]
        kind = value & CATEGORY_MASK
        if mode == CHAR:
            if kind != PUNCTUATION and kind != SEPARATOR and kind != CONTROL and not value & SPACE_BIT:
                out[n] = np.uint64(code)
                n += 1
        elif kind == LETTER or kind == MARK or kind == NUMBER or kind == UNKNOWN:
            word = word * SHINGLE_BASE + np.uint64(code)
            inside = True
        elif inside and code != APOSTROPHE and code != QUOTE:
            out[n] = _finish64(word)
            n, word, inside = n + 1, np.uint64(0), False
    if inside:
        out[n] = _finish64(word)
        n += 1
    return n, mode


@jit
def _shingles(units: NDArray[np.uint64], n: int, size: int, out: NDArray[np.uint32]) -> int:
    """out: the hash of every `size` consecutive units; fewer units are filled up with zeros, none have no shingle."""
    if n == 0:
        return 0
    value, leading = np.uint64(0), np.uint64(1)
    for k in range(size):
        value = value * SHINGLE_BASE + (units[k] if k < n else np.uint64(0))
        leading *= SHINGLE_BASE
    out[0] = np.uint32(_finish64(value) >> np.uint64(32))
    for k in range(size, n):
        value = value * SHINGLE_BASE + units[k] - leading * units[k - size]
        out[k - size + 1] = np.uint32(_finish64(value) >> np.uint64(32))
    return max(n - size + 1, 1)


@jit
def shingle_texts(
    codes: NDArray[np.int32],
    offsets: NDArray[np.int64],
    modes: NDArray[np.uint8],
    sizes: NDArray[np.int64],
    block_of: NDArray[np.uint8],
    blocks: NDArray[np.uint8],
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The shingle hashes of every folded text and where they begin; sizes[CHAR] and sizes[WORD] units each."""
    units, out = np.empty(len(codes), np.uint64), np.empty(len(codes) + len(offsets), np.uint32)
    ends = np.zeros(len(offsets), np.int64)
    for text in range(len(offsets) - 1):
        part = codes[offsets[text] : offsets[text + 1]]
        n, mode = _units(part, modes[text], block_of, blocks, units)
        ends[text + 1] = ends[text] + _shingles(units, n, sizes[mode], out[ends[text] :])
    return out[: ends[-1]], ends


@jit
def minhash_texts(
    shingles: NDArray[np.uint32],
    offsets: NDArray[np.int64],
    factors: NDArray[np.uint32],
    terms: NDArray[np.uint32],
    out: NDArray[np.uint32],
) -> None:
    """out[text, p] = min over shingles of factors[p] * mixed + terms[p] mod 2^32; all ones where there is none.

    The loop over shingles is the inner one: that order vectorises (142 MB/s of Japanese, the other 24).
    """
    mixed = np.empty(BLOCK, np.uint32)
    for text in range(len(offsets) - 1):
        out[text, :] = np.uint32(0xFFFFFFFF)
        for start in range(offsets[text], offsets[text + 1], BLOCK):
            n = min(BLOCK, offsets[text + 1] - start)
            for k in range(n):
                value = shingles[start + k]
                value = np.uint32((value ^ (value >> np.uint32(16))) * np.uint32(0x85EBCA6B))
                value = np.uint32((value ^ (value >> np.uint32(13))) * np.uint32(0xC2B2AE35))
                mixed[k] = value ^ (value >> np.uint32(16))
            for p in range(len(factors)):
                factor, term, least = factors[p], terms[p], out[text, p]
                for k in range(n):
                    least = min(least, np.uint32(factor * mixed[k] + term))
                out[text, p] = least
