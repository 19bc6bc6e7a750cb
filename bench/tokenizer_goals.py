"""The goals of the tokenizer workshop: `python bench/tokenizer_goals.py WORK [--seconds 420]`, some 40 minutes in all.

Half Japanese, half English from data/text by bytes, every 20th document of each file held out. Tokens on the held-out
documents at 65,536 and 32,768: named presets of others trained by `tokenizers`, the library's trainer with our split,
ours with and without superwords (merges across phrases; the fewest tokens over whole lines), and every baseline that is
installed (SEIMAI_BASELINES). A second table trains without Wikipedia and reads Wikipedia. Each row is kept in WORK, so
a run that was stopped, or ended after --seconds, goes on.

Goals (exit code 1 where one is missed): superwords off, at least 3 % fewer tokens in Japanese and none more in English
than the best preset, and fewer in both than the library gives with the split ja-en (the split ja-en-wide, by merges and
by the fewest tokens); with superwords at least 10 % fewer in both (the fewest tokens over whole lines; merges across
phrases stand beside it).
"""

import argparse
import json
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from split_parity import DATA, texts_of

from seimai.tokenizer.baselines import BASELINES, baselines, find_baseline
from seimai.tokenizer.bpe import learn_merges
from seimai.tokenizer.count_split import cutter
from seimai.tokenizer.counts import COUNTS, merge_counts
from seimai.tokenizer.fewest import FewestPieces, learn_fewest
from seimai.tokenizer.merge_kernels import encode_words, rank_table
from seimai.tokenizer.split import split_pattern
from seimai.tokenizer.superword import learn_superwords
from seimai.tokenizer.train_library import library_merges
from seimai.tokenizer.viterbi import best_tokens, joined, trie_of
from seimai.tokenizer.vocabulary import merges_for

JA = ("ja_aozora", "ja_wikipedia_kyoto", "ja_tanaka_sentences")
EN = ("en_books", "en_wikipedia_kyoto", "en_wikitext2", "en_tanaka_sentences")
WIKIPEDIA = ("ja_wikipedia_kyoto", "en_wikipedia_kyoto", "en_wikitext2")
SIZES = (65_536, 32_768)
PRESETS = ("gpt2", "cl100k", "o200k", "qwen2", "deepseek-v3")
WIDE, SUPER = ("ja-en-wide", 3), ("ja-en-superwords", 3)
JA_WEIGHT, SUPER_JA_WEIGHT, SUPER_SHARE, FEWEST_JA_WEIGHT = 1.5, 2.5, 0.3, 3.0
"""How much an occurrence in Japanese counts beside one in English, and the share of merges across phrases."""
LEAST, LEAST_SUPER = 0.03, 0.10
Texts = dict[str, list[str]]


def texts(skip: tuple[str, ...]) -> tuple[Texts, Texts]:
    """Training and held-out documents by file; the larger language is thinned evenly to the bytes of the other."""
    train, held = {}, {}
    for name in (*JA, *EN):
        found = texts_of(DATA / "text" / f"{name}.dev.jsonl.zst")
        held[name] = found[19::20]
        train[name] = [] if name in skip else [text for at, text in enumerate(found) if at % 20 != 19]
    sums = [sum(len(text.encode()) for name in names for text in train[name]) for names in (JA, EN)]
    larger, share = (JA, sums[1] / sums[0]) if sums[0] > sums[1] else (EN, sums[0] / sums[1])
    for name in larger:
        train[name] = [t for at, t in enumerate(train[name]) if int((at + 1) * share) > int(at * share)]
    return train, held


def counted(some: list[str], pattern: str) -> Counter[bytes]:
    """Pieces of texts."""
    cut, found = cutter(pattern), Counter[bytes]()
    for at in range(0, len(some), 256):
        data, lengths, _ = cut(some[at : at + 256])
        whole, begin = bytes(data).decode(), 0
        for length in lengths.tolist():
            found[whole[begin : begin + length].encode()] += 1
            begin += length
    return found


def weighed(train: Texts, pattern: str, weight: float) -> pa.Table:
    """Counts in which Japanese weighs more, in tenths."""
    sums = [counted(list(chain.from_iterable(train[name] for name in names)), pattern) for names in (JA, EN)]
    both = {piece: round(10 * (weight * sums[0][piece] + sums[1][piece])) for piece in {*sums[0], *sums[1]}}
    columns = [pa.array(list(both), pa.large_binary()), pa.array(list(both.values()), pa.int64())]
    return merge_counts([pa.table(columns, schema=COUNTS)])


def n_tokens(counts: Counter[bytes], learned: NDArray[np.int32] | FewestPieces) -> int:
    """Tokens of counted pieces."""
    data, offsets = joined(tuple(counts))
    if isinstance(learned, FewestPieces):
        _, sizes = best_tokens(data, offsets, trie_of(learned.tokens, learned.scores))
    else:
        _, sizes = encode_words(data, offsets, rank_table(learned, 256))
    return int((sizes * np.fromiter(counts.values(), np.int64, len(counts))).sum())


