"""Edits: what the cleaning steps cut from texts that stay as they were read; tables in, the edited texts out.

`edits/<step>/<part>.parquet` has the columns `EDIT_COLUMNS`, in the order of the documents and of `start`. Positions of
every step are code points of the text in `documents/`, so that any step's edits can be shown or left out alone. A later
step sees the text the earlier ones left and maps what it finds back (`to_original`).

Several steps compose thus: their spans are sorted by start, the longest first; spans that overlap become one span, with
the replacement of the first of them; spans that only touch stay apart. For cut lines that is the same as applying one
step after the other.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .document import EDIT_COLUMNS, schema

__all__ = [
    "CUT_SIGNALS",
    "STEPS",
    "VERSION",
    "Spans",
    "apply_edits",
    "cut_pieces",
    "cut_signals",
    "edit_path",
    "edit_table",
    "edited_texts",
    "join_spans",
    "read_edits",
    "text_buffers",
    "to_original",
]

VERSION = 1

STEPS = ("line_rules", "repeated_lines")
"""Cleaning steps in running order: folders below `edits/`, and names of stages."""

CUT_SIGNALS: Mapping[str, tuple[pa.DataType, str, str]] = {
    "n_cut_chars": (pa.int64(), "characters", "characters that cleaning took from the text"),
    "n_cut_lines": (pa.int64(), "lines", "edits of cleaning: lines, or pieces of lines, cut"),
    "cut_char_ratio": (pa.float64(), "ratio", "characters that cleaning took, over those of the text as it was read"),
}
"""Columns that the signals of a run have beside those of `measure.SIGNALS`: Arrow type, unit, meaning."""


class Spans(NamedTuple):
    """Edits as arrays, sorted by row and start, no two overlapping: row of the text, [start, end) in code points."""

    row: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    replacement: pa.Array


def edit_path(step: str, part: str) -> str:
    """Where a step's edits of a part lie, relative to the run directory."""
    return f"edits/{step}/{part}.parquet"


def edit_table(ids: pa.Array, spans: Spans, reasons: pa.Array) -> pa.Table:
    """The table a step writes, from row-aligned document ids and a reason for each span."""
    named = [ids.take(pa.array(spans.row)), pa.array(spans.start), pa.array(spans.end), spans.replacement, reasons]
    return pa.table([column.cast(kind) for column, (_, kind, _) in zip(named, EDIT_COLUMNS, strict=True)],
                    schema=schema(EDIT_COLUMNS))  # fmt: skip


def read_edits(run: Path, part: str, steps: Sequence[str] = STEPS) -> list[pa.Table]:
    """The edit tables of a part, in the order of the steps; a step that cut nothing has no file and is left out."""
    paths = [run / edit_path(step, part) for step in steps]
    return [pq.read_table(path) for path in paths if path.exists()]


def edited_texts(documents: pa.Table, edits: Sequence[pa.Table]) -> pa.Array:
    """The texts (large_string) of a table with columns `id` and `text`, edited."""
    texts = documents["text"].cast(pa.large_string()).combine_chunks()
    return apply_edits(texts, join_spans(documents["id"].combine_chunks(), edits)) if edits else texts


def join_spans(ids: pa.Array, edits: Sequence[pa.Table]) -> Spans:
    """The edits of several steps as one list of spans over the texts of `ids`; edits of other documents are left out.

    >>> kind = [("id", pa.string()), ("start", pa.int64()), ("end", pa.int64()), ("replacement", pa.string())]
    >>> a = pa.Table.from_pylist([{"id": "x", "start": 2, "end": 4, "replacement": ""}], schema=pa.schema(kind))
    >>> b = pa.Table.from_pylist([{"id": "x", "start": 3, "end": 6, "replacement": "-"}], schema=pa.schema(kind))
    >>> spans = join_spans(pa.array(["w", "x"]), [a, b])
    >>> spans.row.tolist(), spans.start.tolist(), spans.end.tolist(), spans.replacement.to_pylist()
    ([1], [2], [6], [''])
    """
    from .edit_kernels import unite

    if not edits:
        nothing = np.empty(0, np.int64)
        return Spans(nothing, nothing, nothing, pa.array([], pa.string()))
    table = pa.concat_tables([edit.select(["id", "start", "end", "replacement"]) for edit in edits])
    table = table.append_column("row", pc.index_in(table["id"], value_set=ids)).filter(pc.field("row").is_valid())
    row, start, end = (table[name].to_numpy().astype(np.int64) for name in ("row", "start", "end"))
    order = np.lexsort((-end, start, row))  # stable: of equal spans the earlier step's comes first
    row, start, end = row[order], start[order], end[order]
    kept = unite(row, start, end)
    chosen = table["replacement"].combine_chunks().take(pa.array(order[kept]))
    return Spans(row[kept], start[kept], end[kept], chosen)


