"""The articles: enough of them, long enough, and the format they are written in."""

import re

import pytest

from seimai.sample.articles import articles, load, parse


def test_at_least_sixty_long_articles_in_each_language() -> None:
    long_ja = [article for article in load("ja") if len(article.text) >= 600]
    long_en = [article for article in load("en") if len(article.text.split()) >= 150]

    assert len(long_ja) >= 60
    assert len(long_en) >= 60


def test_the_other_languages_are_there() -> None:
    assert {article.lang for article in articles()} == {"de", "en", "fr", "ja", "ko", "zh"}


def test_paragraphs_are_single_lines_of_plain_text() -> None:
    for article in articles():
        assert re.fullmatch(r"[a-z0-9-]+", article.slug)
        assert article.title.strip() == article.title != ""
        assert len(article.paragraphs) >= 2
        for paragraph in article.paragraphs:
            assert paragraph.strip() == paragraph != ""
            assert "\n" not in paragraph


def test_lines_of_a_japanese_paragraph_join_without_a_space() -> None:
    (article,) = parse("# 米\nslug: rice\ntopic: food\n\n米を\n研ぐ。\n", "ja")

    assert article.text == "米を研ぐ。"


@pytest.mark.parametrize("markdown", ["# Tea\ntopic: food\n\nBoil.\n", "# Tea\nslug: tea\n"])
def test_an_article_without_slug_or_text_is_refused(markdown: str) -> None:
    with pytest.raises(ValueError, match="lacks a slug or a paragraph"):
        parse(markdown, "en")
