"""Clustering at scale: `python bench/dedup_scale.py`, 1 million documents, about 2 minutes on 2 cores.

`--documents 4000000,16000000` for more: about 2 minutes a million with both runs; 16 million take 40 GB of disk in
`--folder`. A corpus of planted clusters (`dedup_corpus.py`) is clustered by 2 workers, each limited to 400 MB, once
without and once with verification. The table has documents a second and core by processor time of the tasks (beside
it with all that Dask and the driver take, which on a busy machine grows with the waiting), peak memory of a worker,
bytes on disk at once, the planted pairs of Jaccard 0.82 found (recall), the neighbour families joined that should not
be (mixed; a goal with verification alone) and the share of the million-copy page in its largest cluster. On the
smallest corpus a worker is killed in every step: the clusters must be the same. At 16 million an in-memory union-find
with its edge list is tried in a worker of the same limit, and must be seen to fail. Then what this means for 130
million and 11 billion documents, on paper, beside published figures. Exit code 1 where a goal is missed.
"""

import argparse
import hashlib
import os
import platform
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from dedup_corpus import BATCH_ROWS, Plan, batches_of, lengths_of, plan, shingles_of, source_of, write_batch
from numpy.typing import NDArray

from seimai.pipeline.cluster import Clustering, cluster_table, find_clusters
from seimai.pipeline.cluster_source import from_hex
from seimai.pipeline.dedup import DedupConfig
from seimai.pipeline.jaccard import jaccard_pairs
from seimai.pipeline.jaccard_kernels import sort_sets
from seimai.pipeline.regroup import cluster_numbers
from seimai.pipeline.run import Engine
from seimai.pipeline.sorted_files import SortedFile


# pyarrow loads pandas where it is installed, 60 MB a worker; Seimai neither uses nor installs it, this environment
# has it from the peers' packages. Workers import this file, so it is hidden from them as well.
class NoPandas(MetaPathFinder):
    """Finds no pandas."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        """Raise what a machine without it raises."""
        if name == "pandas":
            raise ModuleNotFoundError("hidden from this bench", name=name)


sys.meta_path.insert(0, NoPandas())

WORKERS = 2
LIMIT = "400MB"
MEMORY_MB = 48
GOALS = {False: 200_000, True: 50_000}
"""Documents a second and core, without and with verification."""
FAILS_FROM = 16_000_000
PERIOD_S = 0.05
FAMILY_PERIOD_S = 2.0


@dataclass(slots=True)
class Watched:
    """What a watched engine used: peak resident bytes of a worker, processor seconds of workers and driver."""

    peak: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    step_s: dict[str, float] = field(default_factory=dict)


class Cluster:
    """An engine with the functions that clustering asks for; `kill` is called at the first result of each step."""

    def __init__(self, engine: Engine, kill: Callable[[], None] | None = None) -> None:
        self._engine, self._kill = engine, kill

    def everywhere(self, function: Callable[[Any], Any], items: Iterable[Any], name: str = "table") -> Iterator[Any]:
        """Every item of a step on the workers; the results in order."""
        for number, outcome in enumerate(self._engine.map(partial(_timed, function=function), items)):
            if outcome.error is not None:
                raise RuntimeError(outcome.error)
            if number == 0 and self._kill is not None:
                self._kill()
            found, seconds = outcome.result
            STEPS[name] = STEPS.get(name, 0.0) + seconds
            yield found


def _timed(item: Any, function: Callable[[Any], Any]) -> tuple[Any, float]:
    """A task's result and its processor time."""
    began = time.thread_time()
    found = function(item)
    return found, time.thread_time() - began


