"""Presets against the published thresholds at a hair to either side, overrides, and the shape of verdicts."""

import tomllib
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from seimai.config import Section, dump_toml, parse_config
from seimai.errors import ConfigError
from seimai.pipeline.edits import edited_texts
from seimai.pipeline.line_rules import line_edits, list_names, rules_of
from seimai.pipeline.measure import signals
from seimai.pipeline.presets import COLUMNS, QualityConfig, Rule, preset, preset_names, rules, verdicts

GOPHER = [
    ("min_words", "datatrove_n_plain_words", 50, 49),
    ("max_words", "datatrove_n_plain_words", 100_000, 100_001),
    ("min_mean_word_chars", "datatrove_mean_word_chars", 3.0, -1),
    ("max_mean_word_chars", "datatrove_mean_word_chars", 10.0, +1),
    ("max_hash_word_ratio", "datatrove_hash_word_ratio", 0.1, +1),
    ("max_ellipsis_word_ratio", "datatrove_ellipsis_word_ratio", 0.1, +1),
    ("max_bullet_line_ratio", "bullet_line_ratio", 0.9, +1),
    ("max_ellipsis_line_ratio", "ellipsis_line_ratio", 0.3, +1),
    ("min_alpha_word_ratio", "datatrove_alpha_word_ratio", 0.8, -1),
    ("min_stop_words", "datatrove_n_stop_words", 2, 1),
    ("max_dup_paragraph_ratio", "dup_paragraph_ratio", 0.3, +1),
    ("max_dup_paragraph_char_ratio", "dup_paragraph_char_ratio", 0.2, +1),
    ("max_dup_line_ratio", "dup_line_ratio", 0.3, +1),
    ("max_dup_line_char_ratio", "dup_line_char_ratio", 0.2, +1),
    *((f"max_top_{n}word_char_ratio", f"datatrove_top_{n}word_char_ratio", 0.24 - 0.02 * n, +1) for n in (2, 3, 4)),
    *((f"max_dup_{n}word_char_ratio", f"datatrove_dup_{n}word_char_ratio", 0.2 - 0.01 * n, +1) for n in range(5, 11)),
]
SWALLOW = [
    ("min_letters", "n_chars", 400, 399),
    ("max_dup_paragraph_ratio", "dup_ja_line_ratio", 0.3, +1),
    ("max_dup_sentence_ratio", "dup_sentence_ratio", 0.3, +1),
    ("max_dup_paragraph_char_ratio", "dup_ja_line_char_ratio", 0.2, +1),
    ("max_dup_sentence_char_ratio", "dup_sentence_char_ratio", 0.2, +1),
    *((f"max_top_{n}gram_char_ratio", f"top_{n}gram_char_ratio", 0.24 - 0.02 * n, +1) for n in (2, 3, 4)),
    *((f"max_dup_{n}gram_char_ratio", f"dup_{n}gram_char_ratio", 0.2 - 0.01 * n, +1) for n in range(5, 11)),
    ("min_hiragana_ratio", "hiragana_ratio", 0.2, -1),
    ("max_katakana_ratio", "katakana_ratio", 0.5, +1),
    ("min_japanese_ratio", "japanese_ratio", 0.5, -1),
    ("min_japanese_letters", "n_japanese_letters", 400, 399),
    ("min_mean_sentence_chars", "mean_sentence_chars", 20.0, -1),
    ("max_mean_sentence_chars", "mean_sentence_chars", 90.0, +1),
    ("max_sentence_chars", "max_sentence_chars", 200, 201),
    ("max_ellipsis_sentence_ratio", "ellipsis_sentence_ratio", 0.2, +1),
]
GOOD = {
    "gopher": {
        **{"datatrove_n_plain_words": 50, "datatrove_mean_word_chars": 5.0},
        **{"datatrove_alpha_word_ratio": 0.9, "datatrove_n_stop_words": 2},
    },
    "swallow-v1": {
        **{"n_chars": 400, "n_japanese_letters": 400, "hiragana_ratio": 0.5, "katakana_ratio": 0.1},
        **{"japanese_ratio": 0.9, "mean_sentence_chars": 50.0, "max_sentence_chars": 100},
    },
}


def reason_of(name: str, **numbers: float) -> str | None:
    """The verdict on a good text with some numbers changed."""
    row = dict.fromkeys(COLUMNS, 0.0) | GOOD[name] | numbers
    table = pa.table({column: [value] for column, value in row.items()})
    reason: str | None = verdicts(table, rules(QualityConfig(preset=name)))["reason"][0].as_py()
    return reason


