"""Text sources: finished runs and plain files in; record batches of documents with one schema out."""

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seimai.errors import InputError, RunError, VerifyError
from seimai.files import fingerprint, read_json, sha256_file
from seimai.pipeline.document import held_out, host_of

__all__ = [
    "BATCH_ROWS",
    "COLUMNS",
    "DOCUMENT",
    "HELD_OUT",
    "HeldOut",
    "PartMap",
    "Shard",
    "batches",
    "corpus_hash",
    "open_sources",
    "slices",
]

BATCH_ROWS = 1024
PLAIN_SUFFIXES = (".jsonl", ".jsonl.zst", ".jsonl.gz", ".parquet", ".txt")
SPLITS = ("train", "held_out")
COMPRESSION = {".zst": "zstd", ".gz": "gzip"}
READ_BYTES = 1 << 20
SLICE_ROWS = 1 << 14

DOCUMENT = pa.schema(
    [
        ("id", pa.string()),
        ("split", pa.string()),
        ("text", pa.large_string()),
        ("source", pa.string()),
        ("lang", pa.string()),
        ("lang_score", pa.float32()),
        ("quality", pa.float32()),
        ("cluster_size", pa.int64()),
        ("cluster_rank", pa.int64()),
        ("date", pa.string()),
        ("host", pa.string()),
        ("url", pa.string()),
        ("warc_file", pa.string()),
        ("warc_offset", pa.int64()),
    ]
)
"""Columns of a document; id, split and text are never null, the others are null where unknown."""
COLUMNS = pa.schema([*DOCUMENT, ("n_bytes", pa.int64())])
"""The same and the text's UTF-8 bytes, which a run's shards tell without reading the text."""


PartMap = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""`part_map(function, items)` yields function(item) of every item in any order, like the builtin `map`."""


@dataclass(frozen=True)
class HeldOut:
    """Which documents of plain files are held out where the file has no field `split`: as in a run's [held_out]."""

    share: float = 0.01
    seed: int = 1


HELD_OUT = HeldOut()


@dataclass(frozen=True)
class Shard:
    """One file of documents."""

    path: Path
    sha256: str
    """SHA-256 (hex) of the file: of a run as its manifest says, of a plain file as read."""
    field: str = "text"
    """Name of the text column of a plain file."""
    held_out: HeldOut = HELD_OUT
    """Rule for plain files without a field `split`."""
    units: tuple[int, int] | None = None
    """First and last + 1 of the record batches (.arrow) or row groups (.parquet) meant; None for the whole file."""


def open_sources(
    source: Path | Sequence[Path], *, field: str = "text", held_out: HeldOut = HELD_OUT
) -> tuple[Shard, ...]:
    """Every file of documents of finished runs and plain files: sources as given, the shards of a run by name.

    `field` is the text column of plain files, `held_out` the rule for those without a field `split`.
    Raises InputError, RunError or VerifyError with a remedy.
    """
    sources = [source] if isinstance(source, Path) else list(source)
    shards = tuple(replace(shard, held_out=held_out) for path in sources for shard in _open(path, field))
    if not shards:
        raise InputError(f"{', '.join(map(str, sources)) or 'no source'}: no documents; give a run or {_suffixes()}")
    return shards


def corpus_hash(shards: Sequence[Shard]) -> str:
    """SHA-256 (hex) that names a corpus: the files' digests, whatever their order and place."""
    return fingerprint(sorted(shard.sha256 for shard in shards))


def slices(shard: Shard) -> list[Shard]:
    """A shard as pieces of some 16,000 documents that can be read alone: JSON lines and text only as one."""
    try:
        rows = _unit_rows(shard)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{shard.path}: cannot be read ({_line(error)}); make or copy the file again") from None
    if not rows:
        return [shard]
    found, first, held = [], 0, 0
    for unit, n_rows in enumerate(rows, start=1):
        held += n_rows
        if held >= SLICE_ROWS or unit == len(rows):
            found.append(replace(shard, units=(first, unit)))
            first, held = unit, 0
    return found


