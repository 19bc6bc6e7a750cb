"""Repeated passages of ../shared/data/text: `python bench/substrings.py`, about 2 minutes.

All its texts in one process, spans of 100 code points and more; peak memory (limit 2 GB), disk, time. On every 97th
document, and 40 passages planted twice, the spans are those of a dictionary of all windows. Exit code 1 where not.
"""

import argparse
import io
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pyarrow as pa
import zstandard

from seimai.pipeline.substrings import find_repeats, repeated_substrings

DATA = Path(os.environ.get("SEIMAI_DATA", "../shared/data"))
SIZE = 100
LIMIT_BYTES = 2 << 30


def read(path: Path) -> Iterator[pa.Array]:
    """The texts of a file, a few hundred at a time."""
    held: list[str] = []
    with path.open("rb") as file:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8"):
            held.append(json.loads(line)["text"])
            if len(held) == 256:
                yield pa.array(held, pa.large_string())
                held = []
    yield pa.array(held, pa.large_string())


def plain(texts: list[str]) -> set[tuple[int, int, int, bool]]:
    """Spans by a dictionary of all windows."""
    first: dict[str, tuple[int, int]] = {}
    twice: set[tuple[int, int]] = set()
    origin: set[tuple[int, int]] = set()
    for number, text in enumerate(texts):
        for start in range(len(text) - SIZE + 1):
            window = text[start : start + SIZE]
            if window in first:
                origin.add(first[window])
                twice |= {(number, start), first[window]}
            else:
                first[window] = number, start
    covered = {(n, start + k) for n, start in twice for k in range(SIZE)}
    kept = {(n, start + k) for n, start in origin for k in range(SIZE)}
    found = set()
    for cut, places in ((False, covered), (True, covered - kept)):
        for n, start in places:
            if (n, start - 1) not in places:
                end = start
                while (n, end) in places:
                    end += 1
                found.add((n, start, end, cut))
    return found


def main() -> int:
    """Print the figures."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}, one process")
    paths = sorted((DATA / "text").glob("*.zst"))
    repeated_substrings(["warm" * 20], min_chars=20)
    with tempfile.TemporaryDirectory() as folder:
        work, began, most = Path(folder), time.process_time(), 0
        print("file                          passages   characters in them   that could be cut")
        for number, table in find_repeats(
            work, read, list(enumerate(paths)), map, min_chars=SIZE, memory_bytes=256 << 20
        ):
            most = max(most, sum(path.stat().st_size for path in work.iterdir()))
            cut = table.filter(table["cut"])
            spans = table.filter(pa.compute.invert(table["cut"]))
            chars, out = (sum(t["end"].to_numpy() - t["start"].to_numpy()) for t in (spans, cut))
            print(f"{paths[number].name.split('.')[0]:28} {len(spans):9,} {chars:20,} {out:19,}")
        spent = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    chars = sum(len(text) for path in paths for texts in read(path) for text in texts.to_pylist())
    print(
        f"{chars / 1e6:.1f} million characters, {spent:.1f} s of processor, "
        f"{most / 1e9:.2f} GB of disk, peak {peak / 1e6:,.0f} MB"
    )
    texts = [text for path in paths for some in read(path) for text in some.to_pylist()][::97]
    generator = Random(2)
    for k in range(40):
        source = generator.choice([text for text in texts if len(text) > 400])
        start = generator.randrange(len(source) - 300)
        texts[k] = texts[k] + source[start : start + generator.randrange(90, 300)]
    found = {tuple(span.values()) for span in repeated_substrings(texts, min_chars=SIZE).to_pylist()}
    same = found == plain(texts)
    verdict = "the same as" if same else "OTHER THAN"
    print(f"{len(texts)} documents, {len(found)} spans, {verdict} those of a dictionary")
    return int(peak > LIMIT_BYTES or not same)


if __name__ == "__main__":
    sys.exit(main())
