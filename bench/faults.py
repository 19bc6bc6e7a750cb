"""Same input, same bytes, whatever happens to a run: `python bench/faults.py`, about 8 minutes on 2 cores.

An undisturbed run is the reference. The same archives are then read with other numbers of workers, clusters, orders
and sizes of parts, and with `kill -9` of the driver, of workers and of the children that read pages at seeded random
moments. Every finished run must verify and have the reference's shards byte for byte; one line a case, exit code 1
on any difference. A killed command is typed again in the same directory until it ends; then a new directory begins.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import psutil

from seimai.files import read_json, sha256_file

ROOT = Path(__file__).resolve().parents[1]
START_S = 60.0
STOP_S = 10.0
TRIES = 5
"""How often a command is typed before a case has failed."""


@dataclass(frozen=True, slots=True)
class Job:
    """A run to be made: what `seimai run` is told."""

    inputs: tuple[str, ...]
    part_bytes: int
    shard_bytes: int
    workers: int = 2
    scheduler: str = ""

    def command(self, out: Path) -> list[str]:
        """The command a user types."""
        engine = ["--scheduler", self.scheduler] if self.scheduler else ["--workers", str(self.workers)]
        sets = [f"input.part_bytes={self.part_bytes}", f"output.shard_bytes={self.shard_bytes}"]
        sets.append("cleaning.host_min_pages=3")  # the sample's sites are small
        command = [sys.executable, "-m", "seimai", "run", str(ROOT / "configs" / "web_ja_en.toml"), "--out", str(out)]
        command += [word for place in self.inputs for word in ("--input", place)]
        return [*command, *engine, *(word for key in sets for word in ("--set", key))]


@dataclass(slots=True)
class Case:
    """What one line of the table says."""

    name: str
    runs: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def start(job: Job, out: Path) -> psutil.Popen:
    """Begin the command; what it prints goes beside the run directory."""
    with out.with_suffix(".log").open("ab") as log:
        return psutil.Popen(job.command(out), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT)


def finish(job: Job, out: Path) -> None:
    """Type the command until it ends well; raises RuntimeError with its last line."""
    for _ in range(TRIES):
        if start(job, out).wait() == 0:
            return
    raise RuntimeError(f"{out}: {out.with_suffix('.log').read_text(encoding='utf-8').strip().splitlines()[-1]}")


def shards(out: Path) -> dict[str, str]:
    """Names and SHA-256 of a run's shards."""
    return {path.name: sha256_file(path) for path in sorted((out / "shards").iterdir())}


def compare(out: Path, expected: dict[str, str]) -> list[str]:
    """What is wrong with a finished run; the directory goes when nothing is."""
    made = shards(out)
    wrong = [f"{out}: shard {name} differs" for name in sorted(made | expected) if made.get(name) != expected.get(name)]
    verify = [sys.executable, "-m", "seimai", "verify", str(out)]
    checked = subprocess.run(verify, capture_output=True, text=True, cwd=ROOT, check=False)
    if checked.returncode:
        wrong.append(checked.stderr.strip())
    if not wrong:
        shutil.rmtree(out)
    return wrong


