"""A page's bytes in, its text out, with a record of which encoding was declared, which was used and what it cost."""

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from .charset_japanese import decode_euc_jp, decode_iso_2022_jp, decode_shift_jis
from .charset_labels import CODECS, encoding_of
from .charset_score import Family, plausibility

__all__ = ["VERSION", "Decoded", "Source", "decode_html"]

VERSION = 4
"""Part of the fingerprint of every stage that decodes pages; covers the charset_* modules too."""

Source = Literal["bom", "http", "meta", "detector"]

BAD = "\ufffd"
PRESCAN_BYTES = 4096  # browsers look at 1024; Japanese pages of the 2000s put comments and scripts first
SAMPLE_BYTES = 8 * 1024  # of the non-ASCII parts; half as much begins to take Shift_JIS for windows-1252
MAX_LABEL_CHARS = 64
CERTAIN = 0.4  # a declared encoding that reads without a fault and at least this well is not doubted
HIRAGANA_SHARE = 0.25
DECLARED_BONUS = 0.4
ESCAPE_BONUS = 1.0  # an escape to JIS X 0208 stands in no other text

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xfe\xff", "utf-16be"), (b"\xff\xfe", "utf-16le"))
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
_META = re.compile(rb"<meta[\s/]([^>]*)", re.IGNORECASE)
_META_CHARSET = re.compile(rb"""charset\s*=\s*["']?\s*([^\s"'/>;]+)""", re.IGNORECASE)
_XML = re.compile(rb"""\s*<\?xml\s[^>]*?encoding\s*=\s*["']\s*([^\s"'>]+)""", re.IGNORECASE)
_JIS_ESCAPE = re.compile(rb"\x1b(?:\$[@B]|\$\(D|\(I)")
_EUC_JP_HIRAGANA = re.compile(rb"\xa4[\xa1-\xf3]")
_HIGH_PART = re.compile(rb"(?:[\x80-\xff]+[\x40-\x7e]?)+")

_JAPANESE: dict[str, Callable[[bytes], str]] = {
    "shift_jis": decode_shift_jis,
    "euc-jp": decode_euc_jp,
    "iso-2022-jp": decode_iso_2022_jp,
}
_FAMILIES: dict[str, Family] = {
    "shift_jis": "japanese",
    "euc-jp": "japanese_euc",
    "iso-2022-jp": "japanese",
    "gbk": "chinese_simplified",
    "gb18030": "chinese_simplified",
    "big5": "chinese_traditional",
    "euc-kr": "korean",
}


