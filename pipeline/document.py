"""A document: its identity, its split, and every column of the files in a run directory, declared once."""

import hashlib
import re
from urllib.parse import urlsplit

import pyarrow as pa
from pydantic import Field

from seimai.config import Section

__all__ = [
    "CLUSTER_COLUMNS",
    "DECISION_COLUMNS",
    "DOCUMENT_COLUMNS",
    "EDIT_COLUMNS",
    "INDEX_COLUMNS",
    "SHARD_COLUMNS",
    "Column",
    "HeldOutConfig",
    "document_id",
    "held_out",
    "host_of",
    "schema",
    "source_name",
]

Column = tuple[str, pa.DataType, str]
"""Name, Arrow type, meaning with its unit."""

DOCUMENT_COLUMNS: tuple[Column, ...] = (
    ("id", pa.string(), "BLAKE2b-128 (hex) of source key, member offset and record index"),
    ("split", pa.string(), "train or held_out, by a seeded hash of the host (of the id where there is no host)"),
    ("url", pa.string(), "WARC-Target-URI"),
    ("host", pa.string(), "host of the URL, lower case, without port"),
    ("date", pa.string(), "WARC-Date, as in the archive (ISO 8601, UTC)"),
    ("title", pa.string(), "title of the page"),
    ("text", pa.large_string(), "main text; null where a gate dropped the page"),
    ("lang", pa.string(), "language: ISO 639-1 where it exists, else ISO 639-3"),
    ("script", pa.string(), "script most of the text is written in (ISO 15924)"),
    ("lang_score", pa.float32(), "probability of lang, 0 to 1"),
    ("lang_2nd", pa.string(), "second best language"),
    ("lang_2nd_score", pa.float32(), "probability of lang_2nd, 0 to 1"),
    ("source", pa.string(), "name of the crawl the page came from"),
    ("warc_file", pa.string(), "source key of the archive"),
    ("warc_offset", pa.int64(), "offset of the record's gzip member in the archive, bytes"),
    ("record_index", pa.int64(), "number of the record within its member"),
    ("payload_sha1", pa.string(), "WARC-Payload-Digest as the archive states it"),
    ("url_categories", pa.list_(pa.string()), "categories of gates.urls the address is in; null without lists"),
    ("lang_declared", pa.string(), "lang attribute of the page's html element, as written"),
    ("canonical", pa.string(), "address the page gives itself (rel=canonical), as written"),
    ("published", pa.string(), "day the page says it was published, YYYY-MM-DD"),
    ("robots", pa.string(), "directives of robots meta elements and X-Robots-Tag, sorted: noai,noindex..."),
    ("tdm_reserved", pa.bool_(), "header or page reserves the rights to text and data mining (TDM-Reservation: 1)"),
    ("licence", pa.string(), "licence the page states: cc-by-4.0..., or the address of one; null where it states none"),
    ("licence_place", pa.string(), "where the licence stands: head, body or footer; in the body it may be a picture's"),
    ("no_reuse", pa.bool_(), "the page forbids copying in Japanese (無断転載禁止)"),
    ("charset_declared", pa.string(), "charset label the server or the page declared"),
    ("charset_used", pa.string(), "charset the text was decoded with"),
    ("charset_source", pa.string(), "bom, http, meta or detector"),
    ("n_replaced", pa.int64(), "characters that became U+FFFD"),
    ("truncated", pa.bool_(), "the page was cut: by the crawl, by damage, or by a limit of ours"),
    ("gate", pa.string(), "gate that dropped the page before its text was kept, else null"),
    ("gate_value", pa.string(), "what the gate saw, for example 404 or image/png"),
)

EDIT_COLUMNS: tuple[Column, ...] = (
    ("id", pa.string(), "the document"),
    ("start", pa.int64(), "first code point of the text that the edit takes away"),
    ("end", pa.int64(), "one behind the last code point that it takes away"),
    ("replacement", pa.string(), "what stands there instead; empty for a cut"),
    ("reason", pa.string(), "the rule that asked for it"),
)

