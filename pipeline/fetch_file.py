"""One remote archive in; a whole local copy out: resumed at the byte where it broke, its length and digests checked."""

import base64
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from seimai.files import canonical_json, read_json, write_atomic

from .fetch_config import Access
from .fetch_http import FetchError
from .fetch_remote import copy_place
from .rows import row_kind
from .warc import Record, SliceReader

__all__ = ["FetchTask", "Fetched", "copy_path", "digest_fault", "fetch_file"]

HELD_WAIT_S = 60.0
"""How long an unfinished copy is waited for: workers of a killed driver notice within seconds."""
HELD_POLL_S = 0.2

RECORD_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class FetchTask:
    """What a worker needs to fetch one archive: where it lies, its size and tag there, and the path of the copy."""

    place: str
    size: int
    tag: str
    copy: str
    access: Access


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was found on the way: records whose digest was checked, mended by a second request, wrong at the origin."""

    checked: int
    mended: int
    wrong: int


def copy_path(folder: str, key_hash: str) -> str:
    """Where the copy of an archive lies.

    >>> copy_path("/disk", "0123456789abcdef")
    '/disk/0123456789abcdef.warc.gz'
    """
    return os.path.join(folder, f"{key_hash}.warc.gz")


def fetch_file(task: FetchTask) -> Fetched:
    """Fetch an archive; the copy stands under its name only when it is whole and checked.

    Until then it lies beside it as `.part`, with what the server said of it: a task that is killed goes on from the
    bytes that are there, as long as the server says the same. Raises FetchError.
    """
    copy = Path(task.copy)
    if copy.exists() and copy.stat().st_size == task.size:
        return Fetched(0, 0, 0)
    copy.parent.mkdir(parents=True, exist_ok=True)
    with _held(copy.with_suffix(".part")) as file:
        if copy.exists() and copy.stat().st_size == task.size:
            copy.with_suffix(".part").unlink()
            return Fetched(0, 0, 0)
        _settle(file, task, copy.with_suffix(".json"))
        at = file.seek(0, os.SEEK_END)
        copy_place(task.place, _written(file), at, task.size, task.access, size=task.size, tag=task.tag)
        file.seek(0)
        head = file.read(5)
        rows = row_kind(task.place)
        if not rows and head != b"WARC/" and not head.startswith(b"\x1f\x8b"):
            file.truncate(0)
            raise FetchError(f"{task.place}: is not a WARC or WET archive")
        found = Fetched(0, 0, 0) if rows else _check(file, task)
        os.fsync(file.fileno())
        copy.with_suffix(".part").rename(copy)
    copy.with_suffix(".json").unlink(missing_ok=True)
    return found


@contextmanager
def _held(path: Path) -> Iterator[BinaryIO]:
    """The unfinished copy, held against a task of a killed driver, which may still write it for a while."""
    import fcntl

    until = time.monotonic() + HELD_WAIT_S
    while True:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise FetchError(f"{path}: another process writes it; stop it, or wait for it") from None
            else:
                # The other task may have finished it meanwhile, and then the name is another file's or nobody's.
                if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    yield file
                    return
        time.sleep(HELD_POLL_S)


def _written(file: BinaryIO) -> Callable[[bytes], None]:
    """Blocks go to the system at once, so that a killed process leaves all that came."""

    def put(block: bytes) -> None:
        file.write(block)
        file.flush()

    return put


def _settle(file: BinaryIO, task: FetchTask, note: Path) -> None:
    """Begin anew where what lies there is of another state of the file, or longer than it."""
    said = {"place": task.place, "size": task.size, "tag": task.tag}
    try:
        same = read_json(note) == said
    except (FileNotFoundError, ValueError):
        same = False
    if not same or file.seek(0, os.SEEK_END) > task.size:
        file.truncate(0)
        write_atomic(note, canonical_json(said))


def _check(file: BinaryIO, task: FetchTask) -> Fetched:
    """Compare every record with its digest; what does not agree is fetched once more by itself."""
    suspects, checked = _suspects(file, task.size)
    mended = wrong = 0
    for start, stop in suspects:
        again = bytearray()
        copy_place(task.place, again.extend, start, stop, task.access, size=task.size, tag=task.tag)
        file.seek(start)
        if file.read(stop - start) == again:
            wrong += 1
            continue
        file.seek(start)
        file.write(again)
        file.flush()
        mended += 1
    return Fetched(checked, mended, wrong)


def _suspects(file: BinaryIO, size: int) -> tuple[list[tuple[int, int]], int]:
    """Stretches from a record that is wrong, or broken behind, to the next one; and how many were compared."""
    reader = SliceReader(file, start=0, stop=size, size=size, begin=0, max_record_bytes=RECORD_BYTES)
    found: list[tuple[int, int]] = []
    checked, before, bad, faults = 0, 0, False, 0
    for record in reader:
        now = _damage(reader)
        if record.offset != before:
            if bad or now > faults:
                found.append((before, record.offset))
            before, bad, faults = record.offset, False, now
        verdict = digest_fault(record)
        checked += verdict is not None
        bad = bad or bool(verdict)
    if bad or _damage(reader) > faults:
        found.append((before, size))
    return found, checked


def _damage(reader: SliceReader) -> int:
    """A number that grows with everything that was not as it should be."""
    return sum(reader.faults.values()) + reader.skipped_bytes


def digest_fault(record: Record, payload_sha1: str = "") -> bool | None:
    """Whether a record differs from its digest: of the block, else of the payload; None where there is none to check.

    `payload_sha1` (base 32) is what an index says of the payload, and is checked instead.
    """
    if record.truncated and "warc-truncated" not in record.headers:
        return None
    content, stated = record.content, record.headers.get("warc-block-digest", "")
    if payload_sha1 or not stated:
        stated = payload_sha1 or record.headers.get("warc-payload-digest", "")
        if record.kind == "response":
            content = content.partition(b"\r\n\r\n")[2]
    name, _, value = stated.rpartition(":")
    if name.lower() not in ("", "sha1") or len(value) != 32:
        return None
    return base64.b32encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode() != value.upper()
