"""Whatever a server does, the bytes are right or the error says why; and no host is asked faster than it may be."""

import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.common_crawl import KINDS, CommonCrawl, Fault

from seimai.errors import InputError, RunError
from seimai.pipeline.fetch_config import Access
from seimai.pipeline.fetch_http import FetchError, copy_range, look, read_range
from seimai.pipeline.rate import Pace
from seimai.pipeline.run import process_limiter

DATA = bytes(range(256)) * 1200
FAST = Access("me@example.org", ("127.0.0.1",), Pace(2000.0, 1, 0.01, 0.05), 8, 0.3, 2000)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CommonCrawl]:
    process_limiter.cache_clear()
    (tmp_path / "x.warc.gz").write_bytes(DATA)
    with CommonCrawl(tmp_path) as running:
        yield running


def test_a_file_is_looked_at_and_read(server: CommonCrawl) -> None:
    url = server.url + "x.warc.gz"
    remote = look(url, FAST)
    assert remote.size == len(DATA)
    assert read_range(url, 0, len(DATA), FAST, size=len(DATA)) == DATA
    assert read_range(url, 1000, 1001, FAST) == DATA[1000:1001]
    assert [entry.method for entry in server.log] == ["HEAD", "GET", "GET"]
    assert all("(me@example.org)" in entry.agent for entry in server.log)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("start", [0, 70_000])
def test_each_fault_costs_no_byte(server: CommonCrawl, kind: str, start: int) -> None:
    server.faults = [Fault(kind, times=3, after=50_000)]
    assert read_range(server.url + "x.warc.gz", start, 250_000, FAST, size=len(DATA)) == DATA[start:250_000]
    if kind == "reset":  # each goes on where the one before broke
        assert [entry.range for entry in server.log] == [(start + i * 50_000, 250_000) for i in range(4)]


def test_a_server_without_ranges_is_read_in_the_end(server: CommonCrawl) -> None:
    server.faults = [Fault("ignored")]
    assert read_range(server.url + "x.warc.gz", 70_000, 80_000, FAST) == DATA[70_000:80_000]


@pytest.mark.parametrize("kind", ["busy", "reset", "wrong", "elsewhere"])
def test_what_never_ends_is_given_up_in_one_line(server: CommonCrawl, kind: str) -> None:
    server.faults = [Fault(kind)]
    with pytest.raises(FetchError, match=r"x\.warc\.gz: .*8 times at byte 0; try again later"):
        read_range(server.url + "x.warc.gz", 0, 1000, FAST)
    assert len(server.log) == 8


def test_a_missing_file_is_asked_for_once(server: CommonCrawl) -> None:
    with pytest.raises(FileNotFoundError):
        look(server.url + "none", FAST)
    with pytest.raises(FileNotFoundError):
        read_range(server.url + "none", 0, 10, FAST)
    assert len(server.log) == 2


def test_403_stops_everything_with_an_explanation(server: CommonCrawl) -> None:
    server.faults = [Fault("forbidden", times=1)]
    for _ in range(3):
        with pytest.raises(RunError, match=r"403, 127\.0\.0\.1 refuses us.*wait"):
            read_range(server.url + "x.warc.gz", 0, 10, FAST)
    assert len(server.log) == 1


def test_a_file_that_changes_meanwhile_is_no_file(server: CommonCrawl) -> None:
    with pytest.raises(InputError, match="was changed on the server"):
        copy_range(server.url + "x.warc.gz", len, 0, 10, FAST, tag='"other"')


@pytest.mark.parametrize("retry_after", ["1", "Sat, 01 Jan 2000 00:00:00 GMT", "soon"])
def test_retry_after_is_heeded(server: CommonCrawl, retry_after: str) -> None:
    server.faults = [Fault("busy", times=1, retry_after=retry_after)]
    read_range(server.url + "x.warc.gz", 0, 10, FAST)
    first, second = (entry.time_s for entry in server.log)
    assert (second - first >= 1.0) == (retry_after == "1")


def test_a_failure_slows_every_thread_down(server: CommonCrawl) -> None:
    server.faults = [Fault("busy", times=1)]
    access = replace(FAST, pace=Pace(2000.0, 1, 0.6, 0.6))
    threads = [threading.Thread(target=read_range, args=(server.url + "x.warc.gz", 0, 10, access)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failed = next(entry for entry in server.log if entry.fault)
    assert not any(failed.time_s + 0.1 < entry.time_s < failed.time_s + 0.3 for entry in server.log)
    assert len(server.log) == 7


def test_each_step_of_a_redirect_has_its_start_time(server: CommonCrawl) -> None:
    server.faults = [Fault("moved", times=3), Fault("busy", times=1)]
    slow = replace(FAST, pace=Pace(20.0, 1, 0.01, 0.05))
    assert read_range(server.url + "x.warc.gz", 0, 10, slow) == DATA[:10]
    assert [entry.status for entry in server.log] == [302, 302, 302, 503, 206]
    assert process_limiter().answer({"op": "counts"})["requests"] == len(server.log)
    times = [entry.time_s for entry in server.log]
    assert all(later - sooner > 0.5 * slow.pace.spacing_s for sooner, later in itertools.pairwise(times))
    server.faults = [Fault("moved")]
    with pytest.raises(FetchError, match="redirects more than 5 times"):
        read_range(server.url + "x.warc.gz", 0, 10, FAST)


def test_an_unlimited_host_is_asked_again_after_a_rest(server: CommonCrawl) -> None:
    server.faults = [Fault("busy", times=2)]
    assert read_range(server.url + "x.warc.gz", 0, 10, replace(FAST, limited=())) == DATA[:10]
