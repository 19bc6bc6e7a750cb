"""Runs whose directory is an object store: the files of a local run, byte for byte, whatever fails on the way.

The faults of `test_faults.py` and `test_job.py` against moto's S3 server: killed drivers and workers, a cluster of its
own, refused and lost requests, a full store, torn, cut, changed and lost objects, two drivers.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from tests.common_crawl import SNAPSHOT, CommonCrawl, lay_out
from tests.pipeline.test_store_lock import hold_together
from tests.s3_server import CUT, FULL, KEY, LOST, REFUSED, SECRET, S3Server, s3_server

from seimai.cli import main
from seimai.config import load_config
from seimai.errors import InputError, RunError, VerifyError
from seimai.files import read_json
from seimai.pipeline import object_store, stages, store_lock, store_picture
from seimai.pipeline.inputs import Source
from seimai.pipeline.job import polish
from seimai.pipeline.object_store import ObjectStore
from seimai.pipeline.run import Engine, process_limiter
from seimai.pipeline.run_summary import RunSummary
from seimai.pipeline.settings import RunConfig
from seimai.pipeline.stages import PartTask, work_part
from seimai.pipeline.store_lock import LOCK
from seimai.pipeline.store_picture import Picture
from seimai.pipeline.store_run import polish_at
from seimai.pipeline.store_verify import verify_at

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs" / "web_ja_en.toml"
SETS = ["extract.engine=fast", "input.part_bytes=30000", "output.shard_bytes=10000", "cleaning.host_min_pages=3"]
MEMBERS = 60
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """Short pauses: these stores are on this machine. What the driver changes is told at every task."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_picture, "SETTLE_EVERY_S", 0.0)
        patch.setattr(object_store, "BACKOFF_S", 0.01)
        patch.setattr(object_store, "ATTEMPTS", 3)
        patch.setattr(store_lock, "SETTLE_S", 0.05)
        yield


@pytest.fixture(scope="module")
def archive(sample_warc: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first pages of the sample crawl, in three parts."""
    data = rest = sample_warc.read_bytes()
    for _ in range(MEMBERS):
        member = zlib.decompressobj(31)
        member.decompress(rest)
        rest = member.unused_data
    path = tmp_path_factory.mktemp("archive") / "some.warc.gz"
    path.write_bytes(data[: len(data) - len(rest)])
    return path


@pytest.fixture(scope="module")
def local(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every file of a run on a disk."""
    out = tmp_path_factory.mktemp("local") / "run"
    polish(settings(), out, inputs=[str(archive)], engine=Engine(workers=0))
    files = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert sum(name.startswith("shards/") for name in files) > 2
    assert sum(name.startswith("documents/") for name in files) > 2
    return files


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    """An S3 server of our own."""
    pytest.importorskip("s3fs")
    pytest.importorskip("moto.server")
    import s3fs

    with pytest.MonkeyPatch.context() as patch, s3_server() as served:
        patch.setattr(s3fs.S3FileSystem, "retries", 2)
        yield served


def settings(*sets: str) -> RunConfig:
    return load_config(CONFIG, RunConfig, [*SETS, *sets])


def run(archive: Path, url: str, *sets: str, workers: int = 0, **more: Any) -> RunSummary:
    return polish_at(settings(*sets), url, inputs=[str(archive)], engine=Engine(workers=workers), **more)


def objects(url: str) -> dict[str, bytes]:
    store = ObjectStore(url)
    return {name: store.read(name) for name, _ in store.objects()}


def test_a_run_in_s3_is_the_run_on_a_disk(
    server: S3Server, archive: Path, local: dict[str, bytes], tmp_path: Path
) -> None:
    url, scratch = "s3://seimai/plain", str(tmp_path / "scratch")
    run(archive, url, scratch=scratch, scratch_bytes=100_000)
    held = objects(url)
    assert held == local
    assert not list((tmp_path / "scratch").iterdir())
    for secret in (KEY, SECRET):
        assert all(secret.encode() not in data for data in held.values())

    server.forget()
    again = run(archive, url, scratch=scratch)
    assert not again.changed
    assert {path.rpartition("/")[2].split(".")[0] for path in server.asked_to("PUT", "POST", "DELETE")} == {"lock"}
    assert verify_at(url) == (len(local) - 2, sum(map(len, local.values())) - sum(len(local[n]) for n in MANIFEST))

    name = next(name for name in sorted(local) if name.startswith("documents/"))
    ObjectStore(url).write(name, local[name][:-7])
    with pytest.raises(VerifyError, match=rf"^{url}: changed {name}; "):
        verify_at(url)
    run(archive, url)
    assert objects(url) == local


MANIFEST = ("manifest.json", "manifest.sha256")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A Dask scheduler's address, and its two workers, whose temporary folders differ as those of two machines."""
    told = tmp_path / "scheduler.json"
    where = ["--scheduler-file", str(told), "--host", "127.0.0.1", "--no-dashboard"]
    worker = ["dask_worker", "--nthreads", "1", "--no-nanny", *where]
    processes = []
    with ExitStack() as stack:
        for number, (name, *words) in enumerate([["dask_scheduler", "--port", "0", *where], worker, worker]):
            folder = tmp_path / f"machine-{number}"
            folder.mkdir()
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{name}", *words],
                cwd=folder, env={**os.environ, "TMPDIR": str(folder)},
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.kill)
            processes.append(process)
            deadline = time.monotonic() + 60
            while not (told.exists() and told.stat().st_size) and time.monotonic() < deadline:
                time.sleep(0.05)
        yield str(read_json(told)["address"]), processes[1:]


