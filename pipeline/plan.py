"""What a crawl's index says a fetch would cost by each way, which way to take, and the records of that way on disk."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seimai.errors import InputError, RunError
from seimai.files import atomic, canonical_json, fingerprint, read_json, write_atomic

from .coalesce import Spans, spans
from .fetch_config import Access, FetchConfig
from .fetch_http import FetchError
from .fetch_list import chosen, is_list, list_address
from .fetch_remote import look_at
from .plan_index import index_files, read_index, sampled
from .rate import MARGIN

__all__ = ["Cost", "Plan", "load_plan", "make_plan", "needs_plan", "plan_fingerprint", "refuse_long", "save_plan"]

WET_SHARE = (0.05, 0.15)
"""Bytes of a WET file per byte of its WARC file; 6.9 of 67.8 TiB in CC-MAIN-2018-34."""
REQUESTS_PER_FILE = 2
"""HEAD and GET."""
WARC_BYTES = 1_100_000_000
"""About what an archive of Common Crawl has, where nothing else is known."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one way costs, from `low` to `high` where only that can be said: (bytes, requests, hours, disk bytes)."""

    strategy: str
    low: tuple[int, int, float, int]
    high: tuple[int, int, float, int]
    exact: bool


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
        """Most hours of the way to take."""
        return next(cost.high[2] for cost in self.costs if cost.strategy == self.strategy)


def needs_plan(config: FetchConfig, names: Sequence[str]) -> bool:
    """Whether a run over these names goes by an index: one crawl, and only some of its records are wanted."""
    select = config.select.model_dump()
    some = any(value for key, value in select.items() if key != "status")
    crawl = len(names) == 1 and names[0].startswith("CC-MAIN-") and is_list(names[0])
    by_index = config.strategy == "ranges" or (config.strategy == "auto" and some)
    return crawl and config.kind == "warc" and by_index


def plan_fingerprint(config: FetchConfig, names: Sequence[str]) -> str:
    """What a plan depends on."""
    keys = {"select", "strategy", "limit", "sample", "seed", "max_gap_bytes", "max_range_bytes", "index", "base"}
    keys |= {"requests_per_s", "bytes_per_s", "disk_bytes"}
    return fingerprint({"names": list(names), "fetch": config.model_dump(mode="json", include=keys)})


def make_plan(
    config: FetchConfig, names: Sequence[str], access: Access, *, exact: bool = False, index_sample: int = 0
) -> Plan:
    """Read the index and count what each way costs; `exact` asks the server for every size (one HEAD a file).

    With `index_sample`, only so many files of the index are read, and the figures are scaled up.
    Raises InputError, one line.
    """
    if len(names) != 1 or not names[0].startswith("CC-MAIN-"):
        raise InputError(f"{' '.join(names) or 'no input'}: a plan is for one crawl; give --input CC-MAIN-2024-51")
    files = index_files(names[0], config, access)
    read = list(sampled(files, index_sample))
    records = _sorted(pa.concat_tables(read_index(place, config.select, access) for place in read), config)
    scale = len(files) / len(read)
    numbers = records["file"].combine_chunks().indices.to_numpy()
    offset, length = (records[name].to_numpy() for name in ("offset", "length"))
    found = spans(numbers, offset, length, max_gap_bytes=config.max_gap_bytes, max_range_bytes=config.max_range_bytes)
    _, base = list_address(names[0], config)
    costs = _costs(config, base, records, numbers, offset + length, found, scale, access if exact else None)
    strategy, why = _choice(config, costs)
    n_files = len(np.unique(numbers))
    mark = plan_fingerprint(config, names)
    return Plan(names[0], round(len(records) * scale), n_files, costs, strategy, why, scale, records, base, mark)


def _sorted(rows: pa.Table, config: FetchConfig) -> pa.Table:
    """The records by file and offset, each once; with `limit` or `sample`, those of the chosen files."""
    rows = rows.rename_columns(["file", "offset", "length", "digest", "url"])
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
        }
    ).combine_chunks()


