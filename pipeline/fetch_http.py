"""Bytes of a file behind http(s): each request has its start time, what breaks goes on at the byte where it was.

The web's ways to fail are all one `Fault`: a busy status, a broken or slow connection, a range that is ignored or not
the one asked for, a redirect to elsewhere. Each is told to the limiter, which slows every worker down.
"""

import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from seimai.errors import InputError, RunError

from .fetch_config import Access
from .rate import THROTTLES, wait_for_start

if TYPE_CHECKING:
    import urllib3

__all__ = ["FetchError", "Remote", "copy_range", "look", "read_range"]

CHUNK_BYTES = 1 << 20
REDIRECTS = 5
LOOKS = 8
"""Most tries of a question that somebody may be waiting for."""
TELL_S = 1.0
IGNORED_RANGES = 3
"""Times in a row that a server may ignore a range before what lies before it is read too."""


class FetchError(OSError):
    """A server did not give the bytes, whatever was tried."""


class _Fault(Exception):
    """One request failed; another may not."""


@dataclass(frozen=True, slots=True)
class Remote:
    """What a server says of a file: its bytes, and a tag that changes with them."""

    size: int
    tag: str


def look(url: str, access: Access) -> Remote:
    """Size and tag of a file, by HEAD.

    Raises FileNotFoundError, InputError for what another try would not mend, FetchError when all tries failed.
    """
    attempts, last = min(access.attempts, LOOKS), ""
    for failures in range(attempts):
        try:
            with _answer("HEAD", url, {}, access) as response:
                size = response.headers.get("Content-Length", "")
                if not size.isdigit():
                    raise InputError(f"{url}: the server does not tell its size; download the file first")
                return Remote(int(size), _tag(response))
        except _Fault as fault:
            last = str(fault)
            _rest(url, access, failures + 1)
    raise FetchError(f"{url}: {last}, {attempts} times; try again later")


def read_range(url: str, start: int, stop: int, access: Access, *, size: int | None = None) -> bytes:
    """The bytes [start, stop) of a file; a broken answer goes on where it broke.  Raises as `copy_range`."""
    found = bytearray()
    copy_range(url, found.extend, start, stop, access, size=size)
    return bytes(found)


def copy_range(
    url: str,
    put: Callable[[bytes], Any],
    start: int,
    stop: int,
    access: Access,
    *,
    size: int | None = None,
    tag: str = "",
) -> None:
    """Give the bytes [start, stop) of a file of `size` bytes to `put`, in order, each once.

    `tag` is the file's as `look` found it; another one means that the file was changed meanwhile (InputError).
    Raises FileNotFoundError, RunError when the server has shut us out, FetchError when `access.attempts` requests in
    a row gained nothing.
    """
    at, failures, ignored, last = start, 0, 0, ""
    while at < stop:
        if failures == access.attempts:
            raise FetchError(f"{url}: {last}, {failures} times at byte {at:,}; try again later")
        before = at
        try:
            with _answer("GET", url, {"Range": f"bytes={at}-{stop - 1}"}, access) as response:
                _unchanged(url, response, tag)
                skip = _skipped(response, at, stop, size, patient=ignored < IGNORED_RANGES)
                for block in _blocks(response, access):
                    block, skip = block[skip:], max(0, skip - len(block))
                    block = block[: stop - at]
                    put(block)
                    at += len(block)
                    if at == stop:
                        break
                if at < stop:
                    raise _Fault("the answer ended early")
        except _Fault as fault:
            last = str(fault)
            ignored = ignored + 1 if last.startswith("the range") else 0
            failures = failures + 1 if at == before else 1
            _rest(url, access, failures)


def _rest(url: str, access: Access, failures: int) -> None:
    """Leave a host alone that has no limiter to say how long."""
    if not access.limits(urlsplit(url).hostname or ""):
        pace = access.pace
        time.sleep(min(pace.backoff_s * 2 ** min(failures - 1, 30), pace.backoff_max_s) * (0.5 + random.random()))


def _skipped(response: Any, at: int, stop: int, size: int | None, *, patient: bool) -> int:
    """Bytes before `at` that the answer begins with: none, unless the server knows no ranges."""
    if response.status == 200:
        length = response.headers.get("Content-Length", "")
        if size is not None and length.isdigit() and int(length) != size:
            raise _Fault(f"its length is {length}, not {size}")
        if at > 0 and patient:
            raise _Fault("the range was ignored")
        return at
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", ""))
    if response.status != 206 or found is None:
        raise _Fault(f"it answers {response.status} to a range")
    first, last, total = int(found[1]), int(found[2]), found[3]
    if first != at or last >= stop or (size is not None and total not in ("*", str(size))):
        raise _Fault(f"it sent {found[0]} for {at}-{stop - 1} of {size}")
    return 0


def _blocks(response: Any, access: Access) -> Iterator[bytes]:
    """The answer as it comes; a connection that is too slow for too long is a fault."""
    import urllib3

    began = told = time.monotonic()
    seen = untold = 0
    try:
        while True:
            try:
                block = response.read1(CHUNK_BYTES)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise _Fault(f"the connection broke ({type(error).__name__})") from None
            if not block:
                return
            now = time.monotonic()
            untold += len(block)
            if now - told >= TELL_S:
                _asker()({"op": "count", "bytes": untold})
                told, untold = now, 0
            yield block
            seen += len(block)
            if now - began >= access.timeout_s:
                if seen < access.min_bytes_per_s * (now - began):
                    raise _Fault(f"it sent {seen} bytes in {now - began:.0f} s")
                began, seen = now, 0
    finally:
        if untold:  # whoever has all it asked for reads no further
            _asker()({"op": "count", "bytes": untold})


