"""What web-ja and web-en keep and drop: good text and junk, rule by rule; exit code 1 when a goal is missed.

    python bench/preset_defaults.py [FOLDER of the shared data]      (about 1 minute)

Good: Wikipedia, literature, books, sentences, whose authors wrote running text (goal: at least 99.5 % kept). Fair:
manuals and the hand-made gold text of web pages, where lists and menus pass for text too (no goal). Junk: made from
the good text by a fixed seed (decoded wrongly, stuffed, copied, cut to teasers, listed), and the junk of the sample web
(goal: at least 95 % dropped). Mixed: what pages hold besides their gold text (no goal: it has sentences too).
"""

import gzip
import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from seimai.pipeline import extract_text
from seimai.pipeline.measure import signals
from seimai.pipeline.presets import QualityConfig, rules, verdicts
from seimai.pipeline.signal_columns import groups_of
from seimai.sample.articles import articles
from seimai.sample.junk import junk_pages

ROOT = Path(__file__).resolve().parents[1]
PROSE = {"ja": ("ja_wikipedia_kyoto", "ja_aozora", "ja_tanaka_sentences"),
         "en": ("en_wikipedia_kyoto", "en_books", "en_wikitext2", "en_tanaka_sentences")}  # fmt: skip
LEAST_KEPT, LEAST_DROPPED, SEED = 0.995, 0.95, 11
Labelled = tuple[str, str, str]
"""Kind (good, fair, junk, mixed), set, text; goals are on good and junk."""


def texts_of(folder: Path, name: str) -> tuple[list[str], list[str]]:
    """Titles and texts of one file of the shared data."""
    with pa.input_stream(str(folder / "text" / f"{name}.dev.jsonl.zst"), compression="zstd") as stream:
        table = pyarrow.json.read_json(stream)
    titles = table["title"].to_pylist() if "title" in table.column_names else []
    return titles, table["text"].to_pylist()


def good(folder: Path, lang: str) -> Iterator[Labelled]:
    """Running text, then text that people took from pages."""
    for name in PROSE[lang]:
        for text in texts_of(folder, name)[1]:
            yield "good", name, text
    for article in articles():
        if article.lang == lang:
            yield "good", "sample articles", article.text
    with gzip.open(folder / "neardup" / "revisions_docs.dev.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            document = json.loads(line)
            if document["lang"] == lang:
                yield "fair", "manuals", document["text"]


def pages(folder: Path, lang: str) -> Iterator[Labelled]:
    """Gold text of pages, and the rest of those pages."""
    table = pq.read_table(folder / "extraction" / "extraction_dev.parquet")
    for row in table.filter(pa.array([str(code)[:2] == lang for code in table["lang"].to_pylist()])).to_pylist():
        yield "fair", f"gold of {row['set']}", row["gold"]
        try:
            html = row["html"].decode(row["encoding"] or "utf-8", "replace")
        except LookupError:
            html = row["html"].decode("utf-8", "replace")
        whole = extract_plain_text(HTMLTree.parse(html), main_content=False, alt_texts=False)
        gold = re.sub(r"\s+", "", row["gold"])
        rest = [line.strip() for line in whole.split("\n") if line.strip() and re.sub(r"\s+", "", line) not in gold]
        if len("\n".join(rest)) > 200:
            yield "mixed", f"rest of {row['set']}", "\n".join(rest)


def junk(folder: Path, lang: str) -> Iterator[Labelled]:
    """Text that nobody wants."""
    rng = random.Random(SEED)
    titles, texts = texts_of(folder, PROSE[lang][0])
    base = rng.sample([text for text in texts if 600 < len(text) < 6000], 120)
    words = re.compile("[一-龯]{2,}|[ァ-ヶー]{3,}" if lang == "ja" else "[A-Za-z]{4,}")
    vocabulary = [word for text in base for word in words.findall(text)]
    for text in base:
        if lang == "ja":
            yield from _garbled(text)
        first, gap = re.split(r"(?<=[。.])", text)[0], "" if lang == "ja" else " "
        yield "junk", "one sentence again", (first + gap) * 30
        yield "junk", "one paragraph again", "\n".join([text[:300]] * 8)
        teasers = [piece[:40] + "..." for piece in re.split(r"(?<=[。.])", text) if len(piece) > 45]
        yield "junk", "cut teasers", "\n".join(teasers * 2)
        mark = rng.choice([" ", "、", "|", "・", " / ", "\n"] if lang == "ja" else [" ", ", ", " | ", " / ", "\n"])
        few = rng.sample(vocabulary, 12)
        yield "junk", "keywords stuffed", mark.join(rng.choices(few, k=rng.randint(100, 500)))
        yield "junk", "words listed", mark.join(rng.sample(vocabulary, 300))
        yield "junk", "titles listed", "\n".join(rng.sample(titles, 80))
        yield "junk", "dates and prices", "\n".join(_price(lang, rng, titles) for _ in range(60))
        yield "junk", "numbers", " ".join(str(rng.random()) for _ in range(200))
        code = "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", k=2000))
        yield "junk", "base64", "\n".join(re.findall(".{76}", code))
    for page in junk_pages():
        headers = {name.lower(): value for name, value in page.headers}
        plain = not {"content-encoding", "transfer-encoding"} & set(headers)
        if page.truth.lang == lang and plain and headers.get("content-type", "").startswith("text/html"):
            text = extract_text(page.body.decode(page.truth.encoding, "replace"), engine="fast").text
            if text:
                yield "junk", f"sample: {page.truth.kind}", text


