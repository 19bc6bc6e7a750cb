"""The archive: the same bytes each time, small, and read whole by fastwarc with every digest right."""

import base64
import gzip
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from seimai.sample import articles
from seimai.sample.build import build_warc, main, records, truth_lines
from seimai.sample.pages import pages

SOURCES = Path(articles.__file__).parent


def test_two_builds_have_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a.warc.gz", tmp_path / "b.warc.gz"
    truths = build_warc(first)
    code = "import sys, pathlib; from seimai.sample.build import build_warc; build_warc(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(second)], check=True, env={"PYTHONHASHSEED": "7"})

    assert first.read_bytes() == second.read_bytes()
    assert gzip.decompress(first.read_bytes()) == b"".join(record.to_bytes() for record in records())
    assert truths == [page.truth for page in pages()]


def test_records_read_by_fastwarc(tmp_path: Path) -> None:
    path = tmp_path / "sample.warc.gz"
    build_warc(path)
    bodies = {page.url: page.body for page in pages() if not page.same_as}
    kinds: list[str] = []
    with path.open("rb") as file:
        for record in ArchiveIterator(file, parse_http=False):
            kinds.append(record.headers["WARC-Type"])
            assert record.verify_block_digest(), record.headers["WARC-Target-URI"]
            if record.record_type == WarcRecordType.response:
                block = record.reader.read()
                body = block[block.index(b"\r\n\r\n") + 4 :]
                digest = base64.b32encode(hashlib.sha1(body).digest()).decode()

                assert body == bodies.pop(record.headers["WARC-Target-URI"])
                assert record.headers["WARC-Payload-Digest"] == f"sha1:{digest}"

    assert not bodies
    assert kinds == ["warcinfo", *["request", "response", "metadata"] * (len(pages()) - 1), "request", "revisit"]


def test_every_record_is_one_gzip_member_without_a_time() -> None:
    members = [gzip.compress(record.to_bytes(), 9, mtime=0) for record in records()]
    sizes = [len(member) for member in members]

    assert all(member[4:8] == bytes(4) for member in members)
    assert sum(sizes) < 2_000_000


def test_ids_are_unique_and_times_rise() -> None:
    headers = [dict(record.headers) for record in records()]
    dates = [one["WARC-Date"] for one in headers]

    assert len({one["WARC-Record-ID"] for one in headers}) == len(headers)
    assert dates == sorted(dates)
    assert len(set(dates)) == len(pages()) + 1


def test_the_revisit_names_an_earlier_record_with_the_same_payload() -> None:
    headers = [dict(record.headers) for record in records()]
    (revisit,) = [one for one in headers if one["WARC-Type"] == "revisit"]
    (original,) = [
        one
        for one in headers
        if one["WARC-Type"] == "response" and one["WARC-Target-URI"] == revisit["WARC-Refers-To-Target-URI"]
    ]

    assert revisit["WARC-Refers-To-Date"] == original["WARC-Date"] < revisit["WARC-Date"]
    assert revisit["WARC-Payload-Digest"] == original["WARC-Payload-Digest"]


def test_the_cut_page_says_so() -> None:
    headers = [dict(record.headers) for record in records()]

    assert [one["WARC-Truncated"] for one in headers if "WARC-Truncated" in one] == ["length"]


def test_the_sources_stay_small() -> None:
    sizes = [file.stat().st_size for file in SOURCES.iterdir() if file.is_file()]

    assert sum(sizes) < 1_000_000


def test_the_command_writes_archive_and_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sample.warc.gz"

    assert main([str(path)]) == 0
    lines = (tmp_path / "truth.jsonl").read_text(encoding="utf-8")
    assert lines == truth_lines([page.truth for page in pages()])
    assert {json.loads(line)["expected"] for line in lines.splitlines()} == {"keep", "drop", "merge"}
    assert f"{len(pages())} pages" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["out.warc"], ["a.warc.gz", "b.warc.gz"]])
def test_wrong_arguments_get_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("usage:")
