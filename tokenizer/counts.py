"""Documents in; how often each pre-token stands in them out, as an Arrow table sorted by bytes."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["COUNTS", "count", "counts_hash", "flat_counts", "merge_counts"]

Bytes = NDArray[np.uint8]
Int64s = NDArray[np.int64]

COUNTS = pa.schema([("pretoken", pa.large_binary()), ("count", pa.int64())])
"""UTF-8 bytes of a pre-token and how often it was seen; sorted by bytes, each pre-token once."""

PART_TYPES = 1 << 21
"""Kinds of pre-tokens held as Python strings (some 100 bytes each) before they become a part of the table."""


def count(batches: Iterable[pa.RecordBatch], pattern: str) -> pa.Table:
    """Count the pre-tokens of column `text` in all rows; pure, and free of the batches' order and size.

    >>> batch = pa.RecordBatch.from_pydict({"text": ["白い 雲", "白い"]})
    >>> count([batch], r"[^ ]+| ").to_pydict()
    {'pretoken': [b' ', b'\\xe7\\x99\\xbd\\xe3\\x81\\x84', b'\\xe9\\x9b\\xb2'], 'count': [1, 2, 1]}
    """
    # `re`, not `regex`: the same pieces (held by tests), 3 to 5 times as fast on this pattern.
    find = re.compile(pattern).findall
    seen: Counter[str] = Counter()
    parts: list[pa.Table] = []
    for batch in batches:
        seen.update(chain.from_iterable(map(find, batch.column("text").to_pylist())))
        if len(seen) >= PART_TYPES:
            parts.append(_table(seen))
            seen.clear()
    return merge_counts([*parts, _table(seen)])


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
    column = table["pretoken"].combine_chunks()
    _, starts, values = column.buffers()
    if len(column) == 0 or values is None:
        return np.empty(0, np.uint8), np.zeros(len(column) + 1, np.int64), np.zeros(len(column), np.int64)
    offsets = np.frombuffer(starts, np.int64)[column.offset : column.offset + len(column) + 1]
    data = np.frombuffer(values, np.uint8)[offsets[0] : offsets[-1]]
    return data, offsets - offsets[0], table["count"].to_numpy()


def counts_hash(table: pa.Table) -> str:
    """SHA-256 (hex) over all pre-tokens and their counts."""
    digest = hashlib.sha256()
    for part in flat_counts(table):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def _table(seen: Counter[str]) -> pa.Table:
    pretokens = pa.array(seen.keys(), pa.large_string()).cast(pa.large_binary())
    return pa.table([pretokens, pa.array(seen.values(), pa.int64())], schema=COUNTS)
