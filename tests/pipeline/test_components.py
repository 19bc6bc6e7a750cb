"""Components in blocks of rows against one union-find over all of them."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.errors import RunError
from seimai.pipeline import components
from seimai.pipeline.candidates import tidy_edges
from seimai.pipeline.components import ROW_BYTES, blocks_of, clusters_of_rows, find_components
from seimai.pipeline.regroup import cluster_numbers
from seimai.pipeline.sorted_files import write_sorted


def ids_of(rows: np.ndarray) -> np.ndarray:
    """An id that tells the row."""
    ids = np.zeros((len(rows), 2), "<i8")
    ids[:, 0] = rows
    return ids.view(np.uint8).reshape(-1, 16)


def in_blocks(folder: Path, spans: list[range], edges: np.ndarray, memory_bytes: int) -> list[tuple[int, int]]:
    """First row and size of every row's cluster."""
    folder.mkdir(parents=True)
    files = []
    for number, some in enumerate(np.array_split(edges, 3)):
        row, first = tidy_edges(some.max(axis=1, initial=0), some.min(axis=1, initial=2**62))
        files.append(folder / f"edges-{number}")
        write_sorted(files[-1], row, first)
    blocks = blocks_of(spans, memory_bytes)
    find_components(folder, blocks, files, ids_of)
    found: list[tuple[int, int]] = []
    for rows in spans:
        block = next(block for block in blocks if rows.start in block.rows)
        ids, sizes = clusters_of_rows(folder, block, rows, ids_of)
        found += zip(ids.view("<i8")[:, 0].tolist(), sizes.tolist(), strict=True)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    return found


def plainly(count: int, edges: np.ndarray) -> list[tuple[int, int]]:
    """The same by union-find."""
    roots = cluster_numbers(count, edges)
    sizes = np.bincount(roots, minlength=count)
    return [(int(root), int(sizes[root])) for root in roots]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_blocks_do_not_matter(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 60))
    row = st.integers(0, count - 1)
    edges = np.array(data.draw(st.lists(st.tuples(row, row), max_size=80)), np.int64).reshape(-1, 2)
    edges = edges[edges[:, 0] != edges[:, 1]]
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, count), max_size=6)) - {count}), count]
    spans = [range(a, b) for a, b in itertools.pairwise(cuts)]
    memory_bytes = data.draw(st.integers(1, 80)) * ROW_BYTES
    folder = tmp_path_factory.mktemp("blocks") / "c"
    assert in_blocks(folder, spans, edges, memory_bytes) == plainly(count, edges)


@pytest.mark.parametrize("shape", ["path", "backward path", "star", "comb", "repeats"])
def test_shapes_over_many_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: str) -> None:
    monkeypatch.setattr(components, "CHUNK", 64)
    count, row = 2_000, np.arange(1, 2_000)
    scattered = np.random.default_rng(1).permutation(count)
    edges = {
        "path": np.stack([row - 1, row], axis=1),
        "backward path": np.stack([scattered[:-1], scattered[1:]], axis=1),
        "star": np.stack([np.full(count - 1, count - 1), row - 1], axis=1),
        "comb": np.stack([row, row // 2], axis=1),
        "repeats": np.tile([[1999, 3], [1999, 700], [1200, 3]], (500, 1)),
    }[shape]
    spans = [range(begin, begin + 100) for begin in range(0, count, 100)]
    assert in_blocks(tmp_path / "c", spans, edges, 100 * ROW_BYTES) == plainly(count, edges)


def test_an_answer_that_is_not_whole_is_an_error(tmp_path: Path) -> None:
    spans = [range(0, 10), range(10, 20)]
    in_blocks(tmp_path / "c", spans, np.array([[3, 15], [4, 16]]), 10 * ROW_BYTES)
    path = tmp_path / "c" / "names-000001"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RunError, match="names-000001: is not whole"):
        clusters_of_rows(tmp_path / "c", blocks_of(spans, 10 * ROW_BYTES)[1], spans[1], ids_of)
