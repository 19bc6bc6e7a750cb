"""WET files before archives: their texts are fetched and judged first, then only what passed is read, by ranges.

The columnar index has what a WET record lacks, the place in the archive. The two meet by archive and address: the name
of a WET file follows from its archive's, and its records bear the addresses of the index. A record of the index whose
page has no text in the WET file, or whose WET file is missing, is read; one whose address has several texts is left
out only when all of them are.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seimai.errors import InputError, RunError
from seimai.files import canonical_json, fingerprint, read_json, sha256_file, write_atomic

from .barriers import Job
from .fetch_config import access_of
from .fetch_feed import Feed, remembered
from .inputs import UNKNOWN, Part, Source, find_sources, open_source, parts_of
from .language import VERSION as LANGUAGE_VERSION
from .language import identify_language, language_model
from .plan import (
    CHOSEN,
    Plan,
    files_of,
    load_plan,
    load_records,
    needs_plan,
    plan_fingerprint,
    refuse_long,
    save_records,
)
from .plan_costs import hours_of, range_figures
from .plan_sources import planned_sources
from .run import PAUSE, Needs
from .settings import RunConfig, package_versions
from .state import Marker, commit, forget, marked_parts, read_marker
from .warc import VERSION as WARC_VERSION
from .warc import SliceReader
from .wet import LEFT_OUT, VERSION, read_extracts, wet_name

__all__ = ["chosen_plan", "sources_by_extracts"]

STAGE = "wet"
TEXTS_OF_BUDGET = 2
"""Of a budget of bytes (`fetch.max_bytes`) one part in so many is for WET files; ranges take the rest."""
ABSENT = "no such file"
"""What an archive's error ends with where the server has no such file."""


@dataclass(frozen=True, slots=True)
class _Task:
    """Everything a worker needs to judge the texts of one slice of a WET file."""

    run: Path
    owner: str
    part: Part
    config: RunConfig
    fingerprint: str


@dataclass(frozen=True, slots=True)
class _Archive:
    """The WET file of an archive: its key, the archive's rows of the plan, and the parts that were judged."""

    run: Path
    key: str
    first: int
    count: int
    parts: tuple[str, ...]


def sources_by_extracts(job: Job, config: RunConfig, sources: list[Source], *, yes: bool = False) -> list[Source]:
    """The sources of a run; where its plan says WET first, those records only that the WET files leave.

    Their texts are judged here, unless a former run did. Raises InputError where nothing is left, RunError where WET
    files cannot be had or the ranges take longer than `fetch.max_hours` without `yes`.
    """
    plan = _plan(job.run, config)
    if plan is None or plan.strategy != STAGE:
        _forget(job, set())
        return sources
    chosen = chosen_plan(job.run, config)
    if chosen is None:
        _choose(job, config, plan)
        chosen = chosen_plan(job.run, config)
        assert chosen is not None
    refuse_long(hours_of(config.fetch, *range_figures(config.fetch, chosen.records)), config.fetch, yes=yes)
    if not chosen.n_records:
        raise InputError(f"{plan.snapshot}: its WET files leave no record; look at gates.languages and fetch.max_bytes")
    return planned_sources(chosen, config.input, config.fetch)


def chosen_plan(run: Path, config: RunConfig) -> Plan | None:
    """The plan of a run by ranges with the records that are read: for WET first, those that were chosen; else None."""
    plan = _plan(run, config)
    if plan is None or plan.strategy != STAGE:
        return plan if plan is not None and plan.strategy == "ranges" else None
    try:
        if read_json(run / "state" / "plan" / CHOSEN)["mark"] != _mark(config, plan):
            return None
        records = load_records(run, "chosen.arrow")
    except (FileNotFoundError, ValueError, KeyError, pa.ArrowInvalid):
        return None
    return replace(plan, records=records, n_records=len(records))


def _plan(run: Path, config: RunConfig) -> Plan | None:
    names = config.input.paths
    if not needs_plan(config.fetch, names):
        return None
    return load_plan(run, plan_fingerprint(config.fetch, names, config.gates.languages))


def _stage_fingerprint(config: RunConfig) -> str:
    """What the verdicts on texts depend on."""
    model = language_model(Path(config.language.model) if config.language.model else None)
    packages = package_versions()
    return fingerprint(
        {
            "versions": [VERSION, LANGUAGE_VERSION, WARC_VERSION],
            "packages": {name: packages.get(name) for name in ("fasttext-community", "fastwarc", "pyarrow")},
            "model": sha256_file(model),
            "kana": config.language.kana,
            "languages": config.gates.languages,
            "max_record_bytes": config.input.max_record_bytes,
        }
    )


def _mark(config: RunConfig, plan: Plan) -> str:
    """What a choice of records depends on."""
    return fingerprint([plan.fingerprint, _stage_fingerprint(config), config.fetch.max_bytes])


def _choose(job: Job, config: RunConfig, plan: Plan) -> None:
    """Judge all texts, then keep the records that are to be read beside the plan."""
    job.changing()
    sources = remembered(job.run, list(_wet_sources(config, plan)))
    _forget(job, {source.key_hash for source in sources})
    here, over = _judge(job, config, sources)
    tally: Counter[str] = Counter()
    left = config.fetch.max_bytes - sum(source.size for source in here.values()) if config.fetch.max_bytes else None

    def archives() -> Iterator[_Archive]:
        for name, first, count in files_of(plan.records):
            source = here.get(wet_name(name))
            parts = parts_of(source, config.input.part_bytes) if source is not None else ()
            yield _Archive(job.run, wet_name(name), first, count, tuple(part.name for part in parts))

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal left
        for outcome in job.engine.map(_left_out, archives(), needs=_texts):
            key, first, count = outcome.item.key, outcome.item.first, outcome.item.count
            if outcome.result is None:
                raise RunError(f"{key}: {outcome.error}; type the same command again")
            if key in over:
                return
            rows = plan.records.slice(first, count)
            rows = rows.filter(pc.invert(pc.is_in(rows["url"], outcome.result.cast(rows["url"].type))))
            tally["archives_without_wet"] += key not in here
            if left is not None:
                left -= range_figures(config.fetch, rows)[0]
                if left < 0:
                    return
            tally["records"] += count
            tally["read"] += len(rows)
            yield from rows.to_batches()

    save_records(job.run, "chosen.arrow", plan.records.schema, batches())
    told = {"mark": _mark(config, plan), "tally": dict(sorted(tally.items()))}
    write_atomic(job.run / "state" / "plan" / CHOSEN, canonical_json(told))


