"""Scratch of a process that works on a run in an object store: its own folder, copies of objects within a budget."""

import json
import os
import secrets
import shutil
import socket
import tempfile
import threading
import weakref
from collections import OrderedDict
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from seimai.errors import RunError
from seimai.files import sha256_file

from .object_store import ObjectStore, StoreError
from .state import holder_lives, process_start

__all__ = ["Copies", "copies_of", "forget_copies", "new_scratch", "sweep"]

_PREFIX = "seimai-scratch-"
_OWNER = ".owner.json"
READS = 2
"""How often an object is read that is not what its marker says: it may have been cut on the way."""


def new_scratch(folder: str) -> Path:
    """A new folder for this process in `folder` (empty: the system's for temporary files).

    What a killed process of this machine left there is removed.  Raises RunError where nothing can be written.
    """
    place = Path(folder or tempfile.gettempdir()).absolute()
    try:
        place.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        made = place / f"{_PREFIX}{secrets.token_hex(8)}"
        made.mkdir()
        held = {"host": socket.gethostname(), "pid": os.getpid(), "started": process_start(os.getpid())}
        (made / _OWNER).write_text(json.dumps(held), encoding="utf-8")
    except OSError as error:
        raise RunError(f"{place}: cannot be written ({error.strerror}); give another --scratch") from None
    return made


def sweep(folder: str) -> None:
    """Remove what dead processes of this machine left in a scratch folder."""
    for path in Path(folder or tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            held = json.loads((path / _OWNER).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # being made, or being removed
        if not holder_lives(held, 0.0):
            shutil.rmtree(path, ignore_errors=True)


class _Copy(NamedTuple):
    path: Path
    n_bytes: int


class Copies:
    """Copies of objects, each under its name and content; those not used for longest go when they pass `max_bytes`.

    The folder goes with the object, at the latest when the process ends.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._max_bytes, self._used = max_bytes, 0
        self._known: OrderedDict[tuple[str, int, str], _Copy] = OrderedDict()
        self._lock = threading.Lock()

    def place(self, store: ObjectStore, name: str, n_bytes: int, sha256: str, target: Path) -> None:
        """Put the object at `target`, out of the copies or the store; `sha256` may be empty where nobody knows it.

        Raises StoreError for an object of another size or content.
        """
        with self._lock:
            copy = self._known.get((name, n_bytes, sha256))
            if copy is not None:
                self._known.move_to_end((name, n_bytes, sha256))
                _link(copy.path, target)
                return
        for _ in range(READS):
            try:
                store.get(name, target)
            except FileNotFoundError:
                raise StoreError(f"{store.url}/{name}: is gone; type the same command again") from None
            if target.stat().st_size == n_bytes and (not sha256 or sha256_file(target) == sha256):
                break
        else:
            raise StoreError(f"{store.url}/{name}: is not what its marker says; remove it, type the same command again")
        self.keep(name, n_bytes, sha256, target)

    def keep(self, name: str, n_bytes: int, sha256: str, path: Path) -> None:
        """Keep a file that is, or will be, in the store under that name, for tasks to come."""
        copy = self.folder / f"copy-{secrets.token_hex(8)}"
        with self._lock:
            _link(path, copy)
            old = self._known.pop((name, n_bytes, sha256), None)
            if old is not None:
                self._drop(old)
            self._known[name, n_bytes, sha256] = _Copy(copy, n_bytes)
            self._used += n_bytes
            while self._used > self._max_bytes:
                self._drop(self._known.popitem(last=False)[1])

    def _drop(self, copy: _Copy) -> None:
        copy.path.unlink(missing_ok=True)
        self._used -= copy.n_bytes


def _link(path: Path, other: Path) -> None:
    """Another name for a file; a copy, where the file system has no hard links."""
    try:
        os.link(path, other)
    except OSError:
        shutil.copyfile(path, other)


@lru_cache(maxsize=4)
def copies_of(session: str, scratch: str, max_bytes: int) -> Copies:
    """This process's copies for a run of a driver, `session`."""
    return Copies(new_scratch(scratch), max_bytes)


def forget_copies() -> None:
    """Remove this process's copies for runs; those of a run that goes on are fetched again."""
    copies_of.cache_clear()
