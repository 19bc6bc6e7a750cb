"""Clusters of near-duplicates: signatures in, the id of the cluster's first document and its size out.

Out of core: band keys are sorted per batch, read back by ranges of the key, and become edges (a bucket's first
document to each other one); components are found in one parent array of 8 bytes a document that lies in a mapped file.
The work directory takes 16 bytes a document and band for the keys while the stage runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numba import njit

from seimai.files import atomic

from .dedup import DedupConfig, band_keys
from .document import CLUSTER_COLUMNS, schema
from .order import Batch

__all__ = ["VERSION", "KeyRange", "assign", "components", "edges_of_range", "key_ranges", "split_keys"]

VERSION = 1
RANGE_ENTRIES = 4_000_000
"""Keys that one task sorts at a time: about 200 MB."""
ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The band keys in [low, high]."""

    number: int
    low: int
    high: int


def split_keys(run: Path, work: Path, batch: Batch, config: DedupConfig) -> int:
    """Write a batch's band keys, sorted, with their document numbers, and its ids; returns the number of keys."""
    keys: list[np.ndarray] = []
    rows: list[np.ndarray] = []
    with atomic(work / f"ids-{batch.number:06d}.bin") as ids, ids.open("wb") as file:
        for entry in batch.entries:
            path = run / "signatures" / f"{entry.part}.parquet"
            table = pq.read_table(path, columns=["id", "signature"])
            for identity in table["id"].to_pylist():
                file.write(bytes.fromhex(identity))
            signature = table["signature"].combine_chunks()
            present = np.flatnonzero(np.asarray(signature.is_valid()))
            if len(present) == 0:
                continue
            matrix = np.frombuffer(b"".join(signature.drop_null().to_pylist()), "<u4").reshape(len(present), -1)
            keys.append(band_keys(matrix, config.bands, config.rows).reshape(-1))
            rows.append(np.repeat(present + entry.first_row, config.bands))
    key = np.concatenate(keys) if keys else np.empty(0, np.uint64)
    row = np.concatenate(rows) if rows else np.empty(0, np.int64)
    by_key = np.lexsort((row, key))
    _write(work / f"keys-{batch.number:06d}.arrow", {"key": key[by_key], "row": row[by_key].astype(np.int64)})
    return len(key)


def key_ranges(entries: int) -> list[KeyRange]:
    """Even ranges of the 64-bit key space, so many that each holds about four million of `entries` keys.

    >>> [r.number for r in key_ranges(9_000_000)], key_ranges(0)[0].high == 2**64 - 1
    ([0, 1, 2], True)
    """
    count = max(1, -(-entries // RANGE_ENTRIES))
    cuts = [(2**64 * n) // count for n in range(count + 1)]
    return [KeyRange(n, cuts[n], cuts[n + 1] - 1) for n in range(count)]


def edges_of_range(work: Path, batches: int, wanted: KeyRange) -> int:
    """Write the edges of the buckets in a range: each bucket's first document to every other; returns their number."""
    keys: list[np.ndarray] = []
    rows: list[np.ndarray] = []
    for number in range(batches):
        with pa.memory_map(str(work / f"keys-{number:06d}.arrow")) as source:
            columns = _read(source)
            low = np.searchsorted(columns["key"], np.uint64(wanted.low), "left")
            high = np.searchsorted(columns["key"], np.uint64(wanted.high), "right")
            keys.append(columns["key"][low:high].copy())
            rows.append(columns["row"][low:high].copy())
    key, row = np.concatenate(keys), np.concatenate(rows)
    order = np.lexsort((row, key))
    key, row = key[order], row[order]
    begins = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])) if len(key) else np.empty(0, np.int64)
    first = np.repeat(row[begins], np.diff(np.append(begins, len(key)))) if len(key) else row
    joined = first != row
    _write(work / f"edges-{wanted.number:06d}.arrow", {"first": first[joined], "row": row[joined]})
    return int(joined.sum())


