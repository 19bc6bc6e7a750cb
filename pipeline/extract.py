"""A page in, its title and main text out, by one of several engines behind one function."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from html import unescape
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from seimai.config import Section

from .charset import decode_html
from .optout import NOTHING_SAID, PageNotes, page_notes

__all__ = ["VERSION", "Engine", "ExtractConfig", "Extracted", "clean_text", "extract_text", "plain_text", "refusal"]

VERSION = 4
"""Part of the fingerprint of every stage that extracts text."""

Engine = Literal["fast", "precise", "auto"]

JOINER = "\u2060"  # word joiner: invisible, and no loss where a page itself has one
MAX_TITLE_CHARS = 1000
TITLE_WINDOW_CHARS = 1 << 16
MAX_LANG_CHARS = 35  # RFC 5646, section 4.4.1: what an implementation may count on

_CONTROLS = dict.fromkeys(
    [code for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"] + [0x2028, 0x2029], ""
)
_NEWLINES = str.maketrans({"\r": "\n", "\x0b": "\n", "\x0c": "\n", "\x85": "\n", "\u2028": "\n", "\u2029": "\n"})
_RARE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_BLANKS = " \t\u00a0\u3000"
_BLANK_LINES = re.compile(r"\n{3,}")
_HTML_LANG = re.compile(r"<html\s[^>]*?\b(?:xml:)?lang\s*=\s*[\"']?([A-Za-z0-9-]+)", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
# Kana, kanji, hangul, full-width letters and the marks of sentences; not ・ or ｜, which do part menu entries.
_LONE_CHARACTER = re.compile(
    r"(?<=>)\s*(?:[、。「」『』〜～…！？（），．々-〇ぁ-ヺー-ヿ㐀-䶿一-鿿豈-\ufaff가-힣０-９Ａ-Ｚａ-ｚｦ-ﾟ]"
    r"|&#[xX]?[0-9a-fA-F]{3,6};)(?=\s*<)"
)
_READING = re.compile(r"<(rtc|rt|rp)\b[^<>]*>[^<]*(?:</\1\s*>)?", re.IGNORECASE)
# Elements that hold nothing, or that the parser closes by itself when the next one opens.
_UNNESTED = (
    b"area base br col embed hr img input link meta param source track wbr p li dt dd tr td th option thead tbody"
)
_NAME_BYTES = 7
"""Bytes of a name that are looked at: one more than the longest above has."""
_UNNESTED_KEYS = np.sort(np.array([int.from_bytes(name, "little") for name in _UNNESTED.split()], np.uint64))
_LETTERS = np.array([chr(code).isalpha() and code < 128 for code in range(256)])
_IN_NAME = np.array([code | 32 if chr(code).isalnum() and code < 128 else 0 for code in range(256)], np.uint64)
"""Of each byte its lower case where it may stand in a name, else 0."""
_LONG_TAG = re.compile(rb"<[a-zA-Z][^<>]{200,}")
_QUOTED = re.compile(rb"\"[^\"]*\"|'[^']*'")
_BEFORE_ATTRIBUTE = re.compile(rb"(?<![\s/])[\s/]++[^\s/=]")


class ExtractConfig(Section):
    """Section `[extract]`: which engine reads a page, and the limits beyond which a page is refused.

    Limits are deterministic: the same page has the same fate on every machine. The clock and the memory cap catch only
    what they cannot foresee, and such pages are listed in the manifest as not reproducible.
    """

    engine: Engine = "auto"
    """auto: our own model over blocks of text, the best of the three. fast: resiliparse. precise: trafilatura, whose
    speed is about a twentieth of the others'. docs/reading.md has the figures."""

    max_page_bytes: int = Field(default=4 << 20, ge=1 << 10, le=256 << 20)
    """Bytes of a page that are read, after its content encoding is undone; the rest is cut."""

    max_nodes: int = Field(default=200_000, ge=100)
    """A page with more `<` than this is refused with `too_many_nodes`; the largest of 2,593 sample pages has 19,437."""

    max_depth: int = Field(default=2_000, ge=50)
    """A page whose open elements nest deeper than this is refused with `too_deep`; of the sample pages 89."""

    max_attributes: int = Field(default=2_000, ge=100)
    """A page with a tag of more attributes is refused with `too_many_attributes`, for which parsers take
    quadratic time; of the sample pages 115."""

    max_text_chars: int = Field(default=2_000_000, ge=1_000)
    """Characters of text kept; a longer text is cut there and marked as cut."""

    memory_mb: int = Field(default=1_024, ge=256)
    """Address space of the process that parses pages, in MiB; a page that needs more is quarantined with `memory`."""

    timeout_s: float = Field(default=60.0, gt=0)
    """Seconds a page may take before it is quarantined with `timeout`; the slowest honest page took under 3 s."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """What an engine found on a page."""

    title: str | None
    """The page's title on one line; None where there is none."""
    text: str
    """Main text: paragraphs parted by blank lines, lines by newlines; empty where nothing was found."""
    lang_declared: str | None
    """The html element's lang attribute as written; None where there is none."""
    engine: str
    """The engine that found the text: "auto", "fast", "precise" or "plain"."""
    notes: PageNotes = NOTHING_SAID
    """What the page says about reuse, its address and its date."""


