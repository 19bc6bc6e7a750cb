"""The driver's picture of a run in an object store: a folder on its disk that says what the store has.

The picture has the run's small files (markers, lists, config) and an empty file of the right size for every other
object, so that the engine decides what is missing as it does on a disk. What the driver itself writes or removes there
stands in the store before tasks begin that rely on it, and the manifest is put last of all.
"""

import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from glob import has_magic
from pathlib import Path
from typing import Any, TypeVar

from seimai.errors import RunError
from seimai.files import write_atomic

from .finish import DATA_STAGES
from .manifest import NAMES
from .object_store import ObjectStore, side_by_side
from .run import Needs
from .state import FileEntry, read_marker
from .store_lock import LOCK, Lease
from .store_task import INLINE_BYTES, Call, Done, Given, pack, stand_in, unpack

__all__ = ["Picture"]

T = TypeVar("T")
R = TypeVar("R")

SETTLE_EVERY_S = 30.0
_IN_STORE_NS, _BOTH_NS = 0, 1_000_000_000
"""Modification times in the picture: of a file that only stands for an object, and of one that equals its object."""
_SETTLED = ("", "state", "state/fetch", "state/plan")
"""Folders whose own files the driver writes while tasks run."""
_READ = ("config.toml", "canaries.json", *NAMES)
"""Files beside the markers that the driver reads."""
_SAMPLES = "audit/dropped.parquet"
"""The one file of the driver's that vouches for itself by being there."""


