"""Evaluation items in texts: places, edits, templates, what must not be found, and an oracle of plain Python."""

import random
import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.pipeline import EvalItem, build_eval_index, eval_overlaps
from seimai.pipeline.contamination import _code_points, _pieces, _unit_places
from seimai.pipeline.eval_index import SEED
from seimai.pipeline.seed_kernels import EDIT_COST, _nearest, _passage, judge_chains
from seimai.pipeline.shingle_kernels import CHAR, WORD, units_of_texts
from seimai.pipeline.shingles import fold, folded, role_table
from seimai.pipeline.text_kernels import as_strings
from seimai.sample.articles import articles

JA = "ジャネットのアヒルは1日に16個の卵を生みます。毎朝3個を食べ、残りを市場で1個2ドルで売ると、いくらになりますか？"
EN = (
    "A robe takes two bolts of blue fiber and half that much white fiber, and the tailor of the village wants to "
    "know how many bolts in total it takes to make nine of them."
)
SHORT = "日本で一番高い山の名前は何ですか"
INDEX = build_eval_index([EvalItem("quiz", n, "q", text) for n, text in enumerate([JA, EN, SHORT, "富士山"])])


def found(text: str) -> list[tuple[int, str]]:
    """Rows of the items and what the spans say."""
    spans = eval_overlaps(["nothing here", text, None], INDEX).to_pylist()
    assert all(span["text"] == 1 and span["set"] == "quiz" and span["field"] == "q" for span in spans)
    return [(span["row"], text[span["start"] : span["end"]]) for span in spans]


def test_a_span_is_what_stands_there() -> None:
    assert found(f"問題集。{JA}答えは18。") == [(0, JA[:-1])]
    assert found(f"Homework! {EN} Show your work.") == [(1, EN[:-1])]
    assert found(f"クイズ：{SHORT}？富士山です。") == [(2, SHORT)]


@pytest.mark.parametrize(("row", "text"), list(enumerate([JA, EN, SHORT])))
def test_white_space_width_and_case_make_no_difference(row: int, text: str) -> None:
    wide = unicodedata.normalize("NFKC", text).upper().translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)})
    spaced = "\u3000".join(text) if row != 1 else text.replace(" ", "\n\t ")
    for changed in (wide, spaced, text.replace("、", " ")):
        assert [one for one, _ in found(f"前の文。\n{changed}\n後の文。")] == [row]


def test_half_width_kana_keep_their_places() -> None:
    half = "ｼﾞｬﾈｯﾄのｱﾋﾙは1日に16個の卵を生みます。毎朝3個を食べ、残りを市場で1個2ﾄﾞﾙで売ると、いくらになりますか"
    assert found(f"ｶﾞｷﾞｸﾞ「{half}」") == [(0, half)]


def test_edits_do_not_hide_an_item() -> None:
    assert found(EN.replace("blue", "pale green").replace("nine", "ten"))[0][0] == 1
    assert found(JA.replace("16", "20").replace("市場", "店"))[0][0] == 0
    assert found("日本で二番高い山の名前は何ですか")[0][0] == 2
    assert found("日本で一番深い川の長さは何ですか") == []


def test_what_is_only_near_is_not_found() -> None:
    assert found("富士山は日本で一番高い山です。" * 40) == []
    assert found("The tailor of the village wants to know how many bolts. " * 40) == []
    assert found(" ".join(EN.split()[:12])) == []
    assert found("") == []


OTHER_ITEMS = [
    # Another name or number in the same question.
    ("私はその祝典に出席できなかった", "私はその会合に出席できなかった"),
    ("1881年（明治14年）に東京物理学講習所", "1883年（明治16年）に東京物理学講習所"),
    ("日本で一番高い山の名前は何ですか", "日本で一番長い川の名前は何ですか"),
    ("What is the name of the capital city of France?", "What is the name of the capital city of Spain?"),
    ("Who won the Nobel Prize in Literature in 1995?", "Who won the Nobel Prize in Physics in 1995?"),
    # A long name, and what is asked or told of it.
    ("朝鮮民主主義人民共和国の通称は？", "朝鮮民主主義人民共和国は広い。"),
    (
        "感染症の予防及び感染症の患者に対する医療に関する法律の施行年は",
        "感染症の予防及び感染症の患者に対する医療に関する法律",
    ),
    ("銃で使われることがあるものは？", "ここで使われることがあるのは紙。"),
    ("ラオス人民民主共和国の通称は？", "ラオス人民共和国の通称は何か。"),
    ("芸術選奨文部大臣賞を前身とするのは？", "芸術選奨文部大臣賞を前身とする賞。"),
    # Years and ranks of another life, in the same order.
    (
        "1889年（明治22年）、館林に生まれる。1890年（明治23年）、町制により町となる。1893年（明治26年）、鉄道が通じる。"
        "1898年（明治31年）、学校に入る。",
        "1889年（明治22年）参謀次長、1890年（明治23年）陸軍中将に進級。1893年（明治26年）から清国に出張。"
        "1898年（明治31年）に没する。",
    ),
    (
        "He was promoted to Jusanmi (Junior Third Rank) in the spring of 1507, and he was the second son of Yorikuni.",
        "His daughter, promoted to Jusanmi (Junior Third Rank), was there. He was the second son of nobody.",
    ),
]


@pytest.mark.parametrize(("item", "text"), OTHER_ITEMS)
def test_another_item_of_the_same_mould_is_not_found(item: str, text: str) -> None:
    index = build_eval_index([EvalItem("quiz", 0, "q", item)])
    assert len(eval_overlaps([f"前の文。{text}", f"{text} {text}"], index)) == 0
    assert len(eval_overlaps([f"前の文。{item} 後の文。"], index)) == 1


