"""Documents in; how often each pre-token stands in them out, as an Arrow table sorted by bytes."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from seimai.files import fingerprint

__all__ = ["COUNTS", "count", "counts_hash", "merge_counts"]

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


def counts_hash(table: pa.Table) -> str:
    """SHA-256 (hex) over pre-tokens, their lengths and counts: the same counts have the same hash.

    >>> counts_hash(COUNTS.empty_table()) == counts_hash(merge_counts([]))
    True
    """
    import hashlib

    digest = hashlib.sha256(fingerprint({"rows": table.num_rows}).encode())
    for column in (table["pretoken"].combine_chunks(),):
        digest.update(pc.binary_length(column).cast(pa.int64()).to_numpy(zero_copy_only=False).tobytes())
        digest.update(_values(column))
    digest.update(table["count"].combine_chunks().to_numpy(zero_copy_only=False).tobytes())
    return digest.hexdigest()


def _table(seen: Counter[str]) -> pa.Table:
    pretokens = pa.array(seen.keys(), pa.large_string()).cast(pa.large_binary())
    return pa.table([pretokens, pa.array(seen.values(), pa.int64())], schema=COUNTS)


def _values(column: pa.Array) -> memoryview:
    """The bytes of all rows, one after the other."""
    return memoryview(b"" if len(column) == 0 else column.buffers()[2] or b"")
