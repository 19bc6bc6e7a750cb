"""Token shards as `seimai encode` writes them, made here from scratch, and small configs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from seimai.config import parse_config
from seimai.files import canonical_json, merkle_root, sha256_file
from seimai.model.train_config import TrainConfig

BOS, EOS, PAD = 256, 257, 258
VOCAB = 264
TEXTS = (
    "精米は玄米から糠を取り除く。",
    "Rice is polished before it is cooked. ",
    "水を加えて炊く。",
    "The bran keeps its oil. ",
)

Spans = Sequence[tuple[int, int]]


def write_arrow(path: Path, batches: Sequence[pa.RecordBatch]) -> None:
    """An uncompressed Arrow IPC file."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def byte_tokenizer() -> Tokenizer:
    """A tokenizer whose ids 0 to 255 are bytes and 256 to 258 BOS, EOS and padding."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    names = {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}
    assert set(names.values()) == set(alphabet)
    tokenizer = Tokenizer(models.BPE(vocab={names[byte]: byte for byte in range(256)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|bos|>", "<|eos|>", "<|pad|>"])
    return tokenizer


def sample_documents(count: int, seed: int = 0) -> list[list[int]]:
    """Documents of repeated phrases in two languages by turns, 5 to 400 bytes."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        phrases = [TEXTS[2 * int(random.integers(2)) + number % 2] for _ in range(random.integers(1, 8))]
        text = "".join(phrases).encode()[: int(random.integers(5, 400))]
        found.append([BOS, *text, EOS])
    return found


def docs_table(documents: Sequence[Sequence[int]], first: int, split: Sequence[str]) -> pa.Table:
    """The provenance of a shard's documents; what has no value here is null."""
    numbers = range(first, first + len(documents))
    nulls = [None] * len(documents)
    columns: dict[str, tuple[list[Any], pa.DataType]] = {
        "id": ([f"{number:032x}" for number in numbers], pa.string()),
        "split": (list(split), pa.string()),
        "source": (["crawl"] * len(documents), pa.string()),
        "lang": ([("ja", "en")[number % 2] for number in numbers], pa.string()),
        "lang_score": ([0.9] * len(documents), pa.float32()),
        "quality": (nulls, pa.float32()),
        "cluster_size": ([1] * len(documents), pa.int64()),
        "cluster_rank": ([0] * len(documents), pa.int64()),
        "date": (["2026-01-02T03:04:05Z"] * len(documents), pa.string()),
        "host": (["example.org"] * len(documents), pa.string()),
        "url": ([f"https://example.org/{number}" for number in numbers], pa.string()),
        "warc_file": (["crawl-data/a.warc.gz"] * len(documents), pa.string()),
        "warc_offset": ([1000 * number for number in numbers], pa.int64()),
        "n_tokens": ([len(document) for document in documents], pa.int64()),
        "n_bytes": ([len(document) - 2 for document in documents], pa.int64()),
    }
    return pa.table({name: pa.array(values, kind) for name, (values, kind) in columns.items()})


def write_tokens(
    directory: Path,
    documents: Sequence[Sequence[int]],
    *,
    shard_documents: int = 1000,
    batch_documents: int = 1000,
    held_out_every: int = 0,
) -> Path:
    """A whole directory of token shards; every `held_out_every`-th document is held out."""
    directory.mkdir(parents=True)
    split = ["held_out" if held_out_every and i % held_out_every == 1 else "train" for i in range(len(documents))]
    byte_tokenizer().save(str(directory / "tokenizer.json"))
    shards: list[dict[str, Any]] = []
    names: list[str] = []
    for number, first in enumerate(range(0, len(documents), shard_documents)):
        part = documents[first : first + shard_documents]
        tokens, docs = f"tokens-{number:05d}.arrow", f"docs-{number:05d}.parquet"
        batches = [
            pa.record_batch([pa.array(part[i : i + batch_documents], pa.large_list(pa.uint16()))], ["tokens"])
            for i in range(0, len(part), batch_documents)
        ]
        write_arrow(directory / tokens, batches)
        pq.write_table(docs_table(part, first, split[first : first + len(part)]), directory / docs)
        n_tokens = sum(map(len, part))
        n_bytes = n_tokens - 2 * len(part)
        shards.append(
            {"tokens": tokens, "docs": docs, "documents": len(part), "n_tokens": n_tokens, "n_bytes": n_bytes}
        )
        names += [tokens, docs]
    index = {
        "n_tokens": pa.array([len(document) for document in documents], pa.uint32()),
        "split": pa.array([int(each == "held_out") for each in split], pa.uint8()),
        "source": pa.array([0] * len(documents), pa.uint16()),
        "lang": pa.array([(1, 0)[number % 2] for number in range(len(documents))], pa.uint16()),
    }
    write_arrow(directory / "index.arrow", [pa.record_batch(list(index.values()), list(index))])
    seal(directory, shards, [*names, "index.arrow", "tokenizer.json"])
    return directory


def seal(directory: Path, shards: list[dict[str, Any]], names: Sequence[str]) -> None:
    """Write the manifest over the files named."""
    files: list[dict[str, Any]] = [
        {"path": name, "bytes": (directory / name).stat().st_size, "sha256": sha256_file(directory / name)}
        for name in names
    ]
    tokenizer = {"fingerprint": "ab" * 32, "vocab_size": VOCAB, "bos_id": BOS, "eos_id": EOS, "pad_id": PAD}
    manifest = {
        "format": "seimai-tokens/1",
        "tokenizer": tokenizer,
        "dtype": "uint16",
        "sources": ["crawl"],
        "langs": ["en", "ja"],
        "shards": shards,
        "files": files,
        "merkle_root": merkle_root(file["sha256"] for file in files),
    }
    (directory / "manifest.json").write_text(canonical_json(manifest), encoding="utf-8")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny tensors gain nothing from threads, and threads that wait for each other on a busy machine lose much."""
    torch.set_num_threads(1)


@pytest.fixture
def make_tokens(tmp_path: Path) -> Callable[..., Path]:
    """write_tokens(documents, …) into a fresh directory below tmp_path; `name` tells several apart."""

    def make(documents: Sequence[Sequence[int]], name: str = "tokens", **options: Any) -> Path:
        return write_tokens(tmp_path / name, documents, **options)

    return make


@pytest.fixture(scope="session")
def small_tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 short documents in three shards of two batches, a tenth held out; not to be changed."""
    documents = sample_documents(200)
    directory = tmp_path_factory.mktemp("small") / "tokens"
    return write_tokens(directory, documents, shard_documents=70, batch_documents=40, held_out_every=10)


@pytest.fixture(scope="session")
def tiny_config() -> TrainConfig:
    """The smallest training: 2 layers of width 32, rows of 32 tokens, 12 steps."""
    return parse_config(
        {
            "model": {"depth": 2, "d_model": 32, "n_heads": 2, "row_tokens": 32},
            "data": {"batch_rows": 4},
            "train": {"steps": 12, "checkpoint_every": 4, "device": "cpu", "evaluate_max_documents": 2},
        },
        TrainConfig,
        place="test",
    )


@pytest.fixture(scope="session")
def documents() -> list[list[int]]:
    """The documents of `small_tokens`."""
    return sample_documents(200)
