"""Runs in; the capped sums of one range of pre-tokens out: how ranges are cut, read and added up, in bounded memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seimai.errors import InputError

from .count_kernels import capped_sums
from .pretoken_order import new_rows, sorted_rows

__all__ = ["TARGET_ENTRIES", "Range", "cut_ranges", "merge_range", "sums_schema"]

TARGET_ENTRIES = 1 << 15, 1 << 20
"""Least and most entries (pre-token, host, language) added up at a time: some 150 bytes each. One pre-token is never
cut in two."""
RANGES = 64
"""Ranges wished for: more of them only where they would be too long, since each opens every run."""
SAMPLES = 64
"""Places looked at in each run for every range that it could fill alone."""
UNLIMITED = 1 << 62

_ENTRY_NAMES = ("host", "lang", "count", "documents")

Range = tuple[bytes, bytes | None]
"""First pre-token and the one behind the last; None for no end."""
Run: TypeAlias = Path | pa.Table
"""A run's file, or the run itself."""


def sums_schema(langs: Sequence[str]) -> pa.Schema:
    """Columns of a merged range: the pre-token, documents and hosts that have it, and its count in each language."""
    numbers = ("n_documents", "n_hosts", *(f"count_{lang}" for lang in langs))
    return pa.schema([("pretoken", pa.large_binary()), *((name, pa.int64()) for name in numbers)])


def cut_ranges(runs: Sequence[Run], target: int | None = None) -> list[Range]:
    """Ranges of pre-tokens, in order and without gaps, with some `target` entries each over all runs together.

    By default a 64th of all entries, within TARGET_ENTRIES.
    """
    if target is None:
        target = int(np.clip(sum(map(_n_entries, runs)) // RANGES, *TARGET_ENTRIES))
    samples: list[tuple[bytes, int]] = []
    for run in runs:
        with _opened(run) as table:
            samples += _sampled(table, max(1, target // SAMPLES))
    samples.sort()
    cuts, held, last = [b""], 0, b""
    for pretoken, entries in samples:
        if held and held + entries > target and pretoken > last:
            cuts.append(pretoken)
            held = 0
        held, last = held + entries, pretoken
    return list(zip(cuts, [*cuts[1:], None], strict=True))


def merge_range(runs: Sequence[Run], bounds: Range, langs: Sequence[str], cap: int) -> pa.Table:
    """The sums of one range over all runs, in the columns of `sums_schema`, sorted by the pre-token's bytes.

    A host adds at most `cap` to a pre-token, 0 for no limit.
    """
    pretokens: list[pa.Array] = []
    lengths: list[NDArray[np.int64]] = []
    entries: list[pa.StructArray] = []
    for run in runs:
        with _opened(run) as table:
            part = table.slice(_place(table, bounds[0]))
            part = part if bounds[1] is None else part.slice(0, _place(part, bounds[1]))
            if part.num_rows:
                # Copies: the mapped file is closed before they are used.
                pretokens.append(_copied(part["pretoken"].chunk(0)))
                lengths.append(pc.list_value_length(part["entries"]).to_numpy())
                entries.append(_copied(part["entries"].chunk(0).flatten()))
    schema = sums_schema(langs)
    if not pretokens:
        return schema.empty_table()
    every = pa.concat_arrays(pretokens)
    data, offsets = np.frombuffer(every.buffers()[2], np.uint8), np.frombuffer(every.buffers()[1], np.int64)
    order = sorted_rows(data, offsets[: len(every) + 1])
    new = new_rows(data, offsets, order)
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.cumsum(new) - 1
    distinct = every.take(pa.array(order[new]))
    types = np.repeat(ranks, np.concatenate(lengths))
    columns = [np.concatenate([each.field(name).to_numpy() for each in entries]) for name in _ENTRY_NAMES]
    by = np.lexsort((columns[0], types))
    types, (hosts, codes, counts, documents) = types[by], (column[by] for column in columns)
    sums = capped_sums(types, hosts, codes, counts, documents, cap or UNLIMITED, len(distinct), len(langs))
    n_documents, n_hosts, by_lang = sums
    numbers = [n_documents, n_hosts, *np.ascontiguousarray(by_lang.T)]
    return pa.table([distinct, *(pa.array(each) for each in numbers)], schema=schema)


@contextmanager
def _opened(run: Run) -> Iterator[pa.Table]:
    """A run as a table, a file memory-mapped: reading a range touches only that range."""
    if isinstance(run, pa.Table):
        yield run
        return
    try:
        file = pa.memory_map(str(run))
        table = pa.ipc.open_file(file).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{run}: damaged ({reason}); delete it and type the same command again") from None
    try:
        yield table
    finally:
        file.close()


def _n_entries(run: Run) -> int:
    with _opened(run) as table:
        return int(table["entries"].chunk(0).offsets[-1].as_py()) if table.num_rows else 0


def _sampled(table: pa.Table, step: int) -> Iterator[tuple[bytes, int]]:
    """Pre-tokens at even distances in entries, and the entries up to the next."""
    if table.num_rows == 0:
        return
    column = table["entries"].chunk(0)
    ends = column.offsets.to_numpy()[1:]
    n_entries = int(ends[-1])
    for at in range(0, n_entries, step):
        row = int(np.searchsorted(ends, at, side="right"))
        yield table["pretoken"][row].as_py(), min(step, n_entries - at)


def _place(table: pa.Table, pretoken: bytes) -> int:
    """First row that is not before `pretoken`, by bisection."""
    column: Any = table["pretoken"]
    first, last = 0, table.num_rows
    while first < last:
        middle = (first + last) // 2
        if column[middle].as_py() < pretoken:
            first = middle + 1
        else:
            last = middle
    return first


def _copied(array: pa.Array) -> pa.Array:
    return array.take(pa.array(np.arange(len(array))))
