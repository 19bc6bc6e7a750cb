"""Evaluation items in a corpus: text sources, the index of items and the engine are put together here."""

from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from seimai.errors import RunError
from seimai.files import atomic, canonical_json, fingerprint, write_atomic
from seimai.pipeline.contamination import SPANS, eval_overlaps
from seimai.pipeline.eval_index import EvalIndex, build_eval_index
from seimai.pipeline.eval_items import EvalSet, read_eval_items
from seimai.tokenizer.sources import HELD_OUT, Shard, batches, open_sources, slices

if TYPE_CHECKING:
    from seimai.pipeline.run import Engine

__all__ = ["Contamination", "decontaminate"]

AROUND_CHARS = 40
FOUND = pa.schema([("id", pa.string()), ("url", pa.string()), *list(SPANS)[1:], ("said", pa.string())])
"""Columns of spans.parquet: document, span in code points of its text, item, and the text there with some around it."""


class Contamination(NamedTuple):
    """What was looked for and what was found."""

    documents: int
    contaminated: int
    spans: int
    items: int
    too_short: int
    """Items that cannot be told from ordinary language (see `eval_index`), which were not looked for."""
    by_set: dict[str, tuple[int, int]]
    """Documents and distinct items found, by set."""


def decontaminate(
    source: Sequence[Path], sets: Sequence[EvalSet], out: Path, engine: "Engine", *, field: str = "text"
) -> Contamination:
    """Look for the items of evaluation sets in runs or text files; writes spans.parquet, ids.txt and summary.json.

    `ids.txt` names the documents, one a line, for `seimai remove --id-file`. Raises InputError for a file that cannot
    be read. The corpus is read slice by slice on the engine; the index stands once in every worker.
    """
    given = tuple(sets)
    index = _index(given)
    pieces = [piece for shard in open_sources(source, field=field, held_out=HELD_OUT) for piece in slices(shard)]
    documents, tables = 0, [FOUND.empty_table()]
    for outcome in engine.map(partial(_spans_of, sets=given), pieces):
        if outcome.error is not None or outcome.result is None:
            raise RunError(f"{outcome.error}; type the same command again")
        documents += outcome.result[0]
        tables.append(outcome.result[1])
    table = pa.concat_tables(tables)
    by_set = {name: _count(table, name) for name in sorted({one.name for one in index.items})}
    ids = sorted(set(table["id"].to_pylist()))
    summary = Contamination(documents, len(ids), len(table), len(index.items), index.too_short, by_set)
    out.mkdir(parents=True, exist_ok=True)
    with atomic(out / "spans.parquet") as temporary:
        pq.write_table(table, temporary, compression="zstd")
    write_atomic(out / "ids.txt", "".join(f"{one}\n" for one in ids))
    described = {**summary._asdict(), "sets": fingerprint([[str(one.path), *one.fields] for one in given])}
    write_atomic(out / "summary.json", canonical_json(described) + "\n")
    return summary


@lru_cache(maxsize=1)
def _index(sets: tuple[EvalSet, ...]) -> EvalIndex:
    return build_eval_index(read_eval_items(sets))


def _count(table: pa.Table, name: str) -> tuple[int, int]:
    rows = [row for row in table.select(["id", "set", "row", "field"]).to_pylist() if row["set"] == name]
    return len({row["id"] for row in rows}), len({(row["row"], row["field"]) for row in rows})


def _spans_of(piece: Shard, sets: tuple[EvalSet, ...]) -> tuple[int, pa.Table]:
    """Documents of a piece and what was found in them."""
    index, documents = _index(sets), 0
    tables = [FOUND.empty_table()]
    for batch in batches(piece, ("id", "url", "text")):
        documents += len(batch)
        spans = eval_overlaps(batch["text"], index)
        if len(spans):
            tables.append(_described(batch, spans))
    return documents, pa.concat_tables(tables)


def _described(batch: pa.RecordBatch, spans: pa.Table) -> pa.Table:
    rows = spans["text"]
    said = [
        text[max(0, start - AROUND_CHARS) : end + AROUND_CHARS]
        for text, start, end in zip(
            batch["text"].take(rows.combine_chunks()).to_pylist(),
            spans["start"].to_pylist(),
            spans["end"].to_pylist(),
            strict=True,
        )
    ]
    columns = [batch["id"].take(rows.combine_chunks()), batch["url"].take(rows.combine_chunks())]
    return pa.table([*columns, *spans.columns[1:], pa.array(said, pa.string())], schema=FOUND)
