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
# Patterns that begin with a letter as it is written are found several times as fast as any others.
_LANG = re.compile(rb"lang(?:uage)?[\"']?\s*(?:=|content=)\s*[\"']?\s*ja\b")
_WORD_END = re.compile(rb"\w\Z")
_LABELS = tuple(re.compile(name + rb"\s*=\s*[\"']?\s*([a-zA-Z0-9_:-]+)") for name in (b"charset", b"encoding"))
_REFERENCE = re.compile(rb"&#(?:[xX]30[4-9a-fA-F][0-9a-fA-F]|12[345]\d\d);")
_UTF8_LEADS = (b"\xe3\x81", b"\xe3\x82", b"\xe3\x83")
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
    stated = [label.decode("ascii") for pattern in _LABELS for label in pattern.findall(head)]
    if any(encoding_of(label) in _JAPANESE for label in (http_charset or "", *stated)) or _declares_japanese(head):
        return True
    # A single byte is found many times as fast as two, and most pages have neither of these.
    if (b"\x1b" in body and b"\x1b$" in body) or b"\0" in head or body.startswith(_WIDE_MARKS):
        return True
    if _at_least(_REFERENCE, body, MIN_KANA):
        return True
    if body.isascii():
        return False
    if b"\xe3" in body and sum(map(body.count, _UTF8_LEADS)) >= MIN_KANA:
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return _has_legacy_kana(body)
    return False


def _declares_japanese(head: bytes) -> bool:
    lower = head.lower()
    return any(not _WORD_END.search(lower, max(0, found.start() - 1), found.start()) for found in _LANG.finditer(lower))


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
