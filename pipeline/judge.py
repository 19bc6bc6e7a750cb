"""Columns of a part in; every gate and rule that speaks against each of its documents out, without a text.

A verdict is a list of numbers of reasons, in running order: the gate that dropped the page, or the rules it breaks.
Whole columns are compared at a time, so that a million documents with thirty rules take some seconds.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .presets import QualityConfig, Rule, breaks, rules

__all__ = ["EMPTIED", "FORMER", "Verdicts", "asked_columns", "judge", "read_columns", "read_some"]

EMPTIED = "emptied"
"""Cleaning left nothing of the page; no preset need have a least length."""

META = ("id", "lang", "lang_score", "date", "gate")
SIZES = ("n_chars", "n_bytes")
QUALITY = "quality"
CLUSTERS = ("cluster", "cluster_size")
FORMER = "cluster_former"
"""Column of runs with an index of former dumps."""


class Verdicts(NamedTuple):
    """What speaks against each document: `codes[ends[i]:ends[i + 1]]` are numbers in `names`, in running order."""

    names: tuple[str, ...]
    ends: NDArray[np.int32]
    codes: NDArray[np.int32]

    @property
    def counts(self) -> NDArray[np.int32]:
        """How many reasons speak against each document."""
        return np.diff(self.ends)

    @property
    def first(self) -> NDArray[np.int32]:
        """The first reason of each document; -1 where every gate and rule lets it pass."""
        padded = np.append(self.codes, np.int32(-1))
        return np.where(self.counts > 0, padded[self.ends[:-1]], np.int32(-1)).astype(np.int32)

    def reasons(self) -> pa.Array:
        """Every reason of each document by name."""
        return pa.ListArray.from_arrays(
            pa.array(self.ends), pa.array(self.names, pa.string()).take(pa.array(self.codes))
        )

    def with_last(self, name: str, where: NDArray[np.bool_]) -> "Verdicts":
        """The same with one more reason, the last, for some documents."""
        code = np.int32(len(self.names))
        codes = np.insert(self.codes, self.ends[1:][where], code)
        ends = self.ends + np.concatenate([[0], np.cumsum(where)]).astype(np.int32)
        return Verdicts((*self.names, name), ends.astype(np.int32), codes.astype(np.int32))


def asked_columns(quality: Mapping[str, QualityConfig]) -> list[str]:
    """The columns that the rules of a config ask for, sorted.

    >>> asked_columns({"ja": QualityConfig(preset="none", min_lang_score=0.5)})
    ['lang_score']
    """
    return sorted({rule.column for section in quality.values() for rule in rules(section)})


def read_columns(
    run: Path, part: str, quality: Mapping[str, QualityConfig], *, clusters: bool = True, more: Iterable[str] = ()
) -> pa.Table:
    """Row-aligned, what rules, tallies and survivors need of a part, and `more`; a column that no file has is left out.

    `quality` is null where no model has judged. Without `clusters`, their columns are left out.
    """
    wanted = dict.fromkeys((*META, *SIZES, QUALITY, *asked_columns(quality), *more))
    columns: dict[str, pa.ChunkedArray] = {}
    for folder in ("documents", "signals", *(("clusters",) if clusters else ())):
        table = read_some(run / folder / f"{part}.parquet", [*wanted, *CLUSTERS, FORMER])
        columns = {name: table[name] for name in table.column_names} | columns
    rows = len(columns["id"])
    columns.setdefault(QUALITY, pa.chunked_array([pa.nulls(rows, pa.float32())]))
    return pa.table(columns)


def read_some(path: Path, names: Iterable[str]) -> pa.Table:
    """These columns of a Parquet file, as far as it has them; without threads, which cost more than they bring for a
    part's few thousand rows."""
    with pq.ParquetFile(path, memory_map=True) as file:
        return file.read(list(names), use_threads=False)


def judge(part: pa.Table, quality: Mapping[str, QualityConfig]) -> Verdicts:
    """What gates and rules say of every row; looks at no duplicate.

    A language without a section has no rules. Raises ValueError for a column that a rule asks for and the table lacks.

    >>> names = ["gate", "lang", "lang_score", "n_chars"]
    >>> table = pa.table([[None, "status"], ["ja", None], [0.4, None], [9, None]], names=names)
    >>> judge(table, {"ja": QualityConfig(preset="none", min_lang_score=0.5)}).reasons().to_pylist()
    [['min_lang_score'], ['status']]
    """
    gate = pc.dictionary_encode(part["gate"].combine_chunks())
    names: dict[str, int] = {name: code for code, name in enumerate(gate.dictionary.to_pylist())}
    gated = gate.is_valid().to_numpy(zero_copy_only=False)
    rows, codes = [np.flatnonzero(gated)], [gate.indices.drop_null().to_numpy()]
    for lang in sorted(quality):
        asked = rules(quality[lang])
        _demand(part, asked)
        of_lang = pc.fill_null(pc.equal(part["lang"], lang), False).to_numpy() & ~gated
        for rule in asked if of_lang.any() else ():
            broken = np.flatnonzero(breaks(part[rule.column], rule)[0] & of_lang)
            rows.append(broken)
            codes.append(np.full(len(broken), names.setdefault(rule.reason, len(names)), np.int32))
    emptied = np.flatnonzero(pc.fill_null(pc.equal(part["n_chars"], 0), False).to_numpy())
    rows.append(emptied)
    codes.append(np.full(len(emptied), names.setdefault(EMPTIED, len(names)), np.int32))
    row = np.concatenate(rows)
    order = np.argsort(row, kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(part)))]).astype(np.int32)
    return Verdicts(tuple(names), ends, np.concatenate(codes)[order].astype(np.int32))


def _demand(part: pa.Table, asked: list[Rule]) -> None:
    missing = sorted({rule.column for rule in asked} - set(part.column_names))
    if missing:
        raise ValueError(f"the table has no column {', '.join(missing)}; measure the signals of these texts first")
