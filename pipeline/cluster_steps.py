"""The steps of clustering as one worker does them: a batch of documents or a range of keys in, sorted files out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from seimai.errors import RunError

from .candidates import EDGE, band_file, edge_files, hash_file
from .components import ID_BYTES, Block, clusters_of_rows, find_components
from .confirm import carry, verify_range
from .jaccard import ShingleSets
from .order import Batch
from .sorted_files import REMEDY, SortedFile, write_sorted

__all__ = ["Clustering", "Found", "Hashed", "Signed", "Source", "Step"]

Found = dict[str, Any]
"""What an item of a step wrote and counted, by name; JSON."""
Step = Callable[["Clustering", Path, int, Any], Found]
"""Does one item of a step: the job, the step's folder, the item's number, the item."""

_MEMBERS = (np.uint8, np.uint8)
"""Of every document of a batch: whether it takes part, its id (16 bytes)."""


@dataclass(frozen=True, slots=True)
class Hashed:
    """All documents of a batch: ids (n, 16), who takes part, hashes (n, 16) of texts and, where asked for, of URLs.

    Documents of different `salts` (languages, dumps) never meet. A hash of zeros is none.
    """

    ids: NDArray[np.uint8]
    takes_part: NDArray[np.bool_]
    texts: NDArray[np.uint8]
    urls: NDArray[np.uint8] | None
    salts: NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Signed:
    """Consecutive documents, by number in the run: signatures (n, num_perm) and salts as in `Hashed`."""

    first_row: int
    signatures: NDArray[np.uint32]
    salts: NDArray[np.uint64]


class Source(Protocol):
    """Where documents come from; goes to the workers."""

    def hashed(self, batch: Batch) -> Hashed:
        """What exact duplicates are found by."""

    def signed(self, batch: Batch, chunk_rows: int) -> Iterator[Signed]:
        """All signatures of a batch, at most so many at a time; those of who takes no part may be anything."""

    def sets(self, batch: Batch, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], ShingleSets]]:
        """The shingle sets of these documents (ascending), in order, a few at a time."""


@runtime_checkable
class Stored(Protocol):
    """A source that holds the band keys of some batches, sorted."""

    def stored_keys(self, batch: Batch, limit: int) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]] | None:
        """Ascending keys with their rows, in pieces of at most `limit`; None for a batch whose keys it lacks."""


@dataclass(frozen=True, slots=True)
class Clustering:
    """What is to be done and where; without a `threshold` candidates are joined as they are."""

    work: Path
    source: Source
    bands: int
    rows: int
    num_perm: int
    threshold: float | None
    memory_bytes: int


def hashes(job: Clustering, folder: Path, number: int, batch: Batch) -> Found:
    """Ids and sorted hashes of a batch."""
    hashed = job.source.hashed(batch)
    disk_bytes = write_sorted(folder / f"members-{number:06d}", hashed.takes_part.view(np.uint8), hashed.ids)
    found: Found = {"documents": int(hashed.takes_part.sum())}
    for kind, values in (("text", hashed.texts), ("url", hashed.urls)):
        if values is not None:
            chosen = np.flatnonzero(hashed.takes_part & values.any(axis=1))
            path = folder / f"{kind}-{number:06d}"
            disk_bytes += hash_file(path, chosen + batch.first_row, values[chosen], hashed.salts[chosen])
            found[kind] = len(chosen)
    return {**found, "disk_bytes": disk_bytes}


def same(job: Clustering, folder: Path, number: int, wanted: tuple[int, int], *, kind: str, files: int) -> Found:
    """Edges between equal hashes in a range of them."""
    keys = files_of(job, "hashes", kind, files)
    return edge_files(folder, number, keys, wanted, exact=True, loops=False, memory_bytes=job.memory_bytes)


def bands(job: Clustering, folder: Path, number: int, batch: Batch, *, same: int) -> Found:
    """Band keys of a batch's documents but those whose text an earlier one has."""
    from .band_kernels import keys_of_bands

    first, stop = batch.first_row, batch.first_row + batch.rows
    goes_on = members(job, batch)[1]
    for path in files_of(job, "same_text", "edges", same):
        file = SortedFile(path, EDGE)
        goes_on[file.read(0, file.span(first, stop - 1)) - first] = False
    wrote = {"files": 0, "keys": 0, "disk_bytes": 0}
    limit = max(4 * job.bands, job.memory_bytes // 48)
    stored = job.source.stored_keys(batch, limit) if isinstance(job.source, Stored) else None
    if stored is not None:
        return _pass_keys(folder, number, stored, goes_on, first)
    # Keys of a document, its number beside each, and both sorted into a second place.
    chunk_rows = max(4, job.memory_bytes // (48 * job.bands))
    held: list[tuple[NDArray[np.int64], NDArray[np.uint64]]] = []
    held_rows = 0

    def flush() -> None:
        rows, keys = (np.concatenate(column) for column in zip(*held, strict=True))
        held.clear()
        wrote["disk_bytes"] += band_file(folder / f"keys-{number:06d}-{wrote['files']:04d}", rows, keys)
        wrote["files"] += 1
        wrote["keys"] += len(rows) * job.bands

    # A few documents at a time come in, but files must be large: each range of keys reads from all of them.
    for signed in job.source.signed(batch, max(1, job.memory_bytes // (32 * job.num_perm))):
        chosen = np.flatnonzero(goes_on[signed.first_row - first :][: len(signed.signatures)])
        if held and held_rows + len(chosen) > chunk_rows:
            flush()
            held_rows = 0
        keys = keys_of_bands(signed.signatures[chosen], job.bands, job.rows, signed.salts[chosen])
        held.append((chosen + signed.first_row, keys))
        held_rows += len(chosen)
    if held:
        flush()
    return wrote


def _pass_keys(
    folder: Path,
    number: int,
    stored: Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]],
    goes_on: NDArray[np.bool_],
    first: int,
) -> Found:
    """Write the stored keys of a batch's documents that go on; what is left of sorted keys is sorted."""
    wrote = {"files": 0, "keys": 0, "disk_bytes": 0}
    for keys, rows in stored:
        chosen = goes_on[rows - first]
        path = folder / f"keys-{number:06d}-{wrote['files']:04d}"
        wrote["disk_bytes"] += write_sorted(path, keys[chosen], rows[chosen])
        wrote["files"] += 1
        wrote["keys"] += int(chosen.sum())
    return wrote


def near(job: Clustering, folder: Path, number: int, wanted: tuple[int, int], *, files: int) -> Found:
    """Edges between equal band keys in a range of them; where they are verified, centres are their own members."""
    keys, verified = files_of(job, "bands", "keys", files), job.threshold is not None
    return edge_files(folder, number, keys, wanted, exact=False, loops=verified, memory_bytes=job.memory_bytes)


def sets(job: Clustering, folder: Path, number: int, batch: Batch, *, near: int, documents: int) -> Found:
    """Shingle sets of a batch's documents that stand in an edge."""
    edges = files_of(job, "near", "edges", near)
    rows = range(batch.first_row, batch.first_row + batch.rows)

    def of_batch(wanted: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], ShingleSets]]:
        return job.source.sets(batch, wanted)

    return carry(folder, number, edges, rows, documents, of_batch, job.memory_bytes)


