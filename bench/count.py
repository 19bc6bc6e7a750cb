"""Counting pre-tokens: `python bench/count.py [FOLDER]`, about a minute of one core.

For Japanese and English text (`*_kyoto*.jsonl.zst` and `*_books*.jsonl.zst` under SEIMAI_DATA/text, ../shared/data/text
or FOLDER; the sample web's articles where there is none) the CPU time of: Python's `re` alone, `re` into one Counter
(no hosts, no documents), and our map step where no document has a host, where 100 hosts share them, and where each has
its own; then the merge of the runs of the last. MB are UTF-8 bytes of text. Exit code 1 where our map step with a host
for each document is slower than GOAL of the Counter, or where its hosts cost more than HOST_COST.
"""

import io
import json
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import numba
import numpy as np
import pyarrow as pa
import zstandard

from seimai.sample.articles import articles
from seimai.tokenizer.count_map import RUN, count_runs
from seimai.tokenizer.count_merge import cut_ranges, merge_range
from seimai.tokenizer.counts import finder
from seimai.tokenizer.split import split_pattern

GOAL = 0.9
"""Least speed of the map step with a host for each document, in speeds of `re` into one Counter."""
HOST_COST = 1.8
"""Most time with a host for each document, in times without hosts."""
REPEATS = 3
SCHEMA = pa.schema([("text", pa.large_string()), ("lang", pa.string()), ("host", pa.string())])


def texts(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Name and documents of each text."""
    paths = [path for word in ("ja_*kyoto", "en_books") for path in sorted(folder.glob(f"{word}*.jsonl.zst"))]
    for path in paths:
        with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
            yield path.name.split(".")[0], [json.loads(line)["text"] for line in io.TextIOWrapper(stream, "utf-8")]
    if not paths:
        for lang in ("ja", "en"):
            yield f"sample {lang}", [article.text for article in articles() if article.lang == lang] * 20


def best(work: Callable[[], object]) -> float:
    """Least CPU seconds of some calls."""
    found = []
    for _ in range(REPEATS):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


def batches(documents: list[str], hosts: int) -> list[pa.RecordBatch]:
    """Record batches as a shard has them; 0 hosts for none."""
    rows = [
        {"text": text, "lang": "ja", "host": f"{number % hosts}.example" if hosts else None}
        for number, text in enumerate(documents)
    ]
    return [pa.RecordBatch.from_pylist(rows[at : at + 1024], SCHEMA) for at in range(0, len(rows), 1024)]


def runs_of(documents: list[str], hosts: int) -> list[pa.Table]:
    """The map step."""
    return list(count_runs(batches(documents, hosts), pattern=split_pattern(), langs=["ja"], cap=10))


def measure(name: str, documents: list[str]) -> bool:
    """Print the lines of one text; whether the goals were met."""
    find, size = finder(split_pattern()), sum(len(text.encode()) for text in documents) / 1e6
    runs_of(documents[:10], 1)  # kernels are compiled
    seconds = {
        "re alone": best(lambda: [len(find(text)) for text in documents]),
        "re into one Counter": best(lambda: Counter(chain.from_iterable(map(find, documents)))),
        "no hosts": best(lambda: runs_of(documents, 0)),
        "100 hosts": best(lambda: runs_of(documents, 100)),
        "a host a document": best(lambda: runs_of(documents, len(documents))),
    }
    runs = runs_of(documents, len(documents))
    entries = sum(len(run["entries"].chunk(0).values) for run in runs)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.arrow" for number in range(len(runs))]
        for path, run in zip(paths, runs, strict=True):
            with pa.ipc.new_file(str(path), RUN) as file:
                file.write_table(run)
        seconds["merge of these"] = best(lambda: [merge_range(paths, each, ["ja"], 10) for each in cut_ranges(paths)])
        disk = sum(path.stat().st_size for path in paths) / 1e6
    for what, taken in seconds.items():
        print(f"{name:<22} {what:<20} {taken:7.2f} s {size / taken:7.1f} MB/s")
    print(f"{name:<22} {size:.1f} MB, {entries:,} entries, {disk:.1f} MB of runs\n")
    speed = seconds["re into one Counter"] / seconds["a host a document"]
    cost = seconds["a host a document"] / seconds["no hosts"]
    print(f"{name:<22} speed of a Counter x {speed:.2f} (goal {GOAL}), hosts cost x {cost:.2f} (limit {HOST_COST})\n")
    return speed >= GOAL and cost <= HOST_COST


def main() -> int:
    """The table and the exit code."""
    root = Path(__file__).resolve().parents[1]
    data = Path(os.environ.get("SEIMAI_DATA", root.parent / "shared" / "data")) / "text"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else data
    versions = f"Python {platform.python_version()}, numba {numba.__version__}, numpy {np.__version__}"
    print(f"{platform.machine()}, {os.cpu_count()} cores, {versions}, pyarrow {pa.__version__}\n")
    met = [measure(name, documents) for name, documents in texts(folder)]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
