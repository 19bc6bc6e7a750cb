"""Work files of clustering: columns of numbers, the first one ascending, read back by ranges of it.

Each task sorts what it has and writes one file; a later task reads its range out of all of them. A range that would
not fit into memory is cut further, down to a single value, which comes in pieces: memory is bounded whatever the
data. Nothing is mapped, for mapped pages count as memory of a worker, and nothing stays open, for there are many
files. A file says how long it is, so that a torn one is noticed, never read as a shorter one.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seimai.errors import RunError
from seimai.files import atomic

__all__ = ["Columns", "Kinds", "SortedFile", "gather", "subranges", "write_sorted"]

Columns = tuple[NDArray[Any], ...]
Kinds = tuple[Any, ...]
"""The types of a file's columns."""

MAGIC = 0x3249414D49455300
HEAD = 8
"""Words of 8 bytes at the beginning: the magic number, the bytes of each column, at the end those of the fences."""
FENCE = 256
"""Every so many rows the first column's value is repeated at the end of the file, to find a range in two reads."""
NEAR = 64
"""Fences apart up to which both ends of a range are looked for in one read (128 KB for numbers of 8 bytes)."""
REMEDY = "remove the folder work/ of the run, then type the same command again"


def write_sorted(path: Path, *columns: NDArray[Any]) -> int:
    """Write columns whose first is ascending; returns the bytes on disk. A column begins at a multiple of 8 bytes."""
    fences = columns[0][::FENCE]
    head = np.zeros(HEAD, np.uint64)
    head[: len(columns) + 1] = [MAGIC, *(column.nbytes for column in columns)]
    head[-1] = fences.nbytes
    with atomic(path) as temporary, temporary.open("wb", buffering=0) as file:
        for part in (head, *columns, fences):
            _write_all(file.fileno(), np.ascontiguousarray(part).data.cast("B") if part.nbytes else memoryview(b""))
            _write_all(file.fileno(), memoryview(bytes(-part.nbytes % 8)))
        return int(file.tell())


def _write_all(file: int, data: memoryview) -> None:
    """Write all bytes; a full disk may take some of them before it is an error."""
    while data:
        data = data[os.write(file, data) :]


class SortedFile:
    """A file's places; columns are read on demand. Raises RunError for a file that is not there whole."""

    def __init__(self, path: Path, kinds: Kinds) -> None:
        self._path, self._kinds = path, tuple(np.dtype(kind) for kind in kinds)
        self._last: tuple[int, int, slice] | None = None
        with self._opened() as file:
            size = os.fstat(file).st_size
            head = np.frombuffer(os.pread(file, 8 * HEAD, 0).ljust(8 * HEAD, b"\0"), np.uint64)
            lengths = [int(n) for n in (*head[1 : len(kinds) + 1], head[-1])]
            self._starts = [8 * HEAD]
            for length in lengths:
                self._starts.append(self._starts[-1] + -(-length // 8) * 8)
            if head[0] != MAGIC or self._starts[-1] != size:
                raise RunError(f"{path}: is not whole ({size} bytes); {REMEDY}")
            self._fences = np.empty(lengths[-1] // self._kinds[0].itemsize, self._kinds[0])
            self._fill(file, self._starts[-2], self._fences.view(np.uint8))
        self._lengths = [n // kind.itemsize for n, kind in zip(lengths, self._kinds, strict=False)]

    def __len__(self) -> int:
        """How many rows the first column has."""
        return int(self._lengths[0])

    def span(self, low: int, high: int) -> slice:
        """Where the first column has the values low to high, both included."""
        if self._last is None or self._last[:2] != (low, high):
            self._last = (low, high, self._find(low, high))
        return self._last[2]

    def _find(self, low: int, high: int) -> slice:
        """One read where the range is short, one at each of its ends where it is long."""
        least, most = (self._kinds[0].type(value) for value in (low, high))
        first = max(int(np.searchsorted(self._fences, least, "left")) - 1, 0)
        last = int(np.searchsorted(self._fences, most, "right"))
        begin, stop = first * FENCE, min(last * FENCE, len(self))
        if last - first <= NEAR:
            rows = self.read(0, slice(begin, stop))
            return slice(begin + int(np.searchsorted(rows, least)), begin + int(np.searchsorted(rows, most, "right")))
        head = self.read(0, slice(begin, begin + FENCE))
        tail = self.read(0, slice(stop - FENCE, stop))
        return slice(
            begin + int(np.searchsorted(head, least)), stop - FENCE + int(np.searchsorted(tail, most, "right"))
        )

    def read(self, column: int, part: slice | None = None) -> NDArray[Any]:
        """Some rows of a column, or all."""
        kind = self._kinds[column]
        begin, stop = (part.start, part.stop) if part else (0, self._lengths[column])
        found = np.empty(stop - begin, kind)
        self.read_into(column, begin, found)
        return found

    def read_into(self, column: int, begin: int, found: NDArray[Any]) -> None:
        """Fill `found`, of the column's type, with its rows from `begin` on."""
        if len(found):
            with self._opened() as file:
                self._fill(file, self._starts[column] + begin * found.itemsize, found.view(np.uint8))

    @contextmanager
    def _opened(self) -> Iterator[int]:
        try:
            file = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            raise RunError(f"{self._path}: is gone; {REMEDY}") from None
        try:
            yield file
        finally:
            os.close(file)

    def _fill(self, file: int, at: int, data: NDArray[np.uint8]) -> None:
        done = 0
        while done < len(data) and (more := os.preadv(file, [data[done:].data], at + done)):
            done += more
        if done < len(data):
            raise RunError(f"{self._path}: is not whole; {REMEDY}")


def count_rows(_: SortedFile, part: slice) -> int:
    """How many rows a slice of a file has: the plain weight of `subranges`."""
    return int(part.stop - part.start)


def subranges(
    files: Sequence[SortedFile],
    low: int,
    high: int,
    limit: int,
    weigh: Callable[[SortedFile, slice], int] = count_rows,
) -> Iterator[tuple[int, int, int]]:
    """[low, high] cut in halves until each weighs at most `limit` in all files, or is one value; with its weight.

    Ranges that weigh nothing are left out.
    """
    weight = sum(weigh(file, file.span(low, high)) for file in files)
    if weight <= limit or low == high:
        if weight:
            yield low, high, weight
        return
    middle = low + (high - low) // 2
    yield from subranges(files, low, middle, limit, weigh)
    yield from subranges(files, middle + 1, high, limit, weigh)


def gather(files: Sequence[SortedFile], kinds: Kinds, low: int, high: int, rows: int) -> Iterator[Columns]:
    """What the files have in [low, high], file after file, in pieces of at most `rows` rows."""
    for file in files:
        part = file.span(low, high)
        for begin in range(part.start, part.stop, rows):
            piece = slice(begin, min(begin + rows, part.stop))
            yield tuple(file.read(column, piece) for column in range(len(kinds)))