def batches(
    shard: Shard, columns: Sequence[str] = tuple(DOCUMENT.names), *, max_chars: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Documents of a shard in order, at most 1,024 rows a batch, with the columns of COLUMNS asked for.

    `max_chars`: a batch of a plain file ends with the row that makes its texts so long; None for no such end.
    Raises InputError with file and row where a file is damaged or a document has no text, id or split.
    """
    schema = pa.schema([COLUMNS.field(name) for name in columns])
    arrow = shard.path.suffix == ".arrow"
    try:
        yield from _read_arrow(shard, schema) if arrow else _read_plain(shard, schema, max_chars)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{shard.path}: cannot be read ({_line(error)}); make or copy the file again") from None


def _open(path: Path, field: str) -> Iterator[Shard]:
    if path.is_dir():
        yield from _open_run(path)
    elif not path.is_file():
        raise InputError(f"{path}: no such file or run; give a finished run or {_suffixes()}")
    elif not path.name.endswith(PLAIN_SUFFIXES):
        raise InputError(f"{path}: not a kind of text this command reads; give a finished run or {_suffixes()}")
    elif path.stat().st_size == 0:
        raise InputError(f"{path}: empty file; give one with documents")
    else:
        yield Shard(path, sha256_file(path), field)


def _open_run(run: Path) -> Iterator[Shard]:
    manifest_path = run / "manifest.json"
    if not manifest_path.is_file():
        raise RunError(f"{run}: no manifest.json, so not a finished run; type the same `seimai run` command again")
    try:
        listed = read_json(manifest_path)["files"]
        files = [(str(file["path"]), int(file["bytes"]), str(file["sha256"])) for file in listed]
    except (ValueError, KeyError, TypeError) as error:
        raise VerifyError(f"{manifest_path}: not the manifest of a run ({_line(error)}); copy the run again") from None
    for name, n_bytes, sha256 in sorted(file for file in files if file[0].startswith("shards/")):
        path = run / name
        if path.suffix != ".arrow" or ".." in Path(name).parts:
            raise InputError(f"{path}: this command reads .arrow shards; make the run with Arrow output")
        if not path.is_file() or path.stat().st_size != n_bytes:
            raise VerifyError(f"{path}: missing or not the {n_bytes} bytes of the manifest; see `seimai verify {run}`")
        yield Shard(path, sha256)


def _unit_rows(shard: Shard) -> list[int]:
    """Rows of each record batch or row group; none where a file has no such units."""
    if shard.path.suffix == ".parquet":
        with pq.ParquetFile(shard.path) as file:
            return [file.metadata.row_group(unit).num_rows for unit in range(file.num_row_groups)]
    if shard.path.suffix == ".arrow":
        with pa.memory_map(str(shard.path)) as file:
            # All but the last are full, so their number is enough and none has to be read.
            return [BATCH_ROWS] * int(pa.ipc.open_file(file).num_record_batches)
    return []


def _read_arrow(shard: Shard, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    with pa.memory_map(str(shard.path)) as file:
        names = pa.ipc.open_file(file).schema.names
        missing = [name for name in ("id", "split", "text", "lang", "n_bytes") if name not in names]
        if missing:
            raise InputError(f"{shard.path}: no column {missing[0]!r}; make the run again with this version of seimai")
        wanted = [names.index(name) for name in schema.names if name in names]
        reader = pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=wanted))
        for number in range(*(shard.units or (0, reader.num_record_batches))):
            yield _conform(reader.get_batch(number), schema, f"{shard.path}: record batch {number},")


def _conform(batch: pa.RecordBatch, schema: pa.Schema, place: str) -> pa.RecordBatch:
    present = set(batch.schema.names)
    for name in {"id", "split", "text", "n_bytes"} & set(schema.names):
        if batch.column(name).null_count:
            row = batch.column(name).is_null().to_pylist().index(True)
            raise InputError(f"{place} row {row} has no {name}; make the file again")
    columns = [
        batch.column(field.name).cast(field.type) if field.name in present else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _read_plain(shard: Shard, schema: pa.Schema, max_chars: int | None) -> Iterator[pa.RecordBatch]:
    readers = {".parquet": _parquet_rows, ".txt": _text_rows}
    rows = readers.get(shard.path.suffix, _json_rows)(shard)
    first = sum(_unit_rows(shard)[: shard.units[0]]) if shard.units else 0
    documents: list[dict[str, Any]] = []
    n_chars = 0
    for number, row in enumerate(rows, start=first):
        documents.append(_document(row, shard, number))
        n_chars += len(documents[-1]["text"])
        if len(documents) == BATCH_ROWS or (max_chars is not None and n_chars >= max_chars):
            yield _record_batch(documents, schema)
            documents, n_chars = [], 0
    if documents:
        yield _record_batch(documents, schema)


def _record_batch(documents: list[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    try:
        return _columns(documents, schema)
    except UnicodeEncodeError:
        for document in documents:
            document["text"] = _valid(document["text"])
        return _columns(documents, schema)


def _columns(documents: list[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    columns = {field.name: pa.array([each.get(field.name) for each in documents], field.type) for field in schema}
    if "n_bytes" in columns and "text" in columns:
        columns["n_bytes"] = pc.binary_length(columns["text"])
    elif "n_bytes" in columns:
        columns["n_bytes"] = pa.array([len(each["text"].encode()) for each in documents], pa.int64())
    return pa.RecordBatch.from_pydict(columns, schema=schema)


def _document(row: dict[str, Any], shard: Shard, number: int) -> dict[str, Any]:
    text, split = row.get(shard.field), row.get("split")
    if not isinstance(text, str):
        raise InputError(f"{shard.path}: row {number} has no text in field {shard.field!r}; name the field that has it")
    if split not in (None, *SPLITS):
        raise InputError(f"{shard.path}: row {number} has split {split!r}; write train or held_out, or leave it out")
    name = hashlib.blake2b(f"{shard.path.name}\n{number}".encode(), digest_size=16).hexdigest()
    host = _text(row, "host") or host_of(_text(row, "url"))
    # Texts that share an id (translations of each other) are held out together.
    identity = name if row.get("id") is None else str(row["id"])
    out = split is None and held_out(host, identity, **vars(shard.held_out))
    return {
        "id": name,
        "split": split or ("held_out" if out else "train"),
        "text": text,
        "source": shard.path.name.partition(".")[0],
        "lang": _text(row, "lang"),
        "host": host,
        "url": _text(row, "url"),
    }


def _text(row: dict[str, Any], name: str) -> str | None:
    """A field of a row that may not be there, or be something else than text."""
    value = row.get(name)
    return _valid(value) if isinstance(value, str) and value else None


def _valid(text: str) -> str:
    """The text with lone surrogates (JSON may escape them, UTF-8 has none) as U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _json_rows(shard: Shard) -> Iterator[dict[str, Any]]:
    compression = COMPRESSION.get(shard.path.suffix)
    with pa.input_stream(str(shard.path), compression=compression) as stream:
        for number, line in enumerate(io.BufferedReader(stream, READ_BYTES), start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InputError(f"{shard.path}: line {number} is not JSON ({_line(error)}); mend or drop it") from None
            if not isinstance(row, dict):
                raise InputError(f"{shard.path}: line {number} is not a JSON object; write one object a line")
            yield row


def _parquet_rows(shard: Shard) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(shard.path) as file:
        names = file.schema_arrow.names
        if shard.field not in names:
            raise InputError(f"{shard.path}: no column {shard.field!r}; it has {', '.join(names)}")
        wanted = [name for name in (shard.field, "split", "lang", "id", "host", "url") if name in names]
        units = list(range(*shard.units)) if shard.units else None
        for batch in file.iter_batches(BATCH_ROWS, columns=wanted, row_groups=units):
            yield from batch.to_pylist()


def _text_rows(shard: Shard) -> Iterator[dict[str, Any]]:
    """The whole file as one document, its line ends as they are."""
    try:
        yield {shard.field: shard.path.read_bytes().decode()}
    except UnicodeDecodeError as error:
        raise InputError(f"{shard.path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None


def _suffixes() -> str:
    return f"{', '.join(PLAIN_SUFFIXES[:-1])} or {PLAIN_SUFFIXES[-1]} files"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
