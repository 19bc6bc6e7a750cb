"""Two runs beside each other: which documents only one has, decided otherwise, or reads otherwise, and by which number.

Parts of one name are compared as they are read; what has no counterpart there is laid out on disk by ranges of the id
and compared range by range, so that memory is that of a part or of a range, whatever the runs' size. Texts are read
only where the files of a part differ.
"""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .cluster_source import bytes_of, from_hex
from .decide import DUPLICATE, IN_INDEX
from .edits import edited_texts, read_edits
from .gates import GATES
from .judge import EMPTIED, asked_columns
from .presets import Rule, rules
from .run_facts import (
    DIGEST_BYTES,
    ComparedRun,
    IdRanges,
    fact_schema,
    facts_of_parts,
    open_compared,
    other_settings,
    read_range,
)

__all__ = ["Change", "RunDiff", "diff_runs"]

RANGE_ROWS = 500_000
MOST_RANGES = 200
"""Files that are open at once, for each run."""
KEPT = "kept"
TEXT = "text"
_EXCERPT = 40
"""Characters before and behind the first difference of two texts."""


class Change(NamedTuple):
    """Documents of both runs with another verdict for one cause.

    `why`: threshold (the same value on the other side of another threshold), value (another value), rule (only one
    run asks it), language (other rules), gate, cluster (other likes, or another survivor), or emptied. Thresholds are
    null where a run does not ask the rule, column and keep where it is none.
    """

    before: str
    after: str
    why: str
    lang: str
    reason: str
    column: str | None
    keep: str | None
    threshold_a: float | None
    threshold_b: float | None
    documents: int


@dataclass(slots=True)
class RunDiff:
    """What differs; `samples` are those of the smallest ids, which is at random."""

    documents: dict[str, int]
    """`both`, `only_a`, `only_b`; of both: `decided` otherwise, `kept_only_a`, `kept_only_b`, another `text`."""
    only: list[tuple[str, str, int]]
    """Run (a or b), verdict and documents of those that only it has."""
    changes: list[Change]
    config: list[tuple[str, Any, Any]]
    """Settings that differ: key, value in A, value in B."""
    samples: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class _Sums:
    samples: int
    counts: Counter[str] = field(default_factory=Counter)
    only: Counter[tuple[str, str]] = field(default_factory=Counter)
    changes: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    picked: dict[Any, list[dict[str, Any]]] = field(default_factory=dict)

    def pick(self, kind: Any, rows: list[dict[str, Any]]) -> None:
        """Keep the samples of the smallest ids."""
        known = [*self.picked.get(kind, []), *rows]
        self.picked[kind] = sorted(known, key=lambda row: str(row["id"]))[: self.samples]


