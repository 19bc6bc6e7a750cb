"""The tasks of counting, each pure but for its files: survey a slice, count a slice, add up a range; or all at once."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from seimai.files import atomic, sha256_file
from seimai.pipeline.state import Marker, commit, forget, read_marker, still_owned

from .count_map import OTHER, choose, count_runs
from .count_merge import Range, cut_ranges, merge_range, sums_schema
from .count_sample import READ_CHARS, survey
from .sources import Shard, batches

__all__ = ["Plan", "Slice", "Span", "Whole", "count_slice", "count_whole", "done", "merge_span", "survey_slice"]


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


@dataclass(frozen=True)
class Whole:
    """All slices of a source so small that its runs need not be written."""

    part: str
    slices: tuple[Slice, ...]
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
    tally = _no_tally(plan)
    runs = _runs([item], plan, tally)
    marker = Marker("count", item.part, item.mark, {}, 0, tally=tally)
    for number, run in enumerate(runs):
        entry = _written(plan, f"runs/{item.part}-{number:04d}.arrow", run.schema, [run])
        marker = replace(marker, files=[*marker.files, entry], rows=marker.rows + run.num_rows)
    commit(plan.out, plan.owner, marker, {})
    return item.part


def merge_span(item: Span, plan: Plan) -> str:
    """Write the sums of a range, with the bytes counted by language in the marker; returns its name."""
    table = merge_range([plan.out / name for name in item.runs], item.bounds, plan.langs, plan.host_cap)
    tally = _mass(table, plan.langs)
    entry = _written(plan, f"merged/{item.part}.arrow", table.schema, [table])
    commit(plan.out, plan.owner, Marker("merge", item.part, item.mark, {}, table.num_rows, [entry], tally), {})
    return item.part


def count_whole(item: Whole, plan: Plan) -> str:
    """What the other two tasks do for all slices and ranges, with the runs in memory; returns its name.

    The marker has the tallies of both.
    """
    counted = _no_tally(plan)
    runs = list(_runs(item.slices, plan, counted))
    tallies: list[dict[str, Any]] = []

    def merged() -> Iterator[pa.Table]:
        for bounds in cut_ranges(runs):
            table = merge_range(runs, bounds, plan.langs, plan.host_cap)
            tallies.append({"rows": table.num_rows, **_mass(table, plan.langs)})
            yield table

    entry = _written(plan, f"merged/{item.part}.arrow", sums_schema(plan.langs), merged())
    mass = {lang: sum(tally["mass"][lang] for tally in tallies) for lang in plan.langs}
    tally = {"counted": counted, "mass": mass, "largest": max(tally["largest"] for tally in tallies)}
    n_rows = sum(tally["rows"] for tally in tallies)
    commit(plan.out, plan.owner, Marker("count", item.part, item.mark, {}, n_rows, [entry], tally), {})
    return item.part


def _no_tally(plan: Plan) -> dict[str, dict[str, int]]:
    return {lang: {"documents": 0, "bytes": 0} for lang in plan.langs}


def _runs(slices: Iterable[Slice], plan: Plan, tally: dict[str, dict[str, int]]) -> Iterator[pa.Table]:
    """The runs over all chosen documents of some slices, which are added to the tally."""
    chosen = chain.from_iterable(_chosen(item.shard, plan) for item in slices)
    counted = _counted(chosen, plan.langs, tally)
    return count_runs(counted, pattern=plan.pattern, langs=plan.langs, cap=plan.host_cap, analyser=plan.analyser)


def _mass(table: pa.Table, langs: Sequence[str]) -> dict[str, Any]:
    """Bytes counted in each language, and the largest count of a pre-token."""
    n_bytes = pc.binary_length(table["pretoken"])
    mass = {lang: pc.sum(pc.multiply(table[f"count_{lang}"], n_bytes)).as_py() or 0 for lang in langs}
    return {"mass": mass, "largest": pc.max(_total(table, langs)).as_py() or 0}


def _written(plan: Plan, name: str, schema: pa.Schema, tables: Iterable[pa.Table]) -> dict[str, Any]:
    """Write a table that is read once more and then removed, as it lies in memory; returns its entry for the marker."""
    with atomic(plan.out / name) as path:
        with pa.ipc.new_file(str(path), schema) as file:
            for table in tables:
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


def _counted(
    chosen: Iterable[pa.RecordBatch], langs: Sequence[str], tally: dict[str, dict[str, int]]
) -> Iterator[pa.RecordBatch]:
    """The same batches; their documents and bytes are added to the tally."""
    for batch in chosen:
        names = batch.column("lang").fill_null("und")
        for lang in names.unique().to_pylist():
            own = batch.column("n_bytes").filter(pc.equal(names, lang))
            sums = tally[lang if lang in langs else OTHER]
            sums["documents"] += len(own)
            sums["bytes"] += pc.sum(own).as_py() or 0
        yield batch
