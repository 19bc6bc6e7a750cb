"""Perplexity by hand from a tiny ARPA model, cc_net's normalisation step by step, buckets, and what is not there."""

import importlib.util
import math
import re
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from seimai.cli import app
from seimai.errors import ConfigError, InputError
from seimai.pipeline import perplexity
from seimai.pipeline.perplexity import PerplexityConfig, buckets, cutoffs, normalized, perplexities
from seimai.pipeline.quality_columns import model_columns, model_parts
from seimai.pipeline.quality_model import QualityModelConfig
from seimai.pipeline.settings import RunConfig
from seimai.sample.articles import articles

ARPA = """\\data\\
ngram 1=5
ngram 2=3

\\1-grams:
-1.0\t<unk>
0\t<s>\t-0.3
-0.9\t</s>
-0.6\trice\t-0.2
-0.8\twhite\t-0.1

\\2-grams:
-0.2\t<s> rice
-0.4\trice white
-0.1\twhite </s>

\\end\\
"""

HAS_KENLM = importlib.util.find_spec("kenlm") is not None
with_kenlm = pytest.mark.skipif(not HAS_KENLM, reason="kenlm is an extra, built from source")


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A bigram model over two words."""
    path = tmp_path / "tiny.arpa"
    path.write_text(ARPA, encoding="utf-8")
    return str(path)


@with_kenlm
@pytest.mark.parametrize(
    ("text", "score", "pieces"),
    [
        ("rice white", -0.2 - 0.4 - 0.1, 3),
        ("Rice\n white", -0.2 - 0.4 - 0.1, 3),
        ("white", -0.3 - 0.8 - 0.1, 2),
        ("rice rice", -0.2 - 0.2 - 0.6 - 0.2 - 0.9, 3),
        ("rice bread", -0.2 - 0.2 - 1.0 - 0.9, 3),
    ],
)
def test_perplexity_is_what_the_arpa_file_says(model: str, text: str, score: float, pieces: int) -> None:
    found = perplexities([text.replace("\n", " \n"), None, "", " \n"], PerplexityConfig(model=model))
    assert found[0] == pytest.approx(10 ** (-score / pieces), rel=1e-5)
    assert np.isnan(found[1:]).all()


def reference(line: str) -> str:
    """cc_net's text_normalizer.normalize as its README and code state it, one step after the other."""
    line = line.strip().lower()
    line = "".join(c for c in unicodedata.normalize("NFD", line) if unicodedata.category(c) != "Mn")
    line = re.sub(r"\d", "0", line)
    marks = {
        "，": ",",
        "。": ".",
        "、": ",",
        "»": '"',
        "「": '"',
        "」": '"',
        "—": " - ",
        "．": ". ",
        "…": "...",
        "（": "(",
    }
    line = "".join(marks.get(c, c) for c in line)
    return re.sub("[\x00-\x1f\x7f-\x9f]", "", line)


@pytest.mark.parametrize(
    "text", ["がぎぐ、パピプ。\nÉté — ２０２６年１月…", " Ａ．Ｂ「é»\t\x85\x7f ", "ｶﾞ 한글 ८ Ⅳ ½", "", "\n"]
)
def test_normalisation_is_that_of_cc_net(text: str) -> None:
    assert normalized(text) == reference(text)


def test_kana_may_keep_their_voicing() -> None:
    assert normalized("がパ゛é한글、１", "kana") == "がパ゛e한글,0"
    assert normalized(" がA1。\n", "none") == " がA1。\n"


@with_kenlm
def test_columns_of_a_language(model: str) -> None:
    config = {"en": PerplexityConfig(model=model, head=2.0, tail=4.0)}
    texts = pa.table({"text": ["rice white", "bread", "rice", None], "lang": ["en", "en", "ja", None]})
    table = model_columns(texts, QualityModelConfig(), config)

    assert table["perplexity_bucket"].to_pylist() == [0, 2, None, None]
    assert [value is None for value in table["perplexity"].to_pylist()] == [False, False, True, True]
    assert model_columns(texts, QualityModelConfig(), {}).num_columns == 0
    before = model_parts(QualityModelConfig(), config)
    Path(model).write_text(ARPA.replace("-0.9", "-0.95"), encoding="utf-8")
    assert model_parts(QualityModelConfig(), config) != before
    assert model_parts(QualityModelConfig(), {}) == {}