def diff_runs(a: Path, b: Path, *, samples: int = 3) -> RunDiff:
    """Compare two finished runs by the ids of their documents; `samples` of each kind of difference.

    Raises RunError for what is no finished run.
    """
    runs = [open_compared(path) for path in (a, b)]
    columns = sorted({name for run in runs for name in asked_columns(run.config.quality)} | {"n_chars", "cluster_size"})
    sums = _Sums(samples)
    total = sum(entry.rows for run in runs for entry in run.entries.values())
    ranges = min(MOST_RANGES, max(1, -(-total // RANGE_ROWS)))
    with tempfile.TemporaryDirectory(prefix="seimai-diff-") as folder:
        with ExitStack() as stack:
            rest = [IdRanges(Path(folder), side, ranges, fact_schema(columns), stack) for side in "ab"]
            for one, other in facts_of_parts(runs, columns):
                first, second = _compare(runs, sums, one, other)
                rest[0].put(first)
                rest[1].put(second)
        for number in range(ranges):
            one, other = (read_range(Path(folder), side, number, fact_schema(columns)) for side in "ab")
            for side, table in zip("ab", _compare(runs, sums, one, other), strict=True):
                _count_only(sums, side, table)
    return _result(runs, sums)


def _compare(runs: Sequence[ComparedRun], sums: _Sums, one: pa.Table, other: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Count the differences of documents that both tables have; returns the others of each."""
    if not len(one) or not len(other):
        return one, other
    ids = [from_hex(table["id"]).view("S16").reshape(-1) for table in (one, other)]
    _, at, there = np.intersect1d(ids[0], ids[1], assume_unique=True, return_indices=True)
    _differences(runs, sums, one.take(pa.array(at)), other.take(pa.array(there)))
    rests = []
    for table, found in ((one, at), (other, there)):
        left = np.ones(len(table), bool)
        left[found] = False
        rests.append(table.filter(pa.array(left)))
    return rests[0], rests[1]


def _differences(runs: Sequence[ComparedRun], sums: _Sums, one: pa.Table, other: pa.Table) -> None:
    """Count what differs between rows of the same documents."""
    sums.counts["both"] += len(one)
    other_text = np.any(_bytes(one["digest"]) != _bytes(other["digest"]), axis=1)
    other_text |= _nulls(one["digest"]) != _nulls(other["digest"])
    sums.counts["text"] += int(other_text.sum())
    if other_text.any():
        _pick_texts(sums, one.filter(pa.array(other_text)), other.filter(pa.array(other_text)))
    verdicts = [pc.fill_null(table["reason"], KEPT) for table in (one, other)]
    where = pc.not_equal(*verdicts)
    one, other = one.filter(where), other.filter(where)
    if not len(one):
        return
    verdicts = [verdict.filter(where).combine_chunks() for verdict in verdicts]
    kept = [pc.equal(verdict, KEPT).to_numpy(zero_copy_only=False) for verdict in verdicts]
    sums.counts["decided"] += len(one)
    sums.counts["kept_only_a"] += int((kept[0] & ~kept[1]).sum())
    sums.counts["kept_only_b"] += int((kept[1] & ~kept[0]).sum())
    _causes(runs, sums, one, other, verdicts)


def _bytes(column: pa.ChunkedArray) -> NDArray[np.uint8]:
    """Digests, zeros for null."""
    return bytes_of(pc.fill_null(column, bytes(DIGEST_BYTES)), DIGEST_BYTES)


def _nulls(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = column.is_null().to_numpy()
    return found


def _causes(
    runs: Sequence[ComparedRun], sums: _Sums, one: pa.Table, other: pa.Table, verdicts: Sequence[pa.StringArray]
) -> None:
    """Group documents of different verdicts by what made the difference."""
    before, after = (verdict.to_pylist() for verdict in verdicts)
    still = other["reasons"].to_pylist()
    reasons = [_decisive(*row) for row in zip(before, after, still, strict=True)]
    langs = [table["lang"].to_pylist() for table in (one, other)]
    groups: dict[tuple[Any, ...], list[int]] = {}
    for row, key in enumerate(zip(before, after, reasons, *langs, strict=True)):
        groups.setdefault(key, []).append(row)
    for (was, now, reason, lang_a, lang_b), rows in groups.items():
        asked = [_rule(run, lang, reason) for run, lang in zip(runs, (lang_a, lang_b), strict=True)]
        known = next((rule for rule in asked if rule is not None), None)
        tables = [table.take(pa.array(rows)) for table in (one, other)]
        why, ids = _why(reason, lang_a != lang_b, asked, tables), tables[0]["id"].to_pylist()
        thresholds = [rule.threshold if rule else None for rule in asked]
        column = known.column if known else "n_chars" if reason == EMPTIED else None
        for cause in sorted(set(why)):
            chosen = [row for row, name in enumerate(why) if name == cause]
            keep = known.keep if known else None
            key = (was, now, cause, lang_b or lang_a or "", reason, column, keep, *thresholds)
            sums.changes[key] += len(chosen)
            shown = column or ("cluster_size" if cause == "cluster" else None)
            some = sorted(chosen, key=ids.__getitem__)[: sums.samples]
            sums.pick(key, _samples([table.take(pa.array(some, pa.int64())) for table in tables], shown))


def _decisive(before: str, after: str, reasons: Sequence[str] | None) -> str:
    """The verdict that made the difference: a gate; else what A drops for and B does not; else what B found before it.

    >>> _decisive("short", "list", ["list", "short"]), _decisive("short", "list", ["list"])
    ('list', 'short')
    """
    if before in GATES or after in GATES:
        return after if after in GATES else before
    return before if before != KEPT and before not in (reasons or ()) else after


def _rule(run: ComparedRun, lang: str | None, reason: str) -> Rule | None:
    """The rule of a language that drops for a reason."""
    section = run.config.quality.get(lang or "")
    return next((rule for rule in rules(section) if rule.reason == reason), None) if section else None


def _why(reason: str, other_lang: bool, asked: Sequence[Rule | None], tables: Sequence[pa.Table]) -> list[str]:
    """What made the difference for each of some documents of one reason."""
    rows = len(tables[0])
    if reason in (DUPLICATE, IN_INDEX):
        return ["cluster"] * rows
    if reason in GATES or reason == EMPTIED:
        return [EMPTIED if reason == EMPTIED else "gate"] * rows
    one, other = asked
    if one is None or other is None or (one.column, one.keep) != (other.column, other.keep):
        return ["language" if other_lang else "rule"] * rows
    values = [table[one.column].to_numpy() for table in tables]
    same = (values[0] == values[1]) | (np.isnan(values[0]) & np.isnan(values[1]))
    unequal = "language" if other_lang else "threshold"
    # The same number under the same question: a rule of the order before it has gone.
    return [("value" if not ok else unequal if one != other else "rule") for ok in same.tolist()]


def _samples(tables: Sequence[pa.Table], column: str | None) -> list[dict[str, Any]]:
    """Where some documents stand in both runs, with a column's numbers."""
    names = ["id", "part", "row"]
    found = []
    for one, other in zip(*(table.select(names).to_pylist() for table in tables), strict=True):
        found.append({"id": one["id"], "a": (one["part"], one["row"]), "b": (other["part"], other["row"])})
    if column is not None:
        values = [table[column].to_pylist() for table in tables]
        for sample, a, b in zip(found, *values, strict=True):
            sample |= {"column": column, "value_a": a, "value_b": b}
    return found


def _pick_texts(sums: _Sums, one: pa.Table, other: pa.Table) -> None:
    order = pc.sort_indices(one["id"])[: sums.samples]
    sums.pick(TEXT, _samples([one.take(order), other.take(order)], "n_chars"))


def _count_only(sums: _Sums, side: str, table: pa.Table) -> None:
    """Count the documents that one run alone has."""
    sums.counts[f"only_{side}"] += len(table)
    for row in pc.value_counts(pc.fill_null(table["reason"], KEPT)).to_pylist():
        sums.only[side, row["values"]] += row["counts"]
    some = table.take(pc.sort_indices(table["id"])[: sums.samples]).select(["id", "part", "row"]).to_pylist()
    sums.pick(f"only_{side}", [{"id": row["id"], side: (row["part"], row["row"])} for row in some])


def _result(runs: Sequence[ComparedRun], sums: _Sums) -> RunDiff:
    names = ("both", "only_a", "only_b", "decided", "kept_only_a", "kept_only_b", "text")
    order = sorted(sums.changes, key=lambda key: (-sums.changes[key], tuple(map(str, key))))
    changes = [Change._make((*key, sums.changes[key])) for key in order]
    samples: list[dict[str, Any]] = []
    for kind in ("only_a", "only_b", TEXT):
        samples += [_shown(runs, {"kind": kind}, sample) for sample in sums.picked.get(kind, [])]
    for key in order:
        was = {"kind": "decided", "before": key[0], "after": key[1], "why": key[2], "reason": key[4]}
        samples += [_shown(runs, was, sample) for sample in sums.picked[key]]
    only = sorted(
        ((side, verdict, n) for (side, verdict), n in sums.only.items()), key=lambda row: (row[0], -row[2], row[1])
    )
    return RunDiff(
        {name: sums.counts[name] for name in names},
        only,
        changes,
        other_settings(*(run.config for run in runs)),
        samples,
    )


def _shown(runs: Sequence[ComparedRun], head: Mapping[str, Any], sample: dict[str, Any]) -> dict[str, Any]:
    """A sample with its address, and where texts differ what stands there."""
    places = [(run, sample.get(side)) for run, side in zip(runs, "ab", strict=True)]
    url, texts = None, []
    for run, place in places:
        if place is None:
            continue
        path = run.path / "documents" / f"{place[0]}.parquet"
        row = pq.read_table(path, columns=["id", "url", "text"]).slice(place[1], 1)
        url = row["url"][0].as_py()
        texts.append(edited_texts(row, read_edits(run.path, place[0]))[0].as_py() if head["kind"] == TEXT else None)
    found = {**head, "id": sample["id"], "url": url}
    found |= {name: sample[name] for name in ("column", "value_a", "value_b") if name in sample}
    if head["kind"] == TEXT:
        found |= dict(zip(("text_a", "text_b"), _excerpts(*texts), strict=True))
    return found


def _excerpts(one: str | None, other: str | None) -> tuple[str | None, str | None]:
    """Both texts around the first place where they differ.

    >>> _excerpts("精米", "精米する")
    ('精米', '精米する')
    """
    if one is None or other is None:
        return one and one[: 2 * _EXCERPT], other and other[: 2 * _EXCERPT]
    pairs = enumerate(zip(one, other, strict=False))
    at = next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))
    part = slice(max(0, at - _EXCERPT), at + _EXCERPT)
    return one[part], other[part]
