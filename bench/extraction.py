"""Quality and speed of extraction: `python bench/extraction.py`, about 1 minute of one core; 1 when a goal is missed.

F1 of bags of tokens (words, single characters of CJK), the mean over pages, against the gold text of the development
set; pages a second in CPU time, best of two runs. The model of `auto` was grown on these very pages: its honest
figures are the cross-validated ones that `bench/train_blocks.py` prints; what this bench proves is speed.
"""

import platform
import sys
import time
from importlib.metadata import version

import numpy as np
from extraction_pages import SETS, GoldPage, gold_pages, score

from seimai.pipeline.extract import extract_text

ENGINES = ("auto", "fast", "precise")
SPEED_GOAL = 10.0
"""How many times as fast as trafilatura `auto` has to be."""


def run(pages: list[GoldPage], engine: str) -> tuple[list[str], float]:
    """Texts, and the least CPU seconds of two runs (one for the slow engine)."""
    texts: list[str] = []
    best = float("inf")
    for _ in range(1 if engine == "precise" else 2):
        start = time.process_time()
        texts = [extract_text(page.page, url=page.url, engine=engine).text for page in pages]
        best = min(best, time.process_time() - start)
    return texts, best


def main() -> int:
    """One row a subset: F1 and pages a second of each engine, and how many times as fast as trafilatura `auto` is."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("resiliparse", "trafilatura", "numba"))
    print(f"{platform.platform()}, Python {platform.python_version()}, {packages}")
    pages = gold_pages()
    extract_text("<p>compiled")
    heads = "".join(f"{engine + ' F1':>11}{'pages/s':>9}" for engine in ENGINES)
    print(f"{'subset':14}{'pages':>6}{heads}{'auto/precise':>14}")
    totals = dict.fromkeys(ENGINES, 0.0)
    below = []
    for subset in SETS:
        chosen = [page for page in pages if page.subset == subset]
        means, seconds = {}, {}
        for engine in ENGINES:
            texts, seconds[engine] = run(chosen, engine)
            totals[engine] += seconds[engine]
            means[engine] = np.mean([score(text, page.gold)[2] for text, page in zip(texts, chosen, strict=True)])
        if means["auto"] < max(means["fast"], means["precise"]):
            below.append(subset)
        cells = "".join(f"{means[e]:11.3f}{len(chosen) / seconds[e]:9.0f}" for e in ENGINES)
        print(f"{subset:14}{len(chosen):6}{cells}{seconds['precise'] / seconds['auto']:14.1f}")
    ratio = totals["precise"] / totals["auto"]
    cells = "".join(f"{'':11}{len(pages) / totals[e]:9.0f}" for e in ENGINES)
    print(f"{'all':14}{len(pages):6}{cells}{ratio:14.1f}")
    if below:
        print(f"below the better of the two others: {', '.join(below)}")
    return int(ratio < SPEED_GOAL or bool(below))


if __name__ == "__main__":
    sys.exit(main())
