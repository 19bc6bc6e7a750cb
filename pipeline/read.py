"""The read stage: the records of one part in; a row for every response or conversion record out."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from .document import DOCUMENT_COLUMNS, HeldOutConfig, document_id, held_out, host_of, schema, source_name
from .gates import GatesConfig, language_gate, language_prefilter, opt_out_gate, response_gate, url_gate
from .optout import header_robots, header_tdm_reserved
from .payload import http_payload
from .rows import Row
from .warc import Record

__all__ = [
    *("SAMPLE_COLUMNS", "VERSION", "Classifier", "Extractor", "Identifier", "ReadResult"),
    *("read_records", "read_rows"),
]

VERSION = 4

Extractor = Callable[[pa.RecordBatch], pa.RecordBatch]
"""Pages (payload, mime, http_charset, url) to title, text and how they were read; row-aligned."""
Identifier = Callable[[pa.Array], pa.Table]
"""Texts to lang, script, lang_score, lang_2nd, lang_2nd_score; row-aligned."""
Classifier = Callable[[pa.Array], pa.Array]
"""URLs to the categories of each; row-aligned."""

BATCH_PAGES = 64
BATCH_BYTES = 16 << 20
SAMPLES_PER_GATE = 2
SAMPLE_CHARS = 2000
QUARANTINE_BYTES = 1 << 20

SAMPLE_COLUMNS = (
    ("id", pa.string(), "the document"),
    ("url", pa.string(), "its address"),
    ("reason", pa.string(), "the gate or rule that dropped it"),
    ("value", pa.string(), "what the gate saw"),
    ("text", pa.large_string(), f"the first {SAMPLE_CHARS} characters of its text, where it was extracted"),
    ("cut", pa.list_(pa.string()), "what cleaning cut from it, as reason and text; null where a gate dropped it"),
    ("payload", pa.large_binary(), f"the first {QUARANTINE_BYTES} bytes of a quarantined page"),
)
"""Columns of the audit's files."""

_FROM_PAGE = (
    *("title", "lang_declared", "canonical", "published", "licence", "licence_place"),
    *("charset_declared", "charset_used", "charset_source"),
)
"""Columns of a document that the extractor fills."""

_PAGE_SCHEMA = pa.schema(
    [("payload", pa.large_binary()), ("mime", pa.string()), ("http_charset", pa.string()), ("url", pa.string())]
)


@dataclass(slots=True)
class ReadResult:
    """Documents and audit samples of a part, and what was counted on the way."""

    documents: pa.Table
    samples: pa.Table
    tally: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Page:
    """A record on its way: its row so far, and its body until the extractor has seen it."""

    row: dict[str, Any]
    body: bytes = b""
    mime: str = ""
    http_charset: str | None = None
    text: str | None = None
    lang: tuple[str, float | None] | None = None
    """Language and its probability as a corpus states them."""


def read_records(
    records: Iterable[Record],
    *,
    source_key: str,
    name: str,
    gates: GatesConfig,
    split: HeldOutConfig,
    extract: Extractor,
    identify: Identifier,
    classify: Classifier | None = None,
) -> ReadResult:
    """Read every response and conversion record: gates, charset, main text, language.

    The text of a page that a gate drops is not kept; two pages a gate and part, chosen by a hash of their id, go to
    the samples with the beginning of their text, and every quarantined page goes there with its bytes.
    """
    tally: Counter[str] = Counter()
    pages = _pages(records, source_key, name, gates, split, tally)
    return _read(pages, tally, gates, extract, identify, classify)


def read_rows(
    rows: Iterable[Row],
    *,
    source_key: str,
    name: str,
    gates: GatesConfig,
    split: HeldOutConfig,
    identify: Identifier,
    classify: Classifier | None = None,
) -> ReadResult:
    """Read every row of a corpus that holds text already: URL lists and language; otherwise as `read_records`.

    A row's number stands where a record's offset would.
    """
    tally: Counter[str] = Counter()
    pages = (_row_page(row, source_key, name, split, tally) for row in rows)
    return _read(pages, tally, gates, _nothing_to_extract, identify, classify)


def _nothing_to_extract(pages: pa.RecordBatch) -> pa.RecordBatch:
    raise AssertionError(f"{len(pages)} rows without text")


