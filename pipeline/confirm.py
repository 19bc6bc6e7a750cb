"""Candidate edges to edges that hold: exact Jaccard of shingle sets, carried to the centres of their stars.

Sets are never looked up. A batch of documents writes the sets of those that are in an edge, one for each centre it is
joined to, ascending by centre (`carry`); a range of centres reads its stars out of all these files and regroups them
as `regroup.py` says (`verify_range`). A star that does not fit into memory comes in pieces, its leaders being kept.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .candidates import EDGE, tidy_edges
from .jaccard import ShingleSets
from .regroup import FEW, ROUNDS, Stars, regroup
from .sorted_files import SortedFile, subranges, write_sorted

__all__ = ["CELLS", "carry", "centre_ranges", "verify_range"]

ShinglesOf = Callable[[NDArray[np.int64]], Iterator[tuple[NDArray[np.int64], ShingleSets]]]
"""The sets of some documents (ascending rows), in the same order, a part at a time."""

STAR = (np.int64, np.int64, np.int64, np.uint32)
"""Centre, member, where the member's set ends among the hashes, hashes."""
MEMBER_BYTES = 24
CELLS = 1024
"""Even ranges of rows by which the bytes of stars are counted."""


def carry(
    folder: Path,
    number: int,
    edges: Sequence[Path],
    rows: range,
    documents: int,
    sets_of: ShinglesOf,
    memory_bytes: int,
) -> dict[str, Any]:
    """Write `sets-<number>-<0, 1, …>`: the sets of a batch's documents (`rows`) for every star they are in.

    Returns `files`, `disk_bytes` and `cells`, the bytes of memory by centre in CELLS even ranges of `documents` rows.
    """
    row, first = _edges_of_rows(edges, rows)
    cells = np.zeros(CELLS, np.int64)
    wrote = {"files": 0, "disk_bytes": 0}
    held: list[_Carried] = []

    def flush() -> None:
        path = folder / f"sets-{number:06d}-{wrote['files']:04d}"
        wrote["disk_bytes"] += _write_sets(path, held)
        wrote["files"] += 1
        held.clear()

    held_bytes = 0
    for some, sets in sets_of(np.unique(row)) if len(row) else ():
        part = slice(*np.searchsorted(row, [some[0], some[-1] + 1]))
        place = np.searchsorted(some, row[part])
        size = 4 * np.diff(sets.offsets)[place] + MEMBER_BYTES
        cells += np.bincount(first[part] * CELLS // documents, size, CELLS).astype(np.int64)
        # A few documents at a time come in, but files must be large: each range of centres reads from all of them.
        for piece in _fitting(size, memory_bytes // 3):
            piece_bytes = int(size[piece].sum())
            if held and held_bytes + piece_bytes > memory_bytes // 3:
                flush()
                held_bytes = 0
            held.append(_Carried(row[part][piece], first[part][piece], place[piece], sets))
            held_bytes += piece_bytes
    if held:
        flush()
    return {**wrote, "cells": cells.tolist()}


class _Carried(NamedTuple):
    """Members and centres of stars, and which of the sets is each member's."""

    row: NDArray[np.int64]
    first: NDArray[np.int64]
    place: NDArray[np.int64]
    sets: ShingleSets


def _fitting(size: NDArray[np.int64], limit: int) -> Iterator[slice]:
    """Slices of neighbours of at most `limit` together, or one alone."""
    ends, begin = np.cumsum(size), 0
    while begin < len(ends):
        stop = max(begin + 1, int(np.searchsorted(ends, ends[begin] - size[begin] + limit, "right")))
        yield slice(begin, stop)
        begin = stop


def _edges_of_rows(edges: Sequence[Path], rows: range) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    found = [(np.empty(0, np.int64), np.empty(0, np.int64))]
    for path in edges:
        file = SortedFile(path, EDGE)
        part = file.span(rows.start, rows.stop - 1)
        found.append((file.read(0, part), file.read(1, part)))
    return tidy_edges(np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found]))


def _write_sets(path: Path, held: Sequence[_Carried]) -> int:
    from .band_kernels import sort_pairs
    from .jaccard_kernels import take_sets

    before = np.cumsum([0, *(len(one.sets) for one in held)])
    row = np.concatenate([one.row for one in held])
    place = np.concatenate([one.place + shift for one, shift in zip(held, before, strict=False)])
    lengths = np.concatenate([np.diff(one.sets.offsets) for one in held])
    sets = ShingleSets(np.append(0, np.cumsum(lengths)), np.concatenate([one.sets.hashes for one in held]))
    first = np.concatenate([one.first for one in held])
    first, order = sort_pairs(first, np.arange(len(first)), int(first.max()).bit_length())
    offsets, hashes = take_sets(*sets, place[order])
    return write_sorted(path, first, row[order], offsets[1:], hashes)


