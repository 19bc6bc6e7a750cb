"""How good duplicates are: on labelled pairs, and on a sample of a finished run compared exactly with all of it.

Every sampled document's shingle set meets every other's of the run through an index of the sample, at about the speed
signatures are made; so the true pairs are known without comparing all with all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from seimai.config import load_config
from seimai.errors import RunError

from .dedup import DedupConfig
from .duplicates import duplicate_clusters
from .edits import edited_texts, read_edits
from .jaccard import ShingleSets, shingle_sets
from .order import Entry, read_entries
from .pair_quality import PairQuality, Share, judge_languages, read_documents, read_pairs, share_of
from .settings import RunConfig

__all__ = ["RunQuality", "SampleIndex", "judge_files", "judge_run"]

NEARLY = 0.1
"""How far below the threshold pairs of a cluster still count as nearly alike."""


@dataclass(frozen=True, slots=True)
class RunQuality:
    """The figures of one language's sampled documents; pairs are (sampled document, any other of the run)."""

    lang: str
    documents: int
    recall: Share
    """Pairs of at least the threshold that share a cluster."""
    precision: Share
    """Pairs sharing a cluster that have at least the threshold."""
    nearly: Share
    """Pairs sharing a cluster that have at least threshold - 0.1."""
    f1: float


def judge_files(documents: Path, pairs: Path, config: DedupConfig) -> list[PairQuality]:
    """The quality of `duplicate_clusters` with that config on labelled pairs: by language, and over all if several.

    Formats as in `pair_quality.read_documents` and `read_pairs`.
    """
    table = read_documents(documents)
    labels = read_pairs(pairs, table["id"].to_pylist())
    lang = table["lang"].combine_chunks()
    clusters = duplicate_clusters(table["text"].combine_chunks(), lang=lang, config=config)
    return judge_languages(clusters, labels, lang.to_pylist(), threshold=config.threshold)


