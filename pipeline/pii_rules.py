"""A candidate and what stands around it in; the numbers and addresses of persons in it out.

Every quantifier is bounded, so that the time is linear in the text. Full-width forms are folded one to one beforehand.
"""

import ipaddress
import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

__all__ = ["KINDS", "Kind", "PiiMatch", "find_addresses", "find_ipv6", "find_mails", "find_numbers", "fold"]

Kind = Literal["email", "ip", "phone", "my_number", "card", "address"]
KINDS: Final[tuple[Kind, ...]] = ("email", "ip", "phone", "my_number", "card", "address")


class PiiMatch(NamedTuple):
    """A find in a string: kind, [start, end) in code points, and what stands there when it is masked."""

    kind: Kind
    start: int
    end: int
    replacement: str


_FOLDED = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_FOLDED |= {ord(mark): ord("-") for mark in "‐‑‒–—―−ーｰ"} | {0x3000: 0x20, 0xA0: 0x20}

_BEFORE = r"(?<![0-9A-Za-z_])(?<![0-9A-Za-z][.-])(?<![0-9],)"
_BEHIND = r"(?![0-9A-Za-z_]|[-.][0-9]|,[0-9]{3}(?![0-9-]))"
_BEFORE_PHONE = (
    rf"(?:{_BEFORE}|(?<=[0-9],)(?=0)|(?<=(?i:tel|fax))|(?<=(?i:phone))|(?<=(?i:tel|fax)[.-])|(?<=(?i:phone)[.-]))"
)
_BEHIND_PHONE = r"(?![0-9_]|(?!(?i:tel|fax|e?-?mail|https?:))[A-Za-z]|[-.][0-9]|,[0-9]{3}(?![0-9-]))"
"""A label may touch a telephone number on either side, as on pages whose cells were joined: TEL.03-…FAX.03-…"""
_JOIN = r"(?: ?- ?|[ .])"
_AREAS = (
    *(("0[346]", 4, 4), ("0[1-9][0-9]", 3, 4), ("0[0-9]{3}", 2, 4), ("0[0-9]{4}", 1, 4), ("0[2-9]0", 4, 4)),
    *(("0(?:120|570|990)", 3, 3), ("0(?:120|570)", 2, 4), ("0800", 3, 4)),
)
"""Japanese numbers: area (its 0 included), digits of the exchange, digits of the subscriber."""


def _japanese(prefix: str) -> str:
    """All Japanese forms; with a country's prefix the 0 of the area is left out or stands in brackets."""
    forms = []
    for area, exchange, subscriber in _AREAS:
        begin = area if not prefix else rf"(?:\(0\) ?|0)?{area.removeprefix('0')}"
        tail = rf"[0-9]{{{exchange}}}{_JOIN}[0-9]{{{subscriber}}}"
        forms.append(rf"(?:\({begin}\)[ -]?|{begin}{_JOIN}){tail}")
        forms.append(rf"{begin} ?-?\([0-9]{{{exchange}}}\) ?-?[0-9]{{{subscriber}}}")
    return prefix + "(?:" + "|".join(forms) + ")"


