"""The tasks of counting, each pure but for its files: survey a slice, count a slice, add up a range."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from seimai.files import atomic, sha256_file
from seimai.pipeline.state import Marker, commit, forget, read_marker, still_owned

from .count_map import OTHER, choose, count_runs
from .count_merge import Range, merge_range
from .count_sample import READ_CHARS, survey
from .sources import Shard, batches

__all__ = ["Plan", "Slice", "Span", "count_slice", "done", "merge_span", "survey_slice"]


@dataclass(frozen=True)
class Plan:
    """What all tasks of one counting share."""

    out: Path
    owner: str
    """Token of the lock: a task of a killed driver must not write into its successor's directory."""
    pattern: str
    seed: int
    host_cap: int
    analyser: str = ""
    langs: tuple[str, ...] = ()
    below: tuple[tuple[str, int], ...] = ()
    """Threshold by language."""


@dataclass(frozen=True)
class Slice:
    """A slice of a source with its name among all of them, and what its files depend on."""

    part: str
    shard: Shard
    mark: str
    """Fingerprint."""


@dataclass(frozen=True)
class Span:
    """A range of pre-tokens over the runs of all slices."""

    part: str
    bounds: Range
    runs: tuple[str, ...]
    """Paths relative to the directory."""
    mark: str
    """Fingerprint."""


def done(plan: Plan, stage: str, part: str, mark: str) -> Marker | None:
    """The marker of a stage of a part if it stands as `mark` says, whole; else what is there is taken away."""
    marker = read_marker(plan.out, stage, part)
    if marker is not None and marker.vouches(plan.out, mark):
        return marker
    forget(plan.out, stage, part)
    return None


def survey_slice(item: Slice, plan: Plan) -> str:
    """Write what a slice holds, by language; returns its name."""
    table = survey(item.shard, plan.seed)
    marker = Marker("survey", item.part, item.mark, {}, table.num_rows)
    commit(plan.out, plan.owner, marker, {f"survey/{item.part}.parquet": table})
    return item.part


def count_slice(item: Slice, plan: Plan) -> str:
    """Write the runs of a slice, with documents and bytes counted by language in the marker; returns its name."""
    tally: dict[str, Any] = {lang: {"documents": 0, "bytes": 0} for lang in plan.langs}
    chosen = _counted(_chosen(item.shard, plan), plan.langs, tally)
    runs = count_runs(chosen, pattern=plan.pattern, langs=plan.langs, cap=plan.host_cap, analyser=plan.analyser)
    marker = Marker("count", item.part, item.mark, {}, 0, tally=tally)
    for number, run in enumerate(runs):
        entry = _written(plan, f"runs/{item.part}-{number:04d}.arrow", run)
        marker = replace(marker, files=[*marker.files, entry], rows=marker.rows + run.num_rows)
    commit(plan.out, plan.owner, marker, {})
    return item.part


def merge_span(item: Span, plan: Plan) -> str:
    """Write the sums of a range, with the bytes counted by language in the marker; returns its name."""
    table = merge_range([plan.out / name for name in item.runs], item.bounds, plan.langs, plan.host_cap)
    n_bytes = pc.binary_length(table["pretoken"])
    mass = {lang: pc.sum(pc.multiply(table[f"count_{lang}"], n_bytes)).as_py() or 0 for lang in plan.langs}
    total = pc.max(_total(table, plan.langs)).as_py() or 0
    entry = _written(plan, f"merged/{item.part}.arrow", table)
    tally = {"mass": mass, "largest": total}
    commit(plan.out, plan.owner, Marker("merge", item.part, item.mark, {}, table.num_rows, [entry], tally), {})
    return item.part


def _written(plan: Plan, name: str, table: pa.Table) -> dict[str, Any]:
    """Write a table that is read once more and then removed, as it lies in memory; returns its entry for the marker."""
    with atomic(plan.out / name) as path:
        with pa.ipc.new_file(str(path), table.schema) as file:
            file.write_table(table)
        entry = {"path": name, "bytes": path.stat().st_size, "sha256": sha256_file(path)}
        still_owned(plan.out, plan.owner)
    return entry


def _total(table: pa.Table, langs: Sequence[str]) -> pa.ChunkedArray:
    total = table[f"count_{langs[0]}"]
    for lang in langs[1:]:
        total = pc.add(total, table[f"count_{lang}"])
    return total


def _chosen(shard: Shard, plan: Plan) -> Iterator[pa.RecordBatch]:
    below = dict(plan.below)
    for batch in batches(shard, ("id", "split", "text", "lang", "host", "n_bytes"), max_chars=READ_CHARS):
        yield choose(batch, below, plan.seed)


def _counted(chosen: Iterator[pa.RecordBatch], langs: Sequence[str], tally: dict[str, Any]) -> Iterator[pa.RecordBatch]:
    """The same batches; their documents and bytes are added to the tally."""
    for batch in chosen:
        names = batch.column("lang").fill_null("und")
        for lang in names.unique().to_pylist():
            own = batch.filter(pc.equal(names, lang))
            sums = tally[lang if lang in langs else OTHER]
            sums["documents"] += own.num_rows
            sums["bytes"] += pc.sum(own.column("n_bytes")).as_py() or 0
        yield batch
