"""A page's bytes in, whether it may be Japanese out, at the speed of counting bytes and before anything is decoded."""

import re
from typing import Final

from .charset_labels import encoding_of

__all__ = ["may_be_japanese"]

MIN_KANA: Final = 5
"""Kana from which a page in UTF-8, or with character references, may be Japanese."""
MIN_LEGACY_KANA: Final = 10
MIN_LEGACY_SHARE: Final = 0.1
"""Pairs of bytes that are hiragana in Shift_JIS or EUC-JP, and their share of the bytes above 127, from which a page
without a declaration may be Japanese: in other encodings such pairs come about by chance."""
HEAD_BYTES: Final = 4096

_JAPANESE: Final = ("shift_jis", "euc-jp", "iso-2022-jp")
_LANG = re.compile(rb"\blang(?:uage)?[\"']?\s*(?:=|content=)\s*[\"']?\s*ja\b", re.IGNORECASE)
_META_CHARSET = re.compile(rb"(?:charset|encoding)\s*=\s*[\"']?\s*([a-zA-Z0-9_:-]+)")
_REFERENCE = re.compile(rb"&#(?:[xX]30[4-9a-fA-F][0-9a-fA-F]|12[345]\d\d);")
_SHIFT_JIS_KANA = re.compile(rb"\x82[\x9f-\xf1]")
_EUC_JP_KANA = re.compile(rb"\xa4[\xa1-\xf3]")
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
_ASCII = bytes(range(128))


def may_be_japanese(body: bytes, http_charset: str | None) -> bool:
    """Whether a page speaks for Japanese in any way: a declaration, kana in any encoding, references, or UTF-16.

    A yes costs the reading of a page, a no loses it; docs/reading.md has the share of both on real pages.

    >>> may_be_japanese("<p>精米の話です".encode("euc_jp") * 4, None), may_be_japanese("<p>你好".encode(), "utf-8")
    (True, False)
    """
    head = body[:HEAD_BYTES]
    labels = [http_charset or "", *(label.decode("ascii").lower() for label in _META_CHARSET.findall(head))]
    if any(encoding_of(label) in _JAPANESE for label in labels) or _LANG.search(head):
        return True
    if b"\x1b$" in body or b"\0" in head or body.startswith(_WIDE_MARKS):
        return True
    if body.isascii():
        return _at_least(_REFERENCE, body, MIN_KANA)
    if sum(body.count(lead) for lead in (b"\xe3\x81", b"\xe3\x82", b"\xe3\x83")) >= MIN_KANA:
        return True
    if _at_least(_REFERENCE, body, MIN_KANA):
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return _has_legacy_kana(body)
    return False


def _at_least(pattern: re.Pattern[bytes], body: bytes, number: int) -> bool:
    matches = pattern.finditer(body)
    return all(next(matches, None) is not None for _ in range(number))


def _has_legacy_kana(body: bytes) -> bool:
    high = body.translate(None, _ASCII)
    for pattern in (_SHIFT_JIS_KANA, _EUC_JP_KANA):
        pairs = len(pattern.findall(body))
        if pairs >= MIN_LEGACY_KANA and 2 * pairs >= MIN_LEGACY_SHARE * len(high):
            return True
    return False
