"""Texts that stand on the edges of quality rules, made from the sample web of this repository: no data from outside.

Articles and pages as they are, and articles changed so that each rule is met, missed by a hair and missed by far: cut,
repeated, listed, teased, stuffed with keywords, sprinkled with marks. The same texts on every machine.
"""

import random
import re
from collections.abc import Iterator

from seimai.pipeline import extract_text
from seimai.sample.articles import articles
from seimai.sample.pages import pages

__all__ = ["WORD_LISTS", "edge_texts"]

SEED = 20260101
WORD_LISTS = {
    "ad": ("お問い合わせ", "営業時間", "送料無料", "よくある質問", "定休日"),
    "adult": ("カブ", "カブト", "大根", "白菜", "シソ", "みょうが"),
    "discrimination": ("ナス", "長ナス", "茄子", "冬瓜"),
    "violence": ("ニラ", "葱", "玉葱", "ウド"),
}
"""Word lists by kind, of harmless words: one inside another, katakana inside longer katakana."""
PAGES = 25
"""Pages of the sample web in each language, beside the junk, of which all are taken."""


def edge_texts(lang: str) -> list[str]:
    """The texts of one language (ja or en), none empty, none twice."""
    found = dict.fromkeys(text for text in _texts(lang) if text)
    return list(found)


def _texts(lang: str) -> Iterator[str]:
    bodies = [article.text for article in articles() if article.lang == lang]
    yield from bodies[:30]
    yield from _page_texts(lang)
    rng = random.Random(SEED)
    for text in bodies[:5]:
        yield from _changed(text, lang, rng)
    yield from _whole(lang)


def _page_texts(lang: str) -> Iterator[str]:
    taken = 0
    for page in pages():
        truth = page.truth
        if truth.lang == lang and (truth.kind not in ("original", "near_duplicate", "mirror") or taken < PAGES):
            taken += truth.kind == "original"
            try:
                html = page.body.decode(truth.encoding)
            except (LookupError, UnicodeDecodeError):  # stored compressed, in chunks, or no text at all
                continue
            yield (extract_text(html, engine="fast").text or "")[:20000]


def _sentences(text: str, lang: str) -> list[str]:
    pattern = r"(?<=[。！？])\n?" if lang == "ja" else r"(?<=[.!?])\s+"
    return [sentence for sentence in re.split(pattern, text) if sentence]


def _changed(text: str, lang: str, rng: random.Random) -> Iterator[str]:
    gap = "" if lang == "ja" else " "
    sentences, words = _sentences(text, lang), text.split() if lang == "en" else list(text.replace("\n", ""))
    paragraphs = text.split("\n")
    for n in (20, 49, 50, 51, 60, 100):
        yield gap.join(words[:n])
    for share in (0.02, 0.08, 0.12, 0.2):
        yield from (_sprinkled(words, mark, share, gap, rng) for mark in ("#", "...", "…", "*", "■", "(", "-", "12"))
    for share in (0.1, 0.25, 0.3, 0.34, 0.5, 0.7, 0.92):
        yield from _lines(sentences, share, rng)
        copied = [rng.choice(sentences[:3]) if rng.random() < share else s for s in sentences]
        yield "\n".join(copied)
        yield gap.join(copied)
        yield "\n\n".join(paragraphs + [paragraphs[0]] * round(share * len(paragraphs)))
    for times in (2, 3, 8):
        yield "\n".join([sentences[0]] * times + sentences)
        yield gap.join([gap.join(words[:4])] * times * 4 + words)
    for n in (1, 3, 4, 5, 6):
        yield gap.join(sentences[:n])
    for inserted in ("Lorem ipsum dolor sit amet. ", "{ }", "Turn on JavaScript to read this. ", "ヿ", "\u3000 \n\n"):
        yield text + "\n" + inserted + sentences[0]


def _sprinkled(words: list[str], mark: str, share: float, gap: str, rng: random.Random) -> str:
    return gap.join(f"{word}{gap}{mark}" if rng.random() < share else word for word in words)


def _lines(sentences: list[str], share: float, rng: random.Random) -> Iterator[str]:
    for before, behind in (("- ", ""), ("• ", ""), ("* ", ""), ("", "..."), ("", "…"), ("", ";")):
        yield "\n".join(f"{before}{s.rstrip('。.')}{behind}" if rng.random() < share else s for s in sentences)
    yield "\n".join(s[:8] if rng.random() < share else s for s in sentences)
    yield "\n".join(s[:28] if rng.random() < share else s for s in sentences)


def _whole(lang: str) -> Iterator[str]:
    """Texts that belong to no article: runs, numbers, marks, other languages."""
    yield from ("a", "あ", "。", "...", "#", "\n", " x ", "1 2 3", "あ" * 199, "あ" * 200, "あ" * 201, "-" * 300)
    yield "楽天市場 質問 投稿 コメント レビュー " * 2 + "\n" + "2024年1月2日(火) 第12話 " * 3
    yield "\n".join(f"{n} {n * 37:,}" for n in range(200))
    yield "http://example.org/a?b=c " * 60
    yield "internationalization telecommunications " * 40
    if lang == "ja":
        yield from _listed()
    for article in articles():
        if article.lang != lang and article.slug[0] == "a":
            yield article.text


def _listed() -> Iterator[str]:
    """Texts with words of the lists, inside other words too, none to many times."""
    for kind, words in WORD_LISTS.items():
        for times in (1, 2, 3, 4, 5, 10, 11, 14, 15, 20):
            picked = [words[n % len(words)] for n in range(times)]
            yield f"{kind}の話。" + "、".join(picked) + "を買いに行った。"
            yield f"{kind}の話。" + "".join(f"{word}の値段は変わらない。" for word in picked)
    yield (
        "カブトムシはアスパラカブを食べない。カブ。カブーム。ブカブカ。シソーラスとシソ。長ナスとナスカ。ニラメッコ。ウドン。"
        * 3
    )
