"""A page's markup and headers in; what its publisher says about reuse, its address and its date out.

Nothing here judges: the words are kept as columns, and a policy in the config decides (`gates.opt_outs`).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import unescape
from typing import Final

__all__ = ["NOTHING_SAID", "VERSION", "PageNotes", "header_robots", "header_tdm_reserved", "page_notes"]

VERSION = 2
"""Part of the fingerprint of every stage that reads pages."""

HEAD_CHARS: Final = 1 << 17
MAX_VALUE_CHARS: Final = 500
MAX_ROBOTS_CHARS: Final = 200
REL_CHARS: Final = 64
"""Characters before a value that are searched for its rel=."""
ROBOTS: Final = ("robots", "ccbot", "gptbot", "google-extended", "googlebot")
"""Names under which a meta element speaks to robots at large, and to those of archives and of model builders."""

# Both cases written out: a search that ignores case cannot jump from one < to the next.
_END_OF_HEAD = re.compile(r"<(?:/[hH][eE][aA][dD]|[bB][oO][dD][yY])\b")
_TAG = re.compile(r"<([mM][eE][tT][aA]|[lL][iI][nN][kK]|[tT][iI][mM][eE])\b([^<>]*)>")
_TELLING: Final = ("bot", "date", "tdm-", "canonical", "creat", "google-ext", "published_t")
_ATTRIBUTE = re.compile(r"([a-zA-Z:-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")
_SPACES = re.compile(r"[\s,]+")
_DATE = re.compile(r"\s*(\d{4})-?(\d{2})-?(\d{2})")
_DATE_NAMES: Final = (
    *(
        "article:published_time",
        "datepublished",
        "date",
        "dc.date",
        "dc.date.issued",
        "dcterms.date",
        "dc.date.created",
    ),
    *("dcterms.created", "pubdate", "publishdate", "publication_date", "sailthru.date", "parsely-pub-date"),
)
_JSON_DATE = re.compile(r'"datePublished"\s*:\s*"([^"<>]{8,40})"')
_CREATIVE_COMMONS = re.compile(
    r"https?://creativecommons\.org/(?:licenses|publicdomain)/(mark|zero|[a-z]{2}(?:-[a-z]{2}){0,2})(?:/(\d\.\d))?",
    re.IGNORECASE,
)
_BEFORE_REL_VALUE = re.compile(r"rel\s*=\s*[\"']?\Z")
_LICENCE_LINK = re.compile(r"<(?:[aA]|[lL][iI][nN][kK])\b[^<>]*?\brel\s*=\s*[\"']?license\b[^<>]*", re.IGNORECASE)
_FOOTER = re.compile(r"<footer\b|<[a-z]+\s[^<>]*?\b(?:id|class)\s*=\s*[\"']?[^\"'<>]*foot", re.IGNORECASE)
# Each with its rarest sign: one sign is found ten times as fast as two, and these as any pattern that begins otherwise.
_BANS = (
    ("断", re.compile(r"禁無断(?:転載|複製|使用)")),
    ("転", re.compile(r"転載(?:を|は|厳)?(?:固く|一切)?(?:厳)?禁(?:止|じ)")),
    (
        "断",
        re.compile(
            r"無断(?:での)?(?:転載|複製|転用|使用|利用|引用|複写|掲載|コピー)[^。<\n]{0,30}?(?:禁|お断り|おことわり|ご遠慮|厳禁|認めま)"
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class PageNotes:
    """What a page says about itself; every field is None or False where it says nothing."""

    canonical: str | None = None
    """Its address as it states it (rel=canonical), as written."""
    published: str | None = None
    """The day it was published, YYYY-MM-DD."""
    robots: str | None = None
    """Directives of its robots meta elements in alphabetical order, parted by commas: noindex, noai, noimageai...;
    those to one robot have its name before them: ccbot:nofollow."""
    tdm_reserved: bool = False
    """Whether rights to text and data mining are reserved (tdm-reservation: 1, W3C TDMRep)."""
    licence: str | None = None
    """A Creative Commons licence such as cc-by-sa-4.0, cc0-1.0 or publicdomain-mark, else the address that a link
    with rel=license names."""
    licence_place: str | None = None
    """Where the licence stands: head, body or footer. A licence in the body may be that of a picture."""
    no_reuse: bool = False
    """Whether it forbids copying in Japanese (無断転載禁止 and its like)."""


NOTHING_SAID: Final = PageNotes()


def page_notes(page: str) -> PageNotes:
    """Read what a page's markup says; takes time linear in its length.

    >>> page_notes('<meta name=robots content="noai, noindex"><p>無断転載を禁じます')
    PageNotes(canonical=None, published=None, robots='noai,noindex', tdm_reserved=False, licence=None, \
licence_place=None, no_reuse=True)
    """
    end = _END_OF_HEAD.search(page, 0, HEAD_CHARS)
    head_chars = end.start() if end else 0
    tags = [(name, attributes) for name, attributes in _tags(page[: head_chars or HEAD_CHARS])]
    metas = [_named(attributes) for name, attributes in tags if name == "meta"]
    canonical = next((a.get("href") for n, a in tags if n == "link" and a.get("rel", "").lower() == "canonical"), None)
    licence, place = _licence(page, head_chars)
    return PageNotes(
        canonical=(canonical or "").strip()[:MAX_VALUE_CHARS] or None,
        published=_published(metas, tags, page),
        robots=_joined(_directives(metas)),
        tdm_reserved=any(name == "tdm-reservation" and content.strip() == "1" for name, content in metas),
        licence=licence,
        licence_place=place,
        no_reuse=_forbids_reuse(page),
    )


def header_robots(headers: Iterable[tuple[str, str]], robots: str | None) -> str | None:
    """Directives of X-Robots-Tag headers, joined with those of the page.

    >>> header_robots([("x-robots-tag", "noai"), ("x-robots-tag", "ccbot: noindex")], "noarchive")
    'ccbot:noindex,noai,noarchive'
    """
    found = set(robots.split(",")) if robots else set()
    for name, value in headers:
        if name != "x-robots-tag":
            continue
        robot, colon, rest = value.lower().partition(":")
        if colon and robot.strip() in ROBOTS:
            found |= {f"{robot.strip()}:{word}" for word in _words(rest)}
        elif not colon or robot.strip().startswith(("max-", "unavailable")) or "," in robot:
            found |= set(_words(value.lower()))
    return _joined(found)


def header_tdm_reserved(headers: Iterable[tuple[str, str]]) -> bool:
    """Whether a TDM-Reservation header reserves the rights to text and data mining.

    >>> header_tdm_reserved([("tdm-reservation", "1")]), header_tdm_reserved([("tdm-reservation", "0")])
    (True, False)
    """
    return any(name == "tdm-reservation" and value.strip() == "1" for name, value in headers)


def _tags(head: str) -> Iterator[tuple[str, dict[str, str]]]:
    for tag in _TAG.finditer(head):
        lower = tag[2].lower()
        if not any(word in lower for word in _TELLING):
            continue
        pairs = _ATTRIBUTE.findall(tag[2])
        yield tag[1].lower(), {name.lower(): unescape(a or b or c) for name, a, b, c in reversed(pairs)}


def _named(attributes: dict[str, str]) -> tuple[str, str]:
    name = attributes.get("name") or attributes.get("property") or attributes.get("itemprop")
    return (name or attributes.get("http-equiv", "")).strip().lower(), attributes.get("content", "")


def _words(directives: str) -> list[str]:
    return [word for word in _SPACES.split(directives.lower()) if word]


def _directives(metas: list[tuple[str, str]]) -> set[str]:
    found: set[str] = set()
    for name, content in metas:
        if name in ROBOTS or name == "x-robots-tag":
            prefix = "" if name in ("robots", "x-robots-tag") else f"{name}:"
            found |= {prefix + word for word in _words(content[:MAX_VALUE_CHARS])}
    return found


def _joined(directives: set[str]) -> str | None:
    kept = sorted(directives - {"index", "follow", "all", "index:", "follow:"})
    return ",".join(kept)[:MAX_ROBOTS_CHARS] or None


def _published(metas: list[tuple[str, str]], tags: list[tuple[str, dict[str, str]]], page: str) -> str | None:
    known = dict(reversed(metas))
    stated = [known[name] for name in _DATE_NAMES if name in known]
    if (start := page.find('"datePublished"', 0, HEAD_CHARS)) >= 0 and (linked := _JSON_DATE.match(page, start)):
        stated.append(linked[1])
    stated += [attributes["datetime"] for name, attributes in tags if name == "time" and "datetime" in attributes]
    for value in stated:
        found = _DATE.match(value)
        if found and 1 <= int(found[2]) <= 12 and 1 <= int(found[3]) <= 31:
            return "-".join(found.groups())
    return None


def _forbids_reuse(page: str) -> bool:
    return any(sign in page and ban.search(page) is not None for sign, ban in _BANS)


def _licence(page: str, head_chars: int) -> tuple[str | None, str | None]:
    at = page.find("creativecommons.org/")
    found = _CREATIVE_COMMONS.search(page, max(0, at - len("https://"))) if at >= 0 else None
    if found:
        kind, version = found[1].lower(), found[2]
        name = {"zero": "cc0", "mark": "publicdomain-mark"}.get(kind, f"cc-{kind}")
        return (f"{name}-{version}" if version else name), _place(page, found.start(), head_chars)
    link = _LICENCE_LINK.search(page) if _has_licence_rel(page) else None
    if link is None:
        return None, None
    address = {name.lower(): a or b or c for name, a, b, c in _ATTRIBUTE.findall(link[0])}.get("href", "")
    return (address[:MAX_VALUE_CHARS], _place(page, link.start(), head_chars)) if address else (None, None)


def _has_licence_rel(page: str) -> bool:
    """Whether a word license stands behind rel=; most of them are prose, and so each is looked at from its place."""
    at = page.find("license")
    while at >= 0:
        if _BEFORE_REL_VALUE.search(page, max(0, at - REL_CHARS), at):
            return True
        at = page.find("license", at + 1)
    return False


def _place(page: str, position: int, head_chars: int) -> str:
    if position < head_chars:
        return "head"
    return "footer" if _FOOTER.search(page, max(head_chars, position - 4000), position) else "body"