_PHONE = re.compile(
    "|".join(
        (
            _BEFORE_PHONE + _japanese("") + _BEHIND_PHONE,
            r"(?<![0-9A-Za-z_.])" + _japanese(r"\(?\+ ?81\)?[ .-]?") + _BEHIND_PHONE,
            r"(?<![0-9A-Za-z_.])\+ ?[1-9](?:(?:[ .-]|[ -]?\(|\)[ -]?)?[0-9]){8,14}" + _BEHIND_PHONE,
            _BEFORE_PHONE
            + r"(?:1[ .-])?(?:\([2-9][0-9]{2}\)[ -]?|[2-9][0-9]{2}[-.])[0-9]{3}[-. ][0-9]{4}"
            + _BEHIND_PHONE,
            _BEFORE_PHONE + r"0[5-9]0[0-9]{8}" + _BEHIND_PHONE,
        )
    )
)
_NAMED_PHONE = re.compile(_BEFORE_PHONE + r"(?:0[1-9][0-9]{8}|(?:1 )?[2-9][0-9]{2} [0-9]{3} [0-9]{4})" + _BEHIND_PHONE)
"""Forms that say too little by themselves: they count behind a word for telephone."""
_PHONE_WORD = re.compile(r"tel|fax|phone|mobile|cell|call|dial|電話|携帯|連絡先|直通|ダイヤル|ファックス|[☎℡📞]", re.I)
_OTHER_NUMBER = re.compile(
    r"\b(?:isbn|issn|jan|ean|upc|doi|sku|asin|serial|tracking|patent"
    r"|(?:order|invoice|part|model|product|account|item|case|lot) ?(?:no|num|id|code|#))"
    r"|(?:商品|注文|受注|発注|荷物|整理|管理|会員|合わ?せ) ?(?:番号|no|id|[№#])"
    r"|品番|型番|型式|製番|伝票|追跡|口座|特許|コード",
    re.I,
)
_ADDRESS_OF_PAGE = re.compile(r"(?:https?://|www\.|doi\.org/)[!-~]*$", re.I)
_CARD = re.compile(_BEFORE + r"[2-6][0-9](?:[ -]?[0-9]){11,17}" + _BEHIND)
_CARD_GROUPS = ((4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3))
_ISSUERS = (
    *((re.compile(r"4"), (13, 16, 19)), (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,))),
    *((re.compile(r"3[47]"), (15,)), (re.compile(r"35(?:2[89]|[3-8])"), (16,)), (re.compile(r"30[0-5]|3[68]"), (14,))),
    *((re.compile(r"6011|64[4-9]|65"), (16,)), (re.compile(r"62"), (16, 17, 18, 19))),
)
_MY_NUMBER = re.compile(_BEFORE + r"(?<![0-9] )[0-9]{4}([ -]?)[0-9]{4}\1[0-9]{4}" + _BEHIND + r"(?! [0-9])")
_MY_NUMBER_WORD = re.compile(r"マイナンバ|個人番号|my ?number|individual number", re.I)
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IP = re.compile(rf"{_BEFORE}{_OCTET}(?:\.{_OCTET}){{3}}(?![0-9A-Za-z_]|[-.][0-9])")
_IP_WORD = re.compile(r"\bip|アドレス|address|\bdns|\bping|接続元|アクセス元|://", re.I)
_IP_DIGITS = 8
"""Shorter ones are chapters and versions as a rule (4.10.19.2): they count behind a word for IP addresses."""
_VERSION = re.compile(
    r"(?:\bv|\bver\.?|versions?|release|build|rev\.?|section|chapter|バージョン|版|第|章|節|§|(?<!/)/)[ :=]{0,2}$", re.I
)
_LOCAL = re.compile(r"[A-Za-z0-9_.+-][A-Za-z0-9._%+'-]{0,63}")  # backwards
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.){{1,6}}(?:xn--[A-Za-z0-9-]{{1,58}}[A-Za-z0-9]|[A-Za-z]{{2,24}})(?![A-Za-z0-9])")
_NOBODY = re.compile(r"(?:^|\.)(?:example(?:\.(?:com|net|org|edu|jp|co\.jp))?|test|invalid|localhost|local)$", re.I)
_FILE = re.compile(r"\.(?:png|jpe?g|gif|svg|webp|css|js|html?|php|pdf|mp[34]|json|xml|txt|zip)$", re.I)
_PREFECTURE = "東京都|北海道|大阪府|京都府|[^\\s\\d、。都道府県]{2,3}県"
_STREET = re.compile(
    rf"(?:{_PREFECTURE})[^\s\d、。]{{1,10}}?[市区町村郡]([^\s\d、。,]{{0,14}}[0-9]{{1,4}}"
    r"(?:(?:丁目|番地の?|番|号|-| ?- ?)(?:[0-9]{1,4})?){0,5})"
)


def fold(text: str) -> str:
    """Full-width forms and the many hyphens as ASCII, code point by code point.

    >>> fold("０３－１２３４−５６７８")
    '03-1234-5678'
    """
    return text.translate(_FOLDED)


def find_numbers(text: str, begin: int) -> Iterator[PiiMatch]:
    """Cards, My Numbers, telephone numbers and IPv4 addresses whose first digit stands at `begin` or behind it.

    >>> [match.kind for match in find_numbers("電話は０３－１２３４－５６７８です", 3)]
    ['phone']
    """
    folded = fold(text)
    taken = [0]  # where the last find ended
    found = [
        *(PiiMatch("ip", *m.span(), "192.0.2.1") for m in _IP.finditer(folded) if _is_host(m, text)),
        *(PiiMatch("card", *m.span(), "") for m in _CARD.finditer(folded) if _is_card(m, text)),
        *(PiiMatch("my_number", *m.span(), "") for m in _MY_NUMBER.finditer(folded) if _is_my_number(m, text)),
        *(PiiMatch("phone", *m.span(), "") for m in _PHONE.finditer(folded) if _is_phone(m, text)),
        *(PiiMatch("phone", *m.span(), "") for m in _NAMED_PHONE.finditer(folded) if _is_named_phone(m, text)),
    ]
    for match in sorted(found, key=lambda match: (match.start, -match.end)):
        first_digit = match.start + next(at for at, char in enumerate(folded[match.start :]) if char.isdigit())
        if first_digit >= begin and match.start >= taken[0]:
            taken[0] = match.end
            yield match if match.replacement else match._replace(replacement=_zeros(text[match.start : match.end]))


