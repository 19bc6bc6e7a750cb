"""A file anywhere, by ranges: http(s) through our own requests, all else through fsspec, at the same pace."""

import io
import time
from collections.abc import Callable
from functools import partial
from typing import Any, BinaryIO, cast

from seimai.errors import InputError, RunError

from .credentials import without_secrets
from .fetch_config import Access
from .fetch_http import FetchError, Remote, copy_range, look
from .rate import Ask, wait_for_start

__all__ = ["RemoteFile", "copy_place", "filesystem_of", "look_at", "matches_of", "open_remote"]

TAIL_BYTES = 256 << 10
"""What is read at once behind the stretch that was announced."""
PIECE_BYTES = 64 << 20


def look_at(place: str, access: Access) -> Remote:
    """Size and tag of the file at an address.  Raises as `fetch_http.look`."""
    if _is_http(place):
        return look(place, access)
    filesystem, path = filesystem_of(place)
    info = _granted(place, access, lambda: filesystem.info(path))
    if not info.get("size"):
        raise InputError(f"{place}: is empty or has no size; look at the address")
    tag = info.get("ETag") or info.get("etag") or info.get("mtime") or info.get("LastModified") or ""
    return Remote(int(info["size"]), str(tag))


def copy_place(
    place: str, put: Callable[[bytes], Any], start: int, stop: int, access: Access, *, size: int | None, tag: str = ""
) -> None:
    """Give the bytes [start, stop) of the file at an address to `put`, in order.  Raises as `copy_range`.

    `size` (None: unknown) and `tag` are the file's as `look_at` found them.
    """
    if _is_http(place):
        copy_range(place, put, start, stop, access, size=size, tag=tag)
        return
    filesystem, path = filesystem_of(place)
    while start < stop:
        end = min(stop, start + PIECE_BYTES)
        data = _granted(place, access, partial(filesystem.cat_file, path, start=start, end=end))
        if len(data) != end - start:
            raise FetchError(f"{place}: {len(data):,} bytes for {end - start:,}; was it changed?")
        put(data)
        _asker()({"op": "count", "bytes": len(data)})
        start = end


def open_remote(place: str, access: Access, size: int, span: tuple[int, int] | None = None) -> BinaryIO:
    """The file at an address of known size, seekable; `span` is what will be read of it for certain."""
    return cast(BinaryIO, RemoteFile(place, access, size, span))


def filesystem_of(place: str) -> tuple[Any, str]:
    """fsspec's file system for an address, and the path there; credentials come from the environment."""
    import fsspec

    try:
        filesystem, path = fsspec.core.url_to_fs(place)
    except (ImportError, ValueError) as error:
        raise InputError(f"{place}: {error}") from None
    return filesystem, str(path)


def matches_of(place: str) -> list[str]:
    """The addresses that match one with wildcards, sorted.  Raises OSError."""
    filesystem, path = filesystem_of(place)
    found = _asked(place, lambda: filesystem.glob(path))
    return sorted(str(filesystem.unstrip_protocol(match)) for match in found)


class RemoteFile(io.RawIOBase):
    """Reads an address by few ranges: the announced span at once, what lies elsewhere as it is asked for."""

    def __init__(self, place: str, access: Access, size: int, span: tuple[int, int] | None = None) -> None:
        self._place, self._access, self._size, self._pos = place, access, size, 0
        self._span = span
        self._blocks: list[tuple[int, bytes]] = []
        """The last two blocks: a reader looks back across a border."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._pos

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._pos, io.SEEK_END: self._size}[whence]
        self._pos = max(0, base + offset)
        return self._pos

    def read(self, size: int | None = -1) -> bytes:
        stop = self._size if size is None or size < 0 else min(self._size, self._pos + size)
        found = bytearray()
        while self._pos < stop:
            piece = self._piece(self._pos, stop)
            found += piece
            self._pos += len(piece)
        return bytes(found)

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(memoryview(buffer)))
        memoryview(buffer)[: len(data)] = data
        return len(data)

    def _piece(self, start: int, stop: int) -> bytes:
        """Some bytes from `start`, no further than `stop`."""
        for begin, data in self._blocks:
            if begin <= start < begin + len(data):
                return data[start - begin : stop - begin]
        end = max(stop, start + TAIL_BYTES)
        if self._span is not None and self._span[0] <= start < self._span[1]:
            end = max(stop, self._span[1])
        elif self._span is None and stop - start > TAIL_BYTES:
            end = stop
        end = min(end, self._size)
        block = bytearray()
        copy_place(self._place, block.extend, start, end, self._access, size=self._size)
        self._blocks = [*self._blocks[-1:], (start, bytes(block))]
        return bytes(block[: stop - start])


def _asker() -> Ask:
    from .run import limiter_here

    return limiter_here()


def _is_http(place: str) -> bool:
    return place.startswith(("http://", "https://"))


def _granted(place: str, access: Access, call: Callable[[], Any]) -> Any:
    """One request of fsspec, with a start time where the host is limited."""
    host = place.split("/")[2] if "://" in place else ""
    if not access.limits(host):
        return _asked(place, call)
    ask, pace = _asker(), access.pace
    fields = [pace.requests_per_s, pace.burst, pace.backoff_s, pace.backoff_max_s]
    last = ""
    for _ in range(access.attempts):
        if stop := wait_for_start(ask, host, pace):
            raise RunError(stop)
        began, failed = time.monotonic(), True
        try:
            found = _asked(place, call)
            failed = False
            return found
        except FileNotFoundError:
            failed = False
            raise
        except PermissionError as error:
            failed = False
            ask({"op": "stop", "host": host, "pace": fields, "why": str(error)})
            raise RunError(str(error)) from None
        except OSError as error:
            last = str(error)
        finally:
            ask({"op": "tell", "host": host, "pace": fields, "failed": failed, "age_s": time.monotonic() - began})
    raise FetchError(f"{place}: {last}, {access.attempts} times; try again later")


def _asked(place: str, call: Callable[[], Any]) -> Any:
    """What fsspec gives; what the libraries behind it raise of their own is told as an OSError.

    Raises PermissionError where access is denied, or there are no credentials to ask with.
    """
    try:
        return call()
    except PermissionError as error:
        told = without_secrets(str(error))
    except Exception as error:
        if not (isinstance(error, ValueError) or type(error).__module__.startswith("botocore")):
            raise
        told = without_secrets(" ".join(f"{type(error).__name__}: {error}".split()))
        if "redential" not in type(error).__name__:
            raise FetchError(f"{place}: {told}") from None
    raise PermissionError(f"{place}: access denied ({told}); look at the credentials in the environment")
