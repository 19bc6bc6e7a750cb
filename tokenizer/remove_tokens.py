"""Token shards made of other ones without some documents: the ids that stay are copied, nothing is encoded again."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seimai.errors import RunError, VerifyError
from seimai.files import atomic, fingerprint, read_json, sha256_file, write_atomic

from .encode import DOCS, FORMAT, add_to_tally, finish_tokens, mark_shard, shard_files

__all__ = ["remove_documents"]

Goes = Callable[[pa.Table], pa.ChunkedArray]
"""For rows of DOCS, which documents go."""


def remove_documents(tokens: Path, out: Path, goes: Goes, done: dict[str, Any]) -> list[str]:
    """Write the token shards of `tokens` without the documents that go into `out`; returns their ids, in order.

    The manifest names its parent's Merkle root and what was `done`, removed.txt the ids; the new root covers it all.
    Shards keep their numbers, an empty one too. RunError where `out` holds something or `tokens` is not finished,
    VerifyError where a shard is not what the manifest says.
    """
    parent = _manifest(tokens)
    if out.exists() and any(out.iterdir()):
        raise RunError(f"{out}: is not empty; give another --out")
    (out / "state" / "encode").mkdir(parents=True)
    removed: list[str] = []
    for number in range(len(parent["shards"])):
        names = shard_files(number)
        for name in names:
            _check(tokens, name, parent)
        failures = frozenset(parent["round_trip_failures"])
        tally, gone = _filtered(tokens, out, names, goes, failures)
        removed += gone
        mark = fingerprint({"parent": parent["merkle_root"], "shard": number, "removed": gone})
        mark_shard(out, number, mark, parent["tokenizer"]["fingerprint"], tally)
    write_atomic(out / "removed.txt", "".join(f"{name}\n" for name in removed))
    more = {"parent": parent["merkle_root"], "derived": {**done, "removed": len(removed)}}
    n_shards, identity = len(parent["shards"]), parent["tokenizer"]
    finish_tokens(out, tokens / "tokenizer.json", identity, n_shards, more=more, others=["removed.txt"])
    return removed


def _manifest(tokens: Path) -> dict[str, Any]:
    path = tokens / "manifest.json"
    if not path.is_file():
        raise RunError(f"{tokens}: has no manifest.json; give a finished folder of token shards")
    try:
        found: dict[str, Any] = read_json(path)
    except ValueError:
        raise VerifyError(f"{path}: is damaged; see `seimai verify {tokens}`") from None
    if found.get("format") != FORMAT:
        raise RunError(f"{tokens}: is not a folder of token shards; give one, or a run")
    return found


def _check(tokens: Path, name: str, parent: dict[str, Any]) -> None:
    stated = {entry["path"]: entry["sha256"] for entry in parent["files"]}
    path = tokens / name
    if not path.is_file() or sha256_file(path) != stated.get(name):
        raise VerifyError(f"{path}: is not what the manifest says; see `seimai verify {tokens}`")


def _filtered(
    tokens: Path, out: Path, names: tuple[str, str], goes: Goes, failures: frozenset[str]
) -> tuple[dict[str, Any], list[str]]:
    """Copy what stays of a shard; its tally and the ids that went."""
    failed: list[str] = []
    langs: dict[str, dict[str, int]] = {}
    sources: set[str] = set()
    gone: list[str] = []
    with (
        atomic(out / names[0]) as tokens_path,
        atomic(out / names[1]) as docs_path,
        pa.memory_map(str(tokens / names[0])) as source,
        pa.ipc.open_file(source) as reader,
        pa.ipc.new_file(str(tokens_path), reader.schema) as tokens_file,
        pq.ParquetWriter(docs_path, DOCS, compression="zstd") as docs_file,
    ):
        for number, rows in enumerate(_row_groups(tokens / names[1])):
            stays = pc.invert(goes(rows))
            gone += rows.filter(pc.invert(stays))["id"].to_pylist()
            rows = rows.filter(stays)
            if not len(rows):
                continue
            tokens_file.write_batch(reader.get_batch(number).filter(stays.combine_chunks()))
            docs_file.write_table(rows, row_group_size=len(rows))
            add_to_tally(langs, sources, rows)
            failed += [name for name in rows["id"].to_pylist() if name in failures] if failures else []
    sums = {name: int(np.sum([each[name] for each in langs.values()])) for name in ("documents", "n_tokens", "n_bytes")}
    return {**sums, "langs": langs, "sources": sorted(sources), "round_trip_failures": failed}, gone


def _row_groups(path: Path) -> Iterator[pa.Table]:
    """One row group stands for one record batch of tokens, as `encode` writes them."""
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number)
