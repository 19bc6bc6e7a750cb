"""Canaries: what is plain prose passes everywhere, junk does not, and a run that loses a good one says by what."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from seimai.config import apply_overrides, parse_config
from seimai.errors import ConfigError, RunError
from seimai.files import read_json
from seimai.pipeline.canaries import (
    Canary,
    canary_errors,
    canary_warnings,
    gather_canaries,
    judge_canaries,
    shipped_canaries,
)
from seimai.pipeline.job import RunSummary, polish
from seimai.pipeline.manifest import verify
from seimai.pipeline.presets import preset, preset_names
from seimai.pipeline.run import Engine
from seimai.pipeline.settings import RunConfig


def config(*sets: str) -> RunConfig:
    return parse_config(apply_overrides({}, sets), RunConfig, "test")


def test_the_default_config_keeps_the_good_and_drops_the_bad() -> None:
    verdicts = judge_canaries(shipped_canaries(), config())
    assert {verdict.name for verdict in verdicts} == {canary.name for canary in shipped_canaries()}
    assert [verdict for verdict in verdicts if verdict.wrong] == []
    assert all(verdict.detail for verdict in verdicts if not verdict.good)


def presets_by_language() -> list[tuple[str, str]]:
    names = dict.fromkeys(preset(name).name for name in preset_names())
    return [(name, lang) for name in names for lang in preset(name).languages if lang in ("ja", "en")]


@pytest.mark.parametrize(("name", "lang"), presets_by_language())
def test_every_preset_keeps_the_good_ones_of_its_language(name: str, lang: str) -> None:
    columns = {rule.column.partition("_")[0] for rule in preset(name).rules}
    needed = {"sudachi": "sudachipy", "unidic": "fugashi"}
    absent = [package for group, package in needed.items() if group in columns and find_spec(package) is None]
    if absent:
        pytest.skip(f"{absent[0]} is not installed")
    lists = json.dumps(list(preset(name).cleaning))
    sets = (f"quality.{lang}.preset={name}", f"cleaning.line_rules.{lang}={lists}")
    verdicts = judge_canaries(shipped_canaries(), config(*sets))
    assert {verdict.lang for verdict in verdicts} == {lang}
    assert canary_errors(verdicts) == []


@pytest.mark.parametrize(
    ("sets", "line"),
    [
        (
            ("quality.ja.preset=web-ja", "quality.ja.min_chars=650"),
            "ja-guide is dropped by quality.ja min_chars (n_chars",
        ),
        (("quality.ja.preset=gopher",), "dropped by quality.ja min_mean_word_chars"),
        (("quality.en.preset=none", "quality.en.min_lang_score=1.0"), "quality.en min_lang_score (lang_score = 0."),
        (("gates.min_lang_score=1.0",), "lang_score (saw 0."),
    ],
)
def test_a_lost_canary_is_told_with_rule_and_number(sets: tuple[str, ...], line: str) -> None:
    assert any(line in error for error in canary_errors(judge_canaries(shipped_canaries(), config(*sets))))


def test_only_languages_that_the_run_wants_are_sent() -> None:
    assert judge_canaries(shipped_canaries(), config("gates.languages=['ko']")) == []
    only = judge_canaries(shipped_canaries(), config("gates.languages=['ja']"))
    assert {verdict.lang for verdict in only} == {"ja"}


def test_a_text_in_another_language_than_it_says_is_dropped_for_it() -> None:
    english = next(canary.text for canary in shipped_canaries() if canary.name == "en-essay")
    (verdict,) = judge_canaries([Canary(name="x", lang="ja", good=True, text=english)], config())
    assert (verdict.reason, verdict.detail) == ("language", "saw en")


def test_what_cleaning_leaves_is_judged() -> None:
    menu = Canary(name="x", lang="ja", good=True, text="次のページ\n")
    (verdict,) = judge_canaries([menu], config("quality.ja.preset=none", "gates.min_lang_score=0"))
    assert (verdict.reason, verdict.detail) == ("emptied", "nothing was left")


def own_file(tmp_path: Path, **more: Any) -> Path:
    path = tmp_path / "own.jsonl"
    text = next(canary.text for canary in shipped_canaries() if canary.name == "ja-essay")
    path.write_text(json.dumps({"name": "ours", "lang": "ja", "good": False, "text": text, **more}) + "\n")
    return path


def test_files_of_ones_own(tmp_path: Path) -> None:
    settings = config(f"canaries.files=['{own_file(tmp_path)}']", "canaries.shipped=false")
    verdicts = judge_canaries(gather_canaries(settings), settings)
    assert canary_errors(verdicts) == []
    assert canary_warnings(verdicts) == ["the bad canary ours is kept by quality.ja"]
    assert canary_errors(verdicts, strict=True) == canary_warnings(verdicts)
    assert gather_canaries(config("canaries.shipped=false")) == []


@pytest.mark.parametrize(
    ("text", "place"),
    [("not json", ":1: is no canary"), ('{"name": "x"}', ":1: is no canary"), (None, "cannot be read")],
)
def test_a_file_that_is_none(tmp_path: Path, text: str | None, place: str) -> None:
    path = tmp_path / "own.jsonl"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=place):
        gather_canaries(config(f"canaries.files=['{path}']"))


def test_a_run_that_loses_a_canary_is_written_and_then_fails(
    tmp_path: Path, warc_record: Any, warc_archive: Any, http_page: Any
) -> None:
    text = next(canary.text for canary in shipped_canaries() if canary.name == "en-essay").replace("\n", " ")
    archive = tmp_path / "crawl.warc.gz"
    archive.write_bytes(warc_archive([warc_record(0, http_page(0, text))]))
    out = tmp_path / "run"

    def run(*sets: str) -> RunSummary:
        return polish(config(*sets), out, inputs=[str(archive)], engine=Engine(workers=0))

    run().raise_for_canaries()
    before = (out / "canaries.json").read_bytes()
    strict = ("quality.ja.preset=web-ja", "quality.en.preset=web-en", "quality.en.min_words=5000")
    for again in (True, False):
        lost = run(*strict)
        assert lost.changed == again
        with pytest.raises(RunError, match=r"en-essay is dropped by quality\.en min_words \(n_plain_words = 2"):
            lost.raise_for_canaries()
    verify(out)
    assert read_json(out / "canaries.json")["verdicts"][4]["reason"] == "min_words"
    run(*strict, "canaries.shipped=false").raise_for_canaries()
    assert read_json(out / "canaries.json")["verdicts"] == []
    run()
    assert (out / "canaries.json").read_bytes() == before
    verify(out)
