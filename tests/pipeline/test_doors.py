"""Whole runs over corpora of text: from every kind of file, in any slices, resumed, with every row accounted for."""

import bz2
import gzip
import json
import lzma
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from seimai.config import apply_overrides, parse_config
from seimai.files import sha256_file
from seimai.pipeline.job import polish
from seimai.pipeline.manifest import manifest_head, verify
from seimai.pipeline.run import Engine
from seimai.pipeline.run_summary import RunSummary
from seimai.pipeline.settings import RunConfig

Rows = list[dict[str, Any]]


def run(out: Path, *inputs: Path, sets: tuple[str, ...] = (), workers: int = 0, **more: Any) -> RunSummary:
    config = parse_config(apply_overrides({}, sets), RunConfig, "test")
    return polish(config, out, inputs=[str(path) for path in inputs], engine=Engine(workers=workers), **more)


def shards(out: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in sorted((out / "shards").iterdir())}


def shard_rows(out: Path) -> Rows:
    tables = [pa.ipc.open_file(path).read_all() for path in sorted((out / "shards").iterdir())]
    return [row for table in tables for row in table.to_pylist()]


@pytest.fixture(scope="module")
def crawl(sample_warc: Path, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """The texts of the sample crawl."""
    out = tmp_path_factory.mktemp("crawl") / "run"
    polish(RunConfig(), out, inputs=[str(sample_warc)], engine=Engine(workers=0))
    tables = [pq.read_table(path) for path in sorted((out / "documents").iterdir())]
    rows = pa.concat_tables(tables).select(["text", "url", "date", "title", "lang"]).to_pylist()
    return [row for row in rows if row["text"]]


def lines(rows: Rows) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def write_parquet(path: Path, rows: Rows) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=20)


def write_dump(path: Path, rows: Rows) -> None:
    pages = "".join(
        f"  <page>\n<title>{escape(row['title'] or '')}</title>\n<ns>0</ns>\n<revision>\n"
        f"<timestamp>{row['date']}</timestamp>\n<text>{escape(row['text'])}</text>\n</revision>\n  </page>\n"
        for row in rows
    )
    base = "<siteinfo><base>https://ja.wikipedia.org/wiki/X</base></siteinfo>"
    path.write_bytes(bz2.compress(f"<mediawiki>\n{base}\n{pages}</mediawiki>\n".encode()))


KINDS: dict[str, Callable[[Path, Rows], object]] = {
    "c.jsonl": lambda path, rows: path.write_bytes(lines(rows)),
    "c.json.gz": lambda path, rows: path.write_bytes(gzip.compress(lines(rows), mtime=0)),
    "c.jsonl.zst": lambda path, rows: path.write_bytes(zstandard.compress(lines(rows))),
    "c.parquet": write_parquet,
    "c.txt.xz": lambda path, rows: path.write_bytes(lzma.compress("\n\n".join(r["text"] for r in rows).encode())),
    "c.xml.bz2": write_dump,
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_becomes_shards_whatever_the_slices(name: str, crawl: Rows, tmp_path: Path) -> None:
    KINDS[name](tmp_path / name, crawl)
    first = run(tmp_path / "whole", tmp_path / name, sets=("input.part_bytes=100000000",))
    assert first.totals["read"]["documents"] >= len(crawl)
    assert {lang for lang, sums in first.totals["kept"].items() if sums["documents"] > 40} == {"ja", "en"}
    sliced = run(tmp_path / "sliced", tmp_path / name, sets=("input.part_bytes=3000",))
    assert len(list((tmp_path / "sliced" / "state" / "read").iterdir())) > 3
    assert sliced.totals["read"]["documents"] == first.totals["read"]["documents"]
    assert shards(tmp_path / "sliced") == shards(tmp_path / "whole")
    assert not run(tmp_path / "sliced", tmp_path / name, sets=("input.part_bytes=3000",)).changed
    verify(tmp_path / "sliced")


def test_a_lost_part_alone_is_read_again_and_bad_rows_are_counted(crawl: Rows, tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl.gz"
    path.write_bytes(gzip.compress(lines(crawl) + b'{"text"\n\n[]\n{"text": ""}\n', mtime=0))
    sets = ("input.part_bytes=1",)
    totals = run(tmp_path / "run", path, sets=sets).totals
    assert totals["read"]["gate.row"] == 3
    assert sum(count for _, _, count in totals["reasons"]) == totals["read"]["documents"] == len(crawl) + 3
    before = shards(tmp_path / "run")
    markers = sorted((tmp_path / "run" / "state" / "read").iterdir())
    for marker in markers:
        os.utime(marker, (1_000_000_000, 1_000_000_000))
    markers[2].unlink()
    assert run(tmp_path / "run", path, sets=sets).changed
    again = [m for m in markers if m.stat().st_mtime != 1_000_000_000]
    assert (again, shards(tmp_path / "run")) == ([markers[2]], before)
    os.utime(path, (1_600_000_000, 1_600_000_000))  # touched, not changed
    run(tmp_path / "run", path, sets=sets)
    assert shards(tmp_path / "run") == before
    samples = pa.concat_tables(pq.read_table(p) for p in (tmp_path / "run" / "audit").glob("*-*.parquet")).to_pylist()
    assert {row["value"] for row in samples if row["reason"] == "row"} <= {"not JSON", "not an object", "empty"}
    assert manifest_head(tmp_path / "run")["totals"] == totals


def test_workers_and_a_language_that_is_given(crawl: Rows, tmp_path: Path) -> None:
    given = [{**row, "lang": "eng_Latn"} for row in crawl if row["lang"] == "ja"]
    (tmp_path / "c.jsonl").write_bytes(lines(given))
    found = run(
        tmp_path / "run", tmp_path / "c.jsonl", sets=("input.fields.lang='lang'", "input.part_bytes=30000"), workers=2
    )
    assert {lang for lang, _, _ in found.totals["reasons"]} == {"en"}
    documents = pa.concat_tables(pq.read_table(p) for p in sorted((tmp_path / "run" / "documents").iterdir()))
    assert documents["warc_offset"].to_pylist() == list(range(len(given)))
    assert [row["url"] for row in given] == documents["url"].to_pylist()
