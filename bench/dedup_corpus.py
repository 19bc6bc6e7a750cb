"""A synthetic corpus of shingle sets with planted clusters, as large as wanted, made again wherever it is needed.

Sizes of clusters are drawn from k^-2.3: 2.7 documents a cluster, so 63 % repeat another one (OLMo 3 removed 75 % of
38.7 billion pages as exact or near-duplicates). Of the repeats half are exact copies (there 89 %, which is easier), the
others have up to 9 % of their shingles replaced: Jaccard at least 0.83 with the cluster's first document. Every fourth
cluster is made from its neighbour's shingles, a quarter of them replaced: Jaccard 0.6, candidates that must not hold.
One cluster besides is a page of a million copies, no two alike. Set sizes are lognormal, 250 shingles on average.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from seimai.pipeline.cluster_source import RunSource
from seimai.pipeline.dedup import DedupConfig
from seimai.pipeline.jaccard import ShingleSets
from seimai.pipeline.jaccard_kernels import sort_sets
from seimai.pipeline.order import Batch, Entry
from seimai.pipeline.shingle_kernels import minhash_texts
from seimai.pipeline.shingles import permutations
from seimai.pipeline.text_kernels import jit

BATCH_ROWS = 200_000
PART_ROWS = 25_000
SLOPE = 2.3
LARGEST = 100_000
MEAN_SHINGLES = 250
SPREAD = 0.6


class Plan(NamedTuple):
    """Of every document: its cluster, its number within it, and the number of the member whose text it has."""

    cluster: NDArray[np.int32]
    member: NDArray[np.int32]
    text: NDArray[np.int32]


def plan(documents: int, bucket: int, seed: int) -> Plan:
    """The documents in random order; cluster 0 has `bucket` of them."""
    random = np.random.default_rng(seed)
    weights = np.arange(1, LARGEST + 1, dtype=np.float64) ** -SLOPE
    sizes = 1 + random.choice(LARGEST, documents, p=weights / weights.sum())
    sizes[0] = bucket
    ends = np.cumsum(sizes)
    sizes = sizes[: int(np.searchsorted(ends, documents)) + 1]
    sizes[-1] -= sizes.sum() - documents
    cluster = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    starts = np.cumsum(sizes) - sizes
    member = (np.arange(documents) - np.repeat(starts, sizes)).astype(np.int32)
    copy = (random.random(documents) < 0.5) & (cluster > 0)
    text = np.where(copy, (member * random.random(documents)).astype(np.int32), member)
    # A copy of a copy is a copy of what that one copies.
    for _ in range(32):
        text = np.where(copy, text[starts[cluster] + text], text)
    order = random.permutation(documents)
    return Plan(cluster[order], member[order], text[order].astype(np.int32))


@jit
def _hash(value: np.uint64) -> np.uint64:
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@jit
def shingles_of(
    cluster: NDArray[np.int32], text: NDArray[np.int32], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Shingle hashes of documents, in no order and with repeats by chance alone; offsets and hashes."""
    ends = np.zeros(len(cluster) + 1, np.int64)
    for i in range(len(cluster)):
        family = cluster[i] - 1 if cluster[i] % 4 == 3 else cluster[i]
        ends[i + 1] = ends[i] + lengths[family % len(lengths)]
    out = np.empty(ends[-1], np.uint32)
    for i in range(len(cluster)):
        family = cluster[i] - 1 if cluster[i] % 4 == 3 else cluster[i]
        own = _hash(np.uint64(cluster[i]) << np.uint64(32) | np.uint64(text[i]))
        # How much of a member differs from the cluster's first, as a share of 2^16: at most 9 %.
        share = 0 if text[i] == 0 else (own & np.uint64(0xFFFF)) * np.uint64(9) // np.uint64(100)
        for k in range(ends[i + 1] - ends[i]):
            chance = _hash(own + np.uint64(k))
            apart = (
                family != cluster[i]
                and _hash(np.uint64(cluster[i]) * np.uint64(0x10001) + np.uint64(k)) & np.uint64(3) == 0
            )
            if text[i] and (chance & np.uint64(0xFFFF)) < share:
                out[ends[i] + k] = np.uint32(chance >> np.uint64(32))
            else:
                source = np.uint64(cluster[i] if apart else family)
                out[ends[i] + k] = np.uint32(_hash(source << np.uint64(24) | np.uint64(k)) >> np.uint64(32))
    return ends, out


