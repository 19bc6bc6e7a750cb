"""Lines of a text file, packed or not: those that begin in a slice of the file's bytes, numbered from its beginning.

A packed file can only be read from its beginning, and the number of a line follows from all lines before it: a slice
costs the reading and unpacking of what stands before it, so files are cut into few of them. A line of a packed file
begins where as much of the file had been read as was needed to unpack it.
"""

import bz2
import gzip
import io
import lzma
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, BinaryIO, cast

__all__ = ["Line", "LineReader"]

BLOCK_BYTES = 1 << 18
HEAD_BYTES = 1 << 16
FRAME_BYTES = 4096
"""Packed bytes given to zstd at once: a block of 4 bytes may unpack to 128 KiB."""
_TAIL = re.compile(rb"(?:\A|\n)\r?\n\Z")


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its end: its number, the place in the file where it begins, and whether its end is missing."""

    number: int
    place: int
    data: bytes
    cut: bool = False


class LineReader:
    """The lines of a file from `start` on, to its end: who reads them stops at the first that begins behind `stop`.

    `head` is how the file begins; `after_blank` says whether the line before the first one is blank, or there is none.
    Afterwards: `digest` and `hashed_bytes` of the file from its beginning to `stop`, `faults` by name, `skipped_bytes`
    of the slice.
    """

    def __init__(
        self, file: BinaryIO, *, start: int, stop: int, size: int, compression: str, max_line_bytes: int
    ) -> None:
        self._start, self._stop, self._compression, self._max = start, min(stop, size), compression, max_line_bytes
        self._size = size
        self._fed = _Fed(file, self._stop)
        self.after_blank = start == 0
        self.head = b""
        self.faults: Counter[str] = Counter()
        self.skipped_bytes = 0
        self.first_offset: int | None = None
        self.next_offset: int | None = None

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the `hashed_bytes` bytes from the file's beginning."""
        return self._fed.digest.hexdigest()

    @property
    def hashed_bytes(self) -> int:
        """How much of the file the digest covers."""
        return min(self._fed.count, self._stop)

    def close(self) -> None:
        """Read what the digest wants and the lines did not."""
        while self._fed.count < self._stop and self._fed.read(BLOCK_BYTES):
            pass

    def __iter__(self) -> Iterator[Line]:
        blocks = self._heading(self._blocks())
        number, tail, following = 0, b"", next(blocks, None)
        while following is not None and following[0] < self._start:
            block = following[1]
            number += block.count(b"\n")
            tail = (tail + block)[-4:]
            following = next(blocks, None)
        self.after_blank = not tail or _TAIL.search(tail) is not None
        # The end of a line that began before the slice.
        begun = tail.rpartition(b"\n")[2]
        yield from self._numbered(following, blocks, number, begun)

    def _heading(self, blocks: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        """The blocks, as many of them kept as make up the head."""
        for place, block in blocks:
            if len(self.head) < HEAD_BYTES:
                self.head += block[: HEAD_BYTES - len(self.head)]
            yield place, block

    def _numbered(
        self, following: tuple[int, bytes] | None, blocks: Iterator[tuple[int, bytes]], number: int, begun: bytes
    ) -> Iterator[Line]:
        line, place, fresh, cut, dropped = bytearray(begun), 0, not begun, False, bool(begun)
        while following is not None:
            begin, block = following
            *ended, last = block.split(b"\n")
            for index, piece in enumerate((*ended, last)):
                if fresh and (piece or index < len(ended)):
                    place, fresh, cut = begin, False, False
                cut |= len(line) + len(piece) > self._max
                line += piece[: self._max - len(line)]
                if index == len(ended):
                    break
                if dropped:
                    self.after_blank = bytes(line) in (b"", b"\r")
                else:
                    yield Line(number, place, bytes(line), cut)
                number, fresh, dropped = number + 1, True, False
                line.clear()
                begin += 0 if self._compression else len(piece) + 1
            following = next(blocks, None)
        if not fresh and not dropped:
            yield Line(number, place, bytes(line), cut)

    def _blocks(self) -> Iterator[tuple[int, bytes]]:
        """Unpacked bytes, each block with the place in the file where it stands, or whose reading gave it."""
        if not self._compression:
            while block := self._fed.read(min(BLOCK_BYTES, self._fed.to_next(self._start, self._stop))):
                yield self._fed.count - len(block), block
            return
        if self._compression == ".zst":
            pieces = _unzstd(self._fed)
        else:
            unpacked = cast(Any, _UNPACK[self._compression])(self._fed)
            pieces = iter(lambda: unpacked.read1(BLOCK_BYTES), b"")
        while True:
            before = min(self._fed.count, self._size - 1)  # all may be read before the last is unpacked
            try:
                block = next(pieces, b"")
            except EOFError:
                self._broken("cut_stream", before)
                return
            except (OSError, zlib.error, lzma.LZMAError) as error:
                if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile) and error.errno is not None:
                    raise
                self._broken("broken_stream", before)
                return
            if not block:
                return
            yield before, block

    def _broken(self, fault: str, place: int) -> None:
        """Count damage in the slice it stands in, and the bytes of every slice behind it."""
        if self._start <= place < self._stop:
            self.faults[fault] += 1
        self.skipped_bytes += max(0, self._stop - max(self._start, place))


class _Fed(io.RawIOBase):
    """A file read once from its beginning: how far, and the digest of what stands before `stop`."""

    def __init__(self, file: BinaryIO, stop: int) -> None:
        self._file, self._stop = file, stop
        self.count = 0
        self.digest = sha256()
        file.seek(0)

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        data = self._file.read(BLOCK_BYTES if size is None or size < 0 else size)
        self.digest.update(memoryview(data)[: max(0, self._stop - self.count)])
        self.count += len(data)
        return data

    def to_next(self, *borders: int) -> int:
        """Bytes to the next border that is still ahead; a block's worth behind all of them."""
        return min((border - self.count for border in borders if border > self.count), default=BLOCK_BYTES)


_UNPACK = {".gz": lambda raw: gzip.GzipFile(fileobj=raw, mode="rb"), ".bz2": bz2.BZ2File, ".xz": lzma.LZMAFile}


def _unzstd(raw: io.RawIOBase) -> Iterator[bytes]:
    """The frames of a zstd file, one behind the other.  Raises EOFError where the last is cut, OSError on damage."""
    import zstandard

    unpack, waiting, begun = zstandard.ZstdDecompressor().decompressobj(), b"", False
    while True:
        data = waiting or raw.read(FRAME_BYTES) or b""
        if not data:
            if begun:
                raise EOFError
            return
        try:
            block = unpack.decompress(data)
        except zstandard.ZstdError as error:
            raise gzip.BadGzipFile(str(error)) from None
        begun, waiting = True, b""
        if unpack.eof:
            waiting, begun = unpack.unused_data, False
            unpack = zstandard.ZstdDecompressor().decompressobj()
        if block:
            yield block
