"""Repeated lines, a barrier: templates of a host and paragraphs of the whole corpus, found out of core, as edits.

Within a host, a line stands on a page when it is one of its lines, folded and without white space. A line that stands
on a set share of the host's pages is repeated. Headings of a manual are, too ("Example", "戻り値"), so only runs of
adjacent repeated lines are cut that touch an end of the text, have three lines, or 40 characters. A page that would
lose more than `host_max_cut` stays whole: copies of one article under several addresses look like a template, and are
for near-duplicates to find.

Across the corpus, cc_net's paragraphs (Wenzek et al. 2020, arXiv:1911.00359): lines in lower case, digits taken for 0,
without punctuation and white space, by a 64-bit hash. Copies are counted in the order of the documents.

Three passes: every task counts its parts' lines and writes them sorted by key (`split_batch`); ranges of the key, then
of the host, are summed up over all files (`hosts_of_range`, `lines_of_range`, `copies_of_range`); each part looks its
lines up again and commits its edits (`edits_of_batch`). Keys are hashes, so ranges are even; a task holds at most
`memory_mb`, whatever the corpus, for a key has one row for some 100,000 lines that a task has counted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from seimai.files import canonical_json, read_json, write_atomic

from .cleaning import CleaningConfig
from .edits import Spans, apply_edits, edit_table, join_spans, read_edits, to_original
from .lines import Lines, cut_lines, runs, split_lines
from .order import Batch, Entry
from .sorted_files import SortedFile, write_sorted

__all__ = [
    "VERSION",
    "Search",
    "copies_of_range",
    "edits_of_batch",
    "hosts_of_range",
    "key_range",
    "lines_of_range",
    "split_batch",
]

VERSION = 1

MIN_RUN_LINES = 3
MIN_RUN_CHARS = 40
MIN_LETTERS = 2
"""A line with fewer letters is nobody's template: a brace, a number, a rule."""
ROW_BYTES = 100
"""Memory of a row while it is sorted, with what it is sorted from."""

Keys = NDArray[np.uint64]
LINE = ("<u8", "<u8", "<i8")
"""Key, host, pages of the host that have the line."""
COUNT = ("<u8", "<i8")
"""Key, and how many."""
COPY = ("<u8", "<i8", "<i8")
"""Key, file of counts, copies that may stay among those it counts (-1 as the file: none anywhere)."""


