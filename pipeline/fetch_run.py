"""Archives as they arrive: fetched on the workers, within a budget of disk, handed on as soon as each is whole."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from seimai.errors import SeimaiError

from .fetch_config import FetchConfig
from .fetch_file import Fetched, FetchTask, copy_path, fetch_file
from .fetch_http import FetchError
from .fetch_remote import look_at
from .inputs import UNKNOWN, Source, wanted_bytes
from .progress import Progress
from .run import PAUSE, Engine, Needs, limiter_here

__all__ = ["Arrival", "Arrivals", "requests_noted"]

AHEAD = 2
"""Archives that lie ready before no further one is begun: reading takes far longer than fetching."""
TICK_S = 1.0
FIRST = 10
"""Priority of fetching: a worker that is free for both fetches, so that there is always something to read."""


NOTHING = Fetched(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Arrival:
    """An archive that came: its source with size, stamp and copy, and what its check found; or why it did not."""

    source: Source
    fetched: Fetched = NOTHING
    error: str | None = None
    flown: bool = False


@dataclass(slots=True)
class Arrivals:
    """Fetches archives in a thread of the driver that maps over the workers; iterate in the main thread.

    Those that are `ready` come as they are. `folder` is where copies lie; `keep` leaves them there until the room is
    needed. An archive larger than the whole budget comes without a copy, to be read by ranges. Where the sizes pass
    `config.max_bytes`, in the order of the sources, nothing more comes.
    """

    engine: Engine
    sources: list[Source]
    ready: Callable[[Source], bool]
    config: FetchConfig
    folder: str
    keep: bool
    progress: Progress
    _arrived: "queue.Queue[Arrival | BaseException | None]" = field(default_factory=queue.Queue)
    _lock: Any = field(default_factory=threading.Lock)
    _used: dict[str, int] = field(default_factory=dict)
    _free: list[str] = field(default_factory=list)
    _flying: int = 0
    _came: int = 0
    _waiting: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def __iter__(self) -> Iterator[Any]:
        """Arrivals, and PAUSE while the next one is on its way."""
        self._survey()
        self.engine.start()  # here, and not in two threads at once
        self.progress.begin("fetch", 0)
        threads = [threading.Thread(target=target, daemon=True) for target in (self._work, self._tick)]
        for thread in threads:
            thread.start()
        try:
            while True:
                try:
                    arrival = self._arrived.get_nowait()
                except queue.Empty:
                    yield PAUSE
                    continue
                if arrival is None:
                    return
                if isinstance(arrival, BaseException):
                    raise arrival
                with self._lock:
                    self._waiting -= arrival.flown
                    self._came += 1
                yield arrival
        finally:
            self._over.set()
            self.progress.end("fetch")

    def release(self, source: Source) -> None:
        """All parts of the archive are written: its copy may go, or goes at once."""
        if not source.copy:
            return
        with self._lock:
            if self.keep:
                self._free.append(source.copy)
            else:
                Path(source.copy).unlink(missing_ok=True)
                self._used.pop(source.copy, None)

    def _survey(self) -> None:
        """What lies in the folder already counts, and may go, oldest first, until its turn comes."""
        try:
            entries = sorted(Path(self.folder).iterdir(), key=lambda path: path.stat().st_mtime)
        except FileNotFoundError:
            return
        for path in entries:
            if path.name.endswith((".warc.gz", ".part")):
                name = str(path) if path.suffix == ".gz" else str(path.with_suffix(".warc.gz"))
                self._used[name] = max(self._used.get(name, 0), path.stat().st_size)
                self._free.append(name)

    def _room(self, copy: str, size: int) -> bool:
        """Reserve room for a copy, if need be that of older ones."""
        with self._lock:
            self._free = [name for name in self._free if name != copy]
            others = sum(used for name, used in self._used.items() if name != copy)
            while self._free and others + size > self.config.disk_bytes:
                old = self._free.pop(0)
                others -= self._used.pop(old, 0)
                for path in (Path(old), Path(old).with_suffix(".part"), Path(old).with_suffix(".json")):
                    path.unlink(missing_ok=True)
            if others + size > self.config.disk_bytes:
                return False
            self._used[copy] = size
            return True

    def _tasks(self) -> Iterator[Any]:
        """A task for each archive; PAUSE while there is no room, or enough is under way."""
        total = 0
        for source in self.sources:
            if not self.ready(source):
                while not self._over.is_set() and not self._may_begin():
                    yield PAUSE
            if self._over.is_set():
                return
            looked = self._looked(source)
            if looked is None:
                continue
            total += wanted_bytes(looked)
            if self.config.max_bytes and total > self.config.max_bytes:
                return
            if self.ready(source):
                self._arrived.put(Arrival(source))
                continue
            copy = copy_path(self.folder, source.key_hash)
            if looked.size <= self.config.disk_bytes:
                while not self._over.is_set() and not self._room(copy, looked.size):
                    yield PAUSE
                looked = replace(looked, copy=copy)
            with self._lock:
                self._flying += 1
            tag = looked.stamp.removeprefix("plain ").partition(" ")[2]
            yield _Flight(looked, FetchTask(source.place, looked.size, tag, copy, source.access))

    def _may_begin(self) -> bool:
        """A few at once while nothing is ready; then one at a time, so that the workers read."""
        with self._lock:
            if self._waiting >= AHEAD:
                return False
            return self._flying < (1 if self._waiting else self.config.connections)

    def _looked(self, source: Source) -> Source | None:
        """The source with its size; None, with an arrival that says why, where it cannot be had."""
        if source.size != UNKNOWN:
            return source
        try:
            remote = look_at(source.place, source.access)
        except SeimaiError:
            raise
        except OSError as error:
            text = "no such file" if isinstance(error, FileNotFoundError) else str(error)
            self._arrived.put(Arrival(source, error=f"{source.place}: {text}"))
            return None
        return replace(source, size=remote.size, stamp=f"{remote.size} {remote.tag}")

    def _work(self) -> None:
        """The thread: map over the archives, and put what comes where the main thread finds it."""
        try:
            for outcome in self.engine.map(_fly, self._tasks(), priority=FIRST, needs=_copy):
                source = outcome.item.source
                with self._lock:
                    self._flying -= 1
                    self._waiting += 1
                    if outcome.error is not None:
                        self._free.append(source.copy)
                found = outcome.result or NOTHING
                self._arrived.put(Arrival(source, found, outcome.error, flown=True))
            self._arrived.put(None)
        except BaseException as error:  # whatever it is, the main thread raises it
            self._arrived.put(error)

    def _tick(self) -> None:
        """Tell the bar what the limiter counts."""
        seen, began, limit = 0, time.monotonic(), self.config.requests_per_s
        for more in told_of_requests(self._over):
            seconds = time.monotonic() - began
            files = f"{self._came} of {len(self.sources)} files"
            if self._came:
                left_s = seconds * (len(self.sources) - self._came) / self._came
                files += f" ({left_s / 60:,.0f} min left)"
            on_way = f"{self._flying} on their way"
            self.progress.note("fetch", f"{files}, {on_way}, {describe(more, limit, seconds)}")
            self.progress.advance("fetch", int(more["bytes"]) - seen)
            seen = int(more["bytes"])


def told_of_requests(over: threading.Event) -> Iterator[dict[str, float]]:
    """What the limiter counts from now on, once in TICK_S, until `over` is set."""
    before = limiter_here()({"op": "counts"})
    while not over.wait(TICK_S):
        now = limiter_here()({"op": "counts"})
        yield {name: now[name] - before[name] for name in now}


@contextmanager
def requests_noted(progress: Progress, stage: str, limit_per_s: float) -> Iterator[None]:
    """While it holds, the stage's bar says what the limiter counts."""
    over, began = threading.Event(), time.monotonic()

    def tell() -> None:
        for more in told_of_requests(over):
            progress.note(stage, describe(more, limit_per_s, time.monotonic() - began))

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@dataclass(frozen=True, slots=True)
class _Flight:
    source: Source
    task: FetchTask


def _copy(flight: _Flight) -> Needs:
    """A copy that a former run left whole, of which a task looks at the size."""
    return Needs(sizes=[Path(flight.source.copy)] if flight.source.copy else [])


def _fly(flight: _Flight) -> Fetched:
    if not flight.source.copy:
        return NOTHING
    try:
        return fetch_file(flight.task)
    except FileNotFoundError:
        raise FetchError(f"{flight.task.place}: no such file") from None


def describe(counts: dict[str, float], limit_per_s: float, seconds: float) -> str:
    """What the limiter counted in so many seconds, in a few words.

    >>> describe({"requests": 12, "failures": 1, "bytes": 5e6, "waited_s": 3.2}, 2.0, 8.0)
    '12 requests, 1.5 of 2/s, 1 failed, waited 3 s'
    """
    return (
        f"{counts['requests']:,.0f} requests, {counts['requests'] / max(seconds, 0.001):.1f} of {limit_per_s:g}/s, "
        f"{counts['failures']:,.0f} failed, waited {counts['waited_s']:,.0f} s"
    )
