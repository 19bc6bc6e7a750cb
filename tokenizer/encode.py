"""Text shards and a tokenizer in; token shards with their documents, an index and a manifest out."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from seimai.errors import RunError
from seimai.files import atomic, fingerprint, merkle_root, read_json, sha256_file, write_atomic

from .encoder import Encoder
from .sources import DOCUMENT, Shard, batches, open_sources
from .train import PartMap
from .vocabulary import Vocabulary, load

__all__ = [
    *("DOCS", "FORMAT", "INDEX", "EncodeSummary", "encode", "encode_shard"),
    *("add_to_tally", "finish_tokens", "mark_shard", "shard_files"),
]

FORMAT = "seimai-tokens/1"
VERSION = 2
"""Raised when the same text and tokenizer would give other bytes."""
FLUSH_TOKENS = 1 << 24
"""Tokens after which a record batch and a row group are written."""
SPLIT_CODES = {"train": 0, "held_out": 1}
UNKNOWN = {"source": "unknown", "lang": "und"}

DOCS = pa.schema(
    [
        *(DOCUMENT.field(name) for name in ("id", "split", "source", "lang", "lang_score", "quality", "cluster_size")),
        *(DOCUMENT.field(name) for name in ("cluster_rank", "date", "host", "url", "warc_file", "warc_offset")),
        ("n_tokens", pa.int64()),
        ("n_bytes", pa.int64()),
    ]
)
"""Columns of docs-*.parquet; n_tokens counts BOS and EOS, n_bytes the text's UTF-8 alone."""
INDEX = pa.schema([("n_tokens", pa.uint32()), ("split", pa.uint8()), ("source", pa.uint16()), ("lang", pa.uint16())])
"""Columns of index.arrow; codes of source and lang stand in the manifest."""


@dataclass(frozen=True)
class EncodeSummary:
    """What was encoded."""

    documents: int
    n_tokens: int
    n_bytes: int
    langs: dict[str, dict[str, int]]
    """documents, n_tokens and n_bytes by language."""
    round_trip_failures: int
    shards_done: int
    """Shards encoded now; the others were there already."""
    merkle_root: str


def encode(
    source: Path | Sequence[Path],
    tokenizer: Path,
    out: Path,
    *,
    field: str = "text",
    part_map: PartMap = map,
    told: Callable[[int, int, int], None] | None = None,
) -> EncodeSummary:
    """Encode every document of the sources into `out`: one token shard for each text shard, in order of the sources.

    Called again, it does only what is missing. The bytes depend on the text and the tokenizer alone. Where `part_map`
    runs in several processes, set TOKENIZERS_PARALLELISM=false in their environment, or each starts threads of its own.
    `told` hears of every shard: (shards done, shards to do, tokens in this one).

    Raises RunError where `out` was encoded with another tokenizer.
    """
    shards = open_sources(source, field=field)
    vocabulary = load(tokenizer)
    wanted = [_fingerprint(shard, vocabulary.fingerprint) for shard in shards]
    _refuse_other(out, vocabulary.fingerprint)
    _open_out(out)
    missing = [number for number, mark in enumerate(wanted) if not _done(out, number, mark, vocabulary.fingerprint)]
    manifest_path = out / "manifest.json"
    made = all((out / name).is_file() for name in ("manifest.json", "index.arrow", "tokenizer.json"))
    if missing or not made or _shards_listed(manifest_path) != len(shards):
        manifest_path.unlink(missing_ok=True)
        work = partial(_encode_item, tokenizer=tokenizer, out=out, tokenizer_fingerprint=vocabulary.fingerprint)
        coming = part_map(work, [(number, shards[number], wanted[number]) for number in missing])
        for done, n_tokens in enumerate(coming, start=1):
            if told is not None:
                told(done, len(missing), n_tokens)
        finish_tokens(out, tokenizer / "tokenizer.json", _identity(vocabulary), len(shards))
    return _summary(out, len(shards), len(missing))


