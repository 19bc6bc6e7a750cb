"""UTF-8 texts in; the few places where a number or an address of a person may stand out, in one pass over the bytes."""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import int64, jit

__all__ = ["ADDRESS_V6", "MAIL", "char_places", "find_candidates"]

OTHER, DIGIT, SEPARATOR, DOT = 0, 1, 2, 3
MIN_DIGITS = 9
"""Digits of the shortest telephone number with a country's prefix."""
NUMBER, MAIL, ADDRESS_V6 = 0, 1, 2
ROOM = 4096


@jit
def _symbol(data: NDArray[np.uint8], at: int) -> tuple[int, int]:
    """What stands here (a digit, what joins digits, or neither), and how many bytes it takes."""
    byte = data[at]
    if byte < 0x80:
        if 0x30 <= byte <= 0x39:
            return DIGIT, 1
        if byte == 0x2E:
            return DOT, 1
        if byte == 0x2D or byte == 0x20 or byte == 0x28 or byte == 0x29 or byte == 0x2B:
            return SEPARATOR, 1
        return OTHER, 1
    if byte == 0xC2:
        return (SEPARATOR if data[at + 1] == 0xA0 else OTHER), 2
    if byte < 0xE0:
        return OTHER, 2
    if byte >= 0xF0:
        return OTHER, 4
    code = (int64(byte) & 0x0F) << 12 | (int64(data[at + 1]) & 0x3F) << 6 | (int64(data[at + 2]) & 0x3F)
    if 0xFF10 <= code <= 0xFF19:
        return DIGIT, 3
    if 0x2010 <= code <= 0x2015 or code == 0x2212 or code == 0x30FC or code == 0x3000:
        return SEPARATOR, 3
    if code == 0xFF0D or code == 0xFF70 or code == 0xFF08 or code == 0xFF09 or code == 0xFF0B:
        return SEPARATOR, 3
    return (DOT if code == 0xFF0E else OTHER), 3


@jit
def _is_hex(byte: int) -> bool:
    return 0x30 <= byte <= 0x39 or 0x41 <= byte <= 0x46 or 0x61 <= byte <= 0x66


def find_candidates(
    data: NDArray[np.uint8], ends: NDArray[np.int64], present: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Text, kind and bytes [start, end) of every candidate.

    A NUMBER is a stretch of digits with at most three joining characters between them that has MIN_DIGITS digits, or
    three dots. A MAIL is an @ between letters or digits. An ADDRESS_V6 is a stretch of hexadecimal digits and colons
    with two colons.
    """
    # Arrays that grow inside the loop would cost a count of references a byte: looked at again where there is no room.
    found = np.empty((4, ROOM), np.int64)
    number = _scan(data, ends, present, found)
    if number > ROOM:
        found = np.empty((4, number), np.int64)
        _scan(data, ends, present, found)
    texts, kinds, starts, stops = found[:, :number]
    return texts, kinds, starts, stops


@jit
def _scan(data: NDArray[np.uint8], ends: NDArray[np.int64], present: NDArray[np.bool_], out: NDArray[np.int64]) -> int:
    """How many candidates there are; those that have room stand in `out` by column."""
    found, room = int64(0), out.shape[1]
    for text in range(len(ends) - 1):
        first, last = ends[text], ends[text + 1] if present[text] else ends[text]
        at = first
        while at < last:
            byte = data[at]
            kind, start, stop, behind = int64(-1), at, at + 1, at + 1
            if 0x30 <= byte <= 0x39:
                kind, stop = _number(data, at, last)
            elif byte == 0xEF and data[at + 1] == 0xBC:
                if data[at + 2] == 0xA0:
                    kind, stop = _mail(data, at, at + 3, first, last)
                else:
                    kind, stop = _number(data, at, last)
            elif byte == 0x40:
                kind, stop = _mail(data, at, at + 1, first, last)
            elif byte == 0x3A:
                kind, start, stop, behind = _colons(data, at, first, last)
            if kind >= 0:
                if found < room:
                    out[0, found], out[1, found], out[2, found], out[3, found] = text, kind, start, stop
                found += 1
            # A number may begin behind the last colon: TEL:03-1234-5678.
            at = behind if byte == 0x3A else max(stop, at + 1)
    return found


@jit
def _number(data: NDArray[np.uint8], at: int, last: int) -> tuple[int, int]:
    """Kind and end of the number that begins here: its last digit is the end; kind -1 for too short a one."""
    digits, dots, joined, end, begin = int64(0), int64(0), int64(0), at, at
    while at < last:
        symbol, length = _symbol(data, at)
        if symbol == DIGIT:
            digits, joined, end = digits + 1, int64(0), at + length
        elif symbol == OTHER or joined == 3 or digits == 0:
            break
        else:
            joined += 1
            dots += symbol == DOT
        at += length
    return (NUMBER if digits >= MIN_DIGITS or (dots >= 3 and digits >= 4) else int64(-1)), max(end, begin + 1)


@jit
def _mail(data: NDArray[np.uint8], at: int, behind: int, first: int, last: int) -> tuple[int, int]:
    """Kind and end of an @ that may stand in an address: a letter or digit, or a full-width one, on either side."""
    if at == first or behind >= last:
        return int64(-1), behind
    before, after = data[at - 1], data[behind]
    joined = before >= 0x80 or before == 0x5F or before == 0x2B or before == 0x2D or before == 0x2E
    joined = joined or 0x30 <= before <= 0x39 or 0x61 <= before | 0x20 <= 0x7A
    goes_on = after == 0xEF or 0x30 <= after <= 0x39 or 0x61 <= after | 0x20 <= 0x7A
    return (MAIL if joined and goes_on else int64(-1)), behind


@jit
def _colons(data: NDArray[np.uint8], at: int, first: int, last: int) -> tuple[int, int, int, int]:
    """Kind, start and end of the hexadecimal digits and colons around the colon here, and the end of the last colon."""
    start, stop, behind, colons = at, at, at + 1, int64(0)
    while start > first and at - start < 4 and _is_hex(data[start - 1]):
        start -= 1
    while stop < last and (data[stop] == 0x3A or _is_hex(data[stop])):
        stop += 1
        if data[stop - 1] == 0x3A:
            colons, behind = colons + 1, stop
    return (ADDRESS_V6 if colons >= 2 else int64(-1)), start, stop, behind


@jit
def char_places(data: NDArray[np.uint8], first: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Code points between the beginning of a text and a place in it; both as bytes, ascending place by place."""
    found = np.empty(len(places), np.int64)
    chars, at, begun = int64(0), int64(0), int64(-1)
    for number in range(len(places)):
        if first[number] != begun or places[number] < at:
            begun, at, chars = first[number], first[number], int64(0)
        while at < places[number]:
            chars += (data[at] & 0xC0) != 0x80
            at += 1
        found[number] = chars
    return found
