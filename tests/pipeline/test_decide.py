"""Decisions from columns: gates first, then rules, then one survivor a cluster, whatever the ranges."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seimai.pipeline.decide import candidates, decide_part, passes, rank_range
from seimai.pipeline.document import CLUSTER_COLUMNS, DECISION_COLUMNS, DOCUMENT_COLUMNS, document_id, schema
from seimai.pipeline.order import Batch, Entry
from seimai.pipeline.presets import QualityConfig

QUALITY = {lang: QualityConfig(preset="none", min_lang_score=0.5) for lang in ("ja", "en")}


def document(number: int, **more: Any) -> dict[str, Any]:
    base = {"id": document_id("x", number, 0), "lang": "ja", "lang_score": 0.9, "gate": None, "date": "2024-01-01"}
    return {**base, "n_chars": 100, "n_bytes": 300, "cluster": None, "cluster_size": None, **more}


def put(run: Path, parts: list[list[dict[str, Any]]]) -> list[Batch]:
    """Documents, signals and clusters of the parts; a batch for each."""
    batches, first = [], 0
    for number, rows in enumerate(parts):
        tables = {
            "documents": pa.Table.from_pylist(rows, schema=schema(DOCUMENT_COLUMNS)),
            "signals": pa.table({name: pa.array([r[name] for r in rows]) for name in ("id", "n_chars", "n_bytes")}),
            "clusters": pa.Table.from_pylist(rows, schema=schema(CLUSTER_COLUMNS)),
        }
        for kind, table in tables.items():
            (run / kind).mkdir(parents=True, exist_ok=True)
            pq.write_table(table, run / kind / f"p{number}.parquet")
        batches.append(Batch(number, (Entry(f"p{number}", len(rows), first),)))
        first += len(rows)
    return batches


def decide_all(run: Path, parts: list[list[dict[str, Any]]], ranges: int = 1) -> tuple[list[Any], list[dict[str, Any]]]:
    batches = put(run, parts)
    work = run / "work"
    work.mkdir()
    shared = sum(candidates(run, work, batch, QUALITY, ranges) for batch in batches)
    for number in range(ranges if shared else 0):
        rank_range(work, len(batches), number)
    decided = [decide_part(run, work, batch.entries[0], QUALITY, ranges if shared else 0) for batch in batches]
    assert all(one.table.schema == schema(DECISION_COLUMNS) for one in decided)
    return [row for one in decided for row in one.table.to_pylist()], [one.tally for one in decided]


@pytest.mark.parametrize(
    ("more", "reason", "reasons", "rank"),
    [
        ({}, None, [], None),
        ({"cluster": "c", "cluster_size": 1}, None, [], 0),
        ({"lang_score": 0.4}, "min_lang_score", ["min_lang_score"], None),
        ({"lang_score": 0.4, "cluster": "c", "cluster_size": 1}, "min_lang_score", ["min_lang_score"], None),
        (
            {"gate": "status", "lang": None, "lang_score": None, "n_chars": None, "n_bytes": None},
            "status",
            ["status"],
            None,
        ),
        ({"gate": "lang_score", "lang_score": 0.1}, "lang_score", ["lang_score"], None),
        ({"lang": "ko", "lang_score": 0.1}, None, [], None),
        ({"n_chars": 0, "n_bytes": 0}, "emptied", ["emptied"], None),
        ({"n_chars": 0, "n_bytes": 0, "lang_score": 0.4}, "min_lang_score", ["min_lang_score", "emptied"], None),
    ],
)
def test_one_document(
    tmp_path: Path, more: dict[str, Any], reason: str | None, reasons: list[str], rank: int | None
) -> None:
    rows, _ = decide_all(tmp_path, [[document(1, **more)]])
    kept = reason is None
    assert rows == [
        {"id": document_id("x", 1, 0), "kept": kept, "reason": reason, "reasons": reasons, "cluster_rank": rank}
    ]


CLUSTER = {"cluster": "00ff" * 8, "cluster_size": 9}


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"n_chars": 101}, {"n_chars": 100, "date": "2025"}),
        ({"date": "2024-06-01"}, {"date": "2024-05-31"}),
        ({"date": "2024-06-01"}, {"date": None}),
        ({}, {"lang_score": 0.1, "n_chars": 999}),
    ],
)
@pytest.mark.parametrize("swap", [False, True])
def test_who_survives(tmp_path: Path, better: dict[str, Any], worse: dict[str, Any], swap: bool) -> None:
    two = [document(1, **CLUSTER, **better), document(2, **CLUSTER, **worse)]
    rows, _ = decide_all(tmp_path, [[one] for one in (two[::-1] if swap else two)])
    by_id = {row["id"]: row for row in rows}
    assert (by_id[two[0]["id"]]["kept"], by_id[two[0]["id"]]["cluster_rank"]) == (True, 0)
    assert not by_id[two[1]["id"]]["kept"]


def test_the_smallest_id_wins_between_equals(tmp_path: Path) -> None:
    rows, _ = decide_all(tmp_path, [[document(n, **CLUSTER) for n in range(9)]])
    assert [row["id"] for row in sorted(rows, key=lambda row: row["cluster_rank"])] == sorted(r["id"] for r in rows)
    assert [row["id"] for row in rows if row["kept"]] == [min(row["id"] for row in rows)]
    assert {tuple(row["reasons"]) for row in rows if not row["kept"]} == {("duplicate",)}


def some_documents(count: int) -> list[dict[str, Any]]:
    chosen = random.Random(5)
    names = [document_id("c", n, 0) for n in range(12)]
    rows = []
    for n in range(count):
        cluster = chosen.choice(names) if n else document_id("alone", 0, 0)
        rows.append(
            document(
                n,
                lang=chosen.choice(["ja", "en"]),
                lang_score=chosen.choice([0.3, 0.7]),
                n_chars=chosen.randrange(1, 4),
                date=chosen.choice([None, "2023", "2024"]),
                cluster=cluster,
                cluster_size=10 if n else 1,
            )
        )
    return rows


@pytest.mark.parametrize(("cuts", "ranges"), [([120], 1), ([1, 50, 69], 5), ([60, 60], 40)])
def test_ranks_are_those_of_a_plain_sort(tmp_path: Path, cuts: list[int], ranges: int) -> None:
    rows = some_documents(120)
    expected: dict[str, int] = {}
    for cluster in {row["cluster"] for row in rows}:
        members = [row for row in rows if row["cluster"] == cluster and row["lang_score"] > 0.5]
        members.sort(key=lambda row: row["id"])
        members.sort(key=lambda row: (row["n_chars"], row["date"] or ""), reverse=True)
        expected |= {row["id"]: rank for rank, row in enumerate(members)}
    parts = [rows[sum(cuts[:n]) : sum(cuts[: n + 1])] for n in range(len(cuts))]
    decided, tallies = decide_all(tmp_path, parts, ranges)
    assert {row["id"]: row["cluster_rank"] for row in decided if row["cluster_rank"] is not None} == expected
    assert {row["id"] for row in decided if row["kept"]} == {
        identity for identity, rank in expected.items() if rank == 0
    }
    counted = sum(n for tally in tallies for _, _, n in tally["reasons"])
    assert counted == 120


def test_the_tally_adds_up(tmp_path: Path) -> None:
    rows = [
        document(1),
        document(2, lang="en", n_chars=7, n_bytes=8),
        document(3, lang="en", n_chars=1, n_bytes=2),
        document(4, lang_score=0.1),
        document(5, gate="status", lang=None, lang_score=None, n_chars=None, n_bytes=None),
    ]
    _, (tally,) = decide_all(tmp_path, [rows])
    assert tally == {
        "reasons": [["", "status", 1], ["en", "kept", 2], ["ja", "kept", 1], ["ja", "min_lang_score", 1]],
        "alone": [["", "status", 1], ["ja", "min_lang_score", 1]],
        "kept": {
            "en": {"documents": 2, "chars": 8, "bytes": 10},
            "ja": {"documents": 1, "chars": 100, "bytes": 300},
        },
    }


@pytest.mark.parametrize(
    ("keep", "size", "kept"),
    [
        (1, 6, 1),
        (3, 6, 3),
        (9, 6, 6),
        ("rehydrate", 2, 1),
        ("rehydrate", 3, 2),
        ("rehydrate", 12, 5),
        ("rehydrate", 70, 1),
    ],
)
def test_keep_so_many_of_a_cluster(tmp_path: Path, keep: Any, size: int, kept: int) -> None:
    rows = [document(n, cluster="c0", cluster_size=size, n_chars=1000 - n) for n in range(size)]
    rows += [document(size, cluster="c1", cluster_size=1), document(size + 1)]
    (batch,) = put(tmp_path, [rows])
    work = tmp_path / "work"
    work.mkdir()
    candidates(tmp_path, work, batch, QUALITY, 1)
    rank_range(work, 1, 0)
    found = decide_part(tmp_path, work, batch.entries[0], QUALITY, 1, keep).table.to_pylist()
    assert [row["kept"] for row in found] == [n < kept for n in range(size)] + [True, True]
    assert [row["cluster_rank"] for row in found] == [*range(size), 0, None]
    assert {row["reason"] for row in found[kept:size]} <= {"duplicate"}


def test_what_passes_looks_at_no_cluster(tmp_path: Path) -> None:
    rows = [document(0), document(1, lang_score=0.1), document(2, gate="status"), document(3, lang=None)]
    put(tmp_path, [rows])
    (tmp_path / "clusters" / "p0.parquet").unlink()
    decided = passes(tmp_path, "p0", QUALITY)
    assert decided.tolist()[:3] == [True, False, False]
