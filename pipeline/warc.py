"""WARC records from a slice of an archive: damaged members cost only themselves, and nothing is lost in silence."""

import hashlib
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from fastwarc.warc import ArchiveIterator, WarcRecord
from isal import isal_zlib

__all__ = ["VERSION", "Record", "SliceReader", "member_start"]

VERSION = 3
GZIP_MAGIC = b"\x1f\x8b\x08"
CHUNK_BYTES = 1 << 15
MEMBER_BYTES = 1 << 13
"""Bytes of a member that are read at once; half of all have less than a third of it."""
UNIT_BYTES = 1 << 22
"""Members that inflate to less are read at once; longer ones are streamed, at about half the speed."""
HEAD_BYTES = 64
_BrokenMember = cast(type[Exception], isal_zlib.error)  # its stub says that it is an instance
MAX_PLAIN_BYTES = 1 << 13
_PLAIN_HEADERS = re.compile(rb"WARC/1\.[01](?:\r\n[A-Za-z0-9-]+: [!-~](?:[ -~]*[!-~])?)+")
"""Headers as everyone writes them: ASCII, one blank before the value, none behind it, no line folded."""
MAX_HEADER_BYTES = 1 << 17
"""Most bytes of a member that are looked at for its first inflated ones."""


@dataclass(frozen=True, slots=True)
class Record:
    """One WARC record: where it stands, its headers (names in lower case) and its content."""

    offset: int
    index: int
    kind: str
    headers: dict[str, str]
    content: bytes
    truncated: bool


class _Hashed(io.RawIOBase):
    """A file whose bytes are hashed as they are first read, so that a slice is fetched once."""

    def __init__(self, file: BinaryIO, start: int) -> None:
        self._file, self._pos, self._hashed_to = file, start, start
        self.start, self.digest = start, hashlib.sha256()
        self.failed = False
        file.seek(start)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._pos

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._pos = self._file.seek(offset, whence)
        return self._pos

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        try:
            data = self._file.read(len(view))
        except OSError:
            self.failed = True  # so that a failing disk or server is not taken for a damaged archive
            raise
        view[: len(data)] = data
        if self._pos <= self._hashed_to < self._pos + len(data):
            self.digest.update(memoryview(data)[self._hashed_to - self._pos :])
            self._hashed_to = self._pos + len(data)
        self._pos += len(data)
        return len(data)

    @property
    def hashed_bytes(self) -> int:
        return self._hashed_to - self.start


class _Unit(io.RawIOBase):
    """Inflated bytes from a member that begins a record up to the next member that does; seekable by rewinding.

    After the last byte `end` is the offset behind it in the archive, `before_record` says whether a record begins
    there, and `cut` that the archive ended inside a member.
    Until then `member` is the offset of the member at work, and `solid` the inflated bytes of those before it.
    """

    def __init__(self, file: BinaryIO, offset: int) -> None:
        self._file, self._offset = file, offset
        self.end: int | None = None
        self.cut = False
        self.before_record = False
        self._rewind()

    def _rewind(self) -> None:
        self._inflater = isal_zlib.decompressobj(31)
        self._next = self._offset
        self._pos = 0
        self._done = False
        self.member, self.solid = self._offset, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._pos

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET:
            raise io.UnsupportedOperation("a unit's length is not known before its end")
        if offset < self._pos:
            self._rewind()
        while self._pos < offset and self.take(min(CHUNK_BYTES, offset - self._pos)):
            pass
        return self._pos

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self.take(len(view))
        view[: len(data)] = data
        return len(data)

    def take(self, limit: int) -> bytes:
        """As `read` without a buffer of that size: up to `limit` more bytes, none at the end.

        Raises isal_zlib.error where a member is broken.
        """
        while not self._done:
            source = self._inflater.unconsumed_tail
            if not source:
                self._file.seek(self._next)
                source = self._file.read(MEMBER_BYTES)
                self._next += len(source)
            data = self._inflater.decompress(source, limit)
            self._pos += len(data)
            if self._inflater.eof:
                self._finish_member()
            elif not source and not data:
                self._done, self.cut, self.end = True, True, self._next
            if data:
                return data
        return b""

    def _finish_member(self) -> None:
        end = self._next - len(self._inflater.unused_data)
        head = _inflated_head(self._file, end)
        if head and not head.startswith(b"WARC/"):  # a record that goes on in the next member
            self._inflater, self._next = isal_zlib.decompressobj(31), end
            self.member, self.solid = end, self._pos
        else:
            self._done, self.end, self.before_record = True, end, bool(head)


