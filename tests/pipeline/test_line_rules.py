"""Line rules: what each list cuts and leaves, the published lists against plain Python, and rules with mistakes."""

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from seimai.pipeline.edits import apply_edits, join_spans
from seimai.pipeline.line_rules import LineRule, cut_tally, line_edits, list_names, rule_list, rules_of

ROOT = Path(__file__).resolve().parents[2]
PROSE = {"ja": "精米とは玄米から糠を取り除くことである。", "en": "Polishing takes the bran away from brown rice."}


def cut(text: str | None, lang: str, *names: str) -> tuple[str | None, list[str]]:
    """The text after the lists, and the reasons."""
    documents = pa.table({"id": ["x"], "text": pa.array([text], pa.large_string()), "lang": [lang]})
    edits = line_edits(documents, {lang: rules_of(names)})
    left = apply_edits(documents["text"].combine_chunks(), join_spans(pa.array(["x"]), [edits]))
    return left[0].as_py(), edits["reason"].to_pylist()


def reasons_of(line: str, lang: str) -> dict[str, str]:
    """Why a line is cut at the head, in the middle and at the tail of a text, where it is."""
    prose = [f"{PROSE[lang]} {n}" for n in range(60)]
    texts = {"head": [line, *prose], "middle": [*prose[:30], line, *prose[30:]], "tail": [*prose, line]}
    documents = pa.table({"id": list(texts), "text": ["\n".join(t) for t in texts.values()], "lang": [lang] * 3})
    edits = line_edits(documents, {lang: rules_of([f"web-{lang}"])})
    found = dict(zip(edits["id"].to_pylist(), edits["reason"].to_pylist(), strict=True))
    assert len(found) == len(edits)
    left = apply_edits(documents["text"].combine_chunks(), join_spans(documents["id"].combine_chunks(), [edits]))
    assert left.to_pylist() == ["\n".join(prose if place in found else lines) for place, lines in texts.items()]
    return found


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("次のページ 前のページ 目次へ", "navigation"),
        ("<前の日記(2018年12月26日) 次の日記(2019年02月19日)> 最新 編集", "navigation"),
        ("« 前の記事 | 次の記事 »", "navigation"),
        ("▲ ページの先頭へ戻る", "back_to_top"),
        ("この記事をシェアしよう！", "share"),
        ("クリックして Twitter で共有 (新しいウィンドウで開きます)", "share"),
        ("はてなブックマークに追加", "share"),
        ("いいね！ 123", "counter"),
        ("続きを読む »", "read_more"),
        ("最新の画像もっと見る", "read_more"),
        ("コメント(3)", "comment_footer"),
        ("トラックバック URL", "comment_footer"),
        ("コメントを投稿するにはログインしてください", "comment_footer"),
        ("記事・写真の無断転載を禁じます。", "reproduction_notice"),
        ("更新日：2019年4月21日 12:00", "date"),
        ("トップ > ニュースリリース > 薄型キーボード", "breadcrumbs"),
        ("ホーム＞会社情報＞沿革", "breadcrumbs"),
        ("スポンサードリンク", "advertisement"),
        ("本文へスキップします", "skip_link"),
        ("最近の投稿", "side_heading"),
        ("当サイトではクッキーを使用しています。", "cookie_notice"),
    ],
)
def test_japanese_furniture_is_cut_anywhere(line: str, reason: str) -> None:
    assert reasons_of(line, "ja") == dict.fromkeys(("head", "middle", "tail"), reason)