def encode_shard(shard: Shard, tokenizer: Path, tokens: Path, docs: Path) -> dict[str, Any]:
    """Encode one text shard into a token shard and its documents; returns the tally. Pure but for the two files."""
    encoder = Encoder(tokenizer)
    schema = pa.schema([("tokens", pa.large_list(pa.from_numpy_dtype(encoder.dtype)))])
    tally: dict[str, Any] = {"documents": 0, "n_tokens": 0, "n_bytes": 0}
    langs: dict[str, dict[str, int]] = {}
    sources: set[str] = set()
    failures: list[str] = []
    with (
        atomic(tokens) as tokens_path,
        atomic(docs) as docs_path,
        pa.ipc.new_file(str(tokens_path), schema) as tokens_file,
        pq.ParquetWriter(docs_path, DOCS, compression="zstd") as docs_file,
    ):
        for rows, lists in _flushes(_encoded(shard, encoder, failures)):
            tokens_file.write_batch(pa.RecordBatch.from_arrays([lists], schema=schema))
            docs_file.write_table(rows, row_group_size=rows.num_rows)
            add_to_tally(langs, sources, rows)
    for each in langs.values():
        for name, value in each.items():
            tally[name] += value
    return {**tally, "langs": langs, "sources": sorted(sources), "round_trip_failures": failures}


def _encoded(
    shard: Shard, encoder: Encoder, failures: list[str]
) -> Iterator[tuple[pa.RecordBatch, list[NDArray[Any]]]]:
    """Each record batch's docs rows and token arrays; ids of those that do not turn back go to `failures`."""
    bos = np.array([encoder.vocabulary.bos_id], encoder.dtype)
    eos = np.array([encoder.vocabulary.eos_id], encoder.dtype)
    for batch in batches(shard):
        texts = batch.column("text").to_pylist()
        ids = encoder.ids(texts)
        failed = encoder.failures(texts, ids)
        failures += [batch.column("id")[row].as_py() for row in failed]
        documents = [np.concatenate((bos, each, eos)) for each in ids]
        n_tokens = pa.array([len(each) for each in documents], pa.int64())
        n_bytes = pc.binary_length(batch.column("text"))
        known = [batch.column(name) for name in DOCS.names[:-2]]
        yield pa.RecordBatch.from_arrays([*known, n_tokens, n_bytes], schema=DOCS), documents


def _flushes(encoded: Iterator[tuple[pa.RecordBatch, list[NDArray[Any]]]]) -> Iterator[tuple[pa.Table, pa.Array]]:
    """Gather batches until they hold FLUSH_TOKENS tokens; where the file is cut depends on the documents alone."""
    rows: list[pa.RecordBatch] = []
    documents: list[NDArray[Any]] = []
    held = 0
    for batch, arrays in encoded:
        rows.append(batch)
        documents += arrays
        held += sum(map(len, arrays))
        if held >= FLUSH_TOKENS:
            yield _flush(rows, documents)
            rows, documents, held = [], [], 0
    if documents:
        yield _flush(rows, documents)


def _flush(rows: list[pa.RecordBatch], documents: list[NDArray[Any]]) -> tuple[pa.Table, pa.Array]:
    offsets = np.concatenate(([0], np.cumsum([len(each) for each in documents], dtype=np.int64)))
    lists = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(np.concatenate(documents)))
    return pa.Table.from_batches(rows), lists


def add_to_tally(langs: dict[str, dict[str, int]], sources: set[str], rows: pa.Table) -> None:
    """Count the rows of DOCS by language, and name their sources."""
    named = rows.set_column(rows.schema.get_field_index("lang"), "lang", rows["lang"].fill_null(UNKNOWN["lang"]))
    sums = named.group_by("lang", use_threads=False).aggregate(
        [("n_tokens", "sum"), ("n_bytes", "sum"), ([], "count_all")]
    )
    for row in sums.to_pylist():
        each = langs.setdefault(row["lang"], {"documents": 0, "n_tokens": 0, "n_bytes": 0})
        each["documents"] += row["count_all"]
        each["n_tokens"] += row["n_tokens_sum"]
        each["n_bytes"] += row["n_bytes_sum"]
    sources |= set(rows["source"].fill_null(UNKNOWN["source"]).unique().to_pylist())


