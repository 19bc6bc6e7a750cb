"""MB of UTF-8 encoded a second: `python bench/encode.py [FILE.jsonl.zst…]`, about 4 minutes.

One core and two, against `tokenizers` called plainly (a text at a time, and its fastest way, batches without offsets),
tiktoken with our merges and pattern, and SentencePiece (BPE of as many ids, trained on the same text) where it is
installed. All read the same texts; ids of the first four are compared. Exit code 1 where `tokenizers` is faster.
"""

import argparse
import importlib.util
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow.json
import tiktoken
import tokenizers
from tokenizers import Tokenizer

from seimai.tokenizer.encoder import Encoder
from seimai.tokenizer.train import train_tokenizer
from seimai.tokenizer.vocabulary import load

VOCAB_SIZE, TRAIN_BYTES, BATCH = 32_768, 12_000_000, 128


def read(path: Path, max_bytes: int) -> list[str]:
    """The first texts of a file."""
    table = pyarrow.json.read_json(path, read_options=pyarrow.json.ReadOptions(block_size=64 << 20))
    found, held = [], 0
    for text in table["text"].to_pylist():
        found.append(text)
        held += len(text.encode())
        if held >= max_bytes:
            break
    return found


@cache
def _encoder(folder: Path) -> Encoder:
    return Encoder(folder)


def ours(folder: Path, texts: list[str]) -> list[list[int]]:
    """A shard's way: batches through one encoder."""
    found: list[list[int]] = []
    for at in range(0, len(texts), BATCH):
        found += [ids.tolist() for ids in _encoder(folder).ids(texts[at : at + BATCH])]
    return found


@cache
def _library(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def plainly(folder: Path, texts: list[str]) -> list[list[int]]:
    """tokenizers, a text at a time."""
    return [_library(folder).encode(text, add_special_tokens=False).ids for text in texts]


def batched(folder: Path, texts: list[str]) -> list[list[int]]:
    """tokenizers, its fastest call."""
    found: list[list[int]] = []
    for at in range(0, len(texts), BATCH):
        found += [
            each.ids for each in _library(folder).encode_batch_fast(texts[at : at + BATCH], add_special_tokens=False)
        ]
    return found


@cache
def _tiktoken(folder: Path) -> tiktoken.Encoding:
    vocabulary = load(folder)
    ranks = {token: number for number, token in enumerate(vocabulary.token_bytes[: 256 + len(vocabulary.merges)])}
    return tiktoken.Encoding("seimai", pat_str=vocabulary.pattern, mergeable_ranks=ranks, special_tokens={})


def by_tiktoken(folder: Path, texts: list[str]) -> list[list[int]]:
    """tiktoken, one thread."""
    return [_tiktoken(folder).encode_ordinary(text) for text in texts]


@cache
def _sentencepiece(folder: Path) -> object:
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "peer.model"))


def by_sentencepiece(folder: Path, texts: list[str]) -> list[list[int]]:
    """SentencePiece, one thread; other ids."""
    return _sentencepiece(folder).encode(texts, num_threads=1)  # type: ignore[attr-defined, no-any-return]


Way = Callable[[Path, list[str]], list[list[int]]]
WAYS: dict[str, Way] = {
    "seimai": ours,
    "tokenizers, a text at a time": plainly,
    "tokenizers, encode_batch_fast": batched,
    "tiktoken": by_tiktoken,
    "sentencepiece": by_sentencepiece,
}


def timed(way: Way, folder: Path, texts: list[str]) -> float:
    """Wall seconds, loading done before; no program has seen the texts, ours remembers pre-tokens."""
    _encoder.cache_clear()
    way(folder, texts[:1])
    began = time.perf_counter()
    way(folder, texts)
    return time.perf_counter() - began


def on_two(way: Way, folder: Path, texts: list[str]) -> float:
    """Wall seconds of two processes with half of the texts each."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        list(pool.map(way, [folder] * 2, [texts[:1]] * 2))
        began = time.perf_counter()
        list(pool.map(_length, [way] * 2, [folder] * 2, [texts[::2], texts[1::2]]))
        return time.perf_counter() - began


def _length(way: Way, folder: Path, texts: list[str]) -> int:
    return sum(map(len, way(folder, texts)))


def _train_peer(folder: Path, texts: list[str]) -> bool:
    if importlib.util.find_spec("sentencepiece") is None:
        return False
    import sentencepiece

    lines = chain.from_iterable(text.split("\n") for text in texts)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(line for line in lines if line), model_prefix=str(folder / "peer"), vocab_size=VOCAB_SIZE,
        model_type="bpe", byte_fallback=True, character_coverage=0.9995, num_threads=2, minloglevel=2,
    )  # fmt: skip
    return True


def main() -> int:
    """Print a table a file."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("files", nargs="*", type=Path, help="default: Wikipedia and books of SEIMAI_DATA/text")
    options.add_argument("--bytes", type=int, default=12_000_000, help="bytes of text a file")
    chosen = options.parse_args()
    data = Path(os.environ.get("SEIMAI_DATA", "../shared/data")) / "text"
    names = ("ja_wikipedia_kyoto", "ja_aozora", "en_wikipedia_kyoto", "en_books")
    files = chosen.files or [data / f"{name}.dev.jsonl.zst" for name in names]
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, tokenizers "
          f"{tokenizers.__version__}, tiktoken {tiktoken.__version__}, numpy {np.__version__}")  # fmt: skip
    slower = False
    with tempfile.TemporaryDirectory(prefix="seimai-encode-") as name:
        folder = Path(name)
        texts = {path: read(path, chosen.bytes) for path in files}
        rows = [json.dumps({"text": text}, ensure_ascii=False) for each in texts.values() for text in each]
        (folder / "train.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
        train_tokenizer(folder / "train.jsonl", folder / "tokenizer", vocab_size=VOCAB_SIZE)
        tokenizer = folder / "tokenizer"
        ways = dict(WAYS)
        if not _train_peer(tokenizer, [text for each in texts.values() for text in each[: len(each) // 4]]):
            del ways["sentencepiece"]
            print("sentencepiece is not installed")
        for path, each in texts.items():
            size = sum(len(text.encode()) for text in each)
            expected = batched(tokenizer, each)
            print(f"\n{path.name}, {size / 1e6:.1f} MB\n{'':32} {'1 core MB/s':>12} {'2 cores':>9} {'ours is':>9}")
            first = 0.0
            for label, way in ways.items():
                if label != "sentencepiece":
                    assert way(tokenizer, each) == expected, label
                alone, both = timed(way, tokenizer, each), on_two(way, tokenizer, each)
                first = first or alone
                slower |= label.startswith("tokenizers") and alone < first
                print(f"{label:32} {size / alone / 1e6:12.2f} {size / both / 1e6:9.2f} {alone / first:8.1f}x")
    return int(slower)


if __name__ == "__main__":
    sys.exit(main())
