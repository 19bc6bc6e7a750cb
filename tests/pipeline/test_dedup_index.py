"""An index of former dumps: clusters and what is kept are those of both dumps deduplicated at once."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seimai.config import dump_toml, parse_config
from seimai.errors import InputError, RunError
from seimai.files import read_json, write_atomic
from seimai.pipeline import components, order
from seimai.pipeline.barriers import Job, cluster_run, decide_run
from seimai.pipeline.decide import survivors
from seimai.pipeline.dedup import DedupConfig, signatures
from seimai.pipeline.dedup_index import open_index
from seimai.pipeline.document import CLUSTER_COLUMNS, DOCUMENT_COLUMNS, INDEX_COLUMNS, document_id, schema
from seimai.pipeline.index_build import build_index, merge_indexes
from seimai.pipeline.index_query import query_index
from seimai.pipeline.index_source import estimate_threshold, signature_sets
from seimai.pipeline.jaccard import jaccard_pairs
from seimai.pipeline.manifest import write_manifest
from seimai.pipeline.progress import Silent
from seimai.pipeline.retune_look import look
from seimai.pipeline.run import Engine
from seimai.pipeline.settings import RunConfig
from seimai.pipeline.shingles import minhash
from seimai.pipeline.state import Marker, commit, lock

JAPANESE = "米を磨き水で洗い静かに炊いてから食卓に運ぶ朝の台所には白い湯気が立ち猫が窓辺で外を眺めている"
ENGLISH = [f"word{n}" for n in range(400)]
Page = dict[str, Any]


def pages(seed: int, families: int = 60) -> list[Page]:
    """Pages of both languages, with exact copies, revisions, pages too short for the rules, and shared addresses."""
    numbers = random.Random(seed)
    found: list[Page] = []
    for family in range(families):
        lang = ("ja", "en")[family % 2]
        units = [numbers.choice(JAPANESE if lang == "ja" else ENGLISH) for _ in range(numbers.randrange(40, 160))]
        for version in range(numbers.randrange(1, 7)):
            changed = list(units)
            for _ in range(numbers.choice((0, 1, 3, 8)) * (version > 0)):
                changed[numbers.randrange(len(units))] = numbers.choice(JAPANESE if lang == "ja" else ENGLISH)
            text = "".join(changed) if lang == "ja" else " ".join(changed)
            score = numbers.random() if numbers.random() < 0.9 else 0.01
            found.append(
                {"text": text, "lang": lang, "url": f"http://h.example/{family % 50}?v={version}", "lang_score": score}
            )
    found += [{"text": None, "lang": None, "url": None, "gate": "status"}, {"text": "。", "lang": "ja", "url": None}]
    numbers.shuffle(found)
    stamp = "2024-{:02d}-01"
    return [
        {"id": document_id("x", n, 0), "gate": None, "source": "crawl", "date": stamp.format(n % 12 + 1), **page}
        for n, page in enumerate(found)
    ]


def finished(run: Path, rows: list[Page], least: float = 0.2, parts: str = "abc", **dedup: Any) -> RunConfig:
    """A run with these documents as a run leaves it; those of a lang_score below `least` are dropped."""
    quality = {lang: {"preset": "none", "min_lang_score": least} for lang in ("ja", "en")}
    config = parse_config({"dedup": dedup, "quality": quality}, RunConfig, "x")
    run.mkdir()
    write_atomic(run / "config.toml", dump_toml(config))
    share = -(-len(rows) // len(parts))
    with lock(run) as owner, Engine(workers=0) as engine:
        entries = []
        for part, first in zip(parts, range(0, len(rows), share), strict=False):
            some = rows[first : first + share]
            documents = pa.Table.from_pylist(some, schema=schema(DOCUMENT_COLUMNS))
            made = signatures(
                documents["text"].combine_chunks(), lang=documents["lang"].combine_chunks(), **config.dedup.signing()
            )
            lengths = pa.array([len(row["text"] or "") for row in some])
            tables = {
                "documents": documents,
                "signatures": made.add_column(0, "id", documents["id"]),
                "signals": pa.table({"id": documents["id"], "n_chars": lengths, "n_bytes": lengths}),
            }
            for folder, table in tables.items():
                stage = "read" if folder == "documents" else folder
                commit(run, owner, Marker(stage, part, "x", {}, len(some)), {f"{folder}/{part}.parquet": table})
            entries.append((part, len(some)))
        count = order.write_order(run / "state" / "order.arrow", entries)
        job = Job(run, owner, engine, Silent(), lambda: None)
        cluster_run(job, config=config, rows=count, signatures="s", columns="c")
        decide_run(job, config=config, rows=count, columns="c")
    # Runs of other documents have other manifests.
    write_manifest(run, {"inputs": [rows[0]["id"]], "totals": {}}, [])
    return config


def rows_of(run: Path, folder: str) -> list[Page]:
    """All rows of a folder of a run, in order."""
    return [row for path in sorted((run / folder).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def kept_when_former_wins(joint: Path, rows: list[Page], former: set[str], keep: Any) -> set[str]:
    """What a joint run keeps that prefers the former documents: every cluster ranked anew, in plain Python."""
    lengths = {row["id"]: len(row["text"] or "") for row in rows}
    dates = {row["id"]: row["date"] for row in rows}
    passed = {row["id"] for row in rows_of(joint, "decisions") if row["reason"] in (None, "duplicate")}
    by_cluster: dict[str, list[str]] = {}
    kept, sizes = set(), {}
    for row in rows_of(joint, "clusters"):
        if row["id"] in passed and row["cluster"] is None:
            kept.add(row["id"])
        elif row["id"] in passed:
            by_cluster.setdefault(row["cluster"], []).append(row["id"])
            sizes[row["cluster"]] = row["cluster_size"]
    for cluster, members in by_cluster.items():
        newest = sorted(sorted(members), key=lambda one: dates[one], reverse=True)
        members = sorted(newest, key=lambda one: (one not in former, -lengths[one]))
        kept |= set(members[: int(survivors(pa.chunked_array([[sizes[cluster]]]), keep)[0])])
    return kept


CASES: list[dict[str, Any]] = [
    {},
    {"same_url": True, "within": "language"},
    {"verify": False},
    {"keep": 2, "scope": "after"},
    {"keep": "rehydrate", "memory_mb": 16, "threshold": 0.6},
]


@pytest.mark.parametrize("dedup", CASES, ids=[",".join(case) or "default" for case in CASES])
def test_a_second_dump_is_deduplicated_as_both_at_once(
    tmp_path: Path, dedup: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every part a piece of the index, and with the least memory some forty documents in a block of components.
    monkeypatch.setattr(order, "BATCH_PARTS", 1)
    monkeypatch.setattr(components, "ROW_BYTES", 400_000)
    rows = pages(3)
    cut = len(rows) // 2
    former = {row["id"] for row in rows[:cut]}
    finished(tmp_path / "first", rows[:cut], **dedup)
    finished(tmp_path / "joint", rows, **dedup)
    build_index(tmp_path / "first", tmp_path / "index")
    shutil.rmtree(tmp_path / "first")  # no text of the first dump is left
    finished(tmp_path / "second", rows[cut:], index=str(tmp_path / "index"), **dedup)
    second = rows_of(tmp_path / "second", "clusters")
    joint = {row["id"]: row for row in rows_of(tmp_path / "joint", "clusters")}
    assert [{name: row[name] for name in ("id", "cluster", "cluster_size")} for row in second] == [
        joint[row["id"]] for row in second
    ]
    decisions = rows_of(tmp_path / "second", "decisions")
    wanted = kept_when_former_wins(tmp_path / "joint", rows, former, dedup.get("keep", 1))
    assert {row["id"] for row in decisions if row["kept"]} == wanted - former
    reasons = {row["reason"] for row in decisions}
    assert {"in_index", "duplicate", None} <= reasons
    assert sum(row["reason"] == "in_index" for row in decisions) > 5


def test_a_run_with_an_index_looks_and_retunes_as_it_decided(tmp_path: Path) -> None:
    rows = pages(5)
    cut = len(rows) // 2
    finished(tmp_path / "first", rows[:cut])
    build_index(tmp_path / "first", tmp_path / "index")
    config = finished(tmp_path / "second", rows[cut:], index=str(tmp_path / "index"))
    seen = look(tmp_path / "second", config.quality, config.dedup.keep)
    assert seen.moves
    assert all(before == after for _, before, after in seen.moves)
    assert pq.read_schema(tmp_path / "second" / "clusters" / "a.parquet").equals(
        schema(CLUSTER_COLUMNS + INDEX_COLUMNS), check_metadata=False
    )


def test_an_index_of_two_dumps_serves_a_third(tmp_path: Path) -> None:
    rows = pages(7, families=80)
    thirds = [rows[: len(rows) // 3], rows[len(rows) // 3 : 2 * len(rows) // 3], rows[2 * len(rows) // 3 :]]
    finished(tmp_path / "one", thirds[0])
    build_index(tmp_path / "one", tmp_path / "i1")
    finished(tmp_path / "two", thirds[1], index=str(tmp_path / "i1"))
    build_index(tmp_path / "two", tmp_path / "i2")
    merged = merge_indexes([tmp_path / "i1", tmp_path / "i2"], tmp_path / "both")
    assert merged.rows == len(thirds[0]) + len(thirds[1])
    finished(tmp_path / "three", thirds[2], index=str(tmp_path / "both"))
    finished(tmp_path / "joint", rows)
    joint = {row["id"]: (row["cluster"], row["cluster_size"]) for row in rows_of(tmp_path / "joint", "clusters")}
    for row in rows_of(tmp_path / "three", "clusters"):
        assert (row["cluster"], row["cluster_size"]) == joint[row["id"]]
    with pytest.raises(InputError, match=r"is in .*i1 too; drop one"):
        merge_indexes([tmp_path / "i1", tmp_path / "both"], tmp_path / "again")


def test_estimated_jaccard_is_that_of_signatures(tmp_path: Path) -> None:
    rows = pages(9)
    cut = len(rows) // 2
    finished(tmp_path / "first", rows[:cut])
    index = build_index(tmp_path / "first", tmp_path / "index", verification="estimated")
    exact = build_index(tmp_path / "first", tmp_path / "exact")
    assert (index.verification, exact.verification) == ("estimated", "exact")
    finished(tmp_path / "second", rows[cut:], index=str(tmp_path / "index"))
    finished(tmp_path / "third", rows[cut:], index=str(tmp_path / "exact"))
    pairs = zip(rows_of(tmp_path / "second", "decisions"), rows_of(tmp_path / "third", "decisions"), strict=True)
    alike = [one["reason"] == other["reason"] for one, other in pairs]
    assert sum(alike) >= 0.9 * len(alike)


def test_signatures_as_sets_have_the_similarity_that_the_threshold_asks_for() -> None:
    numbers = np.random.default_rng(1)
    for size in (100, 128, 7):
        for threshold in (0.5, 0.8, 0.85, 1.0):
            base = numbers.integers(0, 1 << 32, size, dtype=np.uint32)
            for equal in range(size + 1):
                other = base.copy()
                other[equal:] ^= np.uint32(1)
                sets = signature_sets(np.stack([base, other]))
                similarity = jaccard_pairs(*sets, np.array([[0, 1]]))[0]
                assert (similarity >= estimate_threshold(threshold, size)) == (equal >= threshold * size - 1e-9)


def test_query_finds_former_documents(tmp_path: Path) -> None:
    rows = pages(11)
    finished(tmp_path / "first", rows)
    build_index(tmp_path / "first", tmp_path / "exact")
    build_index(tmp_path / "first", tmp_path / "estimated", verification="estimated")
    page = next(row for row in rows if row["lang"] == "ja" and row["lang_score"] > 0.2)
    config = DedupConfig()
    for name in ("exact", "estimated"):
        found = query_index(open_index(tmp_path / name), page["text"] + "!", lang="ja")
        assert found[0].jaccard == 1.0
        same = [row["id"] for row in rows if row["text"] == page["text"]]
        assert found[0].id in same
        assert not found[0].same_text
        assert query_index(open_index(tmp_path / name), page["text"], lang="ja")[0].same_text
        assert [one.jaccard for one in found] == sorted((one.jaccard or 0.0 for one in found), reverse=True)
        assert query_index(open_index(tmp_path / name), "まったく別の文章がここにはあります。", lang="ja") == []
        assert query_index(open_index(tmp_path / name), "。", lang="ja") == []
    texts = {row["id"]: row["text"] for row in rows}
    matches = query_index(open_index(tmp_path / "estimated"), page["text"], lang="ja")
    signed = minhash([page["text"], *(texts[one.id] for one in matches)], lang="ja", num_perm=config.num_perm)
    assert [one.jaccard for one in matches] == [float((signed[0] == row).mean()) for row in signed[1:]]


@pytest.mark.parametrize(
    ("dedup", "said"),
    [
        ({"num_perm": 64}, "num_perm = 128, this run has 64"),
        ({"seed": 2}, "seed = 1, this run has 2"),
        ({"shingle_chars": 6}, "shingle_chars = 5, this run has 6"),
        ({"threshold": 0.7, "bands": 16, "rows": 6}, "threshold = 0.8, this run has 0.7"),
        ({"bands": 20, "rows": 6}, "bands = 16, this run has 20"),
        ({"verify": False, "bands": 16, "rows": 6}, "verify = True, this run has False"),
        ({"within": "language"}, "within = everything, this run has language"),
    ],
)
def test_another_index_is_refused_in_one_line(tmp_path: Path, dedup: dict[str, Any], said: str) -> None:
    finished(tmp_path / "first", pages(1, families=4))
    build_index(tmp_path / "first", tmp_path / "index")
    with pytest.raises(InputError) as caught:
        open_index(tmp_path / "index", DedupConfig(**dedup))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_whole_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no index of duplicates .*seimai index build"):
        open_index(tmp_path)
    finished(tmp_path / "first", pages(1, families=4))
    build_index(tmp_path / "first", tmp_path / "index")
    with pytest.raises(RunError, match="not empty"):
        build_index(tmp_path / "first", tmp_path / "index")
    with pytest.raises(InputError, match=r"--verification none: the run has dedup\.verify = true"):
        build_index(tmp_path / "first", tmp_path / "other", verification="none")
    head = read_json(tmp_path / "index" / "manifest.json")
    unicode = head | {"made_with": head["made_with"] | {"unicode": "9.0.0"}}
    (tmp_path / "index" / "manifest.json").write_text(json.dumps(unicode))
    with pytest.raises(InputError, match=r"unicode = 9\.0\.0, this run has 14\.0\.0"):
        open_index(tmp_path / "index", DedupConfig())
    (tmp_path / "index" / "manifest.json").write_text(json.dumps(head | {"format": "seimai-dedup-index/0"}))
    with pytest.raises(InputError, match="format 'seimai-dedup-index/0'"):
        open_index(tmp_path / "index")
    (tmp_path / "index" / "manifest.json").write_text(json.dumps(head))
    bands = next((tmp_path / "index").glob("*.bands-*"))
    bands.write_bytes(bands.read_bytes()[:-8])
    with pytest.raises(InputError, match=r"is not as manifest\.json says"):
        open_index(tmp_path / "index")
