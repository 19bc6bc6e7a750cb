"""The engine: functions over parts on Dask, in a bounded window, no state but tallies; nothing else imports Dask."""

import errno
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, NamedTuple, TypeVar, cast

from seimai.errors import RunError, SeimaiError

from .rate import Answer, Ask, Limiter

__all__ = ["PAUSE", "RETRIES", "Engine", "Needs", "Outcome", "limiter_here", "process_limiter"]

T = TypeVar("T")
R = TypeVar("R")

WINDOW_PER_WORKER = 4
RETRIES = 2
WATCH_S = 5
"""How often a waiting driver looks after its workers."""
ALONE_S = 120
"""How long to ask for workers that die at once before giving up."""
RESTART_S = 60
"""How long to wait for a first worker before giving up."""
PAUSE_S = 0.1

WORKER_DIED = "the worker died each time it was tried (out of memory?)"
_LOCAL_SETTINGS = {
    # Logs that the scheduler and workers keep of every task: at their default length they grow for hours.
    "distributed.admin.log-length": 100,
    "distributed.admin.low-level-log-length": 100,
    "distributed.admin.event-loop": "tornado",
    "distributed.scheduler.dashboard.tasks.task-stream-length": 100,
    "distributed.admin.max-error-length": 2000,
    "distributed.worker.memory.terminate": 0.98,
    # A worker that pauses for its memory waits for results to be fetched; ours hold none, so it would wait for ever.
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.target": False,
    # A worker that is gone for so long (restarting takes 2 s) is given up, and another one asked for.
    "distributed.deploy.lost-worker-timeout": "20s",
    # Deaths of its worker a task may see: it counts for all tasks of the worker, guilty or not (see _settled).
    "distributed.scheduler.allowed-failures": 3,
}


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T, R]):
    """An item and its result, or the error (one line) that stayed after all retries."""

    item: T
    result: R | None
    error: str | None


class Needs(NamedTuple):
    """Files of a run directory that a task reads, those there are; the last name of a path may have wildcards.

    Of `sizes` it looks at the sizes only.
    """

    files: Sequence[Path] = ()
    sizes: Sequence[Path] = ()


