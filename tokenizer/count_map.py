"""A slice of documents in; runs out: sums by (pre-token, host, language), each sorted by the pre-token's bytes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .analyser import cut_by_words
from .count_kernels import COUNT, DOCUMENTS, KEY, add_tokens, empty_pairs, empty_types, rows_by_type
from .count_sample import ALL, keys
from .count_split import Cut, cut_long, cutter
from .pretoken_order import sorted_rows

__all__ = ["NO_HOST", "OTHER", "RUN", "choose", "count_runs"]

ENTRY = pa.struct([("host", pa.uint64()), ("lang", pa.uint16()), ("count", pa.int64()), ("documents", pa.int64())])
RUN = pa.schema([("pretoken", pa.large_binary()), ("entries", pa.large_list(ENTRY))])
"""Pre-tokens sorted by bytes, each once, with what every host wrote of it in every language."""
NO_HOST = 0
"""Host of documents without one. Their counts are capped here, document by document, and need no host later on."""
OTHER = "other"
"""Name for all languages beyond the ones a table has columns for."""

FLUSH_PAIRS = 3 << 15
"""Sums held before they become the first run: some 150 bytes each at the worst moment. Three quarters of a power of
two, so that the last texts before do not double the tables."""
MAX_FLUSH_PAIRS = 3 << 18
"""The same of later runs, twice as many after every eighth: little text takes little memory, much text few runs."""
RUNS_OF_A_SIZE = 8
CALL_CHARS = 1 << 18
"""Characters split at a time: some 20 bytes each meanwhile."""
UNLIMITED = 1 << 62


def choose(batch: pa.RecordBatch, below: Mapping[str, int], seed: int) -> pa.RecordBatch:
    """The training documents whose key lies below the threshold of their language (see count_sample)."""
    limits = [below.get(lang, 0) for lang in batch.column("lang").fill_null("und").to_pylist()]
    chosen = np.array([limit == ALL for limit in limits], np.bool_)
    if not chosen.all():
        # ALL has 65 bits, so it has a mask of its own.
        bounds = np.array([min(limit, ALL - 1) for limit in limits], np.uint64)
        chosen |= keys(batch.column("id").to_pylist(), seed) < bounds
    train = pc.equal(batch.column("split"), "train").to_numpy(zero_copy_only=False)
    kept = chosen & train
    return batch if kept.all() else batch.filter(pa.array(kept))


def count_runs(
    batches: Iterable[pa.RecordBatch],
    *,
    pattern: str,
    langs: Sequence[str],
    cap: int,
    analyser: str = "",
    flush_pairs: int = FLUSH_PAIRS,
) -> Iterator[pa.Table]:
    """Runs over all documents of batches with columns text, lang and host.

    `pattern` finds the pre-tokens, which `analyser` cuts between words. `langs`: names whose index stands in a run; any
    other language is the last of them. `cap`: most a document without a host may add to a pre-token, 0 for no limit.
    """
    table, number, n_runs = _Sums(), 0, 0
    cut = cut_by_words(cutter(pattern), analyser) if analyser else cutter(pattern)
    codes = {lang: code for code, lang in enumerate(langs)}
    for batch in batches:
        names = [codes.get(lang, len(langs) - 1) for lang in batch.column("lang").fill_null("und").to_pylist()]
        hosts = batch.column("host").to_pylist()
        texts = batch.column("text").to_pylist()
        for first, last in _calls([len(text) for text in texts]):
            owners = [table.owner(host, lang) for host, lang in zip(hosts[first:last], names[first:last], strict=True)]
            limits = [UNLIMITED if host or not cap else cap for host in hosts[first:last]]
            numbers = range(number + 1, number + 1 + last - first)
            number += last - first
            table.add(texts[first:last], pattern, cut, numbers, owners, limits)
            if table.n_pairs >= min(flush_pairs << n_runs // RUNS_OF_A_SIZE, MAX_FLUSH_PAIRS):
                yield table.run()
                table, n_runs = _Sums(), n_runs + 1
    if table.n_pairs:
        yield table.run()


class _Sums:
    """The hash tables of one run, made once, and the owners, pairs of host and language, they speak of."""

    def __init__(self) -> None:
        self.types, self.pairs, self.n_types, self.n_pairs = empty_types(), empty_pairs(), 0, 0
        self.owners: dict[tuple[str | None, int], int] = {}

    def owner(self, host: str | None, lang: int) -> int:
        return self.owners.setdefault((host or None, lang), len(self.owners))

    def add(
        self, texts: list[str], pattern: str, cut: Cut, numbers: Sequence[int], owners: list[int], limits: list[int]
    ) -> None:
        """Count some texts of documents `numbers`; a long one comes alone and is cut between pre-tokens."""
        by_text = [np.array(values, np.int64) for values in (numbers, owners, limits)]
        parts = cut_long(texts[0], pattern, cut, CALL_CHARS) if len(texts) == 1 else [cut(texts)]
        for part in parts:
            self.types, self.pairs, self.n_types, self.n_pairs = add_tokens(
                self.types, self.pairs, self.n_types, self.n_pairs, *part, *by_text
            )

    def run(self) -> pa.Table:
        """The sums as a table of the schema RUN; the hash tables are gone with it."""
        offsets, data, rows = self.types.offsets[: self.n_types + 1], self.types.data, self.pairs.rows[: self.n_pairs]
        del self.types, self.pairs
        order = sorted_rows(data, offsets)
        by, starts = rows_by_type(rows, order)
        hosts, langs = self._owner_columns()
        owners = rows[by, KEY] & 0xFFFFFFFF
        columns = (hosts[owners], langs[owners], rows[by, COUNT], rows[by, DOCUMENTS])
        entries = pa.StructArray.from_arrays([pa.array(column) for column in columns], fields=list(ENTRY))
        lists = pa.LargeListArray.from_arrays(pa.array(starts), entries)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data[: offsets[-1]])]
        pretokens = pa.LargeBinaryArray.from_buffers(pa.large_binary(), self.n_types, buffers)
        return pa.table([pretokens.take(pa.array(order)), lists], schema=RUN)

    def _owner_columns(self) -> tuple[NDArray[np.uint64], NDArray[np.uint16]]:
        hosts = [NO_HOST if host is None else _host_key(host) for host, _ in self.owners]
        return np.array(hosts, np.uint64), np.array([lang for _, lang in self.owners], np.uint16)


def _host_key(host: str) -> int:
    """64 bits for a host, never NO_HOST. That two of a hundred million share a key, and a cap: odds of 1 in 3,700."""
    return int.from_bytes(blake2b(host.encode(), digest_size=8).digest(), "big") or 1


def _calls(n_chars: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ranges of texts, in order, of at most CALL_CHARS characters together or of one text."""
    first, held = 0, 0
    for at, size in enumerate(n_chars):
        if at > first and held + size > CALL_CHARS:
            yield first, at
            first, held = at, 0
        held += size
    if first < len(n_chars):
        yield first, len(n_chars)
