"""How good clusters are against labelled pairs: recall, precision and F1, with confidence intervals.

A pair is two documents; labels give the similarity of pairs, and pairs that are not listed are unlike. Clusters join
what pairs connect, so two members may be less alike than the threshold although every step between them was right:
exact Jaccard with connected components does that too. Hence two precisions: strict, of pairs alike themselves, beside
the ceiling that exact components reach; and chained, of pairs that a chain of pairs a little below the threshold joins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.json
from numpy.typing import NDArray

from seimai.errors import InputError

from .regroup import cluster_numbers

__all__ = [
    "LabelledPairs",
    "PairQuality",
    "Share",
    "judge_languages",
    "judge_pairs",
    "read_documents",
    "read_pairs",
    "share_of",
]

NORMAL = 1.959963984540054
"""Standard deviations on each side of the mean that hold 95 % of a normal distribution."""
ABOVE, BELOW = 0.02, 0.05
"""Recall counts pairs this much above the threshold, a chain's links may be this much below it: labels and shingles
of different making (punctuation kept or not) differ by as much."""


class Share(NamedTuple):
    """A share of pairs, 0 to 1 (1 where there is no pair), its 95 % interval, and the number of pairs."""

    value: float
    low: float
    high: float
    pairs: int


class LabelledPairs(NamedTuple):
    """Row numbers of documents, int64 of shape (pairs, 2), and the similarity of each pair, float64."""

    rows: NDArray[np.int64]
    jaccard: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PairQuality:
    """The figures of one language; `f1` is the harmonic mean of `recall` and `precision`."""

    lang: str
    documents: int
    recall: Share
    """Pairs of at least threshold + 0.02 that share a cluster."""
    precision: Share
    """Pairs sharing a cluster that a chain of pairs of at least threshold - 0.05 joins."""
    f1: float
    strict_recall: Share
    """Pairs of at least the threshold that share a cluster."""
    strict_precision: Share
    """Pairs sharing a cluster that have at least the threshold themselves."""
    ceiling: float
    """Strict precision of the connected components of all pairs of at least the threshold."""


def share_of(hits: NDArray[np.int64], pairs: NDArray[np.int64]) -> Share:
    """The share of all hits in all pairs, from counts by group, with Wilson's interval.

    Pairs of one group (a page with its revisions) stand or fall together, so the interval counts as many independent
    pairs as the spread between groups says, and as many as there are groups where all say the same.

    >>> share_of(np.array([9, 10, 10]), np.array([10, 10, 10])).value.__round__(3)
    0.967
    >>> [round(x, 2) for x in share_of(np.array([3, 5]), np.array([3, 5]))]
    [1.0, 0.34, 1.0, 8]
    """
    held = pairs > 0
    hits, pairs = hits[held], pairs[held]
    total, groups = int(pairs.sum()), len(pairs)
    if total == 0:
        return Share(1.0, 0.0, 1.0, 0)
    value = int(hits.sum()) / total
    variance = groups / max(groups - 1, 1) * float(((hits - value * pairs) ** 2).sum()) / total**2
    independent = min(value * (1 - value) / variance, total) if variance > 0 else groups
    spread = NORMAL**2 / independent
    middle = (value + spread / 2) / (1 + spread)
    half = NORMAL * np.sqrt(value * (1 - value) / independent + spread / (4 * independent)) / (1 + spread)
    return Share(value, max(0.0, float(middle - half)), min(1.0, float(middle + half)), total)


def judge_pairs(clusters: NDArray[np.int64], labels: LabelledPairs, *, threshold: float, lang: str = "") -> PairQuality:
    """The figures of clusters (a number for each document) of documents of one language.

    >>> labels = LabelledPairs(np.array([[0, 1], [2, 3]]), np.array([0.9, 0.85]))
    >>> found = judge_pairs(np.array([0, 0, 2, 3]), labels, threshold=0.8)
    >>> found.recall.value, found.precision.value, round(found.f1, 2)
    (0.5, 1.0, 0.67)
    """
    rows, jaccard = labels
    n = len(clusters)
    chains = cluster_numbers(n, rows[jaccard >= threshold - BELOW])
    exact = cluster_numbers(n, rows[jaccard >= threshold])
    # What is connected in any way is one group; every cluster lies inside one.
    group = cluster_numbers(n, np.concatenate([rows, np.stack([clusters, np.arange(n)], axis=1)]))
    together = clusters[rows[:, 0]] == clusters[rows[:, 1]]

    def found(at_least: float) -> Share:
        alike = jaccard >= at_least
        of_pair = group[rows[:, 0]]
        return share_of(_count(of_pair[alike & together], n), _count(of_pair[alike], n))

    inside = _pairs_inside(clusters, clusters, group)
    strict = _count(group[rows[together & (jaccard >= threshold), 0]], n)
    recall = found(threshold + ABOVE)
    precision = share_of(_pairs_inside(clusters, chains, group), inside)
    both = recall.value + precision.value
    ceiling = (jaccard >= threshold).sum() / max(_pairs_inside(exact, exact, group).sum(), 1)
    return PairQuality(
        lang, n, recall, precision, 2 * recall.value * precision.value / both if both else 0.0,
        found(threshold), share_of(strict, inside), float(ceiling),
    )  # fmt: skip


def judge_languages(
    clusters: NDArray[np.int64], labels: LabelledPairs, langs: Sequence[str | None], *, threshold: float
) -> list[PairQuality]:
    """The figures of each language, and of `all` documents where there are several; `langs` has one for each."""
    names = np.array([lang or "auto" for lang in langs])
    found = []
    for lang in np.unique(names):
        rows = np.flatnonzero(names == lang)
        place = np.full(len(names), -1)
        place[rows] = np.arange(len(rows))
        inside = (place[labels.rows] >= 0).all(axis=1)
        own = LabelledPairs(place[labels.rows[inside]], labels.jaccard[inside])
        # A cluster's number among the language's documents is that of its first one there.
        _, first, which = np.unique(clusters[rows], return_index=True, return_inverse=True)
        found.append(judge_pairs(first[which], own, threshold=threshold, lang=str(lang)))
    return found if len(found) == 1 else [*found, judge_pairs(clusters, labels, threshold=threshold, lang="all")]


def _count(groups: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    return np.bincount(groups, minlength=n).astype(np.int64)


def _pairs_inside(one: NDArray[np.int64], other: NDArray[np.int64], group: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each group the number of pairs of documents that are together in both partitions."""
    _, first, sizes = np.unique(np.stack([one, other]), axis=1, return_index=True, return_counts=True)
    found = np.zeros(len(group), np.int64)
    np.add.at(found, group[first], sizes * (sizes - 1) // 2)
    return found


def read_documents(path: Path) -> pa.Table:
    """Columns id, text and lang (auto where the file has none) of a JSON lines file, .gz or .zst or plain."""
    table = _read_lines(path, ("id", "text"))
    if "lang" not in table.column_names:
        table = table.append_column("lang", pa.array(["auto"] * len(table)))
    return table.select(["id", "text", "lang"])


def read_pairs(path: Path, ids: Sequence[str]) -> LabelledPairs:
    """The pairs of a JSON lines file: `a` and `b` are ids, `jaccard` a number, or `duplicate` true or false.

    Raises InputError where a pair names a document that is not among `ids`, or names one twice.
    """
    table = _read_lines(path, ("a", "b"))
    label = next((name for name in ("jaccard", "duplicate") if name in table.column_names), None)
    if label is None:
        raise InputError(f"{path}: pairs need a number `jaccard` or a truth value `duplicate`")
    row_of = {name: row for row, name in enumerate(ids)}
    pairs = list(zip(table["a"].to_pylist(), table["b"].to_pylist(), strict=True))
    for number, (a, b) in enumerate(pairs, 1):
        for name in (a, b):
            if name not in row_of:
                raise InputError(f"{path}: line {number} names {name!r}, which is not among the documents")
        if a == b:
            raise InputError(f"{path}: line {number} pairs {a!r} with itself; remove it")
    rows = np.array([(row_of[a], row_of[b]) for a, b in pairs], np.int64).reshape(-1, 2)
    rows, first = np.unique(np.sort(rows, axis=1), axis=0, return_index=True)
    if len(rows) < len(pairs):
        raise InputError(f"{path}: {len(pairs) - len(rows)} pairs stand there more than once; keep one of each")
    return LabelledPairs(rows, table[label].cast(pa.float64()).to_numpy()[first])


def _read_lines(path: Path, needed: tuple[str, ...]) -> pa.Table:
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            table = pyarrow.json.read_json(stream)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: cannot be read as JSON lines: {error}") from None
    missing = [name for name in needed if name not in table.column_names]
    if missing:
        raise InputError(f"{path}: lines need {' and '.join(missing)}; found {', '.join(table.column_names)}")
    return table
