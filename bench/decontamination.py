"""Planted evaluation items found by kind, and false spans: `python bench/decontamination.py`, about 2 minutes.

Every fifth item of ../shared/data/evals is planted into a page of ../shared/data/text: as it is, with other white
space, with other widths and case, and with one unit (character, word) in fifteen left out, doubled or
replaced. Recall is the share whose page has a span of that item. The same pages without them show what is found there
by chance; some of it may be true, for questions quote encyclopedias, so all of it is printed. Exit code 1 where a
recall is below its goal.
"""

import argparse
import io
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pyarrow as pa

from seimai.pipeline.contamination import eval_overlaps
from seimai.pipeline.eval_index import FLOOR, build_eval_index
from seimai.pipeline.eval_items import EvalItem, EvalSet, read_eval_items

DATA = Path(os.environ.get("SEIMAI_DATA", "../shared/data"))
FIELDS = {
    "gsm8k_test.jsonl.gz": ("question", "answer"),
    "mgsm_en.tsv.gz": ("0",),
    "mgsm_ja.tsv.gz": ("0",),
    "jglue_jsquad_valid.json.gz": ("data.paragraphs.qas.question", "data.paragraphs.context"),
    "jglue_jcommonsenseqa_valid.json.gz": ("question",),
}
EVERY = 5
GOALS = {"verbatim": 0.999, "re-spaced": 0.999, "width and case": 0.99, "small edits": 0.90}
Plant = Callable[[str, bool, Random], str]


def verbatim(text: str, japanese: bool, random: Random) -> str:
    """As it is."""
    return text


def respaced(text: str, japanese: bool, random: Random) -> str:
    """Line breaks, double and wide spaces; in Japanese between any two characters."""
    if japanese:
        return "".join(c + random.choice(("", "", "", " ", "\n", "\u3000")) for c in text)
    return "".join(random.choice(("  ", "\n", "\t", "\u00a0", " ")) if c == " " else c for c in text)


def widened(text: str, japanese: bool, random: Random) -> str:
    """ASCII as full-width forms in Japanese, kana of words in half width where there is one; capitals in English."""
    if not japanese:
        return text.upper() if random.random() < 0.5 else text.title()
    wide = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
    half = {
        ord(a): b
        for a, b in zip(
            "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモラリルレロン",
            "ｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾅﾆﾇﾈﾉﾊﾋﾌﾍﾎﾏﾐﾑﾒﾓﾗﾘﾙﾚﾛﾝ",
            strict=True,
        )
    }
    return text.translate(wide).translate(half)


def edited(text: str, japanese: bool, random: Random) -> str:
    """One unit in fifteen left out, doubled or replaced."""
    units = list(text) if japanese else text.split(" ")
    found = []
    for unit in units:
        if random.random() >= 1 / 15:
            found.append(unit)
            continue
        kind = random.randrange(3)
        found += [[], [unit, unit], [random.choice(units)]][kind]
    return ("" if japanese else " ").join(found)


KINDS: dict[str, Plant] = {
    "verbatim": verbatim,
    "re-spaced": respaced,
    "width and case": widened,
    "small edits": edited,
}


def read_texts() -> Iterator[tuple[str, list[str]]]:
    """Name and texts of every file."""
    import json

    import zstandard

    for path in sorted((DATA / "text").glob("*.zst")):
        with path.open("rb") as file:
            lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8")
            yield path.name.split(".")[0], [json.loads(line)["text"] for line in lines]


def planted(pages: list[str], items: list[EvalItem], how: Plant, japanese: bool) -> list[str]:
    """Each page with an item in its middle."""
    random = Random(1)
    found = []
    for page, item in zip(pages, items, strict=True):
        middle = page.find("\n", len(page) // 2) + 1 or len(page)
        found.append(page[:middle] + how(item.text, japanese, random) + "\n" + page[middle:])
    return found


def main() -> int:
    """Print the tables."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}, one core, processor time")
    files = sorted((DATA / "evals").glob("*.gz")) + sorted((DATA / "evals" / "jmmlu").glob("*.gz"))
    items = read_eval_items([EvalSet(path, FIELDS.get(path.name, ("0",))) for path in files])
    index = build_eval_index(items)
    print(f"{len(items):,} items, {len(index.items):,} distinct ({index.too_short:,} too short)")
    texts = dict(read_texts())
    eval_overlaps(["米 rice"], index)
    for name, pages in texts.items():
        began = time.thread_time()
        spans = eval_overlaps(pages, index)
        rate = sum(len(page.encode()) for page in pages) / 1e6 / (time.thread_time() - began)
        print(f"{name:24} {len(pages):6,} pages {rate:6.0f} MB/s {len(spans):4} spans")
        for span in spans.to_pylist():
            said = pages[span["text"]][span["start"] : span["end"]].replace("\n", " ")
            print(f"    {span['set']} {span['field']} {span['covered_units']}/{span['item_units']}: {said[:70]}")
    failed = False
    for kind, how in KINDS.items():
        for lang, source, number in (("ja", "ja_wikipedia_kyoto", 0), ("en", "en_wikipedia_kyoto", 1)):
            known = zip(index.items, index.item_units, index.kinds, strict=True)
            mine = [item for item, units, of in known if of == number and units >= FLOOR[number]][::EVERY]
            pages = [texts[source][k % len(texts[source])] for k in range(len(mine))]
            spans = eval_overlaps(pa.array(planted(pages, mine, how, lang == "ja"), pa.large_string()), index)
            found = {(s["text"], s["set"], s["row"], s["field"]) for s in spans.to_pylist()}
            hit = [(k, item.name, item.row, item.field) in found for k, item in enumerate(mine)]
            recall = sum(hit) / len(hit)
            missed = f"  MISSED {GOALS[kind]}" if recall < GOALS[kind] else ""
            failed |= bool(missed)
            print(f"{kind:16} {lang}  {len(hit):5,} planted, recall {recall:.4f}{missed}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
