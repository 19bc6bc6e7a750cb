"""The audit: a seeded sample of the documents each reason dropped, with their text."""

from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from seimai.files import atomic, canonical_json, read_json, write_atomic

from .document import schema
from .order import Batch
from .read import SAMPLE_CHARS, SAMPLE_COLUMNS

__all__ = ["merge_samples", "sample_batch"]


def sample_batch(run: Path, work: Path, batch: Batch, keep: int) -> None:
    """Write up to `keep` dropped documents per reason of a batch, smallest hash of the id first.

    Pages that a gate dropped have no text here; the read stage has put some of theirs beside.
    """
    chosen: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for entry in batch.entries:
        decisions = pq.read_table(run / "decisions" / f"{entry.part}.parquet", columns=["id", "reason"])
        reasons = decisions["reason"].to_pylist()
        rows = [at for at, reason in enumerate(reasons) if reason is not None]
        if not rows or not keep:
            continue
        documents = pq.read_table(run / "documents" / f"{entry.part}.parquet", columns=["id", "url", "gate", "text"])
        for at, row in zip(rows, documents.take(rows).to_pylist(), strict=True):
            if row["gate"] is None:
                text = row["text"][:SAMPLE_CHARS]
                sample = {"id": row["id"], "url": row["url"], "reason": reasons[at], "text": text}
                _keep_smallest(chosen, reasons[at], sample, keep)
    write_atomic(work / f"audit-{batch.number:06d}.json", canonical_json(chosen))


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
