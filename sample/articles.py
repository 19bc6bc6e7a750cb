"""The articles of the sample web, read from the Markdown files of this folder."""

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

__all__ = ["Article", "articles", "load", "parse"]

_FILES = ("articles_ja_a.md", "articles_ja_b.md", "articles_en.md", "articles_other.md")
_FIELD = re.compile(r"(slug|topic|lang): *(\S.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Article:
    """One text written for this project."""

    slug: str
    """Name, unique among all articles; ends the address of each page that carries the text."""
    title: str
    topic: str
    lang: str
    """ISO 639-1 code."""
    paragraphs: tuple[str, ...]
    """Plain text, one line each, no markup."""

    @property
    def text(self) -> str:
        """The paragraphs, one a line."""
        return "\n".join(self.paragraphs)


def parse(markdown: str, lang: str) -> list[Article]:
    """The articles of one file, in its order; each begins with `# title`, then `slug:`, `topic:` and maybe `lang:`.

    Lines of one paragraph are joined with a space in languages that write one, and directly in Japanese and Chinese.
    Raises ValueError when an article has no slug or no paragraph.

    >>> parse("# Tea\\nslug: tea\\ntopic: food\\n\\nBoil water.\\nWait.\\n\\nPour.\\n", "en")[0].paragraphs
    ('Boil water. Wait.', 'Pour.')
    """
    return [_article(chunk, lang) for chunk in re.split(r"^# +", markdown, flags=re.MULTILINE)[1:]]


def _article(chunk: str, lang: str) -> Article:
    title, *lines = chunk.strip().split("\n")
    fields = {"lang": lang, "topic": "", "slug": ""}
    while lines and (field := _FIELD.fullmatch(lines[0].strip())):
        fields[field[1]] = field[2].strip()
        lines.pop(0)
    glue = "" if fields["lang"] in ("ja", "zh") else " "
    blocks = re.split(r"\n\s*\n", "\n".join(lines).strip())
    paragraphs = tuple(glue.join(line.strip() for line in block.split("\n")) for block in blocks if block.strip())
    if not fields["slug"] or not paragraphs:
        raise ValueError(f"article {title!r} lacks a slug or a paragraph; write `slug: name` below its title")
    return Article(title=title.strip(), paragraphs=paragraphs, **fields)


@cache
def articles() -> tuple[Article, ...]:
    """Every article of the sample web, Japanese first, in the order of the files.

    >>> {article.lang for article in articles()} >= {"en", "ja"}
    True
    """
    found: list[Article] = []
    for name in _FILES:
        file = resources.files("seimai.sample").joinpath(name)
        found += parse(file.read_text(encoding="utf-8"), lang=name.split("_")[1].removesuffix(".md"))
    slugs = [article.slug for article in found]
    twice = sorted({slug for slug in slugs if slugs.count(slug) > 1})
    if twice:
        raise ValueError(f"slug {twice[0]!r} names two articles; every slug is used once")
    return tuple(found)


def load(lang: str) -> tuple[Article, ...]:
    """The articles in one language (ISO 639-1), in the order of the files."""
    return tuple(article for article in articles() if article.lang == lang)
