"""Out-of-core clusters are those of the whole corpus in memory, whatever the batches, ranges, memory and faults."""

import errno
import hashlib
import resource
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from seimai.errors import RunError
from seimai.pipeline import cluster_steps, sorted_files
from seimai.pipeline.cluster import Clustering, Hashed, Signed, cluster_table, find_clusters
from seimai.pipeline.dedup import band_keys
from seimai.pipeline.document import CLUSTER_COLUMNS, schema
from seimai.pipeline.jaccard import ShingleSets
from seimai.pipeline.jaccard_kernels import sort_sets, take_sets
from seimai.pipeline.order import Batch, Entry
from seimai.pipeline.regroup import FEW, Stars, cluster_numbers, regroup, stars_of_keys
from seimai.pipeline.shingle_kernels import minhash_texts
from seimai.pipeline.shingles import permutations

PERMUTATIONS, BANDS, ROWS = 32, 8, 3


@dataclass(frozen=True)
class Memory:
    """A corpus in memory as a source."""

    shingles: ShingleSets
    signatures: NDArray[np.uint32]
    texts: NDArray[np.uint8]
    takes_part: NDArray[np.bool_]
    salts: NDArray[np.uint64]
    urls: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def hashed(self, batch: Batch) -> Hashed:
        """See `Source`."""
        rows = slice(batch.first_row, batch.first_row + batch.rows)
        urls = self.urls[rows] if self.urls is not None else None
        return Hashed(identities(len(self))[rows], self.takes_part[rows], self.texts[rows], urls, self.salts[rows])

    def signed(self, batch: Batch, chunk_rows: int) -> Iterator[Signed]:
        """See `Source`."""
        for begin in range(batch.first_row, batch.first_row + batch.rows, chunk_rows):
            rows = slice(begin, min(begin + chunk_rows, batch.first_row + batch.rows))
            yield Signed(begin, self.signatures[rows], self.salts[rows])

    def sets(self, batch: Batch, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], ShingleSets]]:
        """See `Source`."""
        assert all(batch.first_row <= row < batch.first_row + batch.rows for row in rows)
        for begin in range(0, len(rows), 50):
            some = rows[begin : begin + 50]
            yield some, ShingleSets(*take_sets(*self.shingles, some))


def identities(count: int) -> NDArray[np.uint8]:
    """Ids that tell the row."""
    ids = np.zeros((count, 2), ">i8")
    ids[:, 0] = np.arange(count)
    return np.ascontiguousarray(ids).view(np.uint8).reshape(-1, 16)


