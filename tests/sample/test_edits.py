"""Near-duplicates differ from their article, and by little."""

import pytest

from seimai.sample.articles import Article, load
from seimai.sample.edits import EDITS, Edit, nearly, similarity


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
@pytest.mark.parametrize("lang", ["ja", "en"])
def test_an_edit_changes_the_text_a_little(edit: Edit, lang: str) -> None:
    for article in load(lang):
        edited = edit(article)

        assert edited.text != article.text
        assert len(edited.paragraphs) == len(article.paragraphs)
        assert abs(len(edited.text) - len(article.text)) <= 0.1 * len(article.text)
        assert similarity(article, edited) > 0.85


def test_near_copies_stay_near_and_all_edits_are_used() -> None:
    for lang in ("ja", "en"):
        articles = load(lang)
        copies = [nearly(article, number) for number, article in enumerate(articles)]
        edits = {edit for a, b in zip(articles, copies, strict=True) for edit in EDITS if edit(a) == b}

        assert edits == set(EDITS)
        assert min(similarity(a, b) for a, b in zip(articles, copies, strict=True)) >= 0.945


def test_similarity_of_words() -> None:
    one = Article(slug="a", title="", topic="", lang="en", paragraphs=("a b c d e f",))
    other = Article(slug="b", title="", topic="", lang="en", paragraphs=("a b c d e g",))

    assert similarity(one, one) == 1.0
    assert similarity(one, other) == 1 / 3