CLUSTER_COLUMNS: tuple[Column, ...] = (
    ("id", pa.string(), "the document"),
    ("cluster", pa.string(), "id of the cluster's first document in input order; null without a signature"),
    ("cluster_size", pa.int64(), "documents in the cluster; null without a signature"),
)

INDEX_COLUMNS: tuple[Column, ...] = (
    ("cluster_former", pa.int64(), "documents of the cluster in the index of former dumps that passed their rules"),
)
"""Also in `clusters/` where a run has an index; `cluster` and `cluster_size` count its documents too."""

DECISION_COLUMNS: tuple[Column, ...] = (
    ("id", pa.string(), "the document"),
    ("kept", pa.bool_(), "the document is in the corpus"),
    ("reason", pa.string(), "first rule that dropped it; null when kept"),
    ("reasons", pa.list_(pa.string()), "every rule that would have dropped it, in running order"),
    ("cluster_rank", pa.int64(), "rank among its cluster's members that passed every other rule; 0 survives"),
)

SHARD_COLUMNS: tuple[Column, ...] = (
    *(c for c in DOCUMENT_COLUMNS if c[0] in ("id", "split", "text", "title", "url", "host", "date", "source")),
    *(c for c in DOCUMENT_COLUMNS if c[0] in ("lang", "lang_score")),
    ("quality", pa.float32(), "score of a quality model, 0 to 1; null without a model"),
    *(c for c in CLUSTER_COLUMNS if c[0] != "id"),
    *(c for c in DECISION_COLUMNS if c[0] == "cluster_rank"),
    ("n_chars", pa.int64(), "code points of text"),
    ("n_bytes", pa.int64(), "UTF-8 bytes of text"),
    *(c for c in DOCUMENT_COLUMNS if c[0] == "licence"),
    *(c for c in DOCUMENT_COLUMNS if c[0] in ("warc_file", "warc_offset")),
)

_CRAWL = re.compile(r"CC-(?:MAIN|NEWS)-\d{4}-\d{2}|(?<=crawl-data/)CC-NEWS")


class HeldOutConfig(Section):
    """Section [held_out]: the documents no training step and no tokenizer ever reads."""

    share: float = Field(default=0.01, ge=0.0, lt=1.0)
    """Share of hosts held out for evaluation, 0 to 1."""
    seed: int = 1
    """Seed of the hash that chooses them."""


def schema(columns: tuple[Column, ...]) -> pa.Schema:
    """The Arrow schema of declared columns.

    >>> schema(CLUSTER_COLUMNS).names
    ['id', 'cluster', 'cluster_size']
    """
    return pa.schema([pa.field(name, kind) for name, kind, _ in columns])


def document_id(source_key: str, offset: int, index: int) -> str:
    """Identity of a record: where it stands in its source, so that a rebuild or a local copy gives the same.

    >>> document_id("crawl-data/a.warc.gz", 0, 0)
    '41bae4ab2b939552e1e8b09c1473e21b'
    """
    return hashlib.blake2b(f"{source_key}\n{offset}\n{index}".encode(), digest_size=16).hexdigest()


def held_out(host: str | None, identity: str, *, share: float, seed: int) -> bool:
    """Whether a document is held out: a seeded 64-bit hash of the host (of the id without one) below `share`.

    >>> [held_out("example.org", "", share=s, seed=1) for s in (0.0, 1.0)]
    [False, True]
    """
    key = f"{seed}\n{host or identity}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") < share * 2**64


def host_of(url: str | None) -> str | None:
    """Host of a URL in lower case without port or user; null where the URL has none.

    >>> host_of("https://Example.ORG:8080/a"), host_of("dns:example.org")
    ('example.org', None)
    """
    if not url:
        return None
    try:
        return urlsplit(url.strip("<> ")).hostname or None
    except ValueError:  # brackets that are no IPv6 address
        return None


def source_name(source_key: str, name: str = "") -> str:
    """Name of the crawl: the one given, else the snapshot in the key, else `crawl`.

    >>> source_name("crawl-data/CC-MAIN-2024-51/segments/x.warc.gz"), source_name("x.warc.gz")
    ('CC-MAIN-2024-51', 'crawl')
    """
    found = _CRAWL.search(source_key)
    return name or (found.group() if found else "crawl")
