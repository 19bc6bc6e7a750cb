"""Do three encoders give the same ids: `python bench/id_parity.py [TOKENIZER]`, all of data/text, about a minute.

Every text of data/text by `tokenizers`, by tiktoken with the same tokens, and by our own Encoder: one line a file, exit
code 1 where a text differs. TOKENIZER is a directory that `seimai tokenizer train` wrote; without it one of 32,768 ids
is trained on all of data/text first.
"""

import platform
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import tiktoken
from split_parity import DATA, texts_of

from seimai.tokenizer.encoder import Encoder
from seimai.tokenizer.train import train_tokenizer
from seimai.tokenizer.vocabulary import engine

VOCAB_SIZE = 32_768
BATCH_TEXTS = 64


def compare(directory: Path) -> int:
    """One line a file; how many texts differ."""
    ours, library = Encoder(directory), engine(directory)
    vocabulary = ours.vocabulary
    ranks = {token: i for i, token in enumerate(vocabulary.token_bytes[: vocabulary.n_ordinary])}
    encoding = tiktoken.Encoding("ours", pat_str=vocabulary.pattern, mergeable_ranks=ranks, special_tokens={})
    print(f"{'file':32} {'texts':>8} {'bytes':>12} {'ids':>12} differ")
    wrong = 0
    for path in sorted((DATA / "text").glob("*.jsonl.zst")):
        texts, n_ids, differ = texts_of(path), 0, 0
        for at in range(0, len(texts), BATCH_TEXTS):
            some = texts[at : at + BATCH_TEXTS]
            by_library = [each.ids for each in library.encode_batch_fast(some, add_special_tokens=False)]
            by_tiktoken = encoding.encode_ordinary_batch(some, num_threads=1)
            by_us = [each.tolist() for each in ours.ids(some)]
            n_ids += sum(map(len, by_library))
            differ += sum(not a == b == c for a, b, c in zip(by_library, by_tiktoken, by_us, strict=True))
        n_bytes = sum(len(text.encode()) for text in texts)
        print(f"{path.name:32} {len(texts):8,} {n_bytes:12,} {n_ids:12,} {differ:6,}", flush=True)
        wrong += differ
    return wrong


def main(arguments: Sequence[str]) -> int:
    """Train where no tokenizer is given, then compare."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("tokenizers", "tiktoken"))
    print(f"Python {platform.python_version()}, {packages}; texts of {DATA / 'text'}")
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(arguments[0]) if arguments else Path(folder) / "tokenizer"
        if not arguments:
            train_tokenizer(sorted((DATA / "text").glob("*.jsonl.zst")), directory, vocab_size=VOCAB_SIZE)
        wrong = compare(directory)
    print(f"{wrong:,} texts differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
