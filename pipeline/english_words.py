"""Words as datatrove cuts English (spaCy's rules for `en`), for the presets whose thresholds rest on that cut.

A piece between white space loses marks at its ends one by one, then is cut at marks inside; 's, n't, 'll and their kin
stand alone; addresses stay whole, abbreviations keep their full stop. Numbers: docs/presets.md.
"""

import numpy as np
from numpy.typing import NDArray

from .english_tables import (
    ALPHA,
    BASE,
    DASH,
    DIGIT,
    ICON,
    LONGEST_OWN,
    LOWER,
    PREFIX,
    QUOTE,
    SUFFIX,
    TABLE_BITS,
    UPPER,
)
from .text_kernels import jit
from .unicode_table import SPACE_BIT

__all__ = ["cut_english"]

STOP, SLASH, COLON, AT, PLUS, COMMA, HYPHEN, APOSTROPHE, QUOTE_RIGHT = 46, 47, 58, 64, 43, 44, 45, 39, 0x2019
ELLIPSIS = 0x2026


@jit
def _own_cut(
    codes: NDArray[np.int32], first: int, last: int, keys: NDArray[np.uint64], cuts: NDArray[np.int8], lead: int
) -> int:
    """Cut of a word that has one of its own, else -2; `lead` stands for its first character where it is not 0."""
    value = np.uint64(0)
    for k in range(first, last):
        code = lead if lead != 0 and k == first else codes[k]
        value = (value + np.uint64(code) + np.uint64(1)) * BASE
        value ^= value >> np.uint64(29)
    value = (value ^ np.uint64(last - first)) | np.uint64(1)
    place = np.int64(value) & ((1 << TABLE_BITS) - 1)
    while keys[place] != 0:
        if keys[place] == value:
            return int(cuts[place])
        place = (place + 1) & ((1 << TABLE_BITS) - 1)
    return -2


@jit
def _is_address(codes: NDArray[np.int32], flags: NDArray[np.uint8], first: int, last: int) -> bool:
    """scheme://user@host.tld:port/path, all but host and tld optional; the tld in lower case."""
    at = first
    for k in range(first + 2, last - 2):
        if codes[k] == COLON and codes[k + 1] == SLASH and codes[k + 2] == SLASH:
            at = k + 3
            break
    for k in range(at, last):
        if codes[k] == AT:
            at = k + 1
    host, label, n_labels = at, at, 0
    while at < last:
        code = codes[at]
        if code == STOP:
            if at == label or codes[at - 1] == HYPHEN or codes[label] == HYPHEN:
                return False
            label, n_labels = at + 1, n_labels + 1
        elif not (
            code > 0xA0 or 97 <= code <= 122 or 65 <= code <= 90 or 48 <= code <= 57 or code == HYPHEN or code == 95
        ):
            break
        at += 1
    if n_labels == 0 or at - label < 2 or host == at:
        return False
    for k in range(label, at):
        if codes[k] > 0xFFFF or not flags[codes[k]] & LOWER:
            return False
    if at < last and codes[at] == COLON:
        port = at + 1
        while port < last and 48 <= codes[port] <= 57:
            port += 1
        if not 2 <= port - at - 1 <= 5:
            return False
        at = port
    return at == last or codes[at] == SLASH or codes[at] == 63 or codes[at] == 35


