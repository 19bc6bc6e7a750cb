"""The parts of a run as its archives come: what is fetched already is not fetched again, what is read makes room."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .fetch_config import FetchConfig
from .fetch_run import Arrival, Arrivals, requests_noted
from .inputs import UNKNOWN, Part, Source, parts_of
from .progress import Progress
from .run import PAUSE, Engine
from .state import Marker, commit, read_marker

__all__ = ["Feed", "remembered"]

_NEAR = ("file://", "local://", "memory://")


def remembered(run: Path, sources: list[Source]) -> list[Source]:
    """The sources; those that were fetched before have the size and stamp they had then."""
    found = []
    for source in sources:
        marker = read_marker(run, "fetch", source.key_hash) if source.size == UNKNOWN else None
        if marker is not None:
            source = replace(source, size=int(marker.span["size"]), stamp=str(marker.span["stamp"]))
        found.append(source)
    return found


@dataclass(slots=True)
class Feed:
    """Parts of all archives; `parts` once, then `sources` are those that came, `failed` why others did not.

    `done` is told of every part that `parts` gave, when it is written or given up.
    """

    run: Path
    owner: str
    engine: Engine
    config: FetchConfig
    part_bytes: int
    progress: Progress
    change: Callable[[], None]
    failed: list[tuple[Source, str]] = field(default_factory=list)
    _here: dict[str, Source] = field(default_factory=dict)
    _left: Counter[str] = field(default_factory=Counter)
    _copies: dict[str, Source] = field(default_factory=dict)
    _arrivals: Arrivals | None = None

    def parts(self, sources: list[Source], is_done: Callable[[Part], bool]) -> Iterator[Any]:
        """The parts of every archive as soon as it is here, and PAUSE while none is.

        Archives whose parts are all done, and those on disks of this machine, are not fetched.
        """

        def ready(source: Source) -> bool:
            if source.size == UNKNOWN or (source.ranges is None and self.config.disk_bytes and _is_far(source.place)):
                return source.size != UNKNOWN and all(is_done(part) for part in parts_of(source, self.part_bytes))
            return True

        if all(ready(source) for source in sources) and not self.config.max_bytes:
            arrivals: Any = (Arrival(source) for source in sources)
        else:
            folder = os.path.abspath(self.config.folder) if self.config.folder else str(self.run / "work" / "fetch")
            keep = bool(self.config.folder)
            arrivals = Arrivals(self.engine, sources, ready, self.config, folder, keep, self.progress)
            self._arrivals = arrivals
        for arrival in arrivals:
            if arrival is PAUSE:
                yield PAUSE
            elif arrival.error is not None:
                self.failed.append((arrival.source, arrival.error))
            else:
                yield from self._parts_of(arrival)

    def noted(self, sources: list[Source]) -> AbstractContextManager[None]:
        """While parts are read by ranges of what is far away, the bar of reading says what is asked for."""
        ranged = any(source.ranges is not None and _is_far(source.place) for source in sources)
        return requests_noted(self.progress, "read", self.config.requests_per_s) if ranged else nullcontext()

    def sources(self) -> list[Source]:
        """The archives that came, in order; without their copies, which may be gone."""
        return [self._here[key] for key in sorted(self._here)]

    def done(self, part: Part) -> None:
        """A part is written; with the last one of an archive, its copy may go."""
        key = part.source.key
        self._left[key] -= 1
        if self._left[key] == 0 and key in self._copies and self._arrivals is not None:
            self._arrivals.release(self._copies.pop(key))

    def _parts_of(self, arrival: Arrival) -> Iterator[Part]:
        source, found = arrival.source, arrival.fetched
        self._here[source.key] = replace(source, copy="")
        if arrival.flown:
            self.change()
            tally = {"checked": found.checked, "mended": found.mended, "wrong": found.wrong}
            span = {"size": source.size, "stamp": source.stamp}
            commit(self.run, self.owner, Marker("fetch", source.key_hash, "", {}, 0, tally=tally, span=span), {})
        self._left[source.key] += 1  # the archive itself, until its last part is given out
        for part in parts_of(source, self.part_bytes):
            self._left[source.key] += 1
            yield part
        if source.copy:
            self._copies[source.key] = source
        self.done(Part(source, 0, 0))


def _is_far(place: str) -> bool:
    return "://" in place and not place.startswith(_NEAR)
