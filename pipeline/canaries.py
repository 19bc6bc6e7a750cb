"""Canaries: documents whose fate is known in; whether a run's own settings keep the good and drop the bad ones, out.

They take the way of a page from its text on: language and its gates, line rules, signals, rules. Extraction and
duplicates are left out. `canaries.toml` holds the package's own; good ones are plain prose that every published preset
of their language keeps.
"""

import json
import tomllib
from collections.abc import Callable, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from pydantic import ValidationError

from seimai.config import Section
from seimai.errors import ConfigError
from seimai.files import canonical_json, fingerprint, write_atomic

from . import decide, presets
from .edits import cut_signals, edited_texts
from .gates import language_gate
from .judge import asked_columns, judge
from .line_rules import line_edits, rules_of
from .presets import rules
from .settings import RunConfig, stage_fingerprints
from .stages import identifier, measured

__all__ = [
    "Canary",
    "CanaryVerdict",
    "canaries_digest",
    "canary_errors",
    "canary_warnings",
    "gather_canaries",
    "judge_canaries",
    "read_verdicts",
    "send_canaries",
    "shipped_canaries",
    "verdicts_text",
]


class Canary(Section):
    """One document whose fate is known."""

    name: str
    """What errors call it."""
    lang: str
    """Its language, ISO 639-1; where a run has no rules for it, the canary stays at home."""
    good: bool
    """Whether a run must keep it, or must drop it."""
    text: str
    """What a page of it would say."""
    what: str = ""
    """What kind of text it is."""


class CanaryVerdict(NamedTuple):
    """What a run's settings do with a canary; `reason` and `detail` (the number) are empty where it is kept."""

    name: str
    lang: str
    good: bool
    reason: str
    detail: str

    @property
    def wrong(self) -> bool:
        """A good one is dropped, or a bad one kept."""
        return self.good == bool(self.reason)


def shipped_canaries() -> list[Canary]:
    """The canaries of the package.

    >>> sorted({(canary.lang, canary.good) for canary in shipped_canaries()})
    [('en', False), ('en', True), ('ja', False), ('ja', True)]
    """
    data = tomllib.loads((files("seimai.pipeline") / "canaries.toml").read_text(encoding="utf-8"))
    return [Canary(name=name, **entry) for name, entry in data.items()]


def gather_canaries(config: RunConfig) -> list[Canary]:
    """The canaries that a config asks for, whatever their language.

    Raises ConfigError for a file that is none of canaries.
    """
    found = shipped_canaries() if config.canaries.shipped else []
    return found + [canary for name in config.canaries.files for canary in _read(Path(name))]


def canaries_digest(config: RunConfig, canaries: Sequence[Canary]) -> str:
    """What the verdicts depend on: the texts, the stages and the rules."""
    return fingerprint(
        {
            "canaries": [canary.model_dump() for canary in canaries],
            "stages": stage_fingerprints(config),
            "versions": [decide.VERSION, presets.VERSION],
            "gates": config.gates.model_dump(mode="json"),
            "quality": {lang: section.model_dump(mode="json") for lang, section in config.quality.items()},
        }
    )


def judge_canaries(canaries: Sequence[Canary], config: RunConfig) -> list[CanaryVerdict]:
    """The verdict on every canary whose language the run has rules for and lets in, in their order."""
    sent = [canary for canary in canaries if canary.lang in config.quality and canary.lang in config.gates.languages]
    if not sent:
        return []
    table = _columns(sent, config)
    first = judge(table, config.quality)
    names = [first.names[code] if code >= 0 else "" for code in first.first.tolist()]
    return [
        CanaryVerdict(canary.name, canary.lang, canary.good, reason, _detail(reason, canary, row, config))
        for canary, reason, row in zip(sent, names, table.to_pylist(), strict=True)
    ]


def canary_errors(verdicts: Sequence[CanaryVerdict], *, strict: bool = False) -> list[str]:
    """A line for each good canary that is lost; with `strict` also for each bad one that is kept.

    >>> canary_errors([CanaryVerdict("ja-essay", "ja", True, "min_chars", "n_chars = 718, asked >= 5000")])
    ['the good canary ja-essay is dropped by quality.ja min_chars (n_chars = 718, asked >= 5000)']
    """
    lost = [
        f"the good canary {v.name} is dropped by quality.{v.lang} {v.reason} ({v.detail})"
        for v in verdicts
        if v.wrong and v.good
    ]
    return lost + (canary_warnings(verdicts) if strict else [])


def canary_warnings(verdicts: Sequence[CanaryVerdict]) -> list[str]:
    """A line for each bad canary that is kept."""
    return [f"the bad canary {v.name} is kept by quality.{v.lang}" for v in verdicts if v.wrong and not v.good]


