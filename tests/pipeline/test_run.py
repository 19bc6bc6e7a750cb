"""The engine: results in order, errors as outcomes, dead workers replaced; the same calls work without a cluster."""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from distributed.scheduler import KilledWorker

from seimai.errors import InputError, RunError
from seimai.pipeline import run
from seimai.pipeline.run import WORKER_DIED, Engine, Outcome

# What workers run must be importable there; they inherit the driver's import path.
TASKS = """
import errno, os, time
from pathlib import Path
from seimai.errors import InputError

def work(item):
    if item.startswith("slow"):
        time.sleep(0.2)
    if item == "raise":
        raise ValueError("first line\\nsecond line")
    if item == "kill":
        os._exit(3)
    if item == "mine":
        raise InputError("x.warc.gz: is gone; put it back")
    if item == "full":
        raise OSError(errno.ENOSPC, "No space left on device", "/run/documents")
    if item.startswith("once "):
        mark = Path(item[5:])
        if not mark.exists():
            mark.touch()
            raise ConnectionError("a moment's trouble")
    return f"{item}!"

def process_id(_):
    return os.getpid()
"""

Work = Callable[[str], str]


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """A module of tasks: `work` gives a name back, other words stand for what may happen to a task."""
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "seimai_engine_tasks.py").write_text(TASKS)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("seimai_engine_tasks")
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def work(tasks: ModuleType) -> Work:
    """What the items go through."""
    function: Work = tasks.work
    return function


@pytest.fixture(scope="module", params=[0, 2])
def engine(request: pytest.FixtureRequest, tasks: ModuleType) -> Iterator[Engine]:
    with Engine(workers=request.param) as started:
        yield started


def test_results_come_in_the_order_of_the_items(engine: Engine, work: Work) -> None:
    items = ["slow a", "b", "slow c", *(f"item {n}" for n in range(40))]
    assert list(engine.map(work, iter(items))) == [Outcome(item, f"{item}!", None) for item in items]


def test_an_error_is_an_outcome_of_one_line(engine: Engine, work: Work) -> None:
    outcomes = list(engine.map(work, ["a", "raise", "b"]))
    assert [outcome.result for outcome in outcomes] == ["a!", None, "b!"]
    assert [outcome.error for outcome in outcomes] == [None, "ValueError: first line second line", None]


@pytest.mark.parametrize(
    ("item", "error", "words"),
    [("mine", InputError, "is gone; put it back"), ("full", RunError, "/run/documents: no space left")],
)
def test_what_trying_again_cannot_mend_ends_the_map(
    engine: Engine, work: Work, item: str, error: type[Exception], words: str
) -> None:
    outcomes = engine.map(work, ["a", item, "b"])
    assert next(outcomes).result == "a!"
    with pytest.raises(error, match=words):
        next(outcomes)
    assert [outcome.result for outcome in engine.map(work, ["c"])] == ["c!"]


def test_items_are_taken_as_they_are_needed(engine: Engine, work: Work) -> None:
    """A million parts must not wait in memory: a few per worker are under way."""
    taken = 0

    def items() -> Iterator[str]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield f"item {number}"

    outcomes = engine.map(work, items())
    for _ in range(30):
        next(outcomes)
    assert taken <= 30 + 2 * run.WINDOW_PER_WORKER + 1
    outcomes.close()  # type: ignore[attr-defined]


def test_run_one(engine: Engine, work: Work) -> None:
    assert engine.run_one(work, "a") == "a!"
    with pytest.raises(RunError, match="ValueError: first line second line"):
        engine.run_one(work, "raise")


def test_trouble_that_passes_is_tried_again(tmp_path: Path, work: Work) -> None:
    with Engine(workers=1) as engine:
        item = f"once {tmp_path / 'mark'}"
        assert list(engine.map(work, [item])) == [Outcome(item, f"{item}!", None)]
        # The same cluster: a task that kills its worker costs itself, and everything else is finished.
        items = ["a", "kill", *(f"item {n}" for n in range(12))]
        outcomes = list(engine.map(work, items))
        assert [outcome.item for outcome in outcomes] == items
        assert [outcome.error for outcome in outcomes if outcome.item != "kill"] == [None] * 13
        (killed,) = [outcome for outcome in outcomes if outcome.item == "kill"]
        assert killed.result is None
        assert "worker died" in str(killed.error)


class Blaming:
    """A client whose scheduler blames the task beside the guilty one as well, the first time it is tried."""

    def __init__(self) -> None:
        self.tried: list[str] = []

    def submit(self, function: Work, item: str, **_: object) -> Future[str]:
        self.tried.append(item)
        future: Future[str] = Future()
        if item == "kill" or (item == "beside" and self.tried.count(item) == 1):
            future.set_exception(KilledWorker(item, cast(Any, None), 3))
        else:
            future.set_result(function(item))
        return future

    def cancel(self, futures: Sequence[object], force: bool) -> None:
        assert not futures


def test_who_was_beside_a_guilty_task_is_tried_alone(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Blaming()
    monkeypatch.setattr(Engine, "_start", lambda self: client)
    monkeypatch.setattr(Engine, "_await", lambda self, future: future.exception())
    monkeypatch.setattr(Engine, "_living", lambda self: 1)

    outcomes = list(Engine(workers=1).map(work, ["a", "kill", "beside", "b"]))

    assert outcomes == [
        Outcome("a", "a!", None),
        Outcome("kill", None, WORKER_DIED),
        Outcome("beside", "beside!", None),
        Outcome("b", "b!", None),
    ]
    assert sorted(client.tried) == ["a", "b", "beside", "beside", "kill", "kill"]


def test_workers_are_processes_or_this_one(engine: Engine, tasks: ModuleType) -> None:
    found = {outcome.result for outcome in engine.map(tasks.process_id, range(20))}
    assert (found == {os.getpid()}) == (engine._workers == 0)
    assert len(found) <= max(1, engine._workers)


def test_nothing_to_do_starts_no_cluster(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "_start", None)
    with Engine(workers=2) as engine:
        assert list(engine.map(work, [])) == []
        assert engine.dashboard() is None


NO_DASK = """
import sys
from seimai.pipeline.run import Engine
with Engine(workers=0) as engine:
    assert [outcome.result for outcome in engine.map(str, [1, 2])] == ["1", "2"]
with Engine(workers=2) as engine:
    assert list(engine.map(str, [])) == []
print([name for name in ("dask", "distributed", "torch", "numba") if name in sys.modules])
"""


def test_without_workers_no_dask_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", NO_DASK], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_scheduler_that_does_not_answer_is_one_line(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    import distributed

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("Timed out trying to connect")

    monkeypatch.setattr(distributed, "Client", refuse)
    with Engine(scheduler="tcp://127.0.0.1:1") as engine, pytest.raises(RunError, match="no Dask scheduler answers"):
        list(engine.map(work, ["a"]))


def test_workers_with_other_versions_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class FakeClient:
        """A cluster whose second worker has another pyarrow."""

        def run(self, function: Any) -> dict[str, dict[str, str]]:
            ours = function()
            return {"tcp://a:1": ours, "tcp://b:1": {**ours, "pyarrow": "0.1"}}

    with pytest.raises(RunError, match=r"worker tcp://b:1 has pyarrow 0\.1, this machine .*install the same versions"):
        run._check_versions(FakeClient(), "tcp://s:1")