def _fingerprint(shard: Shard, tokenizer_fingerprint: str) -> str:
    field = None if shard.path.suffix == ".arrow" else shard.field
    name = None if shard.path.suffix == ".arrow" else shard.path.name
    return fingerprint(
        {"version": VERSION, "tokenizer": tokenizer_fingerprint, "shard": shard.sha256, "field": field, "name": name}
    )


def shard_files(number: int) -> tuple[str, str]:
    """Names of a token shard and of its documents."""
    return f"tokens-{number:05d}.arrow", f"docs-{number:05d}.parquet"


def _shards_listed(manifest: Path) -> int:
    """Shards in a manifest of tokens; -1 for a damaged one, which is then written anew."""
    try:
        return len(read_json(manifest)["shards"])
    except (ValueError, KeyError, TypeError):
        return -1


def _marker(out: Path, number: int) -> Path:
    return out / "state" / "encode" / f"{number:05d}.json"


def _refuse_other(out: Path, tokenizer_fingerprint: str) -> None:
    """RunError where any shard in `out` was encoded with another tokenizer, or where it is no directory of tokens."""
    if out.is_dir() and not (out / "state" / "encode").is_dir() and any(out.iterdir()):
        raise RunError(f"{out}: holds something else than token shards; give another --out")
    for path in sorted((out / "state" / "encode").glob("*.json")):
        try:
            found = read_json(path)["tokenizer"]
        except (ValueError, KeyError, TypeError):  # torn by a power cut or damaged: the shard is made again
            path.unlink()
            continue
        if found != tokenizer_fingerprint:
            raise RunError(
                f"{out}: encoded with tokenizer {found[:12]}, not {tokenizer_fingerprint[:12]}; "
                "give another --out or delete it first"
            )


def _open_out(out: Path) -> None:
    """Make the directory of markers first: by it a killed run is known as one of ours, even without a marker."""
    try:
        (out / "state" / "encode").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{out}: cannot be written ({error.strerror}); give another --out") from None


def _done(out: Path, number: int, wanted: str, tokenizer_fingerprint: str) -> bool:
    path = _marker(out, number)
    if not path.exists():
        return False
    marker = read_json(path)
    whole = all((out / f["path"]).is_file() and (out / f["path"]).stat().st_size == f["bytes"] for f in marker["files"])
    return bool(marker["fingerprint"] == wanted and whole)


def _encode_item(item: tuple[int, Shard, str], tokenizer: Path, out: Path, tokenizer_fingerprint: str) -> int:
    number, shard, mark = item
    marker = _marker(out, number)
    marker.unlink(missing_ok=True)
    tally = encode_shard(shard, tokenizer, *(out / name for name in shard_files(number)))
    mark_shard(out, number, mark, tokenizer_fingerprint, tally)
    return int(tally["n_tokens"])


def mark_shard(out: Path, number: int, mark: str, tokenizer_fingerprint: str, tally: dict[str, Any]) -> None:
    """Say that a token shard and its documents are there, what they were made of (`mark`) and what they hold."""
    files = [_described(out, name) for name in shard_files(number)]
    facts = {"fingerprint": mark, "tokenizer": tokenizer_fingerprint, "files": files, "tally": tally}
    write_atomic(_marker(out, number), json.dumps(facts, ensure_ascii=False, indent=2) + "\n")


def _described(out: Path, name: str) -> dict[str, Any]:
    path = out / name
    return {"path": name, "bytes": path.stat().st_size, "sha256": sha256_file(path)}


def _identity(vocabulary: Vocabulary) -> dict[str, Any]:
    return {
        "fingerprint": vocabulary.fingerprint,
        "vocab_size": vocabulary.vocab_size,
        "bos_id": vocabulary.bos_id,
        "eos_id": vocabulary.eos_id,
        "pad_id": vocabulary.pad_id,
    }


