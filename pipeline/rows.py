"""Corpora that hold text already: which files they are, where each field of a document stands in a row, and a row."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from pydantic import Field

from seimai.config import Section

from .language_codes import ISO_639_1

__all__ = [
    "COMPRESSIONS",
    "FieldsConfig",
    "Row",
    "RowKind",
    "compression_of",
    "language_code",
    "row_kind",
    "row_of",
    "valid",
]

RowKind = Literal["", "jsonl", "parquet", "text", "wikipedia"]
"""How the rows of a file are told apart; empty for an archive of pages."""

COMPRESSIONS = (".gz", ".zst", ".xz", ".bz2")
_SUFFIXES: Mapping[str, RowKind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".txt": "text",
    ".xml": "wikipedia",
}


class FieldsConfig(Section):
    """Section [input.fields]: where a corpus of JSON lines or Parquet keeps what; a.b is field b inside field a.

    A field that a row does not have is null, but for the text.
    """

    text: str = Field(default="text", min_length=1)
    """Field with the text."""
    url: str = "url"
    """Field with the address."""
    date: str = "date"
    """Field with the day or time of the page."""
    title: str = "title"
    """Field with the title."""
    licence: str = ""
    """Field with the licence."""
    lang: str = ""
    """Field with the language, which then stands; empty: every text is identified."""
    lang_score: str = ""
    """Field with the probability of that language, 0 to 1; empty: 1."""
    plain: Literal["blocks", "lines"] = "blocks"
    """What a document of a plain text file is: the lines between blank ones, or each line."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its number in the file (for lines of text, that of its first line, from 0) and what it says.

    `fault` is why a row is no document; `cut` says that only the beginning of the text is there.
    """

    number: int
    text: str = ""
    url: str | None = None
    date: str | None = None
    title: str | None = None
    licence: str | None = None
    lang: str | None = None
    lang_score: float | None = None
    fault: str = ""
    cut: bool = False


def compression_of(name: str) -> str:
    """The suffix of a file's compression; empty without one.

    >>> compression_of("c4-ja.json.gz"), compression_of("a.parquet")
    ('.gz', '')
    """
    return next((suffix for suffix in COMPRESSIONS if name.endswith(suffix)), "")


def row_kind(name: str) -> RowKind:
    """The kind of rows a file holds, by its name; Parquet files are compressed inside.

    >>> row_kind("c4-ja.json.gz"), row_kind("ja.txt.xz"), row_kind("jawiki.xml.bz2"), row_kind("x.warc.gz")
    ('jsonl', 'text', 'wikipedia', '')
    """
    packed = compression_of(name)
    bare = name.removesuffix(packed)
    found: RowKind = next((kind for suffix, kind in _SUFFIXES.items() if bare.endswith(suffix)), "")
    return "" if found == "parquet" and packed else found


def row_of(number: int, value: Mapping[str, Any], fields: FieldsConfig) -> Row:
    """The row that a JSON object or a Parquet record stands for.

    >>> fields = FieldsConfig(text="content", url="warc_headers.warc-target-uri")
    >>> row = row_of(3, {"content": "精米", "warc_headers": {"warc-target-uri": "https://a.example/"}}, fields)
    >>> row.text, row.url, row.date
    ('精米', 'https://a.example/', None)
    """
    text = _field(value, fields.text)
    if not isinstance(text, str):
        return Row(number, fault="no text" if text is None else "text is no string")
    lang = _words(_field(value, fields.lang))
    score = _field(value, fields.lang_score)
    given = float(score) if isinstance(score, int | float) and 0 <= score <= 1 else None
    return Row(
        number,
        text=valid(text),
        url=_words(_field(value, fields.url)),
        date=_words(_field(value, fields.date)),
        title=_words(_field(value, fields.title)),
        licence=_words(_field(value, fields.licence)),
        lang=language_code(lang) if lang else None,
        lang_score=given if fields.lang_score else 1.0,
    )


def language_code(label: str) -> str:
    """A corpus's label of a language as documents write it: ISO 639-1 where it exists, without script and region.

    >>> [language_code(label) for label in ("ja", "jpn_Jpan", "en-US")]
    ['ja', 'ja', 'en']
    """
    bare = label.lower().replace("_", "-").partition("-")[0]
    return ISO_639_1.get(bare, bare)


def valid(text: str) -> str:
    """The text with lone surrogates, which JSON may escape and UTF-8 has not, as U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _field(value: Mapping[str, Any], name: str) -> Any:
    """A field by its name, or by its path through objects; None where there is none."""
    if not name or name in value:
        return value.get(name)
    found: Any = value
    for key in name.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(key)
    return found


def _words(value: Any) -> str | None:
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return valid(str(value)).strip() or None