def components(work: Path, batches: int, ranges: int, documents: int) -> None:
    """Join the edges: `parent.bin` holds each document's cluster (its first document), `size.bin` the cluster's size.

    Documents without a signature have parent -1. Both files are int64, 8 bytes a document, mapped, not loaded.
    """
    parent = np.memmap(work / "parent.bin", np.int64, "w+", shape=(documents,))
    size = np.memmap(work / "size.bin", np.int64, "w+", shape=(documents,))
    parent[:] = -1
    for number in range(batches):
        with pa.memory_map(str(work / f"keys-{number:06d}.arrow")) as source:
            _plant(parent, _read(source)["row"])
    for number in range(ranges):
        with pa.memory_map(str(work / f"edges-{number:06d}.arrow")) as source:
            edges = _read(source)
            _union(parent, edges["first"], edges["row"])
    _flatten(parent, size)
    parent.flush()
    size.flush()


def assign(
    run: Path, work: Path, batch: Batch, all_batches: Sequence[tuple[int, int]], documents: int
) -> list[pa.Table]:
    """The cluster tables of a batch's parts, in order; `all_batches` holds every batch's number and first row."""
    parent = np.memmap(work / "parent.bin", np.int64, "r", shape=(documents,))
    size = np.memmap(work / "size.bin", np.int64, "r", shape=(documents,))
    starts = np.array([first for _, first in all_batches], np.int64)
    tables = []
    for entry in batch.entries:
        span = slice(entry.first_row, entry.first_row + entry.rows)
        roots, sizes = np.array(parent[span]), np.array(size[span])
        names = _ids(work, all_batches, starts, roots)
        own = pq.read_table(run / "signatures" / f"{entry.part}.parquet", columns=["id"])["id"]
        missing = roots < 0
        columns = [own.combine_chunks(), pa.array(names, pa.string()), pa.array(sizes, mask=missing)]
        tables.append(pa.table(columns, schema=schema(CLUSTER_COLUMNS)))
    return tables


def _ids(work: Path, all_batches: Sequence[tuple[int, int]], starts: np.ndarray, roots: np.ndarray) -> list[str | None]:
    """Ids (hex) of documents by their number in the run; None for -1."""
    found: list[str | None] = [None] * len(roots)
    owner = np.searchsorted(starts, roots, "right") - 1
    for place in np.unique(owner[roots >= 0]):
        number, first = all_batches[int(place)]
        ids = np.memmap(work / f"ids-{number:06d}.bin", np.uint8, "r").reshape(-1, ID_BYTES)
        for at in np.flatnonzero((owner == place) & (roots >= 0)):
            found[at] = ids[roots[at] - first].tobytes().hex()
    return found


def _write(path: Path, columns: dict[str, np.ndarray]) -> None:
    """An uncompressed Arrow file of one batch, so that reading maps it without a copy."""
    table = pa.record_batch({name: pa.array(values) for name, values in columns.items()})
    with atomic(path) as temporary, pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, table.schema) as out:
        out.write_batch(table)


def _read(source: pa.MemoryMappedFile) -> dict[str, np.ndarray]:
    batch = pa.ipc.open_file(source).get_batch(0)
    return {name: batch.column(name).to_numpy(zero_copy_only=True) for name in batch.schema.names}


@njit(nogil=True, cache=True)
def _plant(parent: np.ndarray, rows: np.ndarray) -> None:
    for i in range(len(rows)):
        parent[rows[i]] = rows[i]


@njit(nogil=True, cache=True)
def _union(parent: np.ndarray, firsts: np.ndarray, rows: np.ndarray) -> None:
    """Join each edge's two trees under the smaller root, halving paths on the way."""
    for i in range(len(firsts)):
        a, b = firsts[i], rows[i]
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        if a < b:
            parent[b] = a
        else:
            parent[a] = b


@njit(nogil=True, cache=True)
def _flatten(parent: np.ndarray, size: np.ndarray) -> None:
    """Roots are smaller than their members, so one forward pass makes every parent a root."""
    for i in range(len(parent)):
        if parent[i] >= 0:
            parent[i] = parent[parent[i]]
            size[parent[i]] += 1
    for i in range(len(parent)):
        if parent[i] >= 0:
            size[i] = size[parent[i]]
