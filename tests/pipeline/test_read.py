"""The read stage: a row for every response or conversion record, gates in order, samples by hash."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pytest

from seimai.pipeline import read
from seimai.pipeline.document import DOCUMENT_COLUMNS, HeldOutConfig, document_id, schema
from seimai.pipeline.gates import GatesConfig
from seimai.pipeline.optout import PageNotes
from seimai.pipeline.read import SAMPLE_CHARS, ReadResult, read_records
from seimai.pipeline.url_lists import UrlListsConfig
from seimai.pipeline.warc import Record

KEY = "crawl-data/CC-MAIN-2024-51/x.warc.gz"


def record(number: int, content: bytes, kind: str = "response", **headers: str) -> Record:
    named = {"warc-target-uri": f"https://h{number}.example/p", "warc-date": "2024-12-01T00:00:00Z"}
    return Record(100 * number, 0, kind, {**named, **headers}, content, truncated=False)


def http(body: str, status: int = 200, mime: str = "text/html; charset=Shift_JIS") -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Type: {mime}\r\n\r\n{body}".encode()


def extract(pages: pa.RecordBatch) -> pa.RecordBatch:
    """The body is the text; words in it stand for what may happen to a page."""
    rows = []
    for page in pages.to_pylist():
        text = page["payload"].decode()
        rows.append(
            {
                "title": "T " + page["url"],
                "text": None if "NOTEXT" in text else text,
                "lang_declared": "ja-JP",
                **asdict(PageNotes(robots="noai" if "NOAI" in text else None, no_reuse="NOREUSE" in text)),
                "charset_declared": page["http_charset"],
                "charset_used": "cp932",
                "charset_source": "http",
                "n_replaced": 3 if "BAD" in text else None,
                "cut": "CUT" in text,
                "fault": "nodes" if "DEEP" in text else None,
                "quarantine": "killed the parser" if "KILL" in text else None,
            }
        )
    assert pages.schema.names == ["payload", "mime", "http_charset", "url"]
    return pa.RecordBatch.from_pylist(rows)


def identify(texts: pa.Array) -> pa.Table:
    langs = ["ko" if "KO" in text else "ja" for text in texts.to_pylist()]
    scores = [0.1 if "WEAK" in text else 0.9 for text in texts.to_pylist()]
    rest = {"script": ["Jpan"] * len(langs), "lang_2nd": ["en"] * len(langs), "lang_2nd_score": [0.05] * len(langs)}
    return pa.table({"lang": langs, "lang_score": pa.array(scores, pa.float32()), **rest})


def read_all(records: Sequence[Record], **more: Any) -> ReadResult:
    settings: dict[str, Any] = {"source_key": KEY, "name": "", "gates": GatesConfig(), "split": HeldOutConfig()}
    return read_records(records, extract=extract, identify=identify, **{**settings, **more})


def test_categories_are_a_column_and_those_dropped_a_gate() -> None:
    def classify(urls: pa.Array) -> pa.Array:
        return pa.array([["adult"] if "h3" in url else ["blog"] for url in urls.to_pylist()])

    gates = GatesConfig(urls=UrlListsConfig(drop=["adult"]))
    result = read_all([record(3, http("text")), record(4, http("text"))], gates=gates, classify=classify)
    rows = result.documents.to_pylist()
    assert [row["url_categories"] for row in rows] == [["adult"], ["blog"]]
    assert [(row["gate"], row["gate_value"], row["text"]) for row in rows] == [
        ("url", "adult", None),
        (None, None, "text"),
    ]


def test_a_page_becomes_a_row_with_its_provenance() -> None:
    one = record(3, http("text BAD CUT"), **{"warc-payload-digest": "sha1:X"})
    result = read_all([record(0, b"", "warcinfo"), record(1, b"GET", "request"), one, record(4, b"", "revisit")])
    assert result.documents.schema == schema(DOCUMENT_COLUMNS)
    assert result.documents.to_pylist() == [
        {
            "id": document_id(KEY, 300, 0),
            "split": "train",
            "url": "https://h3.example/p",
            "host": "h3.example",
            "date": "2024-12-01T00:00:00Z",
            "title": "T https://h3.example/p",
            "text": "text BAD CUT",
            "lang": "ja",
            "script": "Jpan",
            "lang_score": pytest.approx(0.9),
            "lang_2nd": "en",
            "lang_2nd_score": pytest.approx(0.05),
            "source": "CC-MAIN-2024-51",
            "warc_file": KEY,
            "warc_offset": 300,
            "record_index": 0,
            "payload_sha1": "sha1:X",
            "url_categories": None,
            "lang_declared": "ja-JP",
            "canonical": None,
            "published": None,
            "robots": None,
            "tdm_reserved": False,
            "licence": None,
            "licence_place": None,
            "no_reuse": False,
            "charset_declared": "shift_jis",
            "charset_used": "cp932",
            "charset_source": "http",
            "n_replaced": 3,
            "truncated": True,
            "gate": None,
            "gate_value": None,
        }
    ]
    kinds = {name: n for name, n in result.tally.items() if name.startswith("records.")}
    assert kinds == {"records.warcinfo": 1, "records.request": 1, "records.response": 1, "records.revisit": 1}
    assert (result.tally["documents"], result.tally["payload_bytes"]) == (1, len("text BAD CUT"))


@pytest.mark.parametrize(
    ("content", "gate", "value"),
    [
        (http("x", status=404), "status", "404"),
        (http("x", mime="image/png"), "mime", "image/png"),
        (http(" "), "payload", "empty"),
        (b"", "status", "none"),
        (b"no http at all", "status", "none"),
        (http("DEEP"), "extract", "nodes"),
        (http("KILL DEEP"), "quarantine", "killed the parser"),
        (http("NOTEXT"), "empty", "no main text"),
        (http("NOAI"), "opt_out", "noai"),
        (b"HTTP/1.1 200 X\r\nX-Robots-Tag: noindex, noai\r\n\r\nfine", "opt_out", "noai"),
        (b"HTTP/1.1 200 X\r\nTDM-Reservation: 1\r\n\r\nfine", "opt_out", "tdm"),
        (http("KO"), "language", "ko"),
        (http("WEAK"), "lang_score", "0.100"),
    ],
)
def test_a_gate_drops_the_text_and_says_why(content: bytes, gate: str, value: str) -> None:
    result = read_all([record(1, http("fine")), record(2, content)])
    fine, gated = result.documents.to_pylist()
    assert (fine["text"], fine["gate"]) == ("fine", None)
    assert (gated["text"], gated["gate"], gated["gate_value"]) == (None, gate, value)
    (sample,) = result.samples.to_pylist()
    assert (sample["id"], sample["reason"], sample["value"]) == (gated["id"], gate, value)
    assert (sample["text"] is not None) == (gate in ("language", "lang_score"))
    assert (sample["payload"] is not None) == (gate == "quarantine")
    assert result.tally["quarantined"] == (gate == "quarantine")


@pytest.mark.parametrize(
    ("content", "text", "replaced", "gate"),
    [
        ("精米\r\nする".encode(), "精米\nする", 0, None),
        (b"  a\x00b \xff ", "a\ufffdb \ufffd", 2, None),
        (b" \r\n ", None, 0, "payload"),
        (b"KO", None, 0, "language"),
    ],
)
def test_conversion_records(content: bytes, text: str | None, replaced: int, gate: str | None) -> None:
    (row,) = read_all([record(1, content, "conversion")]).documents.to_pylist()
    assert (row["text"], row["n_replaced"], row["gate"]) == (text, replaced, gate)
    assert (row["charset_used"], row["charset_source"], row["charset_declared"]) == ("utf-8", "wet", None)


def test_what_header_and_page_say_is_joined() -> None:
    header = b"HTTP/1.1 200 X\r\nX-Robots-Tag: noindex\r\nTDM-Reservation: 1\r\n\r\nNOAI NOREUSE"
    (row,) = read_all([record(1, header)], gates=GatesConfig(opt_outs=[])).documents.to_pylist()
    assert (row["robots"], row["tdm_reserved"], row["no_reuse"], row["gate"]) == ("noai,noindex", True, True, None)
    for wish in ("noindex", "no_reuse"):
        (row,) = read_all([record(1, header)], gates=GatesConfig(opt_outs=[wish])).documents.to_pylist()
        assert (row["gate"], row["gate_value"], row["text"]) == ("opt_out", wish, None)


def test_the_prefilter_spares_the_extractor() -> None:
    pages = [record(1, http("<p>English", mime="text/html")), record(2, http("精米の話です"))]
    only_japanese = read_all(pages, gates=GatesConfig(languages=["ja"])).documents.to_pylist()
    assert [row["gate"] for row in only_japanese] == ["prefilter", None]
    assert only_japanese[0]["title"] is None
    assert [row["gate"] for row in read_all(pages).documents.to_pylist()] == [None, None]


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["fine", "KO", "KILL", "NOTEXT", "WEAK", "x" * 500]
    records = [record(n, http(f"{words[n % 6]} {n}")) for n in range(150)]
    records[7] = record(7, "WET 精米".encode(), "conversion")
    whole = read_all(records)
    monkeypatch.setattr(read, "BATCH_PAGES", 7)
    monkeypatch.setattr(read, "BATCH_BYTES", 1100)
    small = read_all(records)
    assert small.documents.equals(whole.documents)
    assert small.samples.equals(whole.samples)
    assert small.tally == whole.tally


def test_samples_are_few_seeded_and_short_but_quarantine_is_whole() -> None:
    records = [record(n, http(("KO " if n % 2 else "KILL ") + "x" * 5000)) for n in range(40)]
    samples = read_all(records).samples.to_pylist()
    by_reason = {reason: [s for s in samples if s["reason"] == reason] for reason in ("language", "quarantine")}
    assert [len(rows) for rows in by_reason.values()] == [2, 20]
    assert {len(s["text"]) for s in by_reason["language"]} == {SAMPLE_CHARS}
    assert [s for s in read_all(records[::-1]).samples.to_pylist() if s["reason"] == "language"] == by_reason[
        "language"
    ]


def test_nothing_in_nothing_out() -> None:
    result = read_all([])
    assert (len(result.documents), len(result.samples), result.tally["documents"]) == (0, 0, 0)


def test_held_out_hosts() -> None:
    records = [record(n, http("x")) for n in range(100)]
    split = read_all(records, split=HeldOutConfig(share=0.5)).documents["split"].to_pylist()
    assert 25 < split.count("held_out") < 75
    assert set(read_all(records, split=HeldOutConfig(share=0.0)).documents["split"].to_pylist()) == {"train"}