def test_a_killed_machine_of_a_cluster_without_a_common_disk(
    server: S3Server,
    archive: Path,
    local: dict[str, bytes],
    cluster: tuple[str, list[subprocess.Popen[bytes]]],
    tmp_path: Path,
) -> None:
    """Each worker has a folder of its own, and finds nothing there but what its task names; one dies on the way."""
    url, (address, workers) = "s3://seimai/workers", cluster
    server.forget()

    def kill() -> None:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and not all(list(tmp_path.glob(f"machine-{n}/seimai-*")) for n in (1, 2)):
            time.sleep(0.005)
        workers[0].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    polish_at(settings(), url, inputs=[str(archive)], engine=Engine(scheduler=address))
    killer.join()
    assert workers[0].wait() == -signal.SIGKILL
    assert objects(url) == local
    assert not list(tmp_path.glob("machine-2/seimai-scratch-*/*"))


def test_a_store_under_load(server: S3Server, archive: Path, local: dict[str, bytes]) -> None:
    """One request in twenty is refused, one in fifty done without an answer, one answer in fifty cut."""
    chance = random.Random(7)

    def fails(number: int, method: str, path: str) -> str:
        drawn = chance.random()
        return REFUSED if drawn < 0.05 else LOST if drawn < 0.07 else CUT if drawn < 0.09 and method == "GET" else ""

    server.fails = fails
    run(archive, "s3://seimai/load")
    server.forget()
    assert objects("s3://seimai/load") == local


def test_a_store_that_is_full(server: S3Server, archive: Path, local: dict[str, bytes]) -> None:
    """From some request on nothing can be put; the same command goes on when it can."""
    url, puts = "s3://seimai/full", []

    def fails(number: int, method: str, path: str) -> str:
        puts.extend([path] * (method == "PUT" and LOCK not in path))
        return FULL if method == "PUT" and len(puts) > 45 else ""

    server.fails = fails
    with pytest.raises(RunError, match=rf"^{url}/.* minimum free space.*, 3 times; type the same command again"):
        run(archive, url)
    server.forget()
    assert not any(name in MANIFEST for name in objects(url))
    run(archive, url)
    assert objects(url) == local


