"""UTF-8 to folded code points in one pass, and folded code points back to UTF-8 without white space."""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import jit
from .unicode_table import SEQUENCE, SPACE_BIT

__all__ = ["MAY_COMPOSE", "fold_utf8", "to_utf8"]

MAY_COMPOSE = 255
"""In `joins`, a code point that is no mark and may compose with the one before; marks have their combining class."""

BLOCK = 4096
"""Bytes folded before the room that is left is looked at again."""
LONGEST_SEQUENCE = 32
STRIDE = 64
"""ASCII bytes folded at once."""

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
def _fold_ascii(data: NDArray[np.uint8], out: NDArray[np.int32]) -> int:
    """Fold the ASCII at the beginning of data without a table; how many bytes. Loops of a fixed length vectorise."""
    n = 0
    while n + STRIDE <= len(data):
        source, target, every = data[n : n + STRIDE], out[n : n + STRIDE], np.uint8(0)
        for k in range(STRIDE):
            every |= source[k]
        if every >= 0x80:
            break
        for k in range(STRIDE):
            byte = np.int32(source[k])
            target[k] = byte + (np.int32(byte >= 0x41) & np.int32(byte <= 0x5A)) * np.int32(32)
        n += STRIDE
    while n < len(data) and data[n] < 0x80:
        byte = np.int32(data[n])
        out[n] = byte + (np.int32(byte >= 0x41) & np.int32(byte <= 0x5A)) * np.int32(32)
        n += 1
    return n


@jit
def _settle(
    out: NDArray[np.int32],
    first: int,
    n: int,
    pairs: NDArray[np.int64],
    composed: NDArray[np.int32],
    parts: NDArray[np.int32],
    places: NDArray[np.int32],
    joins: NDArray[np.uint8],
) -> int:
    """Put the marks at the end of out[first:n] in canonical order and compose them with their letter; the new n."""
    begin = n
    while begin > first and 0 < joins[places[out[begin - 1] >> 8] + (out[begin - 1] & 255)] < MAY_COMPOSE:
        begin -= 1
    marks = np.empty(n - begin + LONGEST_SEQUENCE, np.int32)
    many = 0
    if begin > first:
        # Take the letter apart: what comes off last stood first.
        begin -= 1
        letter, apart = out[begin], True
        while apart:
            at = np.searchsorted(parts[:, 0], letter)
            apart = at < len(parts) and parts[at, 0] == letter
            if apart:
                letter, marks[many] = parts[at, 1], parts[at, 2]
                many += 1
        marks[:many] = marks[:many][::-1].copy()
        rest = begin + 1
    else:
        letter, rest = np.int32(-1), begin
    for k in range(rest, n):
        marks[many] = out[k]
        many += 1
    starts = np.zeros(257, np.int64)
    for k in range(many):
        starts[joins[places[marks[k] >> 8] + (marks[k] & 255)] + 1] += 1
    for k in range(256):
        starts[k + 1] += starts[k]
    ordered = np.empty(many, np.int32)
    for k in range(many):
        kind = joins[places[marks[k] >> 8] + (marks[k] & 255)]
        ordered[starts[kind]] = marks[k]
        starts[kind] += 1
    n, last = rest, 0
    for k in range(many):
        kind = joins[places[ordered[k] >> 8] + (ordered[k] & 255)]
        both = _compose(letter, ordered[k], pairs, composed) if letter >= 0 and last < kind else -1
        if both >= 0:
            letter = np.int32(both)
        else:
            out[n], last = ordered[k], kind
            n += 1
    if letter >= 0:
        out[begin] = letter
    return n