@jit
def _suffix(
    codes: NDArray[np.int32],
    flags: NDArray[np.uint8],
    first: int,
    last: int,
    keys: NDArray[np.uint64],
    cuts: NDArray[np.int8],
) -> int:
    """Characters of the mark that codes[first:last] ends in, 0 where it ends in none."""
    code, before = codes[last - 1], codes[last - 2] if last - first > 1 else 0
    flag = flags[code] if code <= 0xFFFF else 0
    before_flag = flags[before] if before <= 0xFFFF else ALPHA
    if code == STOP:
        if before == STOP:
            n = 2
            while last - n > first and codes[last - n - 1] == STOP:
                n += 1
            return n
        if before == 0:
            return 0
        upper_pair = last - first > 2 and before_flag & UPPER and codes[last - 3] <= 0xFFFF
        upper_pair = upper_pair and flags[codes[last - 3]] & UPPER != 0
        single = before_flag & (LOWER | DIGIT | QUOTE) or (before_flag & SUFFIX and not before_flag & ICON)
        return 1 if single or upper_pair or before == 37 or before == HYPHEN or before == PLUS or before == 0xB2 else 0
    if (code == 115 or code == 83) and (before == APOSTROPHE or before == QUOTE_RIGHT):
        return 2
    if flag & SUFFIX:
        return 1
    if before_flag & DIGIT and (code == PLUS or (flag & PREFIX and code != 37 and code != 0xA7 and code != 61)):
        return 1
    for n in range(min(4, last - first - 1), 0, -1):
        digit = codes[last - n - 1]
        if 48 <= digit <= 57 and _own_cut(codes, last - n - 1, last, keys, cuts, 48) == -1:
            return n
    return 0


@jit
def _infix(codes: NDArray[np.int32], flags: NDArray[np.uint8], first: int, last: int, at: int) -> int:
    """Characters of a mark inside codes[first:last] that stands at `at` and cuts there, 0 for none."""
    code = codes[at]
    flag = flags[code] if code <= 0xFFFF else 0
    if code == ELLIPSIS or flag & ICON:
        return 1
    if code == STOP and at + 1 < last and codes[at + 1] == STOP:
        n = 2
        while at + n < last and codes[at + n] == STOP:
            n += 1
        return n
    if at == first:
        return 0
    before = flags[codes[at - 1]] if codes[at - 1] <= 0xFFFF else ALPHA
    n = 1
    if flag & DASH and code != 126:
        while at + n < last and n < 3 and codes[at + n] == code:
            n += 1
    if at + n >= last:
        return 0
    behind = flags[codes[at + n]] if codes[at + n] <= 0xFFFF else ALPHA
    if flag & DASH and before & (ALPHA | DIGIT) and behind & ALPHA:
        return n
    if n > 1:
        return 0
    if before & DIGIT and (behind & DIGIT or codes[at + 1] == HYPHEN):
        if code == PLUS or code == HYPHEN or code == 42 or code == 94:
            return 1
    if code == STOP:
        return 1 if before & (LOWER | QUOTE) and behind & (UPPER | QUOTE) else 0
    if code == COMMA:
        return 1 if before & ALPHA and behind & ALPHA else 0
    between = code == COLON or code == 60 or code == 62 or code == 61 or code == SLASH
    return 1 if between and before & (ALPHA | DIGIT) and behind & ALPHA else 0


@jit
def cut_english(
    codes: NDArray[np.int32],
    classes: NDArray[np.uint8],
    flags: NDArray[np.uint8],
    keys: NDArray[np.uint64],
    cuts: NDArray[np.int8],
    starts: NDArray[np.int32],
    ends: NDArray[np.int32],
) -> int:
    """Fill starts and ends (as long as the text) with the words of one text, in order; returns how many."""
    n, at, mask = 0, 0, (1 << TABLE_BITS) - 1
    while at < len(codes):
        if classes[at] & SPACE_BIT:
            at += 1
            continue
        first, letters, value, flag = at, 0, np.uint64(0), np.uint8(0)
        while at < len(codes) and not classes[at] & SPACE_BIT:
            flag = flags[codes[at]] if codes[at] <= 0xFFFF else np.uint8(ALPHA)
            if flag & ALPHA and letters == at - first:
                letters += 1
                value = (value + np.uint64(codes[at]) + np.uint64(1)) * BASE
                value ^= value >> np.uint64(29)
            at += 1
        # Letters, with a mark behind them or none, are nine pieces of ten: no calls here, they cost more than the work.
        if letters == at - first or (letters > 0 and letters == at - first - 1 and flag & SUFFIX):
            middle = first + letters
            value = (value ^ np.uint64(letters)) | np.uint64(1)
            place = np.int64(value) & mask
            while letters <= LONGEST_OWN and keys[place] != 0:
                if keys[place] == value:
                    if cuts[place] > 0:
                        starts[n], ends[n] = first, first + cuts[place]
                        n, first = n + 1, first + cuts[place]
                    break
                place = (place + 1) & mask
            starts[n], ends[n] = first, middle
            n += 1
            if middle < at:
                starts[n], ends[n] = middle, at
                n += 1
        else:
            n = _cut_piece(codes, flags, keys, cuts, first, at, starts, ends, n)
    return n


