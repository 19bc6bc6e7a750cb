"""The units shingles are made of, shingle hashes and MinHash signatures of folded texts, one text after the other."""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import jit

__all__ = [
    *("AUTO", "CHAR", "WORD"),
    *("COUNTS_BIT", "JAPANESE_BIT", "LETTER_BIT", "SILENT_BIT", "WORD_BIT"),
    *("minhash_texts", "shingle_texts", "units_of_texts"),
]

CHAR, WORD, AUTO = range(3)
"""What a shingle is made of; AUTO decides by the share of kana and kanji among the letters."""

SHINGLE_BASE = np.uint64(0x9E3779B97F4A7C15)
"""Multiplier of the polynomial hash of units: 2^64 over the golden ratio, odd."""
BLOCK = 4096
"""Shingle hashes reduced at once (16 KiB), code points looked up at once; a first-level cache holds them."""

WORD_BIT, SILENT_BIT, COUNTS_BIT, LETTER_BIT, JAPANESE_BIT = 1, 2, 4, 8, 16
"""What `roles` says of a code point: part of a word; an apostrophe; counts as a character; a letter; a Japanese one."""


@jit
def _finish64(value: np.uint64) -> np.uint64:
    """MurmurHash3's 64-bit finalizer."""
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@jit
def _is_japanese(codes: NDArray[np.int32], places: NDArray[np.int32], roles: NDArray[np.uint8]) -> bool:
    """Whether at least a tenth of the letters are kana or kanji."""
    letters, japanese = 0, 0
    for k in range(len(codes)):
        code = np.uint32(codes[k])
        role = roles[np.uint32(places[code >> np.uint32(8)]) + (code & np.uint32(255))]
        letters += role & LETTER_BIT != 0
        japanese += role & JAPANESE_BIT != 0
    return 10 * japanese >= letters and japanese > 0


@jit
def _characters(
    codes: NDArray[np.int32], places: NDArray[np.int32], roles: NDArray[np.uint8], out: NDArray[np.uint64]
) -> int:
    """out: the characters that count; how many."""
    n = np.uint64(0)
    for k in range(len(codes)):
        code = np.uint32(codes[k])
        out[n] = np.uint64(code)
        role = roles[np.uint32(places[code >> np.uint32(8)]) + (code & np.uint32(255))]
        n += np.uint64(role & COUNTS_BIT != 0)
    return int(np.int64(n))


@jit
def _words(
    codes: NDArray[np.int32], places: NDArray[np.int32], roles: NDArray[np.uint8], out: NDArray[np.uint64]
) -> int:
    """out: the hashes of the words; how many.

    Branches at the ends of words cannot be predicted and would take half the time, so there are none, and the last
    loop has nothing to wait for but one multiplication after the other.
    """
    kinds, codes_in, factors = np.empty(BLOCK, np.uint8), np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.uint64)
    n, word, inside = np.uint64(0), np.uint64(0), np.uint64(0)
    for start in range(0, len(codes), BLOCK):
        block = codes[start : start + BLOCK]
        for k in range(len(block)):
            code = np.uint32(block[k])
            role = roles[np.uint32(places[code >> np.uint32(8)]) + (code & np.uint32(255))]
            kinds[k] = role & (WORD_BIT | SILENT_BIT)
        for k in range(len(block)):
            codes_in[k] = np.uint64(block[k]) if kinds[k] & WORD_BIT else np.uint64(0)
            factors[k] = SHINGLE_BASE if kinds[k] & WORD_BIT else np.uint64(kinds[k] >> 1)
        for k in range(len(block)):
            kind = np.uint64(kinds[k])
            out[n] = word
            n += inside & np.uint64(kind == 0)
            inside = (inside | kind) & np.uint64(kind != 0) & np.uint64(WORD_BIT)
            word = word * factors[k] + codes_in[k]
    out[n] = word
    count = int(np.int64(n + inside))
    for k in range(count):
        out[k] = _finish64(out[k])
    return count


@jit
def _shingles(units: NDArray[np.uint64], n: int, size: int, values: NDArray[np.uint64], out: NDArray[np.uint32]) -> int:
    """out: the hash of every `size` consecutive units; fewer units are filled up with zeros, none have no shingle."""
    if n == 0:
        return 0
    value, leading = np.uint64(0), np.uint64(1)
    for k in range(size):
        value = value * SHINGLE_BASE + (units[k] if k < n else np.uint64(0))
        leading *= SHINGLE_BASE
    values[0] = value
    for k in range(size, n):
        value = value * SHINGLE_BASE + (units[k] - leading * units[k - size])
        values[k - size + 1] = value
    count = max(n - size + 1, 1)
    for k in range(count):
        out[k] = np.uint32(_finish64(values[k]) >> np.uint64(32))
    return count


@jit
def shingle_texts(
    codes: NDArray[np.int32],
    offsets: NDArray[np.int64],
    modes: NDArray[np.uint8],
    sizes: NDArray[np.int64],
    places: NDArray[np.int32],
    roles: NDArray[np.uint8],
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The shingle hashes of every folded text and where they begin; sizes[CHAR] and sizes[WORD] units each.

    Code point c has the role roles[places[c >> 8] + (c & 255)].
    """
    units, values = np.empty(len(codes) + 1, np.uint64), np.empty(len(codes) + 1, np.uint64)
    out = np.empty(len(codes) + len(offsets), np.uint32)
    ends = np.zeros(len(offsets), np.int64)
    for text in range(len(offsets) - 1):
        part = codes[offsets[text] : offsets[text + 1]]
        mode = modes[text]
        if mode == AUTO:
            mode = CHAR if _is_japanese(part, places, roles) else WORD
        if mode == CHAR:
            n = _characters(part, places, roles, units)
        else:
            n = _words(part, places, roles, units)
        ends[text + 1] = ends[text] + _shingles(units, n, sizes[mode], values, out[ends[text] :])
    return out[: ends[-1]], ends


@jit
def units_of_texts(
    codes: NDArray[np.int32],
    offsets: NDArray[np.int64],
    modes: NDArray[np.uint8],
    places: NDArray[np.int32],
    roles: NDArray[np.uint8],
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.uint8]]:
    """The units of every folded text, where they begin, and what they are: CHAR or WORD."""
    out = np.empty(len(codes) + len(offsets), np.uint64)
    ends = np.zeros(len(offsets), np.int64)
    kinds = np.empty(len(offsets) - 1, np.uint8)
    for text in range(len(offsets) - 1):
        part = codes[offsets[text] : offsets[text + 1]]
        kinds[text] = modes[text]
        if kinds[text] == AUTO:
            kinds[text] = CHAR if _is_japanese(part, places, roles) else WORD
        units = out[ends[text] :]
        n = _characters(part, places, roles, units) if kinds[text] == CHAR else _words(part, places, roles, units)
        ends[text + 1] = ends[text] + n
    return out[: ends[-1]], ends, kinds


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
