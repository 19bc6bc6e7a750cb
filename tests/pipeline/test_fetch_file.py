"""A copy is whole and checked: a byte that came wrong is mended by itself, one that is wrong at the origin counted."""

import base64
import fcntl
import hashlib
import io
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.common_crawl import CommonCrawl, Fault

from seimai.pipeline import fetch_file as fetch_file_module
from seimai.pipeline.fetch_config import Access
from seimai.pipeline.fetch_file import FetchTask, _check, fetch_file
from seimai.pipeline.fetch_http import FetchError, look
from seimai.pipeline.rate import Pace
from seimai.pipeline.run import process_limiter
from seimai.pipeline.warc import Record, SliceReader

Make = Callable[..., bytes]
FAST = Access("me@example.org", ("127.0.0.1",), Pace(2000.0, 1, 0.01, 0.05), 8, 0.5, 2000)


def archive(warc_record: Make, warc_archive: Make, http_page: Make, wrong: int = -1) -> bytes:
    records = []
    for number in range(10):
        page = http_page(number, f"text {number} " * 60)
        sha1 = base64.b32encode(hashlib.sha1(page.partition(b"\r\n\r\n")[2]).digest()).decode()
        stated = "A" * 32 if number == wrong else sha1
        records.append(warc_record(number, page, headers=[f"WARC-Payload-Digest: sha1:{stated}"]))
    return warc_archive(records, 0)


def fetched(server: CommonCrawl, tmp_path: Path, name: str) -> tuple[int, int, int]:
    remote = look(server.url + name, FAST)
    copy = tmp_path / "copies" / "0.warc.gz"
    found = fetch_file(FetchTask(server.url + name, remote.size, remote.tag, str(copy), FAST))
    assert copy.read_bytes() == (server.folder / name).read_bytes()
    assert [path.name for path in copy.parent.iterdir()] == ["0.warc.gz"]
    return found.checked, found.mended, found.wrong


@pytest.mark.parametrize("place", [0.001, 0.12, 0.5, 0.99])
def test_a_byte_that_came_wrong_is_mended(
    tmp_path: Path, warc_record: Make, warc_archive: Make, http_page: Make, place: float
) -> None:
    data = archive(warc_record, warc_archive, http_page)
    (tmp_path / "x.warc.gz").write_bytes(data)
    process_limiter.cache_clear()
    with CommonCrawl(tmp_path) as server:
        server.faults = [Fault("flip", times=1, after=20 + int(place * (len(data) - 20)))]
        assert fetched(server, tmp_path, "x.warc.gz")[1:] == (1, 0)
        gets = [entry for entry in server.log if entry.method == "GET"]
    assert len(gets) == 2
    assert gets[1].sent < len(data) / 2


@given(st.floats(0, 0.9999))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flip_anywhere_is_noticed(
    tmp_path: Path, warc_record: Make, warc_archive: Make, http_page: Make, place: float
) -> None:
    """But in what changes nothing: a text flag, time, level and system of a member's head (the next test)."""
    data = bytearray(archive(warc_record, warc_archive, http_page))
    at = int(place * len(data))
    (tmp_path / "origin").write_bytes(data)
    starts = [i for i in range(len(data)) if data.startswith(b"\x1f\x8b\x08", i)]
    if any(start + 3 <= at < start + 10 for start in starts):
        return
    data[at] ^= 255
    (tmp_path / "copy").write_bytes(data)
    with (tmp_path / "copy").open("r+b") as file:
        found = _check(file, FetchTask(f"file://{tmp_path}/origin", len(data), "", "", FAST))
    assert found.mended == 1
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "origin").read_bytes()


@pytest.mark.parametrize("bit", range(80))
def test_a_flip_in_a_members_head_is_noticed_or_changes_nothing(
    tmp_path: Path, warc_record: Make, warc_archive: Make, http_page: Make, bit: int
) -> None:
    data = bytearray(archive(warc_record, warc_archive, http_page))
    starts = [i for i in range(len(data)) if data.startswith(b"\x1f\x8b\x08", i)]
    before = _records(bytes(data))
    (tmp_path / "origin").write_bytes(data)
    at = starts[4] + bit // 8
    data[at] ^= 1 << bit % 8
    (tmp_path / "copy").write_bytes(data)
    with (tmp_path / "copy").open("r+b") as file:
        found = _check(file, FetchTask(f"file://{tmp_path}/origin", len(data), "", "", FAST))
    assert _records((tmp_path / "copy").read_bytes()) == before
    harmless = bit // 8 > 3 or bit == 24  # time, level, system; the flag that says the data may be text
    assert found.mended == (0 if harmless else 1)


def _records(data: bytes) -> list[Record]:
    reader = SliceReader(io.BytesIO(data), start=0, stop=len(data), size=len(data), begin=0, max_record_bytes=1 << 20)
    records = list(reader)
    assert not reader.faults
    assert reader.skipped_bytes == 0
    return records


def test_a_digest_that_is_wrong_at_the_origin_is_counted(
    tmp_path: Path, warc_record: Make, warc_archive: Make, http_page: Make
) -> None:
    (tmp_path / "x.warc.gz").write_bytes(archive(warc_record, warc_archive, http_page, wrong=4))
    process_limiter.cache_clear()
    with CommonCrawl(tmp_path) as server:
        assert fetched(server, tmp_path, "x.warc.gz") == (10, 0, 1)


def test_what_is_no_archive_is_no_copy(tmp_path: Path) -> None:
    (tmp_path / "x.warc.gz").write_bytes(b"<html>not found</html>")
    process_limiter.cache_clear()
    with CommonCrawl(tmp_path) as server, pytest.raises(FetchError, match="is not a WARC or WET archive"):
        fetched(server, tmp_path, "x.warc.gz")


@pytest.mark.parametrize("finishes", [False, True])
def test_a_copy_that_another_task_still_writes_is_waited_for(
    tmp_path: Path, warc_record: Make, warc_archive: Make, http_page: Make, finishes: bool
) -> None:
    """A worker of a killed driver lives on for a moment: it may die there, or finish the copy."""
    (tmp_path / "x.warc.gz").write_bytes(archive(warc_record, warc_archive, http_page))
    part = tmp_path / "copies" / "0.warc.part"
    part.parent.mkdir()
    other = part.open("wb")
    fcntl.flock(other, fcntl.LOCK_EX)

    def leave() -> None:
        if finishes:
            other.write((tmp_path / "x.warc.gz").read_bytes())
            other.flush()
            part.rename(part.with_suffix(".gz"))
        other.close()

    process_limiter.cache_clear()
    with CommonCrawl(tmp_path) as server:
        threading.Timer(0.5, leave).start()
        fetched(server, tmp_path, "x.warc.gz")
        assert len([entry for entry in server.log if entry.method == "GET"]) == (0 if finishes else 1)


def test_a_copy_that_is_held_for_ever_is_one_line(
    tmp_path: Path, warc_record: Make, warc_archive: Make, http_page: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.warc.gz").write_bytes(archive(warc_record, warc_archive, http_page))
    monkeypatch.setattr(fetch_file_module, "HELD_WAIT_S", 0.3)
    process_limiter.cache_clear()
    (tmp_path / "copies").mkdir()
    with CommonCrawl(tmp_path) as server, (tmp_path / "copies" / "0.warc.part").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(FetchError, match="another process writes it"):
            fetched(server, tmp_path, "x.warc.gz")