def test_a_killed_driver(server: S3Server, archive: Path, local: dict[str, bytes]) -> None:
    """Nobody else works while it lives; its lock is free at once on its own machine, and what it finished stays."""
    url = "s3://seimai/killed"
    words = ["run", str(CONFIG), "--out", url, "--input", str(archive), "--workers", "0"]
    words += [word for each in SETS for word in ("--set", each)]
    server.forget()
    driver = subprocess.Popen([sys.executable, "-m", "seimai", *words], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and not any("/state/signals/" in path for path in server.asked_to("PUT")):
            time.sleep(0.02)
        os.kill(driver.pid, signal.SIGSTOP)
        with pytest.raises(RunError, match=rf"another run works here \(process {driver.pid} on .* s ago\)"):
            run(archive, url)
    finally:
        driver.kill()
        driver.wait()
    done = {name for name in objects(url) if name.startswith("state/read/")}
    assert done
    server.forget()
    run(archive, url)
    put = {path.removeprefix("/seimai/killed/") for path in server.asked_to("PUT")}
    assert not put & done
    assert objects(url) == local


def test_of_many_drivers_one_works(server: S3Server) -> None:
    assert hold_together("s3://seimai/race") == 1


class NoRename(LocalFileSystem):  # type: ignore[misc]
    """A disk without rename, whose writes may break off half-way: `left` says how many still succeed."""

    protocol = "norename"
    left = 10**9
    broken = 0

    def put_file(self, path1: str, path2: str, callback: Any = None, **more: Any) -> None:
        """Write a file, or half of it."""
        NoRename.left -= 1
        data = Path(path1).read_bytes()
        self.makedirs(self._parent(path2), exist_ok=True)
        if NoRename.left >= 0:
            Path(self._strip_protocol(path2)).write_bytes(data)
            return
        Path(self._strip_protocol(path2)).write_bytes(data[: len(data) // 2])
        NoRename.broken += 1
        raise OSError("the line is dead")

    def mv(self, *args: Any, **more: Any) -> None:
        """Nobody may."""
        raise NotImplementedError


@pytest.fixture
def breaking() -> Iterator[type[NoRename]]:
    fsspec.register_implementation("norename", NoRename, clobber=True)
    yield NoRename
    NoRename.left = 10**9


@pytest.mark.parametrize("after", [0, 47])
def test_torn_writes(
    breaking: type[NoRename], archive: Path, local: dict[str, bytes], tmp_path: Path, after: int
) -> None:
    """What is half written has no marker, or is a marker nobody can read."""
    url = f"norename://{tmp_path}/run"
    breaking.left, breaking.broken = after, 0
    with pytest.raises(RunError, match=r"the line is dead, 3 times; type the same command again"):
        run(archive, url)
    assert breaking.broken >= 3
    with pytest.raises(RunError, match=r"not finished"):
        verify_at(url)
    breaking.left = 10**9
    run(archive, url)
    assert objects(url) == local


@pytest.fixture(scope="module")
def finished(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run at a file:// URL."""
    place = tmp_path_factory.mktemp("finished") / "run"
    run(archive, f"file://{place}")
    return place


def test_any_url(archive: Path, local: dict[str, bytes], finished: Path) -> None:
    assert objects(f"file://{finished}") == local
    run(archive, "memory://seimai/run")
    assert objects("memory://seimai/run") == local


def test_only_what_follows_from_a_change_is_done_again(
    archive: Path, local: dict[str, bytes], finished: Path, tmp_path: Path
) -> None:
    place = tmp_path / "run"
    shutil.copytree(finished, place)
    before = {
        path: path.stat().st_mtime_ns for folder in ("documents", "signals") for path in (place / folder).iterdir()
    }
    assert run(archive, f"file://{place}", "quality.ja.min_chars=300").changed
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert objects(f"file://{place}") != local
    run(archive, f"file://{place}")
    assert objects(f"file://{place}") == local


@pytest.mark.parametrize(
    ("kind", "fault"),
    [("documents", "shorter"), ("shards", "gone"), ("state/clusters", "gone"), ("clusters", "shorter")],
)
def test_a_lost_or_cut_object_is_made_again(
    archive: Path, local: dict[str, bytes], finished: Path, tmp_path: Path, kind: str, fault: str
) -> None:
    place = tmp_path / "run"
    shutil.copytree(finished, place)
    victim = sorted((place / kind).iterdir())[0]
    if fault == "gone":
        victim.unlink()
    else:
        victim.write_bytes(victim.read_bytes()[:-7])
    with pytest.raises(VerifyError, match=rf"(missing|changed) {kind}/{victim.name}"):
        verify_at(f"file://{place}")
    run(archive, f"file://{place}")
    assert objects(f"file://{place}") == local


def test_verify_names_what_nobody_listed(finished: Path, tmp_path: Path) -> None:
    place = tmp_path / "run"
    shutil.copytree(finished, place)
    (place / "shards" / "stray").write_bytes(b"")
    with pytest.raises(VerifyError, match=rf"^file://{place}: unlisted shards/stray; remove what is named"):
        verify_at(f"file://{place}")
    (place / "manifest.sha256").write_text("0")
    with pytest.raises(VerifyError, match=r"manifest.sha256 is changed"):
        verify_at(f"file://{place}")


def test_a_changed_object_is_never_read_as_if_it_were_whole(archive: Path, finished: Path, tmp_path: Path) -> None:
    """Same size, other bytes: its marker's digest says so to the task that reads it."""
    place = tmp_path / "run"
    shutil.copytree(finished, place)
    victim = sorted((place / "documents").iterdir())[0]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    with pytest.raises(RunError, match=rf"documents/{victim.name}: is not what its marker says; remove it"):
        run(archive, f"file://{place}", "output.shard_bytes=9000")


def test_the_copies_of_a_worker_are_bounded_and_go(archive: Path, local: dict[str, bytes], tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    run(archive, f"file://{tmp_path}/run", scratch=str(scratch), scratch_bytes=1)
    assert objects(f"file://{tmp_path}/run") == local
    assert not list(scratch.iterdir())


def test_a_driver_that_slept_through_its_lock_touches_nothing(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it removes what it does not know, and before it puts the manifest, it looks who owns the run."""
    store, push = ObjectStore(f"file://{tmp_path}/run"), Picture.push

    def sleep(self: Picture) -> None:
        store.write(LOCK, b'{"owner": "another"}')
        store.write("shards/of-another.arrow", b"")
        push(self)

    monkeypatch.setattr(Picture, "push", sleep)
    with pytest.raises(RunError, match=r"another run has taken over; this one's results are dropped"):
        run(archive, store.url)
    found = objects(store.url)
    assert {LOCK, "shards/of-another.arrow"} <= found.keys()
    assert not found.keys() & set(MANIFEST)


def _gives_up(task: PartTask) -> Any:
    if task.part.start > 0:
        raise ValueError(f"{task.run}/documents: {os.environ['AWS_SECRET_ACCESS_KEY']} does not open it")
    return work_part(task)


def test_a_part_that_fails_is_listed_without_secrets_or_scratch(
    archive: Path, local: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"file://{tmp_path}/run"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with monkeypatch.context() as patch:
        patch.setattr(stages, "work_part", _gives_up)
        patch.setattr("seimai.pipeline.job.work_part", _gives_up)
        summary = run(archive, url)
    errors = {part["error"] for part in summary.failed_parts}
    assert errors == {f"ValueError: {url}/documents: *** does not open it"}
    assert all(SECRET.encode() not in data for data in objects(url).values())
    verify_at(url)
    assert not run(archive, url).failed_parts
    assert objects(url) == local


def test_a_copy_that_was_fetched_is_not_fetched_again(archive: Path, tmp_path: Path) -> None:
    """Archives of the web pass through the store; one that a killed driver left there whole is gone on with."""
    process_limiter.cache_clear()
    (key,) = lay_out(tmp_path / "web", [archive.read_bytes()])
    found: list[dict[str, bytes]] = []
    with CommonCrawl(tmp_path / "web") as web:
        sets = [f'fetch.base="{web.url}"', "fetch.requests_per_s=2000", 'input.contact="me@example.org"']
        for number in range(2):
            out = tmp_path / f"run-{number}"
            if number:
                copy = out / "work" / "fetch" / f"{Source(key, '', 0, '').key_hash}.warc.gz"
                copy.parent.mkdir(parents=True)
                shutil.copy(archive, copy)
                (out / "config.toml").touch()
            web.log.clear()
            polish_at(settings(*sets), f"file://{out}", inputs=[SNAPSHOT], engine=Engine(workers=0))
            asked = [entry.method for entry in web.log if entry.path == key]
            assert asked == (["HEAD"] if number else ["HEAD", "GET"])
            found.append({name: data for name, data in objects(f"file://{out}").items() if "shards/" in name})
    assert len(found[0]) > 2
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "sets",
    [
        ("dedup.scope='after'", "dedup.within='language'", "output.format='parquet'", "cleaning.host_min_pages=0"),
        ("dedup.same_url=true", "dedup.verify=false", "dedup.keep='rehydrate'", "cleaning.corpus='first'"),
    ],
)
def test_other_settings_need_other_files(archive: Path, tmp_path: Path, sets: tuple[str, ...]) -> None:
    polish(settings(*sets), tmp_path / "disk", inputs=[str(archive)], engine=Engine(workers=0))
    run(archive, f"file://{tmp_path}/store", *sets)
    assert objects(f"file://{tmp_path}/store") == objects(f"file://{tmp_path}/disk")


class Gone(Engine):
    """An engine whose cluster is gone at the end."""

    def each_worker(self, function: Callable[[], None]) -> None:
        """As Dask says it."""
        raise RuntimeError("ConnectionPool is closed")


def test_a_cluster_that_is_gone_does_not_hide_how_the_run_ended(archive: Path, finished: Path, tmp_path: Path) -> None:
    assert not polish_at(settings(), f"file://{finished}", inputs=[str(archive)], engine=Gone(workers=0)).changed
    with pytest.raises(InputError, match=r"none.warc.gz: no such file"):
        polish_at(settings(), f"file://{tmp_path}/run", inputs=[f"{tmp_path}/none.warc.gz"], engine=Gone(workers=0))


def test_a_folder_of_something_else_is_left_alone(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "photos" / "2024").mkdir(parents=True)
    (tmp_path / "photos" / "2024" / "a.jpg").write_bytes(b"a")
    with pytest.raises(RunError, match=rf"^file://{tmp_path}/photos: holds files that are no run's; give an empty"):
        run(archive, f"file://{tmp_path}/photos")
    assert objects(f"file://{tmp_path}/photos") == {"2024/a.jpg": b"a"}


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("s3://me:a-secret-word@bucket/run", "s3://…: has a user, key or signature in it; give the address without"),
        ("s3://no-such-bucket/run", "s3://no-such-bucket/run: there is no such bucket; look at the address, or create"),
        ("s3:/seimai/run", "s3:/seimai/run: names no place; write an address as s3://bucket/folder"),
        ("nothing://x/run", "nothing://x/run: Protocol not known: nothing; give a folder, or an address that fsspec"),
        ("without credentials", "access denied (NoCredentialsError: Unable to locate credentials); look at the cred"),
        ("without the extra", "Install s3fs to access S3; pip install 'seimai[s3]' for s3://"),
    ],
)
@pytest.mark.parametrize("command", ["run", "verify"])
def test_a_strangers_mistake_is_one_line(
    server: S3Server, archive: Path, command: str, place: str, said: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    url = place if ":/" in place else "s3://elsewhere/run"
    fsspec.filesystem("s3").clear_instance_cache()
    if place == "without credentials":
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("HOME", "/nonexistent")
    if place == "without the extra":
        monkeypatch.setitem(sys.modules, "s3fs", None)
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    words = ["run", str(CONFIG), "--out", url, "--input", str(archive)] if command == "run" else ["verify", url]
    monkeypatch.setattr(sys, "argv", ["seimai", *words])
    with pytest.raises(SystemExit) as caught:
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert caught.value.code == 1
    assert line.startswith("seimai: ")
    assert said in line
    assert "a-secret-word" not in line
    assert place in line or ":/" not in place or "secret" in place
    fsspec.filesystem("file")
