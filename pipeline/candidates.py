"""Keys of documents to candidate edges, out of core: what shares a key is joined to the first that has it.

The same machinery serves exact duplicates (a key is half of a 128-bit hash, the other half must be equal too) and near
ones (a key is a band's). Keys are sorted per batch, 16 bytes each (24 with the other half), and read back by ranges;
edges are (row, first), ascending by row. Rows number the documents of the run.
"""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .sorted_files import Columns, Kinds, SortedFile, gather, subranges, write_sorted

__all__ = ["EDGE", "band_file", "edge_files", "hash_file", "key_ranges", "tidy_edges"]

Edges = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Rows and the rows they are joined to."""

EDGE = (np.int64, np.int64)
"""An edge: row, then the earlier row it is joined to."""
BAND = (np.uint64, np.int64)
HASH = (np.uint64, np.int64, np.uint64)
EDGE_BYTES = 64
"""Bytes of memory for a key while its edges are made: key and row, sorted into a second place, and the edge."""


def hash_file(path: Path, rows: NDArray[np.int64], hashes: NDArray[np.uint8], salts: NDArray[np.uint64]) -> int:
    """Write the sorted 128-bit hashes (n, 16) of some documents; returns the bytes on disk."""
    from .band_kernels import sort_pairs

    halves = np.ascontiguousarray(hashes).view("<u8")
    keys, order = sort_pairs(halves[:, 0] ^ salts, np.arange(len(rows)), 64)
    return write_sorted(path, keys, rows[order], halves[order, 1])


def band_file(path: Path, rows: NDArray[np.int64], keys: NDArray[np.uint64]) -> int:
    """Write the sorted band keys of some documents, as many of each; returns the bytes on disk."""
    from .band_kernels import sort_pairs

    return write_sorted(path, *sort_pairs(keys, np.repeat(rows, len(keys) // max(1, len(rows))), 64))


def key_ranges(entries: int, memory_bytes: int) -> list[tuple[int, int]]:
    """Even ranges of the 64-bit keys, both ends included, most four fifths of what `memory_bytes` holds.

    >>> [(low >> 60, high >> 60) for low, high in key_ranges(1000, 20_000)]
    [(0, 3), (4, 7), (8, 11), (12, 15)]
    """
    count = max(1, -(-5 * entries * EDGE_BYTES // (4 * memory_bytes)))
    cuts = [(2**64 * n) // count for n in range(count + 1)]
    return [(low, high - 1) for low, high in itertools.pairwise(cuts)]


def edge_files(
    folder: Path,
    number: int,
    keys: Sequence[Path],
    wanted: tuple[int, int],
    *,
    exact: bool,
    loops: bool,
    memory_bytes: int,
) -> dict[str, int]:
    """Write the edges of a range of keys; returns `files`, `edges` (without loops) and `disk_bytes`.

    `loops`: a centre is a member of its own star too.

    The files are `edges-<number>-<0, 1, …>`, each without repeats and as large as memory allows.
    """
    kinds = HASH if exact else BAND
    files = [SortedFile(path, kinds) for path in keys]
    limit = max(1, memory_bytes // EDGE_BYTES)
    held: list[Edges] = []
    wrote = {"files": 0, "edges": 0, "disk_bytes": 0}

    def flush() -> None:
        row, first = tidy_edges(np.concatenate([e[0] for e in held]), np.concatenate([e[1] for e in held]))
        path = folder / f"edges-{number:06d}-{wrote['files']:04d}"
        wrote["disk_bytes"] += write_sorted(path, row, first)
        wrote["files"] += 1
        wrote["edges"] += int((row != first).sum())
        held.clear()

    for found in _edges(files, kinds, *wanted, limit, loops):
        if held and sum(len(e[0]) for e in held) + len(found[0]) > limit:
            flush()
        if len(found[0]):
            held.append(found)
    if held:
        flush()
    return wrote


def tidy_edges(row: NDArray[np.int64], first: NDArray[np.int64]) -> Edges:
    """Edges ascending by row, then first, without repeats; the arrays given are used up."""
    from .band_kernels import sort_pairs, unique_edges

    bits = int(row.max()).bit_length() if len(row) else 0
    row, first = sort_pairs(row, first, bits)
    kept = unique_edges(row, first)
    return row[:kept], first[:kept]


def _edges(files: Sequence[SortedFile], kinds: Kinds, low: int, high: int, limit: int, loops: bool) -> Iterator[Edges]:
    from .band_kernels import equal_edges, sort_pairs

    for begin, end, count in subranges(files, low, high, limit):
        if count > limit:
            yield from _edges_of_key(gather(files, kinds, begin, end, limit), loops)
            continue
        columns = [np.concatenate(column) for column in zip(*gather(files, kinds, begin, end, limit), strict=True)]
        keys, order = sort_pairs(columns[0], np.arange(count), 64)
        rest = columns[2][order] if len(columns) == 3 else np.empty(0, np.uint64)
        yield equal_edges(keys, rest, columns[1][order], loops)


def _edges_of_key(pieces: Iterator[Columns], loops: bool) -> Iterator[Edges]:
    """The edges of one key that more documents have than fit into memory."""
    known: dict[int, Any] = {}
    for piece in pieces:
        rows = piece[1]
        rest = piece[2] if len(piece) == 3 else np.zeros(len(rows), np.uint64)
        for value in np.unique(rest):
            chosen = rows[rest == value]
            new = int(value) not in known
            first = known.setdefault(int(value), chosen[0])
            chosen = chosen if loops or not new else chosen[1:]
            yield chosen, np.full(len(chosen), first)