@jit
def _fold_run(
    data: NDArray[np.uint8],
    at: int,
    stop: int,
    out: NDArray[np.int32],
    first: int,
    n: int,
    loose: bool,
    block_of: NDArray[np.uint8],
    blocks: NDArray[np.int32],
    sequences: NDArray[np.int32],
    pairs: NDArray[np.int64],
    composed: NDArray[np.int32],
    parts: NDArray[np.int32],
    places: NDArray[np.int32],
    joins: NDArray[np.uint8],
) -> tuple[int, int, bool]:
    """Append the folded characters that begin in data[at:stop] to out[first:n], the text so far.

    Returns the new at and n, and whether marks at the end are still loose: they wait for more, or for `_settle`.
    """
    while at < stop:
        lead = np.int32(data[at])
        if lead < 0x80:
            if loose:
                n, loose = _settle(out, first, n, pairs, composed, parts, places, joins), False
            done = _fold_ascii(data[at:stop], out[n:])
            at, n = at + done, n + done
            continue
        if lead < 0xE0:
            code = (lead & 0x1F) << 6 | (data[at + 1] & 0x3F)
            at += 2
        elif lead < 0xF0:
            code = (lead & 0x0F) << 12 | np.int32(data[at + 1] & 0x3F) << 6 | (data[at + 2] & 0x3F)
            at += 3
        else:
            code = (lead & 0x07) << 18 | np.int32(data[at + 1] & 0x3F) << 12
            code = code | np.int32(data[at + 2] & 0x3F) << 6 | (data[at + 3] & 0x3F)
            at += 4
        value, place, length = blocks[block_of[code >> 8], code & 255], 0, 1
        if value < SEQUENCE and not loose:
            folded = code + value
            if joins[places[folded >> 8] + (folded & 255)] == 0:
                out[n] = folded
                n += 1
                continue
        if value >= SEQUENCE:
            place, length = (value - SEQUENCE) >> 5, (value - SEQUENCE) & 31
        for j in range(length):
            folded = code + value if value < SEQUENCE else sequences[place + j]
            join = joins[places[folded >> 8] + (folded & 255)]
            if join == 0 or join == MAY_COMPOSE:
                if loose:
                    n, loose = _settle(out, first, n, pairs, composed, parts, places, joins), False
                if join == 0:
                    out[n] = folded
                    n += 1
                    continue
            both = _compose(out[n - 1], folded, pairs, composed) if n > first and not loose else -1
            if both >= 0:
                out[n - 1] = both
            else:
                out[n] = folded
                n, loose = n + 1, join != MAY_COMPOSE
    return at, n, loose


@jit
def fold_utf8(
    data: NDArray[np.uint8],
    ends: NDArray[np.int64],
    present: NDArray[np.bool_],
    block_of: NDArray[np.uint8],
    blocks: NDArray[np.int32],
    sequences: NDArray[np.int32],
    pairs: NDArray[np.int64],
    composed: NDArray[np.int32],
    parts: NDArray[np.int32],
    places: NDArray[np.int32],
    joins: NDArray[np.uint8],
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Fold every code point by table, put marks in order and compose as NFC does; codes and offsets.

    Text i is the UTF-8 at data[ends[i]:ends[i + 1]] where present[i]; Arrow promises that it is valid. parts[:, 0],
    ascending, are the composed code points, parts[:, 1:] their two parts; joins[places[c >> 8] + (c & 255)] is the
    combining class of a mark, MAY_COMPOSE, or 0.
    """
    tables = (block_of, blocks, sequences, pairs, composed, parts, places, joins)
    out = np.empty(ends[-1] - ends[0] + BLOCK * LONGEST_SEQUENCE, np.int32)
    offsets = np.zeros(len(ends), np.int64)
    n = 0
    for text in range(len(ends) - 1):
        at, stop = ends[text] if present[text] else ends[text + 1], ends[text + 1]
        loose = False
        while at < stop:
            # Room for the worst block, so that no character has to ask.
            if n + BLOCK * LONGEST_SEQUENCE > len(out):
                longer = np.empty(2 * len(out), np.int32)
                longer[:n] = out[:n]
                out = longer
            at, n, loose = _fold_run(data, at, min(at + BLOCK, stop), out, offsets[text], n, loose, *tables)
        if loose:
            n = _settle(out, offsets[text], n, pairs, composed, parts, places, joins)
        offsets[text + 1] = n
    return out[:n], offsets


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
