"""Edges to clusters in memory of a set size: every row's smallest connected row, and how many rows it is connected to.

Rows are taken in blocks, from the last to the first. A block joins what it can by union-find; where one of its trees
touches several rows before the block, it keeps the smallest and passes edges between them on to the blocks they lie
in. So every edge moves down until it lies within a block, and no block knows another's rows. Then, from the first
block to the last, each tells the later ones that have asked the roots of its rows, and once more the sizes and ids:
answers are appended in the order of the questions, which ascend. 48 bytes a row of the block in memory; on disk 16 a
row, 40 a question. What is found does not depend on the blocks.
"""

import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seimai.errors import RunError

from .candidates import EDGE, tidy_edges
from .sorted_files import REMEDY, Columns, SortedFile, gather, write_sorted

__all__ = ["ID_BYTES", "Block", "blocks_of", "clusters_of_rows", "find_components", "shared_roots"]

ID_BYTES = 16
ROW_BYTES = 64
"""Bytes of memory for a row of a block."""
CHUNK = 1 << 16
"""Edges joined at a time."""

IdsOf = Callable[[NDArray[np.int64]], NDArray[np.uint8]]
"""The ids (n, 16) of ascending rows."""

_TREES = (np.int64, np.int64, np.int64)
"""The rows before the block that are asked for, ascending; each row's tree; what a tree is joined to before, or -1."""
_ROOTS = (np.int64, np.int64, np.int64, np.int64)
"""Roots before the block, ascending, and how many rows of the block each has; each row's root; each row's size."""


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows that are in memory together."""

    number: int
    rows: range


def blocks_of(batches: Sequence[range], memory_bytes: int) -> list[Block]:
    """Neighbouring batches together, as many as fit into memory.

    >>> [block.rows for block in blocks_of([range(0, 9), range(9, 20), range(20, 30)], 20 * 64)]
    [range(0, 20), range(20, 30)]
    """
    found: list[range] = []
    for rows in batches:
        if found and (rows.stop - found[-1].start) * ROW_BYTES <= memory_bytes:
            found[-1] = range(found[-1].start, rows.stop)
        else:
            found.append(rows)
    return [Block(number, rows) for number, rows in enumerate(found)]


def find_components(folder: Path, blocks: Sequence[Block], edges: Sequence[Path], ids_of: IdsOf) -> int:
    """Make what `clusters_of_rows` reads, in `folder`; edges are (row, earlier row), ascending by row.

    Returns the bytes written.
    """
    # Answers are appended: what a killed worker began must not be gone on with.
    place = folder / f".{secrets.token_hex(8)}"
    place.mkdir()
    try:
        for block in reversed(blocks):
            _join(place, block, [*edges, *sorted(place.glob("passed-*"))])
        for block in blocks:
            _settle(place, block, blocks[block.number + 1 :])
        for block in blocks:
            _count(place, block, blocks[block.number + 1 :], ids_of)
        disk_bytes = sum(path.stat().st_size for path in place.iterdir())
        for path in sorted(place.glob("[rsn]*")):
            path.replace(folder / path.name)
    finally:
        shutil.rmtree(place)
    return disk_bytes


def clusters_of_rows(
    folder: Path, block: Block, rows: range, ids_of: IdsOf
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """For some rows of a block: the id (n, 16) of the first row of their cluster, and its size."""
    file = SortedFile(folder / f"roots-{block.number:06d}", _ROOTS)
    outer = file.read(0)
    sizes = _answers(folder / f"sizes-{block.number:06d}", len(outer), 8).view(np.int64)
    names = _answers(folder / f"names-{block.number:06d}", len(outer), ID_BYTES).reshape(-1, ID_BYTES)
    own = slice(rows.start - block.rows.start, rows.stop - block.rows.start)
    roots, found, size = file.read(2, own), file.read(3, own), file.read(3)
    inner = roots >= block.rows.start
    ids = np.empty((len(roots), ID_BYTES), np.uint8)
    wanted, back = np.unique(roots[inner], return_inverse=True)
    ids[inner] = ids_of(wanted)[back]
    found[inner] = size[roots[inner] - block.rows.start]
    at = np.searchsorted(outer, roots[~inner])
    ids[~inner], found[~inner] = names[at], sizes[at]
    return ids, found


def shared_roots(folder: Path, block: Block, rows: range) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """For some rows of a block: the first row of their cluster, and whether the cluster has others."""
    file = SortedFile(folder / f"roots-{block.number:06d}", _ROOTS)
    roots, size = file.read(2, slice(rows.start - block.rows.start, rows.stop - block.rows.start)), file.read(3)
    # A cluster whose first row lies before the block has two at least.
    shared = roots < block.rows.start
    shared[~shared] = size[roots[~shared] - block.rows.start] > 1
    return roots, shared


def _answers(path: Path, count: int, width: int) -> NDArray[np.uint8]:
    """What was appended in answer to `count` questions, of `width` bytes each."""
    data = np.fromfile(path, np.uint8) if path.exists() else np.empty(0, np.uint8)
    if len(data) != count * width:
        raise RunError(f"{path}: is not whole ({len(data)} bytes); {REMEDY}")
    return data


def _parts(paths: Sequence[Path], rows: range) -> Iterator[Columns]:
    """The files' edges of a block's rows, some at a time."""
    for path in paths:
        yield from gather([SortedFile(path, EDGE)], EDGE, rows.start, rows.stop - 1, CHUNK)


def _join(place: Path, block: Block, paths: Sequence[Path]) -> None:
    """The block's trees; edges between rows before it go to `passed-<block>-<0, 1, …>`."""
    from .component_kernels import absorb, flatten

    start = block.rows.start
    parent, below = np.arange(len(block.rows)), np.full(len(block.rows), -1)
    out_rows, out_firsts = np.empty(CHUNK, np.int64), np.empty(CHUNK, np.int64)
    held: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    many = passed = 0
    for rows, firsts in _parts(paths, block.rows):
        n = absorb(parent, below, start, rows, firsts, out_rows, out_firsts)
        if n:
            held.append(tidy_edges(out_rows[:n].copy(), out_firsts[:n].copy()))
            many += len(held[-1][0])
        if many >= max(CHUNK, len(parent)):
            passed, many = _pass_on(place, block, passed, held), 0
    if held:
        _pass_on(place, block, passed, held)
    flatten(parent)
    asked = np.unique(below[below >= 0])
    write_sorted(place / f"trees-{block.number:06d}", asked, parent, below)


