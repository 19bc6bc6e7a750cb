"""Speed of cleaning and what it cuts of sound text: `python bench/cleaning.py [FOLDER]` (about half a minute).

FOLDER holds the running text (default: ../shared/data/text, or text under SEIMAI_DATA). One core, CPU time, best of
three, whole files: the default line rules, and applying their edits where every line in ten is cut. Then repeated
lines within hosts, all passes, over the files cut into hosts of 40 documents. What line rules cut of literature, books
and encyclopaedias is cut wrongly. Exit code 1 when a goal is missed.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq

from seimai.pipeline.cleaning import CleaningConfig
from seimai.pipeline.document import DOCUMENT_COLUMNS, schema
from seimai.pipeline.edits import apply_edits
from seimai.pipeline.line_rules import line_edits, rules_of
from seimai.pipeline.lines import cut_lines, split_lines
from seimai.pipeline.order import Batch, Entry
from seimai.pipeline.repeated_lines import Search, edits_of_batch, hosts_of_range, lines_of_range, split_batch

ROOT = Path(__file__).resolve().parents[1]
FILES = ("ja_aozora", "ja_wikipedia_kyoto", "en_books", "en_wikipedia_kyoto")
LEAST_MB_S = 30.0
MOST_CUT = 0.001
"""Share of the characters of sound text that line rules may cut."""
HOST_PAGES = 40


def seconds(work: Callable[[], object], times: int = 3) -> float:
    """CPU time of the fastest of several calls, the first one left out."""
    work()
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def documents(path: Path) -> pa.Table:
    """A file's texts as documents of hosts with HOST_PAGES pages each."""
    with pa.input_stream(path, compression="zstd") as stream:
        texts = pyarrow.json.read_json(stream)["text"].cast(pa.large_string()).combine_chunks()
    rows = np.arange(len(texts))
    known = {
        "id": pa.array([f"{row:032x}" for row in rows]),
        "host": pa.array([f"host{row // HOST_PAGES}.example" for row in rows]),
        "text": texts,
        "lang": pa.array([path.name[:2]] * len(texts)),
    }
    columns = schema(DOCUMENT_COLUMNS)
    return pa.table([known.get(field.name, pa.nulls(len(texts), field.type)) for field in columns], schema=columns)


def repeat(table: pa.Table) -> None:
    """All passes of repeated lines within hosts, over one part."""
    with tempfile.TemporaryDirectory() as folder:
        search = Search(Path(folder), Path(folder) / "work", CleaningConfig())
        (search.run / "documents").mkdir()
        search.work.mkdir()
        pq.write_table(table, search.run / "documents" / "p.parquet", compression="zstd")
        batch = Batch(0, (Entry("p", len(table), 0),))
        split_batch(batch, search)
        hosts_of_range(0, search, 1)
        lines_of_range(0, search, 1, 1)
        for _ in edits_of_batch(batch, search, 0, {"lines": 1, "copies": 1}):
            pass


def main() -> int:
    """Print the table; 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    data = Path(os.environ.get("SEIMAI_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("folder", type=Path, nargs="?", default=data / "text")
    folder = parser.parse_args().folder
    versions = ", ".join(f"{name} {version(name)}" for name in ("pyarrow", "numba"))
    print(f"{platform.machine()}, Python {platform.python_version()}, {versions}")
    print(f"{'file':<22}{'MB':>7}{'line rules':>12}{'apply':>9}{'repeated':>10}   MB/s{'cut':>12}")
    missed = False
    for name in FILES:
        table = documents(next(folder.glob(f"{name}.*")))
        texts, lang = table["text"].combine_chunks(), name[:2]
        mb = int(pa.compute.sum(pa.compute.binary_length(texts)).as_py()) / 1e6
        rules = {lang: rules_of([f"web-{lang}"])}
        edits = line_edits(table, rules)
        lines = split_lines(texts)
        spans = cut_lines(lines, np.arange(len(lines.text)) % 10 == 0)
        speeds = [
            mb / seconds(work)
            for work in (lambda: line_edits(table, rules), lambda: apply_edits(texts, spans), lambda: repeat(table))  # noqa: B023
        ]
        cut = float((edits["end"].to_numpy() - edits["start"].to_numpy()).sum()) / lines.lengths.sum()
        print(f"{name:<22}{mb:>7.1f}{speeds[0]:>12.0f}{speeds[1]:>9.0f}{speeds[2]:>10.0f}{cut:>19.5%}")
        missed |= speeds[0] < LEAST_MB_S or cut >= MOST_CUT
    goals = f"line rules at least {LEAST_MB_S:.0f} MB/s, less than {MOST_CUT:.1%} cut"
    print(f"goals: {goals}: {'missed' if missed else 'met'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
