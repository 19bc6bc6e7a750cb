"""An index and a run's documents behind one another, as clustering sees them: the former ones come first.

So clusters, and who is their first document, are those of both dumps deduplicated at once. Of the former documents
only the index is read. Where it holds signatures instead of shingle sets, a signature of k values stands for a set of
k hashes: the Jaccard similarity of two such sets is m / (2k - m) where m values agree, so that the share m / k, the
estimate, is compared with the threshold; then new documents are estimated among themselves too.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .candidates import BAND
from .cluster_source import RunSource, bytes_of
from .cluster_steps import Clustering, Hashed, Signed
from .components import Block, shared_roots
from .dedup_index import DedupIndex, Verification
from .exact import HASH_BYTES
from .jaccard import ShingleSets
from .order import Batch, Entry
from .sorted_files import SortedFile, write_sorted

__all__ = [
    "JoinedSource",
    "count_former",
    "estimate_threshold",
    "former_batches",
    "former_of_rows",
    "index_sets",
    "shifted",
]

_COUNTS = (np.int64, np.int64)
"""First row of a cluster, and its former documents of a batch that passed the rules."""


@dataclass(frozen=True, slots=True)
class JoinedSource:
    """The documents of an index, then those of a run; see `cluster_steps.Source`."""

    root: Path
    former_rows: int
    verification: Verification
    source: RunSource

    def hashed(self, batch: Batch) -> Hashed:
        """What exact duplicates are found by."""
        if not self._former(batch):
            return self.source.hashed(batch)
        table = pq.read_table(self.root / f"{batch.entries[0].part}.documents.parquet")
        urls = bytes_of(table["url_hash"], HASH_BYTES) if "url_hash" in table.column_names else None
        no_salts = np.zeros(len(table), np.uint64)
        return Hashed(
            bytes_of(table["id"], HASH_BYTES),
            table["takes_part"].to_numpy(),
            bytes_of(table["text_hash"], HASH_BYTES),
            urls,
            table["salt"].to_numpy() if "salt" in table.column_names else no_salts,
        )

    def signed(self, batch: Batch, chunk_rows: int) -> Iterator[Signed]:
        """The signatures of new documents; the index holds the band keys of the former ones."""
        return self.source.signed(batch, chunk_rows)

    def stored_keys(self, batch: Batch, limit: int) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]] | None:
        """Sorted band keys with their rows, in pieces of at most `limit`; None for new documents."""
        return self._stored_keys(batch, limit) if self._former(batch) else None

    def _stored_keys(self, batch: Batch, limit: int) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
        for path in sorted(self.root.glob(f"{batch.entries[0].part}.bands-*")):
            file = SortedFile(path, BAND)
            for begin in range(0, len(file), limit):
                part = slice(begin, min(begin + limit, len(file)))
                yield file.read(0, part), file.read(1, part) + batch.first_row

    def sets(self, batch: Batch, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], ShingleSets]]:
        """The shingle sets, or what stands for them, of these documents (ascending), a few at a time."""
        if self._former(batch):
            path = self.root / f"{batch.entries[0].part}.sets.parquet"
            for some, sets in index_sets(path, rows - batch.first_row, self.source.config.num_perm):
                yield some + batch.first_row, sets
        elif self.verification == "exact":
            yield from self.source.sets(batch, rows)
        else:
            for signed in self.source.signed(batch, 10_000):
                span = slice(*np.searchsorted(rows, [signed.first_row, signed.first_row + len(signed.signatures)]))
                if span.stop > span.start:
                    yield rows[span], signature_sets(signed.signatures[rows[span] - signed.first_row])

    def passed(self, batch: Batch) -> NDArray[np.bool_]:
        """Which former documents every rule of their own run let pass."""
        path = self.root / f"{batch.entries[0].part}.documents.parquet"
        found: NDArray[np.bool_] = pq.read_table(path, columns=["passed"])["passed"].to_numpy()
        return found

    def _former(self, batch: Batch) -> bool:
        return batch.first_row < self.former_rows


def index_sets(path: Path, rows: NDArray[np.int64], num_perm: int) -> Iterator[tuple[NDArray[np.int64], ShingleSets]]:
    """The sets of these documents of a piece (ascending), row group after row group."""
    with pq.ParquetFile(path) as file:
        exact = pa.types.is_list(file.schema_arrow.field("values").type)
        for group in range(file.num_row_groups):
            bounds = file.metadata.row_group(group).column(0).statistics
            mine = rows[slice(*np.searchsorted(rows, [bounds.min, bounds.max + 1]))]
            if not len(mine):
                continue
            table = file.read_row_group(group, use_threads=False)
            places = np.searchsorted(table["row"].to_numpy(), mine)
            values = table["values"].combine_chunks().take(pa.array(places))
            if exact:
                yield mine, ShingleSets(values.offsets.to_numpy().astype(np.int64), values.values.to_numpy())
            else:
                yield mine, signature_sets(bytes_of(values, 4 * num_perm).view("<u4"))


def signature_sets(signatures: NDArray[np.uint32]) -> ShingleSets:
    """Each value of a signature (n, k), mixed with its place, as an element of a set."""
    from .jaccard_kernels import sort_sets

    count, size = signatures.shape
    places = np.arange(1, size + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (signatures.astype(np.uint64) ^ places) * np.uint64(0xFF51AFD7ED558CCD)
    mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    hashes = (mixed >> np.uint64(32)).astype(np.uint32).reshape(-1)
    ends = sort_sets(hashes, np.arange(0, size * count + 1, size, dtype=np.int64))
    return ShingleSets(ends, hashes[: ends[-1]].copy())


def estimate_threshold(threshold: float, num_perm: int) -> float:
    """The Jaccard similarity of signatures as sets from which a share of `threshold` of their values is equal.

    It lies between two possible values, so that no rounding decides.

    >>> round(estimate_threshold(0.8, 128), 3)
    0.668
    """
    least = math.ceil(threshold * num_perm - 1e-9)
    return (least - 0.5) / (2 * num_perm - least + 0.5)


def former_batches(index: DedupIndex) -> Iterator[Batch]:
    """The pieces of an index as batches of one part."""
    first = 0
    for number, piece in enumerate(index.head["pieces"]):
        yield Batch(number, (Entry(piece["name"], piece["rows"], first),))
        first += piece["rows"]


def shifted(batch: Batch, batches: int, rows: int) -> Batch:
    """A batch of a run behind so many batches and rows.

    >>> shifted(Batch(0, (Entry("a", 3, 0),)), 2, 10)
    Batch(number=2, entries=(Entry(part='a', rows=3, first_row=10),))
    """
    entries = tuple(replace(entry, first_row=entry.first_row + rows) for entry in batch.entries)
    return Batch(batch.number + batches, entries)


def count_former(batch: Batch, task: Clustering, blocks: list[Block]) -> None:
    """Write how many documents of a former batch passed their rules, by the first row of their cluster."""
    if not isinstance(task.source, JoinedSource):
        raise ValueError("only a source with an index has former documents")
    block = next(block for block in blocks if batch.first_row in block.rows)
    rows = range(batch.first_row, batch.first_row + batch.rows)
    roots, shared = shared_roots(task.work / "components", block, rows)
    found, counts = np.unique(roots[shared & task.source.passed(batch)], return_counts=True)
    write_sorted(task.work / f"former-{batch.number:06d}", found, counts.astype(np.int64))


def former_of_rows(batch: Batch, task: Clustering, blocks: list[Block], former: int) -> NDArray[np.int64]:
    """How many former documents that passed their rules are in each document's cluster; `former` batches have them."""
    block = next(block for block in blocks if batch.first_row in block.rows)
    rows = range(batch.first_row, batch.first_row + batch.rows)
    roots, shared = shared_roots(task.work / "components", block, rows)
    wanted, back = np.unique(roots[shared], return_inverse=True)
    sums = np.zeros(len(wanted), np.int64)
    for number in range(former) if len(wanted) else ():
        file = SortedFile(task.work / f"former-{number:06d}", _COUNTS)
        part = file.span(int(wanted[0]), int(wanted[-1]))
        known, counts = file.read(0, part), file.read(1, part)
        own = np.isin(known, wanted, assume_unique=True)
        sums[np.searchsorted(wanted, known[own])] += counts[own]
    found = np.zeros(batch.rows, np.int64)
    found[shared] = sums[back]
    return found
