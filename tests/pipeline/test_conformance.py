"""Presets against the decisions of the systems they are from, recorded by bench/conformance.py on texts of our own."""

import gzip
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from seimai.pipeline.edits import edited_texts
from seimai.pipeline.line_rules import line_edits, rules_of
from seimai.pipeline.measure import signals
from seimai.pipeline.presets import QualityConfig, preset, preset_names, rules, verdicts
from seimai.pipeline.signal_columns import groups_of
from seimai.pipeline.wordlists import ListConfig, WordList, open_list

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
LEAST = 0.99
CLEANED = ("c4",)
"""Presets whose original cuts lines first and asks its rules of what is left, in one filter."""
NEVER_BROKEN = {("fineweb2-ja", "min_mean_word_chars")}
"""No word has less than one character; nor has any text here 100,001 words (max_words)."""
CASES = [
    ("datatrove", "gopher@datatrove", "en"),
    ("datatrove", "fineweb", "en"),
    ("datatrove", "c4", "en"),
    ("datatrove", "fineweb2-ja", "ja"),
    ("dolma", "gopher@dolma", "en"),
    ("uniseg", "refinedweb", "en"),
    ("hojichar", "hojichar-ja", "ja"),
    ("hojichar", "llmjp-v1", "ja"),
]


@lru_cache(maxsize=1)
def golden(peer: str) -> dict[str, Any]:
    """What a peer decided."""
    with gzip.open(GOLDEN / f"conformance_{peer}.json.gz", "rt", encoding="utf-8") as stream:
        found: dict[str, Any] = json.load(stream)
    return found


def word_lists(peer: str, name: str, folder: Path) -> dict[str, WordList]:
    """The word lists the peer was given, read as the original of the preset reads them."""
    found = {}
    for kind, words in golden(peer)["lists"].items():
        path = folder / f"{kind}.txt"
        path.write_text("\n".join(words), encoding="utf-8")
        whole = name == "llmjp-v1" and kind != "ad"
        found[kind] = open_list(ListConfig(path=str(path), order="listed", whole_katakana=whole, whole_latin=False))
    return found


def decided(peer: str, name: str, lang: str, folder: Path) -> tuple[list[str], list[list[str]], list[list[str]]]:
    """The rules both asked, and what each text breaks: by us, by the peer."""
    rows = [row for row in golden(peer)["texts"] if row["lang"] == lang]
    texts = [row["text"] for row in rows]
    if name in CLEANED:
        documents = pa.table({"id": [str(n) for n in range(len(texts))], "text": texts, "lang": [lang] * len(texts)})
        texts = edited_texts(documents, [line_edits(documents, {lang: rules_of(preset(name).cleaning)})])
    asked = [rule for rule in rules(QualityConfig(preset=name)) if rule.reason in golden(peer)["rules"][name]]
    groups = groups_of(rule.column for rule in asked)
    if "sudachi" in groups:
        pytest.importorskip("sudachipy", reason="pip install sudachipy sudachidict_core")
    if "unidic" in groups:
        pytest.importorskip("fugashi", reason="pip install fugashi unidic-lite")
    lists = word_lists(peer, name, folder) if "words" in groups else None
    table = signals(texts, lang, groups=groups, lists=lists)
    ours = verdicts(table, asked)["reasons"].to_pylist()
    return [rule.reason for rule in asked], ours, [row["broken"][name] for row in rows]


def agreement(ours: Sequence[bool], theirs: Sequence[bool]) -> float:
    """Share of equal decisions."""
    return sum(a == b for a, b in zip(ours, theirs, strict=True)) / len(ours)


@pytest.mark.parametrize(("peer", "name", "lang"), CASES)
def test_every_rule_decides_as_the_original(peer: str, name: str, lang: str, tmp_path: Path) -> None:
    reasons, ours, theirs = decided(peer, name, lang, tmp_path)
    assert set(reasons) == set(golden(peer)["rules"][name])
    found = {
        reason: agreement([reason in row for row in ours], [reason in row for row in theirs]) for reason in reasons
    }
    assert {reason: share for reason, share in found.items() if share < LEAST} == {}
    assert agreement([bool(row) for row in ours], [bool(row) for row in theirs]) >= LEAST


@pytest.mark.parametrize(("peer", "name", "lang"), CASES)
def test_the_texts_are_on_both_sides_of_every_rule(peer: str, name: str, lang: str) -> None:
    """Agreement means something only where a rule both keeps and drops; but nothing here breaks NEVER_BROKEN."""
    rows = [row["broken"][name] for row in golden(peer)["texts"] if row["lang"] == lang]
    assert len(rows) >= 500
    for reason in golden(peer)["rules"][name]:
        broken = sum(reason in row for row in rows)
        assert (name, reason) in NEVER_BROKEN or reason == "max_words" or 0 < broken < len(rows), reason


def test_the_recorded_presets_exist() -> None:
    assert {name for _, name, _ in CASES} <= set(preset_names())
    assert golden("datatrove")["version"] == "0.10.1"
