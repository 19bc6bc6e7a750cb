"""Plain sources: JSON lines (plain, gzip, zstd), Parquet and text give the same documents; faults name the place."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from seimai.errors import SeimaiError
from seimai.tokenizer.sources import batches, open_sources

ROWS = [{"text": "一つ目の文書です。", "lang": "ja"}, {"text": "the second", "lang": "en"}]


def _texts(path: Path) -> list[str]:
    [shard] = open_sources(path)
    return [text for batch in batches(shard, ["text"]) for text in batch.column("text").to_pylist()]


def test_every_kind_of_file_gives_the_same_texts(tmp_path: Path) -> None:
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
    (tmp_path / "a.jsonl").write_bytes(lines)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "a.jsonl.zst").write_bytes(zstandard.compress(lines))
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.parquet"):
        assert _texts(tmp_path / name) == [row["text"] for row in ROWS], name


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", b'{"text": "ok"}\n{"text": \n'),
        ("a.jsonl", b'{"body": "no text"}\n'),
        ("a.jsonl.gz", b"not gzip"),
        ("a.parquet", b"not parquet"),
        ("a.docx", b"?"),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SeimaiError) as caught:
        _texts(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SeimaiError, match=r"none\.jsonl"):
        open_sources(tmp_path / "none.jsonl")