@pytest.mark.parametrize(
    ("line", "reason", "places"),
    [
        ("次へ", "navigation", {"head", "tail"}),
        ("目次に戻る", "navigation", {"head", "tail"}),
        ("2019年4月21日(日)", "date", {"head", "tail"}),
        ("Copyright © 精米社 All Rights Reserved.", "copyright", {"tail"}),
        ("© 2004- 精米プロジェクト", "copyright", {"tail"}),
        ("ファイル > 設定 > 表示", "breadcrumbs", {"head", "tail"}),
        ("1 | 2 | 3 次のページへ", "pager", {"head", "tail"}),
        ("プライバシーポリシー | 利用規約 | お問い合わせ", "site_menu", {"head", "tail"}),
        ("サイトマップ", "site_menu", {"head", "tail"}),
        ("JavaScriptが無効になっているため正しく表示されません", "script_notice", {"head", "tail"}),
    ],
)
def test_japanese_furniture_of_the_edges_stays_elsewhere(line: str, reason: str, places: set[str]) -> None:
    assert reasons_of(line, "ja") == dict.fromkeys(places, reason)


@pytest.mark.parametrize(
    "line",
    [
        "次のページをご覧ください。",
        "目次",
        "概要",
        "関連項目",
        "コメント",
        "例:",
        "例 1",
        "}",
        "1",
        "続きは明日書く。",
        "メニュー",
        "ツイートが話題になった。",
        "シェアハウス",
        "著作権は作者にある。",
        "2019年に設立された。",
        "if (a > b) {",
        "<x> <y> <z>",
        "もっと見たいと思った。",
        "検索",
        "共有",
        "無断転載は禁じられている。",
        "JavaScriptの関数は値である。",
        "1945年8月15日に終わった。",
        "9月 12月",
        "クッキーを焼く",
        "登録日本語教員",
        "一覧",
        "前へ進む勇気",
        "ホーム",
        "ログイン名を入力する。",
        "広告",
        "アーカイブ",
    ],
)
def test_japanese_lines_that_say_something_stay(line: str) -> None:
    assert reasons_of(line, "ja") == {}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Next Previous Contents", "navigation"),
        ("<prev next>>", "navigation"),
        ("Back to top ↑", "back_to_top"),
        ("Share this article on Facebook", "share"),
        ("Click to share on Twitter (Opens in new window)", "share"),
        ("Email This BlogThis! Share to Twitter", "share"),
        ("1,234 likes", "counter"),
        ("25.4K comments", "counter"),
        ("Comments (12)", "counter"),
        ("Read more »", "read_more"),
        ("Continue reading A Chair of Rush →", "read_more"),
        ("Leave a Reply", "comment_footer"),
        ("Your email address will not be published. Required fields are marked *", "comment_footer"),
        ("You must be logged in to post a comment.", "comment_footer"),
        ("We use cookies to improve your experience.", "cookie_notice"),
        ("Skip to main content", "skip_link"),
        ("************Advertisement************", "advertisement"),
        ("Subscribe to our weekly newsletter", "subscribe"),
        ("Home > Products > Rice", "breadcrumbs"),
    ],
)
def test_english_furniture_is_cut_anywhere(line: str, reason: str) -> None:
    assert reasons_of(line, "en") == dict.fromkeys(("head", "middle", "tail"), reason)


@pytest.mark.parametrize(
    ("line", "reason", "places"),
    [
        ("Next page »", "navigation", {"head", "tail"}),
        ("Copyright © 2019 Rice Inc. All rights reserved.", "copyright", {"tail"}),
        ("Please enable JavaScript to view this page.", "script_notice", {"head", "tail"}),
        ("Home | About us | Contact | Privacy policy", "site_menu", {"head", "tail"}),
        ("Related articles", "side_heading", {"tail"}),
        ("Page 2 of 14", "pager", {"head", "tail"}),
        ("Posted on March 14, 2019 at 10:30 am", "date", {"head", "tail"}),
        ("2019-03-14 10:30", "date", {"head", "tail"}),
    ],
)
def test_english_furniture_of_the_edges_stays_elsewhere(line: str, reason: str, places: set[str]) -> None:
    assert reasons_of(line, "en") == dict.fromkeys(places, reason)


