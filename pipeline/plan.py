"""What a crawl's index says a fetch would cost by each way, which way to take, and the records of that way on disk."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seimai.errors import InputError, RunError
from seimai.files import atomic, canonical_json, fingerprint, read_json, write_atomic

from .fetch_config import Access, FetchConfig
from .fetch_list import chosen, is_list, list_address
from .plan_costs import Cost, choice, costs
from .plan_index import COLUMNS, index_files, read_index, sampled
from .wet import names_language

__all__ = [
    *("CHOSEN", "Plan", "files_of", "load_plan", "load_records", "make_plan", "needs_plan", "plan_fingerprint"),
    *("refuse_long", "save_plan", "save_records"),
]

CHOSEN = "chosen.json"
"""What stands beside a plan when its records were chosen by WET files; it goes when a new plan comes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Costs by way, the one to take and why; `records` (file, offset, length, digest, url) sorted, or a sample's."""

    snapshot: str
    n_records: int
    n_files: int
    costs: tuple[Cost, ...]
    strategy: str
    why: str
    scale: float
    """Files of the index per file that was read; 1 where all were."""
    records: pa.Table
    base: str
    fingerprint: str

    @property
    def hours(self) -> float:
        """Likely hours of the way to take."""
        return next(cost.likely[2] for cost in self.costs if cost.strategy == self.strategy)


def needs_plan(config: FetchConfig, names: Sequence[str]) -> bool:
    """Whether a run over these names goes by an index: one crawl, and only some of its records are wanted.

    Raises InputError where the config wants some records of what has no index.
    """
    select = config.select.model_dump()
    some = any(value for key, value in select.items() if key != "status")
    if not some and config.strategy not in ("ranges", "wet"):
        return False
    if len(names) == 1 and names[0].startswith("CC-MAIN-") and is_list(names[0]) and config.kind == "warc":
        return True
    what = "[fetch.select]" if some else f"fetch.strategy = {config.strategy!r}"
    why = "of a crawl's WARC files; take one CC-MAIN-YYYY-WW and fetch.kind = 'warc', or leave that setting away"
    if any(name.startswith("CC-NEWS") for name in names):
        why = "and CC-NEWS has none; its archives are read whole, so leave that setting away"
    raise InputError(f"{' '.join(names) or 'no input'}: {what} goes by the columnar index {why}")


def plan_fingerprint(config: FetchConfig, names: Sequence[str], languages: Sequence[str]) -> str:
    """What a plan depends on."""
    keys = {"select", "strategy", "limit", "sample", "seed", "max_gap_bytes", "max_range_bytes", "index", "base"}
    keys |= {"requests_per_s", "bytes_per_s", "disk_bytes"}
    fetch = config.model_dump(mode="json", include=keys)
    return fingerprint({"names": list(names), "fetch": fetch, "languages": list(languages)})


def make_plan(
    config: FetchConfig,
    names: Sequence[str],
    access: Access,
    *,
    languages: Sequence[str] = (),
    exact: bool = False,
    index_sample: int = 0,
) -> Plan:
    """Read the index and count what each way costs; `exact` asks the server for every size (one HEAD a file).

    `languages` (ISO 639-1) are those that the gates will let pass, from which follows how many pages WET files leave;
    none: all pages. With `index_sample`, only so many files of the index are read, and the figures are scaled up.
    Raises InputError, one line.
    """
    if len(names) != 1 or not names[0].startswith("CC-MAIN-"):
        news = " (CC-NEWS has no columnar index: all of its archives are read)" if "CC-NEWS" in "".join(names) else ""
        raise InputError(
            f"{' '.join(names) or 'no input'}: a plan is for one crawl; give --input CC-MAIN-2024-51{news}"
        )
    files = index_files(names[0], config, access)
    read = list(sampled(files, index_sample))
    records = _sorted(pa.concat_tables(_index_rows(place, config, access, languages) for place in read), config)
    likely = records["likely"].to_numpy()
    records = records.drop_columns("likely")
    scale = len(files) / len(read)
    _, base = list_address(names[0], config)
    found = costs(config, base, records, likely, scale, access if exact else None)
    strategy, why = choice(config, found)
    n_files = len(pc.unique(records["file"].combine_chunks().indices))
    mark = plan_fingerprint(config, names, languages)
    return Plan(names[0], round(len(records) * scale), n_files, found, strategy, why, scale, records, base, mark)