def held(job: Clustering, folder: Path, number: int, centres: tuple[int, int], *, files: int) -> Found:
    """Edges that hold in the stars of a range of centres."""
    if job.threshold is None:
        raise ValueError("without a threshold there is nothing to verify")
    carried = files_of(job, "sets", "sets", files)
    return verify_range(folder, number, carried, centres, job.threshold, job.memory_bytes)


def components(
    job: Clustering, folder: Path, number: int, blocks: list[Block], *, edges: dict[str, int], spans: list[range]
) -> Found:
    """The components of all edges, whose kinds have so many files; `spans` are the rows of all batches."""
    prefix = {"held": "held"}
    paths = [p for kind, count in edges.items() for p in files_of(job, kind, prefix.get(kind, "edges"), count)]
    return {"disk_bytes": find_components(folder, blocks, paths, lambda rows: ids_of(job, rows, spans))}


def cluster_of_rows(
    job: Clustering, batch: Batch, spans: list[range], blocks: list[Block]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The ids (n, 16) of the first documents of a batch's clusters, and the clusters' sizes."""
    block = next(block for block in blocks if batch.first_row in block.rows)
    rows = range(batch.first_row, batch.first_row + batch.rows)
    return clusters_of_rows(job.work / "components", block, rows, lambda wanted: ids_of(job, wanted, spans))


def members(job: Clustering, batch: Batch) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The ids (n, 16) of a batch's documents, and who takes part."""
    file = SortedFile(job.work / "hashes" / f"members-{batch.number:06d}", _MEMBERS)
    return file.read(1).reshape(-1, ID_BYTES), file.read(0).view(np.bool_)


def ids_of(job: Clustering, rows: NDArray[np.int64], spans: list[range]) -> NDArray[np.uint8]:
    """The ids (n, 16) of ascending rows."""
    found = np.empty((len(rows), ID_BYTES), np.uint8)
    starts = np.array([rows.start for rows in spans], np.int64)
    owner = np.searchsorted(starts, rows, "right") - 1
    for number in np.unique(owner):
        ids = SortedFile(job.work / "hashes" / f"members-{number:06d}", _MEMBERS).read(1).reshape(-1, ID_BYTES)
        found[owner == number] = ids[rows[owner == number] - starts[number]]
    return found


def files_of(job: Clustering, step: str, prefix: str, count: int) -> list[Path]:
    """The files of a step, which must be so many: none may get lost in silence."""
    paths = sorted((job.work / step).glob(f"{prefix}-*"))
    if len(paths) != count:
        raise RunError(f"{job.work / step}: has {len(paths)} files {prefix}-*, not {count}; {REMEDY}")
    return paths
