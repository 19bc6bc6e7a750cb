"""Grow the trees of pipeline/block_model.npz: `python bench/train_blocks.py [--write]`, about 5 minutes of one core.

Wants an environment of its own with `pip install -e '.[pipeline]' lightgbm`. Labels: gold text is aligned to a page's
blocks token by token, and a block of which half stands in the gold text is main text. Pages without gold text are
labelled by trafilatura, at a lower weight where resiliparse says otherwise, and count less. What is printed is
cross-validated by site, over SPLITS ways to deal the sites into folds, and scored as `bench/extraction.py` does: no
page is read by trees that saw a page of its site. Without --write no file changes; 1 where a goal is missed.
"""

import argparse
import gzip
import hashlib
import html
import json
import sys
from collections import Counter
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import lightgbm
import numba
import numpy as np
import pyarrow.parquet as pq
from extraction_pages import DATA, SETS, GoldPage, gold_pages, score, tokens
from fastwarc.warc import ArchiveIterator, WarcRecordType
from numpy.typing import NDArray

from seimai.pipeline import block_model
from seimai.pipeline.block_features import N_FEATURES, features_of
from seimai.pipeline.block_text import text_of
from seimai.pipeline.charset import decode_html
from seimai.pipeline.extract import ExtractConfig, clean_text, extract_text, refusal
from seimai.pipeline.html_blocks import Blocks, blocks_of
from seimai.pipeline.html_kernels import BR, SPACE
from seimai.pipeline.html_scan import Scan, scan_page
from seimai.pipeline.payload import http_payload

FOLDS = 5
SPLITS = 2
"""Ways to deal the sites into folds; one of them alone moves scrapinghub, 83 pages, by 0.003."""
MAX_CELLS = 400_000_000
TEACHER_SHARE = 0.3
"""Weight of a page that trafilatura labels, against 1 of a page with gold text."""
PAGES_OF_A_SITE = 12
"""Gold pages of one site up to which each counts in full; more share the weight of so many, as a square root."""
TREES = 400
PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "max_depth": 6,
    "feature_fraction": 0.4,
    "min_data_in_leaf": 100,
    "min_sum_hessian_in_leaf": 1e-3,
    "lambda_l2": 2.0,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "max_bin": 127,
    "seed": 3,
    "num_threads": 1,
    "deterministic": True,
    "verbose": -1,
}
_ONE_SITE = {"httpd-1.3": "httpd.apache.org", "httpd-2.2": "httpd.apache.org", "httpd-trunk": "httpd.apache.org"}
_ONE_SITE |= {"boostjp": "boostjp.github.io"}


class Sample(NamedTuple):
    """A page: its blocks' features, labels and weights; the page itself only where there is a gold text."""

    site: str
    rows: NDArray[np.float32]
    labels: NDArray[np.float64]
    weights: NDArray[np.float64]
    gold: GoldPage | None
    cut: tuple[Scan, Blocks]


