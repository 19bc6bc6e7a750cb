"""Thresholds of fineweb2-ja@chars: on words of one script, at the drop rate FineWeb-2's rules have on SudachiPy's.

    python bench/fit_chars.py --peer PYTHON [--data FOLDER] --run RUN           (about 3 minutes)

PYTHON: interpreter of an environment with datatrove, spaCy and SudachiPy; RUN: a run directory, of whose Japanese texts
at most HOST_CAP of one host are asked. Only texts that pass the rule on length, which is fitted first, count for the
others. Thresholds come from every second text, the agreement is told on the rest.
"""

import argparse
import tempfile
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pyarrow.parquet as pq
from conformance import LONGEST, ROOT, decisions, shared_texts, write_lists
from numpy.typing import NDArray

from seimai.pipeline.measure import signals
from seimai.pipeline.presets import Rule, preset

HOST_CAP = 60


def texts_of(data: Path, run: Path) -> list[str]:
    """Samples of the shared Japanese text, and documents of a run."""
    texts = [text for lang, text in shared_texts(data) if lang == "ja"]
    taken: Counter[str] = Counter()
    for path in sorted((run / "documents").glob("*.parquet")):
        for row in pq.read_table(path, columns=["lang", "text", "url"]).to_pylist():
            host = urlsplit(row["url"] or "").hostname or ""
            if row["lang"] == "ja" and row["text"] and taken[host] < HOST_CAP:
                taken[host] += 1
                texts.append(row["text"][:LONGEST])
    return texts


def fitted(values: NDArray[np.float64], dropped: int, rule: Rule) -> float:
    """The threshold at which the rule drops as many of the values, or as near to it as equal values let it."""
    ordered = np.sort(values)
    if rule.keep == ">=":
        return float(ordered[dropped])
    return float(ordered[-dropped - 1])


def main() -> None:
    """Print a line a rule: their drops, the fitted threshold, the agreement on the other half."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="python with datatrove")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--run", type=Path, required=True)
    options = parser.parse_args()
    texts = texts_of(options.data, options.run)
    with tempfile.TemporaryDirectory() as folder:
        lists = write_lists(Path(folder) / "own", None)
        header, found = decisions(options.peer, "datatrove", [("ja", text) for text in texts], lists)
    theirs = [row["fineweb2-ja"] for row in found]
    table = signals(texts, "ja")
    half = np.arange(len(texts)) % 2 == 0
    long = np.array(["min_words" not in row for row in theirs])
    print(f"datatrove {header['version']}, {len(texts)} texts")
    print(f"{'rule':32} {'theirs':>7} {'fitted':>8} {'now':>8} {'agree':>8}")
    ours = np.zeros(len(texts), np.bool_)
    for rule in preset("fineweb2-ja@chars").rules:
        values = table[rule.column].to_numpy()
        broken = np.array([rule.reason in row for row in theirs])
        chosen = half if rule.reason == "min_words" else half & long
        best = fitted(values[chosen], int(broken[chosen].sum()), rule)
        drops = values < rule.threshold if rule.keep == ">=" else values > rule.threshold
        ours |= drops
        agree = (drops == broken)[~half & (long | (rule.reason == "min_words"))].mean()
        print(f"{rule.reason:32} {int(broken.sum()):7} {best:8.4f} {rule.threshold:8g} {agree:8.2%}")
    judged = np.array([bool(row) for row in theirs])
    print(
        f"{'kept or dropped':32} {int(judged.sum()):7} {int(ours.sum()):8} {'':8} {(ours == judged)[~half].mean():8.2%}"
    )


if __name__ == "__main__":
    main()
