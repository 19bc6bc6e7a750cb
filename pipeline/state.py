"""A run directory's state: markers that say a stage of a part exists, and the lock that keeps a second run out."""

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from seimai.errors import RunError
from seimai.files import atomic, canonical_json, sha256_file, write_atomic

__all__ = [
    "FileEntry",
    "Marker",
    "commit",
    "forget",
    "holder_lives",
    "lock",
    "marked_parts",
    "owned_by",
    "process_start",
    "read_marker",
    "remove_marker",
    "remove_temporaries",
    "still_owned",
]

HEARTBEAT_S = 5.0
STALE_S = 60.0
"""A lock whose owner has not been heard of for so long, and cannot be looked at from here, is free."""

FileEntry = dict[str, Any]
"""path (relative to the run directory), bytes, sha256."""


@dataclass(frozen=True, slots=True)
class Marker:
    """What a finished stage of a part was made from and what it made; written last, it vouches for the files."""

    stage: str
    part: str
    fingerprint: str
    input: dict[str, Any]
    rows: int
    files: list[FileEntry] = field(default_factory=list)
    tally: dict[str, Any] = field(default_factory=dict)
    span: dict[str, Any] = field(default_factory=dict)

    def vouches(self, run: Path, fingerprint: str) -> bool:
        """Whether the stage was made as `fingerprint` says and its files stand with their sizes."""
        return self.fingerprint == fingerprint and all(_size(run / f["path"]) == f["bytes"] for f in self.files)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def _marker_path(run: Path, stage: str, part: str) -> Path:
    return run / "state" / stage / f"{part}.json"


