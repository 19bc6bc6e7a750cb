"""A run directory in S3 (moto's server) under faults: `python bench/store_faults.py`, about 10 minutes on 2 cores.

The run on a disk is the reference. The same run into the store is made with two worker processes that share no disk,
undisturbed, with one request in twenty refused, with `kill -9` of the driver and of workers at seeded random moments,
and on a Dask cluster of its own. Every finished run must have every file of the reference, byte for byte, and verify;
no file may hold a credential. One line a case, exit code 1 on any difference.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
from faults import ROOT, TRIES, Case, Job, cluster, default_inputs, finish, helpers

sys.path.insert(0, str(ROOT))

from tests.s3_server import KEY, SECRET, S3Server, s3_server

from seimai.pipeline.object_store import ObjectStore
from seimai.pipeline.store_verify import verify_at

START_S = 3.0
"""What a command takes before it does anything that a kill could disturb."""


class Runs:
    """Commands into one store, and what is expected of their results."""

    def __init__(self, job: Job, server: S3Server, root: Path, expected: dict[str, bytes], run_s: float) -> None:
        self.job, self.server, self.root, self.expected, self.run_s = job, server, root, expected, run_s
        self._number = 0

    def url(self) -> str:
        """A new run directory."""
        self._number += 1
        return f"s3://seimai/run-{self._number}"

    def start(self, url: str, **changes: object) -> psutil.Popen:
        """Begin the command; what it prints goes into a log."""
        command = replace(self.job, **changes).command(Path("OUT"))  # type: ignore[arg-type]
        words = [*(url if word == "OUT" else word for word in command), "--scratch", str(self.root / "scratch")]
        with (self.root / "log").open("wb") as log:
            return psutil.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT)

    def finish(self, case: Case, url: str, **changes: object) -> None:
        """Type the command until it ends well, then look at every object."""
        for _ in range(TRIES):
            if self.start(url, **changes).wait() == 0:
                break
        else:
            case.faults.append((self.root / "log").read_text(encoding="utf-8").strip().splitlines()[-1])
            return
        case.runs += 1
        verify_at(url)
        store = ObjectStore(url)
        found = {name: store.read(name) for name, _ in store.objects()}
        differ = [name for name in sorted(found | self.expected) if found.get(name) != self.expected.get(name)]
        case.faults += [f"{url}/{name} differs" for name in differ]
        case.faults += [f"{url}/{n} holds a credential" for n, data in found.items() if _tells(data)]
        left = [path for path in (self.root / "scratch").iterdir() if not changes.get("scheduler")]
        case.faults += [f"{path} is left" for path in left]


def _tells(data: bytes) -> bool:
    return KEY.encode() in data or SECRET.encode() in data


def refused(case: Case, runs: Runs, seed: int) -> None:
    """One request in twenty is answered with 503."""
    chance = random.Random(seed)
    runs.server.fails = lambda number, method, path: chance.random() < 0.05
    runs.finish(case, runs.url())
    runs.server.forget()


def killed_drivers(case: Case, runs: Runs, kills: int, seed: int) -> None:
    """Kill the driver at moments over the time of a run, again and again in one directory until it ends."""
    moments = random.Random(seed)
    while case.killed.total() < kills:
        url, ended = runs.url(), False
        while not ended and case.killed.total() < kills:
            driver = runs.start(url)
            time.sleep(START_S + moments.uniform(0, runs.run_s))
            ended = driver.poll() is not None
            if not ended:
                case.killed[_doing(url)] += 1
                driver.kill()
                driver.wait()
        runs.finish(case, url)


def killed_workers(case: Case, runs: Runs, kills: int, seed: int) -> None:
    """Kill a random worker after random pauses."""
    moments = random.Random(seed)
    while case.killed.total() < kills:
        url = runs.url()
        driver = runs.start(url)
        while driver.poll() is None and case.killed.total() < kills:
            time.sleep(moments.uniform(0, runs.run_s / 2))
            living = helpers(driver, "worker")
            if living:
                case.killed[_doing(url)] += 1
                moments.choice(living).kill()
        driver.wait()
        runs.finish(case, url)


def elsewhere(case: Case, runs: Runs) -> None:
    """Two workers of a cluster that stands already."""
    with cluster(runs.root, workers=2) as address:
        runs.finish(case, runs.url(), scheduler=address)


def _doing(url: str) -> str:
    """What a run does, seen from its store."""
    stages = {name.split("/")[1] for name, _ in ObjectStore(url).objects("state")}
    order = ("write", "decisions", "clusters", "repeated_lines", "signals", "read")
    return next((stage for stage in order if stage in stages), "start")


def main() -> int:
    """Run every case; 1 when one of them differs."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=8, help="kills of each kind")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", default="", help="cases whose name has this word")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="seimai-store-") as name, s3_server() as server:
        root = Path(name)
        job = Job(default_inputs(root)[:1], part_bytes=80_000, shard_bytes=50_000)
        finish(job, root / "warm")  # compiles the kernels
        began = time.monotonic()
        finish(job, root / "disk")
        disk_s = time.monotonic() - began
        expected = {p.relative_to(root / "disk").as_posix(): p.read_bytes() for p in _files(root / "disk")}
        runs = Runs(job, server, root, expected, disk_s)
        print(f"{len(expected)} files, {sum(map(len, expected.values())) / 1e6:.1f} MB; on a disk {disk_s:.1f} s a run")
        print(f"{'case':34} {'runs':>5} {'kills':>6} {'seconds':>8} {'requests':>9}  {'result':9} killed during")
        cases: list[tuple[str, Callable[[Case], None]]] = [
            ("2 workers without a common disk", lambda case: runs.finish(case, runs.url())),
            ("in one process", lambda case: runs.finish(case, runs.url(), workers=0)),
            ("1 request in 20 refused", lambda case: refused(case, runs, chosen.seed)),
            ("driver killed", lambda case: killed_drivers(case, runs, chosen.kills, chosen.seed)),
            ("worker killed", lambda case: killed_workers(case, runs, chosen.kills, chosen.seed)),
            ("dask scheduler, 2 dask workers", lambda case: elsewhere(case, runs)),
        ]
        failed = False
        for title, fill in (case for case in cases if chosen.only in case[0]):
            case, began = Case(title), time.monotonic()
            server.forget()
            fill(case)
            during = ", ".join(f"{doing} {count}" for doing, count in sorted(case.killed.items()))
            print(
                f"{title:34} {case.runs:5} {case.killed.total():6} {time.monotonic() - began:8.1f} "
                f"{len(server.asked):9,}  {'DIFFERS' if case.faults else 'same':9} {during}",
                flush=True,
            )
            for fault in case.faults[:10]:
                print(f"  {fault}")
            failed |= bool(case.faults)
    return int(failed)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
