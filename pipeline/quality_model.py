"""A quality model's folder and texts in; the probability that each text is good out."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seimai.config import Section
from seimai.errors import InputError
from seimai.files import read_json, sha256_file

from .quality_feed import FEEDS, Feed, feed

__all__ = [
    "CARD",
    "FORMAT",
    "LABELS",
    "QualityModel",
    "QualityModelConfig",
    "open_quality_model",
    "probabilities",
    "quality_model_parts",
    "quality_scores",
]

CARD = "card.json"
FORMAT = 1
LABELS = ("__label__good", "__label__bad")
SCORED_ROWS = 4096


class QualityModelConfig(Section):
    """Section [quality_model]: a classifier made by `seimai quality train`; its score is the column `quality`."""

    path: str = ""
    """Folder of the model; empty: none, and the column is null."""


class QualityModel(NamedTuple):
    """An opened model: what asks it, what its card says of the texts it wants."""

    predictor: Any
    feed: Feed
    max_chars: int
    languages: tuple[str, ...]
    sha256: str


def open_quality_model(folder: Path) -> QualityModel:
    """The model of a folder, once per process and state of its card.

    Raises InputError, one line with the remedy, where the folder is none of `seimai quality train` or was changed.
    """
    card = folder / CARD
    if not card.is_file():
        raise InputError(f"{folder}: no {CARD}, so no quality model; make one with `seimai quality train`")
    return _open(folder, card.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _open(folder: Path, _mtime_ns: int) -> QualityModel:
    from fasttext import FastText

    place = folder / CARD
    try:
        card = read_json(place)
        how, max_chars, languages = card["feed"], int(card["max_chars"]), tuple(card["languages"])
        path, sha256, number = folder / Path(card["model"]["file"]).name, card["model"]["sha256"], card["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{place}: not the card of a quality model ({error!r}); train it again") from None
    if number != FORMAT or how not in FEEDS:
        raise InputError(f"{place}: format {number}, feed {how!r} are not known here; train it with this version")
    if not path.is_file() or sha256_file(path) != sha256:
        raise InputError(f"{path}: missing or not the file of its card; copy the folder again")
    try:
        predictor = FastText._FastText(model_path=str(path)).f
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{path}: not a fastText model ({error}); train it again") from None
    return QualityModel(predictor, how, max_chars, languages, sha256)


def quality_model_parts(config: QualityModelConfig) -> dict[str, Any]:
    """What scores depend on besides texts: the model's SHA-256 and how it is fed; empty without a model."""
    if not config.path:
        return {}
    model = open_quality_model(Path(config.path))
    return {
        "sha256": model.sha256,
        "feed": model.feed,
        "max_chars": model.max_chars,
        "languages": list(model.languages),
    }


def probabilities(predictor: Any, lines: pa.LargeStringArray) -> np.ndarray:
    """Probability of `good` of each line that `feed` made, float32, 0 to 1."""
    scores = np.zeros(len(lines), np.float32)
    good = LABELS[0]
    for begin in range(0, len(lines), SCORED_ROWS):
        part = [line + "\n" for line in lines[begin : begin + SCORED_ROWS].to_pylist()]
        labels, found = predictor.multilinePredict(part, 2, 0.0, "strict")
        for row, (names, values) in enumerate(zip(labels, found, strict=True), start=begin):
            scores[row] = values[names.index(good)] if good in names else 0.0
    return np.minimum(scores, np.float32(1.0))  # fastText returns up to 1.00006


def quality_scores(
    texts: pa.Array | pa.ChunkedArray | Sequence[str | None],
    langs: pa.Array | pa.ChunkedArray | Sequence[str | None],
    folder: Path,
) -> pa.Array:
    """Score of each text, float32, 0 (bad) to 1 (good); null without a text or where the model has no such language.

    Raises InputError where the folder is no model.
    """
    from .text_kernels import as_strings

    model = open_quality_model(folder)
    array = as_strings(texts)
    names = langs if isinstance(langs, pa.Array | pa.ChunkedArray) else pa.array(langs, pa.string())
    known = pc.is_in(names, pa.array(model.languages, pa.string()))
    asked = pc.fill_null(pc.and_(known, pc.greater(pc.utf8_length(array), 0)), False)
    chosen = np.flatnonzero(np.asarray(asked))
    scores = np.zeros(len(array), np.float32)
    lines = feed(array.take(pa.array(chosen)), model.feed, max_chars=model.max_chars)
    scores[chosen] = probabilities(model.predictor, lines)
    absent = np.ones(len(array), bool)
    absent[chosen] = False
    return pa.array(scores, mask=absent)