def _index_rows(place: str, config: FetchConfig, access: Access, languages: Sequence[str]) -> pa.Table:
    """The wanted rows of a file of the index, and whether their languages are likely to pass the gates."""
    rows = read_index(place, config.select, access, [*COLUMNS, "content_languages"])
    stated = rows["content_languages"].fill_null("")
    passing = pa.chunked_array([pa.array([True] * len(rows), pa.bool_())])
    if languages:
        passing = pc.or_(pc.match_substring_regex(stated, names_language(languages)), pc.equal(stated, ""))
    return rows.drop_columns("content_languages").append_column("likely", passing)


def _sorted(rows: pa.Table, config: FetchConfig) -> pa.Table:
    """The records by file and offset, each once; with `limit` or `sample`, those of the chosen files."""
    rows = rows.rename_columns(["file", "offset", "length", "digest", "url", "likely"])
    names = sorted(pc.unique(rows["file"]).to_pylist())
    if config.limit or config.sample:
        names = sorted(chosen(names, sample=config.sample, seed=config.seed, limit=config.limit))
        rows = rows.filter(pc.is_in(rows["file"], pa.array(names, pa.string())))
    number = pc.index_in(rows["file"], pa.array(names, pa.string())).to_numpy()
    offset = rows["offset"].to_numpy().astype(np.int64)
    order = np.lexsort((offset, number))
    once = np.ones(len(order), bool)
    once[1:] = (np.diff(number[order]) != 0) | (np.diff(offset[order]) != 0)
    order = order[once]
    rows = rows.take(pa.array(order))
    file = pa.DictionaryArray.from_arrays(pa.array(number[order], pa.int32()), pa.array(names, pa.string()))
    return pa.table(
        {
            "file": file,
            "offset": rows["offset"].cast(pa.int64()),
            "length": rows["length"].cast(pa.int64()),
            "digest": rows["digest"].fill_null(""),
            "url": rows["url"],
            "likely": rows["likely"],
        }
    ).combine_chunks()


def refuse_long(hours: float, config: FetchConfig, *, yes: bool) -> None:
    """Raise RunError for a plan that takes longer than the config allows, unless somebody said yes."""
    if hours > config.max_hours and not yes:
        raise RunError(
            f"this takes about {hours:,.0f} hours, and fetch.max_hours is {config.max_hours:g}; choose fewer files "
            "(--limit, --sample) or records ([fetch.select]), or say --yes"
        )


def save_plan(plan: Plan, run: Path) -> None:
    """Put a plan where `seimai run` with the same config takes it from.  Raises RunError for one of a sample."""
    if plan.scale != 1:
        raise RunError("a plan from a part of the index is an estimate; leave --index-sample away to keep it")
    folder = run / "state" / "plan"
    (folder / CHOSEN).unlink(missing_ok=True)
    save_records(run, "records.arrow", plan.records.schema, plan.records.to_batches())
    fields = {key: value for key, value in asdict(plan).items() if key not in ("records", "costs")}
    head = {**fields, "costs": [asdict(cost) for cost in plan.costs]}
    write_atomic(folder / "plan.json", canonical_json(head))


def save_records(run: Path, name: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Write records beside the plan."""
    path = run / "state" / "plan" / name
    with atomic(path) as temporary, pa.OSFile(str(temporary), "wb") as sink:
        with pa.ipc.new_file(sink, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)


def load_records(run: Path, name: str) -> pa.Table:
    """The records that `save_records` wrote, mapped into memory."""
    return pa.ipc.open_file(pa.memory_map(str(run / "state" / "plan" / name))).read_all()


def load_plan(run: Path, fingerprint: str) -> Plan | None:
    """The plan of a run directory, if it is for this config."""
    try:
        head: dict[str, Any] = read_json(run / "state" / "plan" / "plan.json")
        if head["fingerprint"] != fingerprint:
            return None
        records = load_records(run, "records.arrow")
        costs = tuple(_cost(fields) for fields in head.pop("costs"))
    except (FileNotFoundError, json.JSONDecodeError, KeyError, pa.ArrowInvalid):
        return None
    return Plan(**head, costs=costs, records=records)


def _cost(fields: dict[str, Any]) -> Cost:
    low, likely, high = (tuple(fields[name]) for name in ("low", "likely", "high"))
    return Cost(fields["strategy"], low, likely, high, fields["exact"])


def files_of(records: pa.Table) -> Iterator[tuple[str, int, int]]:
    """Each file of a plan with its first row and the number of its rows."""
    column = records["file"].combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0)
    numbers = column.indices.to_numpy()
    firsts = np.flatnonzero(np.diff(numbers, prepend=-1))
    for first, stop in zip(firsts.tolist(), [*firsts[1:].tolist(), len(numbers)], strict=True):
        yield column.dictionary[int(numbers[first])].as_py(), first, stop - first
