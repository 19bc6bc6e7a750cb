"""Runs over a crawl's server: the shards of a local copy whatever the server does, at its pace, within the disk."""

import gzip
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.common_crawl import KINDS, SNAPSHOT, CommonCrawl, Fault, lay_out, most_in

from seimai.config import apply_overrides, parse_config
from seimai.errors import InputError, RunError
from seimai.files import sha256_file
from seimai.pipeline import fetch_run
from seimai.pipeline.job import RunSummary, polish
from seimai.pipeline.manifest import manifest_head, verify
from seimai.pipeline.progress import Silent
from seimai.pipeline.rate import MARGIN
from seimai.pipeline.run import Engine, process_limiter
from seimai.pipeline.settings import RunConfig
from seimai.pipeline.warc import member_start

RECORDS = 72
ARCHIVES = 6


def cut(archive: Path, records: int = RECORDS, archives: int = ARCHIVES) -> list[bytes]:
    """Some records of an archive, as several archives."""
    starts: list[int] = []
    with archive.open("rb") as file:
        at = member_start(file, 0, archive.stat().st_size)
        while at is not None and len(starts) <= records:
            starts.append(at)
            at = member_start(file, at + 1, archive.stat().st_size)
    data, step = archive.read_bytes(), records // archives
    return [data[starts[i] : starts[i + step]] for i in range(0, records, step)]


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory, sample_warc: Path) -> Path:
    """A small snapshot on disk."""
    folder = tmp_path_factory.mktemp("mirror")
    lay_out(folder, cut(sample_warc))
    return folder


@pytest.fixture
def server(mirror: Path) -> Iterator[CommonCrawl]:
    process_limiter.cache_clear()
    with CommonCrawl(mirror) as running:
        yield running


def settings(base: str, *sets: str) -> RunConfig:
    fast = ("fetch.requests_per_s=2000", "fetch.backoff_s=0.01", "fetch.backoff_max_s=0.05", "fetch.timeout_s=0.5")
    common = (
        f'fetch.base="{base}"',
        'input.contact="me@example.org"',
        "input.part_bytes=20000",
        "gates.prefilter=false",
    )
    return parse_config(apply_overrides({}, (*fast, *common, *sets)), RunConfig, "test")


def run(base: str, out: Path, *sets: str, workers: int = 0, name: str = SNAPSHOT) -> RunSummary:
    return polish(settings(base, *sets), out, inputs=[name], engine=Engine(workers=workers))


def shards(out: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in sorted((out / "shards").iterdir())}


