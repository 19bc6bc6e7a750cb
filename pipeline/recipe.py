"""A recipe of a finished run: where every document stands, what was decided and what was cut, but no text of a page.

    recipe/
      recipe.json                 config, versions, sources, and the SHA-256 of every shard
      parts.parquet               the slices of the sources, in order
      documents/<part>.parquet    every column of the run's documents but text and title
      signals/, clusters/, decisions/   row-aligned; of the signals, those that a shard holds
      edits/<step>/<part>.parquet what is cut from the kept documents: places and reasons

Titles are left out with the texts: they are the publisher's words too, and masked only as a shard is written.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seimai.config import dump_toml, load_config
from seimai.errors import RunError
from seimai.files import atomic, canonical_json, write_atomic

from .edits import STEPS, edit_path
from .manifest import manifest_files, manifest_head
from .order import read_entries
from .settings import RunConfig
from .state import read_marker

__all__ = ["FORMAT", "RecipeSummary", "write_recipe"]

FORMAT = "seimai-recipe/1"
WITHOUT = ("text", "title")
"""Columns of documents that hold a page's words."""
_PARTS = pa.schema(
    [
        ("part", pa.string()),
        ("key", pa.string()),
        ("start", pa.int64()),
        ("stop", pa.int64()),
        ("first_offset", pa.int64()),
        ("rows", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True)
class RecipeSummary:
    """What a recipe holds: documents in all, those that are kept, shards, bytes of its files."""

    documents: int
    kept: int
    shards: int
    n_bytes: int


def write_recipe(run: Path, out: Path) -> RecipeSummary:
    """Write the recipe of a finished run into a new folder.  Raises RunError where there is no finished run."""
    head = manifest_head(run)
    if out.exists() and any(out.iterdir()):
        raise RunError(f"{out}: is not empty; give a new folder to --out")
    config = load_config(run / "config.toml", RunConfig)
    parts: list[dict[str, Any]] = []
    kept = 0
    for part in _parts(run):
        kept += _write_part(run, out, part["part"], config)
        parts.append(part)
    out.mkdir(parents=True, exist_ok=True)
    with atomic(out / "parts.parquet") as temporary:
        pq.write_table(pa.Table.from_pylist(parts, schema=_PARTS), temporary, compression="zstd")
    shards = [
        {key: file[key] for key in ("path", "bytes", "sha256")}
        for file in manifest_files(run)
        if file["path"].startswith("shards/")
    ]
    told = {name: head[name] for name in ("seimai", "python", "machine", "packages")}
    documents = sum(part["rows"] for part in parts)
    made = {"config": dump_toml(_published(config)), "sources": head["inputs"], "shards": shards}
    text = canonical_json({"format": FORMAT, **told, **made, "documents": documents, "kept": kept})
    write_atomic(out / "recipe.json", text + "\n")
    n_bytes = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return RecipeSummary(documents, kept, len(shards), n_bytes)


def _published(config: RunConfig) -> RunConfig:
    """The config without what is the publisher's own: paths of a machine, and whom to write to."""
    own = {"paths": [], "root": "", "contact": ""}
    fetch = config.fetch.model_copy(update={"folder": "", "index": ""})
    return config.model_copy(update={"input": config.input.model_copy(update=own), "fetch": fetch})


def _parts(run: Path) -> Iterator[dict[str, Any]]:
    for entry in read_entries(run / "state" / "order.arrow"):
        marker = read_marker(run, "read", entry.part)
        if marker is None:
            raise RunError(f"{run}: state/read/{entry.part}.json is gone; see `seimai verify {run}`")
        start = int(entry.part.rpartition("-")[2])
        where = {"key": marker.input["key"], "start": start, "stop": marker.input["stop"]}
        yield {"part": entry.part, **where, "first_offset": marker.span.get("first_offset"), "rows": entry.rows}


def _write_part(run: Path, out: Path, part: str, config: RunConfig) -> int:
    """Everything of a part but its words; returns how many documents are kept."""
    name = f"{part}.parquet"
    names = [n for n in pq.read_schema(run / "documents" / name).names if n not in WITHOUT]
    documents = pq.read_table(run / "documents" / name, columns=names)
    decisions = pq.read_table(run / "decisions" / name)
    signals = pq.read_schema(run / "signals" / name).names
    wanted = [n for n in signals if n in ("id", "n_chars", "n_bytes", "quality", *config.output.signals)]
    tables = {
        "documents": documents,
        "signals": pq.read_table(run / "signals" / name, columns=wanted),
        "decisions": decisions,
    }
    kept = documents["id"].combine_chunks().filter(decisions["kept"].combine_chunks())
    for folder, table in tables.items():
        _write(out / folder / name, table)
    (out / "clusters").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run / "clusters" / name, out / "clusters" / name)
    for step in STEPS:
        if (run / edit_path(step, part)).exists():
            edits = pq.read_table(run / edit_path(step, part))
            _write(out / edit_path(step, part), edits.filter(pc.is_in(edits["id"], value_set=kept)))
    return len(kept)


def _write(path: Path, table: pa.Table) -> None:
    with atomic(path, flush=False) as temporary:
        pq.write_table(table, temporary, compression="zstd")