@pytest.mark.parametrize(
    "line",
    [
        "Contents",
        "See also",
        "Comments",
        "Note",
        "1",
        "}",
        "6.6. Comment",
        "Share of the market",
        "Home is where it is.",
        "Register",
        "Next, soak the rush.",
        "Read more books than papers.",
        "The copyright holder died in 1911.",
        "protocol://<user<:password>@>host",
        "a > b > c;",
        "Menu",
        "next",
        "Next",
        "Print the page number.",
        "March 14 was a Thursday.",
        "I like cookies.",
        "JavaScript is a language.",
        "Two likes make a fan",
        "Top shelf",
        "Index of refraction",
        "Parameters:",
        "Click Next to continue.",
        "Contact lenses",
        "Search patterns",
        "Terms",
        "12 views of Mount Fuji",
    ],
)
def test_english_lines_that_say_something_stay(line: str) -> None:
    assert reasons_of(line, "en") == {}


def articles() -> Iterator[tuple[str, str]]:
    """Every article of the sample, as language and text."""
    for lang, name in (("en", "articles_en"), ("ja", "articles_ja_a"), ("ja", "articles_ja_b")):
        text = (ROOT / "sample" / f"{name}.md").read_text(encoding="utf-8")
        for article in re.split(r"^# .*\n(?:[a-z]+: .*\n)*", text, flags=re.MULTILINE)[1:]:
            yield lang, article.strip()


def test_articles_lose_nothing() -> None:
    read = list(articles())
    assert {lang for lang, _ in read} == {"ja", "en"}
    assert len(read) > 60
    documents = pa.table(
        {"id": [text for _, text in read], "text": [text for _, text in read], "lang": [lang for lang, _ in read]}
    )
    assert line_edits(documents, {lang: rules_of([f"web-{lang}"]) for lang in ("ja", "en")}).to_pylist() == []


CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")


def c4_line(line: str) -> str | None:
    """What datatrove's C4QualityFilter makes of a line (its order of tests); None where it is dropped."""
    words = line.split()
    line = line.strip()
    if any(len(word) > 1000 for word in words):
        return None
    line = CITATION.sub("", line)
    if not line.endswith((".", "?", "!", '"', "'")) or line.endswith("..."):
        return None
    if len(words) < 3 or "javascript" in line.lower() or any(phrase in line.lower() for phrase in POLICY):
        return None
    return line


def refined_line(line: str) -> str | None:
    """What DCLM's line rules for RefinedWeb make of a line, without its substrings."""
    names = "likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes|downvotes|downloads|views|followers"
    counter = rf"^\W*\d(?:,|\.|\d)*[kmb]?\s+(?:{names})\W*$"
    line = line.strip()
    if sum(map(str.isupper, line)) / len(line) > 0.5 or sum(map(str.isdigit, line)) / len(line) > 0.999999:
        return None
    return None if re.search(counter, line, re.IGNORECASE) or len(line.split()) < 2 else line


PIECES = [
    *("Rice is white.", "Is it?", '"Yes', "he said'", "HOME NEWS", "12,345", "3", "[1]", "[edit]", "..."),
    *("[citation needed]", "of"),
    *("uses cookies", "javascript", "JavaScript", "likes", "3.5k views", "x" * 1001, "É", "Ω", "terms of use."),
]


def lines_of(seed: int) -> list[str]:
    """Lines that hit every rule."""
    chosen = random.Random(seed)
    return [
        " ".join(chosen.choices(PIECES, k=chosen.randrange(1, 6))) + chosen.choice(["", ".", " "]) for _ in range(80)
    ]


@pytest.mark.parametrize(("name", "oracle"), [("c4", c4_line), ("refinedweb", refined_line)])
@pytest.mark.parametrize("seed", range(12))
def test_published_lists_cut_what_their_authors_cut(name: str, oracle: Any, seed: int) -> None:
    lines = lines_of(seed)
    left, reasons = cut("\n".join(lines), "en", name)
    kept = [line for line in map(oracle, lines) if line]
    assert [line.strip() for line in (left or "").split("\n") if line] == [line.strip() for line in kept]
    assert len(set(reasons)) >= 2


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("Sign-in to your account now", " to your account now"),
        ("You have 2 items in cart today", "You have 2  today"),
        ("Rice prices rise read more...", "Rice prices rise"),
        ("Rice prices rise and this line has more than ten words read more...", None),
    ],
)
def test_parts_of_lines_are_cut(line: str, left: str | None) -> None:
    assert cut(f"{line}\nNext line here", "en", "refinedweb")[0] == f"{left or line}\nNext line here"


