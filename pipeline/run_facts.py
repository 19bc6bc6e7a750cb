"""What a comparison of runs knows of them: verdicts, numbers and digests, by parts or ranges of ids; settings."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .cluster_source import from_hex
from .edits import STEPS, edited_texts, read_edits
from .inspect_run import ordered_entries
from .job import load_run_config
from .judge import read_columns, read_some
from .order import Entry
from .settings import RunConfig
from .state import read_marker

__all__ = [
    "DIGEST_BYTES",
    "ComparedRun",
    "IdRanges",
    "fact_schema",
    "facts_of_parts",
    "open_compared",
    "other_settings",
    "read_range",
]

DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """A finished run, and its parts that hold documents."""

    path: Path
    config: RunConfig
    entries: dict[str, Entry]


def open_compared(path: Path) -> ComparedRun:
    """The run in a folder; RunError where there is no finished one."""
    entries = {entry.part: entry for entry in ordered_entries(path)}
    return ComparedRun(path, load_run_config(path), entries)


def fact_schema(columns: Sequence[str]) -> pa.Schema:
    """What is known of a document: place, verdict, digest of the text, and these columns of numbers."""
    text = [(name, pa.string()) for name in ("id", "part", "lang", "reason", "cluster")]
    rest = [("row", pa.int64()), ("reasons", pa.list_(pa.string())), ("digest", pa.binary(DIGEST_BYTES))]
    return pa.schema([*text, *rest, *((name, pa.float64()) for name in columns)])


def facts_of_parts(runs: Sequence[ComparedRun], columns: Sequence[str]) -> Iterator[tuple[pa.Table, pa.Table]]:
    """What is known of every part's documents in both runs; empty where a run lacks it."""
    empty = fact_schema(columns).empty_table()
    for name in sorted(runs[0].entries.keys() | runs[1].entries.keys()):
        with_text = _files(runs[0], name) != _files(runs[1], name)
        found = [_facts(run, name, columns, with_text) if name in run.entries else empty for run in runs]
        yield found[0], found[1]


def _files(run: ComparedRun, part: str) -> list[Any]:
    """The digests of what a part's texts are made of; documents alone, for samples are none of them."""
    found = []
    for stage in ("read", *STEPS):
        marker = read_marker(run.path, stage, part) if part in run.entries else None
        files = marker.files if marker else []
        found.append([entry["sha256"] for entry in files if not str(entry["path"]).startswith("audit/")])
    return found


def _facts(run: ComparedRun, part: str, columns: Sequence[str], with_text: bool) -> pa.Table:
    """Verdict, numbers that rules ask for, and a digest of the text of a part's documents, in the common schema."""
    table = read_columns(run.path, part, run.config.quality, more=columns)
    decided = read_some(run.path / "decisions" / f"{part}.parquet", ["reason", "reasons"])
    rows = len(table)
    found: dict[str, Any] = {name: table[name] for name in ("id", "lang", "cluster")}
    found |= {"part": pa.repeat(part, rows), "row": pa.array(np.arange(rows))}
    found |= {"reason": decided["reason"], "reasons": decided["reasons"]}
    kind = pa.binary(DIGEST_BYTES)
    found["digest"] = _digests(run.path, part) if with_text else pa.nulls(rows, kind)
    for name in columns:
        found[name] = table[name].cast(pa.float64()) if name in table.column_names else pa.nulls(rows, pa.float64())
    schema = fact_schema(columns)
    return pa.table([found[name] for name in schema.names], schema=schema)


def _digests(run: Path, part: str) -> pa.Array:
    """BLAKE2b-128 of every text as cleaning leaves it; null for none."""
    found: list[bytes | None] = []
    edits = read_edits(run, part)
    with pq.ParquetFile(run / "documents" / f"{part}.parquet") as file:
        for piece in file.iter_batches(1000, columns=["id", "text"]):
            for text in edited_texts(pa.Table.from_batches([piece]), edits).to_pylist():
                digest = None if text is None else hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()
                found.append(digest)
    return pa.array(found, pa.binary(DIGEST_BYTES))


class IdRanges:
    """Documents of one run laid out by ranges of their id."""

    def __init__(self, folder: Path, side: str, ranges: int, schema: pa.Schema, stack: ExitStack) -> None:
        self._ranges = ranges
        paths = [folder / f"{side}-{number:04d}.arrow" for number in range(ranges)]
        sinks = [stack.enter_context(pa.OSFile(str(path), "wb")) for path in paths]
        self._writers = [stack.enter_context(pa.ipc.new_stream(sink, schema)) for sink in sinks]

    def put(self, table: pa.Table) -> None:
        """Add documents."""
        if not len(table):
            return
        ids = from_hex(table["id"]).astype(np.int64)
        owner = (ids[:, 0] * 256 + ids[:, 1]) * self._ranges >> 16
        for number in np.unique(owner).tolist():
            self._writers[number].write_table(table.filter(pa.array(owner == number)))


def read_range(folder: Path, side: str, number: int, schema: pa.Schema) -> pa.Table:
    """The documents of a range."""
    with pa.OSFile(str(folder / f"{side}-{number:04d}.arrow")) as source, pa.ipc.open_stream(source) as reader:
        return reader.read_all().cast(schema)


def other_settings(one: RunConfig, other: RunConfig) -> list[tuple[str, Any, Any]]:
    """Settings that differ, as section.key; the paths of the inputs are none."""
    flat = [dict(_flat(config.model_dump(mode="json"))) for config in (one, other)]
    keys = sorted((flat[0].keys() | flat[1].keys()) - {"input.paths"})
    return [(key, flat[0].get(key), flat[1].get(key)) for key in keys if flat[0].get(key) != flat[1].get(key)]


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        yield name, value
        return
    for key, inner in value.items():
        yield from _flat(inner, f"{name}.{key}" if name else str(key))