def learned(kind: str, name: str, train: Texts) -> tuple[str, dict[int, NDArray[np.int32] | FewestPieces]]:
    """The pattern and the merges or tokens of each size."""
    most = merges_for(max(SIZES))
    if kind == "library":
        digits = 1 if name == "ja-en" else 3
        pattern = split_pattern(digits if name.startswith("ja-en") else 1, name=name)
        flat = list(chain.from_iterable(train.values()))
        merges = library_merges(flat, sum(len(text.encode()) for text in flat), most, pattern=pattern)
        return pattern, {size: merges[: merges_for(size)] for size in SIZES}
    if kind == "superwords":
        pattern = split_pattern(SUPER[1], name=SUPER[0])
        table, fine = weighed(train, pattern, SUPER_JA_WEIGHT), split_pattern(WIDE[1], name=WIDE[0])
        return pattern, {size: learn_superwords(table, merges_for(size), SUPER_SHARE, fine=fine) for size in SIZES}
    if kind == "fewest":
        pattern = split_pattern(3 if name == "ja-en-wide" else 1, name=name)
        table = weighed(train, pattern, FEWEST_JA_WEIGHT if name == "lines" else 1.0)
        found = learn_fewest(table, [merges_for(size) for size in SIZES])
        return pattern, {size: found[merges_for(size)] for size in SIZES}
    weight = JA_WEIGHT if name == "ja-en-wide" else 1.0
    pattern = split_pattern(3 if name == "ja-en-wide" else 1, name=name)
    merges = learn_merges(weighed(train, pattern, weight), most)
    return pattern, {size: merges[: merges_for(size)] for size in SIZES}


def units() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Kind, name and the files left out of every training."""
    for skip in ((), WIKIPEDIA):
        for name in ("ja-en", "ja-en-wide"):
            yield "seimai", name, skip
        yield "superwords", "ja-en-superwords", skip
        yield "fewest", "ja-en-wide", skip
        yield "fewest", "lines", skip
        yield from (("library", name, skip) for name in (PRESETS if not skip else ("cl100k", "o200k")))
        yield from (("library", name, skip) for name in (("ja-en", "ja-en-wide") if not skip else ()))
    yield from (("baseline", name, ()) for name in BASELINES if find_baseline(name))


def measure(kind: str, name: str, skip: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """Tokens on every held-out file by size."""
    train, held = texts(skip)
    if kind == "baseline":
        [judged] = baselines(name)
        sums = {file: sum(map(len, judged.encode(some))) for file, some in held.items()}
        return {str(judged.vocab_size): sums}
    pattern, merges = learned(kind, name, train)
    pieces = {file: counted(some, pattern) for file, some in held.items()}
    return {str(size): {file: n_tokens(pieces[file], each) for file in held} for size, each in merges.items()}


def table(rows: dict[str, dict[str, dict[str, int]]]) -> bool:
    """Print everything; whether the goals hold."""
    _, held = texts(())
    good = True
    for title, out in (("all files", False), ("trained without Wikipedia, read on it", True)):
        files = [f for f in (*JA, *EN) if not out or f in WIKIPEDIA]
        sides = [[f for f in files if f in side] for side in (JA, EN)]
        print(f"\n{title}: characters per token (ja), bytes per token (en)")
        print(f"{'':30} {'ids':>7} {'ja tokens':>10} {'en tokens':>10} " + " ".join(f"{f[:14]:>14}" for f in files))
        sums: dict[tuple[str, str], list[int]] = {}
        for key, sizes in rows.items():
            label, left_out = key.split("|")
            if out != bool(left_out) and not key.startswith("baseline"):
                continue
            for size, tokens in sizes.items():
                sums[label, size] = [sum(tokens[f] for f in side) for side in sides]
                rates = [sum(len(t) if f in JA else len(t.encode()) for t in held[f]) / tokens[f] for f in files]
                ja, en = sums[label, size]
                print(f"{label:30} {size:>7} {ja:10,} {en:10,} " + " ".join(f"{rate:14.3f}" for rate in rates))
        for size in map(str, SIZES):
            presets = [v for (label, s), v in sums.items() if s == size and label.removeprefix("library ") in PRESETS]
            best = [min(v[side] for v in presets) for side in (0, 1)]
            split = sums.get(("library ja-en", size))
            for label, least, most_en in (
                ("seimai ja-en-wide", LEAST, 0.0),
                ("fewest ja-en-wide", LEAST, 0.0),
                ("fewest lines", *2 * (LEAST_SUPER,)),
                ("superwords ja-en-superwords", 0.0, 0.0),
            ):
                ja, en = (1 - ours / theirs for ours, theirs in zip(sums[label, size], best, strict=True))
                held_up = ja >= least and en >= most_en
                if split is not None:
                    held_up &= all(ours < theirs for ours, theirs in zip(sums[label, size], split, strict=True))
                judged = not out and least > 0
                good &= held_up or not judged
                word = ("holds" if held_up else "MISSED") if judged else "for comparison"
                print(f"{size}: {label} against the best preset: ja {-ja:+.1%}, en {-en:+.1%}: {word}")
    return good


def main() -> int:
    """Measure what is missing, then print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--most", type=int, default=1000, help="rows measured now")
    parser.add_argument("--only", default="", help="measure rows of this kind or name only")
    asked = parser.parse_args()
    packages = ", ".join(f"{name} {version(name)}" for name in ("tokenizers", "numpy", "numba"))
    print(f"Python {platform.python_version()} on {platform.machine()}, {packages}; texts of {DATA / 'text'}")
    asked.work.mkdir(parents=True, exist_ok=True)
    begun, rows, missing = time.monotonic(), {}, 0
    for kind, name, skip in units():
        key = f"{kind} {name}|{'wikipedia' if skip else ''}"
        path = asked.work / f"{key.replace('|', '-').replace(' ', '-')}.json"
        if not path.is_file():
            if time.monotonic() - begun > asked.seconds or asked.most <= 0 or asked.only not in ("", kind, name):
                missing += 1
                continue
            asked.most -= 1
            found = measure(kind, name, skip)
            path.write_text(json.dumps(found), encoding="utf-8")
            print(f"{key} {time.process_time():.0f} s of CPU so far", flush=True)
        rows[key] = json.loads(path.read_text(encoding="utf-8"))
    if missing:
        print(f"{missing} rows are missing; the same command goes on")
        return 2
    return 0 if table(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
