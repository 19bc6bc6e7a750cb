"""Records of an index in; few ranges that hold them out, and the records back from the bytes of one range, checked.

Neighbours no further apart than a gap share a request. A record whose digest does not agree is asked for once more by
itself; what the server then sends again is how the archive is, and counted.
"""

import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from .fetch_config import Access
from .fetch_file import digest_fault
from .fetch_remote import copy_place
from .warc import Record, SliceReader

__all__ = ["Member", "RangeReader", "Spans", "members_digest", "members_of", "most_of", "spans"]


@dataclass(frozen=True, slots=True)
class Member:
    """A record as the index knows it: offset and length of its gzip member, SHA-1 of its payload in base 32 or ""."""

    offset: int
    length: int
    digest: str


@dataclass(frozen=True, slots=True)
class Spans:
    """Ranges, row-aligned: [`start`, `stop`) of the file, holding `count` records from row `first` on."""

    start: np.ndarray
    stop: np.ndarray
    first: np.ndarray
    count: np.ndarray

    @property
    def n_bytes(self) -> int:
        """All bytes that will be asked for, gaps included."""
        return int((self.stop - self.start).sum())


def spans(
    file: np.ndarray, offset: np.ndarray, length: np.ndarray, *, max_gap_bytes: int, max_range_bytes: int
) -> Spans:
    """Ranges over records sorted by file number and offset, each once.

    >>> found = spans(np.array([0, 0, 0]), np.array([0, 50, 500]), np.array([10, 10, 10]),
    ...               max_gap_bytes=100, max_range_bytes=1000)
    >>> found.start.tolist(), found.stop.tolist(), found.count.tolist(), found.n_bytes
    ([0, 500], [60, 510], [2, 1], 70)
    """
    n_rows = len(offset)
    if n_rows == 0:
        none = np.zeros(0, np.int64)
        return Spans(none, none, none, none)
    offset = offset.astype(np.int64)
    end = offset + length
    apart = np.ones(n_rows, bool)
    apart[1:] = (file[1:] != file[:-1]) | (offset[1:] - end[:-1] > max_gap_bytes)
    firsts = _cut_long(np.flatnonzero(apart), offset, end, max_range_bytes)
    counts = np.diff(np.append(firsts, n_rows))
    return Spans(offset[firsts], end[firsts + counts - 1], firsts, counts)


def most_of(
    file: np.ndarray, offset: np.ndarray, length: np.ndarray, *, max_gap_bytes: int, max_range_bytes: int
) -> tuple[int, int]:
    """Most bytes and requests that the ranges of any choice of these records can take.

    Ranges of a choice lie within runs of records whose gaps are short. Between two ranges of a run stand more than
    `max_gap_bytes`, or the first and the record behind it would pass `max_range_bytes`, which of each two such places
    only one can share; and every range holds a record.

    >>> most_of(np.array([0, 0, 0]), np.array([0, 50, 500]), np.array([10, 10, 10]),
    ...         max_gap_bytes=100, max_range_bytes=1000)
    (70, 2)
    """
    runs = spans(file, offset, length, max_gap_bytes=max_gap_bytes, max_range_bytes=np.iinfo(np.int64).max)
    reach = runs.stop - runs.start
    ranges = 1 + reach // (max_gap_bytes + 1) + 2 * (reach // max_range_bytes)
    return runs.n_bytes, int(np.minimum(runs.count, ranges).sum())


def _cut_long(firsts: np.ndarray, offset: np.ndarray, end: np.ndarray, max_range_bytes: int) -> np.ndarray:
    """First rows of the ranges, longer ones cut where the next record would pass the limit: one search a range."""
    found: list[np.ndarray] = [firsts]
    stops = np.append(firsts[1:], len(offset))
    long = np.flatnonzero(end[stops - 1] - offset[firsts] > max_range_bytes)
    for first, stop in zip(firsts[long].tolist(), stops[long].tolist(), strict=True):
        cuts = []
        while True:
            inside = int(np.searchsorted(end[first:stop], offset[first] + max_range_bytes, side="right"))
            first += max(1, inside)
            if first >= stop:
                break
            cuts.append(first)
        found.append(np.array(cuts, np.int64))
    return np.sort(np.concatenate(found))


def members_of(records: pa.Table, first: int, count: int) -> tuple[Member, ...]:
    """Some rows of the plan's records (offset, length, digest)."""
    rows = records.slice(first, count)
    columns = [rows[name].to_pylist() for name in ("offset", "length", "digest")]
    return tuple(Member(*row) for row in zip(*columns, strict=True))


def members_digest(members: Sequence[Member]) -> str:
    """What tells one choice of records from another; empty for none."""
    text = "\n".join(f"{member.offset} {member.length}" for member in members)
    return hashlib.sha256(text.encode()).hexdigest() if members else ""


class RangeReader:
    """The records of one range of an archive; iterate once.  Afterwards as a `SliceReader`.

    `skipped_bytes` is 0: what lies in the gaps is not wanted.
    """

    def __init__(
        self, place: str, access: Access, members: Sequence[Member], *, start: int, stop: int, max_record_bytes: int
    ) -> None:
        self._place, self._access, self._members = place, access, members
        self._start, self._stop, self._max_record_bytes = start, stop, max_record_bytes
        self._sha256 = hashlib.sha256()
        self.first_offset: int | None = members[0].offset if members else None
        self.next_offset: int | None = None
        self.skipped_bytes = 0
        self.faults: Counter[str] = Counter()

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the range."""
        return self._sha256.hexdigest()

    @property
    def hashed_bytes(self) -> int:
        """Bytes of the range."""
        return self._stop - self._start

    def __iter__(self) -> Iterator[Record]:
        data = bytearray(self._bytes(self._start, self._stop))
        for member in self._members:
            at = member.offset - self._start
            records, wrong = self._read(member, bytes(data[at : at + member.length]))
            if wrong:
                again = self._bytes(member.offset, member.offset + member.length)
                self.faults["mended_record" if again != data[at : at + member.length] else "wrong_digest"] += 1
                data[at : at + member.length] = again
                records, _ = self._read(member, again)
            yield from records
        self._sha256.update(data)

    def _bytes(self, start: int, stop: int) -> bytes:
        if "://" in self._place:
            data = bytearray()
            copy_place(self._place, data.extend, start, stop, self._access, size=None)
            return bytes(data)
        with open(self._place, "rb") as local:
            local.seek(start)
            return local.read(stop - start)

    def _read(self, member: Member, data: bytes) -> tuple[list[Record], bool]:
        """The records of a member at their place in the archive, and whether they are not what the index says."""
        size = len(data)
        reader = SliceReader(
            io.BytesIO(data), start=0, stop=size, size=size, begin=0, max_record_bytes=self._max_record_bytes
        )
        records = [replace(record, offset=member.offset + record.offset) for record in reader]
        broken = sum(reader.faults.values()) - reader.faults["record_over_limit"] + reader.skipped_bytes
        if broken or not records:
            return records, True
        return records, bool(digest_fault(records[0], member.digest))
