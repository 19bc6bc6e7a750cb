"""The columnar index of a crawl: which files it has, and the wanted records, filtered while the Parquet is read."""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from seimai.errors import ConfigError, InputError

from .fetch_config import Access, FetchConfig, SelectConfig
from .fetch_http import FetchError
from .fetch_list import listed_places
from .fetch_remote import look_at, open_remote

__all__ = ["COLUMNS", "filter_of", "index_files", "read_index"]

COLUMNS = ("warc_filename", "warc_record_offset", "warc_record_length", "content_digest", "url")
SURT_HOSTS = 200
"""Hosts beyond which ranges of the sorted key no longer help to leave row groups unread."""
READ_AHEAD_BYTES = 8 << 20


def index_files(name: str, config: FetchConfig, access: Access) -> list[str]:
    """The Parquet files of a crawl's index, or those that `fetch.index` names; sorted."""
    if not config.index:
        found = listed_places(name, config, access, kind="cc-index-table")
        files = [place for place in found if "/subset=warc/" in place]
    elif "://" in config.index:
        files = [config.index]
    else:
        pattern = os.path.join(config.index, "**", "*.parquet") if os.path.isdir(config.index) else config.index
        files = [path for path in glob.glob(pattern, recursive=True) if "/subset=robotstxt/" not in path]
    if not files:
        raise InputError(f"{config.index or name}: no Parquet file of an index there; look at fetch.index")
    return sorted(files)


def filter_of(select: SelectConfig) -> pc.Expression | None:
    """The wanted records as an expression over the index's columns; None for all.

    Raises ConfigError for a day that is none.
    """
    parts: list[pc.Expression] = []
    if select.status:
        parts.append(ds.field("fetch_status").isin(select.status))
    for column, values in (
        ("url_host_name", select.hosts),
        ("url_host_registered_domain", select.domains),
        ("content_mime_detected", select.mime),
    ):
        if values:
            parts.append(ds.field(column).isin(values))
    for values, below in ((select.hosts, False), (select.domains, True)):
        if values and (near := _near_in_order(values, below)) is not None:
            parts.append(near)
    if select.languages:
        field = ds.field("content_languages")
        parts.append(_any([field.isin(select.languages), *(pc.starts_with(field, f"{c},") for c in select.languages)]))
    if select.since:
        parts.append(ds.field("fetch_time") >= _day("since", select.since))
    if select.until:
        parts.append(ds.field("fetch_time") < _day("until", select.until) + timedelta(days=1))
    found = None
    for part in parts:
        found = part if found is None else found & part
    return found


def read_index(place: str, select: SelectConfig, access: Access, columns: Sequence[str] = COLUMNS) -> pa.Table:
    """The wanted rows of one file of the index; row groups that cannot hold any stay unread.

    Raises InputError when the file is not there or is no index.
    """
    try:
        if "://" in place:
            source: Any = pa.PythonFile(open_remote(place, access, look_at(place, access).size), mode="r")
        else:
            source = pa.OSFile(place)
        with source:
            fragment = ds.ParquetFileFormat().make_fragment(source)
            missing = {*columns, "fetch_status", "content_languages"} - set(fragment.physical_schema.names)
            if missing:
                raise InputError(f"{place}: is no index of a crawl: it has no column {sorted(missing)[0]}")
            return fragment.to_table(columns=list(columns), filter=filter_of(select))
    except FileNotFoundError:
        raise InputError(f"{place}: no such file; look at fetch.index") from None
    except (pa.ArrowInvalid, FetchError) as error:
        raise InputError(f"{place}: cannot be read: {' '.join(str(error).split())}") from None


def _near_in_order(hosts: Sequence[str], below: bool) -> pc.Expression | None:
    """Where hosts stand in the order of the index, so that statistics rule row groups out; None where unsure."""
    if len(hosts) > SURT_HOSTS or any(not re.search(r"[a-z]$", host) for host in hosts):
        return None
    key, ranges = ds.field("url_surtkey"), []
    for host in hosts:
        surt = ",".join(reversed(re.sub(r"^www\d*\.", "", host).split(".")))
        ranges.append((key >= surt) & (key < surt + ("-" if below else ",")) | (key >= surt + ":") & (key < surt + ";"))
    return _any(ranges)


def _any(parts: Sequence[pc.Expression]) -> pc.Expression:
    found = parts[0]
    for part in parts[1:]:
        found = found | part
    return found


def _day(name: str, text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d")
    except ValueError:
        raise ConfigError(f"fetch.select.{name} = {text!r}: is no day; write it as 2024-12-01") from None


def sampled(files: Sequence[str], count: int) -> Iterator[str]:
    """Some files, evenly over the order of the index; all for 0.

    >>> list(sampled(["a", "b", "c", "d", "e", "f"], 2))
    ['b', 'e']
    """
    if not count or count >= len(files):
        yield from files
        return
    step = len(files) / count
    yield from (files[int(step * (number + 0.5))] for number in range(count))
