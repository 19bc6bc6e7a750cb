"""Every page of the sample web: articles on the hosts of their authors, copies elsewhere, other languages, junk."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache
from itertools import cycle
from math import gcd
from types import MappingProxyType

from .articles import Article, load
from .edits import nearly
from .encodings import encodable, encode
from .junk import junk_pages
from .page import Page, Truth, html_page
from .sites import COPY_SITES, FOREIGN_SITES, SITES, Site
from .templates import TEMPLATES
from .view import View

__all__ = ["Page", "Truth", "pages"]

_FIRST_DAY = date(2024, 1, 9)
_AUTHORS = MappingProxyType(
    {
        "ja": ("青木", "大庭", "木島", "清水", "野口", "三好"),
        "en": ("A. Marlow", "B. Hartley", "C. Dunne", "E. Farrow", "J. Whitlock", "M. Ainsley"),
        "zh": ("林", "周"),
        "ko": ("한", "서"),
        "fr": ("C. Morel", "L. Aubry"),
        "de": ("K. Brandt", "R. Seidel"),
    }
)
_PATHS = MappingProxyType(
    {
        "blog": "/{year}/{slug}/",
        "news": "/article/{slug}",
        "wiki": "/wiki/{slug}",
        "corporate": "/column/{slug}.html",
        "forum": "/topic/{slug}",
        "table": "/{slug}.html",
        "homepage": "/~user/{slug}.htm",
        "magazine": "/read/{slug}",
    }
)
_NEAR_DUPLICATES = MappingProxyType({"ja": (9, 6, 1), "en": (7, 7, 2)})
"""How many near-duplicates, step and start: they copy every step-th article from the start on."""
_MIRRORS = MappingProxyType({"ja": (6, 9, 4), "en": (5, 11, 3)})
"""The same for mirrors, which carry the article unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    """An article on a site."""

    article: Article
    site: Site
    day: date
    author: str
    kind: str = "original"
    copy_of: str = ""

    @property
    def path(self) -> str:
        return _PATHS[self.site.template].format(year=self.day.year, slug=self.article.slug)

    @property
    def url(self) -> str:
        """Old templates stand on hosts that never learned https."""
        scheme = "http" if self.site.template in ("table", "homepage") else "https"
        return f"{scheme}://{self.site.host}{self.path}"


def _fits(article: Article, site: Site) -> bool:
    return encodable(article.title + article.text, site.encoding)


def _place(articles: Sequence[Article], sites: Sequence[Site], first_day: date) -> list[_Placed]:
    """Articles dealt out to the sites in turn; a site whose encoding lacks a character is passed over, once."""
    turn = cycle(sites)
    placed = []
    for number, article in enumerate(articles):
        site = next(site for site in turn if _fits(article, site))
        authors = _AUTHORS[article.lang]
        day = first_day + timedelta(days=5 * number)
        placed.append(_Placed(article=article, site=site, day=day, author=authors[number % len(authors)]))
    return placed


def _copies(originals: Sequence[_Placed], lang: str) -> Iterator[_Placed]:
    """Near-duplicates and mirrors, each of another article, each on a host that is not the author's.

    The table layout leaves its menu in the extracted text; copies between it and another layout are mirrors only.
    """
    own = [placed for placed in originals if placed.site.lang == lang]
    hosts = cycle([site for site in COPY_SITES * 3 + SITES if site.lang == lang])
    taken: set[str] = set()
    for kind, (count, step, first) in (("near_duplicate", _NEAR_DUPLICATES[lang]), ("mirror", _MIRRORS[lang])):
        barred = {"table", "forum"} if kind == "near_duplicate" else set()
        free = [placed for placed in own[first:] if placed.url not in taken and placed.site.template not in barred]
        for number, source in enumerate(free[::step][:count]):
            article = nearly(source.article, number) if kind == "near_duplicate" else source.article
            shut = {*barred, source.site.template}
            site = next(site for site in hosts if site.template not in shut and _fits(article, site))
            later = source.day + timedelta(days=40 + number)
            taken.add(source.url)
            yield replace(source, article=article, site=site, day=later, kind=kind, copy_of=source.url)


def _related(placed: _Placed, everything: Sequence[_Placed]) -> tuple[tuple[str, str], ...]:
    """Up to four other pages of the site; the front page where there is none."""
    others = tuple((one.article.title, one.path) for one in everything if one.site == placed.site and one != placed)
    return others[:4] or ((placed.site.name, "/"),)


def _page(placed: _Placed, everything: Sequence[_Placed], groups: frozenset[str]) -> Page:
    article, site = placed.article, placed.site
    view = View(
        site=site,
        article=article,
        path=placed.path,
        date=placed.day.isoformat(),
        author=placed.author,
        related=_related(placed, everything),
    )
    duplicated = placed.copy_of or placed.url in groups
    reason = f"duplicate_of:{placed.copy_of}" if placed.copy_of else "duplicated" if duplicated else ""
    truth = Truth(
        url=placed.url,
        kind=placed.kind,
        lang=article.lang,
        encoding=site.encoding,
        slug=article.slug,
        expected="merge" if duplicated else "keep",
        reason=reason,
        group=article.slug if duplicated else "",
    )
    body = encode(TEMPLATES[site.template](view), site.encoding)
    if placed.kind == "foreign":
        truth = replace(truth, expected="drop", reason="language")
    if placed.kind != "truncated":
        return html_page(truth, body, site.header, site.transfer)
    return replace(html_page(truth, body[: body.rindex(b"<footer") + 40], site.header), cut=True)


def _revisit(original: Page) -> Page:
    """The same bytes under a second address, of which the crawler kept the headers alone."""
    url = f"{original.url}?print=1"
    truth = replace(original.truth, url=url, kind="revisit", expected="drop", reason="revisit", group="")
    return replace(original, url=url, body=b"", truth=truth, same_as=original.url)


@cache
def pages() -> tuple[Page, ...]:
    """Every page of the sample web, in a fixed order that mixes hosts; the revisit record stands last.

    >>> len({page.url for page in pages()}) == len(pages())
    True
    """
    originals = [
        *_place(load("ja"), [site for site in SITES if site.lang == "ja"], _FIRST_DAY),
        *_place(load("en"), [site for site in SITES if site.lang == "en"], _FIRST_DAY + timedelta(days=2)),
    ]
    copies = [*_copies(originals, "ja"), *_copies(originals, "en")]
    taken = {placed.copy_of for placed in copies}
    cut_of = next(placed for placed in originals if placed.url not in taken and _fits(placed.article, COPY_SITES[0]))
    day = cut_of.day + timedelta(days=90)
    copies.append(replace(cut_of, site=COPY_SITES[0], day=day, kind="truncated", copy_of=cut_of.url))
    foreign = [
        replace(placed, kind="foreign")
        for lang in sorted({site.lang for site in FOREIGN_SITES})
        for placed in _place(load(lang), [site for site in FOREIGN_SITES if site.lang == lang], _FIRST_DAY)
    ]
    everything = [*originals, *copies, *foreign]
    groups = frozenset(placed.copy_of for placed in copies)
    written = [*(_page(placed, everything, groups) for placed in everything), *junk_pages()]
    mixed = [written[(number * _stride(len(written))) % len(written)] for number in range(len(written))]
    plain = next(page for page in written if page.truth.expected == "keep" and page.truth.lang == "en")
    return (*mixed, _revisit(plain))


def _stride(count: int) -> int:
    """The first odd number from 89 on that has no divisor in common with `count`: steps of it visit everything once."""
    return next(step for step in range(89, 89 + 2 * count, 2) if gcd(step, count) == 1)
