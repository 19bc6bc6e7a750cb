"""Text sources or counts in; tokenizer directories out: counts, merges or pieces, vocabularies of one or more sizes."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seimai.errors import ConfigError, RunError
from seimai.files import fingerprint, write_atomic
from seimai.pipeline.progress import Progress, Silent

from .count_sample import DEFAULTS, CountSettings
from .counts import is_counts, load_counts_manifest, read_counts
from .sources import HELD_OUT, HeldOut, PartMap, Shard, batches, open_sources
from .split import split_pattern
from .vocabulary import Vocabulary, load, load_manifest, merges_for, save, special_names

__all__ = [
    "BACKENDS",
    "MODELS",
    "PartMap",
    "TrainSettings",
    "TrainSummary",
    "counts_first",
    "counts_path",
    "train_tokenizer",
]

VERSION = 2
"""Raised when the same settings and counts would give other merges."""
MODELS = ("bpe", "unigram", "fewest")
BACKENDS = ("seimai", "hf")
SUPERWORDS = "ja-en-superwords"


@dataclass(frozen=True)
class TrainSettings:
    """What decides a tokenizer besides the counts."""

    model: str = "bpe"
    """bpe, unigram, or fewest: the vocabulary that cuts the counted text into the fewest tokens."""
    backend: str = "seimai"
    """seimai, or hf for the BPE trainer of `tokenizers`, which reads the text itself: no host cap, no balance."""
    boundary: bool = True
    """An unfinished character joins nothing but its own next byte (BPE; the library has no such rule)."""
    max_token_chars: int | None = None
    """Most characters in one token; None for no limit but the pre-token's (64 for fewest)."""
    min_count: int = 2
    """Least count of a merged pair."""
    superwords: float = 0.0
    """Share of the merges, the last ones, that may join phrases of a piece; for the split ja-en-superwords alone."""

    def facts(self) -> dict[str, Any]:
        """For the manifest; without what no tokenizer had before it was there."""
        return {name: value for name, value in vars(self).items() if name != "superwords" or value}


BPE = TrainSettings()


@dataclass(frozen=True)
class TrainSummary:
    """What was trained, and from what."""

    fingerprint: str
    """Of the largest vocabulary."""
    vocab_size: int
    n_pretokens: int
    """Distinct pre-tokens in the counts."""
    sample: dict[str, dict[str, int]]
    """Documents and UTF-8 bytes counted, by language (`und` where unknown)."""
    directories: tuple[Path, ...]
    """Where each size stands, smallest first."""
    curve: list[dict[str, Any]] = field(default_factory=list)
    """vocab_size, lang, n_bytes, n_tokens, bytes_per_token on held-out documents; empty without any."""
    reused: bool = False
    """The directory held all this already, and nothing was done."""


def train_tokenizer(
    source: Path | Sequence[Path],
    out: Path,
    *,
    vocab_size: int = 65536,
    vocab_sizes: Sequence[int] = (),
    settings: TrainSettings = BPE,
    counting: CountSettings = DEFAULTS,
    field: str = "text",
    held_out: HeldOut = HELD_OUT,
    part_map: PartMap = map,
    progress: Progress | None = None,
) -> TrainSummary:
    """Train on the documents with split `train` and write `out/tokenizer.json` and `out/manifest.json`.

    `source`: text sources, counted first into a folder beside `out` (kept, and found again by its fingerprint), or one
    directory of counts, whose own settings then hold instead of `counting`. `vocab_size` counts all ids, specials
    included, and is raised to a multiple of 128; a small text gives fewer. With `vocab_sizes` each size goes to
    `out/<size>` from one training, and `out/curve.json` says what each compresses. `field`, `held_out`: for plain
    files. The same documents and settings give the same bytes, in any order and for any `part_map`.

    Raises ConfigError, InputError, or RunError where `out` holds a tokenizer made otherwise.
    """
    wanted = _directories(out, vocab_size, vocab_sizes)
    settings = _settled(settings, counting)
    told = progress or Silent()
    shards, counts = counts_first(source, out, settings, counting, field, held_out, part_map, told)
    manifest = load_counts_manifest(counts)
    _check_superwords(settings, manifest["settings"]["split"])
    facts = {
        "settings": {**manifest["settings"], "version": VERSION, **settings.facts()},
        "split": {name: manifest["split"][name] for name in ("name", "fingerprint")},
        "corpus": fingerprint(sorted(entry["sha256"] for entry in manifest["inputs"])),
        "counts": {"fingerprint": manifest["fingerprint"], "sha256": manifest["files"][0]["sha256"]},
        "n_pretokens": manifest["n_pretokens"],
        "sample": manifest["sample"],
    }
    missing = {size: path for size, path in wanted.items() if not _stands(path, {**facts, "asked": size})}
    if missing:
        told.begin("train", 0)
        for size, vocabulary in _vocabularies(sorted(missing), settings, manifest, counts, shards).items():
            save(vocabulary, missing[size], {**facts, "asked": size})
        told.end("train")
    rows = _curve(out, wanted, shards, manifest) if vocab_sizes else []
    if not missing:
        load(wanted[max(wanted)])  # raises where what stands there is damaged
    found = load_manifest(wanted[max(wanted)])
    sample = {lang: sums for lang, sums in manifest["sample"].items() if sums["documents"]}
    places = tuple(wanted[size] for size in sorted(wanted))
    return TrainSummary(
        found["fingerprint"], found["vocab_size"], manifest["n_pretokens"], sample, places, rows, reused=not missing
    )


