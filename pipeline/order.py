"""The order of a run: its non-empty parts with their rows, on disk, so that a million parts cost no memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from seimai.errors import RunError
from seimai.files import atomic

__all__ = ["Batch", "Entry", "batches", "no_order", "read_entries", "write_order"]

BATCH_ROWS = 200_000
BATCH_PARTS = 500

_SCHEMA = pa.schema([("part", pa.string()), ("rows", pa.int64()), ("first_row", pa.int64())])


@dataclass(frozen=True, slots=True)
class Entry:
    """A part that holds documents: its name, how many, and the number of the first in the whole run."""

    part: str
    rows: int
    first_row: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Neighbouring parts that one task of a barrier stage takes."""

    number: int
    entries: tuple[Entry, ...]

    @property
    def first_row(self) -> int:
        """Number of the batch's first document in the run."""
        return self.entries[0].first_row

    @property
    def rows(self) -> int:
        """Documents in the batch."""
        return sum(entry.rows for entry in self.entries)


def write_order(path: Path, parts: Iterable[tuple[str, int]]) -> int:
    """Write the parts (name, rows; in order, empty ones left out) and return the number of rows in all."""
    total = 0
    with atomic(path) as temporary, pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
        names: list[str] = []
        rows: list[int] = []
        for name, count in parts:
            if count == 0:
                continue
            names.append(name)
            rows.append(count)
            if len(names) == 4096:
                total = _flush(writer, names, rows, total)
                names, rows = [], []
        total = _flush(writer, names, rows, total)
    return total


def _flush(writer: pa.ipc.RecordBatchFileWriter, names: list[str], rows: list[int], first: int) -> int:
    ends = np.cumsum(np.array(rows, np.int64)) + first
    starts = ends - np.array(rows, np.int64)
    if names:
        writer.write_batch(pa.record_batch([pa.array(names), pa.array(rows, pa.int64()), pa.array(starts)], _SCHEMA))
    return int(ends[-1]) if names else first


def read_entries(path: Path) -> Iterator[Entry]:
    """The entries of an order file, one record batch in memory at a time.  Raises RunError where there is none."""
    if not path.exists():
        raise no_order(path.parent.parent)
    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
        for number in range(reader.num_record_batches):
            for row in reader.get_batch(number).to_pylist():
                yield Entry(row["part"], row["rows"], row["first_row"])


def no_order(run: Path) -> RunError:
    """What to say of a folder without the columns of a run."""
    if (run / "manifest.json").exists():
        return RunError(f"{run}: has no columns, as runs made by remove, mask or cut; give the run it was made of")
    return RunError(f"{run}: is no finished run directory; `seimai run` makes one")


def batches(path: Path) -> Iterator[Batch]:
    """Neighbouring parts together, each batch of about 200,000 documents and at most 500 parts."""
    number = 0
    gathered: list[Entry] = []
    rows = 0
    for entry in read_entries(path):
        gathered.append(entry)
        rows += entry.rows
        if rows >= BATCH_ROWS or len(gathered) >= BATCH_PARTS:
            yield Batch(number, tuple(gathered))
            number, gathered, rows = number + 1, [], 0
    if gathered:
        yield Batch(number, tuple(gathered))