class SliceReader:
    """The records whose members start in [`start`, `stop`) of an archive of `size` bytes; iterate once.

    A `stop` behind the end is the end, as in a slice of a list.
    `begin` is where the first member starts when the caller knows it (None: the first valid start at or after
    `start`). Afterwards: `first_offset` and `next_offset` (None: nothing found, or left open behind damage),
    `digest` and `hashed_bytes` of what was read from `start`, `skipped_bytes`, `faults` by name.
    """

    def __init__(
        self, file: BinaryIO, *, start: int, stop: int, size: int, begin: int | None, max_record_bytes: int
    ) -> None:
        self._raw = _Hashed(file, start)
        self._file = cast(BinaryIO, io.BufferedReader(self._raw, 1 << 18))
        self._start, self._stop, self._size, self._begin = start, min(stop, size), size, begin
        self._max_record_bytes = max_record_bytes
        self.first_offset: int | None = None
        self.next_offset: int | None = None
        self.skipped_bytes = 0
        self.faults: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Record]:
        self._file.seek(self._start)
        if self._start == 0 and self._file.read(5) == b"WARC/":
            yield from self._plain()
        else:
            yield from self._members()
        self._file.seek(self._raw.start + self._raw.hashed_bytes)
        while self._file.tell() < self._stop and self._file.read(CHUNK_BYTES):
            pass  # the digest covers the slice to its end, so that a change anywhere in it is seen

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the `hashed_bytes` bytes from `start`."""
        return self._raw.digest.hexdigest()

    @property
    def hashed_bytes(self) -> int:
        """How far from `start` the archive was read."""
        return self._raw.hashed_bytes

    def _plain(self) -> Iterator[Record]:
        """An archive without compression is one unit."""
        self.first_offset, self.next_offset = 0, self._size
        self._file.seek(0)
        yield from self._records(self._file, offset=None)

    def _members(self) -> Iterator[Record]:
        expected = self._begin
        at = member_start(self._file, self._start if expected is None else expected, self._stop)
        while at is not None:
            if expected is not None and at != expected:
                self.skipped_bytes += at - expected
                self.faults["bytes_between_members"] += 1
            if self.first_offset is None:
                self.first_offset = at
            unit = _Unit(self._file, at)
            yield from self._unit_records(unit, at)
            self.next_offset = expected = unit.end
            if expected is not None and (expected >= self._size or unit.before_record):
                at = expected if expected < self._stop else None
                continue
            # Damage: the unit ended early, or something that is no member follows. Go on at the next valid start.
            resume = unit.member + 1 if expected is None else expected
            self.next_offset = None
            at = member_start(self._file, resume, self._stop)
            self.skipped_bytes += (max(resume, self._stop) if at is None else at) - resume
            expected = None

    def _unit_records(self, unit: _Unit, at: int) -> Iterator[Record]:
        head = b""
        try:
            while len(head) < UNIT_BYTES and (piece := unit.take(UNIT_BYTES - len(head))):
                head += piece
            if unit.end is None:
                unit.seek(0)
                yield from self._records(cast(BinaryIO, io.BufferedReader(unit, 1 << 16)), offset=at)
            else:
                alone = _only_record(head, at)
                if alone is None or len(alone.content) > self._max_record_bytes:
                    yield from self._records(io.BytesIO(head), offset=at)
                else:
                    yield alone
        except _BrokenMember:
            self.faults["broken_member"] += 1
            unit.end = None
            if len(head) < UNIT_BYTES:  # not streamed yet; what broke may be no part of the members before it
                yield from self._records(io.BytesIO(head[: unit.solid]), offset=at)
            return
        if unit.cut:
            self.faults["cut_member"] += 1

    def _records(self, stream: BinaryIO, offset: int | None) -> Iterator[Record]:
        """The records of one inflated stream; behind a bad header or length, from the next line that begins one."""
        index, begin = 0, 0
        while True:
            stream.seek(begin)
            last, claimed = begin, 0
            try:
                for record in ArchiveIterator(stream, parse_http=False, stream_detect=False, fsspec_args=False):
                    last, claimed = record.stream_pos, record.stream_pos + record.content_length
                    place = last if offset is None else offset
                    yield self._record(record, place, 0 if offset is None else index)
                    index += 1
                if claimed <= stream.tell():
                    return
                # The last length reaches behind the end: it may have swallowed what follows its record.
            except OSError:
                if self._raw.failed:
                    raise
                # A wrong Content-Length has swallowed or split what follows; the record before stands as it is.
                self.faults["bad_record_header"] += 1
            found = _find_record(stream, last + 1)
            if found is None:
                return
            begin = found

    def _record(self, record: WarcRecord, offset: int, index: int) -> Record:
        content = record.reader.read(self._max_record_bytes)
        headers = {name.lower(): value for name, value in record.headers}
        # A header that the archive's end cuts off has no length, and so no content.
        stated = headers.get("content-length", "").strip().isdigit()
        truncated = len(content) < record.content_length or not stated
        if truncated:
            over = len(content) == self._max_record_bytes
            self.faults["record_over_limit" if over else "record_cut_short"] += 1
        kind = headers.get("warc-type", "").lower()
        return Record(offset, index, kind, headers, content, truncated or "warc-truncated" in headers)


def _only_record(unit: bytes, offset: int) -> Record | None:
    """The record of a unit that holds one whole record in plain writing, as nearly all do; None for any other.

    What it takes, fastwarc reads alike, at three times the cost.
    """
    end = unit.find(b"\r\n\r\n", 0, MAX_PLAIN_BYTES)
    if end < 0 or not unit.endswith(b"\r\n\r\n") or _PLAIN_HEADERS.fullmatch(unit, 0, end) is None:
        return None
    pairs = [line.partition(": ") for line in unit[:end].decode("ascii").split("\r\n")[1:]]
    headers = {name.lower(): value for name, _, value in pairs}
    content = unit[end + 4 : -4]
    if len(headers) < len(pairs) or headers.get("content-length") != str(len(content)):
        return None
    return Record(offset, 0, headers.get("warc-type", "").lower(), headers, content, "warc-truncated" in headers)


def member_start(file: BinaryIO, start: int, stop: int) -> int | None:
    """Offset of the first gzip member in [start, stop) whose inflated bytes begin `WARC/`; None where there is none.

    >>> import gzip
    >>> data = b"damage" + gzip.compress(b"WARC/1.0 ...")
    >>> member_start(io.BytesIO(data), 0, len(data))
    6
    """
    at = start
    while at < stop:
        file.seek(at)
        block = file.read(CHUNK_BYTES)
        if len(block) < len(GZIP_MAGIC):
            return None
        found = block.find(GZIP_MAGIC)
        while found >= 0 and at + found < stop:
            if _starts_record(file, at + found):
                return at + found
            found = block.find(GZIP_MAGIC, found + 1)
        at += len(block) - len(GZIP_MAGIC) + 1
    return None


def _starts_record(file: BinaryIO, offset: int) -> bool:
    return _inflated_head(file, offset).startswith(b"WARC/")


def _inflated_head(file: BinaryIO, offset: int) -> bytes:
    """The first inflated bytes of a gzip member at `offset`; empty where none stands there.

    The header may hold a name, a comment, 64 KiB of extra fields and its own checksum; reserved flags make it no header
    (RFC 1952). Its time, level and system may be anything.
    """
    file.seek(offset)
    head = file.read(4096)
    if not head.startswith(GZIP_MAGIC):
        return b""
    inflater, found, read = zlib.decompressobj(31), b"", 0
    try:
        while head and not inflater.eof and len(found) < HEAD_BYTES and read < MAX_HEADER_BYTES:
            read += len(head)
            found += inflater.decompress(head, HEAD_BYTES - len(found))
            head = inflater.unconsumed_tail or file.read(4096)
    except zlib.error:
        return b""
    return found


def _find_record(stream: BinaryIO, start: int) -> int | None:
    """Position of the next line at or after `start` that begins `WARC/1`."""
    stream.seek(start)
    at, kept = start, b""
    while block := stream.read(CHUNK_BYTES):
        window = kept + block
        found = window.find(b"\nWARC/1")
        if found >= 0:
            return at - len(kept) + found + 1
        at += len(block)
        kept = window[-7:]
    return None
