"""Quality presets: named lists of rules over the columns of signals, and the verdicts they give.

A rule is data (`presets.toml`): column, comparison, threshold, reason. Signals are measured once; deciding again with
other thresholds reads columns only. docs/presets.md tells how close each preset is to its original.
"""

import difflib
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, model_validator

from seimai.config import Section

from .edits import CUT_SIGNALS
from .own_columns import OWN_NAME
from .pii import PII_SIGNALS
from .signal_columns import COLUMNS as SIGNAL_COLUMNS

__all__ = [
    "VERSION",
    "AddedRule",
    "Preset",
    "QualityConfig",
    "Rule",
    "breaks",
    "preset",
    "preset_names",
    "rules",
    "verdicts",
]

VERSION = 3

MODEL_COLUMNS = ("quality", "perplexity", "perplexity_bucket")
"""What the models of [quality_model] and [perplexity] say."""
COLUMNS = (*SIGNAL_COLUMNS, *CUT_SIGNALS, *PII_SIGNALS, *MODEL_COLUMNS, "lang_score", "cluster_size")
"""What a rule may ask for."""


class Rule(NamedTuple):
    """A text is kept when `column keep threshold` holds, else dropped for `reason`."""

    reason: str
    column: str
    keep: str
    threshold: float


class Preset(NamedTuple):
    """A published list of rules, in the order they are asked."""

    name: str
    version: int
    languages: tuple[str, ...]
    """What its thresholds were made for, ISO 639-1."""
    cleaning: tuple[str, ...]
    """Lists of line rules that the original applies first."""
    source: str
    note: str
    rules: tuple[Rule, ...]


_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    ">=": np.greater_equal,
    "<=": np.less_equal,
    ">": np.greater,
    "<": np.less,
}


@lru_cache(maxsize=1)
def _presets() -> dict[str, Preset]:
    data = tomllib.loads((files("seimai.pipeline") / "presets.toml").read_text(encoding="utf-8"))
    result = {}
    for name, entry in data.items():
        listed = tuple(Rule(**rule) for rule in entry["rules"])
        languages, cleaning = tuple(entry["languages"]), tuple(entry.get("cleaning", ()))
        found = Preset(name, entry["version"], languages, cleaning, entry["source"], entry["note"], listed)
        result.update(dict.fromkeys((name, *entry["aliases"]), found))
    return result


def preset_names() -> tuple[str, ...]:
    """Every name a config may write.

    >>> preset_names()[:3]
    ('none', 'web-ja', 'web-en')
    """
    return tuple(_presets())


def preset(name: str) -> Preset:
    """The preset of that name; ValueError names the known ones.

    >>> preset("gopher@datatrove").rules[0]
    Rule(reason='min_words', column='datatrove_n_plain_words', keep='>=', threshold=50)
    """
    if name not in _presets():
        raise ValueError(f"unknown preset {name!r}; {_nearest(name, preset_names())}")
    return _presets()[name]


class AddedRule(Section):
    """A rule of one's own: a text is kept when `column keep threshold` holds."""

    reason: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Its name in decisions and tallies."""
    column: str
    """A column of signals, of [signals.own] or of a model, or lang_score or cluster_size."""
    keep: Literal[">=", "<=", ">", "<"]
    """The comparison."""
    threshold: float = Field(allow_inf_nan=False)
    """What the column is compared with."""

    @model_validator(mode="after")
    def _known_column(self) -> Self:
        # Own columns are declared in [signals.own]; RunConfig sees both.
        if self.column not in COLUMNS and not OWN_NAME.fullmatch(self.column):
            raise ValueError(f"no column {self.column!r}; {_nearest(self.column, COLUMNS)}")
        return self


class QualityConfig(Section):
    """Section [quality.<language>]: a preset and what differs from it.

    Any other key must be a reason of the preset, with the threshold to use instead: `min_hiragana_ratio = 0.15`.
    """

    # Which keys are allowed depends on the preset, so pydantic lets all in and the validator below judges them.
    model_config = ConfigDict(extra="allow")

    preset: str
    """Name of the preset, as web-ja or swallow-v1; docs/presets.md lists them."""
    min_lang_score: float = Field(default=0.0, ge=0.0, le=1.0)
    """Least probability of the language, 0 to 1; 0 asks nothing."""
    disable: list[str] = []
    """Reasons of the preset that are not asked."""
    add: list[AddedRule] = []
    """Rules asked after the preset's."""

    @model_validator(mode="after")
    def _known_reasons(self) -> Self:
        reasons = [rule.reason for rule in preset(self.preset).rules]
        for reason in self.disable:
            if reason not in reasons:
                raise ValueError(f"disable: {self.preset!r} has no reason {reason!r}; {_nearest(reason, reasons)}")
        for at, added in enumerate(self.add):
            taken = [*reasons, "min_lang_score", *(rule.reason for rule in self.add[:at])]
            if added.reason in taken:
                raise ValueError(f"add: the reason {added.reason!r} is taken; give the rule another name")
        for reason, value in (self.model_extra or {}).items():
            if reason not in reasons:
                fields = list(type(self).model_fields)
                raise ValueError(f"unknown key {reason!r}; {_nearest(reason, [*reasons, *fields])}")
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"{reason} = {value!r} is not a number; write a threshold such as 0.2")
        return self


