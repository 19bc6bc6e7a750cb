"""Near-duplicates among texts in memory, and a run's signatures for other tools, as functions."""

import json
import operator
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from seimai.errors import InputError

from .dedup import SIGNATURE_KEY, DedupConfig, band_keys, signature_settings
from .jaccard import ShingleSets, shingle_sets
from .regroup import Stars, cluster_numbers, regroup, stars_of_keys
from .shingle_kernels import minhash_texts
from .shingles import permutations
from .text_kernels import as_strings

if TYPE_CHECKING:
    from datasketch import MinHash

__all__ = ["Signatures", "clusters_of_sets", "duplicate_clusters", "read_signatures", "to_datasketch"]


class Signatures(NamedTuple):
    """Ids (hex) of documents and their signatures, uint32 of shape (documents, num_perm)."""

    ids: list[str]
    rows: NDArray[np.uint32]


def duplicate_clusters(
    texts: Sequence[str | None] | pa.Array,
    *,
    lang: str | Sequence[str | None] | pa.Array = "auto",
    threshold: float = 0.8,
    verify: bool = True,
    config: DedupConfig | None = None,
) -> NDArray[np.int64]:
    """The cluster of each text: the smallest index in it, int64; a text without a like, or without a shingle, is alone.

    Two texts are near-duplicates when their shingle sets have at least `threshold` exact Jaccard similarity, and
    clusters are what such pairs connect. With `verify=False` every pair that shares a band counts. `lang` is ISO 639-1
    or auto, one for all or one for each. `config` sets shingles, signatures and bands too; it wins over `threshold`
    and `verify`, and its keys that are not about texts do not count here.

    Takes about 4 bytes of memory a shingle. Raises ValueError where `lang` does not fit, and for a threshold outside
    (0, 1].

    >>> duplicate_clusters(["精米は、白い。", "Clean rice is white.", "精米は白い", "clean rice is white"]).tolist()
    [0, 1, 0, 1]
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold = {threshold}: must be above 0 and at most 1")
    chosen = config or DedupConfig(threshold=threshold, verify=verify)
    langs = lang if isinstance(lang, str | pa.Array | pa.ChunkedArray) else pa.array(lang, pa.string())
    array = as_strings(texts)
    if not isinstance(langs, str) and len(langs) != len(array):
        raise ValueError(f"{len(langs)} languages for {len(array)} texts: give one for each, or one for all")
    sizes = {"shingle_chars": chosen.shingle_chars, "shingle_words": chosen.shingle_words}
    return clusters_of_sets(shingle_sets(array, lang=langs, **sizes), chosen)


def clusters_of_sets(sets: ShingleSets, config: DedupConfig) -> NDArray[np.int64]:
    """The same for shingle sets; a signature does not see order and repeats, so theirs are those of the texts."""
    factors, terms = permutations(config.num_perm, config.seed)
    rows = np.empty((len(sets), config.num_perm), np.uint32)
    minhash_texts(sets.hashes, sets.offsets, factors, terms, rows)
    there = np.flatnonzero(np.diff(sets.offsets))
    stars = stars_of_keys(band_keys(rows[there], *config.shape))
    stars = Stars(stars.starts, there[stars.members])
    if config.verify:
        return cluster_numbers(len(sets), regroup(stars, sets, threshold=config.threshold).edges)
    centres = np.repeat(stars.members[stars.starts[:-1]], np.diff(stars.starts))
    return cluster_numbers(len(sets), np.stack([centres, stars.members], axis=1))


def to_datasketch(rows: NDArray[np.uint32], seed: int = 1) -> list["MinHash"]:
    """Rows of signatures, shape (documents, num_perm), as datasketch's objects; `seed` is that of the signatures.

    Put them into a `datasketch.MinHashLSH` with the same num_perm, or query one with them; `update_batch` takes
    `shingle_hashes`. Needs `pip install datasketch` of version 2.

    >>> from seimai.pipeline import minhash
    >>> one, other = to_datasketch(minhash(["精米は白い。", "精米は 白い"], lang="ja"))
    >>> one.jaccard(other)
    1.0
    """
    try:
        from datasketch import MinHash
    except ImportError:
        raise InputError("datasketch is not installed; pip install 'datasketch>=2'") from None
    same = {"seed": seed, "scheme": "affine32", "permutations": permutations(rows.shape[1], seed)}
    return [MinHash(hashvalues=row, hashfunc=operator.index, **same) for row in rows]


def read_signatures(path: Path, config: DedupConfig | None = None) -> Signatures:
    """The signatures of one file of a run's `signatures/`, documents without one left out.

    Raises InputError where the file is none, or was made with other settings than `config` (default: the defaults)
    or another Unicode version: such rows say nothing about each other, not even those of fewer permutations.
    """
    wanted = signature_settings(**(config or DedupConfig()).signing())
    try:
        found = pq.read_schema(path).metadata or {}
        table = pq.read_table(path, columns=["id", "signature"])
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: not a file of signatures ({error}); give one of a run's signatures/") from None
    if SIGNATURE_KEY not in found:
        raise InputError(f"{path}: does not say what its signatures were made with; run `seimai run` again")
    made = json.loads(found[SIGNATURE_KEY])
    for key, value in wanted.items():
        if made.get(key) != value:
            raise InputError(
                f"{path}: its signatures have {key} = {made.get(key)}, not {value}; compare like with like"
            )
    table = table.filter(table["signature"].is_valid())
    data = b"".join(table["signature"].to_pylist())
    return Signatures(table["id"].to_pylist(), np.frombuffer(data, "<u4").reshape(len(table), -1).astype(np.uint32))
