"""Feeding, training and judging a quality model: against plain Python, the same bytes twice, no host on both sides."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.errors import ConfigError, InputError
from seimai.files import read_json, sha256_file
from seimai.pipeline.quality_feed import FEEDS, Feed, feed
from seimai.pipeline.quality_model import CARD, open_quality_model, quality_scores
from seimai.pipeline.quality_report import area_under_curve, judged
from seimai.pipeline.quality_train import LABELLED, QualityTraining, split_held_out, train_quality
from seimai.sample.articles import articles

QUICK = QualityTraining(dim=8, epochs=8, buckets=1 << 12, held_out_share=0.3, min_count=1)


def labelled() -> pa.Table:
    """Sentences of the sample's articles, and the same characters in another order, over hosts of five texts."""
    rows = []
    rng = np.random.default_rng(7)
    for article in articles():
        if article.lang in ("ja", "en"):
            for text in re.split(r"(?<=[。.])\s*", article.text)[:12]:
                if len(text) > 8:
                    rows += [(article.lang, True, text), (article.lang, False, "".join(rng.permutation(list(text))))]
    columns = [
        {
            "id": f"{n:032x}",
            "host": f"h{n // 5}.example",
            "lang": lang,
            "split": None,
            "set": "s",
            "good": good,
            "text": t,
        }
        for n, (lang, good, t) in enumerate(rows)
    ]
    return pa.Table.from_pylist(columns, LABELLED)


SIMPLE = "あいのアンー漢字米abZé0１٣ 　\n\t。、_!\x00\x85…"


def plain(text: str, how: Feed) -> list[str]:
    """The same cut by a regular expression, over the characters of SIMPLE."""
    text = re.sub(r"[\d１٣]", "0", text.lower())
    kana = "[あ-ん]|[ア-ンー]|[一-龯]" if how == "chars" else "[あ-ん]+|[ア-ンー]+|[一-龯]+"
    return re.findall(rf"{kana}|[a-zé]+|0+|[^\s\x00-\x1f\x7f-\x9f]", text)


@pytest.mark.parametrize("how", FEEDS)
@settings(deadline=None)
@given(texts=st.lists(st.text(SIMPLE, max_size=30), max_size=4))
def test_feeding_is_cutting_at_scripts(how: Feed, texts: list[str]) -> None:
    assert [line.split(" ") if line else [] for line in feed(texts, how).to_pylist()] == [plain(t, how) for t in texts]


@pytest.mark.parametrize("how", FEEDS)
@settings(deadline=None)
@given(texts=st.lists(st.text(max_size=40), max_size=3))
def test_every_line_is_one_line_without_labels(how: Feed, texts: list[str]) -> None:
    for line in feed([text.encode("utf-8", "replace").decode() for text in texts], how).to_pylist():
        assert line == " ".join(line.split())
        assert "__label__" not in line


def test_only_the_beginning_is_fed() -> None:
    assert feed(["𠮷" * 10], "chars", max_chars=3).to_pylist() == ["𠮷 𠮷 𠮷"]


def test_the_same_texts_give_the_same_bytes(tmp_path: Path) -> None:
    texts = labelled()
    one = train_quality(texts, tmp_path / "a", QUICK)
    two = train_quality(texts.take(pa.array(np.arange(len(texts))[::-1])), tmp_path / "b", QUICK)

    assert one.card == two.card
    assert sha256_file(tmp_path / "a" / "quality.bin") == sha256_file(tmp_path / "b" / "quality.bin")
    assert read_json(tmp_path / "a" / CARD)["report"] == [dict(row) for row in two.card["report"]]
    assert one.card["reproducible"] is True
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["README.md", CARD, "quality.bin"]
    of_all = one.report[-1]
    assert of_all.auc is not None
    assert of_all.auc > 0.9
    texts_held_out = one.report[-1].good + one.report[-1].bad
    assert texts_held_out == split_held_out(texts, share=0.3, seed=1).sum()
    scores = quality_scores(texts["text"], texts["lang"], tmp_path / "a").to_numpy()
    assert (
        judged(
            texts.filter(pa.array(split_held_out(texts, share=0.3, seed=1))),
            scores[split_held_out(texts, share=0.3, seed=1)],
        )
        == one.report
    )


def test_quantised_and_tuned(tmp_path: Path) -> None:
    texts = labelled()
    small = train_quality(texts, tmp_path / "q", QualityTraining(dim=8, epochs=8, buckets=1 << 12, quantize=True))
    assert small.card["model"]["file"] == "quality.ftz"
    assert quality_scores(["米を炊く。"], ["ja"], tmp_path / "q").null_count == 0
    tuned = train_quality(texts, tmp_path / "t", QualityTraining(held_out_share=0.3, autotune_s=1))
    assert tuned.card["reproducible"] is False
    assert "**not reproducible**" in (tmp_path / "t" / "README.md").read_text(encoding="utf-8")


def test_hosts_stand_on_one_side() -> None:
    texts = labelled()
    unseen = split_held_out(texts, share=0.3, seed=1)
    hosts = np.array(texts["host"].to_pylist())
    assert not set(hosts[unseen]) & set(hosts[~unseen])
    forced = texts.set_column(3, "split", pa.array(["held_out"] * len(texts)))
    assert split_held_out(forced, share=0.3, seed=1).all()


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.25, 0.5, 1.0])), max_size=12))
def test_area_under_curve_counts_pairs(rows: list[tuple[bool, float]]) -> None:
    pairs = [(a > b) + (a == b) / 2 for is_good, a in rows if is_good for other, b in rows if not other]
    good, scores = np.array([g for g, _ in rows], bool), np.array([s for _, s in rows], np.float32)
    expected = sum(pairs) / len(pairs) if pairs else None
    found = area_under_curve(good, scores)
    assert found is None if expected is None else found == pytest.approx(expected)


def test_mistakes(tmp_path: Path) -> None:
    texts = labelled()
    with pytest.raises(InputError, match=r"no bad text to train on among 0"):
        train_quality(texts.filter(texts["good"]), tmp_path / "m", QUICK)
    with pytest.raises(ConfigError, match=r"exclude each other"):
        train_quality(texts, tmp_path / "m", QualityTraining(quantize=True, autotune_s=1))
    with pytest.raises(ConfigError, match=r"leaves nothing to train on"):
        train_quality(texts, tmp_path / "m", QualityTraining(held_out_share=1.0))
    train_quality(texts, tmp_path / "m", QUICK)
    (tmp_path / "m" / "quality.bin").write_bytes(b"x")
    with pytest.raises(InputError, match=r"missing or not the file of its card"):
        open_quality_model(tmp_path / "m")
    (tmp_path / "m" / CARD).write_text("[]")
    with pytest.raises(InputError, match=r"not the card of a quality model"):
        open_quality_model(tmp_path / "m")


def test_the_order_of_texts_that_are_asked_does_not_matter(tmp_path: Path) -> None:
    train_quality(labelled(), tmp_path / "m", QUICK)
    texts, langs = ["米を炊く。", None, "", "Rice is white."], ["ja", "ja", "ja", "en"]
    forward = quality_scores(texts, langs, tmp_path / "m").to_pylist()
    assert quality_scores(texts[::-1], langs[::-1], tmp_path / "m").to_pylist() == forward[::-1]
    assert [score is None for score in forward] == [False, True, True, False]
