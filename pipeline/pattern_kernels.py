"""Things a text should not be full of: addresses, telephone numbers, unbalanced brackets, menus, dates and prices."""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import int64, jit
from .unicode_table import SPACE_BIT, TERMINAL_BIT

__all__ = ["PATTERN_COUNTS", "count_patterns"]

PATTERN_COUNTS = (
    *("urls", "url_chars", "emails", "phones", "brackets", "unmatched_brackets"),
    *("menu_lines", "date_lines", "price_lines"),
)
URLS, URL_CHARS, EMAILS, PHONES, BRACKETS, UNMATCHED, MENU_LINES, DATE_LINES, PRICE_LINES = range(9)

NEWLINE, STOP, COLON, SLASH, AT, HYPHEN, PLUS, CJK = 0x0A, 0x2E, 0x3A, 0x2F, 0x40, 0x2D, 0x2B, 0x2E80
OPENING = np.array([ord(c) for c in "([{「『（【〈《〔｛［｢"], np.int32)
CLOSING = np.array([ord(c) for c in ")]}」』）】〉》〕｝］｣"], np.int32)
SEPARATORS = np.array([ord(c) for c in "-‐－−.()（） "], np.int32)
"""Between the groups of digits of a telephone number, one or two of them."""
DIVIDERS = np.array([ord(c) for c in "|｜»›>＞／・•"], np.int32)
DATE_MARKS = np.array([ord(c) for c in "年月日時分秒頃週曜火水木金土祝令和平成昭/.-:：()（）[]【】,、~〜"], np.int32)
CURRENCIES = np.array([ord(c) for c in "¥￥$＄€£₩円元"], np.int32)
MONTHS = np.array([ord(c) for c in "janfebmaraprmayjunjulaugsepoctnovdec"], np.int32)
MENU_CHARS, MENU_LINES_IN_A_ROW, DATE_CHARS, PRICE_CHARS, MONTH_LETTERS = 12, 3, 40, 60, 11
GROUPS = 5


@jit
def count_patterns(
    codes: NDArray[np.int32],
    classes: NDArray[np.uint8],
    marks: NDArray[np.uint16],
    offsets: NDArray[np.int64],
    events: NDArray[np.int32],
    event_bounds: NDArray[np.int64],
    lines: NDArray[np.int64],
    bounds: NDArray[np.int64],
    spaced: bool,
    counts: NDArray[np.int64],
) -> None:
    """Fill counts[text, :] (PATTERN_COUNTS) for every text."""
    depths = np.zeros(len(OPENING), np.int64)
    for text in range(len(offsets) - 1):
        first, last, out = offsets[text], offsets[text + 1], counts[text]
        places = events[event_bounds[text] : event_bounds[text + 1]]
        _addresses(codes, classes, places, first, last, out)
        _brackets(codes, places, depths, out)
        _phones(codes, first, last, out)
        _looks(codes, classes, marks, lines[bounds[text] : bounds[text + 1]], spaced, out)


@jit
def _is_in(code: int, some: NDArray[np.int32]) -> bool:
    """One of some code points."""
    found = False
    for value in some:
        found |= code == value
    return found


@jit
def _is_letter(code: int) -> bool:
    """a to z in either case."""
    return 0x61 <= code | 0x20 <= 0x7A and code < 0x80


@jit
def _is_digit(code: int) -> bool:
    """0 to 9, full-width ones too."""
    return 0x30 <= code <= 0x39 or 0xFF10 <= code <= 0xFF19


