"""Documents of a run for a person to read: those just on both sides of a threshold, or random ones, with texts."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from seimai.errors import ConfigError, RunError

from .decide import DUPLICATE, IN_INDEX
from .edits import edited_texts, read_edits
from .gates import GATES
from .job import load_run_config
from .judge import EMPTIED
from .order import Entry, no_order, read_entries
from .presets import QualityConfig, Rule, breaks, rules

__all__ = ["Case", "Group", "inspect_run", "ordered_entries"]

TEXT_BATCH = 2_000
"""Texts that are searched at a time."""


class Case(NamedTuple):
    """One document: where it stands to the rule (null without one), its verdict, and its text as it was measured."""

    id: str
    url: str
    lang: str
    value: float | None
    reasons: Sequence[str]
    text: str


@dataclass(frozen=True, slots=True)
class Group:
    """Cases of one kind, nearest to the threshold first, or in random order; `found`: how many there are in all."""

    title: str
    found: int
    cases: list[Case]


class _Pick(NamedTuple):
    key: float
    id: str
    entry: Entry
    row: int
    value: float | None


def inspect_run(
    run: Path,
    *,
    rule: str = "",
    near: bool = False,
    lang: str = "",
    count: int = 5,
    seed: int = 1,
    search: str = "",
    everything: bool = False,
) -> list[Group]:
    """Up to `count` documents of each kind, the same for the same seed.

    With `rule` (a reason) and `near`: those just dropped by the rule and those it just lets pass; with `rule` alone:
    random ones of both; without: random kept and dropped ones. `search`: only documents whose text or URL has this
    regular expression (RE2). Unless `everything`, only documents whose fate hangs on the rule are shown: dropped by
    nothing else, or kept. Raises ConfigError for a rule, language or expression that is wrong.
    """
    ordered_entries(run)  # "no finished run" before anything else
    quality = load_run_config(run).quality
    if search:
        _check_search(search)
    groups = []
    for of_lang, asked in _asked(quality, rule, lang, near):
        sides: dict[bool, list[_Pick]] = {True: [], False: []}
        found = {True: 0, False: 0}
        for entry in ordered_entries(run):
            for dropped, picks in _of_part(run, entry, of_lang, asked, rule, near, seed, search, everything):
                found[dropped] += len(picks)
                sides[dropped] = sorted([*sides[dropped], *picks])[:count]
        for dropped, picks in sides.items():
            title = _title(of_lang, asked, rule, dropped, near)
            groups.append(Group(title, found[dropped], [_case(run, pick) for pick in picks]))
    return groups


def ordered_entries(run: Path) -> Iterator[Entry]:
    """The parts of a run that was decided.  Raises RunError for one that was not."""
    path = run / "state" / "order.arrow"
    if next(read_entries(path), None) is not None and not (run / "decisions").is_dir():
        raise no_order(run)
    return read_entries(path)


def _asked(quality: Mapping[str, QualityConfig], rule: str, lang: str, near: bool) -> list[tuple[str, Rule | None]]:
    """Languages to look at, each with the rule as it is asked there."""
    if lang and lang not in quality:
        raise ConfigError(f"--lang {lang}: this run has rules for {', '.join(sorted(quality))}")
    langs = [lang] if lang else sorted(quality)
    if not rule or (rule in (DUPLICATE, EMPTIED, IN_INDEX) and not near):
        return [(of_lang, None) for of_lang in langs]
    asked = {of_lang: {one.reason: one for one in rules(quality[of_lang])} for of_lang in langs}
    found = [(of_lang, by_name[rule]) for of_lang, by_name in asked.items() if rule in by_name]
    if not found:
        names = sorted({name for by_name in asked.values() for name in by_name})
        close = difflib.get_close_matches(rule, names, n=1)
        if rule in GATES:
            raise ConfigError(
                f"--rule {rule}: is a gate, its pages have no text here; seimai explain shows single ones"
            )
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}, {DUPLICATE}, {EMPTIED}"
        raise ConfigError(f"--rule {rule}: no rule of this run; {hint}")
    return [(of_lang, one) for of_lang, one in found]


def _check_search(search: str) -> None:
    try:
        pc.match_substring_regex(pa.array([""]), search)
    except pa.ArrowInvalid as error:
        raise ConfigError(f"--search {search!r}: no RE2 expression: {error}") from None


def _of_part(
    run: Path, entry: Entry, lang: str, asked: Rule | None, rule: str, near: bool, seed: int, search: str,
    everything: bool,
) -> Iterator[tuple[bool, list[_Pick]]]:  # fmt: skip
    """The part's documents on the dropped side and on the other one."""
    documents = pq.read_table(run / "documents" / f"{entry.part}.parquet", columns=["id", "lang", "gate", "lang_score"])
    decisions = pq.read_table(run / "decisions" / f"{entry.part}.parquet", columns=["reason", "reasons"])
    here = pc.and_(pc.fill_null(pc.equal(documents["lang"], lang), False), pc.is_null(documents["gate"])).to_numpy()
    if search:
        here &= _matches(run, entry, search)
    n_reasons = pc.list_value_length(decisions["reasons"]).to_numpy()
    kept = decisions["reason"].is_null().to_numpy()
    values: NDArray[np.float64] | None = None
    if asked is not None:
        column = _column(run, entry, documents, asked.column)
        dropped, present = breaks(column, asked)
        values = column.cast(pa.float64()).fill_null(0).to_numpy()
        fate = np.ones(entry.rows, bool) if everything else np.where(dropped, n_reasons == 1, kept)
        here &= present & fate
    elif rule:
        dropped = pc.fill_null(pc.equal(decisions["reason"], rule), False).to_numpy()
        here &= dropped | kept
    else:
        dropped = ~kept
    if near and asked is not None and values is not None:
        keys = np.abs(values - asked.threshold)
    else:
        keys = np.random.default_rng([seed, entry.first_row]).random(entry.rows)
    ids = documents["id"].to_pylist()
    for side in (True, False):
        rows = np.flatnonzero(here & (dropped == side)).tolist()
        yield (
            side,
            [_Pick(float(keys[r]), ids[r], entry, r, None if values is None else float(values[r])) for r in rows],
        )


