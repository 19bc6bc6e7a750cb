"""Decisions: columns in; kept or the rule that dropped a document, and its rank in its cluster, out; without text."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from seimai.files import atomic

from .document import DECISION_COLUMNS, schema
from .order import Batch, Entry
from .presets import QualityConfig, rules, verdicts

__all__ = ["REHYDRATE", "VERSION", "Decided", "candidates", "decide_part", "passes", "rank_range"]

VERSION = 2
RANGE_CANDIDATES = 2_000_000
DUPLICATE, EMPTIED = "duplicate", "emptied"
REHYDRATE = ((1, 1), (3, 2), (5, 3), (7, 4), (11, 5), (28, 4), (35, 3), (42, 2), (64, 1))
"""Cluster size from which so many documents survive: FineWeb-2's weights for Japanese (jpn_Jpan, at most 5).

There they repeat the one survivor; here that many members survive, the best first.
"""

_META = ["id", "lang", "lang_score", "date", "gate"]
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
        part = _columns(run, entry.part)
        passed = pc.and_(pc.is_null(_rule_reasons(part, quality)["reason"]), pc.greater(part["cluster_size"], 1))
        rows = pa.array(np.arange(entry.first_row, entry.first_row + entry.rows))
        table = part.append_column("row", rows).append_column("quality", pa.nulls(entry.rows, pa.float32()))
        found.append(table.select(_CANDIDATE_SCHEMA.names).filter(pc.fill_null(passed, False)))
    table = pa.concat_tables(found).cast(_CANDIDATE_SCHEMA) if found else _CANDIDATE_SCHEMA.empty_table()
    owner = np.array([int(c[:8], 16) * ranges >> 32 for c in table["cluster"].to_pylist()], np.int64)
    for number in range(ranges):
        _write_file(work / f"candidates-{batch.number:06d}-{number:04d}.arrow", table.filter(pa.array(owner == number)))
    return len(table)


def rank_range(work: Path, batches: int, number: int) -> None:
    """Rank the members of every cluster in a range: highest quality, longest, newest, smallest id."""
    tables = [_read_file(work / f"candidates-{batch:06d}-{number:04d}.arrow") for batch in range(batches)]
    table = pa.concat_tables(tables).sort_by(
        [
            ("cluster", "ascending"),
            ("quality", "descending"),
            ("n_chars", "descending"),
            ("date", "descending"),
            ("id", "ascending"),
        ]
    )
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
    return np.asarray(pc.is_null(_rule_reasons(_columns(run, part, clusters=False), quality)["reason"]))


def decide_part(
    run: Path, work: Path, entry: Entry, quality: Mapping[str, QualityConfig], ranges: int,
    keep: int | Literal["rehydrate"] = 1,
) -> Decided:  # fmt: skip
    """The decisions of one part; `ranges` rank files lie in the work directory (none: nothing shares a cluster).

    Of the members of a cluster that pass every rule the first `keep` survive, or as REHYDRATE says.
    """
    part = _columns(run, entry.part)
    by_rule = _rule_reasons(part, quality)
    rank = np.full(entry.rows, -1, np.int64)
    # Only members that passed every rule are ranked; a document alone in its cluster survives by itself.
    alone = pc.fill_null(pc.equal(part["cluster_size"], 1), False).to_numpy(zero_copy_only=False)
    rank[alone & pc.is_null(by_rule["reason"]).to_numpy(zero_copy_only=False)] = 0
    for number in range(ranges):
        ranks = _read_file(work / f"ranks-{number:04d}.arrow")
        rows = ranks["row"].to_numpy()
        low, high = np.searchsorted(rows, [entry.first_row, entry.first_row + entry.rows])
        rank[rows[low:high] - entry.first_row] = ranks["rank"].to_numpy()[low:high]
    duplicate = rank >= _survivors(part["cluster_size"], keep)
    reason = pc.if_else(pa.array(duplicate), DUPLICATE, by_rule["reason"].combine_chunks().cast(pa.string()))
    reasons = _with_duplicate(by_rule["reasons"].combine_chunks(), duplicate)
    kept = pc.is_null(reason)
    columns = [part["id"].combine_chunks(), kept, reason, reasons, pa.array(rank, mask=rank < 0)]
    table = pa.table(columns, schema=schema(DECISION_COLUMNS))
    return Decided(table, _tally(part, reason, kept))


def _survivors(cluster_size: pa.ChunkedArray, keep: int | Literal["rehydrate"]) -> NDArray[np.int64]:
    """How many documents of each row's cluster survive.

    >>> _survivors(pa.chunked_array([[1, 2, 4, 20, 1000, None]]), "rehydrate").tolist()
    [1, 1, 2, 5, 1, 1]
    """
    if keep != "rehydrate":
        return np.full(len(cluster_size), keep, np.int64)
    sizes, weights = np.array(REHYDRATE, np.int64).T
    known = pc.fill_null(cluster_size, 1).to_numpy()
    found: NDArray[np.int64] = weights[np.searchsorted(sizes, known, "right") - 1]
    return found


def _columns(run: Path, part: str, *, clusters: bool = True) -> pa.Table:
    """Everything a rule may ask for, row-aligned."""
    documents = pq.read_table(run / "documents" / f"{part}.parquet", columns=_META)
    signals = pq.read_table(run / "signals" / f"{part}.parquet").drop_columns(["id"])
    tables = [documents, signals]
    if clusters:
        tables.append(pq.read_table(run / "clusters" / f"{part}.parquet").drop_columns(["id"]))
    columns = {name: table[name] for table in tables for name in table.column_names}
    return pa.table(columns)


def _rule_reasons(part: pa.Table, quality: Mapping[str, QualityConfig]) -> pa.Table:
    """reason and reasons of every row by gates and rules, without duplicates."""
    gate = part["gate"].to_pylist()
    first: list[str | None] = list(gate)
    every: list[list[str]] = [[g] if g else [] for g in gate]
    langs = part["lang"]
    for lang in sorted(quality):
        chosen = np.flatnonzero(
            pc.and_(pc.fill_null(pc.equal(langs, lang), False), pc.is_null(part["gate"])).to_numpy()
        )
        if len(chosen) == 0:
            continue
        found = verdicts(part.take(pa.array(chosen)), rules(quality[lang]))
        for at, reason, reasons in zip(chosen, found["reason"].to_pylist(), found["reasons"].to_pylist(), strict=True):
            first[at], every[at] = reason, reasons or []
    # Cleaning may leave nothing of a page, and no preset need have a least length.
    for at in np.flatnonzero(pc.fill_null(pc.equal(part["n_chars"], 0), False).to_numpy()):
        first[at], every[at] = first[at] or EMPTIED, [*every[at], EMPTIED]
    return pa.table({"reason": pa.array(first, pa.string()), "reasons": pa.array(every, pa.list_(pa.string()))})


def _with_duplicate(reasons: pa.ListArray, duplicate: np.ndarray) -> pa.ListArray:
    if not duplicate.any():
        return reasons
    values = reasons.to_pylist()
    for at in np.flatnonzero(duplicate):
        values[at] = [*values[at], DUPLICATE]
    return pa.array(values, pa.list_(pa.string()))


def _tally(part: pa.Table, reason: pa.Array, kept: pa.Array) -> dict[str, Any]:
    """Documents by language and reason, and the kept documents, characters and bytes by language."""
    counts: Counter[tuple[str, str]] = Counter(
        (lang or "", why or "kept") for lang, why in zip(part["lang"].to_pylist(), reason.to_pylist(), strict=True)
    )
    chosen = pa.table({"lang": part["lang"], "n_chars": part["n_chars"], "n_bytes": part["n_bytes"]}).filter(kept)
    sums = chosen.group_by("lang").aggregate([("n_chars", "sum"), ("n_bytes", "sum"), ("n_bytes", "count")]).to_pylist()
    return {
        "reasons": [[lang, why, counts[lang, why]] for lang, why in sorted(counts)],
        "kept": {
            row["lang"]: {"documents": row["n_bytes_count"], "chars": row["n_chars_sum"], "bytes": row["n_bytes_sum"]}
            for row in sorted(sums, key=lambda row: row["lang"] or "")
        },
    }


def _write_file(path: Path, table: pa.Table) -> None:
    with atomic(path) as temporary, pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, table.schema) as out:
        out.write_table(table)


def _read_file(path: Path) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
