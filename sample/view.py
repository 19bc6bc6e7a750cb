"""What a page template is given: a site, an article and its place among others; and the pieces all templates share."""

import html
import json
from dataclasses import dataclass

from .articles import Article
from .labels import LABELS, Labels
from .sites import Site

__all__ = ["View", "cookie_banner", "escape", "json_ld", "links", "meta_charset", "tracker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One page before it is written as HTML."""

    site: Site
    article: Article
    path: str
    date: str
    """ISO 8601 date of publication."""
    author: str
    related: tuple[tuple[str, str], ...]
    """Titles and paths of other pages of the site."""

    @property
    def labels(self) -> Labels:
        """The words of the page's frame."""
        return LABELS[self.site.lang]

    @property
    def title(self) -> str:
        """The article's title as HTML."""
        return escape(self.article.title)

    @property
    def name(self) -> str:
        """The site's name as HTML."""
        return escape(self.site.name)

    @property
    def section(self) -> str:
        """The menu entry under which the article stands."""
        return self.labels.sections[len(self.article.slug) % len(self.labels.sections)]


def escape(text: str) -> str:
    """Text as HTML, quotation marks left alone.

    >>> escape("a < b & c")
    'a &lt; b &amp; c'
    """
    return html.escape(text, quote=False)


def meta_charset(view: View, form: str) -> str:
    """The tag that declares the encoding, or nothing on sites that declare none; `form` has one {} for the label."""
    return form.format(view.site.meta) if view.site.meta else ""


def links(pairs: tuple[tuple[str, str], ...], before: str = "<li>", after: str = "</li>\n") -> str:
    """Links from (title, path), each between two pieces of markup.

    >>> links((("Tea", "/tea"),))
    '<li><a href="/tea">Tea</a></li>\\n'
    """
    return "".join(f'{before}<a href="{path}">{escape(title)}</a>{after}' for title, path in pairs)


def tracker(view: View) -> str:
    """A script such as counters put on every page; it names no real service."""
    return (
        "<script>(function(w,d){w.counter=w.counter||[];w.counter.push({site:"
        + json.dumps(view.site.host)
        + ",t:Date.now()});var s=d.createElement('script');s.async=true;s.src='/js/counter.js?v=3';"
        "d.getElementsByTagName('head')[0].appendChild(s);})(window,document);</script>"
    )


def cookie_banner(view: View) -> str:
    """A consent banner as it stands in the markup before a script hides it."""
    words = view.labels
    return (
        f'<div id="cookie-banner" class="cookie-consent" role="dialog" aria-live="polite"><p>{escape(words.cookie)}</p>'
        f'<button type="button" class="cookie-accept">{escape(words.accept)}</button> '
        f'<a href="/privacy">{escape(words.privacy)}</a></div>'
    )


def json_ld(view: View, kind: str) -> str:
    """schema.org data about the article; non-ASCII characters are escaped, as most publishing systems do."""
    data = {
        "@context": "https://schema.org",
        "@type": kind,
        "headline": view.article.title,
        "datePublished": f"{view.date}T09:00:00+09:00",
        "author": {"@type": "Person", "name": view.author},
        "publisher": {"@type": "Organization", "name": view.site.name},
        "mainEntityOfPage": f"https://{view.site.host}{view.path}",
    }
    return f'<script type="application/ld+json">{json.dumps(data)}</script>'