def centre_ranges(cells: NDArray[np.int64], documents: int, memory_bytes: int) -> list[tuple[int, int]]:
    """Ranges of centres, both ends included, of stars of about `memory_bytes` each: some times what is read at once.

    >>> centre_ranges(np.array([10, 0, 10, 10]), 8, 20)
    [(0, 5), (6, 7)]
    """
    # A cell of `carry` holds the rows with row * cells // documents = cell.
    ends = [-(-documents * (cell + 1) // len(cells)) for cell in range(len(cells))]
    found, begin, held = [], 0, 0
    for cell, end in enumerate(ends):
        held += int(cells[cell])
        if (held >= memory_bytes or cell == len(cells) - 1) and end > begin:
            found.append((begin, end - 1))
            begin, held = end, 0
    return found


def verify_range(
    folder: Path, number: int, carried: Sequence[Path], centres: tuple[int, int], threshold: float, memory_bytes: int
) -> dict[str, int]:
    """Write `held-<number>-<0, 1, …>`: the edges (row, earlier row) that hold in a range of centres, ends included.

    Returns `files`, `edges`, `compared` (members of stars with their centre), `cut` (how many of them it refused) and
    `disk_bytes`.
    """
    files = [SortedFile(path, STAR) for path in carried]
    limit = max(1, memory_bytes // 4)
    wrote = {"files": 0, "edges": 0, "compared": 0, "cut": 0, "disk_bytes": 0}
    held: list[NDArray[np.int64]] = []
    held_bytes = 0

    def flush() -> None:
        both = np.concatenate(held)
        row, first = tidy_edges(both.max(axis=1), both.min(axis=1))
        wrote["disk_bytes"] += write_sorted(folder / f"held-{number:06d}-{wrote['files']:04d}", row, first)
        wrote["files"] += 1
        wrote["edges"] += len(row)
        held.clear()

    for found, compared, cut in _stars(files, *centres, threshold, limit):
        if held and held_bytes + found.nbytes > limit:
            flush()
            held_bytes = 0
        if len(found):
            held.append(found)
            held_bytes += found.nbytes
        wrote["compared"] += compared
        wrote["cut"] += cut
    if held:
        flush()
    return wrote


class _Members(NamedTuple):
    """Some members of stars in a file: their centres (ascending), their rows, and where their sets end; all read."""

    file: SortedFile
    centres: NDArray[np.int64]
    rows: NDArray[np.int64]
    ends: NDArray[np.int64]
    """One more than the members: the first set's beginning comes first."""


def _stars(
    files: Sequence[SortedFile], low: int, high: int, threshold: float, limit: int
) -> Iterator[tuple[NDArray[np.int64], int, int]]:
    """Edges that hold, members compared with their centre, and how many of them it refused; bounded pieces of each."""
    for begin, end, count in subranges(files, low, high, max(FEW, limit // MEMBER_BYTES)):
        if count * MEMBER_BYTES > limit and count > FEW:
            yield from _stream_star(files, begin, threshold, limit)
            continue
        read = [_members(file, file.span(begin, end)) for file in files]
        members = [one for one in read if len(one.rows)]
        for group in _groups(members, limit):
            if group.set_bytes > limit and group.rows > FEW:
                yield from _stream_star(files, group.first, threshold, limit)
                continue
            rows, centre, sets = _read_stars(members, group)
            begins = np.flatnonzero(np.append(True, centre[1:] != centre[:-1]))
            result = regroup(Stars(np.append(begins, len(rows)), np.arange(len(rows))), sets, threshold=threshold)
            yield rows[result.edges], result.compared, result.cut


def _members(file: SortedFile, part: slice) -> _Members:
    before = file.read(2, slice(part.start - 1, part.start)) if part.start else np.zeros(1, np.int64)
    return _Members(file, file.read(0, part), file.read(1, part), np.append(before, file.read(2, part)))


class _Group(NamedTuple):
    """Stars of neighbouring centres: the first centre, how many rows and bytes of sets, and the place in each file."""

    first: int
    rows: int
    set_bytes: int
    begins: NDArray[np.int64]
    stops: NDArray[np.int64]


def _groups(members: Sequence[_Members], limit: int) -> list[_Group]:
    """Whole stars, neighbours together, whose sets have at most `limit` bytes; or one star alone.

    A list and no iterator: what it was made from is as large as the members, and must be gone when the sets are read.
    """
    from .band_kernels import sort_pairs

    centre = np.concatenate([one.centres for one in members])
    size = np.concatenate([4 * np.diff(one.ends) for one in members])
    centre, size = sort_pairs(centre, size, int(centre.max()).bit_length())
    begins = np.flatnonzero(np.append(True, centre[1:] != centre[:-1]))
    weights, rows, centre = np.add.reduceat(size, begins), np.diff(np.append(begins, len(centre))), centre[begins]
    parts = list(_fitting(weights, limit))
    # One search a file for all groups: one for each file and group takes longer than reading, with thousands of both.
    firsts = centre[[part.start for part in parts]]
    places = np.stack([np.append(np.searchsorted(one.centres, firsts), len(one.centres)) for one in members])
    return [
        _Group(int(first), int(rows[part].sum()), int(weights[part].sum()), places[:, number], places[:, number + 1])
        for number, (first, part) in enumerate(zip(firsts, parts, strict=True))
    ]


def _read_stars(members: Sequence[_Members], group: _Group) -> tuple[NDArray[np.int64], NDArray[np.int64], ShingleSets]:
    """Members, their centres (ascending) and their sets; within a star members ascend, the centre first."""
    from .band_kernels import sort_pairs
    from .jaccard_kernels import take_sets

    having = np.flatnonzero(group.stops > group.begins).tolist()
    parts = [(members[k], slice(int(group.begins[k]), int(group.stops[k]))) for k in having]
    centre = np.concatenate([one.centres[part] for one, part in parts])
    rows = np.concatenate([one.rows[part] for one, part in parts])
    lengths = np.concatenate([np.diff(one.ends[part.start : part.stop + 1]) for one, part in parts])
    offsets = np.append(0, np.cumsum(lengths))
    hashes = np.empty(offsets[-1], np.uint32)
    filled = 0
    for one, part in parts:
        begin, stop = int(one.ends[part.start]), int(one.ends[part.stop])
        one.file.read_into(3, begin, hashes[filled : filled + stop - begin])
        filled += stop - begin
    # Files come in the order of their rows, so a stable sort by centre leaves every star's members ascending.
    centre, order = sort_pairs(centre, np.arange(len(rows)), int(centre.max()).bit_length())
    return rows[order], centre, ShingleSets(*take_sets(offsets, hashes, order))


def _stream_star(
    files: Sequence[SortedFile], centre: int, threshold: float, limit: int
) -> Iterator[tuple[NDArray[np.int64], int, int]]:
    """`_stars` of one star read in pieces, its leaders and their sets kept from piece to piece."""
    from .jaccard_kernels import NOBODY, join_rest, take_sets

    leaders, leading = np.empty(0, np.int64), ShingleSets(np.zeros(1, np.int64), np.empty(0, np.uint32))
    for rows, sets in _star_pieces(files, centre, limit):
        known = len(leaders)
        both = np.append(leaders, rows)
        offsets = np.append(leading.offsets, sets.offsets[1:] + leading.offsets[-1])
        hashes = np.append(leading.hashes, sets.hashes)
        places = np.empty(ROUNDS, np.int64)
        taken, many = join_rest(offsets, hashes, known, threshold, ROUNDS, places)
        mine = np.arange(known, len(both))
        joined = mine[(taken[known:] != NOBODY) & (taken[known:] != mine)]
        # The first leader is the centre, which is no member of its own.
        compared = len(rows) - (known == 0)
        yield np.stack([both[joined], both[taken[joined]]], axis=1), compared, int((taken[known:] != places[0]).sum())
        leaders, leading = both[places[:many]], ShingleSets(*take_sets(offsets, hashes, places[:many]))


def _star_pieces(
    files: Sequence[SortedFile], centre: int, limit: int
) -> Iterator[tuple[NDArray[np.int64], ShingleSets]]:
    for file in files:
        part = file.span(centre, centre)
        begin = part.start
        while begin < part.stop:
            some = _members(file, slice(begin, min(begin + limit // MEMBER_BYTES + 1, part.stop)))
            fitting = int(np.searchsorted(some.ends, some.ends[0] + limit // 4, "right")) - 1
            ends = some.ends[: max(1, fitting) + 1]
            hashes = file.read(3, slice(int(ends[0]), int(ends[-1])))
            yield some.rows[: len(ends) - 1], ShingleSets(ends - ends[0], hashes)
            begin += len(ends) - 1
