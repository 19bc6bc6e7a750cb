"""Text sources in; a tokenizer directory out: balanced sample, pre-token counts, merges, vocabulary."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seimai.errors import ConfigError, InputError, RunError

from .counts import count, counts_hash, merge_counts
from .sources import Shard, batches, corpus_hash, open_sources
from .split import split_pattern
from .vocabulary import Vocabulary, load, load_manifest, merges_for, save, special_names

__all__ = ["PartMap", "TrainSummary", "choose", "train_tokenizer"]

VERSION = 1
"""Raised when the same settings and text would give other merges."""
MODELS = ("bpe",)
PartMap = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""`part_map(function, items)` yields function(item) of every item in any order, like the builtin `map`."""


@dataclass(frozen=True)
class TrainSummary:
    """What was trained, and from what."""

    fingerprint: str
    vocab_size: int
    n_merges: int
    n_pretokens: int
    """Distinct pre-tokens in the sample."""
    sample: dict[str, dict[str, int]]
    """Documents and UTF-8 bytes read, by language (`und` where unknown)."""
    reused: bool
    """The directory held this tokenizer already, and nothing was done."""


def train_tokenizer(
    source: Path | Sequence[Path],
    out: Path,
    *,
    vocab_size: int = 65536,
    model: str = "bpe",
    boundary: bool = True,
    digits: int = 1,
    sample_bytes_per_language: int = 1_000_000_000,
    min_count: int = 2,
    seed: int = 1,
    field: str = "text",
    part_map: PartMap = map,
) -> TrainSummary:
    """Train on the documents with split `train` and write `out/tokenizer.json` and `out/manifest.json`.

    `vocab_size` counts all ids, specials included, and is raised to a multiple of 128; a small text gives fewer.
    `sample_bytes_per_language`: at most so many UTF-8 bytes of each language (and a document), chosen by a seeded hash
    of the ids. `boundary`, `min_count`: see `learn_merges`. `field`: text column of plain files.
    The same documents and settings give the same bytes, in any order and for any `part_map`.

    Raises ConfigError, InputError, or RunError where `out` holds a tokenizer made otherwise.
    """
    _check(vocab_size, model, sample_bytes_per_language, min_count)
    pattern = split_pattern(digits)
    shards = open_sources(source, field=field)
    settings = {
        "version": VERSION, "model": model, "split": "ja-en", "digits": digits, "vocab_size": vocab_size,
        "boundary": boundary, "min_count": min_count, "seed": seed,
        "sample_bytes_per_language": sample_bytes_per_language,
    }  # fmt: skip
    origin = {"settings": settings, "corpus_hash": corpus_hash(shards)}
    existing = _existing(out, origin)
    if existing is not None:
        return existing
    chosen, sample = _sample(shards, sample_bytes_per_language, seed)
    items = list(zip(shards, chosen, strict=True))
    table = merge_counts(list(part_map(partial(_count_shard, pattern=pattern), items)))
    # Here, because numba takes a second to import and reading sources does not need it.
    from .bpe import learn_merges

    merges = learn_merges(table, merges_for(vocab_size), boundary=boundary, min_count=min_count)
    vocabulary = Vocabulary(merges, special_names(len(merges)), pattern)
    facts = {**origin, "counts_hash": counts_hash(table), "n_pretokens": table.num_rows, "sample": sample}
    save(vocabulary, out, facts)
    return TrainSummary(vocabulary.fingerprint, vocabulary.vocab_size, len(merges), table.num_rows, sample, False)


def choose(ids: Sequence[str], langs: NDArray[Any], n_bytes: NDArray[np.int64], quota: int, seed: int) -> NDArray[Any]:
    """Which documents to read, as a mask: of each language in the order of a seeded hash until `quota` bytes are full.

    The choice does not depend on the documents' order. The last document may pass the quota.

    >>> choose(["a", "b", "c"], np.array(["ja", "ja", "en"]), np.array([10, 10, 99]), 10, seed=1).tolist()
    [False, True, True]
    """
    # One Python call a document, a microsecond: no kernel at hand hashes strings with a seed.
    keys = np.array([blake2b(f"{seed}\n{name}".encode(), digest_size=8).digest() for name in ids], "S8")
    order = np.lexsort((np.array(ids), keys.view(">u8").astype(np.uint64) if len(keys) else keys, langs))
    ordered, sizes = langs[order], n_bytes[order]
    before = np.cumsum(sizes) - sizes
    starts = np.searchsorted(ordered, ordered)
    chosen = np.zeros(len(ids), np.bool_)
    chosen[order] = before - before[starts] < quota if len(ids) else chosen
    return chosen


