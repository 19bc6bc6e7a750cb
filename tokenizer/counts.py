"""A counts table: its columns, how it is read and written, and counts of a few texts in memory."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from seimai.errors import RunError, VerifyError
from seimai.files import read_json

__all__ = [
    "COUNTS",
    "FILE",
    "FORMAT",
    "count",
    "counts_hash",
    "finder",
    "flat_counts",
    "is_counts",
    "load_counts_manifest",
    "merge_counts",
    "read_counts",
]

Bytes = NDArray[np.uint8]
Int64s = NDArray[np.int64]

FORMAT = "seimai-counts/1"
FILE = "counts.parquet"
COUNTS = pa.schema([("pretoken", pa.large_binary()), ("count", pa.int64())])
"""What training reads: UTF-8 bytes of a pre-token and how much it counts; sorted by bytes, each pre-token once. The
file has n_documents, n_hosts and a count of each language beside them."""


def finder(pattern: str) -> Callable[[str], list[str]]:
    """A function that cuts a text into all pieces the pattern finds.

    >>> finder(r"[^ ]+| ")("白い 雲")
    ['白い', ' ', '雲']
    """
    # `re`, not `regex`: the same pieces (held by tests), 3 to 5 times as fast on the split's literal ranges.
    try:
        return re.compile(pattern).findall
    except re.error:  # \\p{L}, as the presets of other tokenizers write
        import regex

        found: Callable[[str], list[str]] = regex.compile(pattern).findall
        return found


def count(batches: Iterable[pa.RecordBatch], pattern: str) -> pa.Table:
    """Count the pre-tokens of column `text` in all rows, in memory; free of the batches' order and size.

    >>> batch = pa.RecordBatch.from_pydict({"text": ["白い 雲", "白い"]})
    >>> count([batch], r"[^ ]+| ").to_pydict()
    {'pretoken': [b' ', b'\\xe7\\x99\\xbd\\xe3\\x81\\x84', b'\\xe9\\x9b\\xb2'], 'count': [1, 2, 1]}
    """
    find = finder(pattern)
    seen: Counter[str] = Counter()
    for batch in batches:
        seen.update(chain.from_iterable(map(find, batch.column("text").to_pylist())))
    pretokens = pa.array(seen.keys(), pa.large_string()).cast(pa.large_binary())
    return merge_counts([pa.table([pretokens, pa.array(seen.values(), pa.int64())], schema=COUNTS)])


def merge_counts(tables: Sequence[pa.Table]) -> pa.Table:
    """The sum of count tables, the same for any order of them."""
    table = pa.concat_tables([COUNTS.empty_table(), *tables])
    summed = table.group_by("pretoken", use_threads=False).aggregate([("count", "sum")])
    summed = summed.rename_columns({"count_sum": "count"}).select(COUNTS.names)
    return summed.take(pc.sort_indices(summed, [("pretoken", "ascending")])).combine_chunks()


def flat_counts(table: pa.Table) -> tuple[Bytes, Int64s, Int64s]:
    """All pre-tokens' bytes one after the other, where each begins (and the end of the last), and the counts.

    >>> data, offsets, counts = flat_counts(count([pa.RecordBatch.from_pydict({"text": ["ab ab"]})], r"\\w+| "))
    >>> bytes(data), offsets.tolist(), counts.tolist()
    (b' ab', [0, 1, 3], [1, 2])
    """
    # Combining copies even a column that is one piece.
    chunked = table["pretoken"]
    column = chunked.chunk(0) if chunked.num_chunks == 1 else chunked.combine_chunks()
    _, starts, values = column.buffers()
    if len(column) == 0 or values is None:
        return np.empty(0, np.uint8), np.zeros(len(column) + 1, np.int64), np.zeros(len(column), np.int64)
    offsets = np.frombuffer(starts, np.int64)[column.offset : column.offset + len(column) + 1]
    data = np.frombuffer(values, np.uint8)[offsets[0] : offsets[-1]]
    return data, offsets - offsets[0] if offsets[0] else offsets, table["count"].to_numpy()


def counts_hash(table: pa.Table) -> str:
    """SHA-256 (hex) over all pre-tokens and their counts."""
    digest = hashlib.sha256()
    for part in flat_counts(table):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def is_counts(path: Path) -> bool:
    """Whether a directory holds (or will hold) counts rather than a run."""
    try:
        return bool(read_json(path / "manifest.json")["format"] == FORMAT)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def load_counts_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a directory of counts; RunError where it is none."""
    if not is_counts(path):
        raise RunError(f"{path}: no finished counts there; `seimai tokenizer count SOURCE --out {path}` makes them")
    return dict(read_json(path / "manifest.json"))


def read_counts(path: Path) -> pa.Table:
    """The columns of COUNTS of a directory of counts; VerifyError where its file is missing or damaged."""
    try:
        with pq.ParquetFile(path / FILE) as file:
            return file.read(COUNTS.names).select(COUNTS.names).combine_chunks()
    except (pa.ArrowInvalid, KeyError, OSError) as error:
        reason = " ".join(str(error).split())
        raise VerifyError(f"{path / FILE}: cannot be read ({reason}); count again into an empty folder") from None
