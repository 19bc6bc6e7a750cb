"""A folder of objects at any fsspec URL: put whole, read, listed, removed; nothing is renamed, nothing appended to."""

import errno
import hashlib
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TypeVar

from seimai.errors import RunError
from seimai.files import CHUNK_BYTES

from .credentials import refuse_credentials, without_secrets

__all__ = ["ObjectStore", "StoreError", "is_url", "side_by_side", "store_at"]

R = TypeVar("R")
T = TypeVar("T")

ATTEMPTS = 6
FIRST_ATTEMPTS = 2
"""Of the first request: an address that is wrong should be told soon."""
BACKOFF_S = 1.0
"""Pauses double, to half a minute in all; the libraries of s3 try again themselves meanwhile, for some minutes."""
THREADS = 16
"""Requests of one process at a time."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


class StoreError(RunError):
    """A store that did not answer as it should, however often it was asked: the run ends, and goes on later."""


def is_url(place: str) -> bool:
    """Whether a place is meant as an fsspec URL and not as a path.

    >>> is_url("s3://bucket/run"), is_url("s3:/bucket/run"), is_url("runs/first")
    (True, True, False)
    """
    return bool(_URL.match(place))


@lru_cache(maxsize=8)
def store_at(url: str) -> "ObjectStore":
    """This process's store at a URL, which another process has found there."""
    return ObjectStore(url, first_attempts=ATTEMPTS)


