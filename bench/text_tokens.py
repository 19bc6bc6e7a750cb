"""Token shards of ../shared/data/text for trainings to compare: languages named, books and authors kept together.

    python bench/text_tokens.py OUT [--vocab-size 1024] [--max-mb 12]

Writes OUT/text/*.jsonl.zst with the fields `lang`, `host` and `split`, OUT/tokenizer and OUT/tokens; about a minute of
CPU. A book's chapters share a `host`, an author's works another, so that no held-out text has a sister in training.
"""

import argparse
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

from seimai.files import atomic
from seimai.pipeline.document import held_out
from seimai.tokenizer.encode import encode
from seimai.tokenizer.train import train_tokenizer

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("SEIMAI_DATA", ROOT.parent / "shared" / "data")) / "text"
FILES = ("ja_aozora", "ja_wikipedia_kyoto", "en_wikipedia_kyoto", "en_books")
HELD_OUT_SHARE = 0.06


def documents(name: str, max_bytes: int) -> Iterator[dict[str, Any]]:
    """The file's documents as Seimai reads them, up to so many bytes of text."""
    total = 0
    with (DATA / f"{name}.dev.jsonl.zst").open("rb") as file:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8"):
            row = json.loads(line)
            total += len(row["text"].encode())
            if total > max_bytes:
                return
            host = host_of(row["id"])
            split = "held_out" if held_out(host, row["id"], share=HELD_OUT_SHARE, seed=1) else "train"
            yield {"id": row["id"], "text": row["text"], "lang": name[:2], "source": name, "host": host, "split": split}


def host_of(identity: str) -> str | None:
    """What stands for the host: the book of a chapter, the author of a work; nothing for an article.

    >>> host_of("aozora:001341/60628_ruby_74783"), host_of("kyoto:PNM03323")
    ('aozora:001341', None)
    """
    kind, _, name = identity.partition(":")
    return f"{kind}:{name.partition('/')[0]}" if kind in ("aozora", "standardebooks") else None


def main() -> None:
    """Write the texts, the tokenizer and the token shards."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--vocab-size", type=int, default=1024)
    parser.add_argument("--max-mb", type=float, default=12.0, help="most text of each file")
    arguments = parser.parse_args()
    (arguments.out / "text").mkdir(parents=True, exist_ok=True)
    paths = []
    for name in FILES:
        path = arguments.out / "text" / f"{name}.jsonl.zst"
        with atomic(path) as temporary, zstandard.open(temporary, "wt", encoding="utf-8") as file:
            for row in documents(name, int(arguments.max_mb * 1e6)):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        paths.append(path)
    print(train_tokenizer(paths, arguments.out / "tokenizer", vocab_size=arguments.vocab_size))
    print(encode(paths, arguments.out / "tokenizer", arguments.out / "tokens"))


if __name__ == "__main__":
    main()