def send_canaries(
    run: Path,
    config: RunConfig,
    canaries: Sequence[Canary],
    run_one: Callable[[Callable[[Sequence[Canary]], list[CanaryVerdict]], Sequence[Canary]], list[CanaryVerdict]],
    changing: Callable[[], None],
) -> list[CanaryVerdict]:
    """The verdicts, written to `canaries.json`; read from there where nothing has changed since.

    `run_one` calls a function with the canaries, on a cluster or here; `changing` is called before a file changes.
    """
    path = run / "canaries.json"
    made = canaries_digest(config, canaries)
    stood, verdicts = read_verdicts(path.read_bytes()) if path.exists() else ("", [])
    if stood != made:
        verdicts = run_one(partial(judge_canaries, config=config), canaries)
        changing()
        write_atomic(path, verdicts_text(verdicts, made))
    return verdicts


def _read(path: Path) -> list[Canary]:
    """Canaries of the user's: JSON lines with name, lang, good and text."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"canaries.files: {path}: cannot be read ({error}); give JSON lines in UTF-8") from None
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(Canary.model_validate(json.loads(line)))
        except (json.JSONDecodeError, ValidationError):
            raise ConfigError(
                f"canaries.files: {path}:{number}: is no canary; write "
                '{"name": "ours-1", "lang": "ja", "good": true, "text": "…"}'
            ) from None
    return found


def _columns(canaries: Sequence[Canary], config: RunConfig) -> pa.Table:
    """Everything gates and rules ask for, a row for each canary."""
    texts = pa.array([canary.text for canary in canaries], pa.large_string())
    found = identifier(config)(texts)
    gates = [language_gate(config.gates, row["lang"], row["lang_score"]) for row in found.to_pylist()]
    # Rules are those of the language the canary was written in; what a model takes for another one is dropped for it.
    gates = [
        gate or (None if lang == canary.lang else ("language", lang or "none"))
        for gate, lang, canary in zip(gates, found["lang"].to_pylist(), canaries, strict=True)
    ]
    documents = pa.table(
        {
            "id": [str(number) for number in range(len(canaries))],
            "text": texts,
            "lang": pa.array([canary.lang for canary in canaries], pa.string()),
        }
    )
    asked = {lang: rules_of(names) for lang, names in config.cleaning.line_rules.items()}
    edits = line_edits(documents, asked)
    spans = [edits] if len(edits) else []
    table = measured(documents.set_column(1, "text", edited_texts(documents, spans)), config)
    cut = cut_signals(documents, spans, table["n_chars"].fill_null(0).to_numpy())
    columns = {name: part[name] for part in (cut, table) for name in part.column_names}
    columns |= {name: found[name] for name in ("lang_score", "lang_2nd", "lang_2nd_score", "script")}
    columns |= {
        "lang": documents["lang"],
        "gate": pa.array([gate[0] if gate else None for gate in gates], pa.string()),
        "gate_value": pa.array([gate[1] if gate else None for gate in gates], pa.string()),
        "cluster_size": pa.array([1] * len(canaries), pa.int64()),
    }
    # What is only known of a page, as the category of its address, is not known of a canary, and breaks no rule.
    for name in asked_columns(config.quality):
        columns.setdefault(name, pa.chunked_array([pa.nulls(len(canaries), pa.float64())]))
    return pa.table(columns)


def _detail(reason: str, canary: Canary, row: dict[str, Any], config: RunConfig) -> str:
    """The number that decided."""
    if not reason:
        return ""
    if row["gate"] is not None:
        return f"saw {row['gate_value']}"
    rule = next((rule for rule in rules(config.quality[canary.lang]) if rule.reason == reason), None)
    return f"{rule.column} = {row[rule.column]:g}, asked {rule.keep} {rule.threshold:g}" if rule else "nothing was left"


def verdicts_text(verdicts: Sequence[CanaryVerdict], made: str) -> str:
    """What a run directory keeps of the verdicts, with the fingerprint they were made under.

    >>> read_verdicts(verdicts_text([CanaryVerdict("a", "ja", True, "", "")], "f").encode())[1][0].name
    'a'
    """
    return canonical_json({"fingerprint": made, "verdicts": [verdict._asdict() for verdict in verdicts]}) + "\n"


def read_verdicts(data: bytes) -> tuple[str, list[CanaryVerdict]]:
    """The fingerprint and the verdicts in such a file; an empty fingerprint where it is damaged."""
    try:
        found = json.loads(data)
        return str(found["fingerprint"]), [CanaryVerdict(**entry) for entry in found["verdicts"]]
    except (ValueError, KeyError, TypeError):
        return "", []
