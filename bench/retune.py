"""The dry look of `seimai retune` over a million documents, made by repeating the columns of a small run.

    python bench/retune.py [--documents 1000000] [--rows 10000]

Builds a run of the sample crawl in a temporary folder, repeats its rows (new ids, clusters of two and more kept as they
are within each copy), then times the command as a user types it, the start of Python included, three times. The goal:
under 5 s on two cores. About a minute in all; wall time, so that it wants a quiet machine. Exit code 1 when missed.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seimai.files import write_atomic
from seimai.pipeline.job import polish
from seimai.pipeline.manifest import manifest_head, write_manifest
from seimai.pipeline.order import read_entries, write_order
from seimai.pipeline.run import Engine
from seimai.pipeline.settings import RunConfig
from seimai.sample.build import build_warc

GOAL_S = 5.0
KINDS = ("documents", "signals", "clusters", "decisions")
CHANGE = ["--set", "quality.ja.min_chars=300", "--set", "quality.en.min_words=120"]


def renamed(column: pa.ChunkedArray, copy: int) -> pa.Array:
    """Ids of another copy: the first eight digits are replaced, nulls stay."""
    prefix = f"{copy:08x}"
    return pa.array([None if value is None else prefix + value[8:] for value in column.to_pylist()], pa.string())


def repeat(small: Path, big: Path, documents: int, rows: int) -> int:
    """Write the columns of a run again and again, in parts of about so many rows; returns how many there are."""
    parts = [entry.part for entry in read_entries(small / "state" / "order.arrow")]
    tables = {
        kind: pa.concat_tables([pq.read_table(small / kind / f"{part}.parquet") for part in parts]) for kind in KINDS
    }
    tables["documents"] = tables["documents"].drop_columns(["text"])
    size = len(tables["documents"])
    copies = max(1, rows // size)
    names, done, noise = [], 0, np.random.default_rng(1)
    while done < documents:
        name = f"0123456789abcdef-{len(names):013d}"
        first = len(names) * copies
        for kind, table in tables.items():
            made = []
            for copy in range(first, first + copies):
                one = table
                for column in {"id", "cluster"} & set(table.column_names):
                    at = one.column_names.index(column)
                    one = one.set_column(at, column, renamed(one[column], copy))
                made.append(one)
            whole = pa.concat_tables(made)
            if kind == "signals":  # numbers that do not repeat, as on real pages
                for at, field in enumerate(whole.schema):
                    if pa.types.is_floating(field.type):
                        values = whole.column(at).to_numpy() * noise.uniform(0.9, 1.1, len(whole))
                        whole = whole.set_column(at, field, pa.array(values, from_pandas=True))
            (big / kind).mkdir(exist_ok=True)
            pq.write_table(whole, big / kind / f"{name}.parquet", compression="zstd")
        names.append((name, copies * size))
        done += copies * size
    (big / "state").mkdir()
    write_order(big / "state" / "order.arrow", iter(names))
    head = manifest_head(small)
    head["totals"]["read"]["documents"] = done
    write_manifest(big, {key: value for key, value in head.items() if key != "format"}, [])
    write_atomic(big / "config.toml", (small / "config.toml").read_bytes())
    return done


def main() -> int:
    """Time it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=10_000, help="documents in a part")
    options = parser.parse_args()
    print(
        f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, pyarrow {pa.__version__}"
    )
    with tempfile.TemporaryDirectory(prefix="seimai-bench-") as name:
        folder = Path(name)
        build_warc(folder / "sample.warc.gz")
        polish(RunConfig(), folder / "small", inputs=[str(folder / "sample.warc.gz")], engine=Engine(workers=0))
        (folder / "big").mkdir()
        documents = repeat(folder / "small", folder / "big", options.documents, options.rows)
        command = [sys.executable, "-m", "seimai", "retune", str(folder / "big"), *CHANGE]
        walls, cpus = [], []
        for _ in range(3):
            before, start = os.times(), time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.PIPE)
            walls.append(time.perf_counter() - start)
            after = os.times()
            used = after.children_user + after.children_system
            cpus.append(used - before.children_user - before.children_system)
    best = min(walls)
    print(f"{'documents':>12} {'rows a part':>12} {'wall s':>8} {'CPU s':>8} {'goal s':>8} {'goal / wall':>12}")
    print(f"{documents:12,} {options.rows:12,} {best:8.2f} {min(cpus):8.2f} {GOAL_S:8.1f} {GOAL_S / best:12.2f}")
    return 0 if best < GOAL_S else 1


if __name__ == "__main__":
    sys.exit(main())
