"""The small changes by which a near-duplicate differs from the article it was copied from."""

import re
from collections.abc import Callable
from dataclasses import replace

from .articles import Article

__all__ = ["EDITS", "Edit", "add_dateline", "change_punctuation", "drop_sentence", "nearly", "similarity"]

Edit = Callable[[Article], Article]

MIN_SIMILARITY = 0.945
"""With the few words that extraction leaves of a page's frame, two copies then stay above 0.92."""

_SENTENCE = re.compile(r"[^。！？]+[。！？]」?|[^.!?]+[.!?][\"”)]*\s*")


def drop_sentence(article: Article) -> Article:
    """The article without its shortest sentence that stands between two others of a paragraph.

    >>> drop_sentence(Article(slug="a", title="", topic="", lang="en", paragraphs=("One one. Two. Three it is.",))).text
    'One one. Three it is.'
    """
    inner = [sentence for paragraph in article.paragraphs for sentence in _SENTENCE.findall(paragraph)[1:-1]]
    whole = [
        sentence for sentence in inner if article.text.count(sentence) == 1 and not set(sentence) & set('「」“”"()')
    ]
    if not whole:
        raise ValueError(f"article {article.slug!r} has no inner sentence to drop; choose another")
    shortest = min(whole, key=len)
    return _with(article, [paragraph.replace(shortest, "") for paragraph in article.paragraphs])


def add_dateline(article: Article) -> Article:
    """The article with the date of its reprint at its end."""
    line = "（2025年3月14日掲載）" if article.lang == "ja" else "(Reprinted 14 March 2025.)"
    return _with(article, [*article.paragraphs[:-1], f"{article.paragraphs[-1]}{_gap(article)}{line}"])


def change_punctuation(article: Article) -> Article:
    """The article with its first comma lost and its last full stop turned into an exclamation mark."""
    comma, stop, loud = ("、", "。", "！") if article.lang == "ja" else (",", ".", "!")
    first, last = article.paragraphs[0], article.paragraphs[-1]
    changed = [first.replace(comma, "", 1), *article.paragraphs[1:-1]]
    head, _, tail = last.rpartition(stop)
    return _with(article, [*changed, f"{head}{loud}{tail}"])


def _gap(article: Article) -> str:
    return "" if article.lang == "ja" else " "


def _with(article: Article, paragraphs: list[str]) -> Article:
    return replace(article, paragraphs=tuple(paragraphs))


EDITS: tuple[Edit, ...] = (drop_sentence, add_dateline, change_punctuation)
"""Edits in the order in which near-duplicates take them in turn."""


def similarity(a: Article, b: Article) -> float:
    """Jaccard similarity of two texts over shingles of 5 characters (Japanese) or 5 words, 0 to 1."""
    one, other = _shingles(a), _shingles(b)
    return len(one & other) / len(one | other)


def nearly(article: Article, turn: int) -> Article:
    """The article after one edit: the `turn`-th, or the next one that leaves it at least `MIN_SIMILARITY` similar."""
    edited = (EDITS[(turn + step) % len(EDITS)](article) for step in range(len(EDITS)))
    return next(copy for copy in edited if similarity(article, copy) >= MIN_SIMILARITY)


def _shingles(article: Article) -> set[tuple[str, ...]]:
    units = tuple(article.text) if article.lang == "ja" else tuple(article.text.split())
    return {units[start : start + 5] for start in range(len(units) - 4)}
