"""The gates: early, cheap tests that decide which pages are read at all; looser than any preset, never retuned."""

from collections.abc import Mapping

from pydantic import Field

from seimai.config import Section

__all__ = ["GATES", "GatesConfig", "language_gate", "response_gate"]

GATES: Mapping[str, str] = {
    "status": "the server's answer was not one of gates.status",
    "mime": "the type of the content is not one of gates.mime",
    "payload": "the body is missing or empty",
    "extract": "the page passes a limit of [extract] or its parser gave up",
    "quarantine": "the page killed or hung the extractor, twice; not reproducible, listed in the manifest",
    "empty": "no main text was found",
    "language": "the language is not one of gates.languages",
    "lang_score": "the language's probability is below gates.min_lang_score",
}
"""Gate to meaning, in running order."""


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
    max_body_bytes: int = Field(default=32 << 20, ge=1024)
    """Bytes of a body after its content encoding is undone; the rest is cut, so that a bomb costs no more."""


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