def _zeros(text: str) -> str:
    """Every digit as a 0 of its own width: the shape stays and nothing is left to be found."""
    return re.sub("[０-９]", "０", re.sub("[0-9]", "0", text))


def _left(match: re.Match[str], text: str, chars: int) -> str:
    return text[max(0, match.start() - chars) : match.start()]


def _is_other(match: re.Match[str], text: str) -> bool:
    """Whether the words before, or an address of the web around it, say that a number is something else."""
    return bool(_OTHER_NUMBER.search(_left(match, text, 16)) or _ADDRESS_OF_PAGE.search(_left(match, text, 80)))


def _is_phone(match: re.Match[str], text: str) -> bool:
    named = bool(_PHONE_WORD.search(_left(match, text, 8)))
    return len(set(_digits(match))) > 1 and (named or not _is_other(match, text))


def _is_named_phone(match: re.Match[str], text: str) -> bool:
    return bool(_PHONE_WORD.search(_left(match, text, 16))) and _is_phone(match, text)


def _digits(match: re.Match[str]) -> str:
    return re.sub("[^0-9]", "", match.group())


def _is_card(match: re.Match[str], text: str) -> bool:
    """Groups as cards have them, an issuer's prefix and length, and Luhn's check digit."""
    digits, separators = _digits(match), set(re.sub("[0-9]", "", match.group()))
    groups = tuple(len(group) for group in re.split("[ -]", match.group()))
    if len(groups) > 1 and (groups not in _CARD_GROUPS or len(separators) > 1):
        return False
    if not any(prefix.match(digits) and len(digits) in lengths for prefix, lengths in _ISSUERS):
        return False
    odd, even = digits[-1::-2], digits[-2::-2]
    total = sum(map(int, odd)) + sum(sum(divmod(2 * int(digit), 10)) for digit in even)
    return total % 10 == 0 and len(set(digits)) > 1 and not _is_other(match, text)


def _is_my_number(match: re.Match[str], text: str) -> bool:
    """The check digit of the ministry's ordinance; ungrouped digits count behind the number's name only."""
    digits = _digits(match)
    weights = (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)
    rest = sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False)) % 11
    if int(digits[11]) != (0 if rest <= 1 else 11 - rest) or len(set(digits)) == 1:
        return False
    if _MY_NUMBER_WORD.search(_left(match, text, 32)):
        return True
    return bool(match.group(1)) and not _is_other(match, text)


def _is_host(match: re.Match[str], text: str) -> bool:
    """An address of the public internet that no word before calls a version or a chapter."""
    if not ipaddress.IPv4Address(match.group()).is_global:
        return False
    left = _left(match, text, 24)
    return not _VERSION.search(left) and (len(_digits(match)) >= _IP_DIGITS or bool(_IP_WORD.search(left)))


def find_ipv6(text: str) -> bool:
    """Whether a token of hexadecimal digits and colons is a public IPv6 address.

    >>> find_ipv6("2400:cb00:2048:1::c629:d7a2"), find_ipv6("12:34:56"), find_ipv6("dead::beef")
    (True, False, False)
    """
    if len(text) > 39 or text.count(":") < 3 or not any(char.isdigit() for char in text):
        return False
    try:
        return ipaddress.IPv6Address(text).is_global
    except ValueError:
        return False


def find_mails(text: str, at: int) -> PiiMatch | None:
    """The e-mail address around the @ at place `at`; None where there is none, or a file's name, or nobody's.

    >>> find_mails("mail: taro@seimai.jp.", 10), find_mails("icon@2x.png", 4), find_mails("a@example.com", 1)
    (PiiMatch(kind='email', start=6, end=20, replacement='name@example.com'), None, None)
    """
    left, right = fold(text[max(0, at - 65) : at]), fold(text[at + 1 : at + 256])
    local, domain = _LOCAL.match(left[::-1]), _DOMAIN.match(right)
    if local is None or domain is None or _NOBODY.search(domain.group()) or _FILE.search(domain.group()):
        return None
    length = len(local.group().rstrip(".%'"))
    return PiiMatch("email", at - length, at + 1 + domain.end(), "name@example.com")


def find_addresses(text: str) -> Iterator[PiiMatch]:
    """What stands behind the municipality in Japanese postal addresses, up to the last number.

    >>> [text[m.start : m.end] for text in ["東京都千代田区千代田1-1にある"] for m in find_addresses(text)]
    ['千代田1-1']
    """
    for match in _STREET.finditer(fold(text)):
        yield PiiMatch("address", *match.span(1), "〇〇")
