"""A second dump against the index of the first: `python bench/dedup_index.py`, 10 s of processor.

The pages of ../shared/data/text (10,351 in Japanese and English), each tenth planted once more with one character or
word in fifty replaced, are dealt at random to two dumps. The second is clustered and decided against an index of the
first, whose run is removed before; then both at once. The goal: the same cluster and size for every document of the
second, and the kept ones those of the joint clusters that no passed document of the first is in. The table has bytes
of the index a document, processor seconds, and for the estimated index how many documents are decided otherwise.
Exit code 1 where a goal is missed.
"""

import argparse
import io
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from seimai.config import dump_toml, parse_config
from seimai.files import write_atomic
from seimai.pipeline import order
from seimai.pipeline.barriers import Job, cluster_run, decide_run
from seimai.pipeline.dedup import signatures
from seimai.pipeline.dedup_index import open_index
from seimai.pipeline.document import DOCUMENT_COLUMNS, document_id, schema
from seimai.pipeline.index_build import build_index
from seimai.pipeline.index_query import query_index
from seimai.pipeline.manifest import write_manifest
from seimai.pipeline.progress import Silent
from seimai.pipeline.run import Engine
from seimai.pipeline.settings import RunConfig
from seimai.pipeline.state import Marker, commit, lock

DATA = Path(os.environ.get("SEIMAI_DATA", "../shared/data"))
PART_ROWS = 500
PLANTED = 10
CHANGED = 50
QUERIES = 50
Page = dict[str, Any]


