"""Rows of JSON lines, Parquet and plain text: fields by their map, and a reason for every row that is none."""

import gzip
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seimai.errors import InputError
from seimai.pipeline.rows import FieldsConfig, Row, row_of
from seimai.pipeline.rows_source import row_reader


def rows(data: bytes, name: str, step: int = 0, limit: int = 1 << 20, **fields: Any) -> list[Row]:
    """The rows of a file, read in slices of `step` bytes."""
    found: list[Row] = []
    for start in range(0, len(data), step or len(data)):
        stop = min(start + (step or len(data)), len(data))
        shape = {"start": start, "stop": stop, "size": len(data), "max_record_bytes": limit}
        found += row_reader(io.BytesIO(data), name, fields=FieldsConfig(**fields), **shape)
    return found


MC4 = {"text": "玄米を精米する。", "timestamp": "2020-01-02T03:04:05Z", "url": "https://a.example/1"}
OSCAR = {
    "content": "玄米を精米する。",
    "warc_headers": {"warc-target-uri": "https://a.example/1", "warc-date": "2022-11-28T02:49:22Z"},
    "metadata": {"identification": {"label": "ja", "prob": 0.97}, "annotation": ["short_sentences"]},
}
OSCAR_FIELDS: dict[str, Any] = {
    "text": "content",
    "url": "warc_headers.warc-target-uri",
    "date": "warc_headers.warc-date",
    "lang": "metadata.identification.label",
    "lang_score": "metadata.identification.prob",
}


def test_mc4_lines() -> None:
    data = gzip.compress(json.dumps(MC4).encode() + b"\n")
    (row,) = rows(data, "c4-ja.tfrecord-00000-of-01024.json.gz", date="timestamp")
    assert (row.text, row.url, row.date) == (MC4["text"], MC4["url"], MC4["timestamp"])
    assert row.lang is None


@pytest.mark.parametrize("name", ["ja_meta_part_1.jsonl", "oscar.parquet"])
def test_oscar_rows_have_their_fields_inside_others(name: str) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([OSCAR]), sink)
    data = sink.getvalue() if name.endswith("parquet") else json.dumps(OSCAR).encode()
    (row,) = rows(data, name, **OSCAR_FIELDS)
    assert (row.text, row.url, row.date) == (OSCAR["content"], "https://a.example/1", "2022-11-28T02:49:22Z")
    assert (row.lang, row.lang_score) == ("ja", 0.97)


def test_cc100_documents_stand_between_blank_lines() -> None:
    data = "一行目。\n二行目。\n\n\n次の文書。\r\n\r\n終わり".encode()
    for step in range(1, len(data) + 1):
        found = rows(data, "ja.txt", step)
        assert [(row.number, row.text.split()) for row in found] == [
            (0, ["一行目。", "二行目。"]),
            (4, ["次の文書。"]),
            (6, ["終わり"]),
        ]
    assert [row.number for row in rows(data, "ja.txt", plain="lines")] == [0, 1, 4, 6]


@given(st.lists(st.text("ab\n", max_size=9)), st.integers(1, 9))
def test_blocks_do_not_depend_on_the_cuts(texts: list[str], step: int) -> None:
    data = "\n\n".join(texts).encode()
    assert rows(data, "x.txt", step) == rows(data, "x.txt") if data else True
    assert rows(data, "x.jsonl", step) == rows(data, "x.jsonl") if data else True


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"{", "not JSON"),
        (b"[1]", "not an object"),
        (b"{}", "no text"),
        (b'{"text": null}', "no text"),
        (b'{"text": 5}', "text is no string"),
        (b'{"text": "' + b"x" * 3000 + b'"}', "over input.max_record_bytes"),
        (b"[" * 2500, "over input.max_record_bytes"),
        (b"\xff\xfe", "not JSON"),
    ],
)
def test_every_bad_row_has_its_reason(line: bytes, fault: str) -> None:
    found = rows(line + b'\n\n{"text": "good"}\n', "x.jsonl", limit=2000)
    assert [(row.number, row.text, row.fault) for row in found] == [(0, "", fault), (2, "good", "")]


def test_strange_values_do_not_become_fields() -> None:
    row = row_of(0, {"text": "a\ud800b", "url": ["x"], "date": 5, "title": True}, FieldsConfig())
    assert row == Row(0, text="a\ufffdb", date="5", lang_score=1.0)
    given = row_of(0, {"text": "a", "l": "jpn_Jpan", "p": 7}, FieldsConfig(lang="l", lang_score="p"))
    assert (given.lang, given.lang_score) == ("ja", None)


def test_parquet_rows_are_numbered_over_row_groups_whatever_the_slices() -> None:
    sink = io.BytesIO()
    table = pa.table(
        {"text": [f"text {k}" for k in range(1000)], "url": [f"https://a.example/{k}" for k in range(1000)]}
    )
    pq.write_table(table, sink, row_group_size=100)
    data = sink.getvalue()
    for step in (0, 1000, len(data) // 3):
        found = rows(data, "x.parquet", step)
        assert [(row.number, row.text) for row in found] == [(k, f"text {k}") for k in range(1000)]


def test_damage_in_a_row_group_costs_the_row_group() -> None:
    sink = io.BytesIO()
    table = pa.table({"text": [f"text {k}" for k in range(300)]})
    pq.write_table(table, sink, row_group_size=100, compression="zstd")
    data = bytearray(sink.getvalue())
    place = pq.ParquetFile(sink).metadata.row_group(1).column(0).dictionary_page_offset
    data[place : place + 40] = b"\xff" * 40
    reader = row_reader(
        io.BytesIO(data), "x.parquet", start=0, stop=len(data), size=len(data), fields=FieldsConfig(),
        max_record_bytes=1000,
    )  # fmt: skip
    assert [row.number for row in reader] == [*range(100), *range(200, 300)]
    assert dict(reader.faults) == {"broken_row_group": 1}
    assert reader.skipped_bytes > 0


def test_a_parquet_file_without_the_text_column_is_a_mistake_of_the_user() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"content": ["x"]}), sink)
    with pytest.raises(InputError, match=r"has no column 'text', only content; set input\.fields\.text"):
        rows(sink.getvalue(), "x.parquet")
    with pytest.raises(InputError, match="no whole Parquet file"):
        rows(sink.getvalue()[:-9], "x.parquet")
