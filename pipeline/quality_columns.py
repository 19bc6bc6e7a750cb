"""Documents in; what models say of them as columns: `quality`, `perplexity` and `perplexity_bucket`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from .perplexity import PerplexityConfig, buckets, perplexities, perplexity_parts
from .presets import MODEL_COLUMNS, QualityConfig, rules
from .quality_model import QualityModelConfig, quality_model_parts, quality_scores

__all__ = ["VERSION", "model_columns", "model_parts", "unscored_rule"]

VERSION = 1
"""Part of the fingerprint of the stage that measures, where a model is configured."""

Perplexity = Mapping[str, PerplexityConfig]


def model_columns(documents: pa.Table, quality_model: QualityModelConfig, perplexity: Perplexity) -> pa.Table:
    """The columns of the models a config names, row-aligned with documents (text, lang); none where it names none."""
    found = {}
    if quality_model.path:
        found["quality"] = quality_scores(documents["text"], documents["lang"], Path(quality_model.path))
    if perplexity:
        values = np.full(len(documents), np.nan)
        numbers = pa.nulls(len(documents), pa.int64())
        langs = np.array([lang or "" for lang in documents["lang"].to_pylist()], object)
        for lang in sorted(perplexity):
            rows = np.flatnonzero(langs == lang)
            texts = documents["text"].take(pa.array(rows)).to_pylist()
            values[rows] = perplexities(texts, perplexity[lang])
            numbers = _placed(numbers, rows, buckets(values[rows], perplexity[lang]))
        found["perplexity"] = pa.array(values, mask=np.isnan(values))
        found["perplexity_bucket"] = numbers
    return pa.table(found)


def model_parts(quality_model: QualityModelConfig, perplexity: Perplexity) -> dict[str, Any]:
    """What the columns depend on besides code and texts; empty without models, so that nothing is measured again."""
    found: dict[str, Any] = {}
    if quality_model.path:
        found["quality"] = quality_model_parts(quality_model)
    if perplexity:
        found["perplexity"] = {lang: perplexity_parts(perplexity[lang]) for lang in sorted(perplexity)}
    return {"version": VERSION, **found} if found else {}


def unscored_rule(
    quality: Mapping[str, QualityConfig], quality_model: QualityModelConfig, perplexity: Perplexity
) -> str | None:
    """What is wrong where a rule asks for a column that no model of the config gives; None where all have one."""
    for lang, section in quality.items():
        for rule in rules(section):
            if rule.column not in MODEL_COLUMNS:
                continue
            if rule.column == "quality":
                if not quality_model.path:
                    return f"quality.{lang}: {rule.reason} asks for quality; set quality_model.path"
            elif lang not in perplexity:
                return f"quality.{lang}: {rule.reason} asks for {rule.column}; add [perplexity.{lang}]"
            elif rule.column == "perplexity_bucket" and perplexity[lang].head is None:
                return f"quality.{lang}: {rule.reason} asks for a bucket; set head and tail in [perplexity.{lang}]"
    return None


def _placed(column: pa.Array, rows: np.ndarray, values: pa.Array) -> pa.Array:
    """The column with other values in some rows."""
    place = np.arange(len(column))
    place[rows] = len(column) + np.arange(len(rows))
    return pa.concat_arrays([column, values]).take(pa.array(place))
