"""Language identification, right and fast, on sentences and pages: `python bench/language.py` (2 minutes).

Sentences and paragraphs are those of `lid/`, pages those of `warc/` below SEIMAI_DATA (default ../shared/data), whose
truth is the source's claim. The threshold was chosen on the sentences of one half of the numbers (by hash), so both
halves are printed. Speed is CPU time of one core, best of three, beside plain fastText on whole texts (one run over
every fourth). Exit code 1 when a goal is missed.
"""

import gzip
import hashlib
import json
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq
from extraction_pages import DATA
from read import read_ours

from seimai.pipeline.gates import GatesConfig
from seimai.pipeline.language import MIN_LANG_SCORE, identify_language, language_model
from seimai.pipeline.language_model import load_model, read_label

GOALS = {"ja": 0.998, "en": 0.990}
"""F1 on sentences of 50 characters or more; paragraphs of five must all be right."""
SPEED_GOAL = 8000.0
"""Documents a second and core."""
TEXTS = ("ja_wikipedia_kyoto", "ja_aozora", "en_wikipedia_kyoto", "en_books")
DOCUMENTS = 1200


def counts(truth: Sequence[str], found: pa.Table, lang: str, chosen: Iterable[int]) -> tuple[int, int, int]:
    """True positives, false positives and false negatives among the rows chosen."""
    langs, scores = found["lang"].to_pylist(), found["lang_score"].to_pylist()
    said = [name == lang and score >= MIN_LANG_SCORE for name, score in zip(langs, scores, strict=True)]
    pairs = Counter((truth[at] == lang, said[at]) for at in chosen)
    return pairs[True, True], pairs[False, True], pairs[True, False]


def line(name: str, lang: str, found: tuple[int, int, int]) -> float:
    """Print precision, recall and F1; returns F1."""
    right, wrong, missed = found
    f1 = 2 * right / max(1, 2 * right + wrong + missed)
    precision, recall = right / max(1, right + wrong), right / max(1, right + missed)
    print(f"{name:46}{lang:4}{right + missed:7}{precision:11.4f}{recall:9.4f}{f1:9.4f}", flush=True)
    return f1


def sentences() -> bool:
    """Sentences by set and half, and paragraphs of five; whether the goals hold."""
    holds = True
    rows = pq.read_table(DATA / "lid" / "lid_dev.parquet").to_pylist()
    for name in ("ntrex128", "tatoeba"):
        mine = [row for row in rows if row["set"] == name and len(row["text"]) >= 50]
        truth = [read_label(row["lang"])[0] for row in mine]
        found = identify_language([row["text"] for row in mine])
        half = [hashlib.sha256(str(row["n"]).encode()).digest()[0] & 1 for row in mine]
        for lang, goal in GOALS.items():
            both = line(f"{name}, sentences of 50 characters", lang, counts(truth, found, lang, range(len(mine))))
            parts = [[at for at in range(len(mine)) if half[at] == number] for number in (0, 1)]
            scores = [
                line(f"  {part}", lang, counts(truth, found, lang, chosen))
                for part, chosen in zip(("half chosen on", "other half"), parts, strict=True)
            ]
            holds &= name != "ntrex128" or min(both, *scores) >= goal
    mine = sorted((row for row in rows if row["set"] == "ntrex128"), key=lambda row: (row["lang"], row["n"]))
    starts = [at for at in range(0, len(mine) - 4, 5) if mine[at]["lang"] == mine[at + 4]["lang"]]
    truth = [read_label(mine[at]["lang"])[0] for at in starts]
    found = identify_language(["\n".join(row["text"] for row in mine[at : at + 5]) for at in starts])
    for lang in GOALS:
        holds &= line("ntrex128, five sentences", lang, counts(truth, found, lang, range(len(starts)))) == 1.0
    return holds