def apply_edits(texts: pa.Array, spans: Spans) -> pa.Array:
    """The edited texts, as large_string; a null text stays null.

    Raises ValueError where a span is empty, overlaps the next one, or leaves its text.

    >>> spans = Spans(np.array([0, 0]), np.array([0, 3]), np.array([1, 4]), pa.array(["", "。"]))
    >>> apply_edits(pa.array(["・精米.", "玄米"]), spans).to_pylist()
    ['精米。', '玄米']
    """
    from .edit_kernels import byte_places, splice
    from .text_kernels import as_strings

    array = as_strings(texts)
    if len(spans.row) == 0:
        return array
    data, ends = text_buffers(array)
    starts, stops = byte_places(data, ends, spans.row, spans.start, spans.end)
    bad = np.flatnonzero(stops <= starts)
    if len(bad):
        at = int(bad[0])
        raise ValueError(
            f"edit {at} of row {spans.row[at]}, [{spans.start[at]}, {spans.end[at]}): empty, out of order or beyond "
            "the text"
        )
    pieces, piece_ends = text_buffers(as_strings(spans.replacement))
    out, out_ends = splice(data, ends, spans.row, starts, stops, pieces, piece_ends)
    valid = array.is_valid().buffers()[1] if array.null_count else None
    buffers = [valid, pa.py_buffer(out_ends), pa.py_buffer(out)]
    return pa.Array.from_buffers(pa.large_string(), len(array), buffers)


def to_original(spans: Spans, row: NDArray[np.int64], start: NDArray[np.int64], end: NDArray[np.int64]) -> Spans:
    """Cuts found in the edited texts, as spans of the original ones; a cut that meets a replacement takes all of it.

    `row` and `start` ascend; start < end. Cutting both lists from the original leaves what cutting first `spans`, then
    these, leaves.

    >>> spans = Spans(np.array([0]), np.array([2]), np.array([4]), pa.array([""]))
    >>> found = to_original(spans, np.array([0]), np.array([1]), np.array([3]))
    >>> found.start.tolist(), found.end.tolist()
    ([1], [5])
    """
    from .edit_kernels import original_places

    lengths = pc.utf8_length(spans.replacement).to_numpy(zero_copy_only=False).astype(np.int64)
    begins, stops = original_places(spans.row, spans.start, spans.end, lengths, row, start, end)
    return Spans(row, begins, stops, pa.array([""] * len(row), pa.string()))


def cut_signals(documents: pa.Table, edits: Sequence[pa.Table], n_chars: NDArray[np.int64]) -> pa.Table:
    """The columns of `CUT_SIGNALS`, row-aligned, null where the text is null; `n_chars` counts the edited texts."""
    null = documents["text"].combine_chunks().is_null().to_numpy(zero_copy_only=False)
    spans = join_spans(documents["id"].combine_chunks(), edits)
    added = pc.utf8_length(spans.replacement).to_numpy(zero_copy_only=False).astype(np.int64)
    chars = np.bincount(spans.row, spans.end - spans.start - added, len(null)).astype(np.int64)
    values = {
        "n_cut_chars": chars,
        "n_cut_lines": np.bincount(spans.row, minlength=len(null)).astype(np.int64),
        "cut_char_ratio": chars / np.maximum(chars + n_chars, 1),
    }
    return pa.table({name: pa.array(values[name], kind, mask=null) for name, (kind, _, _) in CUT_SIGNALS.items()})


def cut_pieces(documents: pa.Table, edits: Sequence[pa.Table]) -> list[list[str]]:
    """For each document (columns `id` and `text`) what each edit takes, as "reason: text", in the order of the text.

    For the few documents of a sample: a loop over edits.

    >>> row = {"id": "x", "start": 2, "end": 6, "replacement": "", "reason": "navigation"}
    >>> edits = pa.Table.from_pylist([row], schema=schema(EDIT_COLUMNS))
    >>> cut_pieces(pa.table({"id": ["x"], "text": ["米\\n次へ\\n"]}), [edits])
    [['navigation: 次へ']]
    """
    texts = dict(zip(documents["id"].to_pylist(), documents["text"].to_pylist(), strict=True))
    found: dict[str, list[tuple[int, str]]] = {identity: [] for identity in texts}
    wanted = pa.array(list(texts), pa.string())
    for table in edits:
        for row in table.filter(pc.is_in(table["id"], value_set=wanted)).to_pylist():
            piece = texts[row["id"]][row["start"] : row["end"]].strip()
            found[row["id"]].append((row["start"], f"{row['reason']}: {piece}"))
    return [[piece for _, piece in sorted(found[identity])] for identity in documents["id"].to_pylist()]


def text_buffers(array: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The bytes and the offsets of a large_string array, read-only."""
    _, offset_buffer, data_buffer = array.buffers()
    ends = np.frombuffer(offset_buffer, np.int64)[array.offset : array.offset + len(array) + 1]
    data = np.frombuffer(data_buffer if data_buffer is not None else b"", np.uint8)
    ends.setflags(write=False)
    data.setflags(write=False)
    return data, ends