def _read(
    found: Iterable[_Page],
    tally: Counter[str],
    gates: GatesConfig,
    extract: Extractor,
    identify: Identifier,
    classify: Classifier | None,
) -> ReadResult:
    rows: list[dict[str, Any]] = []
    samples: dict[str, list[tuple[bytes, dict[str, Any]]]] = {}
    for pages in _batches(found):
        if classify is not None:
            _classify(pages, classify, gates)
        _extract(pages, extract, gates, tally)
        _identify(pages, identify, gates)
        for page in pages:
            if page.row["gate"] is not None:
                _sample(page, samples)
            rows.append(page.row)
    tally["documents"] = len(rows)
    chosen = [row for gate in sorted(samples) for _, row in samples[gate]]
    return ReadResult(
        pa.Table.from_pylist(rows, schema=schema(DOCUMENT_COLUMNS)),
        pa.Table.from_pylist(chosen, schema=schema(SAMPLE_COLUMNS)),
        tally,
    )


def _pages(
    records: Iterable[Record],
    source_key: str,
    name: str,
    gates: GatesConfig,
    split: HeldOutConfig,
    tally: Counter[str],
) -> Iterator[_Page]:
    for record in records:
        tally[f"records.{record.kind or 'unknown'}"] += 1
        if record.kind in ("response", "conversion"):
            page = _Page(_row(record, source_key, name, split))
            if record.kind == "conversion":
                _read_conversion(page, record, gates)
            else:
                _read_response(page, record, gates, tally)
            tally["payload_bytes"] += len(page.body) or len(record.content)
            yield page


def _row_page(row: Row, source_key: str, name: str, split: HeldOutConfig, tally: Counter[str]) -> _Page:
    """A row as a page whose text is there; one that is no document is closed."""
    headers = {"warc-target-uri": row.url or ""} | ({"warc-date": row.date} if row.date else {})
    page = _Page(_row(Record(row.number, 0, "row", headers, b"", row.cut), source_key, name, split))
    text = _clean(row.text)
    page.row |= {"title": row.title, "licence": row.licence, "charset_used": "utf-8", "charset_source": "row"}
    page.row["n_replaced"] = text.count("\ufffd")
    if row.fault or not text:
        _close(page, ("row", row.fault or "empty"))
    else:
        page.text, page.lang = text, (row.lang, row.lang_score) if row.lang else None
    tally["rows"] += 1
    tally["payload_bytes"] += len(text.encode())
    return page


def _clean(text: str) -> str:
    """Text as documents hold it: without NUL, with plain line ends, without space around it."""
    return text.replace("\x00", "\ufffd").replace("\r\n", "\n").strip()


def _row(record: Record, source_key: str, name: str, split: HeldOutConfig) -> dict[str, Any]:
    identity = document_id(source_key, record.offset, record.index)
    # Some writers put the address between angle brackets, as an early draft of the standard had it.
    url = record.headers.get("warc-target-uri", "").strip("<> ") or None
    host = host_of(url)
    out = held_out(host, identity, share=split.share, seed=split.seed)
    return {
        "id": identity,
        "split": "held_out" if out else "train",
        "url": url,
        "host": host,
        "date": record.headers.get("warc-date"),
        "source": source_name(source_key, name),
        "warc_file": source_key,
        "warc_offset": record.offset,
        "record_index": record.index,
        "payload_sha1": record.headers.get("warc-payload-digest"),
        "robots": None,
        "tdm_reserved": False,
        "no_reuse": False,
        "n_replaced": 0,
        "truncated": record.truncated,
        "gate": None,
        "gate_value": None,
    }


def _read_response(page: _Page, record: Record, gates: GatesConfig, tally: Counter[str]) -> None:
    payload = http_payload(record.content, max_body_bytes=gates.max_body_bytes)
    page.row["truncated"] |= payload.truncated
    if payload.fault:
        tally[f"payload.{payload.fault}"] += 1
    page.row["robots"] = header_robots(payload.headers, None)
    page.row["tdm_reserved"] = header_tdm_reserved(payload.headers)
    page.body, page.mime, page.http_charset = payload.body, payload.mime, payload.charset
    _close(
        page,
        response_gate(gates, payload.status, payload.mime, payload.body)
        or _opt_out(page, gates)
        or language_prefilter(gates, payload.body, payload.charset),
    )


def _opt_out(page: _Page, gates: GatesConfig) -> tuple[str, str] | None:
    row = page.row
    return opt_out_gate(gates, row["robots"], tdm_reserved=row["tdm_reserved"], no_reuse=row["no_reuse"])