def extract_text(html: str | bytes, *, url: str | None = None, engine: str = "auto") -> Extracted:
    """Title, main text, declared language and notes of an HTML page; bytes are decoded as `decode_html` does.

    Ruby keeps its base characters and loses its readings. Raises ValueError for an unknown engine, and lets the
    parser's own errors through: the sandbox turns them into the fault `parser_error`.

    >>> found = extract_text("<title>米</title><p><ruby>精米<rt>せいまい</rt></ruby>の話。<br>二行目。</p>")
    >>> found.title, found.text, found.engine
    ('米', '精米の話。\\n二行目。', 'auto')
    """
    page = decode_html(html, None).text if isinstance(html, bytes) else html
    if engine not in _ENGINES:
        raise ValueError(f"engine {engine!r} is none of {', '.join(_ENGINES)}")
    return replace(_ENGINES[engine](page, url), notes=page_notes(page))


def plain_text(text: str) -> Extracted:
    """A text/plain page: its text as it stands, cleaned; it has no title and declares no language.

    >>> plain_text("一\\r\\n\\r\\n\\r\\n\\r\\n二 \\x07").text
    '一\\n\\n二'
    """
    return Extracted(None, clean_text(text), None, "plain")


def clean_text(text: str) -> str:
    """Newlines as \\n, at most two in a row, none at the ends, no blanks before them, no controls but \\n and \\t."""
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    if _RARE.search(text):
        text = text.translate(_NEWLINES).translate(_CONTROLS)
    if text.endswith(tuple(_BLANKS)) or any(blank in text and f"{blank}\n" in text for blank in _BLANKS):
        text = "\n".join(line.rstrip(_BLANKS) for line in text.split("\n"))
    if "\n\n\n" in text:
        text = _BLANK_LINES.sub("\n\n", text)
    return text.strip("\n")


def refusal(payload: bytes, limits: ExtractConfig) -> str | None:
    """Why a page must not reach a parser: "too_many_nodes", "too_many_attributes", "too_deep", or None.

    Reads bytes and builds no tree. Depth is estimated from tags alone: elements that close by themselves do not count,
    and a closing tag closes one element.

    >>> refusal(b"<div>" * 3000, ExtractConfig())
    'too_deep'
    """
    n_tags = np.count_nonzero(np.frombuffer(payload, np.uint8) == ord("<"))
    if n_tags > limits.max_nodes:
        return "too_many_nodes"
    if _has_long_tag(payload, limits.max_attributes):
        return "too_many_attributes"
    return "too_deep" if n_tags > limits.max_depth and _depth(payload, limits.max_depth) > limits.max_depth else None


def _has_long_tag(payload: bytes, max_attributes: int) -> bool:
    if not _may_have_long_tag(payload, 2 * max_attributes):  # an attribute takes two bytes and more
        return False
    for tag in _LONG_TAG.finditer(payload):
        bare = _QUOTED.sub(b"", tag[0])
        if len(_BEFORE_ATTRIBUTE.findall(bare)) > max_attributes:
            return True
    return False


def _may_have_long_tag(payload: bytes, n_bytes: int) -> bool:
    """Whether `n_bytes` behind some < hold neither < nor >; leaps from < to <, so that most bytes are not looked at."""
    at = payload.find(b"<")
    while 0 <= at < len(payload) - n_bytes:
        last = payload.rfind(b"<", at + 1, at + n_bytes)
        if last > 0:
            at = last
        elif payload.find(b">", at, at + n_bytes) < 0:
            return True
        else:
            at = payload.find(b"<", at + 1)
    return False