@with_kenlm
def test_pieces_of_our_tokenizer(model: str, tmp_path: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split

    tokenizer = Tokenizer(WordLevel({"rice": 0, "white": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = Split("rice", "isolated")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    cut = PerplexityConfig(model=model, pieces=str(tmp_path / "tokenizer.json"))
    assert perplexities(["ricewhite"], cut) == perplexities(["rice white"], PerplexityConfig(model=model))


@with_kenlm
def test_cutoffs_of_a_reference(model: str, tmp_path: Path) -> None:
    source = tmp_path / "reference.jsonl"
    texts = ["rice", "rice white", "white", "bread", "white rice"]
    source.write_text("\n".join(f'{{"text": "{text}", "lang": "en"}}' for text in texts), encoding="utf-8")
    said = CliRunner().invoke(app, ["quality", "cutoffs", str(source), "--lang", "en", "--model", model])

    assert said.exit_code == 0, said.output
    values = perplexities(texts, PerplexityConfig(model=model))
    low, high = np.percentile(values, [30, 60])
    assert f'[perplexity.en]\nmodel = "{model}"' in said.stdout
    assert f"head = {round(low, 1)}\ntail = {round(high, 1)}" in said.stdout
    bucket = buckets(values, PerplexityConfig(model=model, head=low, tail=high)).to_pylist()
    assert [bucket.count(number) for number in (0, 1, 2)] == [2, 1, 2]
    assert cutoffs(np.array([1.0, np.nan, 3.0]), 50, 100) == (2.0, 3.0)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"head": 3.0}, "head and tail belong together"),
        ({"head": 3.0, "tail": 2.0}, "head 3.0 lies above tail 2.0"),
    ],
)
def test_wrong_cutoffs(section: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PerplexityConfig.model_validate({"model": "x", **section})


@with_kenlm
def test_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "not.arpa").write_text("hello", encoding="utf-8")
    with pytest.raises(InputError, match=r"not a KenLM model"):
        perplexities(["rice"], PerplexityConfig(model=str(tmp_path / "not.arpa")))
    with pytest.raises(InputError, match=r"no such file; give the model"):
        model_parts(QualityModelConfig(), {"en": PerplexityConfig(model="nowhere.arpa")})


def test_without_kenlm_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perplexity, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install kenlm"):
        model_parts(QualityModelConfig(), {"en": PerplexityConfig(model="x.arpa")})


@pytest.mark.parametrize("column", ["perplexity", "perplexity_bucket"])
def test_a_rule_without_its_model_is_refused(column: str) -> None:
    rule = {"reason": "odd", "column": column, "keep": "<=", "threshold": 1}
    sections = {"quality": {"en": {"preset": "none", "add": [rule]}}}
    with pytest.raises(ValueError, match=r"add \[perplexity.en\]"):
        RunConfig.model_validate(sections)
    with_model = {**sections, "perplexity": {"en": {"model": "x"}}}
    if column == "perplexity_bucket":
        with pytest.raises(ValueError, match=r"set head and tail"):
            RunConfig.model_validate(with_model)
    else:
        assert math.isclose(RunConfig.model_validate(with_model).quality["en"].add[0].threshold, 1)


@with_kenlm
def test_pieces_of_sentencepiece(model: str, tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece", reason="pip install sentencepiece")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([article.text for article in articles() if article.lang == "ja"]),
        model_prefix=str(tmp_path / "ja"),
        vocab_size=3000,
        hard_vocab_limit=False,
        minloglevel=3,
    )
    cut = PerplexityConfig(model=model, pieces=str(tmp_path / "ja.model"))
    pieces = len(sentencepiece.SentencePieceProcessor(model_file=cut.pieces).encode(normalized("米を炊く。")))
    # Every piece is unknown to the model: -1 each; <s> backs off with -0.3, the end costs -0.9.
    assert perplexities(["米を炊く。"], cut)[0] == pytest.approx(10 ** ((pieces + 0.3 + 0.9) / (pieces + 1)), rel=1e-5)
    (tmp_path / "no.model").write_bytes(b"x")
    with pytest.raises(InputError, match=r"not a SentencePiece model"):
        perplexities(["米"], PerplexityConfig(model=model, pieces=str(tmp_path / "no.model")))