@dataclass(frozen=True, slots=True)
class Decoded:
    """A page's text and how it was read."""

    text: str
    """Without byte order mark, NUL and lone surrogates."""
    charset: str
    """Name of the encoding that was used, in lower case as in the Encoding Standard."""
    source: Source
    """Who said so first: "bom", "http", "meta" (or an XML declaration); "detector" when none of them did."""
    declared: str | None
    """The label that the HTTP header, else the page, gave, in lower case; None where neither did."""
    n_replaced: int
    """How many U+FFFD stand for bytes that could not be read; those the page itself contains are not counted."""
    truncated: bool
    """Whether the last character is cut."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    charset: str
    source: Source
    bonus: float


def decode_html(payload: bytes, http_charset: str | None) -> Decoded:
    """Decode a page whatever it declares; a byte that cannot be read costs its character only, never the page.

    Candidates are the byte order mark, the HTTP header's charset, the page's meta tag or XML declaration, and a
    detector's guesses. The first that reads the page without a fault and as plausible writing is taken, else the best
    by share of unreadable characters and plausibility, with some credit for being declared. NUL is removed, as
    browsers do in text. Never raises.

    >>> decode_html("<p>精米①㈱</p>".encode("cp932"), "x-sjis")
    Decoded(text='<p>精米①㈱</p>', charset='shift_jis', source='http', declared='x-sjis', n_replaced=0, truncated=False)
    """
    declarations = list(_declarations(payload, http_charset))
    labels = [label for _, label in declarations if label is not None]
    declared = next((label for label in labels if encoding_of(label)), labels[0] if labels else None)
    candidates = _candidates(declarations)
    as_utf8 = _as_utf8(payload)
    chosen = _choose(payload, as_utf8, candidates)
    is_whole = chosen.charset == "utf-8" and as_utf8 is not None
    text, truncated = (as_utf8 or "", False) if is_whole else _decode(payload, chosen.charset)
    text = text.removeprefix("\ufeff")
    n_replaced = text.count(BAD) if BAD in text else 0  # a search is several times as fast as a count
    if n_replaced and chosen.charset == "utf-8":
        n_replaced -= payload.count(b"\xef\xbf\xbd")
    if b"\0" in payload:
        text = text.replace("\0", "")
    return Decoded(text, chosen.charset, chosen.source, declared, n_replaced, truncated)


def _declarations(payload: bytes, http_charset: str | None) -> Iterator[tuple[Source, str | None]]:
    """Every declaration in order of rank, with its label; a byte order mark has none, as it is no label."""
    if http_charset:
        yield "http", http_charset.strip().lower()[:MAX_LABEL_CHARS]
    head = _COMMENT.sub(b"", payload[:PRESCAN_BYTES])
    for meta in _META.finditer(head):
        if label := _META_CHARSET.search(meta[1]):
            yield "meta", _label(label[1])
    if xml := _XML.match(head.removeprefix(b"\xef\xbb\xbf")):
        yield "meta", _label(xml[1])


def _label(raw: bytes) -> str:
    return raw.decode("latin-1").lower()[:MAX_LABEL_CHARS]


def _candidates(declarations: list[tuple[Source, str | None]]) -> list[_Candidate]:
    candidates: dict[str, _Candidate] = {}
    for source, label in declarations:
        name = encoding_of(label) if label else None
        if name is None or name not in CODECS:
            continue
        if source == "meta" and name.startswith("utf-16"):
            name = "utf-8"  # the tag could be read as ASCII, so that it cannot be true (HTML standard, prescan)
        candidates.setdefault(name, _Candidate(name, source, DECLARED_BONUS))
    return list(candidates.values())


def _choose(payload: bytes, as_utf8: str | None, declared: list[_Candidate]) -> _Candidate:
    if b"\0" not in payload:  # in UTF-16 every sign of markup and every line end has one
        declared = [one for one in declared if not one.charset.startswith("utf-16")]
    first = declared[0] if declared else _Candidate("utf-8", "detector", 0.0)
    for mark, name in _BOMS:
        if payload.startswith(mark):
            marked = _Candidate(name, "bom", DECLARED_BONUS)
            if name != "utf-8" or as_utf8 is not None or _is_cut_utf8(payload):
                return marked
            declared, first = [marked, *(one for one in declared if one.charset != name)], marked
            break
    if payload.isascii():
        return _choose_for_ascii(payload, declared, first)
    is_utf8 = as_utf8 is not None or _is_cut_utf8(payload)
    if is_utf8 and (first.charset == "utf-8" or _utf8_is_certain(payload)):
        return _named("utf-8", declared)
    if wide := _wide(payload):
        return _named(wide, declared)
    if declared and _is_full_of_hiragana(payload, first.charset):
        return first
    if not declared and 10 * payload.count(0xE3) < payload.count(0x82) and _is_full_of_hiragana(payload, "shift_jis"):
        return _Candidate("shift_jis", "detector", 0.0)  # of damaged UTF-8, each 82 of a kana stands behind an E3
    sample = _sample(payload)
    if declared and first.charset not in _FAMILIES and any(_is_full_of_hiragana(payload, name) for name in _JAPANESE):
        declared = [replace(one, bonus=0.0) for one in declared]  # a label of other letters is a lie, or UTF-8 damaged
    elif declared and CODECS[first.charset] != "cp1252" and _score(sample, first) - first.bonus >= CERTAIN:
        text = _decode_sample(sample, first.charset)
        if BAD not in text:
            return first
    return max(_with_guesses(payload, sample, declared), key=lambda candidate: _score(sample, candidate))


def _is_full_of_hiragana(payload: bytes, charset: str) -> bool:
    """Whether a quarter of the bytes above 127 are hiragana in that encoding: no other reads them as writing too."""
    if charset not in ("shift_jis", "euc-jp"):
        return False
    part = payload[: 4 * SAMPLE_BYTES]
    codes = np.frombuffer(part, np.uint8)
    if charset == "shift_jis":  # a lead is no trail, so that the pairs can be counted all at once
        trails = codes[1:]
        n_pairs = int(np.count_nonzero((codes[:-1] == 0x82) & (trails >= 0x9F) & (trails <= 0xF1)))
    else:
        n_pairs = len(_EUC_JP_HIRAGANA.findall(part))
    return bool(2 * n_pairs >= HIRAGANA_SHARE * np.count_nonzero(codes >= 0x80) > 0)


def _choose_for_ascii(payload: bytes, declared: list[_Candidate], first: _Candidate) -> _Candidate:
    if b"\x1b" in payload and _JIS_ESCAPE.search(payload):
        return _named("iso-2022-jp", declared)
    wide = _wide(payload)
    return _named(wide, declared) if wide else first


def _named(name: str, declared: list[_Candidate]) -> _Candidate:
    return next((one for one in declared if one.charset == name), _Candidate(name, "detector", 0.0))


def _as_utf8(payload: bytes) -> str | None:
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _is_cut_utf8(payload: bytes) -> bool:
    """Whether nothing but the last character of a payload, which is cut, is no UTF-8."""
    try:
        payload.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.end == len(payload) and error.reason == "unexpected end of data" and error.start > 0
    return False


def _utf8_is_certain(payload: bytes) -> bool:
    """Whether valid UTF-8 holds four characters outside ASCII, so that another declaration is a lie."""
    return len(re.findall(rb"[\xc2-\xf4][\x80-\xbf]+", payload[: 1 << 20])) >= 4


def _wide(payload: bytes) -> str | None:
    """UTF-16 without a mark: markup is ASCII, so that one of the two bytes is NUL nearly everywhere."""
    head = payload[: 1024 & ~1]
    even, odd = head[::2].count(0), head[1::2].count(0)
    many, few = max(3.0, 0.15 * len(head)), 0.025 * len(head)
    if odd > many and even <= few:
        return "utf-16le"
    return "utf-16be" if even > many and odd <= few else None


def _sample(payload: bytes) -> bytes:
    """The parts outside ASCII, joined by spaces; all of the head where escapes count."""
    if _JIS_ESCAPE.search(payload):
        return payload[:SAMPLE_BYTES]
    for window in (4 * SAMPLE_BYTES, len(payload)):
        joined = b" ".join(_HIGH_PART.findall(payload, 0, window))
        if len(joined) >= SAMPLE_BYTES:
            break
    return joined[:SAMPLE_BYTES].removesuffix(b" ")


def _with_guesses(payload: bytes, sample: bytes, declared: list[_Candidate]) -> list[_Candidate]:
    """Declared candidates, then the multi-byte encodings, then what uchardet says of the whole page."""
    from resiliparse.parse.encoding import detect_encoding

    names = ["utf-8", "shift_jis", "euc-jp", "gb18030", "big5", "euc-kr"]
    if _JIS_ESCAPE.search(payload):
        escaped = replace(_named("iso-2022-jp", declared), bonus=ESCAPE_BONUS)
        declared = [escaped, *(one for one in declared if one.charset != "iso-2022-jp")]
    guess = encoding_of(detect_encoding(payload, max_len=2 * SAMPLE_BYTES) or "")
    if guess in CODECS and guess is not None:
        names.append(guess)
    names.append("windows-1252")
    known = {candidate.charset for candidate in declared}
    guesses = [_Candidate(name, "detector", 0.0) for name in dict.fromkeys(names) if name not in known]
    return declared + guesses


def _score(sample: bytes, candidate: _Candidate) -> float:
    text = _decode_sample(sample, candidate.charset)
    return plausibility(text, _FAMILIES.get(candidate.charset, "any")) + candidate.bonus


def _decode_sample(sample: bytes, charset: str) -> str:
    return _JAPANESE[charset](sample) if charset in _JAPANESE else sample.decode(CODECS[charset], "replace")


def _decode(payload: bytes, charset: str) -> tuple[str, bool]:
    """Text and whether its last character is cut; fast where nothing is wrong."""
    codec = CODECS[charset]
    if charset not in _JAPANESE:
        try:
            return payload.decode(codec), False
        except UnicodeDecodeError:
            return _decode_damaged(payload, codec)
    text = _JAPANESE[charset](payload)
    return text, text.endswith(BAD) and _ends_cut(payload, codec)


def _decode_damaged(payload: bytes, codec: str) -> tuple[str, bool]:
    decoder = codecs.getincrementaldecoder(codec)("replace")
    text = decoder.decode(payload, False)
    cut = bool(decoder.getstate()[0])
    return text + decoder.decode(b"", True), cut


def _ends_cut(payload: bytes, codec: str) -> bool:
    if codec == "iso2022_jp":
        return True  # every unit of it is seven bits; one that is unreadable at the very end is half a unit
    decoder = codecs.getincrementaldecoder(codec)("replace")
    decoder.decode(payload, False)
    return bool(decoder.getstate()[0])
