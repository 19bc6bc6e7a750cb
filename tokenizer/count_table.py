"""Merged ranges in order in; one sorted Parquet file out, whose bytes do not follow how the ranges were cut."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seimai.files import atomic

__all__ = ["weighted", "write_table"]

ROW_GROUP = 1 << 17


def weighted(table: pa.Table, of_each: Mapping[str, int], bits: int) -> pa.Table:
    """The table with its column `count`: the languages' counts times their weights, rounded to the nearest."""
    total = pa.array([(1 << bits) >> 1] * table.num_rows, pa.int64())
    for lang, weight in of_each.items():
        total = pc.add(total, pc.multiply(table[f"count_{lang}"], weight))
    return table.add_column(1, "count", pc.shift_right(total, bits))


def write_table(path: Path, tables: Iterator[pa.Table]) -> int:
    """One file of rows that count, in row groups of one size whatever the tables' sizes; returns how many rows."""
    n_rows = 0
    with atomic(path) as temporary, _writer(temporary) as write:
        held: pa.Table | None = None
        for table in tables:
            table = table.filter(pc.greater(table["count"], 0))
            n_rows += table.num_rows
            held = table if held is None else pa.concat_tables([held, table])
            while held.num_rows >= ROW_GROUP:
                write(held.slice(0, ROW_GROUP))
                held = held.slice(ROW_GROUP)
        if held is not None:
            write(held)
    return n_rows


@contextmanager
def _writer(path: Path) -> Iterator[Callable[[pa.Table], None]]:
    """A Parquet file that opens with the first table, which gives the columns."""
    writer: pq.ParquetWriter | None = None

    def write(table: pa.Table) -> None:
        nonlocal writer
        if writer is None:
            writer = pq.ParquetWriter(path, table.schema, compression="zstd", use_dictionary=False)
        writer.write_table(table.combine_chunks(), row_group_size=ROW_GROUP)

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()
