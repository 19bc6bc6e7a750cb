"""The order file: parts with their rows on disk, read back piece by piece."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.pipeline import order
from seimai.pipeline.order import Batch, Entry, batches, read_entries, write_order


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=40))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[int]) -> None:
    path = tmp_path_factory.mktemp("order") / "order.arrow"
    total = write_order(path, ((f"p{n}", count) for n, count in enumerate(rows)))
    entries = list(read_entries(path))
    assert total == sum(rows)
    assert [(e.part, e.rows) for e in entries] == [(f"p{n}", count) for n, count in enumerate(rows) if count]
    assert [e.first_row for e in entries] == [sum(e.rows for e in entries[:n]) for n in range(len(entries))]


def test_many_parts_take_several_record_batches(tmp_path: Path) -> None:
    path = tmp_path / "order.arrow"
    assert write_order(path, ((f"p{n:05d}", 2) for n in range(9000))) == 18_000
    entries = list(read_entries(path))
    assert entries[8191] == Entry("p08191", 2, 16_382)
    grouped = list(batches(path))
    assert [len(batch.entries) for batch in grouped] == [500] * 18
    assert [batch.number for batch in grouped] == list(range(18))


def test_a_batch_ends_behind_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "BATCH_ROWS", 10)
    path = tmp_path / "order.arrow"
    write_order(path, [("a", 9), ("b", 4), ("c", 30), ("d", 1)])
    assert list(batches(path)) == [
        Batch(0, (Entry("a", 9, 0), Entry("b", 4, 9))),
        Batch(1, (Entry("c", 30, 13),)),
        Batch(2, (Entry("d", 1, 43),)),
    ]
    assert [(batch.first_row, batch.rows) for batch in batches(path)] == [(0, 13), (13, 30), (43, 1)]


def test_a_run_without_documents(tmp_path: Path) -> None:
    path = tmp_path / "order.arrow"
    assert write_order(path, [("a", 0)]) == 0
    assert list(read_entries(path)) == []
    assert list(batches(path)) == []


def test_the_same_parts_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_order(tmp_path / name, [("x", 1), ("y", 0), ("z", 3)])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