def helpers(driver: psutil.Process, kind: str) -> list[psutil.Process]:
    """A driver's living `worker` processes, or the `sandbox` processes in which pages are read; by process id."""
    sign = {"worker": "spawn_main", "sandbox": "sandbox_child"}[kind]
    found = []
    for child in driver.children(recursive=True) if driver.is_running() else []:
        try:
            if any(sign in word for word in child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue  # gone, or a zombie
    return sorted(found, key=lambda child: child.pid)


def stage(driver: psutil.Process, out: Path) -> str:
    """What a run is doing, seen from outside."""
    order = out / "state" / "order.arrow"
    if (out / "manifest.json").exists():
        return "end"
    if (out / "work" / "repeated_lines").exists():
        return "repeat"
    if (out / "work" / "clusters").exists():
        return "cluster"
    if (out / "work" / "decisions").exists():
        return "decide"
    if order.exists() and order.stat().st_mtime >= driver.create_time():
        return "write"
    markers = out / "state" / "read"
    begun = markers.exists() and markers.stat().st_mtime >= driver.create_time()
    return "read" if begun else "start"


def quiet(case: Case, job: Job, out: Path, expected: dict[str, str]) -> None:
    """A run to which nothing happens."""
    finish(job, out)
    case.runs += 1
    case.faults += compare(out, expected)


def kill_driver(
    case: Case, job: Job, root: Path, expected: dict[str, str], *, kills: int, seed: int, run_s: float
) -> None:
    """Kill the driver at moments even over `run_s`, every other one behind the read stage; then the command again."""
    moments = random.Random(seed)
    orphans: list[psutil.Process] = []
    while sum(case.killed.values()) < kills:
        out = root / f"driver-{case.runs}"
        ended = False
        while not ended and sum(case.killed.values()) < kills:
            driver = start(job, out)
            late = sum(case.killed.values()) % 2 == 1 and _read_all(driver, out)
            time.sleep(moments.uniform(0, run_s / 10 if late else run_s))
            ended = driver.poll() is not None
            if not ended:
                case.killed[stage(driver, out)] += 1
                orphans += driver.children(recursive=True)
                driver.kill()
                driver.wait()
        finish(job, out)
        case.runs += 1
        case.faults += compare(out, expected)
    _, living = psutil.wait_procs(orphans, timeout=10)
    case.faults += [f"process {process.pid} outlived its driver" for process in living]


def _read_all(driver: psutil.Popen, out: Path) -> bool:
    """Wait until the read stage is over; False when the command ends before."""
    while driver.poll() is None:
        if stage(driver, out) in ("cluster", "decide", "write"):
            return True
        time.sleep(0.005)
    return False


def kill_scheduler(case: Case, job: Job, root: Path, expected: dict[str, str], moment_s: float) -> None:
    """Kill the scheduler under a run: it ends with one line, and goes on with another scheduler."""
    out = root / "scheduler"
    (root / "lost").mkdir()
    with cluster(root / "lost", workers=2) as address:
        driver = start(replace(job, scheduler=address), out)
        time.sleep(moment_s)
        case.killed[stage(driver, out)] += 1
        for child in psutil.Process().children():
            if any("dask_scheduler" in word for word in child.cmdline()):
                child.kill()
        driver.wait()
    said = out.with_suffix(".log").read_text(encoding="utf-8")
    if driver.returncode != 1 or "Traceback" in said or "scheduler" not in said.strip().splitlines()[-1]:
        case.faults.append(f"the command ended with {driver.returncode}: {said.strip().splitlines()[-1]}")
    quiet(case, job, out, expected)


def kill_helper(
    case: Case, job: Job, root: Path, expected: dict[str, str], *, kind: str, kills: int, seed: int, gap_s: float
) -> None:
    """Kill a random worker or sandbox process after random pauses; the run goes on, or its command is typed again."""
    moments = random.Random(seed)
    while sum(case.killed.values()) < kills:
        out = root / f"{kind}-{case.runs}"
        driver = start(job, out)
        while driver.poll() is None and sum(case.killed.values()) < kills:
            time.sleep(moments.uniform(0, gap_s))
            living = helpers(driver, kind)
            if living:
                doing = stage(driver, out)
                try:
                    moments.choice(living).kill()
                except psutil.NoSuchProcess:
                    continue
                case.killed[doing] += 1
        if driver.wait():
            finish(job, out)
        case.runs += 1
        case.faults += compare(out, expected)


@contextmanager
def cluster(root: Path, workers: int) -> Iterator[str]:
    """A separate `dask scheduler` with `dask worker` processes on this machine; gives its address."""
    folder = root / "cluster"
    folder.mkdir()
    told = folder / "scheduler.json"
    loopback = ["--host", "127.0.0.1", "--no-dashboard"]
    commands = [["dask_scheduler", "--port", "0", "--scheduler-file", str(told), *loopback]]
    commands += [["dask_worker", "--scheduler-file", str(told), "--nthreads", "1", *loopback]] * workers
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with (folder / "log").open("wb") as log:
            for name, *words in commands:
                command = [sys.executable, "-m", f"distributed.cli.{name}", *words]
                processes.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=folder))
                _wait_for(told)
        yield str(read_json(told)["address"])
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:  # a worker without its scheduler
                process.kill()
                process.wait()


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + START_S
    while not (path.exists() and path.stat().st_size):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path}: the scheduler does not start")
        time.sleep(0.05)