@contextmanager
def _answer(method: str, url: str, headers: dict[str, str], access: Access) -> Iterator["urllib3.BaseHTTPResponse"]:
    """One request with its redirects, each with a start time; what happens inside is told to the limiter too."""
    place = url
    for _ in range(REDIRECTS):
        host = urlsplit(place).hostname or ""
        asker = _asker() if access.limits(host) else None
        if asker is not None and (stop := wait_for_start(asker, host, access.pace)):
            raise RunError(stop)
        began = time.monotonic()
        tell = _Teller(asker, host, access, began)
        response = _send(method, place, headers, access, tell)
        try:
            if 300 <= response.status < 400:
                place = _next_place(place, response, access, tell)
                continue
            _judge(place, response, tell)
            yield response
            tell(failed=False)
            return
        except _Fault:
            tell(failed=True, retry_after_s=_retry_after(response))
            raise
        finally:
            # A connection with bytes left in it is of no use to the next request.
            response.close()
    raise _Fault(f"it redirects more than {REDIRECTS} times")


@dataclass(slots=True)
class _Teller:
    """Tells the limiter how a request went."""

    asker: Callable[[dict[str, Any]], Any] | None
    host: str
    access: Access
    began: float

    def __call__(self, *, failed: bool, retry_after_s: float | None = None) -> None:
        if self.asker is not None:
            pace = self.access.pace
            fields = [pace.requests_per_s, pace.burst, pace.backoff_s, pace.backoff_max_s]
            message = {"op": "tell", "host": self.host, "pace": fields, "failed": failed}
            self.asker({**message, "age_s": time.monotonic() - self.began, "retry_after_s": retry_after_s})

    def stop(self, why: str) -> None:
        """No further request to this host, by anybody."""
        if self.asker is not None:
            self.asker({"op": "stop", "host": self.host, "pace": [1.0, 1, 1.0, 1.0], "why": why})


def _send(method: str, url: str, headers: dict[str, str], access: Access, tell: _Teller) -> Any:
    import urllib3

    sent = {"User-Agent": _agent(access.contact), "Accept-Encoding": "identity", **headers}
    timeout = urllib3.Timeout(connect=access.timeout_s, read=access.timeout_s)
    try:
        return _pool().request(
            method, url, headers=sent, timeout=timeout, preload_content=False, decode_content=False, redirect=False,
            retries=False,
        )  # fmt: skip
    except urllib3.exceptions.LocationValueError as error:
        raise InputError(f"{url}: is no address ({error})") from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        tell(failed=True)
        raise _Fault(f"no answer ({type(error).__name__})") from None


def _judge(url: str, response: Any, tell: _Teller) -> None:
    """Raise for every status but success."""
    status, host = response.status, urlsplit(url).hostname
    if status in (200, 206):
        return
    if status in THROTTLES:
        raise _Fault(f"it answers {status}")
    if status in (404, 410):
        tell(failed=False)
        raise FileNotFoundError(url)
    if status == 403:
        why = (
            f"{url}: 403, {host} refuses us: either there is no such file, or we asked too much and are shut out "
            "(Common Crawl: for about a day); nothing more was asked. Look at the address, wait, lower "
            "fetch.requests_per_s, then type the same command again"
        )
        tell.stop(why)
        raise RunError(why)
    raise InputError(f"{url}: the server answers {status}; look at the address")


def _next_place(place: str, response: Any, access: Access, tell: _Teller) -> str:
    """Where a redirect leads: on the same host or another limited one; anything else is no place for archives."""
    target = urljoin(place, response.headers.get("Location", ""))
    old, new = urlsplit(place), urlsplit(target)
    trusted = new.hostname == old.hostname or (access.limits(new.hostname or "") and access.limits(old.hostname or ""))
    if not trusted or new.scheme not in ("http", "https") or (old.scheme, new.scheme) == ("https", "http"):
        raise _Fault(f"it redirects to {new.scheme}://{new.hostname}")
    tell(failed=False)
    return str(target)


def _unchanged(url: str, response: Any, tag: str) -> None:
    found = _tag(response)
    if tag and found and found != tag:
        raise InputError(f"{url}: was changed on the server while it was fetched; type the same command again")


def _tag(response: Any) -> str:
    return str(response.headers.get("ETag") or response.headers.get("Last-Modified") or "")


def _retry_after(response: Any) -> float | None:
    """Seconds that the server asks to wait, whether it says so in seconds or by a date."""
    stated = str(response.headers.get("Retry-After", "")).strip()
    if not stated:
        return None
    if stated.isdigit():
        return float(stated)
    try:
        return max(0.0, parsedate_to_datetime(stated).timestamp() - time.time())
    except ValueError:
        return None


def _agent(contact: str) -> str:
    from seimai import __version__

    return f"seimai/{__version__}" + (f" ({contact})" if contact else "")


def _asker() -> Callable[[dict[str, Any]], Any]:
    from .run import limiter_here

    return limiter_here()


@lru_cache(maxsize=1)
def _pool() -> "urllib3.PoolManager":
    """This process's connections."""
    import urllib3

    return urllib3.PoolManager(num_pools=16, maxsize=16, retries=False)