def main() -> int:
    """Prepare, cross-validate, and with --write grow on everything and store."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--write", action="store_true", help="store the trees in pipeline/")
    write = options.parse_args().write
    samples = gold_samples() + taught_samples()
    n_blocks = sum(len(s.rows) for s in samples)
    print(f"{len(samples)} pages, {n_blocks} blocks, lightgbm {lightgbm.__version__}")
    is_below = cross_validate(samples)
    if write:
        booster = grow(samples)
        np.savez_compressed(f"pipeline/{block_model.MODEL}", n_features=N_FEATURES, **flat(booster)._asdict())
    return int(is_below)


def gold_samples() -> list[Sample]:
    """Pages with gold text."""
    pages = gold_pages()
    of_site = Counter(page.site for page in pages)
    samples = []
    for page in pages:
        cut, found = blocks(page.page)
        shares = covered(found, tokens(page.gold))
        weights = min(1.0, PAGES_OF_A_SITE / of_site[page.site]) ** 0.5 * by_length(found)
        if shares is None:  # scored all the same
            shares, weights = np.zeros(len(found)), np.zeros(len(found))
        samples.append(Sample(page.site, features_of(*cut), (shares >= 0.5).astype(float), weights, page, cut))
    return samples


def taught_samples() -> list[Sample]:
    """Pages of other origin, labelled by trafilatura; where people said what must stand in a text, by them."""
    pages = archived() + segmented()
    of_site = Counter(site for site, *_ in pages)
    samples = []
    for site, url, page, must, must_not in pages:
        cut, found = blocks(page)
        texts = [extract_text(page, url=url, engine=engine).text for engine in ("precise", "fast")]
        shares = [covered(found, tokens(text)) for text in texts]
        if shares[0] is None or shares[1] is None:
            continue
        labels = (shares[0] >= 0.5).astype(float)
        weights = by_length(found) * np.where((shares[0] >= 0.5) == (shares[1] >= 0.5), 1.0, 0.5)
        weights *= TEACHER_SHARE * min(1.0, 6 / of_site[site]) ** 0.5
        for block, words in enumerate(found):
            text = " ".join(words)
            said = any(piece in text for piece in must), any(piece in text for piece in must_not)
            if any(said):
                labels[block], weights[block] = float(said[0]), 4 * weights[block]
        samples.append(Sample(site, features_of(*cut), labels, weights, None, cut))
    return samples


Taught = tuple[str, str, str, list[str], list[str]]
"""Site, address, page, and pieces, as tokens joined by spaces, that belong to its text and that do not."""


def archived() -> list[Taught]:
    """Pages of the archives: all of collections from many sites, 25 of each single site, chosen by hash."""
    truth_file = DATA / "warc" / "packed_ja_en.truth.jsonl.gz"
    source = {row["url"]: row["source"] for row in map(json.loads, gzip.open(truth_file, "rt", encoding="utf-8"))}
    pages: dict[str, list[tuple[str, str, str]]] = {}
    for archive in ("packed_ja_en", "hplt_sample_cc", "hplt_sample_wide", "cc_main_2020-34_16pages"):
        with (DATA / "warc" / f"{archive}.warc.gz").open("rb") as file:
            for record in ArchiveIterator(file, record_types=WarcRecordType.response, parse_http=False):
                url = record.headers["WARC-Target-URI"]
                payload = http_payload(record.reader.read(), max_body_bytes=4 << 20)
                if payload.status != 200 or "html" not in payload.mime or refusal(payload.body, ExtractConfig()):
                    continue
                origin = source.get(url, archive) if archive == "packed_ja_en" else archive
                order = hashlib.sha256(url.encode()).hexdigest()
                pages.setdefault(origin, []).append((order, url, decode_html(payload.body, payload.charset).text))
    chosen: list[Taught] = []
    for origin in sorted(pages):
        many_sites = any(word in origin for word in ("fixtures", "tests", "hplt", "cc_main"))
        for _, url, page in sorted(pages[origin])[: None if many_sites else 25]:
            site = (urlsplit(url).hostname or url) if many_sites else _ONE_SITE.get(origin, origin.removesuffix("-ja"))
            chosen.append((site, url, page, [], []))
    return chosen


def segmented() -> list[Taught]:
    """Pages of which people said what belongs to the text and what does not."""
    found = []
    for row in pq.read_table(DATA / "extraction" / "segments_dev.parquet").to_pylist():
        pieces = [[" ".join(tokens(piece)) for piece in row[name]] for name in ("must", "must_not")]
        must, must_not = ([piece for piece in group if piece] for group in pieces)
        page = decode_html(row["html"], None).text
        found.append((urlsplit(row["url"]).hostname or row["url"], row["url"], page, must, must_not))
    return found


def blocks(page: str) -> tuple[tuple[Scan, Blocks], list[list[str]]]:
    """A page taken apart, and the tokens of its blocks."""
    scan = scan_page(page.encode("utf-8", "replace"))
    cut = blocks_of(scan)
    data, runs = scan.data.tobytes(), scan.runs.tolist()
    pieces = [
        (" " if flags & SPACE or broken == BR else "") + data[start:end].decode("utf-8", "replace")
        for start, end, _, flags, broken in runs
    ]
    texts = [html.unescape("".join(pieces[first:last])) for first, last, *_ in cut.blocks.tolist()]
    return (scan, cut), [tokens(text) for text in texts]


def by_length(found: list[list[str]]) -> NDArray[np.float64]:
    """Weights of a page's blocks, which add up to 1: more for longer ones, less than in proportion."""
    weights = np.minimum([len(block) for block in found], 400) ** 0.6
    return np.asarray(weights / max(weights.sum(), 1e-9))