def read_truth(name: str) -> list[dict[str, Any]]:
    """The truth beside an archive."""
    with gzip.open(DATA / "warc" / f"{name}.truth.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(entry) for entry in file]


def pages() -> None:
    """Pages of the archives whose text has 50 characters; a claim of Japanese counts from 50 kana on."""
    claims = {row["url"]: row for row in read_truth("packed_ja_en")}
    texts = {url: text for url, text in read_ours(GatesConfig(), "pages").texts.items() if len(text) >= 50}
    known = [url for url in texts if claims[url]["lang"] != "und"]
    known = [url for url in known if claims[url]["lang"] != "ja" or claims[url]["kana_chars"] >= 50]
    sets = {"packed_ja_en, extracted": ([claims[url]["lang"] for url in known], [texts[url] for url in known])}
    for name in ("hplt_sample_cc", "hplt_sample_wide"):
        rows = [row for row in read_truth(name) if row["lang"] and row["trafilatura_text"]]
        sets[name] = [read_label(row["lang"])[0] for row in rows], [row["trafilatura_text"] for row in rows]
    for name, (truth, written) in sets.items():
        for per in ("text", "paragraph"):
            found = identify_language(written, per="text" if per == "text" else "paragraph")
            for lang in GOALS:
                line(f"{name}, per {per}", lang, counts(truth, found, lang, range(len(truth))))


def seconds(texts: pa.Array, times: int, **options: Any) -> float:
    """CPU seconds of the best of some runs."""
    ticks = []
    for _ in range(times):
        start = time.process_time()
        identify_language(texts, **options)
        ticks.append(time.process_time() - start)
    return min(ticks)


def speed() -> bool:
    """Documents a second; whether the goal holds for each file."""
    predictor = load_model(str(language_model())).predictor
    print(f"\n{'documents/s and core':24}{'characters':>11}{'seimai':>9}{'no kana':>9}{'paragraphs':>11}", end="")
    print(f"{'plain':>8}{'ratio':>7}")
    holds = True
    for name in TEXTS:
        with pa.input_stream(DATA / "text" / f"{name}.dev.jsonl.zst", compression="zstd") as stream:
            texts = pyarrow.json.read_json(stream)["text"].cast(pa.large_string()).combine_chunks()[:DOCUMENTS]
        chars = np.mean([len(text) for text in texts.to_pylist()])
        rates = [len(texts) / seconds(texts, 3, **o) for o in ({}, {"kana": False}, {"per": "paragraph"})]
        lines = [text.replace("\n", " ") + "\n" for text in texts.to_pylist()[::4]]
        start = time.process_time()
        for text in lines:
            predictor.predict(text, 2, 0.0, "replace")
        plain = len(lines) / (time.process_time() - start)
        print(
            f"{name:24}{chars:11.0f}{rates[0]:9.0f}{rates[1]:9.0f}{rates[2]:11.0f}{plain:8.0f}{rates[0] / plain:7.1f}"
        )
        holds &= rates[0] >= SPEED_GOAL
    text = "精米の話をします。Rice is polished before it is cooked. "
    short, long = (seconds(pa.array([text * times] * 2000), 3, kana=False) for times in (10, 1000))
    print(f"a text 100 times as long takes {long / short:.2f} times the time")
    return holds


def main() -> int:
    """Print the tables; 1 when a goal is missed."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("fasttext-community", "pyarrow", "numba", "numpy"))
    print(f"{platform.platform()}, Python {platform.python_version()}, {packages}")
    print(f"model {language_model().name}, threshold {MIN_LANG_SCORE}")
    identify_language(["compile", "コンパイルします"])
    print(f"\n{'':46}{'lang':4}{'truth':>7}{'precision':>11}{'recall':>9}{'F1':>9}")
    right = sentences()
    pages()
    fast = speed()
    print(f"goals: right {'yes' if right else 'NO'} {GOALS}, fast {'yes' if fast else 'NO'} ({SPEED_GOAL:.0f}/s)")
    return int(not (right and fast))


if __name__ == "__main__":
    sys.exit(main())
