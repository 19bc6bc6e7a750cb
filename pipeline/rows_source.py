"""The rows of a slice of a JSONL, Parquet, text or Wikipedia file: what the read stage takes instead of records."""

import json
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from seimai.errors import InputError

from .row_lines import Line, LineReader
from .rows import FieldsConfig, Row, compression_of, row_kind, row_of, valid
from .wikipedia import wikipedia_rows

__all__ = ["VERSION", "ParquetReader", "TextReader", "row_reader"]

VERSION = 1
BATCH_ROWS = 256
LONG = "over input.max_record_bytes"


class TextReader:
    """Rows of JSON lines, plain text or a Wikipedia dump that begin in a slice; iterate once.

    Afterwards as a `LineReader`.
    """

    def __init__(self, lines: LineReader, kind: str, stop: int, fields: FieldsConfig, max_bytes: int) -> None:
        self.lines, self._kind, self._stop, self._fields, self._max = lines, kind, stop, fields, max_bytes
        self.faults, self.first_offset, self.next_offset = lines.faults, None, None

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the file from its beginning to the slice's end."""
        return self.lines.digest

    @property
    def hashed_bytes(self) -> int:
        """Bytes from the file's beginning that the digest covers."""
        return self.lines.hashed_bytes

    @property
    def skipped_bytes(self) -> int:
        """Bytes of the slice behind damage."""
        return self.lines.skipped_bytes

    def __iter__(self) -> Iterator[Row]:
        if self._kind == "wikipedia":
            yield from wikipedia_rows(self.lines, self._stop, self._max)
        elif self._kind == "jsonl":
            yield from (_json_row(line, self._fields) for line in self._here() if line.data.strip())
        elif self._fields.plain == "lines":
            yield from (_text_row(line.number, line.data, cut=line.cut) for line in self._here() if line.data.strip())
        else:
            yield from self._blocks()
        self.lines.close()

    def _here(self) -> Iterator[Line]:
        for line in self.lines:
            if line.place >= self._stop:
                return
            yield line

    def _blocks(self) -> Iterator[Row]:
        """Lines between blank ones; a block belongs to the slice where its first line begins."""
        block = bytearray()
        first, cut, between = 0, False, None
        for line in self.lines:
            if between is None:
                between = self.lines.after_blank
            if line.data in (b"", b"\r"):
                if block:
                    yield _text_row(first, bytes(block), cut=cut)
                    block.clear()
                between = True
                if line.place >= self._stop:
                    return
                continue
            if not between:
                continue
            if not block:
                if line.place >= self._stop:
                    return
                first, cut = line.number, False
            room = self._max - len(block)
            cut |= line.cut or len(line.data) + 1 > room
            block += line.data[:room] + b"\n"
        if block:
            yield _text_row(first, bytes(block), cut=cut)


class ParquetReader:
    """Rows of the row groups that begin in a slice of a Parquet file; iterate once.

    `digest` covers the `hashed_bytes` bytes of the slice: they are read for it a second time.
    """

    def __init__(self, file: BinaryIO, place: str, *, start: int, stop: int, size: int, fields: FieldsConfig) -> None:
        self._file, self._place, self._fields = file, place, fields
        self._start, self._stop = start, min(stop, size)
        self.faults: Counter[str] = Counter()
        self.skipped_bytes = 0
        self.first_offset: int | None = None
        self.next_offset: int | None = None
        self.digest, self.hashed_bytes = "", 0

    def __iter__(self) -> Iterator[Row]:
        try:
            parquet = pq.ParquetFile(self._file)
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(
                f"{self._place}: is no whole Parquet file ({_line(error)}); make or copy it again"
            ) from None
        columns = self._columns(parquet.schema_arrow.names)
        number = 0
        for group in range(parquet.num_row_groups):
            meta = parquet.metadata.row_group(group)
            if self._start <= _place(meta) < self._stop:
                yield from self._group(parquet, group, number, columns)
            number += meta.num_rows
        self._hash()

    def _group(self, parquet: pq.ParquetFile, group: int, number: int, columns: list[str]) -> Iterator[Row]:
        try:
            for batch in parquet.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns):
                for value in batch.to_pylist():
                    yield row_of(number, value, self._fields)
                    number += 1
        except (pa.ArrowInvalid, OSError, UnicodeDecodeError):
            self.faults["broken_row_group"] += 1
            self.skipped_bytes += parquet.metadata.row_group(group).total_byte_size

    def _columns(self, names: list[str]) -> list[str]:
        """The columns that fields name, or are inside of.  Raises InputError without one for the text."""
        wanted = self._fields.model_dump(exclude={"plain"})
        found = {key: name if name in names else name.partition(".")[0] for key, name in wanted.items() if name}
        if found["text"] not in names:
            raise InputError(
                f"{self._place}: has no column {wanted['text']!r}, only {', '.join(names)}; set input.fields.text"
            )
        return sorted({name for name in found.values() if name in names})

    def _hash(self) -> None:
        digest = sha256()
        self._file.seek(self._start)
        while self.hashed_bytes < self._stop - self._start:
            data = self._file.read(min(1 << 20, self._stop - self._start - self.hashed_bytes))
            if not data:
                break
            digest.update(data)
            self.hashed_bytes += len(data)
        self.digest = digest.hexdigest()


def row_reader(
    file: BinaryIO, name: str, *, start: int, stop: int, size: int, fields: FieldsConfig, max_record_bytes: int
) -> TextReader | ParquetReader:
    """What reads the rows of a slice of the file that `name` tells the kind of.

    >>> import io
    >>> data = b'{"text": "a"}\\n{"text": 1}\\nno JSON\\n'
    >>> limits = {"start": 0, "stop": len(data), "size": len(data), "max_record_bytes": 1000}
    >>> rows = row_reader(io.BytesIO(data), "x.jsonl", fields=FieldsConfig(), **limits)
    >>> [(row.number, row.text, row.fault) for row in rows]
    [(0, 'a', ''), (1, '', 'text is no string'), (2, '', 'not JSON')]
    """
    kind = row_kind(name)
    if kind == "parquet":
        return ParquetReader(file, name, start=start, stop=stop, size=size, fields=fields)
    packed = compression_of(name)
    lines = LineReader(file, start=start, stop=stop, size=size, compression=packed, max_line_bytes=max_record_bytes)
    return TextReader(lines, kind, min(stop, size), fields, max_record_bytes)


def _json_row(line: Line, fields: FieldsConfig) -> Row:
    if line.cut:
        return Row(line.number, fault=LONG)
    try:
        value = json.loads(line.data.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        return Row(line.number, fault="not JSON")
    return row_of(line.number, value, fields) if isinstance(value, dict) else Row(line.number, fault="not an object")


def _text_row(number: int, data: bytes, *, cut: bool) -> Row:
    """A document of plain UTF-8; a bad byte costs one character."""
    return Row(number, text=valid(data.decode("utf-8-sig", "replace")), cut=cut)


def _place(meta: Any) -> int:
    """Where the first page of a row group stands in its file."""
    columns = [meta.column(index) for index in range(meta.num_columns)]
    return min((min(c.data_page_offset, c.dictionary_page_offset or c.data_page_offset) for c in columns), default=0)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
