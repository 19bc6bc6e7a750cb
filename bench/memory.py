"""Peak memory of a run's processes: `python bench/memory.py [ARCHIVE]`, about 10 minutes on 2 cores.

One archive, 4 and 16 copies of it under other names, one archive made of 16 of them, and archives that are nothing but
parts: 5,000 and 50,000 parts without a page, and 5,000 files of one page each. Resident memory is looked at every
50 ms: the driver (the scheduler runs in it), the largest worker, the largest child that reads pages. The table ends
with what 16 times the input, and 10 times the parts, cost in each of them; exit code 1 where that is above `--limit`.
"""

import argparse
import gzip
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from faults import Job, default_inputs, helpers, start

PERIOD_S = 0.05
FAMILY_PERIOD_S = 0.5
KINDS = ("driver", "worker", "sandbox")
EMPTY_MEMBER = b"WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 0\r\n\r\n\r\n\r\n"
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>" + b"A page of one sentence stands in its own file. " * 8


@dataclass(slots=True)
class Measured:
    """One line: wall time, parts and peak resident bytes by kind of process."""

    name: str
    seconds: float = 0.0
    parts: int = 0
    peak: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))


def measure(name: str, job: Job, out: Path) -> Measured:
    """Run the job once and watch it."""
    found = Measured(name)
    began = time.monotonic()
    driver = start(job, out)
    family: list[tuple[str, psutil.Process]] = []
    looked = 0.0
    while driver.poll() is None:
        if time.monotonic() - looked > FAMILY_PERIOD_S:  # finding the children costs more than looking at them
            looked = time.monotonic()
            family = [("driver", driver), *((kind, child) for kind in KINDS[1:] for child in helpers(driver, kind))]
        for kind, process in family:
            try:
                found.peak[kind] = max(found.peak[kind], process.memory_info().rss)
            except psutil.Error:
                continue
        time.sleep(PERIOD_S)
    found.seconds = time.monotonic() - began
    if driver.returncode:
        raise RuntimeError(out.with_suffix(".log").read_text(encoding="utf-8")[-2000:])
    found.parts = sum(1 for _ in (out / "state" / "read").iterdir())
    shutil.rmtree(out)
    return found


def copies(archive: Path, folder: Path, count: int) -> tuple[str, ...]:
    """The archive under `count` names."""
    folder.mkdir()
    for number in range(count):
        shutil.copyfile(archive, folder / f"copy-{number:02d}.warc.gz")
    return tuple(str(path) for path in sorted(folder.iterdir()))


def joined(archive: Path, folder: Path, count: int) -> tuple[str, ...]:
    """One archive made of `count` copies."""
    folder.mkdir()
    with (folder / "joined.warc.gz").open("wb") as out:
        for _ in range(count):
            with archive.open("rb") as source:
                shutil.copyfileobj(source, out)
    return (str(folder / "joined.warc.gz"),)


def empty_members(folder: Path, count: int) -> tuple[tuple[str, ...], int]:
    """An archive of records that hold no page, and the size of a part that holds one of them."""
    folder.mkdir()
    member = gzip.compress(EMPTY_MEMBER, mtime=0)
    (folder / "empty.warc.gz").write_bytes(member * count)
    return (str(folder / "empty.warc.gz"),), len(member)


def tiny_files(folder: Path, count: int) -> tuple[str, ...]:
    """Files of one page each."""
    folder.mkdir()
    for number in range(count):
        head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://h{number}.example/\r\n"
        record = head.encode() + b"Content-Length: %d\r\n\r\n" % len(PAGE) + PAGE + b"\r\n\r\n"
        (folder / f"{number:05d}.warc.gz").write_bytes(gzip.compress(record, mtime=0))
    return (str(folder / "*.warc.gz"),)


def cases(archive: Path, root: Path, part_bytes: int, parts: int) -> Iterator[tuple[str, Job]]:
    """Names and runs; inputs are made when their turn comes and removed by the caller with `root / name`."""
    for count in (1, 4, 16):
        yield f"{count} x", Job(copies(archive, root / "in", count), part_bytes, 256 << 20)
    yield "16 in one", Job(joined(archive, root / "in", 16), part_bytes, 256 << 20)
    for count in (parts // 10, parts):
        inputs, member_bytes = empty_members(root / "in", count)
        yield f"{count:,} parts", Job(inputs, member_bytes, 256 << 20)
    for count in (parts // 100, parts // 10):
        yield f"{count:,} files", Job(tiny_files(root / "in", count), part_bytes, 256 << 20)


def main() -> int:
    """Print the table; 1 where something grows."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "archive", nargs="?", type=Path, help="default: the largest of SEIMAI_DATA/warc, or the sample"
    )
    options.add_argument("--part-bytes", type=int, default=4 << 20)
    options.add_argument("--parts", type=int, default=50_000)
    options.add_argument("--limit", type=float, default=1.25, help="growth that is still called flat")
    options.add_argument("--only", default="", help="cases whose name holds this")
    chosen = options.parse_args()
    found: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory(prefix="seimai-memory-") as name:
        root = Path(name)
        archive = chosen.archive or Path(max(default_inputs(root), key=lambda place: Path(place).stat().st_size))
        print(f"{archive.name}, {archive.stat().st_size / 1e6:.1f} MB, parts of {chosen.part_bytes:,} bytes, 2 workers")
        print(f"{'input':14} {'parts':>7} {'seconds':>8} " + " ".join(f"{kind + ' MB':>11}" for kind in KINDS))
        for label, job in cases(archive, root, chosen.part_bytes, chosen.parts):
            if chosen.only in label:
                line = found[label] = measure(label, job, root / "run")
                peaks = " ".join(f"{line.peak[kind] / 1e6:11.0f}" for kind in KINDS)
                print(f"{label:14} {line.parts:7,} {line.seconds:8.1f} {peaks}", flush=True)
            shutil.rmtree(root / "in")
    few, many = f"{chosen.parts // 10:,} parts", f"{chosen.parts:,} parts"
    few_files, many_files = f"{chosen.parts // 100:,} files", f"{chosen.parts // 10:,} files"
    pairs = [("1 x", "4 x"), ("1 x", "16 x"), ("1 x", "16 in one"), (few, many), (few_files, many_files)]
    grown = False
    for before, after in pairs:
        if before in found and after in found:
            ratios = {kind: found[after].peak[kind] / max(1, found[before].peak[kind]) for kind in KINDS}
            cells = " ".join(f"{ratio:6.2f} {'flat' if ratio <= chosen.limit else 'GROW'}" for ratio in ratios.values())
            print(f"{after + ' / ' + before:31} {cells}")
            grown = grown or max(ratios.values()) > chosen.limit
    return int(grown)


if __name__ == "__main__":
    sys.exit(main())
