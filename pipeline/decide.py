"""Decisions: columns in; kept or the rule that dropped a document, and its rank in its cluster, out; without text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seimai.files import atomic

from .document import DECISION_COLUMNS, schema
from .judge import FORMER, Verdicts, judge, read_columns
from .order import Batch, Entry
from .presets import QualityConfig

__all__ = [
    "DUPLICATE",
    "IN_INDEX",
    "REHYDRATE",
    "SURVIVOR_KEYS",
    "VERSION",
    "Decided",
    "candidates",
    "decide_part",
    "former_members",
    "passes",
    "rank_range",
    "survivors",
]

VERSION = 3
RANGE_CANDIDATES = 2_000_000
DUPLICATE = "duplicate"
IN_INDEX = "in_index"
"""Reason of a document whose cluster has as many documents in the index of former dumps as survive of it."""
REHYDRATE = ((1, 1), (3, 2), (5, 3), (7, 4), (11, 5), (28, 4), (35, 3), (42, 2), (64, 1))
"""Cluster size from which so many documents survive: FineWeb-2's weights for Japanese (jpn_Jpan, at most 5).

There they repeat the one survivor; here that many members survive, the best first.
"""

SURVIVOR_KEYS = (
    ("cluster", "ascending"),
    ("quality", "descending"),
    ("n_chars", "descending"),
    ("date", "descending"),
    ("id", "ascending"),
)
"""What ranks the members of a cluster that passed every rule: highest quality, longest, newest, smallest id; what is
not known comes last."""

_CANDIDATE_SCHEMA = pa.schema(
    [
        ("cluster", pa.string()),
        ("quality", pa.float32()),
        ("n_chars", pa.int64()),
        ("date", pa.string()),
        ("id", pa.string()),
        ("row", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Decided:
    """The decisions of a part, and what they add up to: counts by language and reason, kept bytes by language."""

    table: pa.Table
    tally: dict[str, Any]


def candidates(run: Path, work: Path, batch: Batch, quality: Mapping[str, QualityConfig], ranges: int) -> int:
    """Write a batch's documents that pass every rule and share a cluster, by ranges of it; returns how many."""
    found: list[pa.Table] = []
    for entry in batch.entries:
        part = read_columns(run, entry.part, quality)
        passed = judge(part, quality).first < 0
        shared = pc.fill_null(pc.greater(part["cluster_size"], 1), False).to_numpy()
        table = part.append_column("row", pa.array(np.arange(entry.first_row, entry.first_row + entry.rows)))
        found.append(table.select(_CANDIDATE_SCHEMA.names).filter(pa.array(passed & shared)))
    table = pa.concat_tables(found).cast(_CANDIDATE_SCHEMA) if found else _CANDIDATE_SCHEMA.empty_table()
    owner = np.array([int(c[:8], 16) * ranges >> 32 for c in table["cluster"].to_pylist()], np.int64)
    for number in range(ranges):
        _write_file(work / f"candidates-{batch.number:06d}-{number:04d}.arrow", table.filter(pa.array(owner == number)))
    return len(table)


def rank_range(work: Path, batches: int, number: int) -> None:
    """Rank the members of every cluster in a range by SURVIVOR_KEYS."""
    tables = [_read_file(work / f"candidates-{batch:06d}-{number:04d}.arrow") for batch in range(batches)]
    table = pa.concat_tables(tables).sort_by(list(SURVIVOR_KEYS))
    cluster = table["cluster"].combine_chunks().dictionary_encode().indices.to_numpy()
    begins = (
        np.flatnonzero(np.concatenate([[True], cluster[1:] != cluster[:-1]])) if len(cluster) else np.array([], int)
    )
    lengths = np.diff(np.append(begins, len(cluster)))
    rank = np.arange(len(cluster)) - np.repeat(begins, lengths)
    row = table["row"].to_numpy()
    by_row = np.argsort(row)
    _write_file(work / f"ranks-{number:04d}.arrow", pa.table({"row": row[by_row], "rank": rank[by_row]}))


def passes(run: Path, part: str, quality: Mapping[str, QualityConfig]) -> NDArray[np.bool_]:
    """Which documents of a part every gate and rule lets pass; looks at no cluster."""
    return judge(read_columns(run, part, quality, clusters=False), quality).first < 0