@jit
def _cut_piece(
    codes: NDArray[np.int32],
    flags: NDArray[np.uint8],
    keys: NDArray[np.uint64],
    cuts: NDArray[np.int8],
    first: int,
    last: int,
    starts: NDArray[np.int32],
    ends: NDArray[np.int32],
    n: int,
) -> int:
    """Append the words of one piece between white space; returns how many there are now."""
    piece_end = last
    while first < last:
        own = _own_cut(codes, first, last, keys, cuts, 0) if last - first <= LONGEST_OWN else -2
        if own >= 0:
            middle = first + own if own > 0 else last
            starts[n], ends[n] = first, middle
            n += 1
            if middle < last:
                starts[n], ends[n] = middle, last
                n += 1
            first = last
            break
        code = codes[first]
        flag = flags[code] if code <= 0xFFFF else 0
        size = 1 if flag & PREFIX or (code == PLUS and not (last - first > 1 and 48 <= codes[first + 1] <= 57)) else 0
        if code == STOP and last - first > 1 and codes[first + 1] == STOP:
            size = 2
            while first + size < last and codes[first + size] == STOP:
                size += 1
        if size:
            starts[n], ends[n] = first, first + size
            n, first = n + 1, first + size
            continue
        size = _suffix(codes, flags, first, last, keys, cuts)
        if size == 0:
            break
        last -= size
    if first < last:
        n = _cut_inside(codes, flags, first, last, starts, ends, n)
    while last < piece_end:
        # The marks at the end were taken off backwards; forwards they are the same runs, 's and full stops alike.
        size = 1
        if codes[last] == STOP:
            while last + size < piece_end and codes[last + size] == STOP:
                size += 1
        elif flags[codes[last]] & QUOTE if codes[last] <= 0xFFFF else False:
            size = 2 if last + 1 < piece_end and (codes[last + 1] == 115 or codes[last + 1] == 83) else 1
        elif codes[last] <= 0xFFFF and not flags[codes[last]] & SUFFIX:
            while last + size < piece_end and not (
                codes[last + size] <= 0xFFFF and (flags[codes[last + size]] & SUFFIX or codes[last + size] == STOP)
            ):
                size += 1
        starts[n], ends[n] = last, last + size
        n, last = n + 1, last + size
    return n


@jit
def _cut_inside(
    codes: NDArray[np.int32],
    flags: NDArray[np.uint8],
    first: int,
    last: int,
    starts: NDArray[np.int32],
    ends: NDArray[np.int32],
    n: int,
) -> int:
    """Append what is left of a piece, cut at the marks inside unless it is an address."""
    if _is_address(codes, flags, first, last):
        starts[n], ends[n] = first, last
        return n + 1
    begin, at = first, first
    while at < last:
        size = _infix(codes, flags, first, last, at)
        if size == 0:
            at += 1
            continue
        if at > begin:
            starts[n], ends[n] = begin, at
            n += 1
        starts[n], ends[n] = at, at + size
        n, at = n + 1, at + size
        begin = at
    if begin < last:
        starts[n], ends[n] = begin, last
        n += 1
    return n
