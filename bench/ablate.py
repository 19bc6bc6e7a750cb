"""Does `seimai ablate` call alike what is alike, and different what is different?

    python bench/ablate.py OUT [--steps 100] [--most-seconds 0]

Ten random halvings of a Japanese and English corpus of ../shared/data/text (A one half of the documents, B the other):
at least 9 must be "cannot be told apart". Ten corpora with shuffled words (A a half as it is, B the same half with the
words of every document shuffled): 10 of 10 must be worse. All are judged on the same held-out text, with three seeds.
90 trainings of 3 to 4 s, about 8 minutes of one core in all; the same command goes on where it was, and --most-seconds
leaves early with exit code 3. Exit code 1 where a goal is missed.
"""

import argparse
import io
import json
import os
import platform
import random
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import zstandard

from seimai.config import parse_config
from seimai.files import atomic
from seimai.model.ablate import Ablation, Side, ablate
from seimai.model.train_config import TrainConfig
from seimai.pipeline.document import held_out
from seimai.tokenizer.encode import encode
from seimai.tokenizer.train import train_tokenizer

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("SEIMAI_DATA", ROOT.parent / "shared" / "data")) / "text"
FILES = ("ja_wikipedia_kyoto", "en_wikipedia_kyoto")
HALVINGS = 10
MOST_CHARS = 2000
PIECES = re.compile(r"\s+|[一-龯々]+|[ぁ-ん]+|[ァ-ヶー]+|[^\s一-龯々ぁ-んァ-ヶー]+")


def corpus() -> Iterator[dict[str, Any]]:
    """Documents cut to 2,000 characters; those of a translation are held out together."""
    for name in FILES:
        with (DATA / f"{name}.dev.jsonl.zst").open("rb") as file:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8"):
                row = json.loads(line)
                split = "held_out" if held_out(None, row["id"], share=0.06, seed=1) else "train"
                yield {"text": row["text"][:MOST_CHARS], "lang": name[:2], "split": split}


def shuffled(text: str, seed: int) -> str:
    """The words in another order, what stands between them in place; in Japanese runs of a script are the words.

    >>> sorted(shuffled("a b c", 1).split())
    ['a', 'b', 'c']
    """
    pieces = PIECES.findall(text)
    words = [place for place, piece in enumerate(pieces) if not piece.isspace()]
    order = random.Random(seed).sample(words, len(words))
    for place, piece in zip(words, [pieces[other] for other in order], strict=True):
        pieces[place] = piece
    return "".join(pieces)


def written(path: Path, rows: Iterator[dict[str, Any]]) -> Path:
    """JSON lines, made once."""
    if not path.exists():
        with atomic(path) as temporary, zstandard.open(temporary, "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return path


def half(number: int, side: int) -> str:
    """The condition on documents of one half: those whose id, a hash, begins with one of 128 drawn bytes of 256."""
    first = set(random.Random(number).sample(range(256), 128))
    chosen = [byte for byte in range(256) if (byte in first) == (side == 0)]
    return " or ".join(f"'{byte:02x}' <= id < '{byte:02x}g'" for byte in chosen)


def mixed(row: dict[str, Any], seed: int) -> dict[str, Any]:
    """The document with its words shuffled; held-out ones stay as they are."""
    return row if row["split"] == "held_out" else {**row, "text": shuffled(row["text"], seed)}


def main() -> None:
    """Make the corpora, run the twenty ablations, print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--most-seconds", type=float, default=0.0, help="leave after so long; 0 never leaves")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    out, began = arguments.out, time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    plain = written(out / "plain.jsonl.zst", corpus())
    train_tokenizer(plain, out / "tokenizer", vocab_size=1024)
    encode(plain, out / "tokenizer", out / "tokens")
    config = parse_config(
        {
            "model": {"depth": 2, "d_model": 48, "n_heads": 4, "row_tokens": 128},
            "data": {"batch_rows": 8},
            "optimizer": {"name": "muon", "learning_rate": 1e-2},
            "train": {"steps": arguments.steps, "evaluate": False, "checkpoint_every": 1000},
        },
        TrainConfig,
        place="bench/ablate.py",
    )

    def leave() -> bool:
        return 0 < arguments.most_seconds < time.monotonic() - began

    def run(name: str, a: Side, b: Side) -> Ablation:
        found = ablate(config, a, b, out / name, held_out=out / "tokens", max_documents=60, stop=leave)
        if not found.finished:
            raise SystemExit(3)
        return found

    print(f"{platform.machine()} {platform.processor()}, python {platform.python_version()}, torch {torch.__version__}")
    print(f"{'corpora':<12} {'bpb A':>7} {'bpb B':>7} {'B/A - 1':>8}  {'95 % interval':<20} verdict")
    verdicts: dict[str, list[str]] = {"halving": [], "shuffled": []}
    for number in range(HALVINGS):
        first, second = Side(out / "tokens", half(number, 0)), Side(out / "tokens", half(number, 1))
        report("halving", number, run(f"halving-{number}", first, second), verdicts)
        # The same file name and rows, and so the same ids: the half has the same documents.
        texts = written(out / f"text-{number}" / plain.name, (mixed(row, number) for row in corpus()))
        encode(texts, out / "tokenizer", out / f"tokens-{number}")
        if not (out / f"shuffled-{number}" / "a").exists():  # A is the very training of the halving
            shutil.copytree(out / f"halving-{number}" / "a", out / f"shuffled-{number}" / "a")
        other = Side(out / f"tokens-{number}", half(number, 0))
        report("shuffled", number, run(f"shuffled-{number}", first, other), verdicts)
    alike = verdicts["halving"].count("cannot be told apart")
    different = verdicts["shuffled"].count("worse")
    print(f"halvings that cannot be told apart: {alike} of {HALVINGS} (goal 9)")
    print(f"shuffled corpora found worse: {different} of {HALVINGS} (goal 10)")
    sys.exit(alike < HALVINGS - 1 or different < HALVINGS)


def report(kind: str, number: int, found: Ablation, verdicts: dict[str, list[str]]) -> None:
    """One line of the table."""
    each = found.comparison
    assert each is not None
    verdicts[kind].append(each.verdict)
    interval = f"{each.low:+.2%} to {each.high:+.2%}"
    print(
        f"{kind} {number:<4} {each.bits_per_byte_a:>6.3f} {each.bits_per_byte_b:>7.3f} {each.difference:>+8.2%}  "
        f"{interval:<20} {each.verdict}",
        flush=True,
    )


if __name__ == "__main__":
    main()