STEPS: dict[str, float] = {}
"""Processor seconds of each step's tasks."""


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    """The living worker processes."""
    found = []
    for child in process.children(recursive=True):
        try:
            if any("spawn_main" in word for word in child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found


@contextmanager
def watched() -> Iterator[Watched]:
    """Look at the workers while the block runs."""
    found, stop = Watched(), threading.Event()
    me = psutil.Process()
    used: dict[int, float] = {}
    watching_s = [0.0]

    def look() -> None:
        family, looked = workers_of(me), time.monotonic()
        while not stop.wait(PERIOD_S):
            if time.monotonic() - looked > FAMILY_PERIOD_S:  # finding the workers costs more than looking at them
                family, looked = workers_of(me), time.monotonic()
            for child in family:
                try:
                    found.peak = max(found.peak, child.memory_info().rss)
                    times = child.cpu_times()
                    used[child.pid] = times.user + times.system
                except psutil.Error:
                    continue
        watching_s[0] = time.thread_time()

    before = {child.pid: sum(child.cpu_times()[:2]) for child in workers_of(me)}
    used.update(before)
    own, began = sum(me.cpu_times()[:2]), time.monotonic()
    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()
        found.wall_s = time.monotonic() - began
        workers = sum(seconds - before.get(pid, 0.0) for pid, seconds in used.items())
        found.cpu_s = workers + sum(me.cpu_times()[:2]) - own - watching_s[0]


def prepare(run: Path, documents: int, engine: Engine) -> None:
    """Write the corpus."""
    for name, column in plan(documents, min(1_000_000, documents // 8), seed=1)._asdict().items():
        np.save(run / f"{name}.npy", column)
    for outcome in engine.map(partial(_write, run=run, documents=documents), range(0, documents, BATCH_ROWS)):
        if outcome.error is not None:
            raise RuntimeError(outcome.error)


def _write(first: int, run: Path, documents: int) -> None:
    write_batch(run, first, documents)


def _roots(number: int, job: Clustering, documents: int) -> list[NDArray[np.int64]]:
    """First document of each document's cluster, for a batch."""
    batch, spans = spans_of(documents, number)
    table = cluster_table(job, batch, spans)
    first = from_hex(table["cluster"])[:, :8].copy().view(">i8")[:, 0].astype(np.int64) - 1
    return [first, table["cluster_size"].to_numpy().astype(np.int64)]


def spans_of(documents: int, number: int) -> tuple[Any, list[range]]:
    """A batch, and the rows of all."""
    batches = list(batches_of(documents))
    return batches[number], [range(batch.first_row, batch.first_row + batch.rows) for batch in batches]


def clustered(
    run: Path, documents: int, verify: bool, engine: Engine, kill: Callable[[], None] | None = None
) -> tuple[NDArray[np.int64], dict[str, int], Watched]:
    """First document of each document's cluster; what was counted; what was used."""
    work = run / f"work-{verify}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    config = DedupConfig()  # the same bands for both, so that verification is the only difference
    shape = config.shape
    job = Clustering(
        work, source_of(run, config), shape.bands, shape.rows, config.num_perm,
        config.threshold if verify else None, MEMORY_MB * 1_000_000,
    )  # fmt: skip
    everywhere = Cluster(engine, kill).everywhere
    STEPS.clear()
    with watched() as used:
        tally = find_clusters(job, lambda: batches_of(documents), everywhere)
        numbers = range(len(spans_of(documents, 0)[1]))
        parts = list(everywhere(partial(_roots, job=job, documents=documents), numbers))
    used.step_s = dict(STEPS)
    roots, sizes = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    if not (np.bincount(roots, minlength=documents)[roots] == sizes).all():
        raise RuntimeError("cluster sizes are not those of the clusters")
    return roots, tally, used


def judged(run: Path, roots: NDArray[np.int64]) -> tuple[float, float, float]:
    """Recall of planted pairs (a cluster's first and another member) of exact Jaccard >= 0.82; share of documents that
    share a cluster with a neighbour family's; share of the million-document page in one cluster."""
    cluster, member, text = (np.load(run / f"{name}.npy") for name in Plan._fields)
    first = np.full(int(cluster.max()) + 1, -1)
    first[cluster[member == 0]] = np.flatnonzero(member == 0)
    some = np.flatnonzero(member > 0)[:: max(1, len(cluster) // 200_000)]
    pairs = np.stack([first[cluster[some]], some], axis=1)
    offsets, hashes = shingles_of(cluster[pairs.reshape(-1)], text[pairs.reshape(-1)], lengths_of(1))
    offsets = sort_sets(hashes, offsets)
    alike = jaccard_pairs(offsets, hashes, np.arange(2 * len(some)).reshape(-1, 2))
    chosen = pairs[alike >= 0.82]
    neighbours = np.arange(3, len(first), 4)
    wrong = roots[first[neighbours]] == roots[first[neighbours - 1]]
    page = np.bincount(roots[cluster == 0])
    return (
        float((roots[chosen[:, 0]] == roots[chosen[:, 1]]).mean()),
        float(wrong.mean()),
        float(page.max() / page.sum()),
    )


def in_memory(work: Path, documents: int) -> int:
    """What most toolkits do: all edges in one list, then union-find; returns the clusters."""
    files = [SortedFile(path, (np.int64, np.int64)) for path in sorted((work / "near").glob("edges-*"))]
    edges = np.concatenate([np.stack([file.read(0), file.read(1)], axis=1) for file in files])
    return len(np.unique(cluster_numbers(documents, edges)))


def kill_one() -> None:
    """Kill a worker."""
    living = workers_of(psutil.Process())
    if living:
        living[0].kill()


def header() -> None:
    """Machine and versions."""
    import numba

    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {psutil.virtual_memory().total / 1e9:.0f} GB; "
        f"Python {platform.python_version()}, numpy {np.__version__}, numba {numba.__version__}; "
        f"{WORKERS} workers of {LIMIT}, dedup.memory_mb = {MEMORY_MB}, bands x rows = "
        f"{DedupConfig().shape.bands} x {DedupConfig().shape.rows}"
    )
    print(
        f"{'documents':>11} {'verify':>7} {'docs/s/core':>12} {'goal':>8} {'with Dask':>10} {'wall s':>7} "
        f"{'peak MB':>8} {'disk GB':>8} "
        f"{'edges':>11} {'cut':>11} {'recall':>7} {'mixed':>6} {'page':>6}",
        flush=True,
    )


def line(run: Path, documents: int, verify: bool, engine: Engine) -> tuple[bool, float, float, NDArray[np.int64]]:
    """One line of the table: whether its goals are met, seconds and bytes a document, and the clusters."""
    roots, tally, used = clustered(run, documents, verify, engine)
    recall, mixed, page = judged(run, roots)
    speed, with_dask = documents / sum(used.step_s.values()), documents / used.cpu_s
    print(
        f"{documents:11,} {verify!s:>7} {speed:12,.0f} {GOALS[verify]:8,} {with_dask:10,.0f} {used.wall_s:7.0f} "
        f"{used.peak / 1e6:8.0f} "
        f"{tally['disk_bytes_peak'] / 1e9:8.2f} {tally['compared'] if verify else tally['near']:11,} "
        f"{tally['cut']:11,} {recall:7.4f} {mixed:6.3f} {page:6.3f}",
        flush=True,
    )
    print("   ", ", ".join(f"{name} {seconds:.1f} s" for name, seconds in used.step_s.items()), flush=True)
    good = speed >= GOALS[verify] and recall >= 0.98 and (not verify or mixed <= 0.02)
    return good, sum(used.step_s.values()) / documents, tally["disk_bytes_peak"] / documents, roots


def paper(cost: dict[bool, tuple[float, float]]) -> None:
    """Larger corpora on paper, from seconds and bytes a document."""
    print("\non paper, from the last corpus; memory is that of a worker, whatever the corpus")
    print(f"{'':30} {'core hours':>11} {'hours on 64':>12} {'memory GB':>10} {'disk TB':>8}")
    for name, documents in (("130 million", 130e6), ("11.05 billion", 11.05e9)):
        for verify, (seconds, disk) in cost.items():
            hours = documents * seconds / 3600
            # Pieces of files must stay large enough to be read at disk speed, so memory grows with the root.
            memory = 0.4 if documents < 1e9 else 4.0
            label = f"{name}, {'verified' if verify else 'candidates alone'}"
            print(f"{label:30} {hours:11,.1f} {hours / 64:12.1f} {memory:10.1f} {documents * disk / 1e12:8.2f}")
    print(PUBLISHED)


PUBLISHED = """published figures of others (research/pipeline.md, section 3)
doubri, 130 million Japanese pages of CC-MAIN-2024-51: 8 x 14 9.5 GB memory, 131 GB disk; 20 x 40 22 GB, 876 GB
doubri, 11.05 billion Japanese pages: 8 x 14 806 GB memory, 11.1 TB disk (no exact verification)
datatrove, FineWeb: clustering in one process, 8 cores x 25 GB, up to 30 h; 1 TB of text: 2 h of hashing on 1,000
    cores, then more than 7 h in one; FineWeb-2: 2 x 450 GB
NeMo Curator, a subset of RedPajama-v2: 0.65 h on 24 H100; RedPajama-v2: 200 million documents, 64 cores, 500 GB
text-dedup: 1 billion documents do not go into 128 GB, "30 million at a time" """


def main() -> int:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--documents", default="1000000", help="sizes of corpora, with commas")
    options.add_argument("--folder", type=Path, help="where the corpus is written; default: a temporary folder")
    chosen = options.parse_args()
    counts = sorted(int(word) for word in chosen.documents.split(","))
    header()
    failed, cost = False, {}
    for documents in counts:
        with (
            tempfile.TemporaryDirectory(prefix="seimai-dedup-", dir=chosen.folder) as name,
            Engine(workers=WORKERS, memory_limit=LIMIT) as engine,
        ):
            run = Path(name)
            warm = run / "warm"
            warm.mkdir()
            prepare(warm, 2 * BATCH_ROWS // 10, engine)
            clustered(warm, 2 * BATCH_ROWS // 10, True, engine)  # loads the compiled kernels
            prepare(run, documents, engine)
            for verify in (False, True):
                good, seconds, disk, roots = line(run, documents, verify, engine)
                failed, cost[verify] = failed or not good, (seconds, disk)
            if documents == counts[0]:
                again, _, used = clustered(run, documents, True, engine, kill_one)
                same = (again == roots).all()
                failed = failed or not same
                said = "the same" if same else "OTHER"
                print(f"    a worker killed in each of {len(used.step_s)} steps: {said} clusters")
            if documents >= FAILS_FROM:
                outcome = next(iter(engine.map(partial(in_memory, documents=documents), [run / "work-False"])))
                failed = failed or outcome.error is None
                print(f"    in-memory union-find in a worker of {LIMIT}: {outcome.error or 'NO ERROR'}")
            print(f"    digest of the clusters {hashlib.sha256(roots.tobytes()).hexdigest()[:16]}", flush=True)
    paper(cost)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