def counts_path(out: Path, fingerprint: str) -> Path:
    """Where training keeps the counts for a tokenizer: beside it, under their fingerprint."""
    return out.with_name(f"{out.name}.counts-{fingerprint[:12]}")


def _directories(out: Path, vocab_size: int, vocab_sizes: Sequence[int]) -> dict[int, Path]:
    for size in vocab_sizes or (vocab_size,):
        if merges_for(size) < 1:
            raise ConfigError(f"vocab_size {size} leaves no room beside 256 bytes and 64 specials; try 65536")
    if len(set(vocab_sizes)) != len(vocab_sizes):
        raise ConfigError(f"vocab_sizes {','.join(map(str, vocab_sizes))}: each size once")
    return {size: out / str(size) for size in sorted(vocab_sizes)} or {vocab_size: out}


def _settled(settings: TrainSettings, counting: CountSettings) -> TrainSettings:
    """The settings, checked; the library's trainer has no boundary rule."""
    if settings.model not in MODELS:
        raise ConfigError(f"model {settings.model!r}: there are {', '.join(MODELS)}; use --model bpe")
    if settings.backend not in BACKENDS:
        raise ConfigError(f"backend {settings.backend!r}: there are {' and '.join(BACKENDS)}; use --backend seimai")
    if settings.min_count < 1:
        raise ConfigError(f"min_count {settings.min_count} must be at least 1; try 2")
    if settings.max_token_chars is not None and settings.max_token_chars < 1:
        raise ConfigError(f"max_token_chars {settings.max_token_chars} must be at least 1; try 16")
    if settings.model == "unigram" and settings.max_token_chars is not None:
        raise ConfigError("max_token_chars is for bpe; leave it out, or use --model bpe")
    if settings.model == "fewest" and not settings.boundary:
        raise ConfigError("boundary false: model fewest keeps the boundary rule; leave --no-boundary out")
    if counting.analyser and (settings.backend == "hf" or settings.superwords):
        raise ConfigError(f"analyser {counting.analyser}: for counts of seimai without superwords; leave it out")
    if settings.backend == "seimai":
        return settings
    if settings.model != "bpe" or settings.max_token_chars is not None:
        raise ConfigError("backend hf trains bpe without max_token_chars (it counts bytes); use --backend seimai")
    if not counting.balance.natural:
        raise ConfigError("backend hf reads text as it is and cannot weigh languages; use --backend seimai")
    return replace(settings, boundary=False)


def counts_first(
    source: Path | Sequence[Path],
    out: Path,
    settings: TrainSettings,
    counting: CountSettings,
    field: str,
    held_out: HeldOut,
    part_map: PartMap,
    progress: Progress,
) -> tuple[tuple[Shard, ...], Path]:
    """Count, unless `source` is counts: the text (none where counts were given) and the directory of its counts."""
    # Here, because numba takes a second to import and the encoder, which shares this module, does without.
    from .count_job import count_fingerprint, count_sources

    paths = [source] if isinstance(source, Path) else list(source)
    if any(map(is_counts, paths)):
        if len(paths) > 1:
            raise ConfigError(f"{', '.join(map(str, paths))}: give one folder of counts, or text")
        if settings.backend == "hf":
            raise ConfigError(f"backend hf reads text, not counts; give the sources that {paths[0]} was made from")
        return (), paths[0]
    shards = open_sources(paths, field=field, held_out=held_out)
    if settings.backend == "hf":
        counting = replace(counting, host_cap=0)
    counts = counts_path(out, count_fingerprint(shards, counting))
    count_sources(shards, counts, counting, part_map=part_map, progress=progress)
    return shards, counts