@pytest.mark.parametrize(
    ("name", "reason", "column", "edge", "beyond"),
    [("gopher", *row) for row in GOPHER] + [("swallow-v1", *row) for row in SWALLOW],
)
def test_thresholds_to_a_hair(name: str, reason: str, column: str, edge: float, beyond: float) -> None:
    [threshold] = [rule.threshold for rule in preset(name).rules if rule.reason == reason]
    assert threshold == pytest.approx(edge)
    assert reason_of(name, **{column: threshold}) is None
    out = beyond if isinstance(edge, int) else float(np.nextafter(threshold, threshold + beyond))
    assert reason_of(name, **{column: out}) == reason


@pytest.mark.parametrize(("name", "rows"), [("gopher", GOPHER), ("swallow-v1", SWALLOW)])
def test_presets_have_no_other_rules(name: str, rows: list[tuple[Any, ...]]) -> None:
    assert [(rule.reason, rule.column) for rule in preset(name).rules] == [(row[0], row[1]) for row in rows]


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_sound(name: str) -> None:
    found = preset(name)
    assert found.version >= 1
    assert found.source
    assert set(found.cleaning) <= set(list_names())
    assert set(found.languages) <= {"ja", "en"}
    assert len({rule.reason for rule in found.rules}) == len(found.rules)
    for rule in found.rules:
        assert rule.column in COLUMNS
        assert rule.keep in ((">=",) if rule.reason.startswith("min_") else ("<=", "<"))
        # A reason must not hide a setting of the section.
        assert rule.reason not in QualityConfig.model_fields


OWN = {"reason": "long_enough", "column": "n_chars", "keep": ">=", "threshold": 10}


class Config(Section):
    """A configuration with one language."""

    ja: QualityConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preset": "swalow-v1"}, "unknown preset 'swalow-v1'; did you mean 'swallow-v1'?"),
        (
            {"preset": "swallow-v1", "min_hiragana": 0.1},
            "unknown key 'min_hiragana'; did you mean 'min_hiragana_ratio'",
        ),
        ({"preset": "gopher", "min_hiragana_ratio": 0.1}, "unknown key 'min_hiragana_ratio'"),
        ({"preset": "swallow-v1", "disabel": []}, "unknown key 'disabel'; did you mean 'disable'?"),
        ({"preset": "swallow-v1", "min_letters": "many"}, "min_letters = 'many' is not a number"),
        ({"preset": "swallow-v1", "min_letters": True}, "min_letters = True is not a number"),
        ({"preset": "swallow-v1", "min_letters": float("nan")}, "min_letters = nan is not a number"),
        ({"preset": "swallow-v1", "disable": ["min_letter"]}, "did you mean 'min_letters'?"),
        ({"preset": "swallow-v1", "min_lang_score": 1.5}, "min_lang_score"),
        ({"preset": "none", "add": [OWN | {"column": "n_char"}]}, "no column 'n_char'; did you mean 'n_chars'?"),
        ({"preset": "none", "add": [OWN | {"keep": "=="}]}, "keep"),
        ({"preset": "none", "add": [OWN | {"threshold": float("inf")}]}, "threshold"),
        ({"preset": "none", "add": [OWN | {"treshold": 1}]}, "treshold"),
        ({"preset": "none", "add": [OWN, OWN]}, "the reason 'long_enough' is taken"),
        ({"preset": "swallow-v1", "add": [OWN | {"reason": "min_letters"}]}, "the reason 'min_letters' is taken"),
    ],
)
def test_mistakes_are_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({"ja": settings}, Config, "web.toml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_overrides_and_disabled_rules() -> None:
    settings = {"preset": "swallow-v1", "min_lang_score": 0.65, "disable": ["max_sentence_chars"]}
    quality = QualityConfig.model_validate({**settings, "min_hiragana_ratio": 0.15, "min_letters": 10})
    found = {rule.reason: rule.threshold for rule in rules(quality)}
    assert found["min_hiragana_ratio"] == 0.15
    assert found["min_letters"] == 10
    assert "max_sentence_chars" not in found
    assert rules(quality)[0] == Rule("min_lang_score", "lang_score", ">=", 0.65)
    assert len(found) == len(SWALLOW)
    assert parse_config({"ja": quality.model_dump()}, Config, "x").ja == quality
    assert "min_hiragana_ratio = 0.15" in dump_toml(quality)


def test_added_rules_come_last() -> None:
    score = {"reason": "sure", "column": "lang_score", "keep": ">", "threshold": 0.5}
    quality = QualityConfig.model_validate({"preset": "swallow-v1", "add": [OWN, score]})
    assert rules(quality)[-2:] == [Rule("long_enough", "n_chars", ">=", 10), Rule("sure", "lang_score", ">", 0.5)]
    text = dump_toml(Config(ja=quality))
    assert parse_config(tomllib.loads(text), Config, "x").ja == quality


def test_no_rules_keep_everything() -> None:
    table = signals(["", "a", None], "en")
    assert rules(QualityConfig(preset="none")) == []
    assert verdicts(table, []).to_pydict() == {"reason": [None] * 3, "reasons": [[]] * 3}


def test_verdicts_name_the_first_and_all() -> None:
    table = pa.table({"a": [1, 5, 9, None, None], "b": [0.5, 0.1, 0.1, None, 0.1]})
    asked = [Rule("min_a", "a", ">=", 4), Rule("max_a", "a", "<=", 8), Rule("min_b", "b", ">", 0.1)]
    result = verdicts(table, asked)
    assert result["reason"].to_pylist() == ["min_a", "min_b", "max_a", None, "min_b"]
    assert result["reasons"].to_pylist() == [["min_a"], ["min_b"], ["max_a", "min_b"], None, ["min_b"]]
    assert result.schema == verdicts(table.slice(0, 0), asked).schema == verdicts(table, []).schema
    assert result.schema.types == [pa.string(), pa.list_(pa.string())]
    chunked = pa.concat_tables([table.slice(0, 2), table.slice(2)])
    assert verdicts(chunked, asked).equals(result)


def test_float32_scores_meet_the_threshold_as_written() -> None:
    table = pa.table({"lang_score": pa.array([0.65, 0.6499], pa.float32())})
    assert verdicts(table, [Rule("r", "lang_score", ">=", 0.65)])["reason"].to_pylist() == [None, "r"]


def test_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match="no column lang_score"):
        verdicts(pa.table({"a": [1]}), [Rule("min_lang_score", "lang_score", ">=", 0.5)])