def corpus(seed: int, families: int, giant: int = 0) -> Memory:
    """Families of sets that differ by up to a third, in random order; one in ten documents takes no part."""
    random = np.random.default_rng(seed)
    values: list[NDArray[np.uint32]] = []
    for family in range(families):
        base = random.integers(0, 1 << 32, random.integers(5, 60), dtype=np.uint32)
        for _ in range(giant if family == 0 and giant else random.integers(1, 12)):
            value = base.copy()
            changed = random.integers(0, len(base), random.integers(0, 1 + len(base) // 3))
            value[changed] = random.integers(0, 1 << 32, len(changed), dtype=np.uint32)
            values.append(value)
    values = [values[place] for place in random.permutation(len(values))]
    hashes = np.concatenate(values)
    offsets = sort_sets(hashes, np.append(0, np.cumsum([len(value) for value in values])).astype(np.int64))
    sets = ShingleSets(offsets, hashes[: offsets[-1]].copy())
    signatures = np.empty((len(values), PERMUTATIONS), np.uint32)
    minhash_texts(sets.hashes, sets.offsets, *permutations(PERMUTATIONS, 1), signatures)
    digests = [hashlib.blake2b(np.sort(value).tobytes(), digest_size=16).digest() for value in values]
    texts = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16)
    takes_part = random.random(len(values)) > 0.1
    return Memory(sets, signatures, texts, takes_part, np.zeros(len(values), np.uint64))


def expected(memory: Memory, threshold: float | None) -> list[tuple[int | None, int | None]]:
    """First document and size of every document's cluster, by the functions for a list in memory."""
    same: list[tuple[int, int]] = []
    first: dict[bytes, int] = {}
    for row in np.flatnonzero(memory.takes_part).tolist():
        text = memory.salts[row].tobytes() + memory.texts[row].tobytes()
        same += [(first[text], row)] if first.setdefault(text, row) != row else []
        if memory.urls is not None:
            url = b"url" + memory.urls[row].tobytes()
            same += [(first[url], row)] if first.setdefault(url, row) != row else []
    rows = np.array(sorted(set(np.flatnonzero(memory.takes_part).tolist()) & set(first.values())))
    rows = np.array([row for row in rows if first[memory.salts[row].tobytes() + memory.texts[row].tobytes()] == row])
    keys = band_keys(memory.signatures[rows], BANDS, ROWS) ^ memory.salts[rows, None]
    stars = stars_of_keys(keys)
    stars = Stars(stars.starts, rows[stars.members])
    if threshold is None:
        centres = np.repeat(stars.members[stars.starts[:-1]], np.diff(stars.starts))
        edges = np.stack([centres, stars.members], axis=1)
    else:
        edges = regroup(stars, memory.shingles, threshold=threshold).edges
    roots = cluster_numbers(len(memory), np.concatenate([np.array(same, np.int64).reshape(-1, 2), edges]))
    sizes = Counter(roots[memory.takes_part].tolist())
    return [(int(r), sizes[int(r)]) if t else (None, None) for r, t in zip(roots, memory.takes_part, strict=True)]


def batches_of(count: int, batch_rows: int) -> list[Batch]:
    """Batches of two parts each."""
    found = []
    for number, first in enumerate(range(0, count, batch_rows)):
        rows = min(batch_rows, count - first)
        parts = [(first, rows // 2), (first + rows // 2, rows - rows // 2)]
        found.append(Batch(number, tuple(Entry(f"p{begin}", n, begin) for begin, n in parts if n)))
    return found


def here(function: Callable[[Any], Any], items: Iterable[Any], step: str) -> Iterator[Any]:
    """Every item in this process."""
    return map(function, items)


def run_clusters(
    work: Path, memory: Memory, *, batch_rows: int = 1000, memory_bytes: int = 10**8, threshold: float | None = 0.8
) -> tuple[list[tuple[int | None, int | None]], dict[str, int]]:
    """First document and size of every document's cluster, out of core, and the tally."""
    work.mkdir(exist_ok=True)
    job = Clustering(work, memory, BANDS, ROWS, PERMUTATIONS, threshold, memory_bytes)
    batches = batches_of(len(memory), batch_rows)
    tally = find_clusters(job, lambda: iter(batches), here)
    spans = [range(batch.first_row, batch.first_row + batch.rows) for batch in batches]
    table = pa.concat_tables([cluster_table(job, batch, spans) for batch in batches]).cast(schema(CLUSTER_COLUMNS))
    ids = [one.tobytes().hex() for one in identities(len(memory))]
    assert table["id"].to_pylist() == ids
    place = {identity: row for row, identity in enumerate(ids)}
    rows = table.to_pylist()
    return [(place[r["cluster"]] if r["cluster"] else None, r["cluster_size"]) for r in rows], tally


@pytest.mark.parametrize("threshold", [None, 0.5, 0.8])
@pytest.mark.parametrize(
    ("batch_rows", "memory_bytes"), [(10_000, 10**8), (333, 10**8), (40, 200_000), (700, 50_000), (10_000, 20_000)]
)
def test_clusters_are_those_in_memory(
    tmp_path: Path, threshold: float | None, batch_rows: int, memory_bytes: int
) -> None:
    memory = corpus(1, 150)
    found, tally = run_clusters(
        tmp_path / "work", memory, batch_rows=batch_rows, memory_bytes=memory_bytes, threshold=threshold
    )
    assert found == expected(memory, threshold)
    assert tally["documents"] == memory.takes_part.sum()
    whole = run_clusters(tmp_path / "whole", memory, threshold=threshold)[1]
    for name in ("documents", "same_text", "compared", "cut"):
        assert tally[name] == whole[name]
    assert tally["disk_bytes_peak"] <= tally["disk_bytes"]
    if threshold is not None:
        assert tally["compared"] > tally["cut"] > 0


def test_a_giant_bucket_in_pieces(tmp_path: Path) -> None:
    memory = corpus(2, 3, giant=1_500)
    assert max(len(star) for star in np.split(*_stars(memory))) > 10 * FEW
    found, tally = run_clusters(tmp_path / "small", memory, batch_rows=200, memory_bytes=40_000)
    assert found == expected(memory, 0.8)
    # The bucket's sets are several times what may be in memory.
    assert 4 * memory.shingles.offsets[-1] > 5 * 40_000
    assert tally["compared"] > 1_000


def _stars(memory: Memory) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    stars = stars_of_keys(band_keys(memory.signatures, BANDS, ROWS))
    return stars.members, stars.starts[1:-1]


def test_salts_and_urls(tmp_path: Path) -> None:
    memory = corpus(3, 60)
    random = np.random.default_rng(1)
    urls = np.zeros((len(memory), 16), np.uint8)
    urls[:, 0] = random.integers(0, 100, len(memory))
    urls[:, 1] = np.arange(len(memory)) // 100
    urls[memory.takes_part, 2] = 1
    apart = replace(memory, salts=random.integers(0, 2, len(memory)).astype(np.uint64) * np.uint64(2**63 + 12345))
    assert run_clusters(tmp_path / "a", apart)[0] == expected(apart, 0.8) != expected(memory, 0.8)
    joined = replace(memory, urls=urls)
    found, tally = run_clusters(tmp_path / "b", joined, batch_rows=100)
    assert found == expected(joined, 0.8) != expected(memory, 0.8)
    assert tally["same_url"] > 0


def test_hardly_any_documents(tmp_path: Path) -> None:
    assert find_clusters(Clustering(tmp_path, corpus(1, 1), 8, 3, 32, 0.8, 10**6), lambda: iter([]), here) == {}
    nobody = replace(corpus(4, 3), takes_part=np.zeros(len(corpus(4, 3)), np.bool_))
    assert set(run_clusters(tmp_path / "nobody", nobody)[0]) == {(None, None)}
    alone = replace(nobody, takes_part=np.arange(len(nobody)) == 2)
    assert run_clusters(tmp_path / "alone", alone)[0].count((2, 1)) == 1


class Killed(Exception):
    """What a test throws into a step."""


@pytest.mark.parametrize("step", ["hashes", "same", "bands", "near", "sets", "held", "components"])
def test_killed_in_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    memory = corpus(5, 80)
    plain = getattr(cluster_steps, step)
    calls: list[int] = []

    def dying(job: Any, folder: Path, number: int, *rest: Any, **more: Any) -> Any:
        calls.append(number)
        found = plain(job, folder, number, *rest, **more)
        if len(calls) == 2 or step in ("components", "same"):
            raise Killed  # files are written, the result is not
        return found

    monkeypatch.setattr(cluster_steps, step, dying)
    size = {"batch_rows": 100, "memory_bytes": 60_000}
    with pytest.raises(Killed):
        run_clusters(tmp_path / "work", memory, **size)
    monkeypatch.undo()
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.json")}
    wrote: list[Path] = []
    real = sorted_files.write_sorted

    def noted(path: Path, *columns: Any) -> int:
        wrote.append(path)
        return real(path, *columns)

    monkeypatch.setattr(cluster_steps, "write_sorted", noted)
    found, tally = run_clusters(tmp_path / "work", memory, **size)
    assert found == expected(memory, 0.8)
    assert all(path.stat().st_mtime_ns == moment for path, moment in done.items())
    assert step == "hashes" or not wrote  # what stood was not made again
    assert tally == run_clusters(tmp_path / "quiet", memory, **size)[1]


@pytest.mark.parametrize(
    ("step", "pattern"),
    [("hashes", "text-*"), ("hashes", "members-*"), ("same_text", "edges-*"), ("bands", "keys-*"), ("near", "edges-*"),
     ("sets", "sets-*"), ("held", "held-*"), ("components", "roots-*")],
)  # fmt: skip
@pytest.mark.parametrize("fault", ["truncated", "gone"])
def test_a_file_torn_or_gone_is_an_error(tmp_path: Path, step: str, pattern: str, fault: str) -> None:
    memory, size = corpus(5, 60), {"batch_rows": 100, "memory_bytes": 60_000}
    hurt: list[Path] = []

    def hurting(function: Callable[[Any], Any], items: Iterable[Any], name: str) -> Iterator[Any]:
        found = list(map(function, items))
        if name == step:
            hurt.append(max((tmp_path / "work" / step).glob(pattern), key=lambda path: path.stat().st_size))
            if fault == "gone":
                hurt[0].unlink()
            else:
                hurt[0].write_bytes(hurt[0].read_bytes()[:-8])
        return iter(found)

    job = Clustering(tmp_path / "work", memory, BANDS, ROWS, PERMUTATIONS, 0.8, size["memory_bytes"])
    (tmp_path / "work").mkdir()
    batches = batches_of(len(memory), size["batch_rows"])
    spans = [range(batch.first_row, batch.first_row + batch.rows) for batch in batches]

    def everything() -> list[pa.Table]:
        find_clusters(job, lambda: iter(batches), hurting)
        return [cluster_table(job, batch, spans) for batch in batches]

    with pytest.raises(RunError, match=r"is not whole|is gone|has \d+ files") as caught:
        everything()
    assert len(hurt) == 1
    assert "remove the folder work/" in str(caught.value)
    shutil.rmtree(tmp_path / "work")
    assert run_clusters(tmp_path / "work", memory, **size)[0] == expected(memory, 0.8)


def test_a_full_disk_ends_it_and_it_goes_on(tmp_path: Path) -> None:
    memory, before = corpus(6, 80), resource.getrlimit(resource.RLIMIT_FSIZE)
    sizes = [300, 3_000, 8_000, 20_000, 40_000]
    for limit in sizes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            with pytest.raises(OSError, match="too large") as caught:
                run_clusters(tmp_path / "work", memory, batch_rows=400)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert caught.value.errno == errno.EFBIG
    assert run_clusters(tmp_path / "work", memory, batch_rows=400)[0] == expected(memory, 0.8)