def _read_conversion(page: _Page, record: Record, gates: GatesConfig) -> None:
    """The text of a WET record is UTF-8 by definition; a bad byte costs one character."""
    text = _clean(record.content.decode("utf-8", "replace"))
    page.row |= {"charset_used": "utf-8", "charset_source": "wet", "n_replaced": text.count("\ufffd")}
    _close(page, None if text else ("payload", "empty"))
    page.text = text if text else None


def _close(page: _Page, gate: tuple[str, str] | None) -> None:
    if gate is not None:
        page.row["gate"], page.row["gate_value"] = gate


def _batches(pages: Iterable[_Page]) -> Iterator[list[_Page]]:
    batch: list[_Page] = []
    size = 0
    for page in pages:
        batch.append(page)
        size += len(page.body) or len(page.text or "")
        if len(batch) >= BATCH_PAGES or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _classify(pages: list[_Page], classify: Classifier, gates: GatesConfig) -> None:
    """The categories of every page's URL; closes pages of those that are dropped."""
    categories = classify(pa.array([page.row["url"] for page in pages], pa.large_string())).to_pylist()
    for page, found in zip(pages, categories, strict=True):
        page.row["url_categories"] = found
        if page.row["gate"] is None:
            _close(page, url_gate(gates, found))


def _extract(pages: list[_Page], extract: Extractor, gates: GatesConfig, tally: Counter[str]) -> None:
    wanted = [page for page in pages if page.row["gate"] is None and page.text is None]
    if not wanted:
        return
    columns = [[p.body for p in wanted], [p.mime for p in wanted], [p.http_charset for p in wanted]]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, _PAGE_SCHEMA, strict=False)]
    urls = pa.array([p.row["url"] for p in wanted], pa.string())
    read = extract(pa.RecordBatch.from_arrays([*arrays, urls], schema=_PAGE_SCHEMA)).to_pylist()
    for page, result in zip(wanted, read, strict=True):
        page.row |= {name: result[name] for name in _FROM_PAGE}
        stated = result["robots"].split(",") if result["robots"] else []
        page.row["robots"] = ",".join(sorted({*stated, *(page.row["robots"] or "").split(",")} - {""})) or None
        page.row["tdm_reserved"] |= bool(result["tdm_reserved"])
        page.row["no_reuse"] = bool(result["no_reuse"])
        page.row["n_replaced"] = result["n_replaced"] or 0
        page.row["truncated"] |= bool(result["cut"])
        if result["quarantine"] is not None:
            tally["quarantined"] += 1
            _close(page, ("quarantine", result["quarantine"]))
        elif result["fault"] is not None:
            _close(page, ("extract", result["fault"]))
        elif (refused := _opt_out(page, gates)) is not None:
            _close(page, refused)
        elif not result["text"]:
            _close(page, ("empty", "no main text"))
        else:
            page.text = result["text"]


def _identify(pages: list[_Page], identify: Identifier, gates: GatesConfig) -> None:
    wanted = [page for page in pages if page.row["gate"] is None]
    if not wanted:
        return
    found = identify(pa.array([page.text for page in wanted], pa.large_string())).to_pylist()
    for page, languages in zip(wanted, found, strict=True):
        page.row |= languages
        if page.lang is not None:
            page.row["lang"], page.row["lang_score"] = page.lang
        _close(page, language_gate(gates, page.row["lang"], page.row["lang_score"]))
        if page.row["gate"] is None:
            page.row["text"] = page.text


def _sample(page: _Page, samples: dict[str, list[tuple[bytes, dict[str, Any]]]]) -> None:
    gate = page.row["gate"]
    row: dict[str, Any] = {
        "id": page.row["id"],
        "url": page.row["url"],
        "reason": gate,
        "value": page.row["gate_value"],
        "text": page.text[:SAMPLE_CHARS] if page.text else None,
        "payload": page.body[:QUARANTINE_BYTES] if gate == "quarantine" else None,
    }
    chosen = samples.setdefault(gate, [])
    chosen.append((blake2b(page.row["id"].encode(), key=b"audit", digest_size=8).digest(), row))
    if gate != "quarantine":
        chosen.sort(key=lambda entry: entry[0])
        del chosen[SAMPLES_PER_GATE:]
