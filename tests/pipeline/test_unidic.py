"""Nouns and repeated words by UniDic: HojiChar's own loops as the oracle, cuts of long texts, and what is not there."""

from collections import Counter

import pyarrow as pa
import pytest

from seimai.errors import ConfigError
from seimai.pipeline import signal_config, unidic
from seimai.pipeline.measure import signals
from seimai.pipeline.presets import QualityConfig, preset
from seimai.pipeline.settings import RunConfig, stage_fingerprints
from seimai.pipeline.unidic import NGRAM, UNIDIC_COUNTS, count_unidic
from seimai.sample.articles import articles

fugashi = pytest.importorskip("fugashi", reason="pip install fugashi unidic-lite")
unidic_lite = pytest.importorskip("unidic_lite", reason="pip install fugashi unidic-lite")

ARTICLES = [article.text for article in articles() if article.lang == "ja"][:6]
TEXTS = [
    *ARTICLES,
    "リンゴ・オレンジ・ミカン・バナナ セール中",
    "今日の仙台朝市では\nリンゴがセール　中。ｆｏｏ 𠮷野家 🍣 abc \u2028 x\x85y\t",
    "安い安い靴。" * 20 + ARTICLES[0][:40],
    "。、・",
    " \n",
    "",
]


def oracle(text: str, chunk_chars: int) -> tuple[int, ...]:
    """HojiChar 0.18.1, DiscardTooManyNouns and WordRepetitionRatioFilter: a node a word, n-grams joined by spaces."""
    tagger = fugashi.Tagger(f'-r "{unidic_lite.DICDIR}/mecabrc" -d "{unidic_lite.DICDIR}" -Owakati')
    kinds: Counter[str] = Counter()
    grams: Counter[str] = Counter()
    for begin in range(0, len(text), chunk_chars):
        nodes = tagger(text[begin : begin + chunk_chars])
        kinds.update(node.feature.pos1 for node in nodes)
        words = [node.surface for node in nodes]
        grams.update(" ".join(words[at : at + NGRAM]) for at in range(len(words) - NGRAM + 1))
    repeated = sum(times for times in grams.values() if times > 1)
    unmarked = kinds.total() - kinds["補助記号"]
    return kinds.total(), unmarked, kinds["名詞"], grams.total(), repeated


@pytest.mark.parametrize("chunk_chars", [unidic.CHUNK_CHARS, 37])
def test_counts_are_those_of_a_loop_over_nodes(chunk_chars: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unidic, "CHUNK_CHARS", chunk_chars)
    expected = [oracle(text, chunk_chars) for text in TEXTS]

    assert [tuple(row) for row in count_unidic(pa.array(TEXTS)).tolist()] == expected
    assert any(row[-1] for row in expected)


def test_columns() -> None:
    table = signals([*TEXTS, None], "ja", groups=["unidic"])
    counts = dict(zip(UNIDIC_COUNTS, count_unidic(pa.array(TEXTS)).T.tolist(), strict=True))
    for row, text in enumerate(TEXTS):
        nouns, unmarked = counts["nouns"][row], counts["unmarked_words"][row]
        assert table["unidic_noun_ratio"][row].as_py() == (nouns / unmarked if unmarked else 0), text
        ngrams, repeated = counts["ngrams"][row], counts["repeated_ngrams"][row]
        assert table["unidic_all_dup_7word_ratio"][row].as_py() == (repeated / ngrams if ngrams else 0), text
    assert table["unidic_n_words"][-1].as_py() is None


def test_what_stands_behind_a_nul_is_counted() -> None:
    assert count_unidic(pa.array(["猫\0犬"]))[0, 0] == 2


def test_the_preset_without_an_analyser_asks_the_same_other_rules() -> None:
    without = preset("hojichar-ja@chars").rules
    analysed = [rule for rule in preset("hojichar-ja").rules if rule not in without]
    assert [rule for rule in preset("hojichar-ja").rules if rule in without] == list(without)
    assert [rule.reason for rule in analysed] == ["max_noun_ratio", "max_word_repetition_ratio"]


def test_an_absent_analyser_is_told_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(signal_config._PACKAGES, "unidic", ("no-such-package", "unidic-lite"))
    config = RunConfig(quality={"ja": QualityConfig(preset="hojichar-ja")})
    with pytest.raises(ConfigError, match=r"need no-such-package; pip install .* preset hojichar-ja@chars"):
        stage_fingerprints(config)
    stage_fingerprints(RunConfig(quality={"ja": QualityConfig(preset="hojichar-ja@chars")}))
