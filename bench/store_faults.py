"""A run directory in S3 (moto's server) under faults: `python bench/store_faults.py`, about 10 minutes on 2 cores.

The run on a disk is the reference. The same run into the store is made with two worker processes that share no disk,
undisturbed, with requests refused and answers lost or cut, with `kill -9` of the driver, of workers and of the
children that read pages at seeded random moments, on a Dask cluster of its own that outlives its drivers, and with
that cluster's scheduler killed. Every finished run must have every file of the reference, byte for byte, and verify;
no file and no line that a command printed may hold a credential, no scratch may be left. One line a case, exit code 1
on any difference.
"""

import argparse
import random
import re
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

from tests.s3_server import CUT, KEY, LOST, REFUSED, SECRET, S3Server, s3_server

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
        with (self.root / "log").open("ab") as log:
            return psutil.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT)

    def finish(self, case: Case, url: str, **changes: object) -> None:
        """Type the command until it ends well, then look at every object."""
        for _ in range(TRIES):
            if self.start(url, **changes).wait() == 0:
                break
        else:
            case.faults.append(self.last_line())
            return
        case.runs += 1
        self.server.fails = lambda number, method, path: ""
        verify_at(url)
        store = ObjectStore(url)
        found = {name: store.read(name) for name, _ in store.objects()}
        differ = [name for name in sorted(found | self.expected) if found.get(name) != self.expected.get(name)]
        case.faults += [f"{url}/{name} differs" for name in differ]
        case.faults += [f"{url}/{n} holds a credential" for n, data in found.items() if _tells(data)]
        left = [path for path in (self.root / "scratch").iterdir() if not changes.get("scheduler")]
        case.faults += [f"{path} is left" for path in left]
        case.faults += ["a command printed a credential"] * _tells((self.root / "log").read_bytes())

    def last_line(self) -> str:
        """What a command printed last."""
        return (self.root / "log").read_text(encoding="utf-8").strip().splitlines()[-1]


def _tells(data: bytes) -> bool:
    return KEY.encode() in data or SECRET.encode() in data


def faulty(case: Case, runs: Runs, seed: int) -> None:
    """One request in twenty is answered with 503, half of these after it was done; one answer in fifty is cut."""
    chance = random.Random(seed)

    def fails(number: int, method: str, path: str) -> str:
        drawn = chance.random()
        return REFUSED if drawn < 0.025 else LOST if drawn < 0.05 else CUT if drawn < 0.07 and method == "GET" else ""

    runs.server.fails = fails
    runs.finish(case, runs.url())


def killed_drivers(case: Case, runs: Runs, kills: int, seed: int, **changes: object) -> None:
    """Kill the driver at moments over the time of a run, again and again in one directory until it ends."""
    moments = random.Random(seed)
    while case.killed.total() < kills:
        url, ended = runs.url(), False
        while not ended and case.killed.total() < kills:
            driver = runs.start(url, **changes)
            time.sleep(START_S + moments.uniform(0, runs.run_s))
            ended = driver.poll() is not None
            if not ended:
                case.killed[_doing(url)] += 1
                driver.kill()
                driver.wait()
        runs.finish(case, url, **changes)


def killed_helpers(case: Case, runs: Runs, kills: int, seed: int, kind: str) -> None:
    """Kill a random worker, or child that reads pages, after random pauses."""
    moments = random.Random(seed)
    while case.killed.total() < kills:
        url = runs.url()
        driver = runs.start(url)
        while driver.poll() is None and case.killed.total() < kills:
            time.sleep(moments.uniform(0, runs.run_s / 2))
            living = helpers(driver, kind)
            if living:
                try:
                    moments.choice(living).kill()
                except psutil.NoSuchProcess:
                    continue
                case.killed[_doing(url)] += 1
        driver.wait()
        runs.finish(case, url)


def elsewhere(case: Case, runs: Runs, kills: int, seed: int) -> None:
    """Two workers of a cluster that stands already, and outlives drivers that are killed."""
    with cluster(runs.root, workers=2) as address:
        runs.finish(case, runs.url(), scheduler=address)
        killed_drivers(case, runs, kills, seed, scheduler=address)


def killed_scheduler(case: Case, runs: Runs) -> None:
    """Kill the scheduler under a run: it ends with one line, and goes on with workers of its own."""
    url, root = runs.url(), runs.root / "lost"
    root.mkdir()
    with cluster(root, workers=2) as address:
        driver = runs.start(url, scheduler=address)
        time.sleep(START_S + runs.run_s / 2)
        case.killed[_doing(url)] += 1
        for child in psutil.Process().children():
            if any("dask_scheduler" in word for word in child.cmdline()):
                child.kill()
        driver.wait()
        if driver.returncode != 1 or "scheduler" not in runs.last_line():
            case.faults.append(f"the command ended with {driver.returncode}: {runs.last_line()}")
    runs.finish(case, url)


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
    options.add_argument("--only", default="", help="cases whose name has this (a regular expression)")
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
            ("requests refused, answers lost", lambda case: faulty(case, runs, chosen.seed)),
            ("driver killed", lambda case: killed_drivers(case, runs, chosen.kills, chosen.seed)),
            ("worker killed", lambda case: killed_helpers(case, runs, chosen.kills, chosen.seed, "worker")),
            ("sandbox killed", lambda case: killed_helpers(case, runs, chosen.kills, chosen.seed, "sandbox")),
            ("dask cluster, its drivers killed", lambda case: elsewhere(case, runs, chosen.kills // 2, chosen.seed)),
            ("scheduler killed", lambda case: killed_scheduler(case, runs)),
        ]
        failed = False
        for title, fill in (case for case in cases if re.search(chosen.only, case[0])):
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
