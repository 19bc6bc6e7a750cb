"""The audit holds a seeded sample of what each reason dropped, the same however the parts are batched."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seimai.pipeline.audit import merge_samples, sample_batch
from seimai.pipeline.document import DECISION_COLUMNS, DOCUMENT_COLUMNS, EDIT_COLUMNS, document_id, schema
from seimai.pipeline.order import Batch, Entry
from seimai.pipeline.read import SAMPLE_CHARS, SAMPLE_COLUMNS

REASONS = (None, "min_words", "duplicate", "status")


def put(run: Path) -> list[Entry]:
    entries = []
    for part in range(6):
        rows: list[dict[str, Any]] = []
        for n in range(20):
            reason = REASONS[n % 4]
            gate = reason if reason == "status" else None
            identity = document_id("x", 100 * part + n, 0)
            text = None if gate else f"text {part} {n} " + "x" * 3000
            rows.append(
                {"id": identity, "url": f"u{n}", "text": text, "gate": gate, "reason": reason, "kept": not reason}
            )
        for kind, columns in (("documents", DOCUMENT_COLUMNS), ("decisions", DECISION_COLUMNS)):
            (run / kind).mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(rows, schema=schema(columns)), run / kind / f"p{part}.parquet")
        entries.append(Entry(f"p{part}", 20, 20 * part))
    return entries


def audit(run: Path, batch_parts: int, keep: int) -> list[dict[str, Any]]:
    entries = put(run)
    (run / "work").mkdir()
    batches = [Batch(n, tuple(entries[at : at + batch_parts])) for n, at in enumerate(range(0, 6, batch_parts))]
    for batch in batches:
        sample_batch(run, run / "work", batch, keep)
    merge_samples(run, run / "work", len(batches), keep)
    table = pq.read_table(run / "audit" / "dropped.parquet")
    assert table.schema == schema(SAMPLE_COLUMNS)
    return list(table.to_pylist())


@pytest.mark.parametrize("batch_parts", [1, 2, 5])
def test_the_sample_does_not_follow_the_batches(tmp_path: Path, batch_parts: int) -> None:
    samples = audit(tmp_path / "a", batch_parts, 4)
    assert samples == audit(tmp_path / "b", 6, 4)
    assert [sample["reason"] for sample in samples] == ["duplicate"] * 4 + ["min_words"] * 4
    assert {len(sample["text"]) for sample in samples} == {SAMPLE_CHARS}
    assert len({sample["id"] for sample in samples}) == 8


def test_a_smaller_sample_is_the_beginning_of_a_larger_one(tmp_path: Path) -> None:
    small, large = audit(tmp_path / "a", 2, 2), audit(tmp_path / "b", 3, 1000)
    assert len(large) == 60
    assert small == [*large[:2], *large[30:32]]


def test_no_sample(tmp_path: Path) -> None:
    assert audit(tmp_path, 2, 0) == []


def test_a_sample_shows_the_edited_text_and_what_was_cut(tmp_path: Path) -> None:
    rows = [{"id": document_id("x", n, 0), "start": 0, "end": 5, "replacement": "", "reason": "menu"} for n in (1, 101)]
    for number in (0, 1):
        path = tmp_path / "edits" / "line_rules" / f"p{number}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist([rows[number]], schema=schema(EDIT_COLUMNS)), path)
    samples = {sample["id"]: sample for sample in audit(tmp_path, 2, 1000)}
    edited = [samples[row["id"]] for row in rows]
    assert [sample["text"][:4] for sample in edited] == ["0 1 ", "1 1 "]
    assert [sample["cut"] for sample in edited] == [["menu: text"]] * 2
    assert {tuple(sample["cut"]) for sample in samples.values()} == {(), ("menu: text",)}
