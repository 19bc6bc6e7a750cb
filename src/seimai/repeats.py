"""Passages that stand more than once in a corpus: text sources, the search and the engine are put together here."""

import itertools
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seimai.errors import InputError, RunError
from seimai.files import atomic
from seimai.pipeline.derived import derive_run
from seimai.pipeline.substrings import LEAST_CHARS, SUBSTRING_SPANS, find_repeats
from seimai.tokenizer.sources import Shard, batches, open_sources, slices

if TYPE_CHECKING:
    from seimai.pipeline.run import Engine

__all__ = ["Action", "Repeats", "look_for_repeats"]

T = TypeVar("T")
R = TypeVar("R")
Action = Literal["report", "mask", "cut"]
MASK = "〓"
"""What stands for a masked passage: the geta mark, which printers set for what is not there."""
FOUND = pa.schema([("id", pa.string()), ("url", pa.string()), *list(SUBSTRING_SPANS)[1:]])
"""Columns of spans.parquet, in the order of the corpus; see SUBSTRING_SPANS."""


class Repeats(NamedTuple):
    """What was found, in code points."""

    passages: int
    repeated_chars: int
    """Characters inside passages that stand more than once."""
    cut_chars: int
    """Those that could go so that each passage still stands once."""
    documents: int
    """Documents left in the run that was written; 0 for a report."""


def look_for_repeats(
    source: Sequence[Path],
    out: Path,
    engine: "Engine",
    *,
    min_chars: int = 200,
    action: Action = "report",
    memory_mb: int = 256,
    field: str = "text",
) -> Repeats:
    """Find passages of at least `min_chars` code points that stand more than once; writes spans.parquet into `out`.

    `mask` and `cut` take one run and write its shards, changed, into `out` too, a run whose manifest names its parent.
    InputError for a length below 20, or another source with those.
    """
    if min_chars < LEAST_CHARS:
        raise InputError(f"--min-chars {min_chars}: must be at least {LEAST_CHARS}; shorter passages are language")
    if action != "report" and (len(source) != 1 or not source[0].is_dir()):
        raise InputError(f"--action {action}: takes one run directory; report takes text files too")
    if out.exists() and any(out.iterdir()):
        raise RunError(f"{out}: is not empty; give another --out")
    shards = open_sources(source, field=field)
    pieces = list(enumerate(piece for shard in shards for piece in slices(shard)))
    sums = dict.fromkeys(("passages", "repeated_chars", "cut_chars"), 0)

    def everywhere(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        for outcome in engine.map(function, items):
            if outcome.error is not None:
                raise RunError(f"{outcome.error}; type the same command again")
            yield outcome.result  # type: ignore[misc]

    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".work-") as folder, atomic(out / "spans.parquet") as temporary:
        found = find_repeats(
            Path(folder), _texts, pieces, everywhere, min_chars=min_chars, memory_bytes=memory_mb << 20
        )
        with pq.ParquetWriter(temporary, FOUND, compression="zstd") as file:
            for (_, spans), (_, piece) in zip(found, pieces, strict=True):
                file.write_table(_described(piece, spans))
                lengths = spans["end"].to_numpy() - spans["start"].to_numpy()
                cut = spans["cut"].to_numpy()
                sums["passages"] += int((~cut).sum())
                sums["repeated_chars"] += int(lengths[~cut].sum())
                sums["cut_chars"] += int(lengths[cut].sum())
    left = _apply(source[0], out, action, min_chars) if action != "report" else 0
    return Repeats(**sums, documents=left)


def _texts(piece: Shard) -> Iterator[pa.Array]:
    for batch in batches(piece, ("text",)):
        yield batch["text"]


def _described(piece: Shard, spans: pa.Table) -> pa.Table:
    """Spans with the ids and addresses of their documents."""
    rows = pa.Table.from_batches(list(batches(piece, ("id", "url")))).combine_chunks().take(spans["text"])
    return pa.table([rows["id"], rows["url"], *spans.columns[1:]], schema=FOUND)


def _apply(run: Path, out: Path, action: Action, min_chars: int) -> int:
    """Write the run with its passages cut or masked; documents left."""
    spans = _by_document(out / "spans.parquet")
    following = next(spans, None)
    mark = MASK if action == "mask" else ""

    def change(_: str, rows: pa.Table) -> pa.Table:
        nonlocal following
        texts: list[str] = rows["text"].to_pylist()
        for place, name in enumerate(rows["id"].to_pylist()):
            if following is not None and following[0] == name:
                texts[place] = _without(texts[place], following[1], mark)
                following = next(spans, None)
        changed = pa.array(texts, rows.schema.field("text").type)
        columns = {"text": changed, "n_chars": pc.utf8_length(changed), "n_bytes": pc.binary_length(changed)}
        for name, values in columns.items():
            place = rows.schema.get_field_index(name)
            rows = rows.set_column(place, rows.schema.field(place), values.cast(rows.schema.field(place).type))
        return rows.filter(pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(rows["text"])), 0))

    done = {"what": "substrings", "action": action, "min_chars": min_chars}
    found = derive_run(run, out, change, done, ["spans.parquet"])
    if following is not None:
        raise RunError(
            f"{out}: spans of document {following[0]} were not applied; remove it and type the command again"
        )
    return found["documents"]


def _by_document(path: Path) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """Documents and what is to be cut of each, in the order of the corpus."""
    with pq.ParquetFile(path) as file:
        rows = (row for batch in file.iter_batches() for row in batch.to_pylist() if row["cut"])
        for name, mine in itertools.groupby(rows, lambda row: str(row["id"])):
            yield name, [(row["start"], row["end"]) for row in mine]


def _without(text: str, spans: Sequence[tuple[int, int]], mark: str) -> str:
    kept = np.array([0, *itertools.chain.from_iterable(spans), len(text)]).reshape(-1, 2)
    return mark.join(text[begin:end] for begin, end in kept)