class Engine:
    """Runs functions on a LocalCluster, on a cluster that stands already, or (`workers=0`) in this process.

    The cluster starts with the first `map`, so that a run with nothing to do costs nothing.
    """

    def __init__(self, *, workers: int | None = None, scheduler: str | None = None, memory_limit: str = "auto") -> None:
        self._workers = min(os.cpu_count() or 1, 64) if workers is None else workers
        self._scheduler, self._memory_limit = scheduler, memory_limit
        self._client: Any = None
        self._cluster: Any = None

    def __enter__(self) -> "Engine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._scheduler:
            process_limiter().forward = None
        for part in (self._client, self._cluster):
            if part is not None:
                part.close()
        self._client = self._cluster = None

    def dashboard(self) -> str | None:
        """Address of the dashboard of a cluster that stands already (connects to it); a LocalCluster has none."""
        return str(self._start().dashboard_link) if self._scheduler else None

    def start(self) -> None:
        """Start the cluster now; else it starts with the first item of a map."""
        if self._workers or self._scheduler:
            self._start()

    def map(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        *,
        retries: int = RETRIES,
        priority: int = 0,
        needs: Callable[[T], Needs] | None = None,
    ) -> Iterator[Outcome[T, R]]:
        """`function` of every item, in the order of the items; a few per worker are under way at any time.

        `needs` names the files that an item's task reads of a run directory; nobody asks where workers share a disk.

        Where `items` gives PAUSE, nothing more is there yet: what is under way is looked after meanwhile.
        An item whose task fails, or kills its worker, is tried again; what fails still is an Outcome with its error.
        Errors of ours (SeimaiError) and a full disk end the map: trying again would not help.
        """
        if self._workers == 0 and self._scheduler is None:
            for item in items:
                if item is PAUSE:
                    time.sleep(PAUSE_S)
                else:
                    yield _here(function, item)
            return
        source = iter(items)
        following = next(source, _END)
        if following is _END:
            return
        client = self._start()

        def submit(item: T) -> Any:
            return client.submit(function, item, pure=False, retries=retries, priority=priority)

        waiting: deque[tuple[T, Any]] = deque()
        window = WINDOW_PER_WORKER
        try:
            while waiting or following is not _END:
                if following is PAUSE:
                    if waiting:
                        yield self._settled(*waiting.popleft(), submit, waiting)
                    else:
                        time.sleep(PAUSE_S)
                    following = next(source, _END)
                    continue
                if following is not _END and len(waiting) < window:
                    waiting.append((following, submit(following)))
                    following = next(source, _END)
                    continue
                yield self._settled(*waiting.popleft(), submit, waiting)
                window = WINDOW_PER_WORKER * max(1, self._living())
        finally:
            client.cancel([future for _, future in waiting], force=True)

    def bring(self, paths: Iterable[Path]) -> None:
        """Make files of a run directory (patterns) readable for the driver: on a disk they are."""

    def each_worker(self, function: Callable[[], None]) -> None:
        """Call a function once in every worker process there is, or here without any."""
        if self._client is not None:
            self._client.run(function)
        elif self._workers == 0 and self._scheduler is None:
            function()

    def results(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """`function` of every item like the builtin `map`; what fails is told by a RunError when the rest is done."""
        failed = 0
        first = ""
        for outcome in self.map(function, items):
            if outcome.error is None:
                yield outcome.result  # type: ignore[misc]
            else:
                failed, first = failed + 1, first or outcome.error
        if failed:
            raise RunError(
                f"{failed} tasks failed, the first with {first}; the rest is done, type the same command again for them"
            )

    def run_one(self, function: Callable[[T], R], item: T, needs: Callable[[T], Needs] | None = None) -> R:
        """`function` of one item on the cluster; raises RunError when it fails for good."""
        outcome = next(iter(self.map(function, [item], needs=needs)))
        if outcome.error is not None:
            raise RunError(outcome.error)
        return outcome.result  # type: ignore[return-value]

    def _settled(
        self, item: T, future: Any, submit: Callable[[T], Any], others: Iterable[tuple[T, Any]]
    ) -> Outcome[T, R]:
        """The outcome of an item; where its workers died, that of trying it once more with nothing beside it.

        The scheduler blames every task of a dead worker, also the one that only waited behind the guilty one.
        """
        self._await(future)
        outcome = _outcome(item, future)
        if outcome.error != WORKER_DIED:
            return outcome
        for _, other in others:
            self._await(other)
        again = submit(item)
        self._await(again)
        return _outcome(item, again)

    def _await(self, future: Any) -> None:
        """Wait for a future and look after the workers meanwhile."""
        from distributed import wait

        alone = 0
        while alone * WATCH_S < ALONE_S:
            try:
                wait([future], timeout=WATCH_S)
                return
            except CancelledError:  # nobody here cancels what is waited for
                raise RunError(
                    f"the connection to the Dask scheduler {self._scheduler or ''} is lost; see that it runs, "
                    "then type the same command again"
                ) from None
            except TimeoutError:
                alone = 0 if self._living() or self._cluster is None else alone + 1
        raise RunError(f"no worker process lived for {ALONE_S} s; look at the memory of this machine and try again")

    def _living(self) -> int:
        """How many workers there are; Dask is asked again for those of ours that it gave up as slow to restart."""
        workers = len(self._client.nthreads())
        if self._cluster is not None and workers < self._workers:
            self._cluster.scale(self._workers)
        return workers

    def _start(self) -> Any:
        if self._client is None:
            self._client = self._connect() if self._scheduler else self._local()
        return self._client

    def _local(self) -> Any:
        import logging

        import dask
        from distributed import Client, LocalCluster

        dask.config.set(_LOCAL_SETTINGS)
        settings = {"n_workers": self._workers, "threads_per_worker": 1, "memory_limit": self._memory_limit}
        with _interrupts_ignored():
            try:
                self._cluster = LocalCluster(dashboard_address=":0", silence_logs=logging.CRITICAL, **settings)
            except (RuntimeError, OSError, TimeoutError) as error:
                raise RunError(f"the workers do not start ({error}); type the same again, or use --workers 0") from None
        self._cluster.scheduler.handlers["seimai_rate"] = _answer_with(process_limiter())
        return Client(self._cluster)

    def _connect(self) -> Any:
        import logging

        from distributed import Client

        for handler in logging.getLogger("distributed").handlers:
            handler.setLevel(logging.CRITICAL)  # as for a LocalCluster: what goes wrong is told by this class
        try:
            client = Client(self._scheduler, timeout=10)
        except (OSError, ValueError) as error:
            raise RunError(
                f"--scheduler {self._scheduler}: no Dask scheduler answers there ({error}); "
                "start one with `dask scheduler`"
            ) from None
        try:
            client.wait_for_workers(1, timeout=RESTART_S)
        except TimeoutError:
            client.close()
            raise RunError(
                f"--scheduler {self._scheduler}: no worker joined in {RESTART_S} s; "
                f"start `dask worker {self._scheduler}`"
            ) from None
        _check_versions(client, str(self._scheduler))
        client.run_on_scheduler(_limit_here)
        rpc = cast(Any, client)  # its scheduler is typed as if it might be none
        process_limiter().forward = lambda message: rpc.sync(rpc.scheduler.seimai_rate, message=message)
        return client


_END: Any = object()
PAUSE: Any = object()
"""An item that says: nothing to do yet, ask again."""


@lru_cache(maxsize=1)
def process_limiter() -> Limiter:
    """The limiter of this process: a host does not care which of a machine's runs asks it."""
    return Limiter()


def limiter_here() -> Ask:
    """Who gives this process its start times: the scheduler of the cluster it works for, else its own limiter."""
    if "distributed" in sys.modules:
        from distributed import get_worker

        try:
            worker = get_worker()
        except ValueError:
            return process_limiter().answer
        return partial(_ask_scheduler, worker)
    return process_limiter().answer


def _ask_scheduler(worker: Any, message: dict[str, Any]) -> Answer:
    """Ask the scheduler's limiter from a task."""
    from distributed.utils import sync

    scheduler = cast(Any, worker.scheduler)
    found: Answer = sync(worker.loop, scheduler.seimai_rate, message=message)
    return found


def _limit_here(dask_scheduler: Any) -> None:
    """Let a scheduler give start times; the first run that joins it brings the limiter, the others share it."""
    dask_scheduler.handlers.setdefault("seimai_rate", _answer_with(Limiter()))


def _answer_with(limiter: Limiter) -> Callable[..., Answer]:
    def seimai_rate(message: dict[str, Any]) -> Answer:
        return limiter.answer(message)

    return seimai_rate


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes started meanwhile ignore Ctrl-C, which a terminal sends to all: the driver closes them itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _here(function: Callable[[T], R], item: T) -> Outcome[T, R]:
    """The outcome of a call in this process: what fails is reported as on a cluster, without trying again."""
    try:
        return Outcome(item, function(item), None)
    except SeimaiError:
        raise
    except Exception as error:  # as below
        return _failed(item, error)


def _failed(item: T, error: Exception) -> Outcome[T, Any]:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise RunError(f"{error.filename or 'disk'}: no space left; free some, then type the same again") from None
    return Outcome(item, None, " ".join(f"{type(error).__name__}: {error}".split()))


def _outcome(item: T, future: Any) -> Outcome[T, Any]:
    from distributed.scheduler import KilledWorker

    try:
        return Outcome(item, future.result(), None)
    except SeimaiError:
        raise
    except KilledWorker:
        return Outcome(item, None, WORKER_DIED)
    except Exception as error:  # any error of a task is an outcome, reported with its item
        return _failed(item, error)


def _versions() -> dict[str, str]:
    from seimai import __version__

    from .settings import package_versions

    return {"seimai": __version__, **package_versions()}


def _check_versions(client: Any, address: str) -> None:
    """All workers must have our versions: another one may write other bytes."""
    ours = _versions()
    for worker, theirs in sorted(client.run(_versions).items()):
        for name in sorted(ours):
            if theirs.get(name) != ours[name]:
                raise RunError(
                    f"--scheduler {address}: worker {worker} has {name} {theirs.get(name)}, this machine {ours[name]}; "
                    "install the same versions"
                )
