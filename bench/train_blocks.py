"""Grow the trees of pipeline/block_model.npz: `python bench/train_blocks.py [--write]`, about 5 minutes of one core.

Wants an environment of its own with `pip install -e '.[pipeline]' lightgbm`. Labels: gold text is aligned to a page's
blocks token by token, and a block of which half stands in the gold text is main text. Pages without gold text are
labelled by trafilatura, at a lower weight where resiliparse says otherwise, and count less. What is printed is
cross-validated by site: no page is scored by trees that saw a page of its site. Without --write no file changes.
"""

import argparse
import gzip
import hashlib
import html
import json
from collections import Counter
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import lightgbm
import numba
import numpy as np
import pyarrow.parquet as pq
from extraction_pages import DATA, SETS, gold_pages, tokens
from fastwarc.warc import ArchiveIterator, WarcRecordType
from numpy.typing import NDArray

from seimai.pipeline import block_model
from seimai.pipeline.block_features import N_FEATURES, features_of
from seimai.pipeline.charset import decode_html
from seimai.pipeline.extract import ExtractConfig, extract_text, refusal
from seimai.pipeline.html_blocks import blocks_of
from seimai.pipeline.html_kernels import BR, SPACE
from seimai.pipeline.html_scan import scan_page
from seimai.pipeline.payload import http_payload

FOLDS = 5
MAX_CELLS = 400_000_000
TEACHER_SHARE = 0.3
"""Weight of a page that trafilatura labels, against 1 of a page with gold text."""
PAGES_OF_A_SITE = 12
"""Gold pages of one site up to which each counts in full; more share the weight of so many, as a square root."""
TREES = 200
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
    """A page: its blocks' features, labels and weights; tokens only where there is a gold text."""

    subset: str
    site: str
    rows: NDArray[np.float32]
    labels: NDArray[np.float64]
    weights: NDArray[np.float64]
    block_tokens: list[Counter[str]]
    gold: Counter[str]


def main() -> None:
    """Prepare, cross-validate, and with --write grow on everything and store."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--write", action="store_true", help="store the trees in pipeline/")
    write = options.parse_args().write
    samples = gold_samples() + taught_samples()
    n_blocks = sum(len(s.rows) for s in samples)
    print(f"{len(samples)} pages, {n_blocks} blocks, lightgbm {lightgbm.__version__}")
    cross_validate(samples)
    if write:
        booster = grow(samples)
        np.savez_compressed(f"pipeline/{block_model.MODEL}", n_features=N_FEATURES, **flat(booster)._asdict())


def gold_samples() -> list[Sample]:
    """Pages with gold text."""
    pages = gold_pages()
    of_site = Counter(page.site for page in pages)
    samples = []
    for page in pages:
        rows, found = blocks(page.page)
        shares = covered(found, tokens(page.gold))
        if shares is None:
            continue
        weight = min(1.0, PAGES_OF_A_SITE / of_site[page.site]) ** 0.5
        samples.append(
            Sample(
                page.subset,
                page.site,
                rows,
                (shares >= 0.5).astype(float),
                weight * by_length(found),
                [Counter(block) for block in found],
                Counter(tokens(page.gold)),
            )
        )
    return samples


def taught_samples() -> list[Sample]:
    """Pages of other origin, labelled by trafilatura; where people said what must stand in a text, by them."""
    pages = archived() + segmented()
    of_site = Counter(site for site, *_ in pages)
    samples = []
    for site, url, page, must, must_not in pages:
        rows, found = blocks(page)
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
        samples.append(Sample("", site, rows, labels, weights, [], Counter()))
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


def blocks(page: str) -> tuple[NDArray[np.float32], list[list[str]]]:
    """Features and tokens of a page's blocks."""
    scan = scan_page(page.encode("utf-8", "replace"))
    cut = blocks_of(scan)
    data, runs = scan.data.tobytes(), scan.runs.tolist()
    pieces = [
        (" " if flags & SPACE or broken == BR else "") + data[start:end].decode("utf-8", "replace")
        for start, end, _, flags, broken in runs
    ]
    texts = [html.unescape("".join(pieces[first:last])) for first, last, *_ in cut.blocks.tolist()]
    return features_of(scan, cut), [tokens(text) for text in texts]


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
    """Trees for these pages."""
    rows, labels, weights = (np.concatenate([sample[place] for sample in samples]) for place in (2, 3, 4))
    return lightgbm.train(PARAMETERS, lightgbm.Dataset(rows, labels, weight=weights / weights.mean()), TREES)


def fold_of(site: str) -> int:
    """The two large sites stand in folds of their own choice, all others where a hash puts them."""
    fixed = {"httpd.apache.org": 0, "boostjp.github.io": 1}
    return fixed.get(site, int(hashlib.md5(site.encode()).hexdigest(), 16) % FOLDS)


def cross_validate(samples: list[Sample]) -> None:
    """Print precision, recall and F1 by subset and threshold."""
    scored: dict[float, dict[str, list[tuple[float, float, float]]]] = {t: {} for t in (0.4, 0.45, 0.5, 0.55, 0.6)}
    for fold in range(FOLDS):
        booster = grow([sample for sample in samples if fold_of(sample.site) != fold])
        for sample in samples:
            if sample.block_tokens and fold_of(sample.site) == fold:
                chances = booster.predict(sample.rows, num_threads=1)
                for threshold, by_subset in scored.items():
                    by_subset.setdefault(sample.subset, []).append(score_blocks(sample, chances >= threshold))
    print(f"{'threshold':10}" + "".join(f"{name:>24}" for name in SETS))
    for threshold, by_subset in scored.items():
        cells = ["/".join(f"{mean:.3f}" for mean in np.mean(by_subset[name], 0)) for name in SETS]
        print(f"{threshold:<10}" + "".join(f"{cell:>24}" for cell in cells), flush=True)


def score_blocks(sample: Sample, kept: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Precision, recall and F1 of the kept blocks' tokens."""
    found: Counter[str] = Counter()
    for block in np.flatnonzero(kept):
        found += sample.block_tokens[block]
    both = sum((found & sample.gold).values())
    precision, recall = both / max(1, sum(found.values())), both / max(1, sum(sample.gold.values()))
    return precision, recall, 2 * precision * recall / (precision + recall) if both else 0.0


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
    main()
