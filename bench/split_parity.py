"""Do three engines cut alike: `python bench/split_parity.py [--every N] [NAME…]`, 2 minutes a split for all data/text.

Pre-tokens of every split in Python `regex` (and `re` where it can), Oniguruma (through `tokenizers`) and fancy-regex
(through tiktoken), on all texts of data/text and on every code point assigned in Unicode 16 in several places. One line
a split: texts, pre-tokens, differences. Exit code 1 where there is one. `--every 4` takes a quarter of the texts.
"""

import argparse
import os
import platform
import re
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json
import regex
import tiktoken
from tokenizers import Regex, pre_tokenizers

from seimai.tokenizer.split import SPLITS, split_pattern

DATA = Path(os.environ.get("SEIMAI_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
UNICODE = "16.0"
"""The oldest Unicode version of the engines, that of fancy-regex."""
CHARACTERS_PER_TEXT = 1000
BATCH_CHARS = 1_000_000


def assigned() -> str:
    """Every code point assigned in that version, as fancy-regex says (Python's own table is older)."""
    everything = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    single = {bytes([byte]): byte for byte in range(256)}
    encoding = tiktoken.Encoding("age", pat_str=rf"\p{{Age={UNICODE}}}", mergeable_ranks=single, special_tokens={})
    return encoding.decode_bytes(encoding.encode_ordinary(everything)).decode()


def in_places(characters: Sequence[str]) -> Iterator[str]:
    """Texts with every character alone, doubled, and between letters, digits, kanji, blanks and line ends."""
    for at in range(0, len(characters), CHARACTERS_PER_TEXT):
        yield "".join(f"a{c}{c}b {c}1{c}漢{c}か  {c}\n" for c in characters[at : at + CHARACTERS_PER_TEXT])


def by_fancy_regex(pattern: str, texts: Sequence[str], expected: Sequence[list[str]]) -> list[list[str]]:
    """What fancy-regex finds, seen through a tiktoken vocabulary made of the expected pre-tokens.

    It holds bytes, every expected piece, and every two that follow each other as one. An expected piece comes out
    whole. Any other piece is merged as far as it goes, so two expected neighbours never come out of it side by side: no
    difference can hide.
    """
    kinds = {bytes([byte]): None for byte in range(256)}
    for found in expected:
        encoded = [piece.encode() for piece in found]
        kinds |= dict.fromkeys(encoded) | dict.fromkeys(map(bytes.__add__, encoded, encoded[1:]))
    ranks = {kind: rank for rank, kind in enumerate(kinds)}
    encoding = tiktoken.Encoding("pieces", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    names = list(kinds)
    return [[names[rank].decode(errors="replace") for rank in encoding.encode_ordinary(text)] for text in texts]


def differences(name: str, texts: Sequence[str]) -> tuple[int, list[str]]:
    """How many pre-tokens the texts have, and for each text and engine that cuts otherwise where it begins to."""
    pattern = split_pattern(name=name)
    expected = [regex.findall(pattern, text) for text in texts]
    onig = pre_tokenizers.Split(Regex(pattern), "isolated")
    engines: dict[str, list[list[str]]] = {
        "Oniguruma": [[piece for piece, _ in onig.pre_tokenize_str(text)] for text in texts],
        "fancy-regex": by_fancy_regex(pattern, texts, expected),
        "lossless": [[] if "".join(found) == text else [text] for text, found in zip(texts, expected, strict=True)],
    }
    if "\\p{" not in pattern:
        engines["re"] = [re.findall(pattern, text) for text in texts]
    wrong = [
        f"{name}, {engine}: {_first(found, [] if engine == 'lossless' else right)}"
        for engine, all_found in engines.items()
        for found, right in zip(all_found, expected, strict=True)
        if found != ([] if engine == "lossless" else right)
    ]
    return sum(map(len, expected)), wrong


def _first(found: list[str], right: list[str]) -> str:
    at = next(
        (i for i, pair in enumerate(zip(found, right, strict=False)) if pair[0] != pair[1]), min(len(found), len(right))
    )
    return f"piece {at}: {found[at : at + 3]}, in regex {right[at : at + 3]}"


def batches(folder: Path) -> Iterator[list[str]]:
    """All texts of the JSON lines in a folder, some million characters at a time."""
    for path in sorted(folder.glob("*.jsonl.zst")):
        held: list[str] = []
        for text in texts_of(path):
            held.append(text)
            if sum(map(len, held)) > BATCH_CHARS:
                yield held
                held = []
        yield held


def texts_of(path: Path) -> list[Any]:
    """All texts of a file of JSON lines."""
    with pa.input_stream(str(path), compression="zstd") as stream:
        options = pyarrow.json.ReadOptions(block_size=1 << 26)
        texts: list[Any] = pyarrow.json.read_json(stream, read_options=options)["text"].to_pylist()
    return texts


def main(names: Sequence[str], every: int) -> int:
    """One line a split."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("tokenizers", "tiktoken", "regex"))
    print(f"Python {platform.python_version()}, {packages}")
    characters, failed = assigned(), 0
    print(f"{len(characters):,} code points of Unicode {UNICODE}; texts of {DATA / 'text'}")
    for name in names or SPLITS:
        n_texts = n_pieces = 0
        wrong: list[str] = []
        for texts in (*_chunks(list(in_places(characters))), *islice(batches(DATA / "text"), 0, None, every)):
            n, found = differences(name, texts)
            n_texts, n_pieces, wrong = n_texts + len(texts), n_pieces + n, wrong + found
        print(f"{name:12} {n_texts:7,} texts {n_pieces:12,} pre-tokens {len(wrong):5,} differences", flush=True)
        print("\n".join(wrong[:5]), end="\n" if wrong else "")
        failed += len(wrong)
    return 1 if failed else 0


def _chunks(texts: list[str]) -> Iterator[list[str]]:
    for at in range(0, len(texts), 100):
        yield texts[at : at + 100]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SPLITS))
    parser.add_argument("--every", type=int, default=1, metavar="N", help="compare every Nth million characters only")
    options = parser.parse_args()
    raise SystemExit(main(options.names, options.every))
