"""Passages of at least so many characters that stand more than once in a corpus, word for word, out of core.

Every window of that many code points is hashed, (hash, place) pairs are sorted and joined as band keys are (see
`candidates`), and what the windows with a twin cover are the spans. Places are numbered through the corpus. What could
be cut is less: no character of a passage's first place is cut, so that every passage still stands once, whole.

Cost: 16 bytes of disk a character while it works (five to sixteen times the text), about 0.4 s of a core a million
characters, memory as given. Two windows of one hash that differ: with n windows n^2 / 2^65, once in 40 corpora of a
billion characters.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seimai.errors import RunError

from .candidates import EDGE, edge_files, key_ranges
from .sorted_files import SortedFile, write_sorted

__all__ = ["SUBSTRING_SPANS", "Piece", "find_repeats", "repeated_substrings"]

Piece = tuple[int, Any]
"""Number of a piece of the corpus, and what `read` needs to read it."""
Read = Callable[[Any], Iterator[pa.Array]]
"""The texts of a piece, some at a time, the same whenever it is read; goes to the workers."""
Everywhere = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""The builtin `map`, or one of an engine that keeps the order."""

PLACE_BITS = 40
"""Bits of a place within its piece."""
KEY_BYTES = 48
"""Memory for a window while its file is made: hash and place, twice, and what is held before."""
LEAST_CHARS = 20

SUBSTRING_SPANS = pa.schema([("text", pa.int64()), ("start", pa.int64()), ("end", pa.int64()), ("cut", pa.bool_())])
"""Number of the text in its piece, code points; `cut` false: stands more than once; true: stands elsewhere before."""


@dataclass(frozen=True, slots=True)
class _Search:
    work: Path
    read: Read
    size: int
    memory_bytes: int


def repeated_substrings(texts: Sequence[str | None] | pa.Array, *, min_chars: int = 100) -> pa.Table:
    """Spans of at least `min_chars` code points that stand more than once in `texts`, schema SUBSTRING_SPANS.

    Ascending by text and start; rows with `cut` false are the longest such spans, rows with `cut` true what may be
    taken out so that each passage still stands once. ValueError below 20 characters: that is what language is made of.

    >>> line = "This site uses cookies to serve you better."
    >>> spans = repeated_substrings([f"Rice. {line}", f"{line} Tea."], min_chars=40)
    >>> [tuple(span.values()) for span in spans.to_pylist()]
    [(0, 6, 49, False), (1, 0, 43, False), (1, 0, 43, True)]
    """
    from .text_kernels import as_strings

    array = as_strings(texts)
    with tempfile.TemporaryDirectory() as folder:
        found = find_repeats(Path(folder), _itself, [(0, array)], map, min_chars=min_chars, memory_bytes=256 << 20)
        return pa.concat_tables([SUBSTRING_SPANS.empty_table(), *(table for _, table in found)])


def _itself(array: pa.Array) -> Iterator[pa.Array]:
    yield array


def find_repeats(
    work: Path, read: Read, pieces: Sequence[Piece], everywhere: Everywhere, *, min_chars: int, memory_bytes: int
) -> Iterator[tuple[int, pa.Table]]:
    """The spans of every piece in order; `work` is an empty folder that all workers share."""
    if min_chars < LEAST_CHARS:
        raise ValueError(f"min_chars = {min_chars}: must be at least {LEAST_CHARS}")
    search = _Search(work, read, min_chars, memory_bytes)
    written = list(everywhere(partial(_hash_piece, search), pieces))
    ranges = list(enumerate(key_ranges(sum(keys for _, keys in written), memory_bytes)))
    joined = sum(everywhere(partial(_join_range, search, sum(files for files, _ in written)), ranges))
    yield from everywhere(partial(_spans_of_piece, search, joined), pieces)


def _hash_piece(search: _Search, piece: Piece) -> tuple[int, int]:
    """Write the sorted windows of a piece; how many files and windows."""
    from .band_kernels import sort_pairs
    from .window_kernels import hash_windows

    held: list[tuple[NDArray[np.uint64], NDArray[np.int64]]] = []
    wrote = windows = 0

    def flush() -> None:
        nonlocal wrote, windows
        keys, places = (np.concatenate(column) for column in zip(*held, strict=True))
        held.clear()
        write_sorted(search.work / f"keys-{piece[0]:06d}-{wrote:04d}", *sort_pairs(keys, places, 64))
        wrote, windows = wrote + 1, windows + len(keys)

    limit = max(1, search.memory_bytes // KEY_BYTES)
    for _, codes, starts, first in _coded(search, piece):
        found = hash_windows(codes, starts, search.size, first)
        if held and sum(len(keys) for keys, _ in held) + len(found[0]) > limit:
            flush()
        if len(found[0]):
            held.append(found)
    if held:
        flush()
    return wrote, windows


def _join_range(search: _Search, files: int, item: tuple[int, tuple[int, int]]) -> int:
    """Write the edges of a range of hashes: each place with the first of its hash; how many files."""
    keys = _files(search.work, "keys", files)
    number, wanted = item
    memory_bytes = search.memory_bytes
    return edge_files(search.work, number, keys, wanted, exact=False, loops=True, memory_bytes=memory_bytes)["files"]


def _spans_of_piece(search: _Search, files: int, piece: Piece) -> tuple[int, pa.Table]:
    edges = [SortedFile(path, EDGE) for path in _files(search.work, "edges", files)]
    tables = [SUBSTRING_SPANS.empty_table()]
    for first_text, codes, starts, first in _coded(search, piece):
        # A free place behind every text keeps the spans of neighbours apart.
        gaps = np.arange(len(starts))
        marks = np.zeros((2, len(codes) + len(starts) + 1), np.int32)
        for file in edges:
            part = file.span(first, first + len(codes) - 1)
            places, earlier = file.read(0, part), file.read(1, part)
            text = np.searchsorted(starts, places - first, "right") - 1
            begins = places - first + gaps[text]
            for kind, chosen in ((0, begins), (1, begins[places == earlier])):
                np.add.at(marks[kind], chosen, 1)
                np.add.at(marks[kind], chosen + search.size, -1)
        covered, origin = np.cumsum(marks, axis=1) > 0
        for cut, where in ((False, covered), (True, covered & ~origin)):
            turns = np.flatnonzero(np.diff(where.astype(np.int8), prepend=0, append=0))
            begin, end = turns[::2], turns[1::2]
            text = np.searchsorted(starts + gaps, begin, "right") - 1
            shift = (starts + gaps)[text]
            columns = [text + first_text, begin - shift, end - shift, np.full(len(text), cut)]
            tables.append(pa.table([pa.array(c) for c in columns], schema=SUBSTRING_SPANS))
    order = [("text", "ascending"), ("cut", "ascending"), ("start", "ascending")]
    return piece[0], pa.concat_tables(tables).sort_by(order).combine_chunks()


def _coded(search: _Search, piece: Piece) -> Iterator[tuple[int, NDArray[np.int32], NDArray[np.int64], int]]:
    """Consecutive texts of a piece: number of the first, code points, where each begins, the first place."""
    from .text_kernels import slices

    text, place = 0, piece[0] << PLACE_BITS
    for array in search.read(piece[1]):
        for part in slices(array):
            yield text + part.first, part.codes, part.offsets, place
            place += len(part.codes)
        text += len(array)


def _files(work: Path, prefix: str, count: int) -> list[Path]:
    paths = sorted(work.glob(f"{prefix}-*"))
    if len(paths) != count:
        raise RunError(f"{work}: has {len(paths)} files {prefix}-*, not {count}; type the same command again")
    return paths
