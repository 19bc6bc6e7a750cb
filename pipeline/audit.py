"""The audit: a seeded sample of the documents each reason dropped, with their text and what cleaning cut from it."""

from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from seimai.files import atomic, canonical_json, read_json, write_atomic

from .document import schema
from .edits import cut_pieces, edited_texts, read_edits
from .order import Batch
from .read import SAMPLE_CHARS, SAMPLE_COLUMNS

__all__ = ["merge_samples", "sample_batch"]

PIECES, PIECE_CHARS = 100, 200
"""Cut pieces that a sample shows, and characters of each."""


def sample_batch(run: Path, work: Path, batch: Batch, keep: int) -> None:
    """Write up to `keep` dropped documents per reason of a batch, smallest hash of the id first.

    Pages that a gate dropped have no text here; the read stage has put some of theirs beside.
    """
    chosen: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for entry in batch.entries:
        decisions = pq.read_table(run / "decisions" / f"{entry.part}.parquet", columns=["id", "reason"])
        if not keep or decisions["reason"].null_count == len(decisions):
            continue
        documents = pq.read_table(run / "documents" / f"{entry.part}.parquet", columns=["id", "url", "gate", "text"])
        documents = documents.append_column("reason", decisions["reason"])
        found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        for at, row in enumerate(documents.select(["id", "gate", "reason"]).to_pylist()):
            if row["gate"] is None and row["reason"] is not None:
                _keep_smallest(found, row["reason"], {"id": row["id"], "at": at}, keep)
        places = [sample["at"] for samples in found.values() for _, sample in samples]
        for sample in _samples(documents.take(pa.array(places, pa.int64())), read_edits(run, entry.part)):
            _keep_smallest(chosen, sample["reason"], sample, keep)
    write_atomic(work / f"audit-{batch.number:06d}.json", canonical_json(chosen))


def _samples(documents: pa.Table, edits: list[pa.Table]) -> list[dict[str, Any]]:
    """The rows of the audit's file: the beginnings of the texts as cleaning left them, and what it took."""
    texts, cut = edited_texts(documents, edits).to_pylist(), cut_pieces(documents, edits)
    rows = documents.select(["id", "url", "reason"]).to_pylist()
    return [
        {**row, "text": text[:SAMPLE_CHARS], "cut": [piece[:PIECE_CHARS] for piece in pieces[:PIECES]]}
        for row, text, pieces in zip(rows, texts, cut, strict=True)
    ]


def merge_samples(run: Path, work: Path, batches: int, keep: int) -> None:
    """Merge the batches' samples into `audit/dropped.parquet`, by reason and hash."""
    chosen: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for number in range(batches):
        for reason, samples in read_json(work / f"audit-{number:06d}.json").items():
            for _, sample in samples:
                _keep_smallest(chosen, reason, sample, keep)
    rows = [sample for reason in sorted(chosen) for _, sample in chosen[reason]]
    with atomic(run / "audit" / "dropped.parquet") as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema(SAMPLE_COLUMNS)), temporary, compression="zstd")


def _keep_smallest(
    chosen: dict[str, list[tuple[str, dict[str, Any]]]], reason: str, sample: dict[str, Any], keep: int
) -> None:
    entries = chosen.setdefault(reason, [])
    entries.append((blake2b(sample["id"].encode(), key=b"audit", digest_size=8).hexdigest(), sample))
    entries.sort(key=lambda entry: entry[0])
    del entries[keep:]