def read_marker(run: Path, stage: str, part: str) -> Marker | None:
    """The marker, or None where there is none (or one that a power cut left unreadable)."""
    try:
        return Marker(**json.loads(_marker_path(run, stage, part).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def remove_marker(run: Path, marker: Marker) -> None:
    """Take a stage of a part away: the marker first, then its files."""
    _marker_path(run, marker.stage, marker.part).unlink(missing_ok=True)
    for entry in marker.files:
        (run / str(entry["path"])).unlink(missing_ok=True)


def forget(run: Path, stage: str, part: str) -> None:
    """Take a stage of a part away, whatever state its marker is in."""
    marker = read_marker(run, stage, part)
    if marker is not None:
        remove_marker(run, marker)
    _marker_path(run, stage, part).unlink(missing_ok=True)


def marked_parts(run: Path, stage: str) -> Iterator[str]:
    """Names of the parts that have a marker, readable or not, in no order: a million of them cost no memory."""
    try:
        with os.scandir(run / "state" / stage) as entries:
            yield from (entry.name.removesuffix(".json") for entry in entries if entry.name.endswith(".json"))
    except FileNotFoundError:
        return


def commit(run: Path, owner: str, marker: Marker, tables: Mapping[str, pa.Table]) -> Marker:
    """Write the tables (run-relative path to table), then the marker that names them; returns the full marker.

    Raises RunError when the run has another owner by now: a task of a killed driver must not write into its successor.
    """
    old = read_marker(run, marker.stage, marker.part)
    entries: list[FileEntry] = []
    for name, table in tables.items():
        with atomic(run / name) as temporary:
            pq.write_table(table, temporary, compression="zstd")
            entry = {"path": name, "bytes": temporary.stat().st_size, "sha256": sha256_file(temporary)}
            still_owned(run, owner)
        entries.append(entry)
    done = Marker(**{**asdict(marker), "files": [*marker.files, *entries]})
    still_owned(run, owner)
    # Not flushed, which would take 1 ms for every marker: its files are, and one that a power cut tears is no marker.
    write_atomic(_marker_path(run, marker.stage, marker.part), canonical_json(asdict(done)), flush=False)
    for entry in old.files if old else []:
        if entry["path"] not in {e["path"] for e in done.files}:
            (run / str(entry["path"])).unlink(missing_ok=True)
    return done


def still_owned(run: Path, owner: str) -> None:
    """Raise RunError unless the run's lock still names `owner`."""
    if not owned_by(run, owner):
        raise RunError(f"{run}: another run has taken over; this task's result is dropped")


def owned_by(run: Path, owner: str) -> bool:
    """Whether the run's lock still names `owner`."""
    try:
        return _owner(run / "lock.json") == owner
    except FileNotFoundError:
        return False


@contextmanager
def lock(run: Path) -> Iterator[str]:
    """Hold the run directory; gives the owner's token that tasks show when they commit.

    A lock whose owner is gone is taken over: at once on the same machine, else when its heartbeat is a minute old.
    Raises RunError when somebody holds it.
    """
    path = run / "lock.json"
    owner = secrets.token_hex(16)
    value = {"owner": owner, "host": socket.gethostname(), "pid": os.getpid(), "started": process_start(os.getpid())}
    mine = path.with_name(f".lock.{owner}.tmp")
    mine.write_text(json.dumps(value), encoding="utf-8")
    try:
        while not _linked(mine, path):
            _take_over(path, run)
    finally:
        mine.unlink(missing_ok=True)
    stop = threading.Event()
    heart = threading.Thread(target=_beat, args=(path, stop), daemon=True)
    heart.start()
    try:
        yield owner
    finally:
        stop.set()
        heart.join()
        if owned_by(run, owner):
            path.unlink(missing_ok=True)


def _linked(mine: Path, path: Path) -> bool:
    """Put the lock in place, with its content, unless one is there."""
    try:
        os.link(mine, path)
    except FileExistsError:
        return False
    return True


def _read_lock(path: Path) -> dict[str, Any]:
    """What a lock says; empty for one that a power cut left unreadable.  Raises FileNotFoundError."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        return {}


def _owner(path: Path) -> str | None:
    return _read_lock(path).get("owner")


def _take_over(path: Path, run: Path) -> None:
    """Remove a dead owner's lock; raise where the owner lives."""
    try:
        age_s = time.time() - path.stat().st_mtime
        held = _read_lock(path)
    except FileNotFoundError:
        return
    # A lock is put in place whole, so no process of ours holds an unreadable one.
    if held and holder_lives(held, age_s):
        raise RunError(
            f"{run}: another run works here (process {held['pid']} on {held['host']}); wait for it or use another --out"
        )
    claimed = path.with_name(f".lock.{secrets.token_hex(8)}.tmp")
    try:
        path.rename(claimed)
    except FileNotFoundError:
        return
    if _owner(claimed) != held.get("owner"):
        _linked(claimed, path)  # a third run was faster between the look and the rename; give its lock back
    claimed.unlink()


def holder_lives(held: dict[str, Any], age_s: float) -> bool:
    """Whether who holds a lock lives: looked up on the same machine, else judged by the age of its last sign."""
    if held["host"] == socket.gethostname():
        return bool(held["started"] != "" and process_start(held["pid"]) == held["started"])
    return age_s < STALE_S


def remove_temporaries(run: Path) -> None:
    """Remove what a killed driver left in the run directory itself; another living driver's claim to the lock stays."""
    for path in run.glob(".*"):
        try:
            age_s = time.time() - path.stat().st_mtime
            held = _read_lock(path) if path.name.startswith(".lock.") else {}
        except FileNotFoundError:
            continue
        claimed = path.name.startswith(".lock.") and (holder_lives(held, age_s) if held else age_s < STALE_S)
        if not claimed and path.is_file():
            path.unlink(missing_ok=True)


def process_start(pid: int) -> str:
    """Start time of a process in clock ticks, so that a reused number is no living owner; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[19]
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return _alive_elsewhere(pid)


def _alive_elsewhere(pid: int) -> str:
    """Systems without /proc: only whether the process lives."""
    if os.path.isdir("/proc/self") or pid <= 0:
        return ""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return ""
    return "alive"


def _beat(path: Path, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_S):
        try:
            os.utime(path)
        except FileNotFoundError:
            return