def covered(found: list[list[str]], gold: list[str]) -> NDArray[np.float64] | None:
    """Share of each block's tokens that the gold text holds in the same order; None where aligning takes too long."""
    numbers: dict[str, int] = {}
    wanted = np.array([numbers.setdefault(token, len(numbers)) for token in gold], np.int32)
    places = [(numbers[token], block) for block, words in enumerate(found) for token in words if token in numbers]
    shares = np.zeros(len(found))
    if not places:
        return shares
    if len(places) * len(wanted) > MAX_CELLS:
        return None
    having, owners = np.array(places, np.int32).T
    np.add.at(shares, owners[aligned(np.ascontiguousarray(having), wanted)], 1)
    return np.asarray(shares / np.maximum(1, [len(words) for words in found]))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def aligned(having: NDArray[np.int32], wanted: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Tokens of `having` in the best common subsequence, where a match behind a match counts 1 and a lone one 0.2."""
    n_having, n_wanted = len(having), len(wanted)
    steps = np.zeros((n_having + 1, n_wanted + 1), np.uint8)
    best_before, match_before = np.zeros(n_wanted + 1, np.float32), np.full(n_wanted + 1, -1e9, np.float32)
    for row in range(1, n_having + 1):
        best, match = np.zeros(n_wanted + 1, np.float32), np.full(n_wanted + 1, -1e9, np.float32)
        for column in range(1, n_wanted + 1):
            goes_on = False
            if having[row - 1] == wanted[column - 1]:
                goes_on = match_before[column - 1] + 1.0 >= best_before[column - 1] + 0.2
                match[column] = max(match_before[column - 1] + 1.0, best_before[column - 1] + 0.2)
            step, value = 0, match[column]
            if best_before[column] > value:
                step, value = 1, best_before[column]
            if best[column - 1] > value:
                step, value = 2, best[column - 1]
            if value < 0:
                step, value = 1, np.float32(0)
            best[column] = value
            steps[row, column] = step | (4 if goes_on else 0)
        best_before, match_before = best, match
    chosen = np.zeros(n_having, np.bool_)
    row, column, matching = n_having, n_wanted, False
    while row > 0 and column > 0:
        step = steps[row, column]
        if not matching and step & 3 == 1:
            row -= 1
        elif not matching and step & 3 == 2:
            column -= 1
        else:
            chosen[row - 1] = True
            matching = step & 4 != 0
            row, column = row - 1, column - 1
    return chosen


def grow(samples: list[Sample]) -> lightgbm.Booster:
    """Trees for these pages; those without labels are no data, not even for the bounds of bins."""
    samples = [sample for sample in samples if sample.weights.any()]
    rows = np.concatenate([sample.rows for sample in samples])
    labels = np.concatenate([sample.labels for sample in samples])
    weights = np.concatenate([sample.weights for sample in samples])
    return lightgbm.train(PARAMETERS, lightgbm.Dataset(rows, labels, weight=weights / weights.mean()), TREES)


def fold_of(site: str, split: int) -> int:
    """The two large sites stand in folds of their own choice, all others where a hash puts them."""
    fixed = {"httpd.apache.org": 0, "boostjp.github.io": 1}
    dealt = hashlib.md5(f"{site}{split or ''}".encode()).hexdigest()
    return fixed.get(site, int(dealt, 16) % FOLDS)


def cross_validate(samples: list[Sample]) -> bool:
    """Print precision, recall and F1 by subset, split and engine; whether the mean of a subset is below the others."""
    means = np.zeros((SPLITS, len(SETS), 3))
    for split in range(SPLITS):
        scored: dict[str, list[tuple[float, float, float]]] = {name: [] for name in SETS}
        for fold in range(FOLDS):
            booster = grow([sample for sample in samples if fold_of(sample.site, split) != fold])
            for sample in samples:
                if sample.gold and fold_of(sample.site, split) == fold:
                    found = read_by(booster, sample)
                    scored[sample.gold.subset].append(score(found, sample.gold.gold))
        means[split] = [np.mean(scored[name], 0) for name in SETS]
        print_row(f"auto, split {split}", means[split])
    print_row("auto, mean", means.mean(0))
    others = np.zeros((2, len(SETS), 3))
    for place, engine in enumerate(("precise", "fast")):
        for column, name in enumerate(SETS):
            golds = [s.gold for s in samples if s.gold and s.gold.subset == name]
            texts = [extract_text(gold.page, url=gold.url, engine=engine).text for gold in golds]
            others[place, column] = np.mean([score(t, g.gold) for t, g in zip(texts, golds, strict=True)], 0)
        print_row(engine, others[place])
    return bool((means.mean(0)[:, 2] < others[:, :, 2].max(0)).any())


def read_by(booster: lightgbm.Booster, sample: Sample) -> str:
    """Text of a page as `extract_text` would have it with these trees."""
    scan, cut = sample.cut
    scores = np.zeros(0) if not len(sample.rows) else booster.predict(sample.rows, raw_score=True, num_threads=1)
    kept = block_model.pick_blocks(scan, cut, np.asarray(scores, np.float32))
    return clean_text(text_of(scan, cut, kept))


def print_row(name: str, means: NDArray[np.float64]) -> None:
    """Precision, recall and F1 of each subset."""
    cells = ["/".join(f"{mean:.4f}" for mean in row) for row in means]
    print(f"{name:14}" + "".join(f"  {subset} {cell}" for subset, cell in zip(SETS, cells, strict=True)), flush=True)


def flat(booster: lightgbm.Booster) -> block_model.Trees:
    """The trees as arrays; thresholds are rounded down to 32 bits, so that no feature changes its side."""
    features: list[int] = []
    thresholds: list[float] = []
    sides: tuple[list[int], list[int]] = ([], [])
    leaves: list[float] = []
    roots = []

    def put(node: dict[str, Any]) -> int:
        if "leaf_value" in node:
            leaves.append(node["leaf_value"])
            return -len(leaves)
        place = len(features)
        features.append(node["split_feature"])
        thresholds.append(node["threshold"])
        sides[0].append(0)
        sides[1].append(0)
        sides[0][place], sides[1][place] = put(node["left_child"]), put(node["right_child"])
        return place

    for tree in booster.dump_model()["tree_info"]:
        roots.append(put(tree["tree_structure"]))
    exact = np.array(thresholds)
    rounded = exact.astype(np.float32)
    rounded[rounded > exact] = np.nextafter(rounded[rounded > exact], np.float32(-np.inf))
    return block_model.Trees(
        np.array(features, np.int16),
        rounded,
        np.array(sides[0], np.int32),
        np.array(sides[1], np.int32),
        np.array(leaves, np.float32),
        np.array(roots, np.int32),
    )


if __name__ == "__main__":
    sys.exit(main())