@pytest.mark.parametrize(
    ("name", "line", "left"),
    [
        ("c4-ja", "精米は玄米から糠を取り去ったものだ。", "精米は玄米から糠を取り去ったものだ。"),
        ("c4-ja", "「もう白くなった」と父は言った…", "「もう白くなった」と父は言った…"),
        ("c4-ja", "彼は「精米所はまだ開いている。」", "彼は「精米所はまだ開いている。」"),
        ("c4-ja", "京都の寺[12]は古い[要出典]という説がある。[編集]", "京都の寺は古いという説がある。"),
        ("c4-ja", "お問い合わせはこちらからどうぞ", ""),
        ("c4-ja", "白い米。", ""),
        ("c4-ja", "JavaScriptを有効にしてからご覧ください。", ""),
        ("c4-ja", "続けると利用規約に同意したことになります。", ""),
        ("fineweb", "No mark stands at the end of this line", "No mark stands at the end of this line"),
        ("fineweb", "Two words.", ""),
        ("fineweb", "Read our privacy policy before you go on.", ""),
        ("fineweb", "It was built in 1712.[3]", "It was built in 1712."),
    ],
)
def test_the_lines_that_presets_rest_on(name: str, line: str, left: str) -> None:
    documents = pa.table({"id": ["a"], "text": [line], "lang": ["ja"]})
    assert edited_texts(documents, [line_edits(documents, {"ja": rules_of([name])})]).to_pylist() == [left]


def test_texts_get_the_verdicts_one_expects() -> None:
    prose = "".join(
        f"精米は玄米から糠を取り去ったもので、第{n}の工程では白さを{n * 7}回ほど確かめながら磨いていく。"
        for n in range(30)
    )
    repeated = "この商品は本日限りの特別価格でご購入いただけますのでぜひご覧ください。" * 30
    found = verdicts(
        signals([prose, repeated, "短い。", prose.replace("。", "")], "ja"), rules(QualityConfig(preset="swallow-v1"))
    )
    assert found["reasons"][1].as_py()[0] == "max_dup_sentence_ratio"
    assert found["reason"][2].as_py() == "min_letters"
    assert "max_sentence_chars" in found["reasons"][3].as_py()