def _check(vocab_size: int, model: str, sample_bytes_per_language: int, min_count: int) -> None:
    if model not in MODELS:
        raise ConfigError(f"model {model!r}: only bpe is built so far; use --model bpe")
    if merges_for(vocab_size) < 1:
        raise ConfigError(f"vocab_size {vocab_size} leaves no room beside 256 bytes and 64 specials; try 65536")
    if sample_bytes_per_language < 1:
        raise ConfigError(f"sample_bytes_per_language {sample_bytes_per_language} must be at least 1; try 1000000000")
    if min_count < 1:
        raise ConfigError(f"min_count {min_count} must be at least 1; try 2")


def _existing(out: Path, origin: dict[str, Any]) -> TrainSummary | None:
    """The summary of the tokenizer in `out` if it was made like this, None where there is none."""
    if not (out / "manifest.json").exists():
        return None
    manifest = load_manifest(out)
    for key in ("settings", "corpus_hash"):
        if manifest.get(key) != origin[key]:
            what = (
                "other text" if key == "corpus_hash" else f"other settings ({_differences(manifest[key], origin[key])})"
            )
            raise RunError(f"{out}: holds a tokenizer made from {what}; give another --out or delete it first")
    found = load(out)
    return TrainSummary(
        found.fingerprint, found.vocab_size, len(found.merges), manifest["n_pretokens"], manifest["sample"], True
    )


def _differences(old: dict[str, Any], new: dict[str, Any]) -> str:
    names = [name for name in new if old.get(name) != new[name]]
    return ", ".join(f"{name} {old.get(name)} there, {new[name]} asked" for name in names)


def _sample(shards: Sequence[Shard], quota: int, seed: int) -> tuple[list[NDArray[Any]], dict[str, dict[str, int]]]:
    """A mask over the rows of each shard, and documents and bytes by language."""
    ids: list[str] = []
    columns: list[pa.Table] = []
    n_rows: list[int] = []
    for shard in shards:
        before = len(ids)
        for batch in batches(shard, ("id", "split", "lang", "text")):
            ids += batch.column("id").to_pylist()
            sizes = pc.binary_length(batch.column("text"))
            columns.append(pa.table({"split": batch.column("split"), "lang": batch.column("lang"), "n_bytes": sizes}))
        n_rows.append(len(ids) - before)
    if not ids:
        raise InputError("the sources hold no documents; give others")
    table = pa.concat_tables(columns)
    langs = table["lang"].fill_null("und").combine_chunks().dictionary_encode()
    codes, names = langs.indices.to_numpy(), langs.dictionary.to_pylist()
    n_bytes = table["n_bytes"].to_numpy()
    train = np.flatnonzero(pc.equal(table["split"], "train").to_numpy())
    if not len(train):
        raise InputError("every document of the sources has split 'held_out'; training reads only 'train'")
    mask = np.zeros(len(ids), np.bool_)
    mask[train] = choose([ids[row] for row in train], codes[train], n_bytes[train], quota, seed)
    tally = {
        name: {"documents": int((mask & (codes == code)).sum()), "bytes": int(n_bytes[mask & (codes == code)].sum())}
        for name, code in sorted((name, code) for code, name in enumerate(names))
    }
    return np.split(mask, np.cumsum(n_rows)[:-1]), tally


def _count_shard(item: tuple[Shard, NDArray[Any]], pattern: str) -> pa.Table:
    shard, mask = item
    return count(_chosen(shard, mask), pattern)


def _chosen(shard: Shard, mask: NDArray[Any]) -> Iterator[pa.RecordBatch]:
    row = 0
    for batch in batches(shard, ("text",)):
        yield batch.filter(pa.array(mask[row : row + batch.num_rows]))
        row += batch.num_rows