def test_sentences_mixed_anew_hold_no_item() -> None:
    """Two thousand documents of the sample's sentences drawn across texts, searched for sentences of other texts."""
    texts = [article.text for article in articles() if article.lang in ("ja", "en")]
    items, sentences = (
        [part for text in some for part in re.split(r"(?<=[。.!?\n])", text) if part.strip()]
        for some in (texts[::2], texts[1::2])
    )
    index = build_eval_index([EvalItem("cut", n, "q", item) for n, item in enumerate(items)])
    generator = random.Random(5)
    mixed = ["".join(generator.choices(sentences, k=30)) for _ in range(2000)]
    assert len(eval_overlaps(mixed, index)) == 0
    assert len(set(eval_overlaps(texts, index)["row"].to_pylist())) == len(index.items) - index.too_short


def test_short_items_are_counted_and_equal_ones_stand_once() -> None:
    assert INDEX.too_short == 1
    assert len(build_eval_index([EvalItem("a", 0, "q", EN), EvalItem("b", 3, "q", EN)]).items) == 1
    empty = build_eval_index([])
    assert len(eval_overlaps([JA], empty)) == 0


def test_a_template_is_nobodys_but_its_items_are_found() -> None:
    names = "赤青黄緑紫黒白茶灰金銀桃橙藍紺朱"
    items = [
        EvalItem("t", n, "q", f"次の文章を読み、{name}色について正しいものを一つ選びなさい。")
        for n, name in enumerate(names)
    ]
    index = build_eval_index(items)
    spans = eval_overlaps([f"試験。{items[5].text}以上。", "次の文章を読み、問いに答えなさい。"], index).to_pylist()
    assert (0, 5) in {(span["text"], span["row"]) for span in spans}
    assert {span["text"] for span in spans} == {0}


def test_english_words_inside_a_japanese_item_are_no_seeds() -> None:
    index = build_eval_index([EvalItem("q", 0, "q", "次の語の意味は何か。specification of management and production")])
    assert len(eval_overlaps(["the specification of management and production is long " * 3], index)) == 0


@given(st.lists(st.integers(0, 3), max_size=30), st.lists(st.integers(0, 3), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_nearest_place_against_every_piece(text: list[int], item: list[int]) -> None:
    edits, begin, end = _nearest(np.array(text, np.uint64), np.array(item, np.uint64))
    pieces = [text[i:j] for i in range(len(text) + 1) for j in range(i, len(text) + 1)]
    assert edits == min(_distance(piece, item) for piece in pieces)
    assert edits == len(item) or _distance(text[begin:end], item) == edits


def _common(a: list[int], b: list[int]) -> int:
    """Most units of both in one order."""
    row = [0] * (len(b) + 1)
    for x in a:
        before, row = row, [0]
        for j, y in enumerate(b):
            row.append(before[j] + 1 if x == y else max(before[j + 1], row[j]))
    return row[-1]


def _distance(a: list[int], b: list[int]) -> int:
    """Units left out and added between the two."""
    return len(a) + len(b) - 2 * _common(a, b)


@given(st.lists(st.integers(0, 2), max_size=12), st.lists(st.integers(0, 2), max_size=9))
@settings(max_examples=40, deadline=None)
def test_passage_against_all_pairs_of_pieces(text: list[int], item: list[int]) -> None:
    best = max(
        _common(a, b) - EDIT_COST * _distance(a, b)
        for a in (text[i:j] for i in range(len(text) + 1) for j in range(i, len(text) + 1))
        for b in (item[i:j] for i in range(len(item) + 1) for j in range(i, len(item) + 1))
    )
    assert _passage(np.array(text, np.uint64), np.array(item, np.uint64)) == best


def test_random_plants_are_found_where_they_are() -> None:
    generator = random.Random(3)
    letters = [chr(code) for code in range(0x4E00, 0x4F00)]
    items = ["".join(generator.choices(letters, k=generator.randrange(14, 200))) for _ in range(60)]
    index = build_eval_index([EvalItem("r", n, "q", item) for n, item in enumerate(items)])
    pages = ["".join(generator.choices(letters, k=300)) for _ in items]
    texts = [page[:150] + item + page[150:] for page, item in zip(pages, items, strict=True)]
    spans = eval_overlaps(texts + pages, index).to_pylist()
    assert [(s["text"], s["row"], s["start"], s["end"], s["covered_units"]) for s in spans] == [
        (n, n, 150, 150 + len(item), len(item)) for n, item in enumerate(items)
    ]


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60))
@settings(max_examples=100, deadline=None)
def test_places_in_the_folded_text_lead_back(text: str) -> None:
    assert "".join(_pieces().findall(text)) == text
    begins, ends = _code_points(text)
    assert len(begins) == len(fold(text))
    assert (begins < ends).all()
    assert (np.diff(begins) >= 0).all()


@pytest.mark.parametrize("kind", [CHAR, WORD])
@pytest.mark.parametrize(
    "text", ["", "a", "don't 'stop' now’s", "精米（せいまい）とは、 rice\u0301 ＡＢＣ", "''", "a''b c'"]
)
def test_unit_places_are_those_of_the_kernel(kind: int, text: str) -> None:
    for part in folded(as_strings([text])):
        units, _, _ = units_of_texts(part.codes, part.offsets, np.array([kind], np.uint8), *role_table())
        begins, ends = _unit_places(part.codes, kind)
        assert len(begins) == len(ends) == len(units)
        assert (begins < ends).all()


def test_no_chain_without_enough() -> None:
    chains = np.array([[0, 0, 0, SEED[0], SEED[0]]])
    long = np.arange(100, dtype=np.uint64)
    assert (
        len(judge_chains(chains, long, np.array([0, 100]), long[::-1].copy(), np.array([0, 100]), 30, 0.2, 0.13)) == 0
    )
