"""A task of a run in an object store, as a worker does it: a folder of its own with just what the task reads.

Functions of stages know paths only. The driver says which files a task reads; the worker lays them into an empty
folder, calls the function there, and puts what is new into the store, markers last. So no two workers need share a
disk, a task sees nothing it did not name, and what a killed task leaves is without a marker. Paths below the driver's
run directory are sent relative to it, in the function, its item and its result.
"""

import io
import json
import os
import pickle
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seimai.files import sha256_file

from .credentials import without_secrets
from .object_store import ObjectStore, side_by_side, store_at
from .store_lock import still_held
from .store_scratch import Copies, copies_of

__all__ = ["Call", "Done", "Given", "Made", "do_call", "pack", "stand_in", "told", "unpack"]

INLINE_BYTES = 64 << 10
"""JSON files up to this size travel with a task and its result; markers of any size do."""
_LAID_NS = 0
"""Modification time of a file that was laid; whatever a task writes has a later one."""
_SCRATCH = re.compile(r"[^\s'\"]*/seimai-scratch-[0-9a-f]{16}/(?:task-\w{8}|run)\b")


@dataclass(frozen=True, slots=True)
class Given:
    """A file a task finds: with its `content` where it travels along, else from the store.

    `whole` false: only its size is looked at, and zeros stand for its bytes.
    """

    name: str
    n_bytes: int
    sha256: str = ""
    content: bytes | None = None
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Made:
    """A file a task wrote, in the store by now; with its `content` if it is a marker or a small JSON file."""

    name: str
    n_bytes: int
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Call:
    """A task: the store, who owns the run, where and how much scratch, the function with its item, its files."""

    url: str
    owner: str
    session: str
    scratch: str
    max_bytes: int
    call: bytes
    given: tuple[Given, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """A task done: its result, the files it wrote and those it removed."""

    result: bytes
    made: tuple[Made, ...]
    gone: tuple[str, ...]


def do_call(call: Call) -> Done:
    """Do a task in a folder of its own.

    Raises RunError for what the store refuses, and when the run has another owner by now.
    """
    store, copies = store_at(call.url), copies_of(call.session, call.scratch, call.max_bytes)
    with tempfile.TemporaryDirectory(dir=copies.folder, prefix="task-") as folder:
        root = Path(folder)
        laid = _lay(root, call.given, store, copies)
        function, item = unpack(call.call, root)
        result = function(item)
        made = _put(root, laid, store, copies, call.owner)
        gone = tuple(name for name in laid if not (root / name).exists())
        return Done(pack(result, root), made, gone)


def stand_in(path: Path, n_bytes: int) -> None:
    """A file of that size that takes no room, for one that lies in the store only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(n_bytes)


def told(url: str, text: str) -> str:
    """What a task says of files of its folder, said of the store; without credentials, as it may stand in a manifest.

    >>> told("s3://b/run", "/tmp/seimai-scratch-0123456789abcdef/task-a_8char5/shards/ja-00000.arrow: is cut")
    's3://b/run/shards/ja-00000.arrow: is cut'
    """
    return without_secrets(_SCRATCH.sub(lambda found: url, text))


def _lay(root: Path, given: tuple[Given, ...], store: ObjectStore, copies: Copies) -> set[str]:
    """Put the files in place; returns the names of those that lie there."""
    for folder in {(root / file.name).parent for file in given}:
        folder.mkdir(parents=True, exist_ok=True)

    def place(file: Given) -> bool:
        path = root / file.name
        if file.content is not None:
            path.write_bytes(file.content)
        elif file.whole:
            copies.place(store, file.name, file.n_bytes, file.sha256, path)
        else:
            stand_in(path, file.n_bytes)
        if file.name.startswith("work/") and file.name.endswith(".json") and not _is_json(path):
            path.unlink()  # a store without rename tore it
            return False
        os.utime(path, ns=(_LAID_NS, _LAID_NS))
        return True

    return {file.name for file, lies in zip(given, side_by_side(place, given), strict=True) if lies}


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


def _put(root: Path, laid: set[str], store: ObjectStore, copies: Copies, owner: str) -> tuple[Made, ...]:
    """Put what is new into the store: data, then JSON files beside data, then markers."""
    names = set()
    for folder, _, files in os.walk(root):
        for file in files:
            path = Path(folder, file)
            name = path.relative_to(root).as_posix()
            if not file.startswith(".") and (name not in laid or path.stat().st_mtime_ns != _LAID_NS):
                names.add(name)
    markers = {name for name in names if name.startswith("state/")}
    notes = {name for name in names if name.endswith(".json")} - markers
    data = names - notes - markers

    def put(name: str) -> Made:
        path = root / name
        store.put(path, name)
        n_bytes = path.stat().st_size
        travels = name in markers or (name in notes and n_bytes <= INLINE_BYTES)
        if not travels:
            copies.keep(name, n_bytes, "" if name.startswith("work/") else sha256_file(path), path)
        return Made(name, n_bytes, path.read_bytes() if travels else None)

    if names:
        still_held(store, owner)
    if data:
        store.remove(markers & laid)  # a marker never names data that are just replaced
    made = [*side_by_side(put, sorted(data)), *side_by_side(put, sorted(notes))]
    if markers:
        still_held(store, owner)
    return (*made, *side_by_side(put, sorted(markers)))


class _Pickler(pickle.Pickler):
    """Sends paths below `root` relative to it, whether they are paths or text."""

    def __init__(self, file: io.BytesIO, root: Path) -> None:
        super().__init__(file, protocol=5)
        self._root, self._prefix = str(root), f"{root}/"

    def persistent_id(self, value: Any) -> tuple[str, str] | None:
        if isinstance(value, Path | str):
            text = str(value)
            if text == self._root or text.startswith(self._prefix):
                return ("path" if isinstance(value, Path) else "text", text[len(self._prefix) :])
        return None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, root: Path) -> None:
        super().__init__(file)
        self._root = root

    def persistent_load(self, found: tuple[str, str]) -> Path | str:
        path = self._root / found[1]
        return path if found[0] == "path" else str(path)


def pack(value: Any, root: Path) -> bytes:
    """A value between the driver and its own workers, as Dask sends it too, but for the paths below `root`."""
    buffer = io.BytesIO()
    _Pickler(buffer, root).dump(value)
    return buffer.getvalue()


def unpack(data: bytes, root: Path) -> Any:
    """The value with its paths below another `root`."""
    return _Unpickler(io.BytesIO(data), root).load()
