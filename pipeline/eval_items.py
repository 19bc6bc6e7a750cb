"""Evaluation sets to items: JSON, JSON lines, TSV, CSV and Parquet, plain or packed, with a list of fields."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from seimai.errors import InputError

__all__ = ["EvalItem", "EvalSet", "parse_eval_set", "read_eval_items"]

PACKED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
TABLES = {".csv": ",", ".tsv": "\t"}


class EvalSet(NamedTuple):
    """A file of an evaluation set and the fields whose texts are looked for; no fields are all that hold text."""

    path: Path
    fields: tuple[str, ...] = ()


class EvalItem(NamedTuple):
    """One text of an evaluation set: the set, the row (of a file of one nested value: which text), the field."""

    name: str
    row: int
    field: str
    text: str


def parse_eval_set(given: str) -> EvalSet:
    """What a command or a config says of a set: `FILE`, or `FILE#FIELD,FIELD`.

    A field of nested JSON is a path, through lists too (`data.paragraphs.qas.question`); a column of a CSV or TSV
    without a header is a number from 0.

    >>> parse_eval_set("gsm8k.jsonl.gz#question,answer")
    EvalSet(path=PosixPath('gsm8k.jsonl.gz'), fields=('question', 'answer'))
    """
    path, _, fields = given.partition("#")
    return EvalSet(Path(path), tuple(field.strip() for field in fields.split(",") if field.strip()))


def read_eval_items(sets: Sequence[EvalSet]) -> list[EvalItem]:
    """All items of some sets, in order; InputError for a file that cannot be read or lacks a field.

    A set is named by its file without endings; two of one name keep them apart by folder.
    """
    names = [_bare(one.path) for one in sets]
    paired = list(zip(sets, names, strict=True))
    named = [(one, name if names.count(name) == 1 else f"{one.path.parent.name}/{name}") for one, name in paired]
    return [item for one, name in named for item in _items(one, name)]


def _bare(path: Path) -> str:
    return path.name.split(".")[0]


def _items(given: EvalSet, name: str) -> Iterator[EvalItem]:
    found = dict.fromkeys(given.fields, 0)
    rows = list(_rows(given))
    for row, value in enumerate(rows):
        for field, text in _texts(value, given.fields):
            place = row if len(rows) > 1 else found.get(field, 0)
            found[field] = found.get(field, 0) + 1
            if text.strip():
                yield EvalItem(name, place, field, text)
    lacking = [field for field, count in found.items() if not count]
    if lacking or not found:
        asked = f"field {lacking[0]!r}" if lacking else "field of text"
        raise InputError(f"{given.path}: has no {asked}; name its fields as {given.path.name}#field,field")


def _rows(given: EvalSet) -> Iterator[Any]:
    """The rows as JSON values; a table's as dicts by column name, or by number where the fields are numbers."""
    path = given.path
    kind = [suffix for suffix in path.suffixes if suffix not in PACKED][-1:] or [""]
    try:
        if kind[0] == ".parquet":
            for batch in pq.ParquetFile(path).iter_batches():
                yield from batch.to_pylist()
            return
        with pa.input_stream(str(path), compression=PACKED.get(path.suffix)) as stream:
            text = stream.read().decode("utf-8-sig")
        if kind[0] in TABLES:
            yield from _table(text, TABLES[kind[0]], given.fields)
        elif kind[0] in (".json", ".jsonl"):
            yield from _json(text)
        else:
            raise InputError(f"{path}: is neither .json, .jsonl, .csv, .tsv nor .parquet (also .gz, .zst, .bz2)")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the evaluation set's path") from None
    except (OSError, pa.ArrowInvalid, UnicodeDecodeError, csv.Error, json.JSONDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({str(error).splitlines()[0]}); copy the file again") from None


def _json(text: str) -> Iterator[Any]:
    """One JSON value, whose elements are the rows where it is a list, or one value a line."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        yield from (json.loads(line) for line in text.splitlines() if line.strip())
        return
    if isinstance(value, list):
        yield from value
    else:
        yield value


def _table(text: str, delimiter: str, fields: tuple[str, ...]) -> Iterator[dict[str, str]]:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=_quoting(delimiter))
    numbered = bool(fields) and all(field.isdigit() for field in fields)
    header = None if numbered or not fields else next(rows, [])
    for row in rows:
        yield dict(zip(header or [str(n) for n in range(len(row))], row, strict=False))


def _quoting(delimiter: str) -> Any:
    """Quotation marks are text in tab-separated files, as the evaluation sets that come so use them."""
    return csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL


def _texts(value: Any, fields: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Field and text of what a row has; without fields, all strings at the leaves."""
    if not fields:
        yield from _leaves(value, "")
        return
    for field in fields:
        yield from ((field, text) for text in _at(value, field.split(".")))


def _at(value: Any, path: Sequence[str]) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _at(one, path)
    elif path and isinstance(value, dict):
        if path[0] in value:
            yield from _at(value[path[0]], path[1:])
    elif not path and isinstance(value, str):
        yield value


def _leaves(value: Any, field: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, list):
        for one in value:
            yield from _leaves(one, field)
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _leaves(one, f"{field}.{key}" if field else key)
