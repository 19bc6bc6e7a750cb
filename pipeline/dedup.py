"""Signatures of documents for finding duplicates: content hash, MinHash, and the keys of its bands.

Row-aligned with the documents. Rows of `signature` are datasketch's (`duplicates.to_datasketch`). Every table records
in its schema, so every file too, what its signatures were made with: other ones must never be compared with them.
"""

import json
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, model_validator

from seimai.config import Section

from .bands import PRESETS, Shape, choose_bands
from .exact import HASH_BYTES, folded_hashes
from .shingles import VERSION as SHINGLES
from .shingles import folded, permutations, role_table, shingle_modes
from .unicode_table import UNICODE_VERSION

__all__ = ["SIGNATURE_KEY", "VERSION", "DedupConfig", "band_keys", "signature_settings", "signatures"]

VERSION = 2

SIGNATURE_KEY = b"seimai.signatures"
"""Metadata of a table of signatures: what they were made with, as JSON."""


class DedupConfig(Section):
    """Section [dedup]: what counts as near-duplicate. Another num_perm, seed or shingle size: other signatures."""

    preset: Literal["", "fineweb", "llmjp", "olmo3", "swallow"] = ""
    """num_perm, bands, rows and verify as published: fineweb 14 x 8, llmjp 20 x 10, olmo3 26 x 11, swallow 40 x 20."""
    threshold: float = Field(default=0.8, gt=0, le=1)
    """Jaccard similarity of shingle sets from which two documents are near-duplicates."""
    verify: bool = True
    """Whether exact Jaccard decides about candidates; else every candidate counts."""
    num_perm: int = Field(default=128, ge=1, le=4096)
    """Permutations of a signature, 4 bytes each."""
    bands: int | None = Field(default=None, ge=1, le=4096)
    """Bands cut from a signature; two documents are candidates when one band is equal. Left out: by threshold."""
    rows: int | None = Field(default=None, ge=1, le=4096)
    """Permutations in a band. Left out: by threshold; with the other keys as they are, 16 bands of 6 rows."""
    shingle_chars: int = Field(default=5, ge=1)
    """Characters in a shingle of Japanese and other languages written without spaces (doubri's 5)."""
    shingle_words: int = Field(default=5, ge=1)
    """Words in a shingle of other languages (FineWeb's 5)."""
    seed: int = Field(default=1, ge=0, lt=1 << 32)
    """Seed of the permutations."""
    same_url: bool = False
    """Whether documents of one URL, in a common form, are duplicates whatever their texts."""
    within: Literal["everything", "language", "dump"] = "everything"
    """Where duplicates are sought: among all documents, those of one language, or those of one crawl."""
    scope: Literal["signed", "after"] = "signed"
    """Who is compared: every document with a signature, or only those every rule passed (another rule: all again)."""
    keep: int | Literal["rehydrate"] = Field(default=1, union_mode="left_to_right")
    """How many documents of a cluster survive; "rehydrate": by its size, as FineWeb-2 repeats Japanese ones."""
    index: str = ""
    """Folder of an index of former dumps (`seimai index build`): what it holds is dropped. Empty: none."""
    memory_mb: int = Field(default=512, ge=16)
    """Memory of a clustering task beside that of the process itself (200 MB), MB; no more for a larger corpus."""

    @model_validator(mode="before")
    @classmethod
    def _take_preset(cls, data: Any) -> Any:
        preset = PRESETS.get(str(data.get("preset"))) if isinstance(data, dict) else None
        if preset is None:
            return data
        for key, value in preset._asdict().items():
            if data.get(key, value) != value:
                raise ValueError(f"{key} = {data[key]} but preset {data['preset']!r} has {value}; drop one of them")
        return {**preset._asdict(), **data}

    @model_validator(mode="after")
    def _bands_fit(self) -> Self:
        if self.bands and self.rows and self.bands * self.rows > self.num_perm:
            raise ValueError(
                f"bands {self.bands} x rows {self.rows} = {self.bands * self.rows} is more than num_perm "
                f"{self.num_perm}; lower one of them or set num_perm = {self.bands * self.rows}"
            )
        if isinstance(self.keep, int) and self.keep < 1:
            raise ValueError(f'keep {self.keep} is no number of documents; name one from 1, or "rehydrate"')
        if max(self.bands or 0, self.rows or 0) > self.num_perm:
            name = "bands" if self.bands else "rows"
            raise ValueError(f"{name} {self.bands or self.rows} is more than num_perm {self.num_perm}; lower it")
        return self

    @property
    def shape(self) -> Shape:
        """The bands and rows as given, or the best for the threshold (`bands.choose_bands`)."""
        return choose_bands(self.num_perm, self.threshold, verify=self.verify, bands=self.bands, rows=self.rows)

    def signing(self) -> dict[str, int]:
        """The keys that decide what a signature is, as `signatures` takes them."""
        return self.model_dump(include={"num_perm", "shingle_chars", "shingle_words", "seed"})


def signature_settings(*, num_perm: int, shingle_chars: int, shingle_words: int, seed: int) -> dict[str, int | str]:
    """What a table of signatures records: two are comparable when these are equal.

    >>> signature_settings(**DedupConfig().signing())["unicode"]
    '14.0.0'
    """
    return {
        "num_perm": num_perm,
        "seed": seed,
        "shingle": "auto",
        "shingle_chars": shingle_chars,
        "shingle_words": shingle_words,
        "shingle_version": SHINGLES,
        "unicode": UNICODE_VERSION,
    }


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
    from .shingle_kernels import minhash_texts, shingle_texts
    from .text_kernels import as_strings

    array = as_strings(texts)
    factors, terms = permutations(num_perm, seed)
    modes, sizes = shingle_modes(len(array), "auto", lang), np.array([shingle_chars, shingle_words], np.int64)
    matrix, counts = np.empty((len(array), num_perm), "<u4"), np.zeros(len(array), np.int32)
    hashes = np.zeros((len(array), HASH_BYTES), np.uint8)
    for part in folded(array):
        rows = slice(part.first, part.last)
        shingles, ends = shingle_texts(part.codes, part.offsets, modes[rows], sizes, *role_table())
        minhash_texts(shingles, ends, factors, terms, matrix[rows])
        counts[rows] = np.diff(ends)
        hashes[rows] = folded_hashes(part.codes, part.offsets)
    null = counts == 0
    made_with = signature_settings(
        num_perm=num_perm, shingle_chars=shingle_chars, shingle_words=shingle_words, seed=seed
    )
    table = pa.table(
        {
            "content_hash": _fixed(hashes, np.all(hashes == 0, axis=1)),
            "n_shingles": pa.array(counts, mask=null),
            "signature": _fixed(matrix.view(np.uint8), null),
        }
    )
    return table.replace_schema_metadata({SIGNATURE_KEY: json.dumps(made_with).encode()})


def _fixed(values: NDArray[np.uint8], null: NDArray[np.bool_]) -> pa.Array:
    """Rows of bytes as fixed-size binary, null where told; nulls hold zeros, so that equal tables have equal bytes."""
    values[null] = 0
    valid = pa.array(~null).buffers()[1]
    return pa.Array.from_buffers(pa.binary(values.shape[1]), len(null), [valid, pa.py_buffer(values)])


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
