"""Wall time of one and two workers on one archive: `python bench/scaling.py [ARCHIVE]`, about 6 minutes on 2 cores.

The archive is repeated until it has 126 MB. Runs alternate, start-up included; the ratio of each pair and their median
are printed. Exit code 1 where the median is above 0.6.
"""

import argparse
import math
import resource
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import psutil
from faults import Job, default_inputs, finish
from memory import joined

GOAL = 0.6


def seconds(job: Job, out: Path) -> tuple[float, float]:
    """Wall time of one run in a new directory, and how many cores other processes kept busy meanwhile."""
    began, busy, ours = time.monotonic(), _busy_s(), _ours_s()
    finish(job, out)
    took = time.monotonic() - began
    others = (_busy_s() - busy) - (_ours_s() - ours)
    shutil.rmtree(out)
    return took, max(0.0, others) / took


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)


def _ours_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Print the pairs."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "archive", nargs="?", type=Path, help="default: the largest of SEIMAI_DATA/warc, or the sample"
    )
    options.add_argument("--bytes", type=int, default=126_000_000, help="the archive is repeated until it has so many")
    options.add_argument("--part-bytes", type=int, default=4 << 20)
    options.add_argument("--pairs", type=int, default=3)
    chosen = options.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory(prefix="seimai-scaling-") as name:
        root = Path(name)
        archive = chosen.archive or Path(max(default_inputs(root), key=lambda place: Path(place).stat().st_size))
        count = math.ceil(chosen.bytes / archive.stat().st_size)
        job = Job(joined(archive, root / "in", count), chosen.part_bytes, 256 << 20)
        size = Path(job.inputs[0]).stat().st_size
        print(f"{count} x {archive.name}, {size / 1e6:.1f} MB, {math.ceil(size / chosen.part_bytes)} parts")
        finish(replace(job, inputs=(str(archive),)), root / "warm")  # compiles the kernels
        print(f"{'1 worker s':>11} {'2 workers s':>12} {'ratio':>6}  cores busy with other work")
        for _ in range(chosen.pairs):
            (one, noise), (two, more) = (seconds(replace(job, workers=n), root / "run") for n in (1, 2))
            ratios.append(two / one)
            print(f"{one:11.1f} {two:12.1f} {ratios[-1]:6.2f}  {noise:.2f} {more:.2f}", flush=True)
    median = statistics.median(ratios)
    print(f"median ratio {median:.2f}, goal {GOAL}")
    return int(median > GOAL)


if __name__ == "__main__":
    sys.exit(main())