def decide_part(
    run: Path, work: Path, entry: Entry, quality: Mapping[str, QualityConfig], ranges: int,
    keep: int | Literal["rehydrate"] = 1,
) -> Decided:  # fmt: skip
    """The decisions of one part; `ranges` rank files lie in the work directory (none: nothing shares a cluster).

    Of the members of a cluster that pass every rule the first `keep` survive, or as REHYDRATE says.
    """
    part = read_columns(run, entry.part, quality)
    verdicts = judge(part, quality)
    passed = verdicts.first < 0
    rank = np.full(entry.rows, -1, np.int64)
    # Only members that passed every rule are ranked; a document alone in its cluster survives by itself.
    rank[passed & pc.fill_null(pc.equal(part["cluster_size"], 1), False).to_numpy()] = 0
    for number in range(ranges):
        ranks = _read_file(work / f"ranks-{number:04d}.arrow")
        rows = ranks["row"].to_numpy()
        low, high = np.searchsorted(rows, [entry.first_row, entry.first_row + entry.rows])
        rank[rows[low:high] - entry.first_row] = ranks["rank"].to_numpy()[low:high]
    # Documents of former dumps stand before all of this one.
    former, places = former_members(part), survivors(part["cluster_size"], keep)
    rank[rank >= 0] += former[rank >= 0]
    every = verdicts.with_last(DUPLICATE, (rank >= places) & (former < places))
    every = every.with_last(IN_INDEX, (rank >= places) & (former >= places))
    reason = pa.array(every.names, pa.string()).take(pa.array(every.first, mask=every.first < 0))
    columns = [part["id"].combine_chunks(), pc.is_null(reason), reason, every.reasons(), pa.array(rank, mask=rank < 0)]
    return Decided(pa.table(columns, schema=schema(DECISION_COLUMNS)), _tally(part, every))


def former_members(part: pa.Table) -> NDArray[np.int64]:
    """How many documents of the index of former dumps that passed their rules are in each row's cluster.

    >>> former_members(pa.table({"id": ["a", "b"]})).tolist()
    [0, 0]
    """
    if FORMER not in part.column_names:
        return np.zeros(len(part), np.int64)
    found: NDArray[np.int64] = pc.fill_null(part[FORMER], 0).to_numpy()
    return found


def survivors(cluster_size: pa.ChunkedArray, keep: int | Literal["rehydrate"]) -> NDArray[np.int64]:
    """How many documents of each row's cluster survive.

    >>> survivors(pa.chunked_array([[1, 2, 4, 20, 1000, None]]), "rehydrate").tolist()
    [1, 1, 2, 5, 1, 1]
    """
    if keep != "rehydrate":
        return np.full(len(cluster_size), keep, np.int64)
    sizes, weights = np.array(REHYDRATE, np.int64).T
    known = pc.fill_null(cluster_size, 1).to_numpy()
    found: NDArray[np.int64] = weights[np.searchsorted(sizes, known, "right") - 1]
    return found


def _tally(part: pa.Table, every: Verdicts) -> dict[str, Any]:
    """Documents by language and first reason, documents that one reason alone drops, and what is kept by language."""
    langs = pc.fill_null(part["lang"], "").combine_chunks().dictionary_encode()
    names = (*every.names, "kept")
    kept = every.first < 0
    chosen = pa.table({"lang": part["lang"], "n_chars": part["n_chars"], "n_bytes": part["n_bytes"]}).filter(
        pa.array(kept)
    )
    sums = chosen.group_by("lang").aggregate([("n_chars", "sum"), ("n_bytes", "sum"), ("n_bytes", "count")]).to_pylist()
    return {
        "reasons": _counted(langs, np.where(kept, len(every.names), every.first), names),
        "alone": _counted(langs.filter(pa.array(every.counts == 1)), every.first[every.counts == 1], names),
        "kept": {
            row["lang"]: {"documents": row["n_bytes_count"], "chars": row["n_chars_sum"], "bytes": row["n_bytes_sum"]}
            for row in sorted(sums, key=lambda row: row["lang"] or "")
        },
    }


def _counted(langs: pa.DictionaryArray, codes: NDArray[np.int32], names: Sequence[str]) -> list[list[Any]]:
    """Rows of language, name and documents, sorted, without those of no documents."""
    known = langs.dictionary.to_pylist()
    counts = np.bincount(langs.indices.to_numpy() * len(names) + codes, minlength=len(known) * len(names))
    found = counts.reshape(len(known), len(names)).tolist()
    return sorted(
        [lang, name, n] for lang, row in zip(known, found, strict=True) for name, n in zip(names, row, strict=True) if n
    )


def _write_file(path: Path, table: pa.Table) -> None:
    with atomic(path) as temporary, pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, table.schema) as out:
        out.write_table(table)


def _read_file(path: Path) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
