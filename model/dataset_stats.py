"""What a data set of token shards holds, and what two of them share: counts by source, language, quality and host."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .shards import TokenShards, open_tokens

__all__ = ["DatasetDiff", "DatasetStats", "dataset_diff", "dataset_stats", "quality_deciles"]

GROUPS = ("split", "source", "lang", "quality_decile", "host")
COLUMNS = ("id", "split", "source", "lang", "quality", "host", "url", "n_tokens", "n_bytes")


@dataclass(frozen=True)
class DatasetStats:
    """Counts of one data set."""

    root: str
    """The data set's name."""
    documents: int
    n_tokens: int
    n_bytes: int
    """UTF-8 bytes of all texts."""
    groups: dict[str, list[dict[str, Any]]]
    """By split, source, lang, quality_decile and host: name, documents, n_tokens, n_bytes; most tokens first."""


@dataclass(frozen=True)
class DatasetDiff:
    """Two data sets, by document id."""

    roots: tuple[str, str]
    counts: dict[str, dict[str, int]]
    """`both`, `only first`, `only second`: documents and n_tokens (of the first for both)."""
    by_lang: list[dict[str, Any]]
    """The same three by language: lang, what, documents, n_tokens."""
    retokenized: int
    """Documents of both whose number of tokens differs."""
    samples: dict[str, list[dict[str, Any]]]
    """Documents of `only first` and `only second`, evenly spread: id, url, lang, n_tokens."""


def dataset_stats(tokens_dir: Path, *, hosts: int = 20) -> DatasetStats:
    """Documents, tokens and bytes of a data set by group, the `hosts` largest hosts among them."""
    shards = open_tokens(tokens_dir)
    table = _table(shards)
    groups = {name: _by(table, [name]) for name in GROUPS}
    groups["host"] = groups["host"][:hosts]
    sums = {name: int(pc.sum(table[name]).as_py() or 0) for name in ("n_tokens", "n_bytes")}
    return DatasetStats(shards.root, len(table), **sums, groups=groups)


def dataset_diff(first_dir: Path, second_dir: Path, *, samples: int = 5) -> DatasetDiff:
    """What two data sets share and what stands in one alone, by document id."""
    opened = [open_tokens(folder) for folder in (first_dir, second_dir)]
    first, second = (_table(shards) for shards in opened)
    in_second = pc.is_in(first["id"], second["id"].combine_chunks())
    in_first = pc.is_in(second["id"], first["id"].combine_chunks())
    parts = {
        "both": first.filter(in_second),
        "only first": first.filter(pc.invert(in_second)),
        "only second": second.filter(pc.invert(in_first)),
    }
    by_lang = [{"lang": row.pop("lang"), "what": what, **row} for what, part in parts.items()
               for row in _by(part, ["lang"])]  # fmt: skip
    sizes = parts["both"].select(["id", "n_tokens"]).join(second.select(["id", "n_tokens"]), "id", right_suffix="_b")
    return DatasetDiff(
        (opened[0].root, opened[1].root),
        {what: {"documents": len(part), "n_tokens": pc.sum(part["n_tokens"]).as_py() or 0}
         for what, part in parts.items()},
        by_lang,
        int(pc.sum(pc.not_equal(sizes["n_tokens"], sizes["n_tokens_b"])).as_py() or 0),
        {what: _spread(parts[what], samples) for what in ("only first", "only second")},
    )  # fmt: skip


def _table(shards: TokenShards) -> pa.Table:
    """The columns of all documents that the counts need, with the decile of the quality score."""
    table = pa.concat_tables(shards.docs_tables(COLUMNS))
    return table.append_column("quality_decile", quality_deciles(table["quality"]))


def quality_deciles(quality: pa.ChunkedArray) -> pa.Array:
    """1 for the lowest tenth of the documents to 10 for the highest; null where there is no score."""
    values = quality.to_numpy().astype(np.float64)
    known = ~np.isnan(values)
    if not known.any():
        return pa.nulls(len(values), pa.int8())
    cuts = np.quantile(values[known], np.arange(1, 10) / 10)
    return pa.array(np.searchsorted(cuts, values, "left") + 1, pa.int8(), mask=~known)


def _by(table: pa.Table, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Documents, tokens and bytes by keys, most tokens first, equal ones by name."""
    sums = table.group_by(list(keys), use_threads=False).aggregate(
        [([], "count_all"), ("n_tokens", "sum"), ("n_bytes", "sum")]
    )
    rows = sums.rename_columns([*keys, "documents", "n_tokens", "n_bytes"]).to_pylist()
    return sorted(rows, key=lambda row: (-row["n_tokens"], *(str(row[key]) for key in keys)))


def _spread(table: pa.Table, samples: int) -> list[dict[str, Any]]:
    chosen = np.unique(np.linspace(0, len(table) - 1, min(samples, len(table))).astype(np.int64))
    rows: list[dict[str, Any]] = table.take(pa.array(chosen)).select(["id", "url", "lang", "n_tokens"]).to_pylist()
    return rows