def lengths_of(seed: int) -> NDArray[np.int64]:
    """A table of set sizes to draw from."""
    drawn = np.random.default_rng(seed).lognormal(np.log(MEAN_SHINGLES) - SPREAD**2 / 2, SPREAD, 65_536)
    return drawn.clip(8, 20 * MEAN_SHINGLES).astype(np.int64)


@dataclass(frozen=True, slots=True)
class SyntheticSource(RunSource):
    """Hashes and signatures from files as a run has them; shingle sets made anew, as a run makes them from texts."""

    def sets(self, batch: Batch, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], ShingleSets]]:
        """See `cluster_steps.Source`."""
        cluster, _, text = (np.load(self.run / f"{name}.npy", mmap_mode="r") for name in Plan._fields)
        for begin in range(0, len(rows), 10_000):
            some = rows[begin : begin + 10_000]
            offsets, hashes = shingles_of(np.array(cluster[some]), np.array(text[some]), lengths_of(1))
            offsets = sort_sets(hashes, offsets)
            yield some, ShingleSets(offsets, hashes[: offsets[-1]])


def write_batch(run: Path, first: int, documents: int) -> None:
    """Write the files `signatures/<part>.parquet` of a batch."""
    (run / "signatures").mkdir(exist_ok=True)
    columns = [np.load(run / f"{name}.npy", mmap_mode="r") for name in Plan._fields]
    factors, terms = permutations(128, 1)
    for begin in range(first, min(first + BATCH_ROWS, documents), PART_ROWS):
        rows = np.arange(begin, min(begin + PART_ROWS, documents))
        cluster, _, text = (np.array(column[rows]) for column in columns)
        offsets, hashes = shingles_of(cluster, text, lengths_of(1))
        matrix = np.empty((len(rows), 128), np.uint32)
        minhash_texts(hashes, offsets, factors, terms, matrix)
        identity = np.zeros((len(rows), 2), ">i8")
        identity[:, 0] = rows + 1
        digest = np.stack([cluster + 1, text, cluster, text], axis=1).astype("<u4").view("<u8")
        digest = np.frombuffer(_mixed(np.ascontiguousarray(digest)).tobytes(), np.uint8)
        table = pa.table(
            {
                "id": pa.array([row.tobytes().hex() for row in identity]),
                "content_hash": _fixed(digest, 16),
                "n_shingles": pa.array(np.diff(offsets).astype(np.int32)),
                "signature": _fixed(matrix.view(np.uint8).reshape(-1), 512),
            }
        )
        pq.write_table(table, run / "signatures" / f"p{begin:012d}.parquet", compression="zstd")


@jit
def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    out = np.empty_like(values)
    for i in range(len(values)):
        out[i, 0] = _hash(values[i, 0])
        out[i, 1] = _hash(values[i, 1] + np.uint64(0x9E3779B97F4A7C15))
    return out


def _fixed(data: NDArray[np.uint8], width: int) -> pa.Array:
    return pa.Array.from_buffers(pa.binary(width), len(data) // width, [None, pa.py_buffer(data.tobytes())])


def batches_of(documents: int) -> Iterator[Batch]:
    """The batches of such a corpus."""
    for number, first in enumerate(range(0, documents, BATCH_ROWS)):
        starts = range(first, min(first + BATCH_ROWS, documents), PART_ROWS)
        yield Batch(
            number, tuple(Entry(f"p{begin:012d}", min(PART_ROWS, documents - begin), begin) for begin in starts)
        )


def source_of(run: Path, config: DedupConfig) -> Any:
    """The source of a corpus written to `run`."""
    return SyntheticSource(run, config, {})
