"""The barrier stages, driven: clusters, decisions and shards over all parts, each recomputed only when it must be."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import pyarrow as pa

from seimai.errors import RunError
from seimai.files import fingerprint

from . import (
    audit,
    cluster,
    decide,
    edits,
    index_source,
    line_rules,
    needs,
    order,
    pii,
    presets,
    repeated_lines,
    shingles,
    write,
)
from .cluster_source import RunSource
from .components import blocks_of
from .dedup_index import DedupIndex, open_index
from .document import CLUSTER_COLUMNS, INDEX_COLUMNS, schema
from .edits import STEPS
from .order import Batch, batches, read_entries
from .pii import PiiConfig
from .presets import QualityConfig
from .progress import Progress
from .repeated_lines import Search
from .run import Engine, Needs
from .settings import RunConfig
from .state import Marker, commit, forget, marked_parts, read_marker
from .write import OutputConfig, ShardPlan

__all__ = ["Job", "cluster_run", "decide_run", "repeated_run", "write_run"]

STEPS_VERIFIED, STEPS_UNVERIFIED = 9, 7
"""Passes of clustering over the documents, as the progress bar counts them."""

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


def repeated_run(job: Job, *, config: RunConfig, rows: int, lines: str) -> str:
    """Write the edits of repeated lines; returns the fingerprint of the result.

    `lines` is a digest of the documents and of the line rules' edits.
    """
    run, owner, engine, progress = job.run, job.owner, job.engine, job.progress
    settings = config.cleaning.model_dump(mode="json", exclude={"line_rules", "memory_mb"})
    versions = [repeated_lines.VERSION, line_rules.VERSION, edits.VERSION]
    made = fingerprint({"versions": versions, "settings": settings, "lines": lines})
    if _stands(run, "repeated_lines", made):
        return made
    job.changing()
    search = repeated_lines.Search(run, _fresh(run / "work" / "repeated_lines"), config.cleaning)
    progress.begin("repeated lines", 2 * rows)
    files: list[int] = []
    sums = dict.fromkeys(("lines", "hosts", "copies"), 0)
    count = partial(_count_lines, search=search)
    counting = partial(needs.of_texts, search=search)
    for batch, (made_files, found) in _all(engine, count, batches(run / "state" / "order.arrow"), counting):
        files.append(sum(files[-1:]) + made_files)
        sums = {kind: sums[kind] + found[kind] for kind in sums}
        progress.advance("repeated lines", batch.rows)
    ranges = {kind: max(1, -(-total // search.rows)) for kind, total in sums.items()}
    by_kind = {
        "hosts": partial(_large_hosts, search=search, ranges=ranges["hosts"]),
        "lines": partial(_repeated, search=search, ranges=ranges["lines"], host_ranges=ranges["hosts"]),
        "copies": partial(_copied, search=search, ranges=ranges["copies"]),
    }
    for kind, function in by_kind.items():
        for _ in _all(engine, function, range(ranges[kind]), needs.of_range(search.work, f"{kind}-*", "large-*")):
            pass
    cut = partial(_cut_lines, search=search, owner=owner, made=made, files=[0, *files], ranges=ranges)
    cutting = partial(needs.of_cutting, search=search)
    for batch, _ in _all(engine, cut, batches(run / "state" / "order.arrow"), cutting):
        progress.advance("repeated lines", batch.rows)
    _sweep(run, "repeated_lines")
    shutil.rmtree(search.work)
    progress.end("repeated lines")
    return made


def cluster_run(job: Job, *, config: RunConfig, rows: int, signatures: str, columns: str) -> str:
    """Write `clusters/`; returns the fingerprint of the result.

    `signatures` and `columns` are digests of the signatures, and of everything else that documents are chosen by.
    """
    run, owner, engine, progress = job.run, job.owner, job.engine, job.progress
    index = open_index(Path(config.dedup.index), config.dedup) if config.dedup.index else None
    parts = _clustering_parts(config, columns) | ({"index": index.digest} if index else {})
    made = fingerprint({**parts, "signatures": signatures})
    if _stands(run, "clusters", made):
        return made
    job.changing()
    memory_bytes = config.dedup.memory_mb * 1_000_000
    # What stands of a killed run's work is gone on with, if it was cut into the same pieces.
    place = run / "work" / "clusters"
    work = place / fingerprint([made, memory_bytes, order.BATCH_ROWS, order.BATCH_PARTS])[:16]
    for other in place.iterdir() if place.exists() else ():
        if other != work:
            shutil.rmtree(other)
    work.mkdir(parents=True, exist_ok=True)
    task = _clustering(run, work, config, index)
    former = list(index_source.former_batches(index)) if index else []
    former_rows = index.rows if index else 0
    progress.begin("clusters", (STEPS_VERIFIED if config.dedup.verify else STEPS_UNVERIFIED) * rows)

    def everywhere(function: Callable[[T], R], items: Iterable[T], step: str) -> Iterator[R]:
        yield from (found for _, found in _all(engine, function, items, needs.of_cluster_step(task, run, step)))
        progress.advance("clusters", rows)

    def gather() -> Iterator[Batch]:
        yield from former
        yield from fresh()

    def fresh() -> Iterator[Batch]:
        own = batches(run / "state" / "order.arrow")
        return (index_source.shifted(batch, len(former), former_rows) for batch in own)

    found = cluster.find_clusters(task, gather, everywhere)
    tally = {name: found.get(name, 0) for name in ("documents", "same_text", "same_url", "compared", "cut")}
    tally["documents"] -= sum(int(piece["documents"]) for piece in index.head["pieces"]) if index else 0
    spans = [range(batch.first_row, batch.first_row + batch.rows) for batch in gather()]
    assigning = partial(needs.of_assigning, job=task)
    if rows:
        for _ in _all(engine, partial(_count_former, task=task, spans=spans), former, assigning):
            pass
    assign = partial(
        _assign, run=run, owner=owner, task=task, spans=spans, made=made, tally=tally, former=len(former)
    )  # fmt: skip
    for batch, _ in _all(engine, assign, fresh(), assigning):
        progress.advance("clusters", batch.rows)
    _sweep(run, "clusters")
    shutil.rmtree(place)
    progress.end("clusters")
    return made


def _clustering(run: Path, work: Path, config: RunConfig, index: DedupIndex | None) -> cluster.Clustering:
    """What is to be clustered and how; with an index, what it holds decides how candidates are verified."""
    dedup, shape = config.dedup, config.dedup.shape
    threshold = dedup.threshold if dedup.verify else None
    source: cluster.Source = RunSource(run, dedup, config.quality)
    if index is not None:
        source = index_source.JoinedSource(
            index.root.absolute(), index.rows, index.verification, RunSource(run, dedup, config.quality)
        )
        if threshold is not None and index.verification == "estimated":
            threshold = index_source.estimate_threshold(threshold, dedup.num_perm)
    memory_bytes = dedup.memory_mb * 1_000_000
    return cluster.Clustering(work, source, shape.bands, shape.rows, dedup.num_perm, threshold, memory_bytes)


def _clustering_parts(config: RunConfig, columns: str) -> dict[str, Any]:
    """What clusters follow from, apart from the signatures."""
    dedup = config.dedup
    parts: dict[str, Any] = {
        "versions": [cluster.VERSION, shingles.VERSION],
        "shape": [dedup.shape.bands, dedup.shape.rows],
        "threshold": dedup.threshold if dedup.verify else None,
        "where": [dedup.same_url, dedup.within, dedup.scope],
    }
    if dedup.same_url or dedup.within != "everything" or dedup.scope == "after":
        parts["columns"] = columns
    if dedup.scope == "after":
        parts["quality"] = {lang: section.model_dump(mode="json") for lang, section in config.quality.items()}
        parts["presets"] = presets.VERSION
    return parts


def decide_run(job: Job, *, config: RunConfig, rows: int, columns: str) -> str:
    """Write `decisions/` and the audit's sample; returns the fingerprint of the result."""
    run, owner, engine, progress = job.run, job.owner, job.engine, job.progress
    quality = {lang: section.model_dump(mode="json") for lang, section in config.quality.items()}
    made = fingerprint(
        {
            "versions": [decide.VERSION, presets.VERSION],
            "quality": quality,
            "samples": config.output.audit_samples,
            "keep": config.dedup.keep,
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
    judging = partial(needs.of_candidates, run=run)
    for batch, found in _all(engine, find, batches(run / "state" / "order.arrow"), judging):
        count, shared = count + 1, shared + found
        progress.advance("decide", batch.rows)
    if shared:
        ranking = needs.of_range(work, "candidates-*-{:04d}.arrow")
        for _ in _all(engine, partial(_rank, work=work, count=count), range(ranges), ranking):
            pass
    each = partial(
        _decide, run=run, owner=owner, work=work, quality=config.quality, ranges=ranges if shared else 0, made=made,
        samples=config.output.audit_samples, keep=config.dedup.keep,
    )  # fmt: skip
    deciding = partial(needs.of_deciding, run=run, work=work)
    for batch, _ in _all(engine, each, batches(run / "state" / "order.arrow"), deciding):
        progress.advance("decide", batch.rows)
    engine.bring([work / "audit-*.json"])
    audit.merge_samples(run, work, count, config.output.audit_samples)
    _sweep(run, "decisions")
    shutil.rmtree(work)
    progress.end("decide")
    return made


def write_run(job: Job, *, config: RunConfig) -> None:
    """Write the shards that are not there yet, and remove the ones no longer in the plan."""
    run, owner, engine, progress = job.run, job.owner, job.engine, job.progress
    settings = config.output.model_dump(mode="json", exclude={"audit_samples"})
    mask, versions = sorted(set(config.pii.mask)), [write.VERSION, edits.VERSION, pii.VERSION]
    planned: set[str] = set()

    def missing() -> Iterator[tuple[ShardPlan, str]]:
        for plan in write.plan_shards(_kept_bytes(run), config.output.shard_bytes):
            planned.add(plan.name)
            made = fingerprint({"versions": versions, "output": settings, "mask": mask, "parts": _digests(run, plan)})
            marker = read_marker(run, "write", plan.name)
            if marker is None or not marker.vouches(run, made):
                job.changing()
                yield plan, made

    progress.begin("write", 0)
    writing = partial(_write, run=run, owner=owner, config=config.output, masking=config.pii)
    for _, rows in _all(engine, writing, missing(), partial(needs.of_shard, run=run)):
        progress.advance("write", 1, documents=rows)
    for name in marked_parts(run, "write"):
        if name not in planned:
            job.changing()
            forget(run, "write", name)
    progress.end("write")


def _all(
    engine: Engine, function: Callable[[T], R], items: Iterable[T], needs_of: Callable[[T], Needs]
) -> Iterator[tuple[T, R]]:
    """Items with their results; a barrier cannot go on without all of them."""
    for outcome in engine.map(function, items, needs=needs_of):
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
        markers = [read_marker(run, stage, part) for stage in ("read", *STEPS, "signals", "clusters", "decisions")]
        found.append([part, before, [f["sha256"] for m in markers if m is not None for f in m.files]])
    return found


# What runs in a worker: items first, the rest bound by the driver.


def _count_lines(batch: Batch, search: Search) -> tuple[int, dict[str, int]]:
    return repeated_lines.split_batch(batch, search)


def _large_hosts(number: int, search: Search, ranges: int) -> int:
    return repeated_lines.hosts_of_range(number, search, ranges)


def _repeated(number: int, search: Search, ranges: int, host_ranges: int) -> int:
    return repeated_lines.lines_of_range(number, search, ranges, host_ranges)


def _copied(number: int, search: Search, ranges: int) -> int:
    return repeated_lines.copies_of_range(number, search, ranges)


def _cut_lines(batch: Batch, search: Search, owner: str, made: str, files: list[int], ranges: dict[str, int]) -> None:
    for entry, table in repeated_lines.edits_of_batch(batch, search, files[batch.number], ranges):
        marker = Marker("repeated_lines", entry.part, made, {}, entry.rows, tally=line_rules.cut_tally(table))
        tables = {edits.edit_path("repeated_lines", entry.part): table} if len(table) else {}
        commit(search.run, owner, marker, tables)


def _assign(
    batch: Batch, run: Path, owner: str, task: cluster.Clustering, spans: list[range], made: str,
    tally: dict[str, int], former: int,
) -> None:  # fmt: skip
    table = cluster.cluster_table(task, batch, spans).cast(schema(CLUSTER_COLUMNS))
    if former:
        counts = index_source.former_of_rows(batch, task, blocks_of(spans, task.memory_bytes), former)
        counted = pa.array(counts, mask=table["cluster_size"].is_null().to_numpy())
        table = table.append_column(schema(INDEX_COLUMNS).field(0), counted)
    tell = batch.number == former
    for entry in batch.entries:
        # Tallies are summed over markers, so the run's stands in one of them.
        own = tally if tell and entry.first_row == batch.first_row else {}
        marker = Marker("clusters", entry.part, made, {}, entry.rows, tally=own)
        part = table.slice(entry.first_row - batch.first_row, entry.rows)
        commit(run, owner, marker, {f"clusters/{entry.part}.parquet": part})


def _count_former(batch: Batch, task: cluster.Clustering, spans: list[range]) -> None:
    index_source.count_former(batch, task, blocks_of(spans, task.memory_bytes))


def _candidates(batch: Batch, run: Path, work: Path, quality: dict[str, QualityConfig], ranges: int) -> int:
    return decide.candidates(run, work, batch, quality, ranges)


def _rank(number: int, work: Path, count: int) -> None:
    decide.rank_range(work, count, number)


def _decide(
    batch: Batch, run: Path, owner: str, work: Path, quality: dict[str, QualityConfig], ranges: int, made: str,
    samples: int, keep: int | Literal["rehydrate"],
) -> None:  # fmt: skip
    for entry in batch.entries:
        decided = decide.decide_part(run, work, entry, quality, ranges, keep)
        marker = Marker("decisions", entry.part, made, {}, entry.rows, tally=decided.tally)
        commit(run, owner, marker, {f"decisions/{entry.part}.parquet": decided.table})
    audit.sample_batch(run, work, batch, samples)


def _write(item: tuple[ShardPlan, str], run: Path, owner: str, config: OutputConfig, masking: PiiConfig) -> int:
    plan, made = item
    entries = write.write_shard(run, plan, config, owner, masking)
    commit(run, owner, Marker("write", plan.name, made, {}, sum(e["rows"] for e in entries), files=entries), {})
    return sum(int(e["rows"]) for e in entries)
