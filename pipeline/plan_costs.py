"""What each way to the wanted records costs in bytes, requests, hours and disk, and which one is done first."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from seimai.errors import InputError

from .coalesce import most_of, spans
from .fetch_config import Access, FetchConfig
from .fetch_http import FetchError
from .fetch_remote import look_at
from .rate import MARGIN
from .wet import wet_name

__all__ = [
    *("REQUESTS_PER_FILE", "WARC_BYTES", "WET_SHARE", "Cost", "Figures"),
    *("choice", "costs", "figures", "hours_of", "range_figures"),
]

WET_SHARE = (0.05, 0.15)
"""Bytes of a WET file per byte of its WARC file; 6.9 of 67.8 TiB in CC-MAIN-2018-34."""
REQUESTS_PER_FILE = 2
"""HEAD and GET."""
WARC_BYTES = 1_100_000_000
"""About what an archive of Common Crawl has, where nothing else is known."""

Figures = tuple[int, int, float, int]
"""Bytes, requests, hours, bytes on disk."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one way costs: from `low` to `high` where only that can be said, and about `likely`."""

    strategy: str
    low: Figures
    likely: Figures
    high: Figures
    exact: bool


def costs(
    config: FetchConfig, base: str, records: pa.Table, likely: np.ndarray, scale: float, asked: Access | None
) -> tuple[Cost, ...]:
    """The costs of whole archives, of ranges and of WET files first, for the records (sorted) of a plan.

    `likely` says which of them the crawl's own languages let through; `scale` is by how much the figures are to be
    multiplied; with `asked`, the server is asked for the size of every file.
    """
    names = records["file"].combine_chunks().dictionary.to_pylist()
    whole = _sizes(base, names, asked)[0] if asked else _estimated(records, len(names), scale)
    low, middle, high = (round(whole * share) for share in (WET_SHARE[0], sum(WET_SHARE) / 2, WET_SHARE[1]))
    files = REQUESTS_PER_FILE * len(names)
    wet_files = files
    if asked:
        low, there = _sizes(base, [wet_name(name) for name in names], asked)
        middle = high = low
        wet_files = there * REQUESTS_PER_FILE + len(names) - there
    everything, some = (range_figures(config, rows) for rows in (records, records.filter(pa.array(likely))))
    limits = {"max_gap_bytes": config.max_gap_bytes, "max_range_bytes": config.max_range_bytes}
    number, offset, length = _places(records)
    most = most_of(number, offset, length, **limits)
    (n_bytes, n_requests), (few_bytes, few), (most_bytes, most_requests) = (
        (round(size * scale), round(count * scale)) for size, count in (everything, some, most)
    )
    all_whole = figures(config, (whole, files), disk=whole)
    all_ranges = figures(config, (n_bytes, n_requests))
    return (
        Cost("whole", all_whole, all_whole, all_whole, asked is not None),
        Cost("ranges", all_ranges, all_ranges, all_ranges, scale == 1),
        Cost(
            "wet",
            figures(config, (low, wet_files), disk=low),
            figures(config, (middle, wet_files), (few_bytes, few), disk=middle),
            figures(config, (high, wet_files), (most_bytes, most_requests), disk=high),
            False,
        ),
    )


def choice(config: FetchConfig, found: Sequence[Cost]) -> tuple[str, str]:
    """The way to take, and why: the one that is likely to be done first, of equals the one with fewer bytes."""
    if config.strategy != "auto":
        return config.strategy, "fetch.strategy says so"
    best, *others = sorted(found, key=lambda cost: (cost.likely[2], cost.likely[0]))
    hours = [f"{best.strategy} takes {_in_words(best)}", *(f"{cost.strategy} {_in_words(cost)}" for cost in others)]
    return best.strategy, ", ".join(hours)


def _in_words(cost: Cost) -> str:
    most = "" if cost.high[2] == cost.likely[2] else f" (at most {cost.high[2]:.2f} h)"
    return f"{cost.likely[2]:.2f} h{most}"


def range_figures(config: FetchConfig, records: pa.Table) -> tuple[int, int]:
    """Bytes, gaps included, and requests of the ranges that hold the records."""
    number, offset, length = _places(records)
    limits = {"max_gap_bytes": config.max_gap_bytes, "max_range_bytes": config.max_range_bytes}
    found = spans(number, offset, length, **limits)
    return found.n_bytes, len(found.start)


def hours_of(config: FetchConfig, n_bytes: float, n_requests: float) -> float:
    """Hours that so many bytes take in so many requests: by the line or by the rate, whichever is slower.

    >>> round(hours_of(FetchConfig(), 0, 6840), 6), hours_of(FetchConfig(), 90e9, 1)
    (1.0, 1.0)
    """
    return max(n_requests / (config.requests_per_s * MARGIN), n_bytes / config.bytes_per_s) / 3600


def figures(config: FetchConfig, *steps: tuple[int, int], disk: int = 0) -> Figures:
    """Figures of steps (bytes, requests) that are taken one after the other."""
    hours = sum(hours_of(config, n_bytes, n_requests) for n_bytes, n_requests in steps)
    return sum(step[0] for step in steps), sum(step[1] for step in steps), hours, min(disk, config.disk_bytes)


def _places(records: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number of the file, offset and length of every record."""
    column = records["file"].combine_chunks()
    return column.indices.to_numpy(), records["offset"].to_numpy(), records["length"].to_numpy()


def _estimated(records: pa.Table, n_files: int, scale: float) -> int:
    """Bytes of the archives, from how far their records reach: the largest of n places is n/(n + 1) of the whole."""
    if not n_files:
        return 0
    numbers, offset, length = _places(records)
    last, count = np.zeros(n_files, np.int64), np.bincount(numbers, minlength=n_files)
    np.maximum.at(last, numbers, offset + length)
    return int((last * (count * scale + 1) / np.maximum(count * scale, 1)).sum())


def _sizes(base: str, names: Sequence[str], access: Access) -> tuple[int, int]:
    """Bytes of the files, and how many of them there are; only WET files may be missing."""
    total = there = 0
    for name in names:
        try:
            total += look_at(base + name, access).size if "://" in base else Path(base + name).stat().st_size
            there += 1
        except FileNotFoundError:
            if not name.endswith(".warc.wet.gz"):
                raise InputError(f"{base}{name}: no such file; the index names what is not there") from None
        except FetchError as error:
            raise InputError(str(error)) from None
    return total, there