def _costs(
    config: FetchConfig,
    base: str,
    records: pa.Table,
    numbers: np.ndarray,
    end: np.ndarray,
    found: Spans,
    scale: float,
    asked: Access | None,
) -> tuple[Cost, ...]:
    names = records["file"].combine_chunks().dictionary.to_pylist()
    whole = _sizes(base, names, asked) if asked else _estimated(numbers, end, len(names), scale)
    low, high = (round(whole * share) for share in WET_SHARE)
    if asked:
        low = high = _sizes(base, [_wet_path(name) for name in names], asked)
    ranged, requests = round(found.n_bytes * scale), round(len(found.start) * scale)
    per_file = REQUESTS_PER_FILE * len(names)

    def cost(n_bytes: int, n_requests: int, disk: int) -> tuple[int, int, float, int]:
        seconds = max(n_requests / (config.requests_per_s * MARGIN), n_bytes / config.bytes_per_s)
        return n_bytes, n_requests, seconds / 3600, min(disk, config.disk_bytes)

    all_whole, all_ranges = cost(whole, per_file, whole), cost(ranged, requests, 0)
    return (
        Cost("whole", all_whole, all_whole, asked is not None),
        Cost("ranges", all_ranges, all_ranges, scale == 1),
        Cost("wet", cost(low, per_file, 0), cost(high + ranged, per_file + requests, 0), False),
    )


def _estimated(numbers: np.ndarray, end: np.ndarray, n_files: int, scale: float) -> int:
    """Bytes of the archives, from how far their records reach: the largest of n places is n/(n + 1) of the whole."""
    if not n_files:
        return 0
    last, count = np.zeros(n_files, np.int64), np.bincount(numbers, minlength=n_files)
    np.maximum.at(last, numbers, end)
    return int((last * (count * scale + 1) / (count * scale)).sum())


def _sizes(base: str, names: Sequence[str], access: Access) -> int:
    total = 0
    for name in names:
        try:
            total += look_at(base + name, access).size if "://" in base else Path(base + name).stat().st_size
        except FileNotFoundError:
            raise InputError(f"{base}{name}: no such file; the index names what is not there") from None
        except FetchError as error:
            raise InputError(str(error)) from None
    return total


def _wet_path(name: str) -> str:
    """Where the extract of an archive lies.

    >>> _wet_path("crawl-data/C/segments/1/warc/x.warc.gz")
    'crawl-data/C/segments/1/wet/x.warc.wet.gz'
    """
    return name.replace("/warc/", "/wet/").removesuffix(".warc.gz") + ".warc.wet.gz"


def _choice(config: FetchConfig, costs: Sequence[Cost]) -> tuple[str, str]:
    """The way to take, and why: whichever of the two that `seimai run` goes is done first.

    Extracts first is a figure to compare with: at worst it costs the ranges and the extracts too.
    """
    if config.strategy != "auto":
        return config.strategy, "fetch.strategy says so"
    by_hours = sorted((cost for cost in costs if cost.strategy != "wet"), key=lambda cost: (cost.high[2], cost.high[0]))
    best, second = by_hours[0], by_hours[1]
    what = f"{best.strategy} is done in at most {best.high[2]:.2f} h, {second.strategy} in {second.high[2]:.2f} h"
    return best.strategy, what


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
    with atomic(folder / "records.arrow") as temporary, pa.OSFile(str(temporary), "wb") as sink:
        with pa.ipc.new_file(sink, plan.records.schema) as writer:
            writer.write_table(plan.records)
    fields = {key: value for key, value in asdict(plan).items() if key not in ("records", "costs")}
    head = {**fields, "costs": [asdict(cost) for cost in plan.costs]}
    write_atomic(folder / "plan.json", canonical_json(head))


def load_plan(run: Path, fingerprint: str) -> Plan | None:
    """The plan of a run directory, if it is for this config."""
    try:
        head: dict[str, Any] = read_json(run / "state" / "plan" / "plan.json")
        if head["fingerprint"] != fingerprint:
            return None
        records = pa.ipc.open_file(pa.memory_map(str(run / "state" / "plan" / "records.arrow"))).read_all()
    except (FileNotFoundError, json.JSONDecodeError, KeyError, pa.ArrowInvalid):
        return None
    costs = tuple(Cost(c["strategy"], tuple(c["low"]), tuple(c["high"]), c["exact"]) for c in head.pop("costs"))
    return Plan(**head, costs=costs, records=records)


def files_of(records: pa.Table) -> Iterator[tuple[str, int, int]]:
    """Each file of a plan with its first row and the number of its rows."""
    column = records["file"].combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0)
    numbers = column.indices.to_numpy()
    firsts = np.flatnonzero(np.diff(numbers, prepend=-1))
    for first, stop in zip(firsts.tolist(), [*firsts[1:].tolist(), len(numbers)], strict=True):
        yield column.dictionary[int(numbers[first])].as_py(), first, stop - first