def _pass_on(place: Path, block: Block, number: int, held: list[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> int:
    row, first = tidy_edges(np.concatenate([e[0] for e in held]), np.concatenate([e[1] for e in held]))
    write_sorted(place / f"passed-{block.number:06d}-{number:04d}", row, first)
    held.clear()
    return number + 1


def _settle(place: Path, block: Block, later: Sequence[Block]) -> None:
    """Each row's root, with the answers of the blocks before; and answers to the later ones."""
    file = SortedFile(place / f"trees-{block.number:06d}", _TREES)
    asked, parent, below = (file.read(column) for column in range(3))
    path = place / f"answers-{block.number:06d}"
    answers = _answers(path, len(asked), 8).view(np.int64)
    root = parent + block.rows.start
    joined = below[parent] >= 0
    root[joined] = answers[np.searchsorted(asked, below[parent[joined]])]
    path.unlink(missing_ok=True)
    for other in later:
        theirs = SortedFile(place / f"trees-{other.number:06d}", _TREES)
        wanted = theirs.read(0, theirs.span(block.rows.start, block.rows.stop - 1))
        _append(place / f"answers-{other.number:06d}", root[wanted - block.rows.start])
    outer, counts = np.unique(root[root < block.rows.start], return_counts=True)
    inner = root[root >= block.rows.start] - block.rows.start
    size = np.bincount(inner, minlength=len(root)).astype(np.int64)
    write_sorted(place / f"roots-{block.number:06d}", outer, counts.astype(np.int64), root, size)
    (place / f"trees-{block.number:06d}").unlink()


def _count(place: Path, block: Block, later: Sequence[Block], ids_of: IdsOf) -> None:
    """The sizes of the clusters whose root is in the block, with what the later blocks have of them; and answers."""
    path = place / f"roots-{block.number:06d}"
    outer, counts, root, size = (SortedFile(path, _ROOTS).read(column) for column in range(4))
    wanted = []
    for other in later:
        theirs = SortedFile(place / f"roots-{other.number:06d}", _ROOTS)
        part = theirs.span(block.rows.start, block.rows.stop - 1)
        wanted.append(theirs.read(0, part))
        size[wanted[-1] - block.rows.start] += theirs.read(1, part)
    for other, rows in zip(later, wanted, strict=True):
        _append(place / f"sizes-{other.number:06d}", size[rows - block.rows.start])
        _append(place / f"names-{other.number:06d}", ids_of(rows))
    write_sorted(path, outer, counts, root, size)


def _append(path: Path, values: NDArray[np.int64] | NDArray[np.uint8]) -> None:
    with path.open("ab") as file:
        file.write(np.ascontiguousarray(values).data.cast("B") if values.nbytes else b"")