def _garbled(text: str) -> Iterator[Labelled]:
    """Japanese decoded as what it is not."""
    for told, read in (("utf-8", "cp932"), ("utf-8", "latin-1"), ("utf-8", "cp1252"), ("euc-jp", "cp932"),
                       ("cp932", "euc-jp"), ("cp932", "latin-1"), ("iso-2022-jp", "latin-1")):  # fmt: skip
        yield "junk", f"{told} read as {read}", text.encode(told, "replace").decode(read, "replace")


def _price(lang: str, rng: random.Random, titles: list[str]) -> str:
    day = f"{rng.randint(2000, 2024)}/{rng.randint(1, 12)}/{rng.randint(1, 28)}"
    price = f"{rng.randint(100, 99999):,}円" if lang == "ja" else f"${rng.randint(1, 999)}.99"
    return f"{day} {rng.choice(titles)[:12]} {price}"


def report(lang: str, preset: str, labelled: list[Labelled]) -> bool:
    """Print both tables of one preset; whether it meets the goals."""
    asked = rules(QualityConfig(preset=preset))
    table = signals([text for _, _, text in labelled], lang, groups=groups_of(rule.column for rule in asked))
    found = verdicts(table, asked)["reasons"].to_pylist()
    kinds = np.array([kind for kind, _, _ in labelled])
    sets = np.array([name for _, name, _ in labelled])
    broken = np.array([bool(row) for row in found])
    print(f"\n{preset}\n  {'rule':30} {'threshold':>10} {'good':>6} {'fair':>6} {'alone':>6} {'junk':>6} {'alone':>6}")
    for rule in asked:
        hit = np.array([rule.reason in row for row in found])
        alone = hit & np.array([len(row) == 1 for row in found])
        useful = kinds != "junk"
        counts = [hit[kinds == "good"], hit[kinds == "fair"], alone[useful & (kinds != "mixed")], hit[kinds == "junk"]]
        numbers = " ".join(f"{int(n.sum()):6}" for n in (*counts, alone[kinds == "junk"]))
        print(f"  {rule.reason:30} {rule.keep + ' ' + format(rule.threshold, 'g'):>10} {numbers}")
    print(f"  {'set':30} {'kind':>10} {'texts':>6} {'dropped':>8}")
    for name in dict.fromkeys(sets):
        chosen = sets == name
        print(f"  {name:30} {kinds[chosen][0]:>10} {chosen.sum():6} {broken[chosen].mean():8.2%}")
    kept, dropped = 1 - broken[kinds == "good"].mean(), broken[kinds == "junk"].mean()
    print(f"  good kept {kept:.2%} (goal {LEAST_KEPT:.1%}), junk dropped {dropped:.2%} (goal {LEAST_DROPPED:.1%})")
    return bool(kept >= LEAST_KEPT and dropped >= LEAST_DROPPED)


def main(folder: Path) -> int:
    """Both defaults, and beside them what they replace."""
    met = True
    for lang, preset, before in (("ja", "web-ja", "swallow-v1"), ("en", "web-en", "gopher")):
        labelled = [*good(folder, lang), *pages(folder, lang), *junk(folder, lang)]
        met &= report(lang, preset, labelled)
        report(lang, before, labelled)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data"))
