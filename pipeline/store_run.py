"""A run whose directory is an object store: the driver keeps a picture of it on its disk, workers need share none.

A task is told which files it reads (`Engine.map`, `needs`); `store_task` does it.
"""

import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from seimai.errors import SeimaiError

from .job import polish
from .object_store import ObjectStore
from .progress import Progress
from .run import PAUSE, RETRIES, Engine, Needs, Outcome
from .run_folder import refuse_foreign
from .run_summary import RunSummary
from .settings import RunConfig
from .store_lock import lease
from .store_picture import Picture
from .store_scratch import forget_copies, new_scratch, sweep
from .store_task import do_call, told

__all__ = ["SCRATCH_BYTES", "polish_at"]

T = TypeVar("T")
R = TypeVar("R")

SCRATCH_BYTES = 20 << 30
"""Copies of objects that a worker process keeps at most, apart from those its task reads."""


def polish_at(
    config: RunConfig,
    url: str,
    *,
    inputs: Sequence[str] = (),
    engine: Engine | None = None,
    rebuild: bool = False,
    check_inputs: bool = False,
    yes: bool = False,
    progress: Progress | None = None,
    scratch: str = "",
    scratch_bytes: int = SCRATCH_BYTES,
) -> RunSummary:
    """`polish` with a run directory at an fsspec URL, where nothing is renamed: a part is there when its marker is.

    `scratch` is a folder for temporary files of the driver and of every worker, by its path on each machine (empty:
    the system's); a worker process keeps copies of at most `scratch_bytes` in it.
    """
    store = ObjectStore(url)
    files, folders = store.folder("")
    refuse_foreign(store.url, (*files, *folders))
    place = new_scratch(scratch)
    try:
        with lease(store) as held:
            picture = Picture(store, place / "run", held, scratch, scratch_bytes)
            picture.pull()
            summary = polish(
                config, picture.root, inputs=inputs, engine=_StoreEngine(engine or Engine(), picture, store.url),
                rebuild=rebuild, check_inputs=check_inputs, yes=yes, progress=progress,
            )  # fmt: skip
            if summary.changed:
                picture.push()
            return replace(summary, out=store.url)
    except SeimaiError as error:
        raise type(error)(told(store.url, str(error))) from None
    finally:
        shutil.rmtree(place, ignore_errors=True)
        sweep(scratch)


class _StoreEngine(Engine):
    """An engine whose tasks find and leave their files in a store."""

    def __init__(self, engine: Engine, picture: Picture, url: str) -> None:
        super().__init__(workers=0)
        self._engine, self._picture, self._url = engine, picture, url

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError, RuntimeError):  # a cluster that is gone has no copies
            self._engine.each_worker(forget_copies)
        self._engine.__exit__(kind, error, trace)

    def start(self) -> None:
        """As `Engine.start`."""
        self._engine.start()

    def map(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        *,
        retries: int = RETRIES,
        priority: int = 0,
        needs: Callable[[T], Needs] | None = None,
    ) -> Iterator[Outcome[T, R]]:
        """As `Engine.map`; a task has the files that `needs` names of its item, and no others."""
        waiting: deque[T] = deque()
        self._picture.begin()

        def calls() -> Iterator[Any]:
            for item in items:
                if item is PAUSE:
                    yield PAUSE
                    continue
                waiting.append(item)
                yield self._picture.call(function, item, needs(item) if needs else Needs())

        for outcome in self._engine.map(do_call, calls(), retries=retries, priority=priority):
            item = waiting.popleft()
            if outcome.result is None:
                yield Outcome(item, None, told(self._url, outcome.error or ""))
            else:
                yield Outcome(item, self._picture.take(outcome.result), None)

    def bring(self, paths: Iterable[Path]) -> None:
        """Fetch what only the store has."""
        self._picture.bring(paths)