def test_a_line_that_goes_takes_its_parts_along() -> None:
    assert cut("Rice[1]\nRice is white.[2] It is.", "en", "c4") == (
        "Rice is white. It is.",
        ["c4_no_terminal_punct", "c4_citation"],
    )


def test_languages_keep_to_their_rules_and_rows_to_their_order() -> None:
    texts = ["Next Previous\nA。", "続きを読む\nA。", None, "続きを読む\nA。\n続きを読む", "続きを読む"]
    documents = pa.table(
        {"id": list("abcde"), "text": texts, "lang": pa.array(["en", "ja", "ja", "ja", None], pa.string())}
    )
    edits = line_edits(documents, {"ja": rules_of(["web-ja"]), "en": rules_of(["web-en"])})
    assert edits.select(["id", "start", "end", "reason"]).to_pylist() == [
        {"id": "a", "start": 0, "end": 14, "reason": "navigation"},
        {"id": "b", "start": 0, "end": 6, "reason": "read_more"},
        {"id": "d", "start": 0, "end": 6, "reason": "read_more"},
        {"id": "d", "start": 8, "end": 14, "reason": "read_more"},
    ]
    assert cut_tally(edits) == {"cut": [["navigation", 1, 14], ["read_more", 3, 18]]}
    nothing = line_edits(documents, {})
    assert (len(nothing), nothing.schema, cut_tally(nothing)) == (0, edits.schema, {"cut": []})


def test_a_run_must_be_long_enough(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'version = 1\nsource = "x"\n[[rules]]\nreason = "menu"\nwhere = ["chars <= 4"]\nmin_run = 2\nsource = "x"\n'
    )
    assert cut("one\nA long line.\none\ntwo\n\nA long line.\none\nA long line.", "en", str(path)) == (
        "one\nA long line.\n\nA long line.\none\nA long line.",
        ["menu", "menu"],
    )


@pytest.mark.parametrize("name", list_names())
def test_every_shipped_rule_says_where_it_is_from(name: str) -> None:
    rules = rule_list(name)
    assert rules.source
    assert all(rule.source and rule.reason for rule in rules.rules)
    assert len(rules.rules) >= 5


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"reason": "Bad Name", "where": ["chars < 3"]}, "reason"),
        ({"reason": "a"}, "nothing to look for"),
        ({"reason": "a", "where": ["chars is 3"]}, "write a count, a comparison and a number"),
        ({"reason": "a", "where": ["charz < 3"]}, "write a count, a comparison and a number"),
        ({"reason": "a", "pattern": "(?=x)"}, "is no RE2 expression"),
        ({"reason": "a", "lines": ["x"], "items": ["y"]}, "more than one of pattern, lines and items"),
        ({"reason": "a", "where": ["chars < 3"], "part": True}, "needs a pattern"),
        ({"reason": "a", "lines": ["x"], "colour": "red"}, "Extra inputs"),
    ],
)
def test_a_rule_with_a_mistake_is_refused(rule: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        LineRule.model_validate({"source": "x", **rule})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("version = ", "not valid TOML"),
        ('version = 1\nsource = "x"\n[[rules]]\nreason = "a"\nsource = "x"\n', "rules.0: has nothing to look for"),
        ('version = 1\nsource = "x"\n', "rules: Field required"),
    ],
)
def test_a_file_with_a_mistake_is_named(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(content)
    with pytest.raises(ValueError, match=re.escape(f"{path}: ") + ".*" + words):
        rule_list(str(path))
    with pytest.raises(ValueError, match="unknown list 'web-jp'; did you mean 'web-ja'"):
        rule_list("web-jp")
