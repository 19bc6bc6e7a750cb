"""The write stage: kept documents in; Arrow shards of even size out, the same whatever the parts were."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from seimai.config import Section
from seimai.files import atomic, sha256_file

from .document import SHARD_COLUMNS, schema
from .edits import edited_texts, read_edits
from .pii import PiiConfig, find_pii, masked
from .state import still_owned

__all__ = [
    *("VERSION", "OutputConfig", "ShardPlan"),
    *("even_tables", "plan_shards", "shard_schema", "shard_writer", "write_shard"),
]

VERSION = 3
BATCH_ROWS = 1024


class OutputConfig(Section):
    """Section [output]: the corpus."""

    shard_bytes: int = Field(default=256 << 20, ge=1)
    """UTF-8 bytes of text after which a new shard begins."""
    format: Literal["arrow", "parquet"] = "arrow"
    """Arrow IPC files or Parquet files, both with zstd."""
    signals: list[str] = []
    """Signals written beside the text, by column name."""
    audit_samples: int = Field(default=20, ge=0)
    """Dropped documents kept with their text in the audit, per reason."""


@dataclass(slots=True)
class ShardPlan:
    """One shard: a language, its number, and the parts whose kept documents begin inside its range of bytes.

    `parts` holds (part, kept bytes of the language before it).
    """

    lang: str
    number: int
    parts: list[tuple[str, int]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of the shard without its suffix."""
        return f"{self.lang or 'und'}-{self.number:05d}"


def plan_shards(kept: Iterable[tuple[str, dict[str, int]]], shard_bytes: int) -> Iterator[ShardPlan]:
    """The shards of a run from each part's kept bytes by language, parts in order.

    Shard n of a language holds the documents that begin in bytes [n·shard_bytes, (n+1)·shard_bytes) of its text laid
    end to end, so that a shard never depends on the size of parts, and one document may reach past the limit.

    >>> plans = plan_shards([("a", {"ja": 5}), ("b", {"ja": 6, "en": 1})], shard_bytes=8)
    >>> [(p.name, p.parts) for p in plans]
    [('ja-00000', [('a', 0), ('b', 5)]), ('en-00000', [('b', 0)]), ('ja-00001', [('b', 5)])]
    """
    open_plans: dict[str, ShardPlan] = {}
    before: dict[str, int] = {}
    for part, by_lang in kept:
        for lang in sorted(by_lang):
            start, end = before.get(lang, 0), before.get(lang, 0) + by_lang[lang]
            before[lang] = end
            for number in range(start // shard_bytes, (max(end - 1, start)) // shard_bytes + 1):
                plan = open_plans.get(lang)
                if plan is None or plan.number != number:
                    if plan is not None:
                        yield plan
                    plan = open_plans[lang] = ShardPlan(lang, number)
                plan.parts.append((part, start))
    for lang in sorted(open_plans):
        yield open_plans[lang]


def shard_schema(signals: pa.Schema, wanted: Sequence[str]) -> pa.Schema:
    """The columns of a shard, the signals asked for behind the fixed ones."""
    fixed = schema(SHARD_COLUMNS)
    return pa.schema([*fixed, *(signals.field(name) for name in wanted if name not in fixed.names)])


def write_shard(
    run: Path, plan: ShardPlan, config: OutputConfig, owner: str, pii: PiiConfig | None = None
) -> list[dict[str, Any]]:
    """Write one shard and return its file entry; none when no document begins in its range.

    With `pii` its kinds are masked in text and title; the entry counts them under "masked".
    """
    counts: Counter[str] = Counter()
    rows = (_masked(table, pii, counts) if pii and pii.mask else table for table in _rows(run, plan, config))
    first = next(rows, None)
    if first is None:
        return []
    name = f"shards/{plan.name}.{config.format}"
    with atomic(run / name) as temporary:
        count = 0
        with pa.OSFile(str(temporary), "wb") as sink, shard_writer(sink, first.schema, config.format) as writer:
            for batch in even_tables(first, rows):
                writer.write_table(batch)
                count += len(batch)
        entry = {"path": name, "bytes": temporary.stat().st_size, "sha256": sha256_file(temporary), "rows": count}
        entry |= {"masked": dict(sorted(counts.items()))} if counts else {}
        still_owned(run, owner)
    return [entry]


def shard_writer(sink: Any, columns: pa.Schema, form: str) -> Any:
    """What writes tables into a shard: `form` is arrow or parquet."""
    if form == "parquet":
        return pq.ParquetWriter(sink, columns, compression="zstd")
    return pa.ipc.new_file(sink, columns, options=pa.ipc.IpcWriteOptions(compression="zstd"))


def _rows(run: Path, plan: ShardPlan, config: OutputConfig) -> Iterator[pa.Table]:
    """The kept rows of a shard, part by part."""
    low, high = plan.number * config.shard_bytes, (plan.number + 1) * config.shard_bytes
    for part, before in plan.parts:
        table = _kept(run, part, plan.lang, config)
        ends = np.cumsum(table["n_bytes"].to_numpy()) + before
        starts = ends - table["n_bytes"].to_numpy()
        inside = table.filter(pa.array((starts >= low) & (starts < high)))
        if len(inside):
            yield inside


def _masked(table: pa.Table, config: PiiConfig, counts: Counter[str]) -> pa.Table:
    """The rows with personal data masked in text and title, and counted."""
    for name in ("text", "title"):
        array = table[name].cast(pa.large_string()).combine_chunks()
        found = find_pii(array, kinds=config.mask)
        counts.update(found["kind"].to_pylist())
        column = masked(array, found).cast(table.field(name).type)
        table = table.set_column(table.schema.get_field_index(name), table.field(name), column)
    lengths = {"n_chars": pc.utf8_length(table["text"]), "n_bytes": pc.binary_length(table["text"])}
    for name, length in lengths.items():
        table = table.set_column(table.schema.get_field_index(name), table.field(name), length.cast(pa.int64()))
    return table


def _kept(run: Path, part: str, lang: str, config: OutputConfig) -> pa.Table:
    """The kept documents of a part in one language, in order, with the shard's columns."""
    paths = {kind: run / kind / f"{part}.parquet" for kind in ("documents", "signals", "clusters", "decisions")}
    decisions = pq.read_table(paths["decisions"])
    documents = pq.read_table(paths["documents"])
    same = np.array([language == lang for language in documents["lang"].to_pylist()])
    chosen = pa.array(np.flatnonzero(same & decisions["kept"].to_numpy()))
    tables = [documents, pq.read_table(paths["signals"]), pq.read_table(paths["clusters"]), decisions]
    edited = edited_texts(documents, read_edits(run, part))
    columns = {name: table[name] for table in reversed(tables) for name in table.column_names}
    columns["text"] = edited
    target = shard_schema(tables[1].schema, config.signals)
    for name in ("quality", "licence"):
        columns.setdefault(name, pa.nulls(len(documents), target.field(name).type))
    return pa.table({name: columns[name] for name in target.names}).take(chosen).cast(target)


def even_tables(first: pa.Table, rest: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of exactly 1,024 (the last one shorter), so that batches do not follow parts."""
    waiting = first
    while True:
        while len(waiting) >= BATCH_ROWS:
            yield waiting.slice(0, BATCH_ROWS).combine_chunks()
            waiting = waiting.slice(BATCH_ROWS)
        following = next(rest, None)
        if following is None:
            break
        waiting = pa.concat_tables([waiting, following])
    if len(waiting):
        yield waiting.combine_chunks()
