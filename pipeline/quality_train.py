"""Good and bad texts in; a fastText classifier, a report on texts it has not seen and a model card out.

One thread, one seed and one order of the texts: the same texts give the same bytes. Autotune searches against the
clock and promises nothing of the kind; the card says which it was.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seimai import __version__
from seimai.errors import ConfigError, InputError
from seimai.files import atomic, canonical_json, fingerprint, sha256_file, write_atomic

from .document import held_out
from .quality_feed import FEEDS, Feed, feed
from .quality_model import CARD, FORMAT, LABELS, probabilities
from .quality_report import Judged, judged, model_card

__all__ = ["LABELLED", "QualityTraining", "TrainedModel", "split_held_out", "train_quality"]

LABELLED = pa.schema(
    [
        ("id", pa.string()),
        ("host", pa.string()),
        ("lang", pa.string()),
        ("split", pa.string()),
        ("set", pa.string()),
        ("good", pa.bool_()),
        ("text", pa.large_string()),
    ]
)
"""A labelled text; id, set, good and text are never null. `split` held_out is never trained on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityTraining:
    """How a quality model is trained; defaults suit some thousand to a million texts a side."""

    feed: Feed = "chars"
    """How texts are cut: chars or pieces (quality_feed.py)."""
    max_chars: int = 4000
    """Characters of a text that are looked at, from its beginning."""
    epochs: int = 5
    """Passes over the texts."""
    learning_rate: float = 0.3
    """fastText's lr at the start; falls to 0."""
    dim: int = 32
    """Width of the vectors."""
    ngrams: int = 3
    """Longest n-gram of tokens."""
    buckets: int = 1 << 18
    """Rows for the hashes of n-grams; the model's file grows by 4 * dim bytes with each."""
    min_count: int = 3
    """Least occurrences of a token."""
    held_out_share: float = 0.1
    """Share of hosts (of ids where there is no host) that only the report sees."""
    seed: int = 1
    """Of the split, the order of the texts and fastText."""
    quantize: bool = False
    """Write the product-quantised model: some tenth of the bytes."""
    autotune_s: int = 0
    """Seconds fastText may look for better settings; 0: none. A model so made is not reproducible."""


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A written model: its folder, its card, and the report by language."""

    out: Path
    card: Mapping[str, Any]
    report: tuple[Judged, ...]


def train_quality(texts: pa.Table, out: Path, how: QualityTraining | None = None) -> TrainedModel:
    """Train on a table of LABELLED texts and write model and card to the folder `out`.

    Raises InputError where one side has no text to train on, ConfigError for settings fastText does not take.
    """
    how = how or QualityTraining()
    _check(how)
    texts = texts.select(LABELLED.names).cast(LABELLED).combine_chunks()
    unseen = split_held_out(texts, share=how.held_out_share, seed=how.seed)
    lines = feed(texts["text"], how.feed, max_chars=how.max_chars)
    good = texts["good"].to_numpy()
    for side, word in ((True, "good"), (False, "bad")):
        if not ((good == side) & ~unseen).any():
            raise InputError(f"no {word} text to train on among {int((good == side).sum())}; give more sources")
    out.mkdir(parents=True, exist_ok=True)
    name = "quality.ftz" if how.quantize else "quality.bin"
    with tempfile.TemporaryDirectory(dir=out, prefix=".train-") as folder:
        order = _order(texts["id"].to_pylist(), how.seed)
        # Autotune judges by texts of its own: what the report sees must decide nothing.
        tuning = split_held_out(texts, share=how.held_out_share, seed=how.seed + 1) & bool(how.autotune_s)
        _write_lines(Path(folder) / "train.txt", lines, good, order[~(unseen | tuning)[order]])
        _write_lines(Path(folder) / "tune.txt", lines, good, order[(tuning & ~unseen)[order]])
        model = _fit(Path(folder), how)
        with atomic(out / name) as temporary:
            model.save_model(str(temporary))
        trained_on = sha256_file(Path(folder) / "train.txt")
    scores = probabilities(model.f, lines.filter(pa.array(unseen)))
    report = judged(texts.filter(pa.array(unseen)), scores)
    card = {
        "seimai": __version__,
        "format": FORMAT,
        "model": {"file": name, "sha256": sha256_file(out / name), "bytes": (out / name).stat().st_size},
        "feed": how.feed,
        "max_chars": how.max_chars,
        "languages": sorted({lang for lang in texts["lang"].to_pylist() if lang}),
        "reproducible": not how.autotune_s,
        "settings": asdict(how),
        "fasttext": _arguments(model),
        "texts": _counts(texts, unseen),
        "train_sha256": trained_on,
        "report": [asdict(line) for line in report],
    }
    write_atomic(out / "README.md", model_card(card, report))
    write_atomic(out / CARD, canonical_json(card) + "\n")
    return TrainedModel(out, card, report)


def split_held_out(texts: pa.Table, *, share: float, seed: int) -> NDArray[np.bool_]:
    """Which texts only the report may see: whole hosts (ids without a host), and all whose split is held_out."""
    rows = zip(texts["host"].to_pylist(), texts["id"].to_pylist(), texts["split"].to_pylist(), strict=True)
    return np.array(
        [split == "held_out" or held_out(host, name, share=share, seed=seed) for host, name, split in rows], bool
    )


def _check(how: QualityTraining) -> None:
    if how.feed not in FEEDS:
        raise ConfigError(f"feed {how.feed!r}; known: {', '.join(FEEDS)}")
    if not 0 < how.held_out_share < 1:
        raise ConfigError(f"held-out share {how.held_out_share} leaves nothing to train on or to judge by; try 0.1")
    if how.quantize and how.autotune_s:
        raise ConfigError("quantised output and autotune exclude each other; leave one out")


def _order(ids: list[str], seed: int) -> NDArray[np.int64]:
    """A seeded order of the texts that depends on their ids alone."""
    keys = [blake2b(f"{seed}\n{name}".encode(), digest_size=16).digest() for name in ids]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64)


def _write_lines(path: Path, lines: pa.LargeStringArray, good: NDArray[np.bool_], rows: NDArray[np.int64]) -> None:
    chosen = pa.array(rows)
    labels = pa.array(np.where(good, *LABELS)).take(chosen).cast(pa.large_string())
    whole = pc.binary_join_element_wise(labels, lines.take(chosen), pa.scalar(" ", pa.large_string()))
    path.write_text("".join(f"{line}\n" for line in whole.to_pylist()), encoding="utf-8")


def _fit(folder: Path, how: QualityTraining) -> Any:
    from fasttext import FastText

    found = {
        "input": str(folder / "train.txt"),
        "thread": 1,
        "seed": how.seed,
        "verbose": 0,
        "minCount": how.min_count,
    }
    if how.autotune_s:
        found |= {
            "autotuneValidationFile": str(folder / "tune.txt"),
            "autotuneDuration": how.autotune_s,
            "autotuneMetric": f"f1:{LABELS[0]}",
        }
        return FastText.train_supervised(**found)
    found |= {
        "lr": how.learning_rate,
        "dim": how.dim,
        "epoch": how.epochs,
        "wordNgrams": how.ngrams,
        "bucket": how.buckets if how.ngrams > 1 else 0,
    }
    model = FastText.train_supervised(**found)
    if how.quantize:
        model.quantize(input=str(folder / "train.txt"), thread=1, verbose=0, qnorm=True)
    return model


def _arguments(model: Any) -> dict[str, Any]:
    args = model.f.getArgs()
    names = ("lr", "dim", "epoch", "wordNgrams", "bucket", "minCount", "minn", "maxn")
    return {name: getattr(args, name) for name in names}


def _counts(texts: pa.Table, unseen: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Texts by set, side and language, those held out apart."""
    table = texts.select(["set", "good", "lang"]).append_column("held_out", pa.array(unseen))
    found = table.group_by(["set", "good", "lang", "held_out"]).aggregate([([], "count_all")]).to_pylist()
    keys = ("set", "good", "lang", "held_out")
    rows = [{**{key: row[key] for key in keys}, "texts": row["count_all"]} for row in found]
    return sorted(rows, key=lambda row: fingerprint([row[key] for key in keys]))
