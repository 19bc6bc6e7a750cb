"""Sorted files: ranges of them, pieces, and files that are not whole."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from seimai.errors import RunError
from seimai.pipeline.sorted_files import SortedFile, gather, subranges, write_sorted

KINDS = (np.uint64, np.uint8)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three files of 50 rows; one value stands 60 times in all of them."""
    found = []
    for number in range(3):
        keys = np.sort(np.append(np.full(20, 2**63), np.arange(30, dtype=np.uint64) * 7 + number).astype(np.uint64))
        path = tmp_path / f"f{number}"
        size = write_sorted(path, keys, np.arange(50, dtype=np.uint8))
        assert size == path.stat().st_size
        found.append(path)
    return found


@pytest.mark.parametrize("limit", [1, 10, 1000])
def test_subranges_hold_every_row_once(files: list[Path], limit: int) -> None:
    columns = [SortedFile(path, KINDS) for path in files]
    parts = list(subranges(columns, 0, 2**64 - 1, limit))
    assert sum(weight for _, _, weight in parts) == 150
    assert all(weight <= limit or low == high for low, high, weight in parts)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(parts))
    for low, high, weight in parts:
        pieces = list(gather(columns, KINDS, low, high, limit))
        assert sum(len(piece[0]) for piece in pieces) == weight
        assert all(len(piece[0]) <= limit for piece in pieces)
        assert all(low <= key <= high for piece in pieces for key in piece[0])


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 3000])
def test_spans_and_columns(tmp_path: Path, count: int) -> None:
    values = np.sort(np.random.default_rng(count).integers(-20, 60, count)) * 10
    write_sorted(tmp_path / "f", values, np.arange(count * 3, dtype=np.uint8))
    file = SortedFile(tmp_path / "f", (np.int64, np.uint8))
    assert len(file) == count
    assert file.read(0).tolist() == values.tolist()
    assert file.read(1, slice(count, 2 * count)).tolist() == [n % 256 for n in range(count, 2 * count)]
    for low, high in [(-300, 700), (0, 0), (5, 6), (-200, 590), (600, 9000), (-9000, -300), (10, 300)]:
        part = file.span(low, high)
        assert file.read(0, part).tolist() == [value for value in values.tolist() if low <= value <= high]


def test_spans_longer_than_one_read(tmp_path: Path) -> None:
    values = np.sort(np.random.default_rng(5).integers(0, 9_000, 60_001))
    write_sorted(tmp_path / "f", values, np.zeros(60_001, np.uint8))
    file = SortedFile(tmp_path / "f", (np.int64, np.uint8))
    for low, high in [(0, 8_999), (0, 9_999), (3, 8_000), (100, 4_321), (8_000, 8_999), (4_000, 4_000)]:
        part = file.span(low, high)
        assert part == slice(int(np.searchsorted(values, low)), int(np.searchsorted(values, high, "right")))


@pytest.mark.parametrize("keep", [0, 7, 63, 64, 200, -1, -8])
def test_a_torn_file_is_an_error(files: list[Path], keep: int) -> None:
    data = files[0].read_bytes()
    files[0].write_bytes(data[:keep])
    with pytest.raises(RunError, match=r"f0: is (not whole|empty).*remove the folder work/"):
        SortedFile(files[0], KINDS)


def test_other_files_are_an_error(files: list[Path]) -> None:
    files[0].write_bytes(b"x" * 500)
    with pytest.raises(RunError, match="is not whole"):
        SortedFile(files[0], KINDS)
    files[1].unlink()
    with pytest.raises(RunError, match="is gone"):
        SortedFile(files[1], KINDS)