def _matches(run: Path, entry: Entry, search: str) -> NDArray[np.bool_]:
    """Which documents have the expression in their text, as it was read, or in their URL."""
    found = []
    with pq.ParquetFile(run / "documents" / f"{entry.part}.parquet") as file:
        for piece in file.iter_batches(TEXT_BATCH, columns=["url", "text"]):
            hits = [pc.fill_null(pc.match_substring_regex(piece[name], search), False) for name in ("url", "text")]
            found.append(pc.or_(*hits).to_numpy(zero_copy_only=False))
    return np.concatenate(found) if found else np.zeros(0, bool)


def _column(run: Path, entry: Entry, documents: pa.Table, name: str) -> pa.ChunkedArray:
    if name in documents.column_names:
        return documents[name]
    for folder in ("signals", "clusters", "documents"):
        path = run / folder / f"{entry.part}.parquet"
        if name in pq.read_schema(path).names:
            return pq.read_table(path, columns=[name])[name]
    raise RunError(f"{run}: has no column {name!r}; `seimai run` measures it")


def _case(run: Path, pick: _Pick) -> Case:
    part = pick.entry.part
    columns = ["id", "url", "lang", "text"]
    document = pq.read_table(run / "documents" / f"{part}.parquet", columns=columns).slice(pick.row, 1)
    reasons = pq.read_table(run / "decisions" / f"{part}.parquet", columns=["reasons"])["reasons"][pick.row].as_py()
    text = edited_texts(document, read_edits(run, part))[0].as_py()
    row = document.to_pylist()[0]
    return Case(pick.id, row["url"] or "", row["lang"] or "", pick.value, reasons or [], text or "")


def _title(lang: str, asked: Rule | None, rule: str, dropped: bool, near: bool) -> str:
    """What a group holds.

    >>> _title("ja", Rule("min_chars", "n_chars", ">=", 100), "min_chars", True, True)
    'ja: just dropped by min_chars (n_chars >= 100)'
    """
    just = "just " if near else ""
    if asked is None:
        return f"{lang}: dropped by {rule}" if rule and dropped else f"{lang}: {'dropped' if dropped else 'kept'}"
    which = f"{asked.reason} ({asked.column} {asked.keep} {asked.threshold:g})"
    return f"{lang}: {just}dropped by {which}" if dropped else f"{lang}: {just}let pass by {which}"
