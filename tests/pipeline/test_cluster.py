"""Clusters out of core agree with a plain union-find over equal band keys, whatever the batches and ranges."""

import itertools
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seimai.pipeline import cluster
from seimai.pipeline.dedup import DedupConfig
from seimai.pipeline.document import CLUSTER_COLUMNS, document_id, schema
from seimai.pipeline.order import Batch, Entry

CONFIG = DedupConfig(num_perm=8, bands=4, rows=2)


def some_signatures(count: int, seed: int, values: int) -> list[bytes | None]:
    """Signatures of few values, so that bands meet by chance; one in eight is missing."""
    random_numbers = random.Random(seed)
    found: list[bytes | None] = []
    for _ in range(count):
        numbers = [random_numbers.randrange(values) for _ in range(CONFIG.num_perm)]
        found.append(None if random_numbers.random() < 0.125 else np.array(numbers, "<u4").tobytes())
    return found


def expected(signatures: list[bytes | None]) -> list[tuple[int | None, int | None]]:
    """First document and size of every document's cluster, by joining all pairs with an equal band."""
    parent = list(range(len(signatures)))

    def root(n: int) -> int:
        while parent[n] != n:
            n = parent[n]
        return n

    for a, b in itertools.combinations(range(len(signatures)), 2):
        one, other = signatures[a], signatures[b]
        width = 4 * CONFIG.rows
        if one and other and any(one[i : i + width] == other[i : i + width] for i in range(0, 32, width)):
            low, high = sorted((root(a), root(b)))
            parent[high] = low
    roots = [root(n) if signatures[n] else None for n in range(len(signatures))]
    return [(r, roots.count(r) if r is not None else None) for r in roots]


def run_clusters(run: Path, signatures: list[bytes | None], part_rows: list[int], batch_parts: int) -> list[Any]:
    """The three steps over parts of the given sizes, some parts to a batch."""
    (run / "signatures").mkdir(parents=True)
    (run / "work").mkdir()
    ids = [document_id("x", n, 0) for n in range(len(signatures))]
    entries, first = [], 0
    for number, rows in enumerate(part_rows):
        span = slice(first, first + rows)
        columns = {"id": pa.array(ids[span]), "signature": pa.array(signatures[span], pa.binary(32))}
        pq.write_table(pa.table(columns), run / "signatures" / f"p{number}.parquet")
        entries.append(Entry(f"p{number}", rows, first))
        first += rows
    batches = [
        Batch(number, tuple(entries[at : at + batch_parts]))
        for number, at in enumerate(range(0, len(entries), batch_parts))
    ]
    keys = sum(cluster.split_keys(run, run / "work", batch, CONFIG) for batch in batches)
    assert keys == CONFIG.bands * sum(s is not None for s in signatures)
    ranges = cluster.key_ranges(keys)
    for wanted in ranges:
        cluster.edges_of_range(run / "work", len(batches), wanted)
    cluster.components(run / "work", len(batches), len(ranges), len(signatures))
    starts = [(batch.number, batch.first_row) for batch in batches]
    tables = [t for b in batches for t in cluster.assign(run, run / "work", b, starts, len(signatures))]
    assert [len(table) for table in tables] == part_rows
    assert all(table.schema == schema(CLUSTER_COLUMNS) for table in tables)
    rows = pa.concat_tables(tables).to_pylist()
    assert [row["id"] for row in rows] == ids
    return [(ids.index(row["cluster"]) if row["cluster"] else None, row["cluster_size"]) for row in rows]


@pytest.mark.parametrize("values", [2, 4, 12, 40])
@pytest.mark.parametrize(
    ("part_rows", "batch_parts", "range_entries"),
    [([60], 1, 4_000_000), ([1] * 60, 7, 16), ([13, 20, 7, 20], 2, 50), ([30, 30], 1, 1)],
)
def test_clusters_are_those_of_a_plain_union_find(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    values: int,
    part_rows: list[int],
    batch_parts: int,
    range_entries: int,
) -> None:
    monkeypatch.setattr(cluster, "RANGE_ENTRIES", range_entries)
    signatures = some_signatures(60, seed=values, values=values)
    assert run_clusters(tmp_path / "run", signatures, part_rows, batch_parts) == expected(signatures)


def test_a_chain_of_neighbours_is_one_cluster(tmp_path: Path) -> None:
    chain = [np.array([n, n, n + 1, n + 1, 0, n, n, 0], "<u4") for n in range(500)]
    for before, after in itertools.pairwise(chain):
        after[:2] = before[2:4]
    rows = [one.tobytes() for one in chain]
    shuffled = random.Random(1).sample(rows, len(rows))
    links = [[one[:8], one[8:16]] for one in rows]
    assert all(a[1] != b[1] for a, b in itertools.pairwise(links))
    found = run_clusters(tmp_path / "run", list(shuffled), [500], 1)
    assert len({place for place, _ in found}) == len({place for place, _ in expected(list(shuffled))})


@pytest.mark.parametrize("missing", [0, 1, 5])
def test_documents_without_a_signature_have_no_cluster(tmp_path: Path, missing: int) -> None:
    alone = np.arange(8, dtype="<u4").tobytes()
    signatures: list[bytes | None] = [None] * missing + [alone]
    assert run_clusters(tmp_path / "run", signatures, [len(signatures)], 1) == [(None, None)] * missing + [(missing, 1)]


def test_a_run_where_no_document_has_a_signature(tmp_path: Path) -> None:
    assert run_clusters(tmp_path / "run", [None] * 4, [2, 2], 1) == [(None, None)] * 4


@pytest.mark.parametrize("entries", [0, 1, 4_000_000, 4_000_001, 50_000_000])
def test_ranges_cover_the_keys_without_a_gap(entries: int) -> None:
    ranges = cluster.key_ranges(entries)
    assert ranges[0].low == 0
    assert ranges[-1].high == 2**64 - 1
    assert all(a.high + 1 == b.low for a, b in itertools.pairwise(ranges))
    assert len(ranges) == max(1, -(-entries // cluster.RANGE_ENTRIES))
