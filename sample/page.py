"""One page of the sample web: the answer a server gave, and the truth about what a pass must make of it."""

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from .bodies import chunked, stored_gzip

__all__ = ["Page", "Truth", "html_page", "plain_page"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is true of one page, and what the shipped configuration must decide."""

    url: str
    kind: str
    """original, mirror, near_duplicate, truncated, boilerplate, spam, link_farm, products, short, repetition, run,
    foreign, redirect, error, image, pdf, robots, json, empty or revisit."""
    lang: str
    """ISO 639-1 code of the text; empty where there is no text in one language."""
    encoding: str
    """Key of `seimai.sample.encodings.ENCODERS`; empty where the body is no text. A page in pure ASCII reads the same
    under several names."""
    slug: str
    """Article the page carries; empty for none. Near-duplicates carry it with one small change."""
    expected: str
    """keep, drop, or merge: of all pages with the same `group` exactly one is kept."""
    reason: str
    """Why a page is dropped or merged: classes joined by |, any of which is right; empty where it is kept.

    status, mime and payload (an empty body) depend on the answer alone; language (which or how sure), empty (no main
    text), extract (a limit of the extractor) and quality (a rule of the preset) on the text; revisit: the record makes
    no row. Copies have duplicate_of:URL, their original has duplicated.
    """
    group: str = ""
    """Name of the cluster of duplicates; empty for none."""

    def admits(self, reason: str) -> bool:
        """Whether `reason` is one of the classes that are right for this page."""
        return reason in self.reason.split("|")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One exchange with a server."""

    url: str
    status: int
    headers: tuple[tuple[str, str], ...]
    """HTTP headers in the order they are written."""
    body: bytes
    """The body as sent: compressed or in chunks where the headers say so."""
    truth: Truth
    cut: bool = False
    """Whether the crawler stopped reading at its length limit (WARC-Truncated: length)."""
    same_as: str = ""
    """For a revisit record, the URL that had the same bytes before; empty for a response."""

    @property
    def host(self) -> str:
        """Host name of the URL."""
        return urlsplit(self.url).netloc


def plain_page(truth: Truth, status: int, content_type: str, body: bytes, *extra: tuple[str, str]) -> Page:
    """A page sent as it is; `extra` are further headers."""
    headers = (("Server", "nginx"), ("Content-Type", content_type), *extra, ("Content-Length", str(len(body))))
    return Page(url=truth.url, status=status, headers=headers, body=body, truth=truth)


def html_page(truth: Truth, body: bytes, charset: str, transfer: str = "identity") -> Page:
    """An HTML page with status 200; `charset` is the header's label (empty: none), `transfer` as in `Site`.

    >>> truth = Truth(url="http://a.example/", kind="", lang="", encoding="", slug="", expected="", reason="")
    >>> html_page(truth, b"<p>", "x-sjis", "chunked").headers[-1]
    ('Transfer-Encoding', 'chunked')
    """
    content_type = f"text/html; charset={charset}" if charset else "text/html"
    if transfer == "gzip":
        return plain_page(truth, 200, content_type, stored_gzip(body), ("Content-Encoding", "gzip"))
    page = plain_page(truth, 200, content_type, body)
    if transfer == "chunked":
        return replace(page, headers=(*page.headers[:-1], ("Transfer-Encoding", "chunked")), body=chunked(body))
    return page