@jit
def _addresses(
    codes: NDArray[np.int32],
    classes: NDArray[np.uint8],
    places: NDArray[np.int32],
    first: int,
    last: int,
    out: NDArray[np.int64],
) -> None:
    """http://…, https://… and www.… up to white space, <, >, " or an East Asian character; e-mail addresses."""
    url_end, mail_end = first, first
    for number in range(len(places)):
        place = int64(places[number])
        code = codes[place]
        if code == AT:
            end = _email_end(codes, mail_end, place, last)
            if end > 0:
                out[EMAILS] += 1
                mail_end = end
        if place < url_end or (code != COLON and code != STOP):
            continue
        begin = _url_begin(codes, first, place, last)
        if begin < 0:
            continue
        end = place
        while end < last and not classes[end] & SPACE_BIT and codes[end] < CJK:
            if codes[end] == 0x3C or codes[end] == 0x3E or codes[end] == 0x22:
                break
            end += 1
        out[URLS] += 1
        out[URL_CHARS] += end - begin
        url_end = end


@jit
def _url_begin(codes: NDArray[np.int32], first: int, place: int, last: int) -> int:
    """Where the address begins whose colon or first full stop stands at `place`; -1 where it is none."""
    if codes[place] == STOP:
        begin = place - 3
        if begin < first or (begin > first and (_is_letter(codes[begin - 1]) or _is_digit(codes[begin - 1]))):
            return -1
        for k in range(begin, place):
            if codes[k] | 0x20 != 0x77:
                return -1
        return begin if place + 1 < last and (_is_letter(codes[place + 1]) or _is_digit(codes[place + 1])) else -1
    if place + 2 >= last or codes[place + 1] != SLASH or codes[place + 2] != SLASH:
        return -1
    begin = place - 5 if place - 5 >= first and codes[place - 1] | 0x20 == 0x73 else place - 4
    if begin < first or codes[begin] | 0x20 != 0x68 or codes[begin + 3] | 0x20 != 0x70:
        return -1
    return begin if codes[begin + 1] | 0x20 == 0x74 and codes[begin + 2] | 0x20 == 0x74 else -1


@jit
def _is_host(code: int) -> bool:
    """A letter, a digit or a hyphen."""
    return _is_letter(code) or 0x30 <= code <= 0x39 or code == HYPHEN


@jit
def _email_end(codes: NDArray[np.int32], floor: int, place: int, last: int) -> int:
    """Where [A-Za-z0-9._%+-]+@[A-Za-z0-9-]+([.][A-Za-z0-9-]+)*[.][A-Za-z]{2,} ends; -1 where it does not match."""
    if place == floor:
        return -1
    before = codes[place - 1]
    if not (_is_host(before) or before == STOP or before == 0x5F or before == 0x25 or before == PLUS):
        return -1
    at, end = place + 1, -1
    while at < last and _is_host(codes[at]):
        at += 1
    if at == place + 1:
        return -1
    while at + 1 < last and codes[at] == STOP and _is_host(codes[at + 1]):
        at += 1
        letters = at
        while letters < last and _is_letter(codes[letters]):
            letters += 1
        end = letters if letters - at >= 2 else end
        while at < last and _is_host(codes[at]):
            at += 1
    return end


@jit
def _brackets(
    codes: NDArray[np.int32], places: NDArray[np.int32], depths: NDArray[np.int64], out: NDArray[np.int64]
) -> None:
    """Brackets, and those without a partner of their kind."""
    for kind in range(len(depths)):
        depths[kind] = 0
    for number in range(len(places)):
        code = codes[places[number]]
        if code < 0x28 or 0x2E <= code <= 0x5A:
            continue
        for kind in range(len(OPENING)):
            if code == OPENING[kind]:
                out[BRACKETS] += 1
                depths[kind] += 1
            elif code == CLOSING[kind]:
                out[BRACKETS] += 1
                out[UNMATCHED] += depths[kind] == 0
                depths[kind] = max(depths[kind] - 1, 0)
    for kind in range(len(depths)):
        out[UNMATCHED] += depths[kind]