def finish_tokens(
    out: Path,
    tokenizer: Path,
    identity: dict[str, Any],
    n_shards: int,
    *,
    more: dict[str, Any] | None = None,
    others: Sequence[str] = (),
) -> None:
    """Remove what no marker names, write the index, copy tokenizer.json, write the manifest last.

    `more` are keys and `others` files of the folder that the manifest has besides.
    """
    markers = [read_json(_marker(out, number)) for number in range(n_shards)]
    kept = {_marker(out, number) for number in range(n_shards)}
    kept |= {out / file["path"] for marker in markers for file in marker["files"]}
    for pattern in ("tokens-*.arrow", "docs-*.parquet", "state/encode/*.json", ".*.tmp"):
        for path in out.glob(pattern):
            if path not in kept:
                path.unlink()
    tallies = [marker["tally"] for marker in markers]
    sources = sorted({name for tally in tallies for name in tally["sources"]})
    langs = sorted({name for tally in tallies for name in tally["langs"]})
    _write_index(out, n_shards, sources, langs)
    with atomic(out / "tokenizer.json") as path:
        shutil.copyfile(tokenizer, path)
    described = [file for marker in markers for file in marker["files"]]
    state = [str(_marker(out, number).relative_to(out)) for number in range(n_shards)]
    files = described + [_described(out, name) for name in ("index.arrow", "tokenizer.json", *others, *state)]
    manifest = {
        "format": FORMAT,
        **(more or {}),
        "tokenizer": identity,
        "dtype": "uint16" if identity["vocab_size"] <= 1 << 16 else "uint32",
        "sources": sources,
        "langs": langs,
        "shards": [
            dict(zip(("tokens", "docs"), shard_files(number), strict=True))
            | {name: tally[name] for name in ("documents", "n_tokens", "n_bytes")}
            for number, tally in enumerate(tallies)
        ],
        "round_trip_failures": [name for tally in tallies for name in tally["round_trip_failures"]],
        "files": files,
        "merkle_root": merkle_root(file["sha256"] for file in files),
    }
    write_atomic(out / "manifest.json", json.dumps(manifest, ensure_ascii=False, indent=2) + "\n")


def _write_index(out: Path, n_shards: int, sources: list[str], langs: list[str]) -> None:
    with atomic(out / "index.arrow") as path, pa.ipc.new_file(str(path), INDEX) as file:
        for number in range(n_shards):
            docs = pq.read_table(out / shard_files(number)[1], columns=INDEX.names).combine_chunks()
            split = pc.index_in(docs["split"], pa.array(list(SPLIT_CODES)))
            codes = [
                pc.index_in(docs[name].fill_null(UNKNOWN[name]), pa.array(table, pa.string()))
                for name, table in (("source", sources), ("lang", langs))
            ]
            columns = [docs["n_tokens"], split, *codes]
            arrays = [column.cast(field.type) for column, field in zip(columns, INDEX, strict=True)]
            file.write_table(pa.table(arrays, schema=INDEX))


def _summary(out: Path, n_shards: int, n_done: int) -> EncodeSummary:
    tallies = [read_json(_marker(out, number))["tally"] for number in range(n_shards)]
    langs: dict[str, dict[str, int]] = {}
    for tally in tallies:
        for lang, each in sorted(tally["langs"].items()):
            sums = langs.setdefault(lang, dict.fromkeys(each, 0))
            for name, value in each.items():
                sums[name] += value
    totals = {name: sum(tally[name] for tally in tallies) for name in ("documents", "n_tokens", "n_bytes")}
    return EncodeSummary(
        **totals,
        langs=dict(sorted(langs.items())),
        round_trip_failures=sum(len(tally["round_trip_failures"]) for tally in tallies),
        shards_done=n_done,
        merkle_root=read_json(out / "manifest.json")["merkle_root"],
    )
