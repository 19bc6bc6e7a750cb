"""Shards hold every kept document once, in order, and are the same bytes whatever the parts were."""

import hashlib
import itertools
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.errors import RunError
from seimai.pipeline.document import (
    CLUSTER_COLUMNS,
    DECISION_COLUMNS,
    DOCUMENT_COLUMNS,
    SHARD_COLUMNS,
    document_id,
    schema,
)
from seimai.pipeline.pii import PiiConfig
from seimai.pipeline.state import lock
from seimai.pipeline.write import OutputConfig, ShardPlan, plan_shards, shard_schema, write_shard

SIGNALS = pa.schema([("id", pa.string()), ("n_chars", pa.int64()), ("n_bytes", pa.int64()), ("ellipses", pa.int32())])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from(["ja", "en"]), st.integers(1, 40), max_size=2), max_size=12),
    st.integers(1, 50),
)
def test_plans_name_every_part_whose_bytes_a_shard_may_hold(kept: list[dict[str, int]], shard_bytes: int) -> None:
    plans = list(plan_shards(((f"p{n}", by_lang) for n, by_lang in enumerate(kept)), shard_bytes))
    assert len({plan.name for plan in plans}) == len(plans)
    found = {(plan.lang, plan.number): plan.parts for plan in plans}
    for lang in ("ja", "en"):
        before = 0
        for n, by_lang in enumerate(kept):
            for byte in range(before, before + by_lang.get(lang, 0)):
                assert (f"p{n}", before) in found[lang, byte // shard_bytes]
            before += by_lang.get(lang, 0)
        numbers = [number for language, number in found if language == lang]
        assert numbers == list(range(-(-before // shard_bytes)))


def documents(count: int) -> list[dict[str, Any]]:
    chosen = random.Random(3)
    rows = []
    for n in range(count):
        text = "精米" * chosen.randrange(1, 30) + f" {n}"
        rows.append(
            {
                **{"id": document_id("x", n, 0), "split": "train", "text": text, "url": f"https://h/{n}", "host": "h"},
                **{"lang": chosen.choice(["ja", "en"]), "lang_score": 0.5, "warc_file": "x", "warc_offset": n},
                **{"kept": chosen.random() < 0.7, "reasons": [], "cluster_rank": 0, "cluster": "c", "cluster_size": 1},
                **{"n_chars": len(text), "n_bytes": len(text.encode()), "ellipses": n % 3},
            }
        )
    return rows


def put(run: Path, rows: list[dict[str, Any]], cuts: list[int]) -> list[tuple[str, dict[str, int]]]:
    """A run directory with the rows in parts of the given sizes; returns each part's kept bytes by language."""
    kept = []
    for number, (start, stop) in enumerate(itertools.pairwise([0, *itertools.accumulate(cuts)])):
        part = rows[start:stop]
        tables = {
            "documents": pa.Table.from_pylist(part, schema=schema(DOCUMENT_COLUMNS)),
            "signals": pa.Table.from_pylist(part, schema=SIGNALS),
            "clusters": pa.Table.from_pylist(part, schema=schema(CLUSTER_COLUMNS)),
            "decisions": pa.Table.from_pylist(part, schema=schema(DECISION_COLUMNS)),
        }
        for kind, table in tables.items():
            (run / kind).mkdir(parents=True, exist_ok=True)
            pq.write_table(table, run / kind / f"p{number}.parquet")
        sums: dict[str, int] = {}
        for row in part:
            if row["kept"]:
                sums[row["lang"]] = sums.get(row["lang"], 0) + row["n_bytes"]
        kept.append((f"p{number}", sums))
    return kept


def write_all(run: Path, rows: list[dict[str, Any]], cuts: list[int], config: OutputConfig) -> dict[str, Path]:
    kept = put(run, rows, cuts)
    found = {}
    with lock(run) as owner:
        for plan in plan_shards(kept, config.shard_bytes):
            for entry in write_shard(run, plan, config, owner):
                path = run / entry["path"]
                assert hashlib.sha256(path.read_bytes()).hexdigest() == entry["sha256"]
                assert path.stat().st_size == entry["bytes"]
                found[path.name] = path
    return found


def read(path: Path) -> pa.Table:
    return pq.read_table(path) if path.suffix == ".parquet" else pa.ipc.open_file(path).read_all()


@pytest.mark.parametrize("cuts", [[1] * 40, [25, 1, 14], [0, 20, 0, 20]])
@pytest.mark.parametrize("shard_bytes", [50, 400, 1 << 20])
def test_shards_do_not_follow_the_parts(tmp_path: Path, cuts: list[int], shard_bytes: int) -> None:
    rows = documents(40)
    config = OutputConfig(shard_bytes=shard_bytes)
    shards = write_all(tmp_path / "run", rows, cuts, config)
    whole = write_all(tmp_path / "whole", rows, [40], config)
    assert {name: path.read_bytes() for name, path in shards.items()} == {n: p.read_bytes() for n, p in whole.items()}
    for lang in ("ja", "en"):
        tables = [read(path) for name, path in sorted(shards.items()) if name.startswith(lang)]
        ids = [identity for table in tables for identity in table["id"].to_pylist()]
        assert ids == [row["id"] for row in rows if row["kept"] and row["lang"] == lang]
        for table in tables[:-1]:
            longest = max(table["n_bytes"].to_pylist())
            assert sum(table["n_bytes"].to_pylist()) < shard_bytes + longest


def test_a_shard_holds_the_declared_columns_in_batches(tmp_path: Path) -> None:
    rows = documents(4000)
    shards = write_all(tmp_path / "run", rows, [1500, 2500], OutputConfig(signals=["ellipses", "n_chars"]))
    assert sorted(shards) == ["en-00000.arrow", "ja-00000.arrow"]
    with pa.memory_map(str(shards["ja-00000.arrow"])) as source, pa.ipc.open_file(source) as reader:
        assert reader.schema.names == [*(name for name, _, _ in SHARD_COLUMNS), "ellipses"]
        sizes = [reader.get_batch(n).num_rows for n in range(reader.num_record_batches)]
        table = reader.read_all()
    assert set(sizes[:-1]) == {1024}
    assert sizes[-1] <= 1024
    first = next(row for row in rows if row["kept"] and row["lang"] == "ja")
    assert {name: table[name][0].as_py() for name in ("text", "warc_offset", "ellipses")} == {
        name: first[name] for name in ("text", "warc_offset", "ellipses")
    }
    assert table["quality"].null_count == table["licence"].null_count == len(table)


def test_personal_data_is_masked_and_counted(tmp_path: Path) -> None:
    rows = documents(30)
    for row in rows[::2]:
        row["text"] += " 電話０３－１２３４－５６７８、taro@seimai.jp"
        row["title"] = "TEL 03-1234-5678"
        row |= {"n_chars": len(row["text"]), "n_bytes": len(row["text"].encode())}
    kept = put(tmp_path, rows, [10, 20])
    masked: dict[str, int] = {}
    tables = []
    with lock(tmp_path) as owner:
        for plan in plan_shards(kept, 300):
            for entry in write_shard(tmp_path, plan, OutputConfig(shard_bytes=300), owner, PiiConfig()):
                tables.append(read(tmp_path / entry["path"]))
                for kind, count in entry.get("masked", {}).items():
                    masked[kind] = masked.get(kind, 0) + count

    written = {row["id"]: row for table in tables for row in table.to_pylist()}
    assert set(written) == {row["id"] for row in rows if row["kept"]}
    for row in rows[::2]:
        if row["kept"]:
            text = (
                row["text"]
                .replace("０３－１２３４－５６７８", "００－００００－００００")
                .replace("taro@seimai.jp", "name@example.com")
            )
            found = written[row["id"]]
            assert (found["text"], found["title"]) == (text, "TEL 00-0000-0000")
            assert (found["n_chars"], found["n_bytes"]) == (len(text), len(text.encode()))
    hit = sum(row["kept"] for row in rows[::2])
    assert masked == {"email": hit, "phone": 2 * hit}


def test_parquet(tmp_path: Path) -> None:
    rows = documents(50)
    arrow = write_all(tmp_path / "a", rows, [50], OutputConfig())
    parquet = write_all(tmp_path / "p", rows, [20, 30], OutputConfig(format="parquet"))
    assert sorted(parquet) == ["en-00000.parquet", "ja-00000.parquet"]
    for name, path in parquet.items():
        assert read(path).equals(read(arrow[name.replace("parquet", "arrow")]))


def test_a_document_longer_than_a_shard_leaves_a_number_out(tmp_path: Path) -> None:
    rows = [{**row, "lang": "ja", "kept": True, "text": "x" * 500, "n_bytes": 500} for row in documents(3)]
    shards = write_all(tmp_path / "run", rows, [3], OutputConfig(shard_bytes=200))
    assert sorted(shards) == ["ja-00000.arrow", "ja-00002.arrow", "ja-00005.arrow"]


def test_a_task_of_a_former_owner_leaves_no_shard(tmp_path: Path) -> None:
    rows = documents(10)
    ((part, _),) = put(tmp_path, rows, [10])
    with pytest.raises(RunError, match="another run has taken over"):
        write_shard(tmp_path, ShardPlan("ja", 0, [(part, 0)]), OutputConfig(), "nobody")
    assert list((tmp_path / "shards").iterdir()) == []


def test_an_unknown_signal_is_refused() -> None:
    with pytest.raises(KeyError, match="no_such"):
        shard_schema(SIGNALS, ["no_such"])
