"""Runs whose directory is an object store: the files of a local run, byte for byte, whatever fails on the way."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from tests.s3_server import KEY, SECRET, S3Server, s3_server

from seimai.config import load_config
from seimai.errors import RunError, VerifyError
from seimai.pipeline import object_store, store_lock
from seimai.pipeline.credentials import without_secrets
from seimai.pipeline.job import polish
from seimai.pipeline.object_store import ObjectStore
from seimai.pipeline.run import Engine
from seimai.pipeline.run_summary import RunSummary
from seimai.pipeline.settings import RunConfig
from seimai.pipeline.store_lock import LOCK, lease
from seimai.pipeline.store_run import polish_at
from seimai.pipeline.store_verify import verify_at

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs" / "web_ja_en.toml"
SETS = ["extract.engine=fast", "input.part_bytes=30000", "output.shard_bytes=10000", "cleaning.host_min_pages=3"]
MEMBERS = 60
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """Short pauses: these stores are on this machine."""
    with pytest.MonkeyPatch.context() as patch:
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


MANIFEST = ("manifest.json", "manifest.sha256")


def test_workers_without_a_common_disk(server: S3Server, archive: Path, local: dict[str, bytes]) -> None:
    """Each worker process has a folder of its own and finds nothing there but what its task names."""
    url = "s3://seimai/workers"
    run(archive, url, workers=2)
    assert objects(url) == local
    # Other rules: only what follows from them is done again, from the objects alone.
    server.forget()
    changed = run(archive, url, "quality.ja.min_chars=300", workers=0)
    assert changed.changed
    assert not [path for path in server.asked_to("PUT") if "/documents/" in path or "/signals/" in path]
    run(archive, url)
    assert objects(url) == local


def test_a_store_under_load(server: S3Server, archive: Path, local: dict[str, bytes]) -> None:
    """One request in twenty is refused: the retries of two libraries are enough."""
    chance = random.Random(7)
    server.fails = lambda number, method, path: chance.random() < 0.05
    run(archive, "s3://seimai/load")
    server.forget()
    assert objects("s3://seimai/load") == local


@pytest.mark.parametrize("after", [5, 45])
def test_a_store_that_refuses_to_write(server: S3Server, archive: Path, local: dict[str, bytes], after: int) -> None:
    """From some request on nothing can be put; the same command goes on when it can."""
    url, puts = f"s3://seimai/refused-{after}", []

    def fails(number: int, method: str, path: str) -> bool:
        puts.extend([path] * (method == "PUT" and LOCK not in path))
        return method == "PUT" and len(puts) > after

    server.fails = fails
    with pytest.raises(RunError, match=r"type the same command again"):
        run(archive, url)
    server.forget()
    assert not any(name in MANIFEST for name in objects(url))
    run(archive, url)
    assert objects(url) == local


def test_a_killed_driver(server: S3Server, archive: Path, local: dict[str, bytes]) -> None:
    """Its lock is free at once on its own machine, and what it had finished is not done again."""
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


@pytest.mark.parametrize("after", [0, 29, 47])
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


def test_the_lock_of_another_machine_is_free_when_it_falls_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ObjectStore(f"file://{tmp_path}/run")
    held = {"owner": "x", "host": "another-machine", "pid": 1, "started": "1", "beats": 3}
    store.write(LOCK, json.dumps(held).encode())
    with (
        pytest.raises(RunError, match=r"process 1 on another-machine, heard of 0 s ago.*free after 60 s"),
        lease(store),
    ):
        pass
    hour_ago = time.time() - 3600
    os.utime(tmp_path / "run" / LOCK, (hour_ago, hour_ago))
    with lease(store) as mine:
        assert json.loads(store.read(LOCK))["owner"] == mine.owner
        mine.check()
    assert not list(store.objects())


def test_a_lost_lock_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_lock, "BEAT_S", 0.02)
    store = ObjectStore(f"file://{tmp_path}/run")
    with lease(store) as mine:
        store.write(LOCK, json.dumps({"owner": "thief"}).encode())
        deadline = time.monotonic() + 10
        while not mine.lost and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(RunError, match=r"another run has taken over"):
            mine.check()
        with pytest.raises(RunError, match=r"another run has taken over"):
            store_lock.still_held(store, mine.owner)
    assert json.loads(store.read(LOCK)) == {"owner": "thief"}


@pytest.mark.parametrize("url", ["s3://seimai/race", "file://{}/run"])
def test_of_many_drivers_one_works(server: S3Server, tmp_path: Path, url: str) -> None:
    """With conditional requests (s3) and without."""
    inside, got = threading.Semaphore(0), []

    def drive() -> None:
        try:
            with lease(ObjectStore(url.format(tmp_path))):
                got.append("held")
                inside.acquire(timeout=20)
        except RunError as error:
            got.append(str(error))

    threads = [threading.Thread(target=drive) for _ in range(6)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while len(got) < 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    for _ in threads:
        inside.release()
    for thread in threads:
        thread.join()
    assert got.count("held") == 1
    assert all("another run works here" in line for line in got if line != "held")


def test_credentials_are_never_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something-secret")
    assert without_secrets("403 for something-secret, sorry") == "403 for ***, sorry"
    with pytest.raises(RunError, match=r"credentials in the environment") as caught:
        ObjectStore("s3://me:something-secret@bucket/run")
    assert "something-secret" not in str(caught.value)


def test_what_is_no_store(archive: Path) -> None:
    with pytest.raises(RunError, match=r"nothing://x/run: .*nothing"):
        run(archive, "nothing://x/run")


def test_a_bucket_that_is_not_there(server: S3Server, archive: Path) -> None:
    with pytest.raises(RunError, match=r"s3://no-such-bucket/run: .*create the bucket first"):
        run(archive, "s3://no-such-bucket/run")
