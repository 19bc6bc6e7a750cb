"""A run made of another one's shards: rows taken out or texts changed, with a manifest that names its parent."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seimai import __version__
from seimai.errors import RunError, VerifyError
from seimai.files import atomic, sha256_file, write_atomic

from .manifest import file_entry, manifest_files, manifest_head, write_manifest
from .write import even_tables, shard_writer

__all__ = ["DERIVED", "derive_run"]

DERIVED = "derived"
"""Key of the manifest that such a run has: its parent's manifest, and what was done."""
BATCH_ROWS = 1024

Change = Callable[[str, pa.Table], pa.Table]
"""A shard's name and up to 1,024 of its rows in; the rows it becomes out, with the same columns."""


def derive_run(
    parent: Path,
    out: Path,
    change: Change,
    done: dict[str, Any],
    there: Sequence[str] = (),
    finish: Callable[[], None] | None = None,
) -> dict[str, int]:
    """Write the shards of `parent`, changed, into `out`; returns `documents` and `bytes` of text left.

    `done` says what was done, for the manifest; `there` are the files that stand in `out` already and
    `finish` writes more of them behind the shards; the manifest lists them all.
    A shard of which nothing is left is not written; the order of rows stays. RunError where `out` holds something else,
    VerifyError where the parent is not what its manifest says.
    """
    head = manifest_head(parent)
    if out.exists() and {path.name for path in out.iterdir()} != set(there):
        raise RunError(f"{out}: is not empty; give another --out")
    kept: dict[str, Counter[str]] = {}
    shards = [entry for entry in manifest_files(parent) if entry["path"].startswith("shards/")]
    if not shards:
        raise RunError(f"{parent}: has no shards; give a finished run")
    for entry in shards:
        path = parent / entry["path"]
        if not path.is_file() or path.stat().st_size != entry["bytes"] or sha256_file(path) != entry["sha256"]:
            raise VerifyError(f"{path}: is not what the manifest says; see `seimai verify {parent}`")
        _write(path, out / entry["path"], change, kept)
    if finish is not None:
        finish()
    (out / "config.toml").parent.mkdir(parents=True, exist_ok=True)
    if (parent / "config.toml").is_file():
        write_atomic(out / "config.toml", (parent / "config.toml").read_bytes())
    totals = {"kept": {lang: dict(kept[lang]) for lang in sorted(kept)}}
    derived = {"parent": sha256_file(parent / "manifest.json"), **done}
    described = {
        "seimai": __version__,
        DERIVED: derived,
        "totals": totals,
        "failed_parts": [],
        "inputs": head["inputs"],
    }
    written = sorted(path for path in out.rglob("*") if path.is_file())
    write_manifest(out, described, (file_entry(out, path) for path in written))
    return {name: sum(sums[name] for sums in kept.values()) for name in ("documents", "bytes")}


def _write(source: Path, target: Path, change: Change, kept: dict[str, Counter[str]]) -> None:
    """One shard, changed; nothing where no row is left."""
    rows = (table for batch in _read(source) if len(table := change(target.stem, batch)))
    first = next(rows, None)
    if first is None:
        return
    with atomic(target) as temporary, shard_writer(str(temporary), first.schema, target.suffix[1:]) as writer:
        for table in even_tables(first, rows):
            writer.write_table(table)
            for lang, documents, chars, size in zip(*_sums(table), strict=True):
                kept.setdefault(lang, Counter()).update(documents=documents, chars=chars, bytes=size)


def _read(path: Path) -> Iterator[pa.Table]:
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            yield from (pa.Table.from_batches([batch]) for batch in file.iter_batches(BATCH_ROWS))
        return
    with pa.memory_map(str(path)) as file:
        reader = pa.ipc.open_file(file)
        for number in range(reader.num_record_batches):
            yield pa.Table.from_batches([reader.get_batch(number)])


def _sums(table: pa.Table) -> list[list[Any]]:
    """Languages, and their documents, characters and bytes."""
    named = table.select(["lang", "n_chars", "n_bytes"])
    named = named.set_column(0, "lang", pc.fill_null(named["lang"], "und"))
    sums = named.group_by("lang", use_threads=False).aggregate(
        [([], "count_all"), ("n_chars", "sum"), ("n_bytes", "sum")]
    )
    return [sums[name].to_pylist() for name in ("lang", "count_all", "n_chars_sum", "n_bytes_sum")]
