"""A run directory as clustering sees it: hashes, signatures and shingle sets of its documents, batch by batch."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .cluster_steps import Hashed, Signed
from .decide import passes
from .dedup import DedupConfig
from .edits import edited_texts, read_edits
from .exact import HASH_BYTES, url_hashes
from .jaccard import ShingleSets, shingle_sets
from .order import Batch, Entry
from .presets import QualityConfig

__all__ = ["RunSource", "bytes_of", "from_hex", "salts_of"]

TEXT_ROWS = 1_000
"""Documents whose texts are read at a time."""


@dataclass(frozen=True, slots=True)
class RunSource:
    """The documents of a run directory; see `cluster_steps.Source`."""

    run: Path
    config: DedupConfig
    quality: Mapping[str, QualityConfig]

    def hashed(self, batch: Batch) -> Hashed:
        """What exact duplicates are found by."""
        ids, takes_part, texts, urls = [], [], [], []
        for entry in batch.entries:
            table = pq.read_table(
                self.run / "signatures" / f"{entry.part}.parquet", columns=["id", "content_hash", "n_shingles"]
            )
            ids.append(from_hex(table["id"]))
            texts.append(bytes_of(table["content_hash"], HASH_BYTES))
            takes_part.append(self._takes_part(entry, table["n_shingles"].is_valid().to_numpy()))
            if self.config.same_url:
                urls.append(url_hashes(self._column(entry, "url")))
        salts = np.concatenate([self._salts(entry) for entry in batch.entries])
        return Hashed(
            np.concatenate(ids), np.concatenate(takes_part), np.concatenate(texts),
            np.concatenate(urls) if urls else None, salts,
        )  # fmt: skip

    def signed(self, batch: Batch, chunk_rows: int) -> Iterator[Signed]:
        """All signatures of a batch, at most so many at a time."""
        for entry in batch.entries:
            salts, first = self._salts(entry), 0
            with pq.ParquetFile(self.run / "signatures" / f"{entry.part}.parquet") as file:
                for piece in file.iter_batches(chunk_rows, columns=["signature"]):
                    rows = slice(first, first + len(piece))
                    matrix = bytes_of(piece["signature"], 4 * self.config.num_perm).view("<u4")
                    yield Signed(entry.first_row + first, matrix, salts[rows])
                    first += len(piece)

    def sets(self, batch: Batch, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], ShingleSets]]:
        """The shingle sets of these documents (ascending), in order, a few at a time."""
        sizes = {"shingle_chars": self.config.shingle_chars, "shingle_words": self.config.shingle_words}
        for entry in batch.entries:
            low, high = np.searchsorted(rows, [entry.first_row, entry.first_row + entry.rows])
            if low == high:
                continue
            edits, first = read_edits(self.run, entry.part), entry.first_row
            with pq.ParquetFile(self.run / "documents" / f"{entry.part}.parquet") as file:
                for piece in file.iter_batches(TEXT_ROWS, columns=["id", "text", "lang"]):
                    mine = rows[slice(*np.searchsorted(rows, [first, first + len(piece)]))]
                    if len(mine):
                        table = pa.Table.from_batches([piece]).take(pa.array(mine - first))
                        texts = edited_texts(table, edits)
                        yield mine, shingle_sets(texts, lang=table["lang"].combine_chunks(), **sizes)
                    first += len(piece)

    def _takes_part(self, entry: Entry, signed: NDArray[np.bool_]) -> NDArray[np.bool_]:
        if self.config.scope == "signed":
            return signed
        return signed & passes(self.run, entry.part, self.quality)

    def _column(self, entry: Entry, name: str) -> pa.ChunkedArray:
        return pq.read_table(self.run / "documents" / f"{entry.part}.parquet", columns=[name])[name]

    def _salts(self, entry: Entry) -> NDArray[np.uint64]:
        """A hash of what keeps documents apart: nothing, the language, or the name of the crawl."""
        if self.config.within == "everything":
            return np.zeros(entry.rows, np.uint64)
        codes = self._column(entry, {"language": "lang", "dump": "source"}[self.config.within])
        return salts_of(codes.combine_chunks())


def salts_of(names: pa.Array) -> NDArray[np.uint64]:
    """A hash of each name, of which documents of one never meet those of another; null is the empty name."""
    codes = pc.fill_null(names, "").dictionary_encode()
    hashes = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in codes.dictionary.to_pylist()]
    salts: NDArray[np.uint64] = np.frombuffer(b"".join(hashes), "<u8")[codes.indices.to_numpy()]
    return salts


def from_hex(ids: pa.ChunkedArray) -> NDArray[np.uint8]:
    """Ids of 32 hexadecimal digits as bytes (n, 16)."""
    array = ids.combine_chunks().cast(pa.binary()).cast(pa.binary(2 * HASH_BYTES))
    digits = bytes_of(array, 2 * HASH_BYTES)
    values = (digits - np.where(digits > ord("9"), np.uint8(ord("a") - 10), np.uint8(ord("0")))).astype(np.uint8)
    pairs: NDArray[np.uint8] = np.bitwise_or(np.left_shift(values[:, 0::2], 4), values[:, 1::2]).astype(np.uint8)
    return pairs


def bytes_of(column: pa.Array | pa.ChunkedArray, width: int) -> NDArray[np.uint8]:
    """The bytes (n, width) of fixed-size binaries; nulls as they lie, which for files of ours is zeros."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    data = np.frombuffer(array.buffers()[1] or b"", np.uint8)
    return data[array.offset * width : (array.offset + len(array)) * width].reshape(len(array), width)
