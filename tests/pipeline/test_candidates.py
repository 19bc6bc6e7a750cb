"""Keys to edges, in ranges and pieces, against grouping in Python."""

import itertools
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from seimai.pipeline.band_kernels import keys_of_bands, sort_pairs, unique_edges
from seimai.pipeline.candidates import EDGE, EDGE_BYTES, band_file, edge_files, hash_file, key_ranges, tidy_edges
from seimai.pipeline.dedup import band_keys
from seimai.pipeline.sorted_files import SortedFile

NO_SALT = np.zeros(10_000, np.uint64)


def read_edges(folder: Path, number: int) -> list[tuple[int, int]]:
    """All edges of a range, as written."""
    found: list[tuple[int, int]] = []
    for path in sorted(folder.glob(f"edges-{number:06d}-*")):
        row, first = (SortedFile(path, EDGE).read(column) for column in (0, 1))
        edges = list(zip(row.tolist(), first.tolist(), strict=True))
        assert edges == sorted(set(edges))
        found += edges
    return found


@pytest.mark.parametrize(("bands", "rows"), [(1, 1), (16, 8), (21, 6), (3, 40)])
def test_band_keys_are_those_of_dedup(bands: int, rows: int) -> None:
    matrix = np.random.default_rng(1).integers(0, 1 << 32, (50, bands * rows + 2), dtype=np.uint32)
    salts = np.arange(50, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    expected = band_keys(matrix, bands, rows) ^ salts[:, None]
    assert (keys_of_bands(matrix, bands, rows, salts).reshape(50, bands) == expected).all()


@pytest.mark.parametrize("bits", [0, 8, 20, 64])
def test_sorted_pairs(bits: int) -> None:
    keys = np.random.default_rng(2).integers(0, 2**64, 5000, dtype=np.uint64) >> np.uint64(min(64 - bits, 63))
    keys[:50] = 0 if bits == 0 else keys[50]
    keys = keys if bits else np.zeros_like(keys)
    found, order = sort_pairs(keys.copy(), np.arange(5000), bits)
    assert (order == np.argsort(keys, kind="stable")).all()
    assert (found == keys[order]).all()


def test_unique_edges() -> None:
    generator = np.random.default_rng(3)
    row, first = np.sort(generator.integers(0, 50, 2000)), generator.integers(0, 30, 2000)
    expected = sorted(set(zip(row.tolist(), first.tolist(), strict=True)))
    kept = unique_edges(row, first)
    assert list(zip(row[:kept].tolist(), first[:kept].tolist(), strict=True)) == expected
    assert tidy_edges(np.empty(0, np.int64), np.empty(0, np.int64))[0].tolist() == []


@pytest.mark.parametrize("loops", [False, True])
@pytest.mark.parametrize("rows_in_memory", [3, 40, 10_000])
@pytest.mark.parametrize("ranges", [1, 5])
def test_edges_join_a_bucket_to_its_first(tmp_path: Path, loops: bool, rows_in_memory: int, ranges: int) -> None:
    generator = np.random.default_rng(4)
    matrix = generator.integers(0, 4, (600, 6), dtype=np.uint32)
    matrix[::5] = 7  # a bucket of 120
    files = []
    for number in range(4):
        rows = np.arange(150 * number, 150 * (number + 1))
        files.append(tmp_path / f"keys-{number}")
        band_file(files[-1], rows, keys_of_bands(matrix[rows], 2, 3, NO_SALT[:150]))
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for row in range(600):
        for band in range(2):
            buckets[band, matrix[row, 3 * band : 3 * band + 3].tobytes()].append(row)
    expected = {(row, bucket[0]) for bucket in buckets.values() if len(bucket) > 1 for row in bucket[not loops :]}
    memory_bytes = rows_in_memory * EDGE_BYTES
    found: set[tuple[int, int]] = set()
    for number, wanted in enumerate(key_ranges(ranges * rows_in_memory * 4 // 5, memory_bytes)):
        wrote = edge_files(tmp_path, number, files, wanted, exact=False, loops=loops, memory_bytes=memory_bytes)
        edges = read_edges(tmp_path, number)
        assert wrote["edges"] == sum(row != first for row, first in edges)
        assert wrote["files"] == len(list(tmp_path.glob(f"edges-{number:06d}-*")))
        found |= set(edges)
    assert found == expected


@pytest.mark.parametrize("rows_in_memory", [2, 1000])
def test_both_halves_of_a_hash_must_be_equal(tmp_path: Path, rows_in_memory: int) -> None:
    halves = np.array([[1, 5], [1, 6], [2, 5], [1, 5], [1, 6], [1, 5], [3, 5]], "<u8")
    rows = np.arange(10, 17)
    hash_file(tmp_path / "a", rows[:3], halves[:3].view(np.uint8), NO_SALT[:3])
    hash_file(tmp_path / "b", rows[3:], halves[3:].view(np.uint8), NO_SALT[:4])
    wanted, memory_bytes = (0, 2**64 - 1), rows_in_memory * EDGE_BYTES
    files = [tmp_path / "a", tmp_path / "b"]
    edge_files(tmp_path, 0, files, wanted, exact=True, loops=False, memory_bytes=memory_bytes)
    assert sorted(read_edges(tmp_path, 0)) == [(13, 10), (14, 11), (15, 10)]


def test_salts_keep_documents_apart(tmp_path: Path) -> None:
    matrix, salts = np.zeros((4, 6), np.uint32), np.array([1, 2, 1, 2], np.uint64)
    band_file(tmp_path / "a", np.arange(4), keys_of_bands(matrix, 1, 6, salts))
    edge_files(tmp_path, 0, [tmp_path / "a"], (0, 2**64 - 1), exact=False, loops=False, memory_bytes=10_000)
    assert read_edges(tmp_path, 0) == [(2, 0), (3, 1)]


@pytest.mark.parametrize("entries", [0, 1, 1000, 1001, 50_000])
def test_ranges_cover_the_keys_without_a_gap(entries: int) -> None:
    ranges = key_ranges(entries, 500 * EDGE_BYTES * 5 // 4)
    assert ranges[0][0] == 0
    assert ranges[-1][1] == 2**64 - 1
    assert all(a[1] + 1 == b[0] for a, b in itertools.pairwise(ranges))
    assert len(ranges) == max(1, -(-entries // 500))
