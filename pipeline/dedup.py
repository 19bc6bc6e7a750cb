"""Signatures of documents for finding duplicates: content hash, MinHash, band keys, and what bands can find.

Row-aligned with the documents. Rows of `signature` are datasketch's (`shingles.py`): with num_perm and seed of the
section, `datasketch.MinHash(num_perm, seed, scheme="affine32", hashvalues=np.frombuffer(row, "<u4"))` takes them as
they are.
"""

import hashlib
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, model_validator

from seimai.config import Section

from .shingles import minhash, permutations, shingle_modes
from .unicode_table import class_table, fold_table

__all__ = ["VERSION", "DedupConfig", "band_keys", "minhash", "s_curve", "signatures"]

VERSION = 1

HASH_BYTES = 16


class DedupConfig(Section):
    """Section [dedup]: what counts as near-duplicate. Another num_perm, seed or shingle size: other signatures."""

    num_perm: int = Field(default=128, ge=1, le=4096)
    """Permutations of a signature, 4 bytes each."""
    bands: int = Field(default=16, ge=1, le=1024)
    """Bands cut from a signature; two documents meet when one band is equal."""
    rows: int = Field(default=8, ge=1)
    """Permutations in a band; 16 bands of 8 find Jaccard 0.7 at 61 %, 0.8 at 95 %."""
    shingle_chars: int = Field(default=5, ge=1)
    """Characters in a shingle of Japanese and other languages written without spaces (doubri's 5)."""
    shingle_words: int = Field(default=5, ge=1)
    """Words in a shingle of other languages (FineWeb's 5)."""
    seed: int = Field(default=1, ge=0, lt=1 << 32)
    """Seed of the permutations."""

    @model_validator(mode="after")
    def _bands_fit(self) -> Self:
        if self.bands * self.rows > self.num_perm:
            raise ValueError(
                f"bands {self.bands} x rows {self.rows} = {self.bands * self.rows} is more than num_perm "
                f"{self.num_perm}; lower one of them or set num_perm = {self.bands * self.rows}"
            )
        return self


def signatures(
    texts: pa.Array,
    *,
    lang: pa.Array | str = "auto",
    num_perm: int = 128,
    shingle_chars: int = 5,
    shingle_words: int = 5,
    seed: int = 1,
) -> pa.Table:
    """Row-aligned columns.

    `content_hash` fixed_size_binary[16]: BLAKE2b-128 of the folded text without white space, UTF-8; null where the text
    is null or only white space. `n_shingles` int32: places of shingles, not distinct ones; `signature`
    fixed_size_binary[4 * num_perm]: uint32, little-endian; both null where there is no shingle (only punctuation too).

    >>> table = signatures(pa.array(["Clean rice is white.", "clean rice is white", "。", None]), lang="en")
    >>> table["n_shingles"].to_pylist()
    [1, 1, None, None]
    """
    from .shingle_kernels import fold_text, minhash_texts, shingle_texts, to_utf8
    from .text_kernels import as_strings, slices

    array = as_strings(texts)
    factors, terms = permutations(num_perm, seed)
    modes, sizes = shingle_modes(len(array), "auto", lang), np.array([shingle_chars, shingle_words], np.int64)
    matrix, counts = np.empty((len(array), num_perm), "<u4"), np.zeros(len(array), np.int32)
    hashes, blank = bytearray(), np.zeros(len(array), np.bool_)
    for part in slices(array):
        rows = slice(part.first, part.last)
        codes, offsets = fold_text(part.codes, part.offsets, *fold_table())
        shingles, ends = shingle_texts(codes, offsets, modes[rows], sizes, *class_table())
        minhash_texts(shingles, ends, factors, terms, matrix[rows])
        counts[rows] = np.diff(ends)
        data, ends = to_utf8(codes, offsets, *class_table())
        blank[rows] = np.diff(ends) == 0
        for row in range(part.last - part.first):
            hashes += hashlib.blake2b(data[ends[row] : ends[row + 1]].data, digest_size=HASH_BYTES).digest()
    null = counts == 0
    return pa.table(
        {
            "content_hash": _fixed(bytes(hashes), HASH_BYTES, blank),
            "n_shingles": pa.array(counts, mask=null),
            "signature": _fixed(matrix.tobytes(), 4 * num_perm, null),
        }
    )


def _fixed(data: bytes, width: int, null: NDArray[np.bool_]) -> pa.Array:
    """Values of `width` bytes each, null where told; nulls hold zeros, so that equal tables have equal bytes."""
    values = np.frombuffer(data, np.uint8).reshape(len(null), width) * ~null[:, None]
    valid = pa.array(~null).buffers()[1]
    return pa.Array.from_buffers(pa.binary(width), len(null), [valid, pa.py_buffer(values.tobytes())])


def band_keys(signature_matrix: NDArray[np.uint32], bands: int, rows: int) -> NDArray[np.uint64]:
    """A 64-bit key for each band of each signature, shape (documents, bands); equal bands have equal keys.

    The lowest bits that number the bands are kept apart before a last bijective mix: keys of different bands never
    meet, and the rest (60 bits for 16 bands) is hash, so unequal bands meet by chance once in 2^60 pairs. Keys depend
    on `bands` and `rows`. Raises ValueError when the signatures are too short.

    >>> keys = band_keys(np.zeros((1, 128), np.uint32), 16, 8)
    >>> keys.shape, len(np.unique(keys))
    ((1, 16), 16)
    """
    if bands < 1 or rows < 1 or bands * rows > signature_matrix.shape[1]:
        raise ValueError(f"{bands} bands x {rows} rows do not fit in signatures of {signature_matrix.shape[1]}")
    cut = signature_matrix[:, : bands * rows].reshape(-1, bands, rows)
    keys = np.zeros(cut.shape[:2], np.uint64)
    for row in range(rows):
        keys = _mix(keys + cut[:, :, row] + np.uint64(0x9E3779B97F4A7C15))
    number_bits = np.uint64((bands - 1).bit_length())
    return _mix(keys << number_bits | np.arange(bands, dtype=np.uint64))


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """MurmurHash3's 64-bit finalizer, a bijection."""
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ (values >> np.uint64(33))


def s_curve(bands: int, rows: int, jaccard: float) -> float:
    """Probability that two documents of that Jaccard similarity share a band: 1 - (1 - j^rows)^bands.

    >>> round(s_curve(14, 8, 0.8), 2)
    0.92
    """
    return float(1.0 - (1.0 - jaccard**rows) ** bands)
