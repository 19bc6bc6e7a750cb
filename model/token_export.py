"""Token shards in the formats other code reads: Megatron, plain binary as nanoGPT has it, Arrow for `datasets`.

The documents are those of the shards, BOS and EOS included, in manifest order; training and held-out documents apart.
Read back by their consumers in bench/consumers.py.
"""

import json
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seimai.errors import RunError
from seimai.files import atomic, canonical_json, write_atomic

from .shards import TokenShards, open_tokens

__all__ = ["FORMATS", "Format", "export_tokens"]

Format = Literal["megatron", "bin", "hf"]
FORMATS: tuple[Format, ...] = ("megatron", "bin", "hf")
Tokens = NDArray[Any]

SPLITS = {"train": False, "held_out": True}
MEGATRON_CODES = {"uint16": 8, "int32": 4}
"""Of megatron.core.datasets.indexed_dataset.DType; it has no uint32, and ids fit an int32."""
BATCH_DOCUMENTS = 1024


def export_tokens(tokens_dir: Path, out: Path, format: Format) -> dict[str, int]:
    """Write the data set to a new folder `out`; returns the documents and tokens of each split.

    megatron: `train.bin/.idx`, `held_out.bin/.idx`. bin: `train.bin`, `held_out.bin`, uint16 or uint32, documents end
    to end. hf: `train/` and `held_out/` for `datasets.load_from_disk`, columns input_ids and id. Each says in
    `seimai.json` what it was made of. RunError where `out` holds something.
    """
    shards = open_tokens(tokens_dir)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out}: holds something; give a new folder to --out")
    out.mkdir(parents=True, exist_ok=True)
    tally: dict[str, int] = {}
    for split, held_out in SPLITS.items():
        chosen = np.flatnonzero(shards.held_out == held_out)
        if len(chosen):
            _WRITERS[format](shards, chosen, out, split)
        tally |= {f"{split}_documents": len(chosen), f"{split}_tokens": int(shards.n_tokens[chosen].sum())}
    origin = {"data": shards.root, "format": format, "tokenizer": shards.tokenizer, "dtype": str(shards.dtype), **tally}
    write_atomic(out / "seimai.json", canonical_json(origin) + "\n")
    return tally


def _documents(shards: TokenShards, chosen: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], Tokens]]:
    """Document numbers and their tokens end to end, some thousand documents at a time."""
    for at in range(0, len(chosen), BATCH_DOCUMENTS):
        numbers = chosen[at : at + BATCH_DOCUMENTS]
        lengths = shards.n_tokens[numbers].astype(np.int64)
        tokens = np.empty(int(lengths.sum()), shards.dtype)
        shards.gather(numbers, np.zeros_like(lengths), lengths, tokens, np.cumsum(lengths) - lengths)
        yield numbers, tokens


def _write_bin(shards: TokenShards, chosen: NDArray[np.int64], out: Path, split: str) -> None:
    with atomic(out / f"{split}.bin") as path, path.open("wb") as file:
        for _, tokens in _documents(shards, chosen):
            tokens.tofile(file)


def _write_megatron(shards: TokenShards, chosen: NDArray[np.int64], out: Path, split: str) -> None:
    """The layout of MMIDIDX version 1: one sequence a document; pointers count bytes."""
    dtype = np.dtype(np.uint16 if shards.dtype == np.uint16 else np.int32)
    with atomic(out / f"{split}.bin") as path, path.open("wb") as file:
        for _, tokens in _documents(shards, chosen):
            tokens.astype(dtype, copy=False).tofile(file)
    lengths = shards.n_tokens[chosen].astype(np.int32)
    pointers = np.cumsum(lengths, dtype=np.int64) - lengths
    with atomic(out / f"{split}.idx") as path, path.open("wb") as file:
        file.write(b"MMIDIDX\x00\x00" + struct.pack("<QB", 1, MEGATRON_CODES[dtype.name]))
        file.write(struct.pack("<QQ", len(lengths), len(lengths) + 1))
        for column in (lengths, pointers * dtype.itemsize, np.arange(len(lengths) + 1, dtype=np.int64)):
            file.write(column.tobytes())


def _write_hf(shards: TokenShards, chosen: NDArray[np.int64], out: Path, split: str) -> None:
    """A folder as Dataset.save_to_disk writes it: one Arrow stream and two JSON files."""
    partial = out / f"{split}.tmp"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    kind = pa.from_numpy_dtype(shards.dtype)
    schema = pa.schema([("input_ids", pa.large_list(kind)), ("id", pa.string())])
    ids = pa.concat_tables(shards.docs_tables(["id"]))["id"].cast(pa.string())
    with pa.OSFile(str(partial / "data-00000-of-00001.arrow"), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for numbers, tokens in _documents(shards, chosen):
            offsets = np.concatenate([[0], np.cumsum(shards.n_tokens[numbers], dtype=np.int64)])
            lists = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(tokens))
            batch = [lists, ids.take(pa.array(numbers)).combine_chunks()]
            writer.write_batch(pa.record_batch(batch, schema=schema))
    value = {"dtype": str(kind), "_type": "Value"}
    features = {"input_ids": {"feature": value, "_type": "LargeList"}, "id": {"dtype": "string", "_type": "Value"}}
    state: dict[str, Any] = {
        "_data_files": [{"filename": "data-00000-of-00001.arrow"}],
        "_fingerprint": shards.root[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": split,
    }
    (partial / "dataset_info.json").write_text(json.dumps({"features": features}, indent=2), encoding="utf-8")
    (partial / "state.json").write_text(json.dumps(state, indent=2), encoding="utf-8")
    partial.rename(out / split)


_WRITERS = {"megatron": _write_megatron, "bin": _write_bin, "hf": _write_hf}
