"""The pages: what stands in the sample web, and that every copy of an article can be read with its true encoding."""

import gzip
import html
import re
from collections import Counter

import pytest

from seimai.sample.articles import articles, load
from seimai.sample.edits import EDITS
from seimai.sample.pages import Page, pages
from seimai.sample.sites import COPY_SITES, FOREIGN_SITES, SITES, site
from seimai.sample.templates import TEMPLATES

from .test_encodings import MICROSOFT, decode_iso_2022_jp

DECODERS = {"shift_jis": "cp932", "gbk": "gbk", "euc-kr": "cp949", "windows-1252": "cp1252"}
BY_SLUG = {article.slug: article for article in articles()}
ARTICLE_PAGES = [page for page in pages() if page.truth.slug and not page.same_as]


def decoded(page: Page) -> str:
    """The page's markup by decoders that share nothing with ours."""
    body, headers = page.body, dict(page.headers)
    if "Content-Encoding" in headers:
        body = gzip.decompress(body)
    if "Transfer-Encoding" in headers:
        body = b"".join(re.split(rb"(?:^|\r\n)[0-9a-f]+\r\n", body))
    if page.truth.encoding == "iso-2022-jp":
        return decode_iso_2022_jp(body)
    if page.truth.encoding == "euc-jp":
        return body.decode("euc_jis_2004").translate(MICROSOFT)
    return body.decode(DECODERS.get(page.truth.encoding, page.truth.encoding), "ignore" if page.cut else "strict")


def visible(markup: str) -> str:
    return re.sub(r"\s", "", html.unescape(re.sub(r"<[^<>]*>", "", markup)))


@pytest.mark.parametrize("page", ARTICLE_PAGES, ids=lambda page: page.url)
def test_a_page_carries_its_article(page: Page) -> None:
    article = BY_SLUG[page.truth.slug]
    versions = [article] if page.truth.kind != "near_duplicate" else [edit(article) for edit in EDITS]
    text = visible(decoded(page))

    assert any(all(visible(html.escape(p)) in text for p in version.paragraphs) for version in versions)


def test_each_article_is_an_original_once() -> None:
    originals = [page.truth.slug for page in pages() if page.truth.kind == "original"]

    assert sorted(originals) == sorted(article.slug for lang in ("ja", "en") for article in load(lang))


def test_no_host_carries_an_article_twice() -> None:
    seats = Counter((page.host, page.truth.slug) for page in ARTICLE_PAGES)

    assert max(seats.values()) == 1


@pytest.mark.parametrize(
    ("kind", "least"),
    [
        ("near_duplicate", 15),
        ("mirror", 10),
        ("boilerplate", 6),
        ("spam", 4),
        ("link_farm", 2),
        ("products", 2),
        ("short", 2),
        ("repetition", 3),
        ("foreign", 8),
        ("redirect", 2),
        ("error", 2),
        *[(kind, 1) for kind in ("image", "pdf", "robots", "json", "empty", "truncated", "run", "revisit")],
    ],
)
def test_kinds(kind: str, least: int) -> None:
    assert sum(page.truth.kind == kind for page in pages()) >= least


def test_every_encoding_and_habit_occurs() -> None:
    japanese = Counter(page.truth.encoding for page in ARTICLE_PAGES if page.truth.lang == "ja")
    undeclared = {one.encoding for one in SITES if one.lang == "ja" and not one.header and not one.meta}

    assert min(japanese[name] for name in ("utf-8", "shift_jis", "euc-jp", "iso-2022-jp")) >= 5
    assert undeclared >= {"utf-8", "shift_jis", "euc-jp", "iso-2022-jp"}
    assert {one.transfer for one in SITES} == {"identity", "gzip", "chunked"}
    assert {one.template for one in SITES} == set(TEMPLATES)


@pytest.mark.parametrize(("encoding", "characters"), [("euc-jp", "①ｱ"), ("iso-2022-jp", "①ｱ"), ("shift_jis", "髙ｱ①")])
def test_characters_beyond_the_standard_occur(encoding: str, characters: str) -> None:
    """NEC's row 13, half-width kana and, where cp932 carries it, IBM's extensions."""
    text = "".join(decoded(page) for page in ARTICLE_PAGES if page.truth.encoding == encoding)
    classes = {"①": r"[①-⑳Ⅰ-Ⅹ㍉-㎥㈱]", "ｱ": r"[ｦ-ﾝ]", "髙": r"[髙﨑]"}

    for character in characters:
        assert re.search(classes[character], text), character


def test_groups_are_an_original_and_its_copies() -> None:
    for group in {page.truth.group for page in pages() if page.truth.group}:
        members = [page.truth for page in pages() if page.truth.group == group]
        (original,) = [truth for truth in members if truth.kind == "original"]

        assert len(members) >= 2
        assert {truth.expected for truth in members} == {"merge"}
        assert original.admits("duplicated")
        assert all(truth.admits(f"duplicate_of:{original.url}") for truth in members if truth is not original)


def test_truth_is_consistent() -> None:
    for page in pages():
        truth = page.truth

        assert truth.url == page.url
        assert page.host.endswith(".example")
        assert truth.expected in {"keep", "drop", "merge"}
        assert bool(truth.reason) == (truth.expected != "keep")
        assert bool(truth.group) == (truth.expected == "merge")
        assert truth.admits("status") == (page.status != 200)


def test_hosts_are_many_and_named_once() -> None:
    hosts = [one.host for one in SITES + COPY_SITES + FOREIGN_SITES]

    assert len(hosts) == len(set(hosts)) >= 45
    assert site(hosts[0]).host == hosts[0]