def default_inputs(folder: Path) -> tuple[str, ...]:
    """The sample crawl, and the WARC files of SEIMAI_DATA (or ../shared/data) where that exists."""
    sample = folder / "sample.warc.gz"
    command = [sys.executable, "-m", "seimai.sample.build", str(sample)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    data = Path(os.environ.get("SEIMAI_DATA", ROOT.parent / "shared" / "data"))
    return (str(sample), *(str(path) for path in sorted((data / "warc").glob("*.warc.gz"))))


def cases(
    job: Job, root: Path, expected: dict[str, str], run_s: float, kills: int, seed: int
) -> Iterator[tuple[Case, Callable[[Case], None]]]:
    """Every line of the table with what fills it."""

    def plain(name: str, **changes: object) -> tuple[Case, Callable[[Case], None]]:
        changed = replace(job, **changes)  # type: ignore[arg-type]
        return Case(name), lambda case: quiet(case, changed, root / "quiet", expected)

    yield plain("1 worker", workers=1)
    yield plain("in one process", workers=0)
    yield plain("inputs in reverse order", inputs=job.inputs[::-1])
    yield plain(f"parts of {4 * job.part_bytes:,} bytes", part_bytes=4 * job.part_bytes)
    yield plain(f"parts of {32 << 20:,} bytes", part_bytes=32 << 20)

    def elsewhere(case: Case) -> None:
        with cluster(root, workers=2) as address:
            quiet(case, replace(job, scheduler=address), root / "elsewhere", expected)

    def killed_elsewhere(case: Case) -> None:
        with cluster(root / "again", workers=2) as address:
            there = replace(job, scheduler=address)
            kill_driver(case, there, root / "again", expected, kills=max(1, kills // 4), seed=seed, run_s=run_s)

    (root / "again").mkdir()
    yield Case("dask scheduler, 2 dask workers"), elsewhere
    yield Case("driver killed, that cluster lives on"), killed_elsewhere
    yield (
        Case("scheduler killed"),
        partial(kill_scheduler, job=job, root=root, expected=expected, moment_s=run_s / 2),
    )
    yield (
        Case("driver killed"),
        partial(kill_driver, job=job, root=root, expected=expected, kills=kills, seed=seed, run_s=run_s),
    )
    for kind, gap_s in (("worker", run_s / 2), ("sandbox", run_s / 4)):
        yield (
            Case(f"{kind} killed"),
            partial(kill_helper, job=job, root=root, expected=expected, kind=kind, gap_s=gap_s, kills=kills, seed=seed),
        )


def main() -> int:
    """Run every case; 1 when one of them differs."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("inputs", nargs="*", help="WARC files; default: the sample crawl and SEIMAI_DATA/warc")
    options.add_argument("--kills", type=int, default=20, help="kills of each kind")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--part-bytes", type=int, default=400_000)
    options.add_argument("--shard-bytes", type=int, default=2_000_000)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="seimai-faults-") as name:
        root = Path(name)
        inputs = tuple(chosen.inputs) or default_inputs(root)
        job = Job(inputs, chosen.part_bytes, chosen.shard_bytes)
        size = sum(Path(place).stat().st_size for place in inputs)
        finish(job, root / "warm")  # compiles the kernels
        began = time.monotonic()
        finish(job, root / "reference")
        run_s = time.monotonic() - began
        expected = shards(root / "reference")
        parts = len(list((root / "reference" / "state" / "read").iterdir()))
        print(
            f"{len(inputs)} archives, {size / 1e6:.1f} MB, {parts} parts, {len(expected)} shards; {run_s:.1f} s a run; "
            f"about {run_s * (12 + 2.2 * chosen.kills) / 60:.0f} minutes"
        )
        print(f"{'case':38} {'runs':>5} {'kills':>6} {'seconds':>8}  {'result':9} killed during")
        failed = False
        for case, fill in cases(job, root, expected, run_s, chosen.kills, chosen.seed):
            began = time.monotonic()
            fill(case)
            during = ", ".join(f"{doing} {count}" for doing, count in sorted(case.killed.items()))
            print(
                f"{case.name:38} {case.runs:5} {sum(case.killed.values()):6} {time.monotonic() - began:8.1f}  "
                f"{'DIFFERS' if case.faults else 'the same':9} {during}",
                *(f"\n    {fault}" for fault in case.faults),
                flush=True,
                sep="",
            )
            failed = failed or bool(case.faults)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
