"""The barrier stages, driven: clusters, decisions and shards over all parts, each recomputed only when it must be."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from seimai.errors import RunError
from seimai.files import fingerprint

from . import audit, cluster, decide, presets, write
from .dedup import DedupConfig
from .order import Batch, batches, read_entries
from .presets import QualityConfig
from .progress import Progress
from .run import Engine
from .settings import RunConfig
from .state import Marker, commit, forget, marked_parts, read_marker
from .write import OutputConfig, ShardPlan

__all__ = ["Job", "cluster_run", "decide_run", "write_run"]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Job:
    """Where a barrier works, for whom and with what; `changing` is called before the first change."""

    run: Path
    owner: str
    engine: Engine
    progress: Progress
    changing: Callable[[], None]


def cluster_run(job: Job, *, config: RunConfig, rows: int, signatures: str) -> str:
    """Write `clusters/`; returns the fingerprint of the result."""
    run, owner, engine, progress = job.run, job.owner, job.engine, job.progress
    bands = {"bands": config.dedup.bands, "rows": config.dedup.rows}
    made = fingerprint({"version": cluster.VERSION, "bands": bands, "signatures": signatures})
    if _stands(run, "clusters", made):
        return made
    job.changing()
    work = _fresh(run / "work" / "clusters")
    progress.begin("clusters", 3 * rows)
    starts: list[tuple[int, int]] = []
    keys = 0
    split = partial(_split, run=run, work=work, config=config.dedup)
    for batch, count in _all(engine, split, batches(run / "state" / "order.arrow")):
        keys += count
        starts.append((batch.number, batch.first_row))
        progress.advance("clusters", batch.rows)
    ranges = cluster.key_ranges(keys)
    for _ in _all(engine, partial(_edges, work=work, count=len(starts)), ranges):
        progress.advance("clusters", rows // len(ranges))
    if rows:
        engine.run_one(partial(_components, work, len(starts), len(ranges)), rows)
    assign = partial(_assign, run=run, owner=owner, work=work, starts=starts, documents=rows, made=made)
    for batch, _ in _all(engine, assign, batches(run / "state" / "order.arrow")):
        progress.advance("clusters", batch.rows)
    _sweep(run, "clusters")
    shutil.rmtree(work)
    progress.end("clusters")
    return made


def decide_run(job: Job, *, config: RunConfig, rows: int, columns: str) -> str:
    """Write `decisions/` and the audit's sample; returns the fingerprint of the result."""
    run, owner, engine, progress = job.run, job.owner, job.engine, job.progress
    quality = {lang: section.model_dump(mode="json") for lang, section in config.quality.items()}
    made = fingerprint(
        {
            "versions": [decide.VERSION, presets.VERSION],
            "quality": quality,
            "samples": config.output.audit_samples,
            "columns": columns,
        }
    )
    if _stands(run, "decisions", made) and (run / "audit" / "dropped.parquet").exists():
        return made
    job.changing()
    work = _fresh(run / "work" / "decisions")
    progress.begin("decide", 2 * rows)
    ranges = max(1, -(-rows // decide.RANGE_CANDIDATES))
    count = shared = 0
    find = partial(_candidates, run=run, work=work, quality=config.quality, ranges=ranges)
    for batch, found in _all(engine, find, batches(run / "state" / "order.arrow")):
        count, shared = count + 1, shared + found
        progress.advance("decide", batch.rows)
    if shared:
        for _ in _all(engine, partial(_rank, work=work, count=count), range(ranges)):
            pass
    each = partial(
        _decide, run=run, owner=owner, work=work, quality=config.quality, ranges=ranges if shared else 0, made=made,
        samples=config.output.audit_samples,
    )  # fmt: skip
    for batch, _ in _all(engine, each, batches(run / "state" / "order.arrow")):
        progress.advance("decide", batch.rows)
    audit.merge_samples(run, work, count, config.output.audit_samples)
    _sweep(run, "decisions")
    shutil.rmtree(work)
    progress.end("decide")
    return made


def write_run(job: Job, *, config: RunConfig) -> None:
    """Write the shards that are not there yet, and remove the ones no longer in the plan."""
    run, owner, engine, progress = job.run, job.owner, job.engine, job.progress
    settings = config.output.model_dump(mode="json", exclude={"audit_samples"})
    planned: set[str] = set()

    def missing() -> Iterator[tuple[ShardPlan, str]]:
        for plan in write.plan_shards(_kept_bytes(run), config.output.shard_bytes):
            planned.add(plan.name)
            made = fingerprint({"version": write.VERSION, "output": settings, "parts": _digests(run, plan)})
            marker = read_marker(run, "write", plan.name)
            if marker is None or not marker.vouches(run, made):
                job.changing()
                yield plan, made

    progress.begin("write", 0)
    for _, rows in _all(engine, partial(_write, run=run, owner=owner, config=config.output), missing()):
        progress.advance("write", 1, documents=rows)
    for name in marked_parts(run, "write"):
        if name not in planned:
            job.changing()
            forget(run, "write", name)
    progress.end("write")


def _all(engine: Engine, function: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
    """Items with their results; a barrier cannot go on without all of them."""
    for outcome in engine.map(function, items):
        if outcome.error is not None:
            raise RunError(f"{outcome.error}; type the same command again to go on from here")
        yield outcome.item, outcome.result  # type: ignore[misc]


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _stands(run: Path, stage: str, made: str) -> bool:
    """Whether every part has the stage with this fingerprint, and no part has it that should not."""
    for entry in read_entries(run / "state" / "order.arrow"):
        marker = read_marker(run, stage, entry.part)
        if marker is None or not marker.vouches(run, made):
            return False
    return next(_leftovers(run, stage), None) is None


def _leftovers(run: Path, stage: str) -> Iterator[str]:
    """Parts that have the stage and hold no documents any more."""
    for part in marked_parts(run, stage):
        read = read_marker(run, "read", part)
        if read is None or read.rows == 0:
            yield part


def _sweep(run: Path, stage: str) -> None:
    for part in _leftovers(run, stage):
        forget(run, stage, part)


def _kept_bytes(run: Path) -> Iterator[tuple[str, dict[str, int]]]:
    for entry in read_entries(run / "state" / "order.arrow"):
        marker = read_marker(run, "decisions", entry.part)
        if marker is not None:
            yield entry.part, {lang: sums["bytes"] for lang, sums in marker.tally["kept"].items()}


def _digests(run: Path, plan: ShardPlan) -> list[Any]:
    """What a shard is made of: each part's files by digest, and the bytes before it."""
    found = []
    for part, before in plan.parts:
        markers = [read_marker(run, stage, part) for stage in ("read", "signals", "clusters", "decisions")]
        found.append([part, before, [f["sha256"] for m in markers if m is not None for f in m.files]])
    return found


# What runs in a worker: items first, the rest bound by the driver.


def _split(batch: Batch, run: Path, work: Path, config: DedupConfig) -> int:
    return cluster.split_keys(run, work, batch, config)


def _edges(wanted: cluster.KeyRange, work: Path, count: int) -> int:
    return cluster.edges_of_range(work, count, wanted)


def _components(work: Path, count: int, ranges: int, documents: int) -> None:
    cluster.components(work, count, ranges, documents)


def _assign(
    batch: Batch, run: Path, owner: str, work: Path, starts: list[tuple[int, int]], documents: int, made: str
) -> None:
    for entry, table in zip(batch.entries, cluster.assign(run, work, batch, starts, documents), strict=True):
        marker = Marker("clusters", entry.part, made, {}, entry.rows)
        commit(run, owner, marker, {f"clusters/{entry.part}.parquet": table})


def _candidates(batch: Batch, run: Path, work: Path, quality: dict[str, QualityConfig], ranges: int) -> int:
    return decide.candidates(run, work, batch, quality, ranges)


def _rank(number: int, work: Path, count: int) -> None:
    decide.rank_range(work, count, number)


def _decide(
    batch: Batch, run: Path, owner: str, work: Path, quality: dict[str, QualityConfig], ranges: int, made: str,
    samples: int,
) -> None:  # fmt: skip
    for entry in batch.entries:
        decided = decide.decide_part(run, work, entry, quality, ranges)
        marker = Marker("decisions", entry.part, made, {}, entry.rows, tally=decided.tally)
        commit(run, owner, marker, {f"decisions/{entry.part}.parquet": decided.table})
    audit.sample_batch(run, work, batch, samples)


def _write(item: tuple[ShardPlan, str], run: Path, owner: str, config: OutputConfig) -> int:
    plan, made = item
    entries = write.write_shard(run, plan, config, owner)
    commit(run, owner, Marker("write", plan.name, made, {}, sum(e["rows"] for e in entries), files=entries), {})
    return sum(int(e["rows"]) for e in entries)
