"""The lock of a run in a store: who may take it over, who may not, and what is noticed when it is lost."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from seimai.errors import RunError
from seimai.pipeline import store_lock
from seimai.pipeline.object_store import ObjectStore
from seimai.pipeline.store_lock import LOCK, lease, still_held

ELSEWHERE = {"owner": "x", "host": "another-machine", "boot": "b", "pid": 1, "started": "1", "beats": 3}


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    """Short pauses: these stores are on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_lock, "SETTLE_S", 0.02)
        yield


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(f"file://{tmp_path}/run")


def put(store: ObjectStore, tmp_path: Path, held: dict[str, Any] | bytes, age_s: float = 0.0) -> None:
    store.write(LOCK, held if isinstance(held, bytes) else json.dumps(held).encode())
    then = time.time() - age_s
    os.utime(tmp_path / "run" / LOCK, (then, then))


def test_a_lock_has_one_owner_and_goes_with_it(store: ObjectStore) -> None:
    with lease(store) as mine:
        assert json.loads(store.read(LOCK))["owner"] == mine.owner
        still_held(store, mine.owner)
        with pytest.raises(RunError, match=rf"another run works here \(process {os.getpid()} on "), lease(store):
            pass
        mine.check()
    assert not list(store.objects())


@pytest.mark.parametrize(
    ("held", "age_s", "free"),
    [
        (ELSEWHERE, 0, False),
        (ELSEWHERE, 50, False),
        (ELSEWHERE, 70, True),
        # A machine of another start, or another one of the same name: its processes cannot be looked up here.
        ({**ELSEWHERE, "host": socket.gethostname()}, 0, False),
        ({**ELSEWHERE, "host": socket.gethostname()}, 70, True),
        # A process of this machine that is gone.
        ({**ELSEWHERE, "host": socket.gethostname(), "boot": store_lock._boot(), "pid": 2**22 + 1}, 0, True),
        (b"", 0, False),
        (b"", 70, True),
        (b'{"owner"', 70, True),
    ],
)
def test_who_may_be_replaced(
    store: ObjectStore, tmp_path: Path, held: dict[str, Any] | bytes, age_s: float, free: bool
) -> None:
    put(store, tmp_path, held, age_s)
    if not free:
        with (
            pytest.raises(RunError, match=r"another run works here|is unreadable and 0 s old; try again"),
            lease(store),
        ):
            pass
        return
    with lease(store) as mine:
        still_held(store, mine.owner)
    assert not list(store.objects())


def test_an_owner_who_tidies_the_askers_probe_away_lives(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its end a run removes what it does not know, so also what somebody puts to ask for the time."""
    put(store, tmp_path, ELSEWHERE, age_s=3600)

    def modified(self: ObjectStore, name: str) -> datetime:
        if name != LOCK:
            raise FileNotFoundError(name)
        return datetime(2026, 1, 1)

    monkeypatch.setattr(ObjectStore, "modified", modified)
    with pytest.raises(RunError, match=r"another run works here"), lease(store):
        pass


def test_an_answer_lost_on_the_way_is_no_other_run(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ObjectStore.create

    def create(self: ObjectStore, name: str, data: bytes) -> bool:
        real(self, name, data)
        return False

    monkeypatch.setattr(ObjectStore, "create", create)
    with lease(store) as mine:
        still_held(store, mine.owner)


def test_the_heart_beats_and_notices_a_loss(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_lock, "BEAT_S", 0.02)
    with lease(store) as mine:
        deadline = time.monotonic() + 10
        while json.loads(store.read(LOCK) or b'{"beats": 0}')["beats"] < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        mine.check()
        store.write(LOCK, json.dumps({"owner": "thief"}).encode())
        while not mine.lost and time.monotonic() < deadline:
            store.write(LOCK, json.dumps({"owner": "thief"}).encode())
            time.sleep(0.01)
        with pytest.raises(RunError, match=r"another run has taken over"):
            mine.check()
        with pytest.raises(RunError, match=r"another run has taken over"):
            still_held(store, mine.owner)
    assert json.loads(store.read(LOCK)) == {"owner": "thief"}


def test_a_store_that_is_gone_at_the_end_does_not_hide_why(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(self: ObjectStore, name: str) -> bytes:
        raise RunError("the store is gone")

    def work() -> None:
        with lease(store):
            monkeypatch.setattr(ObjectStore, "read", read)
            raise RunError("the first reason")

    with pytest.raises(RunError, match=r"the first reason"):
        work()


def test_of_many_drivers_one_works(store: ObjectStore) -> None:
    assert hold_together(store.url) == 1


def hold_together(url: str, drivers: int = 6) -> int:
    """How many of some drivers that begin at once hold a run."""
    inside, got = threading.Semaphore(0), []

    def drive() -> None:
        try:
            with lease(ObjectStore(url)):
                got.append("held")
                inside.acquire(timeout=20)
        except RunError as error:
            got.append(str(error))

    threads = [threading.Thread(target=drive) for _ in range(drivers)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while len(got) < drivers and time.monotonic() < deadline:
        time.sleep(0.01)
    for _ in threads:
        inside.release()
    for thread in threads:
        thread.join()
    assert all("another run works here" in line for line in got if line != "held")
    return got.count("held")