def _depth(payload: bytes, max_depth: int) -> int:
    """How deep elements nest, where that may be more than `max_depth`; else 0."""
    codes = np.frombuffer(payload + bytes(_NAME_BYTES + 1), np.uint8)
    opens = codes == ord("<")
    if np.count_nonzero(opens[:-1] & (codes[1:] != ord("/"))) <= max_depth:
        return 0
    signs = np.flatnonzero(opens | (codes == ord(">")))
    is_open = opens[signs]
    tags = np.flatnonzero(is_open[:-1] & ~is_open[1:])  # from < to > without another < between
    starts, stops = signs[tags], signs[tags + 1]
    is_end = codes[starts + 1] == ord("/")
    names = starts + 1 + is_end
    nests = _LETTERS[codes[names]] & (is_end | (codes[stops - 1] != ord("/")))
    names, is_end = names[nests], is_end[nests]
    steps = np.where(is_end, -1, 1)[~_is_unnested(codes, names)]
    depths = np.cumsum(steps)
    floor = np.minimum(np.minimum.accumulate(depths), 0)  # an end tag where nothing is open closes nothing
    return int((depths - floor).max(initial=0))


def _is_unnested(codes: NDArray[np.uint8], names: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the name at each place is one of the unnested elements, in either case."""
    keys = np.zeros(len(names), np.uint64)
    inside = np.ones(len(names), np.bool_)
    for place in range(_NAME_BYTES):
        letters = _IN_NAME[codes[names + place]]
        inside &= letters > 0
        keys |= np.where(inside, letters, np.uint64(0)) << np.uint64(8 * place)
    nearest = np.minimum(np.searchsorted(_UNNESTED_KEYS, keys), len(_UNNESTED_KEYS) - 1)
    return np.equal(_UNNESTED_KEYS[nearest], keys)


def _auto(page: str, url: str | None) -> Extracted:
    """Blocks of text, chosen by the shipped model; no tree is built."""
    from .block_model import keep_blocks
    from .block_text import text_of
    from .html_blocks import blocks_of
    from .html_scan import scan_page

    scan = scan_page(_utf8(page))
    blocks = blocks_of(scan)
    return Extracted(
        _searched_title(page),
        clean_text(text_of(scan, blocks, keep_blocks(scan, blocks))),
        _lang_declared(page),
        "auto",
    )


def _fast(page: str, url: str | None) -> Extracted:
    """Resiliparse; what its main-content rules drop beyond reason is held back from them.

    They take a text node of one character of three bytes for a separator: in <b>米</b>と<b>糠</b> all three would go.
    """
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    tree = HTMLTree.parse(_LONE_CHARACTER.sub(_with_joiner, page))
    text = extract_plain_text(
        tree,
        preserve_formatting=True,
        main_content=True,
        alt_texts=False,
        links=False,
        comments=False,
        post_meta=False,
        skip_elements=["rt", "rp", "rtc"],
    )
    title = _title(tree.title.replace(JOINER, "") if tree.title else None)
    return Extracted(title, clean_text(_no_surrogates(text).replace(JOINER, "")), _lang_declared(page), "fast")


def _with_joiner(node: re.Match[str]) -> str:
    return node[0] + JOINER


def _precise(page: str, url: str | None) -> Extracted:
    import trafilatura

    # Never with deduplicate=True: it keeps state between pages, so that a text depends on the pages before it.
    text = trafilatura.extract(_READING.sub("", page), url=url, include_comments=False, deduplicate=False) or ""
    return Extracted(_searched_title(page), clean_text(_no_surrogates(text)), _lang_declared(page), "precise")


def _searched_title(page: str) -> str | None:
    title = _TITLE.search(page, 0, TITLE_WINDOW_CHARS)
    return _title(unescape(title[1]) if title else None)


def _title(raw: str | None) -> str | None:
    return " ".join(_no_surrogates(raw or "").translate(_CONTROLS).split())[:MAX_TITLE_CHARS] or None


def _lang_declared(page: str) -> str | None:
    found = _HTML_LANG.search(page, 0, 8192)
    return found[1][:MAX_LANG_CHARS] if found else None


def _utf8(page: str) -> bytes:
    try:
        return page.encode()
    except UnicodeEncodeError:
        return page.encode("utf-8", "replace")


def _no_surrogates(text: str) -> str:
    """References such as &#xD800; must not bring in what UTF-8 cannot hold."""
    return text if text.isascii() else _utf8(text).decode()


_ENGINES: dict[str, Callable[[str, str | None], Extracted]] = {"fast": _fast, "precise": _precise, "auto": _auto}