def _wet_sources(config: RunConfig, plan: Plan) -> Iterator[Source]:
    """The WET file of every archive with wanted records; one that is missing on this machine's disks is left out."""
    access = access_of(config.fetch, config.input.contact)
    for name, _, _ in files_of(plan.records):
        key = wet_name(name)
        place = plan.base + key
        if "://" in place:
            yield Source(key, place, UNKNOWN, "", access)
        elif os.path.exists(place):
            yield replace(find_sources(config.input, [place])[0], key=key)


def _judge(job: Job, config: RunConfig, sources: list[Source]) -> tuple[dict[str, Source], set[str]]:
    """Judge the texts of all WET files; those that came, by key, and the keys behind the budget of bytes."""
    mark = _stage_fingerprint(config)
    fetch = config.fetch.model_copy(update={"max_bytes": -(-config.fetch.max_bytes // TEXTS_OF_BUDGET)})
    feed = Feed(job.run, job.owner, job.engine, fetch, config.input.part_bytes, job.progress, job.changing)

    def is_done(part: Part) -> bool:
        marker = read_marker(job.run, STAGE, part.name)
        return marker is not None and marker.vouches(job.run, mark) and marker.input == _input(part)

    def tasks() -> Iterator[Any]:
        for part in feed.parts(sources, is_done):
            if part is PAUSE:
                yield PAUSE
            elif is_done(part):
                feed.done(part)
                job.progress.advance("wet", part.stop - part.start)
            else:
                yield _Task(job.run, job.owner, part, config, mark)

    failed = ""
    job.progress.begin("wet", 0)
    for outcome in job.engine.map(_judge_part, tasks(), needs=_of_part):
        part = outcome.item.part
        feed.done(part)
        failed = failed or (f"{part.source.place}: {outcome.error}" if outcome.error else "")
        documents, wanted = outcome.result or (0, 0)
        job.progress.advance("wet", part.stop - part.start, documents=documents, kept=wanted)
    job.progress.end("wet")
    lost = [error for _, error in feed.failed if not error.endswith(ABSENT)]
    if failed or lost:
        raise RunError(f"{failed or lost[0]}; the other WET files are done, type the same command again")
    here = {source.key: source for source in feed.sources()}
    absent = {source.key for source, _ in feed.failed}
    return here, {source.key for source in sources} - here.keys() - absent


def _of_part(task: _Task) -> Needs:
    copy = [Path(task.part.source.copy)] if task.part.source.copy else []
    return Needs([task.run / "state" / STAGE / f"{task.part.name}.json", *copy])


def _judge_part(task: _Task) -> tuple[int, int]:
    """Judge the texts of a slice; returns how many there are, and how many pages of them will be read."""
    part, config = task.part, task.config
    model = Path(config.language.model) if config.language.model else None
    identify = partial(identify_language, model=model, kana=config.language.kana)
    with open_source(part.source, (part.start, part.stop)) as file:
        span = {"start": part.start, "stop": part.stop, "size": part.source.size}
        reader = SliceReader(file, begin=None, max_record_bytes=config.input.max_record_bytes, **span)
        table = read_extracts(reader, config.gates.languages, identify)
    tally = {row["values"]: row["counts"] for row in table["verdict"].value_counts().to_pylist()}
    tally = dict(sorted(tally.items())) | {f"wet.{name}": count for name, count in sorted(reader.faults.items())}
    marker = Marker(STAGE, part.name, task.fingerprint, _input(part), len(table), tally=tally)
    commit(task.run, task.owner, marker, {f"extracts/{part.name}.parquet": table} if len(table) else {})
    return len(table), len(table) - tally.get(LEFT_OUT, 0)


def _left_out(archive: _Archive) -> pa.Array:
    """The addresses of an archive all of whose texts are left out."""
    paths = [archive.run / f"extracts/{part}.parquet" for part in archive.parts]
    tables = [pq.read_table(path, columns=["url", "verdict"]) for path in paths if path.exists()]
    if not tables:
        return pa.array([], pa.string())
    texts = pa.concat_tables(tables)
    out = pc.equal(texts["verdict"].cast(pa.string()), LEFT_OUT)
    wanted = texts.filter(pc.invert(out))["url"].combine_chunks()
    named = texts.filter(out)["url"].combine_chunks()
    return named.filter(pc.invert(pc.is_in(named, wanted)))


def _texts(archive: _Archive) -> Needs:
    return Needs([archive.run / f"extracts/{part}.parquet" for part in archive.parts])


def _forget(job: Job, keep: set[str]) -> None:
    """Take away the verdicts on WET files that the run no longer asks for."""
    for name in list(marked_parts(job.run, STAGE)):
        if name.partition("-")[0] not in keep:
            job.changing()
            forget(job.run, STAGE, name)


def _input(part: Part) -> dict[str, Any]:
    return {"key": part.source.key, "stamp": part.source.stamp, "stop": part.stop}