def rules(quality: QualityConfig) -> list[Rule]:
    """The preset's rules with the config's thresholds, without the disabled ones, and those the config adds.

    With `min_lang_score` above 0 the first rule asks the column `lang_score`.

    >>> [rule.threshold for rule in rules(QualityConfig(preset="gopher", min_words=20)) if rule.reason == "min_words"]
    [20]
    """
    result = []
    if quality.min_lang_score > 0:
        result.append(Rule("min_lang_score", "lang_score", ">=", quality.min_lang_score))
    overrides = quality.model_extra or {}
    for rule in preset(quality.preset).rules:
        if rule.reason not in quality.disable:
            result.append(rule._replace(threshold=overrides.get(rule.reason, rule.threshold)))
    return result + [Rule(rule.reason, rule.column, rule.keep, rule.threshold) for rule in quality.add]


def verdicts(table: pa.Table, rules: Sequence[Rule]) -> pa.Table:
    """Row-aligned: `reason`, the first rule that drops (null when kept), and `reasons`, every one that would have.

    A null number breaks no rule; a row whose numbers are all null is not judged: both columns are null. Raises
    ValueError for a column the table lacks.

    >>> table = pa.table({"n_plain_words": [10, 60, None]})
    >>> verdicts(table, [Rule("min_words", "n_plain_words", ">=", 50)]).to_pydict()
    {'reason': ['min_words', None, None], 'reasons': [['min_words'], [], None]}
    """
    missing = sorted({rule.column for rule in rules} - set(table.column_names))
    if missing:
        raise ValueError(f"the table has no column {', '.join(missing)}; measure the signals of these texts first")
    broken = np.zeros((table.num_rows, len(rules)), np.bool_)
    judged = np.full(table.num_rows, not rules)
    for number, rule in enumerate(rules):
        broken[:, number], present = breaks(table[rule.column], rule)
        judged |= present
    text, which = np.nonzero(broken)
    names = pa.array([rule.reason for rule in rules], pa.string())
    ends = np.concatenate([[0], np.cumsum(np.bincount(text, minlength=table.num_rows))]).astype(np.int32)
    reasons = pa.ListArray.from_arrays(pa.array(ends), names.take(pa.array(which)), mask=pa.array(~judged))
    first = broken.argmax(axis=1) if rules else np.zeros(table.num_rows, np.int64)
    reason = names.take(pa.array(first, mask=~broken.any(axis=1)))
    return pa.table({"reason": reason, "reasons": reasons})


def breaks(column: pa.ChunkedArray, rule: Rule) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where the rule drops, and where there is a number at all; a null number breaks no rule.

    >>> [mask.tolist() for mask in breaks(pa.chunked_array([[10, None]]), Rule("min_words", "n_words", ">=", 50))]
    [[True, False], [True, False]]
    """
    present = column.is_valid().to_numpy()
    values = column.fill_null(0).to_numpy()
    # A float32 score is compared with the threshold's nearest float32: 0.65 must keep a score that was written 0.65.
    threshold = values.dtype.type(rule.threshold) if values.dtype.kind == "f" else rule.threshold
    return present & ~_COMPARISONS[rule.keep](values, threshold), present


def _nearest(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
