"""GPT-2's and cl100k's vocabularies with 8,000 Japanese tokens more: `python bench/extend.py [OUT]`, 1 to 2 minutes.

The vocabularies come from installed packages (SEIMAI_BASELINES). Learned from the Japanese of data/text but for every
20th document; proven on every 20th document of all files, with the base's own library (tiktoken) as the judge. Prints
the proof and what the held-out documents cost before and after; exit code 1 where a proof fails.
"""

import base64
import platform
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
from split_parity import DATA, texts_of

from seimai.errors import SeimaiError
from seimai.tokenizer.base import open_base
from seimai.tokenizer.baselines import baselines, find_baseline, gpt2_ranks
from seimai.tokenizer.counts import count
from seimai.tokenizer.export import export_tokenizer
from seimai.tokenizer.extend import extend
from seimai.tokenizer.judged import open_judged
from seimai.tokenizer.split import split_pattern

TOKENS = 8_000
JA = ("ja_aozora", "ja_wikipedia_kyoto", "ja_tanaka_sentences")
EN = ("en_books", "en_wikipedia_kyoto", "en_wikitext2", "en_tanaka_sentences", "en_commoncrawl_ccnet")


def base_file(name: str, folder: Path) -> Path:
    """A tiktoken file of the vocabulary; GPT-2's is made of the first ranks of p50k where only that is there."""
    found = find_baseline(name)
    if found is None:
        raise SystemExit(f"{name} is not installed; set SEIMAI_BASELINES to a folder that pip --target filled")
    if name != "gpt2":
        return found
    path = folder / "gpt2.tiktoken"
    rows = sorted((rank, token) for token, rank in gpt2_ranks(found).items())
    path.write_text("".join(f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in rows), encoding="utf-8")
    return path


def main(arguments: list[str]) -> int:
    """Extend both."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("tokenizers", "tiktoken"))
    print(f"Python {platform.python_version()}, {packages}; texts of {DATA / 'text'}")
    texts = {name: texts_of(DATA / "text" / f"{name}.dev.jsonl.zst") for name in (*JA, *EN)}
    train = [text for name in JA for at, text in enumerate(texts[name]) if at % 20 != 19]
    held = {name: some[19::20] or some for name, some in texts.items()}
    counts = count([pa.RecordBatch.from_pydict({"text": train})], split_pattern())
    with tempfile.TemporaryDirectory() as folder:
        out = Path(arguments[0]) if arguments else Path(folder)
        for name in ("gpt2", "cl100k"):
            base = open_base(base_file(name, Path(folder)), split=name)
            everything = [text for some in held.values() for text in some]
            try:
                proof = extend(base, counts, out / name, TOKENS, texts=everything, facts={})
            except SeimaiError as error:
                print(f"{name}: NOT PROVEN: {error}")
                return 1
            shutil.rmtree(out / f"{name}-tiktoken", ignore_errors=True)
            export_tokenizer(out / name, out / f"{name}-tiktoken", "tiktoken")
            print(f"\n{name} + {proof['new_tokens']:,}: {base.vocabulary.vocab_size:,} -> {proof['vocab_size']:,} ids")
            print(
                f"  texts without Japanese, same ids: {proof['texts_unchanged']:,}, {proof['bytes_unchanged']:,} bytes"
            )
            print(f"  texts with Japanese: {proof['japanese_texts']:,}, {proof['new_cuts']:,} new cuts, all beside it")
            [before] = baselines(name)
            after = open_judged(out / name)
            print(f"  {'tokens':24} {'before':>10} {'after':>10} {'ratio':>7}")
            for file, some in held.items():
                sizes = [sum(map(len, judged.encode(some))) for judged in (before, after)]
                print(f"  {file:24} {sizes[0]:10,} {sizes[1]:10,} {sizes[1] / sizes[0]:7.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
