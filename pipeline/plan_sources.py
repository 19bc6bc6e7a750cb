"""The archives of a run that goes by an index: the plan that lies in its directory or is made now, as sources."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from seimai.errors import InputError

from .coalesce import Member, members_of, spans
from .fetch_config import FetchConfig, access_of
from .inputs import UNKNOWN, InputConfig, Source, ask_for_contact, find_sources
from .plan import Plan, files_of, load_plan, make_plan, needs_plan, plan_fingerprint, refuse_long
from .plan_costs import WARC_BYTES, WET_SHARE

__all__ = ["PlannedRanges", "planned_sources", "sources_for"]

PLANNED = "planned"
"""Stamp of an archive of which only records of a plan are read: what the index names does not change."""


@dataclass(frozen=True, slots=True)
class PlannedRanges:
    """The ranges of one archive, cut anew from its rows of the plan whenever they are asked for."""

    records: pa.Table
    first: int
    count: int
    max_gap_bytes: int
    max_range_bytes: int

    def __iter__(self) -> Iterator[tuple[int, int, tuple[Member, ...]]]:
        rows = self.records.slice(self.first, self.count)
        offset, length = rows["offset"].to_numpy(), rows["length"].to_numpy()
        limits = {"max_gap_bytes": self.max_gap_bytes, "max_range_bytes": self.max_range_bytes}
        found = spans(offset * 0, offset, length, **limits)
        for start, stop, first, count in zip(found.start, found.stop, found.first, found.count, strict=True):
            yield int(start), int(stop), members_of(rows, int(first), int(count))


def sources_for(
    out: Path,
    config: InputConfig,
    fetch: FetchConfig,
    inputs: Sequence[str],
    *,
    languages: Sequence[str] = (),
    yes: bool = False,
) -> tuple[list[Source], Plan | None]:
    """The sources of a run: what its inputs name, or what the plan of a crawl's index wants of it; and a new plan.

    `languages` are those of the gates, as for `make_plan`.

    Raises InputError as `find_sources`, RunError for what would take longer than `fetch.max_hours` without `yes`.
    """
    names = list(inputs) or config.paths
    if not needs_plan(fetch, names):
        found = find_sources(config, names, fetch)
        unknown = sum(source.size == UNKNOWN for source in found)
        per_file = WARC_BYTES * (WET_SHARE[1] if fetch.kind == "wet" else 1)
        n_bytes = min(unknown * per_file, fetch.max_bytes or unknown * per_file)
        refuse_long(n_bytes / fetch.bytes_per_s / 3600, fetch, yes=yes)
        return found, None
    plan = load_plan(out, plan_fingerprint(fetch, names, languages))
    new = None
    if plan is None:
        ask_for_contact(fetch.base, access_of(fetch, config.contact))
        plan = new = make_plan(fetch, names, access_of(fetch, config.contact), languages=languages)
    if not plan.n_records:
        raise InputError(f"{names[0]}: its index has no record that [fetch.select] wants; look at the section")
    refuse_long(plan.hours, fetch, yes=yes)
    return planned_sources(plan, config, fetch), new


def planned_sources(plan: Plan, config: InputConfig, fetch: FetchConfig) -> list[Source]:
    """A source for each archive that holds wanted records: all of it, or the ranges."""
    access = access_of(fetch, config.contact)
    found = []
    for name, first, count in files_of(plan.records):
        place = plan.base + name
        if plan.strategy == "whole":
            found.append(
                Source(name, place, UNKNOWN, "", access) if "://" in place else find_sources(config, [place])[0]
            )
            continue
        ranges = PlannedRanges(plan.records, first, count, fetch.max_gap_bytes, fetch.max_range_bytes)
        last = plan.records.slice(first + count - 1, 1).to_pylist()[0]
        found.append(Source(name, place, last["offset"] + last["length"], PLANNED, access, ranges=ranges))
    return found