@dataclass(frozen=True, slots=True)
class Search:
    """What the tasks of a run know: where it lies, where they work, what is asked for."""

    run: Path
    work: Path
    config: CleaningConfig

    @property
    def rows(self) -> int:
        """Rows that a task may hold."""
        return max(1000, self.config.memory_mb * 1_000_000 // ROW_BYTES)


@dataclass(slots=True)
class _Part:
    """The lines of a part as the line rules leave it, and their keys; 0: no key."""

    ids: pa.Array
    hosts: Keys
    spans: Spans
    lines: Lines
    host_keys: Keys
    copy_keys: Keys


def split_batch(batch: Batch, search: Search) -> tuple[int, dict[str, int]]:
    """Count a batch's lines into sorted files; returns how many files of each kind, and their rows by kind.

    A file is written when the rows pass `search.rows`, at the end of a part; `parts-*.json` says how many parts each
    file holds, so that the last pass can follow.
    """
    parts: list[int] = []
    totals = {"lines": 0, "hosts": 0, "copies": 0}
    open_parts = 0
    found: dict[str, list[tuple[NDArray[Any], ...]]] = {kind: [] for kind in totals}

    def close() -> None:
        name = f"{batch.number:06d}-{len(parts):04d}"
        for kind, pieces in found.items():
            columns = _summed(pieces, len(LINE) if kind == "lines" else len(COUNT))
            write_sorted(search.work / f"{kind}-{name}.bin", *columns)
            totals[kind] += len(columns[0])
            pieces.clear()
        parts.append(open_parts)

    for entry in batch.entries:
        part = _read_part(search, entry)
        for kind, columns in _counts(part).items():
            found[kind].append(columns)
        open_parts += 1
        if sum(len(columns[0]) for pieces in found.values() for columns in pieces) > search.rows:
            close()
            open_parts = 0
    if open_parts:
        close()
    write_atomic(search.work / f"parts-{batch.number:06d}.json", canonical_json(parts))
    return len(parts), totals


def key_range(number: int, count: int) -> tuple[int, int]:
    """First and last 64-bit key of one of `count` even ranges.

    >>> key_range(1, 2) == (2**63, 2**64 - 1)
    True
    """
    return (2**64 * number) // count, (2**64 * (number + 1)) // count - 1


def hosts_of_range(number: int, search: Search, ranges: int) -> int:
    """Sum up the pages of the hosts in a range, and keep the hosts with enough of them; returns how many."""
    host, pages = _summed(_in_range(search, "hosts", COUNT, number, ranges), len(COUNT))
    large = pages >= search.config.host_min_pages
    write_sorted(search.work / f"large-{number:06d}.bin", host[large], pages[large])
    return int(large.sum())


def lines_of_range(number: int, search: Search, ranges: int, host_ranges: int) -> int:
    """Sum up the lines in a range, and keep the keys of those that stand on enough of their host's pages."""
    key, host, pages = _summed(_in_range(search, "lines", LINE, number, ranges), len(LINE))
    least = max(2.0, search.config.host_share * search.config.host_min_pages)
    some = pages >= least
    key, host, pages = key[some], host[some], pages[some]
    of_host = np.zeros(len(key), np.int64)
    for place in range(host_ranges):
        low, high = key_range(place, host_ranges)
        mine = np.flatnonzero((host >= np.uint64(low)) & (host <= np.uint64(high)))
        large = SortedFile(search.work / f"large-{place:06d}.bin", COUNT)
        at = _find(large.read(0), host[mine])
        of_host[mine[at >= 0]] = large.read(1)[at[at >= 0]]
    repeated = (of_host > 0) & (pages >= search.config.host_share * of_host)
    write_sorted(search.work / f"cut-lines-{number:06d}.bin", key[repeated])
    return int(repeated.sum())


def copies_of_range(number: int, search: Search, ranges: int) -> int:
    """Sum up the paragraphs in a range; for those with too many copies, how many may stay among each file's."""
    pieces = list(_in_range(search, "copies", COUNT, number, ranges))
    key = np.concatenate([np.empty(0, np.uint64), *(piece[0] for piece in pieces)])
    copies = np.concatenate([np.empty(0, np.int64), *(piece[1] for piece in pieces)])
    file = np.repeat(np.arange(len(pieces)), [len(piece[0]) for piece in pieces])
    order = np.lexsort((file, key))
    key, copies, file = key[order], copies[order], file[order]
    begins, sizes = _groups(key)
    totals = np.add.reduceat(copies, begins) if len(key) else copies
    before = np.cumsum(copies) - copies
    before -= np.repeat(before[begins], sizes)
    may_stay = search.config.corpus_max_copies if search.config.corpus == "first" else 0
    left = np.clip(may_stay - before, 0, copies)
    many = np.repeat(totals > search.config.corpus_max_copies, sizes)
    first = np.zeros(len(key), np.bool_)
    first[begins] = True
    kept = many & ((left > 0) | (first & (may_stay == 0)))
    write_sorted(search.work / f"cut-copies-{number:06d}.bin", key[kept], file[kept].astype(np.int64), left[kept])
    return int(kept.sum())


def edits_of_batch(
    batch: Batch, search: Search, first_file: int, ranges: Mapping[str, int]
) -> Iterator[tuple[Entry, pa.Table]]:
    """The edits of each part of a batch, whose first file of counts is number `first_file` in the run."""
    entries = iter(batch.entries)
    for number, parts in enumerate(read_json(search.work / f"parts-{batch.number:06d}.json")):
        name = f"{batch.number:06d}-{number:04d}.bin"
        lines = SortedFile(search.work / f"lines-{name}", LINE).read(0)
        copies = SortedFile(search.work / f"copies-{name}", COUNT).read(0)
        repeated = _repeated_keys(search, lines, ranges["lines"])
        many, left = _copies_left(search, copies, first_file + number, ranges["copies"])
        for _ in range(parts):
            entry = next(entries)
            yield entry, _edits(search, _read_part(search, entry), repeated, many, left)


def _edits(search: Search, part: _Part, repeated: Keys, many: Keys, left: NDArray[np.int64]) -> pa.Table:
    """The edits of a part; counts off the copies that stay in `left`."""
    from .repeated_kernels import count_off

    of_host = _find(repeated, part.host_keys) >= 0
    of_host = _without_large_cuts(part.lines, _whole_runs(part.lines, of_host), search.config.host_max_cut)
    of_corpus = count_off(_find(many, part.copy_keys), left)
    cut = of_host | of_corpus
    found = cut_lines(part.lines, cut)
    back = to_original(part.spans, found.row, found.start, found.end)
    reasons = np.where(of_host[cut], "host_line", "corpus_line").tolist()
    return edit_table(part.ids, back, pa.array(reasons, pa.string()))


def _whole_runs(lines: Lines, marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The marked lines in runs that touch an end of the text or are long enough."""
    firsts, lasts = runs(lines, marked)
    ends = np.cumsum(lines.chars)
    chars = ends[lasts] - ends[firsts] + lines.chars[firsts]
    long = (lasts - firsts + 1 >= MIN_RUN_LINES) | (chars >= MIN_RUN_CHARS)
    wanted = long | (lines.from_start[firsts] == 0) | (lines.from_end[lasts] == 0)
    steps = np.zeros(len(marked) + 1, np.int64)
    steps[firsts[wanted]] += 1
    steps[lasts[wanted] + 1] -= 1
    return np.cumsum(steps)[:-1] > 0


def _without_large_cuts(lines: Lines, marked: NDArray[np.bool_], most: float) -> NDArray[np.bool_]:
    """The marked lines of texts that keep at least 1 - `most` of their lines' characters."""
    texts = len(lines.lengths)
    cut, whole = np.bincount(lines.text, lines.chars * marked, texts), np.bincount(lines.text, lines.chars, texts)
    return marked & (cut <= most * whole)[lines.text]


def _read_part(search: Search, entry: Entry) -> _Part:
    from .repeated_kernels import hash_lines
    from .text_kernels import slices
    from .unicode_table import fold_table

    path = search.run / "documents" / f"{entry.part}.parquet"
    documents = pq.read_table(path, columns=["id", "host", "text"])
    ids = documents["id"].combine_chunks()
    spans = join_spans(ids, read_edits(search.run, entry.part, ["line_rules"]))
    texts = apply_edits(documents["text"].combine_chunks(), spans)
    hosts, lines, table = _host_hashes(documents["host"]), split_lines(texts), fold_table()
    host_keys, copy_keys = np.zeros(len(lines.text), np.uint64), np.zeros(len(lines.text), np.uint64)
    for part in slices(texts):
        rows = slice(*np.searchsorted(lines.text, [part.first, part.last]))
        base = part.offsets[lines.text[rows] - part.first]
        bounds, host = (base + lines.start[rows], base + lines.end[rows]), hosts[lines.text[rows]]
        of_host, coarse, length = hash_lines(part.codes, part.classes, *bounds, host, table.block_of, table.blocks)
        host_keys[rows] = np.where((lines.letters[rows] >= MIN_LETTERS) & (host > 0), of_host, 0)
        copy_keys[rows] = np.where(length >= search.config.corpus_min_chars, coarse, 0)
    if search.config.host_min_pages == 0:
        host_keys[:] = 0
    if search.config.corpus == "off":
        copy_keys[:] = 0
    return _Part(ids, hosts, spans, lines, host_keys, copy_keys)


def _host_hashes(hosts: pa.ChunkedArray) -> Keys:
    """A 64-bit hash of each host; 0 where there is none."""
    codes = hosts.combine_chunks().dictionary_encode()
    digests = [blake2b(name.encode(), digest_size=8).digest() for name in codes.dictionary.to_pylist()]
    known = np.append(np.frombuffer(b"".join(digests), "<u8"), np.uint64(0))
    return np.asarray(known[codes.indices.fill_null(len(digests)).to_numpy()])


def _counts(part: _Part) -> dict[str, tuple[NDArray[Any], ...]]:
    """Pages by line and by host, and copies by paragraph, of one part; not summed up over keys yet."""
    keyed = np.flatnonzero(part.host_keys)
    order = keyed[np.lexsort((part.lines.text[keyed], part.host_keys[keyed]))]
    key, text = part.host_keys[order], part.lines.text[order]
    once = np.ones(len(order), np.bool_)
    once[1:] = (key[1:] != key[:-1]) | (text[1:] != text[:-1])
    with_lines = part.hosts[np.unique(part.lines.text)]
    hosts, pages = np.unique(with_lines[with_lines > 0], return_counts=True)
    paragraphs, copies = np.unique(part.copy_keys[part.copy_keys > 0], return_counts=True)
    ones = np.ones(int(once.sum()), np.int64)
    lines = _summed([(key[once], part.hosts[text[once]], ones)], len(LINE))
    return {"lines": lines, "hosts": (hosts, pages), "copies": (paragraphs, copies)}


def _summed(pieces: Any, width: int) -> tuple[NDArray[Any], ...]:
    """Rows of all pieces by ascending key, each key once: the last column summed up, the others as they are first."""
    pieces = list(pieces)
    if not pieces:
        return tuple(np.empty(0, kind) for kind in (LINE if width == len(LINE) else COUNT))
    columns = [np.concatenate([piece[n] for piece in pieces]) for n in range(width)]
    order = np.argsort(columns[0], kind="stable")
    columns = [column[order] for column in columns]
    begins, _ = _groups(columns[0])
    counts = np.add.reduceat(columns[-1], begins) if len(begins) else columns[-1]
    return (*(column[begins] for column in columns[:-1]), counts)


def _groups(key: Keys) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each value of a sorted column begins, and how often it stands."""
    begins = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])) if len(key) else np.empty(0, np.int64)
    return begins, np.diff(np.append(begins, len(key)))


def _in_range(
    search: Search, kind: str, kinds: tuple[str, ...], number: int, ranges: int
) -> Iterator[tuple[NDArray[Any], ...]]:
    """What each file of a kind has in a range of the key, file by file in the order of the documents."""
    low, high = key_range(number, ranges)
    for path in sorted(search.work.glob(f"{kind}-*.bin")):
        file = SortedFile(path, kinds)
        part = file.span(low, high)
        yield tuple(file.read(column, part) for column in range(len(kinds)))


def _find(known: Keys, wanted: Keys) -> NDArray[np.int64]:
    """Where each value stands in a sorted column without repeats; -1 where it does not."""
    if len(known) == 0:
        return np.full(len(wanted), -1, np.int64)
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[at] == wanted, at, -1)


def _within(keys: Keys, low: int, high: int) -> Keys:
    """The sorted keys from low to high, both included."""
    return keys[np.searchsorted(keys, np.uint64(low)) : np.searchsorted(keys, np.uint64(high), "right")]


def _repeated_keys(search: Search, keys: Keys, ranges: int) -> Keys:
    """Those of a file's keys whose lines are cut."""
    found = [np.empty(0, np.uint64)]
    for number in range(ranges if search.config.host_min_pages else 0):
        own = _within(keys, *key_range(number, ranges))
        cut = SortedFile(search.work / f"cut-lines-{number:06d}.bin", ("<u8",)).read(0)
        found.append(own[_find(cut, own) >= 0])
    return np.concatenate(found)


def _copies_left(search: Search, keys: Keys, file: int, ranges: int) -> tuple[Keys, NDArray[np.int64]]:
    """Those of a file's keys that have too many copies, and how many of its own may stay."""
    many, left = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for number in range(ranges if search.config.corpus != "off" else 0):
        own = _within(keys, *key_range(number, ranges))
        source = SortedFile(search.work / f"cut-copies-{number:06d}.bin", COPY)
        cut, files, stay = (source.read(column) for column in range(len(COPY)))
        begins, _ = _groups(cut)
        own = own[_find(cut[begins], own) >= 0]
        mine = files == file
        at, may_stay = _find(cut[mine], own), np.zeros(len(own), np.int64)
        may_stay[at >= 0] = stay[mine][at[at >= 0]]
        many.append(own)
        left.append(may_stay)
    return np.concatenate(many), np.concatenate(left)
