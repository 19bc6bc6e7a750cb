"""The gates: early, cheap tests that decide which pages are read at all; looser than any preset, never retuned."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from seimai.config import Section

from .prefilter import may_be_japanese
from .url_lists import UrlListsConfig

__all__ = [
    *("GATES", "GatesConfig", "OptOut"),
    *("language_gate", "language_prefilter", "loosened", "opt_out_gate", "response_gate"),
    "url_gate",
]

GATES: Mapping[str, str] = {
    "row": "a row of a JSONL, Parquet, text or XML file is no document",
    "status": "the server's answer was not one of gates.status",
    "mime": "the type of the content is not one of gates.mime",
    "payload": "the body is missing or empty",
    "opt_out": "the publisher does not want what gates.opt_outs names, by header or on the page",
    "prefilter": "the page's bytes and its lang attribute speak for none of gates.languages",
    "url": "a list of gates.urls has the address in a category of gates.urls.drop",
    "extract": "the page passes a limit of [extract] or its parser gave up",
    "quarantine": "the page killed or hung the extractor, twice; not reproducible, listed in the manifest",
    "empty": "no main text was found",
    "language": "the language is not one of gates.languages",
    "lang_score": "the language's probability is below gates.min_lang_score",
}
"""Gate to meaning, in running order."""

OptOut = Literal["noai", "noindex", "tdm", "no_reuse"]
"""What a publisher may not want."""

_AI_ROBOTS = ("ccbot", "gptbot", "google-extended")
_NO_AI = {"noai", *(f"{robot}:{word}" for robot in _AI_ROBOTS for word in ("noindex", "none"))}


class GatesConfig(Section):
    """Section [gates]: loosening one means reading the archives again, so they are wider than any preset."""

    status: list[int] = [200]
    """HTTP status codes that are read."""
    mime: list[str] = ["text/html", "application/xhtml+xml", "text/plain"]
    """Media types that are read; a page without one is read as HTML."""
    languages: list[str] = Field(default=["ja", "en"], min_length=1)
    """Languages whose text is kept, as ISO 639-1 (ISO 639-3 where there is none)."""
    min_lang_score: float = Field(default=0.3, ge=0.0, le=1.0)
    """Least probability of the language, 0 to 1."""
    prefilter: bool = True
    """Whether pages that cannot be Japanese are left unread when only Japanese is wanted; docs/reading.md has the cost
    in pages."""
    opt_outs: list[OptOut] = ["noai", "tdm"]
    """Wishes of publishers that are followed; the text of such a page is not kept. noai: the robots directive noai,
    and noindex for CCBot, GPTBot or Google-Extended. noindex: robots directives noindex and none. tdm:
    TDM-Reservation: 1. no_reuse: a Japanese notice such as 無断転載禁止."""
    max_body_bytes: int = Field(default=32 << 20, ge=1024)
    """Bytes of a body after its content encoding is undone; the rest is cut, so that a bomb costs no more."""
    urls: UrlListsConfig = UrlListsConfig()
    """Lists of hosts, addresses and words that put a page into categories by its URL."""


def response_gate(config: GatesConfig, status: int | None, mime: str, body: bytes) -> tuple[str, str] | None:
    """The first gate a response does not pass, with what it saw; None when it passes.

    >>> response_gate(GatesConfig(), 404, "text/html", b"x")
    ('status', '404')
    """
    if status not in config.status:
        return "status", str(status if status is not None else "none")
    if mime and mime not in config.mime:
        return "mime", mime
    if not body.strip():
        return "payload", "empty"
    return None


def language_prefilter(config: GatesConfig, body: bytes, http_charset: str | None) -> tuple[str, str] | None:
    """The prefilter's gate for a body, with what was wanted; None for a page that must be read.

    >>> language_prefilter(GatesConfig(languages=["ja"]), b"<p>English", None)
    ('prefilter', 'not ja')
    """
    if config.prefilter and config.languages == ["ja"] and not may_be_japanese(body, http_charset):
        return "prefilter", "not ja"
    return None


def url_gate(config: GatesConfig, categories: list[str] | None) -> tuple[str, str] | None:
    """The URL lists' gate for a page's categories, with the first that is dropped; None where none is.

    >>> url_gate(GatesConfig(urls=UrlListsConfig(drop=["adult"])), ["adult", "blog"])
    ('url', 'adult')
    """
    return next((("url", category) for category in categories or () if category in config.urls.drop), None)


def opt_out_gate(
    config: GatesConfig, robots: str | None, *, tdm_reserved: bool, no_reuse: bool
) -> tuple[str, str] | None:
    """The first wish of `gates.opt_outs` that a page states; None where it states none of them.

    >>> opt_out_gate(GatesConfig(), "noai,noindex", tdm_reserved=False, no_reuse=True)
    ('opt_out', 'noai')
    """
    said = set(robots.split(",")) if robots else set()
    states: dict[OptOut, bool] = {
        "noai": bool(said & _NO_AI),
        "noindex": bool(said & {"noindex", "none"}),
        "tdm": tdm_reserved,
        "no_reuse": no_reuse,
    }
    return next((("opt_out", wish) for wish in config.opt_outs if states[wish]), None)


def language_gate(config: GatesConfig, lang: str | None, score: float | None) -> tuple[str, str] | None:
    """The first language gate a text does not pass, with what it saw; None when it passes.

    >>> language_gate(GatesConfig(), "ko", 0.99), language_gate(GatesConfig(), "ja", 0.99)
    (('language', 'ko'), None)
    """
    if lang not in config.languages:
        return "language", lang or "none"
    if score is None or score < config.min_lang_score:
        return "lang_score", f"{score or 0.0:.3f}"
    return None


def loosened(old: GatesConfig, new: GatesConfig) -> list[str]:
    """Keys, as gates.key, by which `new` lets a page pass that `old` stops.

    >>> loosened(GatesConfig(), GatesConfig(status=[200, 203], min_lang_score=0.5, opt_outs=["noai"]))
    ['gates.status', 'gates.opt_outs']
    """
    looser = {
        "status": bool(set(new.status) - set(old.status)),
        "mime": bool(set(new.mime) - set(old.mime)),
        "languages": bool(set(new.languages) - set(old.languages)),
        "min_lang_score": new.min_lang_score < old.min_lang_score,
        "prefilter": old.prefilter and not new.prefilter,
        "opt_outs": bool(set(old.opt_outs) - set(new.opt_outs)),
        "urls.ut1": set(old.urls.ut1) != set(new.urls.ut1) and bool(old.urls.drop),
        "urls.lists": old.urls.lists != new.urls.lists and bool(old.urls.drop),
        "urls.drop": bool(set(old.urls.drop) - set(new.urls.drop)),
        "max_body_bytes": new.max_body_bytes > old.max_body_bytes,
    }
    return [f"gates.{key}" for key, is_looser in looser.items() if is_looser]