class Picture:
    """A run in a store as its driver sees it; `scratch` and `scratch_bytes` are what workers get."""

    def __init__(self, store: ObjectStore, root: Path, held: Lease, scratch: str, scratch_bytes: int) -> None:
        self.root = root
        self._store, self._held, self._scratch, self._max_bytes = store, held, scratch, scratch_bytes
        self._session = secrets.token_hex(8)
        self._lock = threading.RLock()
        self._settled_s = -SETTLE_EVERY_S
        self._work: set[str] = set()
        """What lies below `work/` in the store, as far as its tasks have ended."""
        self._vouched = False
        """Whether the store has a manifest."""

    def pull(self) -> None:
        """Make the picture from what the store has."""
        self.root.mkdir()
        for _ in side_by_side(self._pull, self._store.objects()):
            pass
        self._vouched = any((self.root / name).exists() for name in NAMES)
        samples = self.root / _SAMPLES
        if samples.exists() and not self._vouched:
            self.bring([samples])
            if not samples.read_bytes().endswith(b"PAR1"):
                samples.unlink()  # a store without rename tore it

    def _pull(self, found: tuple[str, int]) -> None:
        name, n_bytes = found
        path = self.root / name
        if name == LOCK or path.name.startswith("."):
            return
        if name.startswith("state/") or name in _READ:
            self._download(name, path)
        else:
            self._stand_in(name, n_bytes)

    def _stand_in(self, name: str, n_bytes: int) -> None:
        """An empty file for one that the store has."""
        path = self.root / name
        path.unlink(missing_ok=True)
        stand_in(path, n_bytes)
        os.utime(path, ns=(_IN_STORE_NS, _IN_STORE_NS))
        if name.startswith("work/"):
            self._work.add(name)

    def _write(self, name: str, content: bytes) -> None:
        """A file that equals its object."""
        path = self.root / name
        write_atomic(path, content, flush=False)
        os.utime(path, ns=(_BOTH_NS, _BOTH_NS))
        if name.startswith("work/"):
            self._work.add(name)

    def _download(self, name: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        self._store.get(name, temporary)
        os.utime(temporary, ns=(_BOTH_NS, _BOTH_NS))
        temporary.replace(path)

    def bring(self, paths: Iterable[Path]) -> None:
        """Make files readable that only the store has."""
        for path in self._found(paths):
            if path.stat().st_mtime_ns == _IN_STORE_NS:
                self._download(self._name(path), path)

    def call(self, function: Callable[[T], R], item: T, needs: Needs) -> Call:
        """A task with the files it reads."""
        self.settle()
        with self._lock:
            given = {path: self._given(path) for path in self._found(needs.files)}
            for path in self._found(needs.sizes):
                given.setdefault(path, Given(self._name(path), path.stat().st_size, whole=False))
            given[self.root / LOCK] = self._given(self.root / LOCK)
        return Call(
            self._store.url,
            self._held.owner,
            self._session,
            self._scratch,
            self._max_bytes,
            pack((function, item), self.root),
            tuple(given.values()),
        )

    def take(self, done: Done) -> Any:
        """Enter what a task did into the picture; returns its result."""
        with self._lock:
            for name in done.gone:
                (self.root / name).unlink(missing_ok=True)
            for made in done.made:
                if made.content is None:
                    self._stand_in(made.name, made.n_bytes)
                else:
                    self._forget_former(self.root / made.name, made.content)
                    self._write(made.name, made.content)
        return unpack(done.result, self.root)

    def settle(self) -> None:
        """Let the store have what the driver changed: the manifest goes at once, the rest some times a minute."""
        self._held.check()
        with self._lock:
            if self._vouched and not any((self.root / name).exists() for name in NAMES):
                self._remove(reversed(NAMES))
                self._vouched = False
                self._settled_s = -SETTLE_EVERY_S
            if time.monotonic() - self._settled_s < SETTLE_EVERY_S:
                return
            for folder in _SETTLED:
                self._put_changed(f"{folder}/" if folder else "", _entries(self.root / folder)[0])
            gone = [name for name in self._work if not (self.root / name).exists()]
            self._remove(gone)
            self._work.difference_update(gone)
            self._settled_s = time.monotonic()

    def begin(self) -> None:
        """A new step begins: what is changed by now is settled before its first task."""
        self._settled_s = -SETTLE_EVERY_S

    def push(self) -> None:
        """Make the store what the picture is, manifest last.  Raises RunError for an object lost meanwhile."""
        with self._lock:
            self._remove(reversed(NAMES))
            self._vouched = False
            waiting = [""]
            while waiting:
                folder = waiting.pop()
                prefix = f"{folder}/" if folder else ""
                waiting += [prefix + name for name in self._push(folder, prefix)]
            self._held.look()
            for name in NAMES:
                self._store.put(self.root / name, name)

    def _push(self, folder: str, prefix: str) -> list[str]:
        """Make a folder what it is in the picture; returns the folders in it."""
        there, far = self._store.folder(folder)
        here, near = _entries(self.root / folder)
        changed = self._put_changed(prefix, here)
        gone = [name for name in there if name not in here and prefix + name not in (*NAMES, LOCK)]
        self._remove(prefix + name for name in gone)
        for name, n_bytes in here.items():
            if name not in changed and there.get(name) != n_bytes:
                raise RunError(f"{self._store.url}/{prefix}{name}: was changed or lost; type the same command again")
        return sorted({*far, *near})

    def _put_changed(self, prefix: str, names: Iterable[str]) -> set[str]:
        """Put the files of a folder that the driver wrote since they were last put."""
        times = {name: (self.root / prefix / name).stat().st_mtime_ns for name in names}
        changed = {name: time_ns for name, time_ns in times.items() if time_ns not in (_IN_STORE_NS, _BOTH_NS)}
        if changed:
            self._held.look()
        for _ in side_by_side(lambda name: self._store.put(self.root / prefix / name, prefix + name), sorted(changed)):
            pass
        for name, time_ns in changed.items():
            path = self.root / prefix / name
            if path.stat().st_mtime_ns == time_ns:  # else it was written again meanwhile
                os.utime(path, ns=(_BOTH_NS, _BOTH_NS))
        return set(changed)

    def _remove(self, names: Iterable[str]) -> None:
        """Remove objects, if this run is still ours."""
        gone = list(names)
        if gone:
            self._held.look()
            self._store.remove(gone)

    def _given(self, path: Path) -> Given:
        """A file of the picture, as a task gets it."""
        name, state = self._name(path), path.stat()
        large = state.st_size > INLINE_BYTES and not name.startswith("state/")
        if state.st_mtime_ns == _IN_STORE_NS or (state.st_mtime_ns == _BOTH_NS and large):
            marked = self._marked(name)
            # One cut short is made again: the task has to see its size only.
            whole = marked is None or marked["bytes"] == state.st_size
            return Given(name, state.st_size, marked["sha256"] if marked else "", whole=whole)
        return Given(name, state.st_size, content=path.read_bytes())

    def _marked(self, name: str) -> FileEntry | None:
        """The entry of a data file in its marker; None for what has no marker."""
        folder, _, last = name.rpartition("/")
        stage = DATA_STAGES.get(folder)
        marker = read_marker(self.root, stage, last.rpartition(".")[0]) if stage else None
        return next((entry for entry in marker.files if entry["path"] == name), None) if marker else None

    def _forget_former(self, path: Path, content: bytes) -> None:
        """Remove from the picture what a marker named that the new one does not."""
        if path.parent.parent != self.root / "state" or not path.exists():
            return
        former = read_marker(self.root, path.parent.name, path.stem)
        named = {entry["path"] for entry in json.loads(content)["files"]}
        for entry in former.files if former else ():
            if entry["path"] not in named:
                (self.root / str(entry["path"])).unlink(missing_ok=True)

    def _found(self, patterns: Iterable[Path]) -> Iterator[Path]:
        """The files of the run among patterns, whose last names may have wildcards; sorted within each."""
        for pattern in patterns:
            if pattern.is_relative_to(self.root):
                found = pattern.parent.glob(pattern.name) if has_magic(pattern.name) else [pattern]
                yield from sorted(path for path in found if path.is_file())

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def _entries(folder: Path) -> tuple[dict[str, int], list[str]]:
    """A folder's files with their sizes and its folders, without hidden ones; nothing where it is none."""
    files: dict[str, int] = {}
    folders = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    folders.append(entry.name)
                elif entry.name not in (*NAMES, LOCK):
                    files[entry.name] = entry.stat().st_size
    except FileNotFoundError:
        pass
    return files, folders