class ObjectStore:
    """The objects below a URL, by names relative to it; credentials come from the environment only.

    What fails is tried again, with growing pauses; then it is a StoreError. RunError for what a user can mend.
    """

    def __init__(self, url: str, *, first_attempts: int = FIRST_ATTEMPTS) -> None:
        import fsspec

        refuse_credentials(url, RunError)
        if not re.match(r"[^/]+://[^/]*/*[^/]", url):
            raise RunError(f"{url}: names no place; write an address as s3://bucket/folder")
        self.url = url.rstrip("/")
        try:
            self._files, path = fsspec.core.url_to_fs(self.url)
        except ImportError as error:
            raise RunError(f"{self.url}: {error}; pip install 'seimai[s3]' for s3://") from None
        except ValueError as error:
            raise RunError(f"{self.url}: {error}; give a folder, or an address that fsspec knows") from None
        self._root, self._attempts = str(path).rstrip("/"), first_attempts
        if hasattr(self._files, "auto_mkdir"):
            self._files.auto_mkdir = True
        # s3fs asks for the size before it reads, to read large objects in pieces; what we read so is small.
        self._small = {"max_concurrency": 1} if "s3" in self._files.protocol else {}

    def put(self, path: Path, name: str) -> None:
        """Put a file there; other readers see all of it or, of an atomic store, what was there before."""
        self._tried(name, lambda: self._files.put_file(str(path), self._at(name)))

    def write(self, name: str, data: bytes) -> None:
        """Put bytes there."""
        self._tried(name, lambda: self._files.pipe_file(self._at(name), data))

    def create(self, name: str, data: bytes) -> bool:
        """Put bytes there unless there is an object; whether it was so.

        A look, as some stores know no condition, then one request with it where the store has such (s3:
        If-None-Match). An answer that was lost on the way may be False for what is there by this very call.
        """

        def put() -> bool:
            if self._files.exists(self._at(name)):
                return False
            try:
                self._files.pipe_file(self._at(name), data, mode="create")
            except FileExistsError:
                return False
            except OSError as error:
                if _code(error) not in ("PreconditionFailed", "412"):
                    raise
                return False
            return True

        self._files.invalidate_cache()
        return self._tried(name, put)

    def get(self, name: str, path: Path) -> None:
        """Write an object to a local file.  Raises FileNotFoundError."""
        self._tried(name, lambda: self._files.get_file(self._at(name), str(path)))

    def read(self, name: str) -> bytes:
        """All bytes of a small object.  Raises FileNotFoundError."""
        return bytes(self._tried(name, lambda: self._files.cat_file(self._at(name), **self._small)))

    def digest(self, name: str) -> tuple[int, str]:
        """Bytes and SHA-256 of an object, read in pieces.  Raises FileNotFoundError."""

        def read() -> tuple[int, str]:
            digest, n_bytes = hashlib.sha256(), 0
            with self._files.open(self._at(name), "rb") as file:
                while piece := file.read(CHUNK_BYTES):
                    digest.update(piece)
                    n_bytes += len(piece)
            return n_bytes, digest.hexdigest()

        return self._tried(name, read)

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects, there or not."""
        for _ in side_by_side(self._remove, names):
            pass

    def modified(self, name: str) -> datetime:
        """When an object was put, by the store's clock.  Raises FileNotFoundError."""
        self._files.invalidate_cache()
        return self._tried(name, lambda: self._files.modified(self._at(name)))  # type: ignore[no-any-return]

    def folder(self, name: str) -> tuple[dict[str, int], list[str]]:
        """Objects right in a folder ("" for the root) with their sizes, and folders in it; both by their last name."""
        place = self._at(name) if name else self._root
        self._files.invalidate_cache()
        try:
            entries = self._tried(name, lambda: self._files.ls(place, detail=True))
        except FileNotFoundError:
            return {}, []
        files: dict[str, int] = {}
        folders = []
        for entry in entries:
            full = str(entry["name"])
            last = full.rstrip("/").rsplit("/", 1)[-1]
            if full.rstrip("/") == place or last in ("", ".", ".."):
                continue  # an object that stands for the folder itself
            if entry["type"] == "directory":
                folders.append(last)
            elif not full.endswith("/"):
                files[last] = int(entry["size"])
        return files, sorted(folders)

    def objects(self, name: str = "") -> Iterator[tuple[str, int]]:
        """All objects below a folder with their sizes, one folder in memory at a time."""
        waiting = [name]
        while waiting:
            place = waiting.pop()
            prefix = f"{place}/" if place else ""
            files, folders = self.folder(place)
            waiting += [prefix + each for each in reversed(folders)]
            for each in sorted(files):
                yield prefix + each, files[each]

    def _remove(self, name: str) -> None:
        try:
            self._tried(name, lambda: self._files.rm_file(self._at(name)))
        except FileNotFoundError:
            return

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _tried(self, name: str, call: Callable[[], R]) -> R:
        """What a request gives; tried again where that may help."""
        attempts, last = self._attempts, ""
        for attempt in range(attempts):
            if attempt:
                time.sleep(BACKOFF_S * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))
            try:
                found = call()
            except Exception as error:  # each store has its own, and few of them are OSError
                last = self._judged(error)
            else:
                self._attempts = ATTEMPTS
                return found
        place = f"{self.url}/{name}".rstrip("/")
        if attempts < ATTEMPTS:
            raise StoreError(f"{place}: {last}; look at the address and the network")
        raise StoreError(f"{place}: {last}, {attempts} times; type the same command again to go on")

    def _judged(self, error: Exception) -> str:
        """What went wrong, in a line; raises where another attempt cannot help."""
        text = without_secrets(" ".join(f"{type(error).__name__}: {error}".split()))
        if _code(error) == "NoSuchBucket" or "specified bucket does not exist" in text:
            raise RunError(f"{self.url}: there is no such bucket; look at the address, or create the bucket") from None
        if isinstance(error, FileNotFoundError | FileExistsError | IsADirectoryError | NotADirectoryError):
            self._attempts = ATTEMPTS
            raise error
        if isinstance(error, PermissionError) or "redential" in type(error).__name__:
            raise RunError(f"{self.url}: access denied ({text}); look at the credentials in the environment") from None
        if isinstance(error, NotImplementedError):
            raise RunError(f"{self.url}: this kind of address cannot hold a run ({text}); give another") from None
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise error
        return text


def _code(error: BaseException) -> str:
    """The error code in a store's answer, as botocore gives it; empty where there is none."""
    answer = getattr(error, "response", None) or getattr(error.__cause__, "response", None) or {}
    return str(answer.get("Error", {}).get("Code", ""))


def side_by_side(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`function` of every item, some at a time in threads, in order; what fails is raised."""
    source = iter(items)
    with ThreadPoolExecutor(THREADS) as pool:
        while some := list(islice(source, 64 * THREADS)):
            yield from pool.map(function, some)
