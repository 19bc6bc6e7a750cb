"""Makes indexes of duplicates: of a finished run, and of several indexes."""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from seimai.errors import InputError, RunError
from seimai.files import atomic, canonical_json, sha256_file, write_atomic

from .band_kernels import keys_of_bands
from .candidates import band_file
from .cluster_source import RunSource
from .cluster_steps import Hashed
from .decide import DUPLICATE, IN_INDEX
from .dedup_index import FORMAT, HEAD, DedupIndex, compare, made_with, open_index
from .exact import HASH_BYTES
from .job import load_run_config
from .manifest import manifest_head
from .order import Batch, batches, read_entries
from .run import Engine

__all__ = ["build_index", "merge_indexes"]

SIGNATURE_ROWS = 10_000
"""Signatures that are read at a time."""
BAND_BYTES = 48
"""Bytes of memory for a band key while it is sorted."""


def build_index(run: Path, out: Path, *, engine: Engine | None = None, verification: str = "") -> DedupIndex:
    """Index a finished run's documents; `verification` is exact or estimated, by default what the run's config asks.

    Texts are read once, and only for exact sets. InputError where the run's own settings exclude the choice, RunError
    where the run is not finished or `out` holds something.
    """
    head = manifest_head(run)
    config = load_run_config(run)
    if not (run / "signatures").is_dir() and next(read_entries(run / "state" / "order.arrow"), None) is not None:
        raise RunError(f"{run}: has no signatures (it was made of another run's shards); index the run they come from")
    chosen = verification or ("exact" if config.dedup.verify else "none")
    if (chosen == "none") == config.dedup.verify:
        raise InputError(f"--verification {chosen}: the run has dedup.verify = {str(config.dedup.verify).lower()}")
    source = RunSource(run, config.dedup, config.quality)
    work = _begin(out)
    pieces: list[dict[str, Any]] = []
    function = partial(_piece, source=source, work=work, verification=chosen)
    with engine or Engine(workers=0) as running:
        for outcome in running.map(function, batches(run / "state" / "order.arrow")):
            if outcome.error is not None or outcome.result is None:
                raise RunError(f"{outcome.error}; type the same command again")
            pieces.append(outcome.result)
    origin = {"run": run.absolute().name, "manifest": sha256_file(run / "manifest.json"), "inputs": len(head["inputs"])}
    parameters = made_with(config.dedup)
    return _finish(work, out, {"made_with": parameters, "verification": chosen, "runs": [origin], "pieces": pieces})


def merge_indexes(indexes: Sequence[Path], out: Path) -> DedupIndex:
    """One index of several, in the order given; files are linked where the disk can, else copied.

    InputError where their parameters differ, or one run is in two of them.
    """
    opened = [open_index(path) for path in indexes]
    first = opened[0]
    runs: dict[str, Path] = {}
    for index in opened:
        compare(index.root / HEAD, index.head["made_with"], first.head["made_with"], str(first.root))
        if index.verification != first.verification:
            raise InputError(
                f"{index.root}: holds {index.verification} verification, {first.root} {first.verification}; "
                "build one of them again"
            )
        for origin in index.head["runs"]:
            if origin["manifest"] in runs:
                raise InputError(f"{index.root}: run {origin['run']} is in {runs[origin['manifest']]} too; drop one")
            runs[origin["manifest"]] = index.root
    work = _begin(out)
    pieces: list[dict[str, Any]] = []
    for index in opened:
        for piece in index.head["pieces"]:
            pieces.append(_taken(index, work, piece, len(pieces)))
    head = {name: first.head[name] for name in ("made_with", "verification")}
    origins = [origin for index in opened for origin in index.head["runs"]]
    return _finish(work, out, {**head, "runs": origins, "pieces": pieces})