class SampleIndex:
    """Shingle sets that others are looked up in."""

    def __init__(self, sets: ShingleSets) -> None:
        sizes = np.diff(sets.offsets)
        order = np.argsort(sets.hashes, kind="stable")
        bits = max(1, len(order).bit_length())
        self._index = sets.hashes[order]
        self._owners = np.repeat(np.arange(len(sizes)), sizes)[order]
        self._shift = max(0, 32 - bits)
        starts = np.arange((1 << (32 - self._shift)) + 1, dtype=np.int64) << self._shift
        self._buckets = np.searchsorted(self._index, starts, "left").astype(np.int64)
        self._sizes = sizes

    def resembling(
        self, sets: ShingleSets, at_least: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """All pairs (sampled set, set) of at least that Jaccard similarity, and the similarity.

        >>> index = SampleIndex(ShingleSets(np.array([0, 2]), np.array([1, 2], np.uint32)))
        >>> index.resembling(ShingleSets(np.array([0, 1, 3]), np.array([9, 1, 2], np.uint32)), 0.5)
        (array([0]), array([1]), array([1.]))
        """
        from .overlap_kernels import resembling

        index = (self._index, self._owners, self._buckets, self._shift, self._sizes)
        return resembling(*index, sets.offsets, sets.hashes, at_least)


@dataclass(slots=True)
class _Part:
    """Documents of a part that take part in clusters."""

    rows: NDArray[np.int64]
    lang: NDArray[np.str_]
    within: NDArray[np.str_]
    """Documents of other values here are never compared (`dedup.within`)."""
    cluster: NDArray[np.str_]
    cluster_size: NDArray[np.int64]
    sets: ShingleSets


def judge_run(run: Path, *, documents: int = 1000, seed: int = 1) -> list[RunQuality]:
    """The quality of a run's clusters by language, from about that many of its documents, drawn by their ids.

    Reads the run's text twice, on one core. Raises RunError where the run is not finished.
    """
    order = run / "state" / "order.arrow"
    if not order.exists() or not (run / "clusters").is_dir():
        raise RunError(f"{run}: has no clusters; give the directory of a finished `seimai run`")
    config = load_config(run / "config.toml", RunConfig).dedup
    total = sum(entry.rows for entry in read_entries(order))
    share = min(1.0, documents / max(total, 1))
    drawn = [part for entry in read_entries(order) if (part := _read(run, entry, config, share, seed)) is not None]
    if not drawn:
        raise RunError(f"{run}: no document of the sample has a cluster; draw more than {documents}")
    sample = _join(drawn)
    index = SampleIndex(sample.sets)
    alike, held, nearly = (np.zeros(len(sample.rows), np.int64) for _ in range(3))
    for part in _parts(run, order, config):
        one, other, jaccard = index.resembling(part.sets, config.threshold - NEARLY)
        another = (sample.rows[one] != part.rows[other]) & (sample.within[one] == part.within[other])
        one, other, jaccard = one[another], other[another], jaccard[another]
        together = sample.cluster[one] == part.cluster[other]
        np.add.at(alike, one[jaccard >= config.threshold], 1)
        np.add.at(held, one[(jaccard >= config.threshold) & together], 1)
        np.add.at(nearly, one[together], 1)
    found = []
    for lang in np.unique(sample.lang):
        of = sample.lang == lang
        recall = share_of(held[of], alike[of])
        inside = sample.cluster_size[of] - 1
        precision = share_of(held[of], inside)
        both = recall.value + precision.value
        f1 = 2 * recall.value * precision.value / both if both else 0.0
        found.append(RunQuality(str(lang), int(of.sum()), recall, precision, share_of(nearly[of], inside), f1))
    return found


def _parts(run: Path, order: Path, config: DedupConfig) -> Iterator[_Part]:
    for entry in read_entries(order):
        part = _read(run, entry, config, 1.0, 0)
        if part is not None:
            yield part


def _read(run: Path, entry: Entry, config: DedupConfig, share: float, seed: int) -> _Part | None:
    """The drawn documents of a part that have a cluster; None where there are none."""
    clusters = pq.read_table(run / "clusters" / f"{entry.part}.parquet")
    there = clusters["cluster"].is_valid().to_numpy(zero_copy_only=False) & _draw(clusters["id"], share, seed)
    if not there.any():
        return None
    documents = pq.read_table(run / "documents" / f"{entry.part}.parquet", columns=["id", "text", "lang", "source"])
    texts = edited_texts(documents, read_edits(run, entry.part))
    chosen = pa.array(np.flatnonzero(there))
    lang = documents["lang"].combine_chunks().take(chosen)
    names = np.array(lang.fill_null("").to_pylist())
    source = np.array(documents["source"].take(chosen).fill_null("").to_pylist())
    sizes = {"shingle_chars": config.shingle_chars, "shingle_words": config.shingle_words}
    return _Part(
        entry.first_row + np.flatnonzero(there),
        names,
        {"everything": np.full(len(chosen), ""), "language": names, "dump": source}[config.within],
        np.array(clusters["cluster"].take(chosen).to_pylist()),
        clusters["cluster_size"].take(chosen).to_numpy().astype(np.int64),
        shingle_sets(texts.take(chosen), lang=lang, **sizes),
    )


def _draw(ids: pa.ChunkedArray, share: float, seed: int) -> NDArray[np.bool_]:
    """Which ids are drawn: their first 64 bits, mixed with the seed, are below that share of all."""
    if share >= 1.0:
        return np.ones(len(ids), np.bool_)
    numbers = np.array([int(name[:16], 16) for name in ids.to_pylist()], np.uint64)
    mixed = (numbers ^ np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
    return mixed ^ mixed >> np.uint64(32) < np.uint64(int(share * (2**64 - 1)))


def _join(parts: list[_Part]) -> _Part:
    lengths = np.concatenate([np.diff(part.sets.offsets) for part in parts])
    sets = ShingleSets(np.append(0, np.cumsum(lengths)), np.concatenate([part.sets.hashes for part in parts]))
    columns = (
        [getattr(part, name) for part in parts] for name in ("rows", "lang", "within", "cluster", "cluster_size")
    )
    rows, lang, within, cluster, cluster_size = (np.concatenate(column) for column in columns)
    return _Part(rows, lang, within, cluster, cluster_size, sets)
