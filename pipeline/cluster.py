"""Clusters of duplicates: signatures in, the id of the cluster's first document and its size out.

Out of core, in steps, each a map over batches or ranges that leaves sorted files (`sorted_files.py`):

1. `hashes`: ids, and the 128-bit hashes of texts (of URLs too, where asked for), sorted
2. `same_text`, `same_url`: documents of one hash are joined to the first; of one text, only the first goes on
3. `bands`: the band keys of every document that goes on, sorted
4. `near`: documents that share a band key are joined to the first that has it
5. `sets`: the shingle sets of all that are in such an edge, carried to the edge's centre
6. `held`: edges that stand exact Jaccard, after regrouping; without a threshold step 4 is the last
7. `components` of all edges, in blocks of rows

No step's memory grows with the corpus: `memory_bytes` bounds it. What an item of a step found stands in a JSON file
written last, so that a killed run goes on where it was; a step's files go when no later step reads them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seimai.files import canonical_json, read_json, write_atomic

from . import cluster_steps as steps
from .candidates import key_ranges
from .cluster_steps import Clustering, Found, Hashed, Signed, Source
from .components import blocks_of
from .confirm import CELLS, centre_ranges
from .order import Batch

__all__ = ["VERSION", "Clustering", "Everywhere", "Hashed", "Signed", "Source", "cluster_table", "find_clusters"]

VERSION = 2

Everywhere = Callable[[Callable[[Any], Any], Iterable[Any], str], Iterable[Any]]
"""A function of every item of a step (its name comes last), on all workers: the results, in order."""


def find_clusters(job: Clustering, batches: Callable[[], Iterable[Batch]], everywhere: Everywhere) -> dict[str, int]:
    """All steps that do not stand yet, so that `cluster_table` can answer; `batches` gives the run's batches anew.

    Returns how many documents take part (`documents`); edges that are new at each step (`same_text`, `same_url`,
    `near`, `held`); documents compared with the centres of their stars (`compared`), and how often a centre refused
    (`cut`); bytes written (`disk_bytes`), and the most that lay on disk at once (`disk_bytes_peak`).
    """
    run = _Steps(job, everywhere)
    spans = [range(batch.first_row, batch.first_row + batch.rows) for batch in batches()]
    if not spans:
        return dict(run.tally)
    documents = spans[-1].stop
    hashed = run.step("hashes", steps.hashes, _numbered(batches))
    for kind in ("text", "url"):
        ranges = key_ranges(hashed[kind], job.memory_bytes) if hashed[kind] else []
        run.step(f"same_{kind}", partial(steps.same, kind=kind, files=len(spans)), enumerate(ranges))
    bands = run.step("bands", partial(steps.bands, same=run.files("same_text")), _numbered(batches))
    ranges = key_ranges(bands["keys"], job.memory_bytes)
    run.step("near", partial(steps.near, files=bands["files"]), enumerate(ranges))
    run.drop("bands")
    last = "near"
    if job.threshold is not None:
        last = "held"
        sets = run.step("sets", partial(steps.sets, near=run.files("near"), documents=documents), _numbered(batches))
        run.drop("near")
        centres = centre_ranges(run.cells, documents, job.memory_bytes)
        run.step("held", partial(steps.held, files=sets["files"]), enumerate(centres))
        run.drop("sets")
    edges = {name: run.files(name) for name in ("same_text", "same_url", last)}
    find = partial(steps.components, edges=edges, spans=spans)
    run.step("components", find, [(0, blocks_of(spans, job.memory_bytes))])
    return dict(run.tally)


def cluster_table(job: Clustering, batch: Batch, spans: list[range]) -> pa.Table:
    """`id`, `cluster` and `cluster_size` of a batch's documents; `spans` are the rows of all batches."""
    own, takes_part = steps.members(job, batch)
    ids, sizes = steps.cluster_of_rows(job, batch, spans, blocks_of(spans, job.memory_bytes))
    sizes[~takes_part] = 0
    names = [_hex(own, np.ones(len(own), bool)), _hex(ids, takes_part)]
    return pa.table([*names, pa.array(sizes, mask=~takes_part)], ["id", "cluster", "cluster_size"])


class _Steps:
    """The steps of a clustering, one after the other: what each wrote, in sum."""

    def __init__(self, job: Clustering, everywhere: Everywhere) -> None:
        self._job, self._everywhere = job, everywhere
        self._sums: dict[str, Counter[str]] = {}
        self._on_disk: Counter[str] = Counter()
        self.cells = np.zeros(CELLS, np.int64)
        self.tally: Counter[str] = Counter()

    def step(self, name: str, function: steps.Step, items: Iterable[tuple[int, Any]]) -> Counter[str]:
        """Do what is missing of a step; the sums of what its items found."""
        (self._job.work / name).mkdir(parents=True, exist_ok=True)
        sums: Counter[str] = Counter()
        for found in self._everywhere(partial(_once, job=self._job, name=name, function=function), items, name):
            self.cells += np.array(found.pop("cells", 0), np.int64)
            sums.update(found)
        self._sums[name], self._on_disk[name] = sums, sums["disk_bytes"]
        self.tally.update({key: sums[key] for key in ("documents", "compared", "cut", "disk_bytes")})
        self.tally["disk_bytes_peak"] = max(self.tally["disk_bytes_peak"], self._on_disk.total())
        if "edges" in sums:
            self.tally[name] = sums["edges"]
        return sums

    def files(self, name: str) -> int:
        """How many files a step wrote."""
        return self._sums[name]["files"]

    def drop(self, name: str) -> None:
        """Remove a step's files but not its results, so that it counts as done."""
        for path in (self._job.work / name).iterdir():
            if path.suffix != ".json":
                path.unlink()
        del self._on_disk[name]


def _once(item: tuple[int, Any], job: Clustering, name: str, function: steps.Step) -> Found:
    """Do an item of a step unless its result stands."""
    number, what = item
    folder = job.work / name
    result = folder / f"{number:06d}.json"
    if not result.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(result, canonical_json(function(job, folder, number, what)))
        # Arrow keeps what it has freed; a worker's limit counts it.
        pa.default_memory_pool().release_unused()
    found: Found = read_json(result)
    return found


def _numbered(batches: Callable[[], Iterable[Batch]]) -> Iterator[tuple[int, Batch]]:
    return ((batch.number, batch) for batch in batches())


def _hex(ids: NDArray[np.uint8], valid: NDArray[np.bool_]) -> pa.Array:
    """Ids (n, 16) as strings of 32 hexadecimal digits, null where not valid."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    kept = ids[valid]
    letters = np.stack([digits[kept >> 4], digits[kept & 15]], axis=2).reshape(-1)
    ends = np.append(0, np.cumsum(valid) * 2 * ids.shape[1]).astype(np.int32)
    bitmap = pa.array(valid).buffers()[1]
    return pa.Array.from_buffers(pa.string(), len(ids), [bitmap, pa.py_buffer(ends), pa.py_buffer(letters)])
