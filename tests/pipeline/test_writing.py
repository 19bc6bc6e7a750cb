"""Warnings before a run: what is declared of columns against what presets do to good prose of both languages."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from seimai.cli import app
from seimai.errors import SeimaiError
from seimai.pipeline.edits import CUT_SIGNALS
from seimai.pipeline.measure import signals
from seimai.pipeline.presets import QualityConfig, preset_names, rules, verdicts
from seimai.pipeline.signal_columns import COLUMNS, groups_of
from seimai.pipeline.writing import foreign_rules, grounds, quality_warnings
from seimai.sample.articles import articles

NOT_BY_COLUMNS = {"c4", "c4@datatrove", "c4-ja", "fineweb2-ja"}
"""Presets whose damage is done by their line rules, and one whose words want an analyser."""


def prose(lang: str) -> list[str]:
    """Articles of the sample web, two by two, so that no rule on length speaks."""
    texts = [article.text for article in articles() if article.lang == lang]
    return [f"{a}\n{b}" for a, b in zip(texts[::2], texts[1::2], strict=False)][:20]


@pytest.mark.parametrize("name", [name for name in preset_names() if name not in NOT_BY_COLUMNS])
@pytest.mark.parametrize("lang", ["ja", "en"])
def test_a_preset_is_warned_of_exactly_where_it_drops_everything(name: str, lang: str) -> None:
    """The declaration is right: no warning for presets that keep good prose, one for those that drop all of it."""
    asked = [rule for rule in rules(QualityConfig(preset=name)) if rule.column not in CUT_SIGNALS]
    table = signals(prose(lang), lang, groups=groups_of(rule.column for rule in asked))
    kept = verdicts(table, asked)["reason"].null_count
    warned = foreign_rules(lang, asked) != {}
    assert warned == (kept == 0), (kept, foreign_rules(lang, asked))


def test_own_rules_are_judged_and_disabled_ones_are_not() -> None:
    added = [{"reason": "kana", "column": "hiragana_ratio", "keep": ">=", "threshold": 0.2}]
    own = QualityConfig.model_validate({"preset": "none", "add": added})
    assert quality_warnings({"en": own, "ja": own}, {}) == [
        "quality.en (none): kana needs kana; in 'en' it drops nearly every page"
    ]
    tame = QualityConfig(preset="gopher", disable=["min_mean_word_chars", "min_stop_words"])
    assert quality_warnings({"ja": tame}, {}) == []
    free = QualityConfig.model_validate({"preset": "gopher", "min_mean_word_chars": 0, "min_stop_words": 0})
    assert quality_warnings({"ja": free}, {}) == []


def test_line_rules_are_judged_too() -> None:
    [warning] = quality_warnings({}, {"ja": ["web-ja", "c4"], "en": ["c4"]})
    assert warning == "cleaning.line_rules.ja: c4 needs words between spaces; in 'ja' it drops nearly every page"


def test_presets_that_rest_on_cleaning_say_so() -> None:
    c4 = {"en": QualityConfig(preset="c4")}
    assert quality_warnings(c4, {"en": ["web-en", "c4"]}) == []
    [warning] = quality_warnings(c4, {"en": ["web-en"]})
    assert warning == "quality.en (c4): its original first cuts lines; add 'c4' to cleaning.line_rules.en"


def test_what_is_declared_exists() -> None:
    for ground in grounds():
        assert bool(ground.only_in) != bool(ground.not_in)
        assert {*ground.low, *ground.high} <= set(COLUMNS)


def test_the_command_warns_before_it_reads(tmp_path: Path) -> None:
    config = tmp_path / "web.toml"
    config.write_text('[quality.ja]\npreset = "gopher"\n', encoding="utf-8")
    command = ["run", str(config), "--input", str(tmp_path / "none.warc.gz"), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, [*command, "--workers", "0"])
    assert result.exit_code != 0
    assert "seimai: warning: quality.ja (gopher): min_stop_words needs English words" in result.stderr
    assert isinstance(result.exception, SeimaiError)
