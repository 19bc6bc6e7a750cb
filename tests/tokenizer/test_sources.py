"""Plain sources: JSON lines (plain, gzip, zstd), Parquet and text give the same documents; faults name the place."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from seimai.errors import SeimaiError
from seimai.pipeline.document import held_out
from seimai.tokenizer.sources import COLUMNS, HeldOut, Shard, batches, open_sources, slices

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


def _documents(shard: Shard) -> list[dict[str, Any]]:
    return [row for batch in batches(shard, COLUMNS.names) for row in batch.to_pylist()]


def _many(path: Path, n: int = 40_000) -> Path:
    rows = [{"text": f"text {i}", "lang": "en", "host": f"h{i % 50}.example"} for i in range(n)]
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=5000)
    return path


def test_slices_are_the_whole_file_in_pieces(tmp_path: Path) -> None:
    [shard] = open_sources(_many(tmp_path / "a.parquet"))
    pieces = slices(shard)
    assert [piece.units for piece in pieces] == [(0, 4), (4, 8)]
    assert [row for piece in pieces for row in _documents(piece)] == _documents(shard)


def test_slices_of_a_runs_shard_are_its_record_batches(tmp_path: Path) -> None:
    schema = pa.schema([*(COLUMNS.field(name) for name in ("id", "split", "text", "lang", "n_bytes"))])
    path = tmp_path / "ja-00000.arrow"
    with pa.ipc.new_file(str(path), schema) as file:
        for first in range(0, 40_000, 1024):
            rows = [
                {"id": str(i), "split": "train", "text": "米", "lang": "ja", "n_bytes": 3}
                for i in range(first, min(first + 1024, 40_000))
            ]
            file.write_batch(pa.RecordBatch.from_pylist(rows, schema))
    shard = Shard(path, "0" * 64)
    pieces = slices(shard)
    assert [piece.units for piece in pieces] == [(0, 16), (16, 32), (32, 40)]
    assert [row["id"] for piece in pieces for row in _documents(piece)] == [str(i) for i in range(40_000)]


def test_a_text_file_or_lines_are_one_slice(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("一つ")
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n')
    for name in ("a.txt", "a.jsonl"):
        [shard] = open_sources(tmp_path / name)
        assert slices(shard) == [shard]


def test_documents_are_held_out_by_host_where_the_file_says_nothing(tmp_path: Path) -> None:
    [shard] = open_sources(_many(tmp_path / "a.parquet", 2000), held_out=HeldOut(0.3, 5))
    for row in _documents(shard):
        assert (row["split"] == "held_out") == held_out(row["host"], "", share=0.3, seed=5)
        assert row["n_bytes"] == len(row["text"])


def test_translations_with_one_id_are_held_out_together(tmp_path: Path) -> None:
    for lang in ("ja", "en"):
        lines = [json.dumps({"id": n, "text": f"{lang} {n}"}) for n in range(300)]
        (tmp_path / f"{lang}.jsonl").write_text("\n".join(lines))
    ja, en = open_sources([tmp_path / "ja.jsonl", tmp_path / "en.jsonl"], held_out=HeldOut(0.2))
    splits = [[row["split"] for row in _documents(shard)] for shard in (ja, en)]
    assert splits[0] == splits[1]
    assert 30 < splits[0].count("held_out") < 90
    assert not {row["id"] for row in _documents(ja)} & {row["id"] for row in _documents(en)}


def test_a_split_in_the_file_wins(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "split": "train"}\n{"text": "b", "split": "held_out"}\n')
    [shard] = open_sources(path, held_out=HeldOut(1.0))
    assert [row["split"] for row in _documents(shard)] == ["train", "held_out"]


def test_an_address_gives_its_host_and_odd_fields_are_no_host(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"text": "a", "url": "https://Example.org/x"}, {"text": "b", "host": 7}, {"text": "c", "host": "h"}]
    path.write_text("\n".join(map(json.dumps, rows)))
    [shard] = open_sources(path)
    assert [row["host"] for row in _documents(shard)] == ["example.org", None, "h"]


@pytest.mark.parametrize("max_chars", [1, 10, 1000])
def test_a_batch_ends_where_its_texts_are_long_enough(tmp_path: Path, max_chars: int) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": "x" * size}) + "\n" for size in (3, 0, 9, 1, 30, 2)))
    shard = open_sources(path)[0]
    whole, cut = (pa.Table.from_batches(batches(shard, max_chars=most)) for most in (None, max_chars))
    assert cut.equals(whole)
    sizes = [[len(text) for text in batch.column("text").to_pylist()] for batch in batches(shard, max_chars=max_chars)]
    assert all(sum(each[:-1]) < max_chars for each in sizes)
    assert all(sum(each) >= max_chars for each in sizes[:-1])


def test_a_lone_surrogate_is_a_replacement_character(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "a\\ud800b"}\n{"text": "米"}\n', encoding="utf-8")
    [batch] = batches(open_sources(path, held_out=HeldOut(0))[0], ("text", "n_bytes"))
    assert batch.to_pydict() == {"text": ["a\ufffdb", "米"], "n_bytes": [5, 3]}