@pytest.fixture(scope="session")
def undisturbed(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The shards of a run over the local copy."""
    out = tmp_path_factory.mktemp("local") / "run"
    run(f"{mirror}/", out)
    assert (out / "shards" / "ja-00000.arrow").exists()
    return shards(out)


def test_a_disturbed_run_gives_the_shards_of_a_local_copy(
    server: CommonCrawl, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    """5 % of all requests fail, in every way there is."""
    server.faults = [Fault(kind, share=0.05 / len(KINDS), after=3000, seed=n) for n, kind in enumerate(KINDS)]
    server.faults += [Fault(kind, "warc.gz$", times=1, after=3000) for kind in KINDS]
    out = tmp_path / "run"
    run(server.url, out, workers=2)
    assert shards(out) == undisturbed
    assert {entry.fault for entry in server.log} >= set(KINDS)
    verify(out)
    assert not (out / "work").exists()
    before = len(server.log)
    assert not run(server.url, out).changed
    assert [entry.path for entry in server.log[before:]] == [f"crawl-data/{SNAPSHOT}/warc.paths.gz"] * 2


def test_whole_files_are_asked_for_once(server: CommonCrawl, tmp_path: Path, undisturbed: dict[str, str]) -> None:
    out = tmp_path / "run"
    summary = run(server.url, out)
    assert shards(out) == undisturbed
    archives = [entry for entry in server.log if entry.path.endswith("warc.gz")]
    assert [entry.method for entry in archives].count("GET") == ARCHIVES == len(archives) - ARCHIVES
    assert summary.totals["fetch"] == {"checked": RECORDS, "mended": 0, "wrong": 0}
    assert "me@example.org" not in (out / "manifest.json").read_text()


def test_what_does_not_fit_on_the_disk_is_read_by_ranges(
    server: CommonCrawl, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    run(server.url, tmp_path / "none", "fetch.disk_bytes=0")
    assert shards(tmp_path / "none") == undisturbed
    largest = max(path.stat().st_size for path in server.folder.rglob("*.warc.gz"))
    seen: list[int] = []
    over = threading.Event()
    folder = tmp_path / "copies"

    def watch() -> None:
        while not over.wait(0.01):
            seen.append(sum(path.stat().st_size for path in folder.glob("*.gz") if path.exists()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    run(server.url, tmp_path / "tight", f"fetch.disk_bytes={largest}", f'fetch.folder="{folder}"', workers=1)
    over.set()
    watcher.join()
    assert shards(tmp_path / "tight") == undisturbed
    assert 0 < max(seen) <= largest
    assert len(list(folder.glob("*.gz"))) >= 1  # a named folder keeps what the budget allows


@pytest.mark.parametrize(
    ("sets", "files"),
    [(("fetch.limit=2",), [0, 3]), (("fetch.sample=2", "fetch.seed=3"), None), (("fetch.max_bytes=1",), [])],
)
def test_some_files_are_chosen(
    server: CommonCrawl, tmp_path: Path, sets: tuple[str, ...], files: list[int] | None
) -> None:
    found = [source["key"] for source in manifest_of(server.url, tmp_path / "a", sets)]
    again = [source["key"] for source in manifest_of(f"{server.folder}/", tmp_path / "b", sets)]
    assert found == again
    numbers = [int(re.findall(r"-(\d{5})\.warc", key)[0]) for key in found]
    if files is not None:
        assert sorted(numbers) == files
    else:
        assert len(set(numbers)) == 2


def manifest_of(base: str, out: Path, sets: tuple[str, ...]) -> list[Any]:
    run(base, out, *sets)
    return list(manifest_head(out)["inputs"])


def test_a_missing_archive_is_listed_and_the_rest_is_done(
    server: CommonCrawl, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    lists = tmp_path / "some.paths.gz"
    data = gzip.decompress((server.folder / "crawl-data" / SNAPSHOT / "warc.paths.gz").read_bytes())
    lists.write_bytes(gzip.compress(data + b"crawl-data/CC-MAIN-2024-51/segments/1/warc/none.warc.gz\n"))
    summary = run(server.url, tmp_path / "run", name=str(lists))
    assert len(summary.failed_parts) == 1
    assert "none.warc.gz: no such file" in summary.failed_parts[0]["error"]
    assert shards(tmp_path / "run") == undisturbed


def test_403_ends_the_run_at_once(server: CommonCrawl, tmp_path: Path) -> None:
    server.faults = [Fault("forbidden", "00001.warc.gz", times=1)]
    with pytest.raises(RunError, match="refuses us"):
        run(server.url, tmp_path / "run", workers=1)
    asked = len(server.log)
    time.sleep(0.5)
    assert len(server.log) == asked


@pytest.mark.parametrize(
    "line", ["../x.warc.gz", "/etc/x.warc.gz", "https://e.example/x.warc.gz", "a/b.paths.gz", "a b"]
)
def test_a_list_names_only_archives_below_its_base(tmp_path: Path, line: str) -> None:
    lists = tmp_path / "bad.paths"
    lists.write_text(line + "\n")
    with pytest.raises(InputError, match="is no path below"):
        run(f"{tmp_path}/", tmp_path / "run", name=str(lists))


DRIVER = """
import sys
from pathlib import Path
from seimai.config import load_config
from seimai.pipeline.job import polish
from seimai.pipeline.run import Engine
from seimai.pipeline.settings import RunConfig
if __name__ == "__main__":
    polish(load_config(Path(sys.argv[1]), RunConfig), Path(sys.argv[2]), inputs=[sys.argv[3]], engine=Engine(workers=1))
"""


def test_a_killed_driver_goes_on_at_the_byte_where_it_was(
    server: CommonCrawl, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    from seimai.config import dump_toml

    (tmp_path / "driver.py").write_text(DRIVER)
    (tmp_path / "run.toml").write_text(dump_toml(settings(server.url, "fetch.timeout_s=30", "fetch.connections=1")))
    server.faults = [Fault("stall", "00002.warc.gz", times=1, after=9000)]
    out = tmp_path / "run"
    command = [sys.executable, str(tmp_path / "driver.py"), str(tmp_path / "run.toml"), str(out), SNAPSHOT]
    driver = subprocess.Popen(command, start_new_session=True)
    deadline = time.monotonic() + 45
    while not any(entry.fault == "stall" and entry.sent for entry in server.log) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    (part,) = (out / "work" / "fetch").glob("*.part")
    held = part.stat().st_size
    assert held > 0
    seen = len(server.log)
    run(server.url, out)
    assert shards(out) == undisturbed
    first = next(e for e in server.log[seen:] if e.method == "GET" and e.path.endswith("00002.warc.gz"))
    assert first.range is not None
    assert first.range[0] == held
    again = [entry.path for entry in server.log[seen:] if entry.method == "GET"]
    assert not any(path.endswith(("00000.warc.gz", "00001.warc.gz")) for path in again)


class Bars(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: dict[str, list[str]] = {}
        self.done: dict[str, int] = {}
        self.totals: dict[str, int] = {}

    def begin(self, stage: str, total: int) -> None:
        self.totals[stage] = total

    def advance(self, stage: str, amount: int, *, documents: int = 0, kept: int = 0) -> None:
        self.done[stage] = self.done.get(stage, 0) + amount

    def note(self, stage: str, text: str) -> None:
        self.notes.setdefault(stage, []).append(text)


@pytest.mark.parametrize("ranges", [False, True])
def test_the_bar_has_files_bytes_rate_waits_and_the_time_left(
    server: CommonCrawl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranges: bool
) -> None:
    monkeypatch.setattr(fetch_run, "TICK_S", 0.02)
    sets = ("fetch.requests_per_s=20", *(('fetch.strategy="ranges"', "fetch.max_gap_bytes=500") if ranges else ()))
    bars = Bars()
    config = settings(server.url, *sets)
    polish(config, tmp_path / "run", inputs=[SNAPSHOT], engine=Engine(workers=0), progress=bars)
    number = r"[\d,.]+"
    requests = rf"{number} requests, {number} of 20/s, {number} failed, waited {number} s"
    if ranges:
        assert any(re.fullmatch(requests, text) for text in bars.notes["read"])
        assert bars.done["read"] == bars.totals["read"]  # so that the bar's own time left is right
        return
    wanted = rf"\d of {ARCHIVES} files \({number} min left\), \d on their way, {requests}"
    assert any(re.fullmatch(wanted, text) for text in bars.notes["fetch"]), bars.notes["fetch"]
    assert 0 < bars.done["fetch"] <= sum(path.stat().st_size for path in server.folder.rglob("*.warc.gz")) + 10_000


RATE, BURST = 12.0, 1


def test_a_cluster_that_stands_already_has_one_limit_too(server: CommonCrawl) -> None:
    """The driver and the workers ask the scheduler's limiter."""
    from distributed import LocalCluster

    url = f"{server.url}crawl-data/{SNAPSHOT}/warc.paths.gz"
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        with Engine(scheduler=cluster.scheduler_address) as engine:
            outcomes = list(engine.map(ask_often, [f"{url}#{number}" for number in (1, 2)]))
            assert ask_often(f"{url}#3") == 6
            counted = process_limiter().answer({"op": "counts"})
        assert [outcome.error for outcome in outcomes] == [None, None]
        assert counted["requests"] == len(server.log) == 18
        assert process_limiter().forward is None
    assert most_in(server.log, 1.0) <= 1.5 * RATE * MARGIN + BURST


def ask_often(address: str) -> int:
    """A task that asks a limited host in a loop, and sometimes takes its worker with it."""
    from seimai.pipeline.fetch_config import Access
    from seimai.pipeline.fetch_http import read_range
    from seimai.pipeline.rate import Pace

    url, _, number = address.partition("#")
    access = Access("me@example.org", ("127.0.0.1",), Pace(RATE, BURST, 0.05, 0.2), 8, 5.0, 0)
    marker = Path(os.environ.get("SEIMAI_TEST_DEATH", ""))
    for turn in range(6):
        if number == "5" and turn == 3 and marker.name and not marker.exists():
            from seimai.pipeline.rate import wait_for_start
            from seimai.pipeline.run import limiter_here

            marker.touch()
            wait_for_start(limiter_here(), "127.0.0.1", access.pace)  # a grant that is never used
            os._exit(1)
        assert len(read_range(url, 0, 10, access)) == 10
    return 6


@pytest.mark.parametrize("workers", [1, 4])
def test_no_ten_seconds_hold_more_requests_than_allowed(
    server: CommonCrawl, tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker dies on the way, holding a grant; 2 % of the answers are 503."""
    monkeypatch.setenv("SEIMAI_TEST_DEATH", str(tmp_path / "death") if workers > 1 else "")
    server.faults = [Fault("busy", share=0.02)]
    url = f"{server.url}crawl-data/{SNAPSHOT}/warc.paths.gz"
    with Engine(workers=workers) as engine:
        outcomes = list(engine.map(ask_often, [f"{url}#{number}" for number in range(26)]))
    assert all(outcome.error is None for outcome in outcomes)
    assert (tmp_path / "death").exists() == (workers > 1)
    assert len(server.log) >= 26 * 6
    assert most_in(server.log, 10.0) <= 10 * RATE + BURST
    span = server.log[-1].time_s - server.log[0].time_s
    assert len(server.log) > 0.7 * RATE * MARGIN * span  # polite, not asleep
