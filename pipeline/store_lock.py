"""The lock of a run directory in an object store: one object, put where none is, beaten while its run lives."""

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from seimai.errors import RunError

from .object_store import ObjectStore
from .state import STALE_S, holder_lives, process_start

__all__ = ["LOCK", "Lease", "lease", "still_held"]

LOCK = "lock.json"
BEAT_S = 10.0
SETTLE_S = 1.0
"""Pause before a new lock is read again: a store without conditional requests lets two runs write it at once, and the
later one has it. It must be longer than a request takes."""


class Lease:
    """A run directory held; `lost` when somebody else took it over."""

    def __init__(self, store: ObjectStore, owner: str) -> None:
        self.owner, self.lost = owner, False
        self._store, self._stop = store, threading.Event()

    def check(self) -> None:
        """Raise RunError when somebody else was seen to have taken the run over."""
        if self.lost:
            raise _taken(self._store)

    def look(self) -> None:
        """The same, by a look at the store: a driver that slept for a minute has seen nothing yet."""
        still_held(self._store, self.owner)

    def _beat(self, held: dict[str, Any]) -> None:
        while not self._stop.wait(BEAT_S):
            try:
                if _held(self._store).get("owner") != self.owner:
                    self.lost = True
                    return
                held["beats"] += 1
                self._store.write(LOCK, _bytes(held))
            except (RunError, OSError):
                continue  # a lock that grows stale is noticed by who comes, and by `still_held`


@contextmanager
def lease(store: ObjectStore) -> Iterator[Lease]:
    """Hold the run directory; the owner's token is for `still_held`.

    A lock whose owner is gone is taken over: at once on the same machine, else when it was not beaten for STALE_S by
    the store's own clock. Raises RunError when somebody holds it.
    """
    owner = secrets.token_hex(16)
    held: dict[str, Any] = {"owner": owner, "host": socket.gethostname(), "boot": _boot(), "pid": os.getpid()}
    held |= {"started": process_start(os.getpid()), "beats": 0}
    while not store.create(LOCK, _bytes(held)) and _held(store).get("owner") != owner:
        _take_over(store)
    time.sleep(SETTLE_S)
    if (other := _held(store)).get("owner") != owner:
        raise _busy(store, other)
    mine = Lease(store, owner)
    heart = threading.Thread(target=mine._beat, args=(held,), daemon=True)
    heart.start()
    try:
        yield mine
    finally:
        mine._stop.set()
        heart.join()
        with suppress(RunError, OSError):  # what is told is why the run ended; the lock of a dead process is free
            if _held(store).get("owner") == owner:
                store.remove([LOCK])


def still_held(store: ObjectStore, owner: str) -> None:
    """Raise RunError unless the lock names `owner`: a task of a killed driver must not write into its successor."""
    if _held(store).get("owner") != owner:
        raise _taken(store)


def _held(store: ObjectStore) -> dict[str, Any]:
    """What the lock says; empty where there is none, or an unreadable one."""
    try:
        return dict(json.loads(store.read(LOCK)))
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def _take_over(store: ObjectStore) -> None:
    """Remove a dead owner's lock; raise where the owner lives."""
    held = _held(store)
    age_s = _age_s(store)
    if age_s is None:
        return
    if held and _lives(held, age_s):
        raise _busy(store, held, age_s)
    if not held and age_s < STALE_S:
        raise RunError(f"{store.url}: its lock.json is unreadable and {age_s:.0f} s old; try again in {STALE_S:.0f} s")
    if _held(store) == held:
        store.remove([LOCK])


def _lives(held: dict[str, Any], age_s: float) -> bool:
    """Whether an owner lives; machines of a cloud may share a name, so a process is looked up only where it began."""
    return holder_lives(held, age_s) if held.get("boot") == _boot() else age_s < STALE_S


def _boot() -> str:
    """What tells a machine, since it was last started, from others of its name; empty on systems that do not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _age_s(store: ObjectStore) -> float | None:
    """Seconds since the lock was last beaten, between two times of the store's clock; None where it is gone."""
    probe = f".lock.{secrets.token_hex(8)}"
    store.write(probe, b"")
    try:
        beaten = _modified(store, LOCK)
        now = _modified(store, probe)
    finally:
        store.remove([probe])
    if beaten is None:
        return None
    return (now - beaten).total_seconds() if now else 0.0  # who works here has tidied our probe away


def _modified(store: ObjectStore, name: str) -> datetime | None:
    try:
        return store.modified(name)
    except FileNotFoundError:
        return None


def _busy(store: ObjectStore, held: dict[str, Any], age_s: float = 0.0) -> RunError:
    who = f"process {held.get('pid')} on {held.get('host')}, heard of {age_s:.0f} s ago"
    return RunError(
        f"{store.url}: another run works here ({who}); wait for it or use another --out; "
        f"the lock of a machine that died is free after {STALE_S:.0f} s"
    )


def _taken(store: ObjectStore) -> RunError:
    return RunError(f"{store.url}: another run has taken over; this one's results are dropped")


def _bytes(held: dict[str, Any]) -> bytes:
    return json.dumps(held).encode()