def _vocabularies(
    sizes: Sequence[int], settings: TrainSettings, manifest: dict[str, Any], counts: Path, shards: Sequence[Shard]
) -> dict[int, Vocabulary]:
    """A vocabulary for each size, all from one training where the model allows it."""
    pattern = manifest["split"]["pattern"]
    if settings.model == "unigram":
        return {size: _unigram(size, counts, pattern) for size in sizes}
    if settings.model == "fewest":
        from .fewest import fewest_vocabularies

        return fewest_vocabularies(read_counts(counts), sizes, pattern, settings.min_count, settings.max_token_chars)
    if settings.superwords:
        # The first merges are fewer in a smaller vocabulary, so each size is learned by itself.
        each = {size: _superwords(merges_for(size), settings, manifest, counts) for size in sizes}
        return {size: Vocabulary(merges, special_names(len(merges)), pattern) for size, merges in each.items()}
    merges = _merges(merges_for(max(sizes)), settings, manifest, counts, shards, pattern)
    # A BPE is prefix-closed: what a smaller training would have learned are the first merges of a larger one.
    cut = {size: merges[: merges_for(size)] for size in sizes}
    return {size: Vocabulary(each, special_names(len(each)), pattern) for size, each in cut.items()}


def _unigram(size: int, counts: Path, pattern: str) -> Vocabulary:
    from .unigram import learn_pieces

    found = learn_pieces(read_counts(counts), merges_for(size))
    learned = found.tokens[256:]
    none = np.empty((0, 2), np.int32)
    return Vocabulary(none, special_names(len(learned)), pattern, learned, found.scores)


def _check_superwords(settings: TrainSettings, split: str) -> None:
    """Superwords need counts of whole pieces, and those pieces need a share of merges across phrases."""
    if not 0 <= settings.superwords < 1:
        raise ConfigError(f"superwords {settings.superwords}: a share of the merges, 0 to 1; try 0.3")
    if bool(settings.superwords) != (split == SUPERWORDS):
        raise ConfigError(f"superwords {settings.superwords} with split {split}: use --split {SUPERWORDS} with a share")
    if settings.superwords and (settings.model != "bpe" or settings.backend != "seimai" or not settings.boundary):
        raise ConfigError("superwords are for the model bpe of seimai with the boundary rule; leave the others out")


def _superwords(n_merges: int, settings: TrainSettings, manifest: dict[str, Any], counts: Path) -> NDArray[np.int32]:
    from .superword import learn_superwords

    fine = split_pattern(manifest["settings"]["digits"], name="ja-en-wide")
    return learn_superwords(
        read_counts(counts),
        n_merges,
        settings.superwords,
        fine=fine,
        min_count=settings.min_count,
        max_token_chars=settings.max_token_chars,
    )


def _merges(
    n_merges: int,
    settings: TrainSettings,
    manifest: dict[str, Any],
    counts: Path,
    shards: Sequence[Shard],
    pattern: str,
) -> NDArray[np.int32]:
    if settings.backend == "hf":
        from .train_library import library_merges

        n_bytes = sum(sums["bytes"] for sums in manifest["sample"].values())
        texts = _texts(shards, manifest)
        return library_merges(texts, n_bytes, n_merges, pattern=pattern, min_count=settings.min_count)
    from .bpe import learn_merges

    return learn_merges(
        partial(read_counts, counts),
        n_merges,
        boundary=settings.boundary,
        min_count=settings.min_count,
        max_token_chars=settings.max_token_chars,
    )


def _texts(shards: Sequence[Shard], manifest: dict[str, Any]) -> Iterator[str]:
    """The documents that were counted."""
    from .count_map import choose

    below = {lang: int(threshold, 16) for lang, threshold in manifest["thresholds"].items()}
    for shard in shards:
        for batch in batches(shard, ("id", "split", "lang", "text")):
            yield from choose(batch, below, manifest["settings"]["seed"]).column("text").to_pylist()


def _stands(directory: Path, facts: dict[str, Any]) -> bool:
    """Whether the directory holds this tokenizer; RunError where it holds another one."""
    if not (directory / "manifest.json").exists():
        return False
    manifest = load_manifest(directory)
    if manifest.get("counts") != facts["counts"] or manifest.get("settings") != facts["settings"]:
        old, new = manifest.get("settings", {}), facts["settings"]
        names = [f"{n} {old.get(n)} there, {new.get(n)} asked" for n in {**new, **old} if old.get(n) != new.get(n)]
        what = f"other settings ({', '.join(names)})" if names else "other text"
        raise RunError(f"{directory}: holds a tokenizer made from {what}; give another --out or delete it first")
    if manifest.get("asked") != facts["asked"]:
        sizes = f"vocab_size {manifest.get('asked')} there, {facts['asked']} asked"
        raise RunError(f"{directory}: holds another tokenizer ({sizes}); give another --out or delete it first")
    return True


def _curve(
    out: Path, directories: dict[int, Path], shards: Sequence[Shard], manifest: dict[str, Any]
) -> list[dict[str, Any]]:
    """What each size compresses on the held-out documents, also in `out/curve.json`; nothing without text."""
    from .curve import curve, held_out_pretokens

    pretokens = held_out_pretokens(shards, manifest["split"]["pattern"])
    rows: list[dict[str, Any]] = curve(directories, pretokens).to_pylist()
    write_atomic(out / "curve.json", json.dumps(rows, indent=2) + "\n")
    return rows