def pages(limit: int) -> list[Page]:
    """The texts and their planted revisions, shuffled."""
    random, found = Random(1), []
    for path in sorted((DATA / "text").glob("*.jsonl.zst")):
        with path.open("rb") as file:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8"):
                text = json.loads(line)["text"]
                lang = "ja" if "ja" in path.name else "en"
                found.append({"text": text, "lang": lang})
                if len(found) % PLANTED == 0:
                    units = list(text) if lang == "ja" else text.split(" ")
                    for _ in range(len(units) // CHANGED):
                        units[random.randrange(len(units))] = random.choice(units)
                    found.append({"text": ("" if lang == "ja" else " ").join(units), "lang": lang})
    random.shuffle(found)
    return [
        {"id": document_id("x", n, 0), "lang_score": 0.1 if random.random() < 0.2 else 0.9, **page}
        for n, page in enumerate(found[:limit])
    ]


def finished(run: Path, rows: list[Page], index: str = "") -> float:
    """A run with these documents up to its decisions; processor seconds of clustering and deciding."""
    quality = {lang: {"preset": "none", "min_lang_score": 0.2} for lang in ("ja", "en")}
    config = parse_config({"dedup": {"index": index}, "quality": quality}, RunConfig, "bench")
    run.mkdir()
    write_atomic(run / "config.toml", dump_toml(config))
    with lock(run) as owner, Engine(workers=0) as engine:
        entries = []
        for first in range(0, len(rows), PART_ROWS):
            part, some = f"p{first:08d}", rows[first : first + PART_ROWS]
            documents = pa.Table.from_pylist(some, schema=schema(DOCUMENT_COLUMNS))
            texts, langs = (documents[name].combine_chunks() for name in ("text", "lang"))
            lengths = pa.array([len(row["text"]) for row in some])
            signed = signatures(texts, lang=langs, **config.dedup.signing())
            tables = {
                "documents": documents,
                "signatures": signed.add_column(0, "id", documents["id"]),
                "signals": pa.table({"id": documents["id"], "n_chars": lengths, "n_bytes": lengths}),
            }
            for folder, table in tables.items():
                marker = Marker("read" if folder == "documents" else folder, part, "x", {}, len(some))
                commit(run, owner, marker, {f"{folder}/{part}.parquet": table})
            entries.append((part, len(some)))
        count = order.write_order(run / "state" / "order.arrow", entries)
        began = time.process_time()
        job = Job(run, owner, engine, Silent(), lambda: None)
        cluster_run(job, config=config, rows=count, signatures="s", columns="c")
        decide_run(job, config=config, rows=count, columns="c")
        used = time.process_time() - began
    write_manifest(run, {"inputs": [rows[0]["id"]], "totals": {}}, [])
    return used


def rows_of(run: Path, folder: str) -> dict[str, Page]:
    """All rows of a folder of a run by id."""
    paths = sorted((run / folder).glob("*.parquet"))
    return {row["id"]: row for path in paths for row in pq.read_table(path).to_pylist()}


def free_clusters(joint: Path, former: set[str]) -> set[str]:
    """The joint clusters of which a run keeps a new document that prefers the former ones."""
    clusters, decisions = rows_of(joint, "clusters"), rows_of(joint, "decisions")
    passed = {name for name, row in decisions.items() if row["reason"] in (None, "duplicate")}
    taken = {clusters[name]["cluster"] for name in passed & former}
    return {clusters[name]["cluster"] for name in passed - former} - taken


def main() -> int:
    """Print the table; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=1 << 30, help="at most so many")
    limit = parser.parse_args().documents
    print(f"{platform.machine()}, Python {platform.python_version()}, pyarrow {pa.__version__}, numpy {np.__version__}")
    rows = pages(limit)
    cut = len(rows) // 2
    former = {row["id"] for row in rows[:cut]}
    size = sum(len(row["text"].encode()) for row in rows[:cut])
    failed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone = finished(folder / "first", rows[:cut])
        joint_s = finished(folder / "joint", rows)
        joint = rows_of(folder / "joint", "clusters")
        free = free_clusters(folder / "joint", former)
        built = {}
        for kind in ("exact", "estimated"):
            began = time.process_time()
            build_index(folder / "first", folder / kind, verification=kind)
            built[kind] = time.process_time() - began
        shutil.rmtree(folder / "first")
        print(f"{len(rows):,} documents, {cut:,} in the first dump, {size / cut:,.0f} bytes of text each")
        print(f"clusters and decisions: first dump alone {alone:.1f} s, both at once {joint_s:.1f} s of processor")
        print("index      bytes/doc  build s  second s  other cluster  in_index  kept  query ms")
        verdicts = {}
        for kind in ("exact", "estimated"):
            used = finished(folder / f"second-{kind}", rows[cut:], str(folder / kind))
            clusters, decisions = (rows_of(folder / f"second-{kind}", what) for what in ("clusters", "decisions"))
            other = sum(
                (row["cluster"], row["cluster_size"]) != (joint[one]["cluster"], joint[one]["cluster_size"])
                for one, row in clusters.items()
            )
            kept = {one for one, row in decisions.items() if row["kept"]}
            copies = sum(row["reason"] == "in_index" for row in decisions.values())
            stored = sum(path.stat().st_size for path in (folder / kind).iterdir())
            index = open_index(folder / kind)
            began = time.process_time()
            for row in rows[cut : cut + QUERIES]:
                query_index(index, row["text"], lang=row["lang"])
            query_ms = (time.process_time() - began) / QUERIES * 1000
            print(
                f"{kind:10} {stored / cut:9,.0f} {built[kind]:8.1f} {used:9.1f} {other:14,} {copies:9,} "
                f"{len(kept):5,} {query_ms:9.1f}"
            )
            verdicts[kind] = {one: row["reason"] for one, row in decisions.items()}
            if kind == "exact":
                failed |= other > 0 or copies == 0 or {clusters[one]["cluster"] for one in kept} != free
                failed |= len(kept) != len(free)
        unlike = sum(verdicts["exact"][one] != verdicts["estimated"][one] for one in verdicts["exact"])
        print(f"decided otherwise by estimates: {unlike:,} of {len(rows) - cut:,}")
    print("MISSED" if failed else "all goals met")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