@jit
def _phones(codes: NDArray[np.int32], first: int, last: int, out: NDArray[np.int64]) -> None:
    """Two to five groups of digits: 10 or 11 behind a leading 0 and four last, 8 to 15 behind +, or (1) 3 3 4."""
    at = first
    while at < last:
        if not _is_digit(codes[at]):
            at += 1
            continue
        begin, n_groups, n_digits, shape, size = at, 0, 0, 0, 0
        while True:
            group = at
            while at < last and _is_digit(codes[at]):
                at += 1
            size = at - group
            n_groups, n_digits, shape = n_groups + 1, n_digits + size, shape * 16 + min(size, 15)
            gap = at
            while gap < last and gap < at + 2 and _is_in(codes[gap], SEPARATORS):
                gap += 1
            if gap == at or gap == last or n_groups == GROUPS or not _is_digit(codes[gap]):
                break
            at = gap
        if n_groups < 2:
            continue
        zero = codes[begin] == 0x30 or codes[begin] == 0xFF10
        plus = begin > first and (codes[begin - 1] == PLUS or codes[begin - 1] == 0xFF0B)
        home = zero and size == 4 and 10 <= n_digits <= 11
        out[PHONES] += home or (plus and 8 <= n_digits <= 15) or shape == 0x334 or shape == 0x1334


@jit
def _looks(
    codes: NDArray[np.int32],
    classes: NDArray[np.uint8],
    marks: NDArray[np.uint16],
    lines: NDArray[np.int64],
    spaced: bool,
    out: NDArray[np.int64],
) -> None:
    """Lines that look like an item of a menu, a date or a price; none of them ends in a terminal mark."""
    row, menu_chars = 0, 2 * MENU_CHARS if spaced else MENU_CHARS
    for k in range(len(lines)):
        left, right = lines[k, 2], lines[k, 3]
        size = right - left
        if size == 0:
            continue
        if marks[right - 1] & TERMINAL_BIT or size > PRICE_CHARS:
            row = 0
            continue
        dividers = 0
        for at in range(left, right):
            dividers += _is_divider(codes[at])
        if dividers >= 2:
            out[MENU_LINES] += 1
            row = 0
        elif size <= menu_chars:
            row += 1
            out[MENU_LINES] += MENU_LINES_IN_A_ROW if row == MENU_LINES_IN_A_ROW else row > MENU_LINES_IN_A_ROW
        else:
            row = 0
        out[DATE_LINES] += size <= DATE_CHARS and _is_date(codes, classes, left, right)
        out[PRICE_LINES] += _has_price(codes, left, right)


@jit
def _is_divider(code: int) -> bool:
    """A mark between the items of a menu."""
    if code < 0x80:
        return code == 0x7C or code == 0x3E
    return _is_in(code, DIVIDERS)


@jit
def _is_date(codes: NDArray[np.int32], classes: NDArray[np.uint8], first: int, last: int) -> bool:
    """Three digits at least, and besides digits, date marks and white space only the letters of an English month."""
    digits, others, letters, month = 0, 0, 0, False
    for k in range(first, last):
        code = codes[k]
        if _is_digit(code):
            digits += 1
        elif _is_letter(code):
            begins = k == first or not _is_letter(codes[k - 1])
            if begins and k + 2 < last:
                for m in range(0, len(MONTHS), 3):
                    same = code | 0x20 == MONTHS[m] and codes[k + 1] | 0x20 == MONTHS[m + 1]
                    month |= same and codes[k + 2] | 0x20 == MONTHS[m + 2]
            letters += 1
        elif not classes[k] & SPACE_BIT and not _is_in(code, DATE_MARKS):
            others += 1
    if digits < 3 or others or (letters and not month):
        return False
    return letters <= MONTH_LETTERS and digits < last - first


@jit
def _has_price(codes: NDArray[np.int32], first: int, last: int) -> bool:
    """A currency mark beside a digit."""
    for k in range(first, last):
        code = codes[k]
        if (code == 0x24 or code > 0xA2) and _is_in(code, CURRENCIES):
            if (k > first and _is_digit(codes[k - 1])) or (k + 1 < last and _is_digit(codes[k + 1])):
                return True
    return False