def _begin(out: Path) -> Path:
    """A folder beside `out` to work in, empty."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out}: is not empty; give another --out")
    work = out.with_name(f".{out.name}.part")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    return work


def _finish(work: Path, out: Path, head: dict[str, Any]) -> DedupIndex:
    files = [entry for piece in head["pieces"] for entry in piece.pop("files")]
    write_atomic(work / HEAD, canonical_json({"format": FORMAT, **head, "files": files}) + "\n")
    if out.exists():
        out.rmdir()
    work.replace(out)
    return open_index(out)


def _taken(index: DedupIndex, work: Path, piece: dict[str, Any], number: int) -> dict[str, Any]:
    """A piece of another index under a new number."""
    files = []
    for entry in index.head["files"]:
        old, _, kind = entry["path"].partition(".")
        if old != piece["name"]:
            continue
        name = f"{number:06d}.{kind}"
        try:
            os.link(index.root / entry["path"], work / name)
        except OSError:
            shutil.copyfile(index.root / entry["path"], work / name)
        files.append({**entry, "path": name})
    return {**piece, "name": f"{number:06d}", "files": files}


def _piece(batch: Batch, source: RunSource, work: Path, verification: str) -> dict[str, Any]:
    """Write the files of one batch."""
    name = f"{batch.number:06d}"
    hashed = source.hashed(batch)
    passed = np.concatenate([_passed(source.run, entry.part) for entry in batch.entries]) & hashed.takes_part
    columns = {
        "id": _fixed(hashed.ids),
        "takes_part": pa.array(hashed.takes_part),
        "passed": pa.array(passed),
        "text_hash": _fixed(hashed.texts),
    }
    if hashed.urls is not None:
        columns["url_hash"] = _fixed(hashed.urls)
    if source.config.within != "everything":
        columns["salt"] = pa.array(hashed.salts)
    with atomic(work / f"{name}.documents.parquet") as temporary:
        # Hashes have no repeats worth a dictionary.
        pq.write_table(pa.table(columns), temporary, compression="zstd", use_dictionary=False)
    goes_on = _first_of_text(hashed)
    _write_bands(work, name, batch, source, goes_on)
    if verification == "exact":
        _write_exact(work / f"{name}.sets.parquet", batch, source, np.flatnonzero(goes_on))
    elif verification == "estimated":
        _write_estimated(work / f"{name}.sets.parquet", batch, source, goes_on)
    files = [
        {"path": path.name, "bytes": path.stat().st_size, "sha256": sha256_file(path)}
        for path in sorted(work.glob(f"{name}.*"))
    ]
    return {
        "name": name,
        "rows": batch.rows,
        "documents": int(hashed.takes_part.sum()),
        "passed": int(passed.sum()),
        "files": files,
    }


def _passed(run: Path, part: str) -> NDArray[np.bool_]:
    """Which documents every rule let pass, whatever became of them among their likes."""
    reason = pq.read_table(run / "decisions" / f"{part}.parquet", columns=["reason"])["reason"]
    own = pc.is_in(reason, pa.array([DUPLICATE, IN_INDEX]))
    found: NDArray[np.bool_] = pc.or_(pc.is_null(reason), own).to_numpy()
    return found


def _first_of_text(hashed: Hashed) -> NDArray[np.bool_]:
    """Who takes part and has no earlier document of the batch with its text: no other is ever compared."""
    rows = np.flatnonzero(hashed.takes_part)
    salted = np.concatenate([hashed.texts[rows], hashed.salts[rows].view(np.uint8).reshape(-1, 8)], axis=1)
    keys = np.ascontiguousarray(salted).view(np.dtype((np.void, HASH_BYTES + 8))).reshape(-1)
    first = np.zeros(len(hashed.takes_part), bool)
    first[rows[np.unique(keys, return_index=True)[1]]] = True
    return first


def _write_bands(work: Path, name: str, batch: Batch, source: RunSource, goes_on: NDArray[np.bool_]) -> None:
    """The sorted band keys with the numbers of their documents in the piece, as much in a file as fits in memory."""
    shape, limit = source.config.shape, source.config.memory_mb * 1_000_000
    held: list[tuple[NDArray[np.int64], NDArray[np.uint64]]] = []
    number = size = 0
    for signed in source.signed(batch, SIGNATURE_ROWS):
        first = signed.first_row - batch.first_row
        chosen = np.flatnonzero(goes_on[first : first + len(signed.signatures)])
        keys = keys_of_bands(signed.signatures[chosen], shape.bands, shape.rows, signed.salts[chosen])
        if held and (size + len(keys)) * BAND_BYTES > limit:
            _flush(work / f"{name}.bands-{number:04d}", held)
            number, size = number + 1, 0
        held.append((chosen + first, keys))
        size += len(keys)
    if held:
        _flush(work / f"{name}.bands-{number:04d}", held)


def _flush(path: Path, held: list[tuple[NDArray[np.int64], NDArray[np.uint64]]]) -> None:
    rows, keys = (np.concatenate(column) for column in zip(*held, strict=True))
    band_file(path, rows, keys)
    held.clear()


_SETS = pa.schema([("row", pa.int64()), ("values", pa.list_(pa.uint32()))])


def _write_exact(path: Path, batch: Batch, source: RunSource, chosen: NDArray[np.int64]) -> None:
    """The shingle sets, in row groups as they come; ascending numbers take a quarter less as differences."""

    def tables() -> Iterator[pa.Table]:
        for rows, sets in source.sets(batch, chosen + batch.first_row):
            lists = pa.ListArray.from_arrays(pa.array(sets.offsets, pa.int32()), pa.array(sets.hashes))
            yield pa.table([pa.array(rows - batch.first_row), lists], schema=_SETS)

    _write_sets(path, _SETS, tables(), {"values.list.element": "DELTA_BINARY_PACKED"})


def _write_estimated(path: Path, batch: Batch, source: RunSource, goes_on: NDArray[np.bool_]) -> None:
    """The signatures of the same documents."""
    kind = pa.binary(4 * source.config.num_perm)
    schema = pa.schema([("row", pa.int64()), ("values", kind)])

    def tables() -> Iterator[pa.Table]:
        for signed in source.signed(batch, SIGNATURE_ROWS):
            first = signed.first_row - batch.first_row
            chosen = np.flatnonzero(goes_on[first : first + len(signed.signatures)])
            rows = np.ascontiguousarray(signed.signatures[chosen]).view(np.uint8)
            yield pa.table([pa.array(chosen + first), _fixed(rows)], schema=schema)

    _write_sets(path, schema, tables(), {})


def _write_sets(path: Path, schema: pa.Schema, tables: Iterable[pa.Table], packing: dict[str, str]) -> None:
    packed = {"row": "DELTA_BINARY_PACKED", **packing}
    with (
        atomic(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", use_dictionary=False, column_encoding=packed) as writer,
    ):
        for table in tables:
            if len(table):
                writer.write_table(table)


def _fixed(values: NDArray[np.uint8]) -> pa.Array:
    """Rows of bytes as fixed-size binary."""
    data = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(pa.binary(values.shape[1]), len(values), [None, data])
