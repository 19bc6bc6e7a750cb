"""Killed drivers and workers, and a cluster of its own: the shards are those of an undisturbed run, byte for byte.

The cases come from `bench/faults.py`, which makes 20 kills of each kind.
"""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from seimai.pipeline.manifest import verify
from seimai.sample.build import build_warc

BENCH = Path(__file__).resolve().parents[2] / "bench" / "faults.py"


@pytest.fixture(scope="module")
def faults() -> Iterator[ModuleType]:
    """The bench script as a module."""
    spec = importlib.util.spec_from_file_location("faults", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["faults"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["faults"]


@pytest.fixture(scope="module")
def job(faults: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run over the sample crawl in eight parts and several shards."""
    archive = tmp_path_factory.mktemp("faults") / "sample.warc.gz"
    build_warc(archive)
    return faults.Job((str(archive),), part_bytes=80_000, shard_bytes=50_000)


@pytest.fixture(scope="module")
def reference(faults: ModuleType, job: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The shards of a run to which nothing happens."""
    out = tmp_path_factory.mktemp("reference") / "run"
    faults.finish(job, out)
    verify(out)
    shards: dict[str, str] = faults.shards(out)
    assert len(shards) > 4
    return shards


def test_killed_drivers(faults: ModuleType, job: Any, reference: dict[str, str], tmp_path: Path) -> None:
    case = faults.Case("driver")
    faults.kill_driver(case, job, tmp_path, reference, kills=2, seed=1, run_s=2.5)
    assert case.killed.total() == 2
    assert case.faults == []


def test_a_killed_worker(faults: ModuleType, job: Any, reference: dict[str, str], tmp_path: Path) -> None:
    case = faults.Case("worker")
    faults.kill_helper(case, job, tmp_path, reference, kind="worker", kills=1, seed=1, gap_s=2.0)
    assert case.killed.total() == 1
    assert case.faults == []


def test_a_separate_scheduler_with_two_workers(
    faults: ModuleType, job: Any, reference: dict[str, str], tmp_path: Path
) -> None:
    with faults.cluster(tmp_path, workers=2) as address:
        there = faults.replace(job, scheduler=address)
        out = tmp_path / "run"
        faults.finish(there, out)
    assert faults.compare(out, reference) == []
