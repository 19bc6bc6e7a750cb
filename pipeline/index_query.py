"""One document against an index of former dumps: which of its documents are like it, and how much."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .candidates import BAND
from .cluster_source import bytes_of, salts_of
from .dedup import band_keys, signatures
from .dedup_index import DedupIndex
from .exact import HASH_BYTES
from .index_source import index_sets, signature_sets
from .jaccard import ShingleSets, jaccard_pairs, shingle_sets
from .sorted_files import SortedFile

__all__ = ["Match", "query_index"]


class Match(NamedTuple):
    """A former document that shares a band with the one asked for."""

    id: str
    jaccard: float | None
    """Exact, or estimated from signatures, as the index has it; null where it verifies nothing."""
    same_text: bool
    passed: bool
    """Whether it passed every rule of its run, so that it or one of its likes stands in that corpus."""


def query_index(index: DedupIndex, text: str, *, lang: str = "auto", dump: str = "") -> list[Match]:
    """The documents that share a band with a text, the most similar first.

    Several of one text count as their first. `dump` is the name of the crawl where the index keeps dumps apart. Two
    reads for each band and file of the index.
    """
    made = index.head["made_with"]
    sizes = {name: made[name] for name in ("shingle_chars", "shingle_words")}
    texts = pa.array([text])
    own = shingle_sets(texts, lang=lang, **sizes)
    if not len(own.hashes):
        return []
    signed = signatures(texts, lang=lang, num_perm=made["num_perm"], seed=made["seed"], **sizes)
    signature = bytes_of(signed["signature"], 4 * made["num_perm"]).view("<u4")
    salt = salts_of(pa.array([{"everything": "", "language": lang, "dump": dump}[made["within"]]]))
    keys = band_keys(signature, made["bands"], made["rows"])[0]
    keys = keys ^ salt if made["within"] != "everything" else keys
    if index.verification == "estimated":
        own = signature_sets(signature)
    digest, found = bytes_of(signed["content_hash"], HASH_BYTES)[0], []
    for piece in index.head["pieces"]:
        rows = _candidates(index, piece["name"], keys)
        if len(rows):
            found += _matches(index, piece["name"], rows, own, digest)
    return sorted(found, key=lambda one: (-(one.jaccard or 0.0), not one.same_text, one.id))


def _candidates(index: DedupIndex, piece: str, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    rows = [np.empty(0, np.int64)]
    for path in sorted(index.root.glob(f"{piece}.bands-*")):
        file = SortedFile(path, BAND)
        rows += [file.read(1, file.span(int(key), int(key))) for key in keys]
    return np.unique(np.concatenate(rows))


def _matches(
    index: DedupIndex, piece: str, rows: NDArray[np.int64], own: ShingleSets, digest: NDArray[np.uint8]
) -> list[Match]:
    names = ["id", "passed", "text_hash"]
    table = pq.read_table(index.root / f"{piece}.documents.parquet", columns=names).take(pa.array(rows))
    similar: list[float | None] = [None] * len(rows)
    if index.verification != "none":
        made, similar = index.head["made_with"], []
        for _, sets in index_sets(index.root / f"{piece}.sets.parquet", rows, made["num_perm"]):
            both = ShingleSets(
                np.append(own.offsets, own.offsets[-1] + sets.offsets[1:]), np.append(own.hashes, sets.hashes)
            )
            pairs = np.stack([np.zeros(len(sets), np.int64), np.arange(1, len(sets) + 1)], axis=1)
            values = jaccard_pairs(*both, pairs)
            # m of k values agree where m / (2k - m) is the similarity of the two as sets.
            similar += (values if index.verification == "exact" else 2 * values / (1 + values)).tolist()
    same = (bytes_of(table["text_hash"], HASH_BYTES) == digest).all(axis=1).tolist()
    ids, passed = table["id"].to_pylist(), table["passed"].to_pylist()
    return [Match(one.hex(), *rest) for one, *rest in zip(ids, similar, same, passed, strict=True)]
