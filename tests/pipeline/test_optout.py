"""What a page says about reuse, its address and its date."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seimai.pipeline.optout import PageNotes, header_robots, header_tdm_reserved, page_notes


@pytest.mark.parametrize(
    ("markup", "field", "value"),
    [
        ('<meta name="robots" content="noindex, noai">', "robots", "noai,noindex"),
        ("<META NAME=ROBOTS CONTENT='NOAI,NOIMAGEAI'>", "robots", "noai,noimageai"),
        ('<meta content="none" name="robots"><meta name=robots content=noai>', "robots", "noai,none"),
        ('<meta name="CCBot" content="nofollow"><meta name=robots content=index>', "robots", "ccbot:nofollow"),
        ('<meta name="description" content="noai">', "robots", None),
        ('<meta name="tdm-reservation" content="1">', "tdm_reserved", True),
        ('<meta name="tdm-reservation" content="0">', "tdm_reserved", False),
        ('<link rel="canonical" href="https://a.example/?a=1&amp;b=2">', "canonical", "https://a.example/?a=1&b=2"),
        ("<link href=/x rel=CANONICAL>", "canonical", "/x"),
        ('<link rel="alternate" href="/x">', "canonical", None),
        ('<meta property="article:published_time" content="2021-03-04T05:06:07+09:00">', "published", "2021-03-04"),
        ('<meta name="DC.date" content="20210304">', "published", "2021-03-04"),
        ('<script>{"@type":"Article","datePublished": "2020-01-02T00:00"}</script>', "published", "2020-01-02"),
        ('<meta name=date content="yesterday">', "published", None),
        ('<meta name=date content="2021-13-04">', "published", None),
        ("</head><p>無断転載を禁じます。", "no_reuse", True),
        ("<p>記事の無断複製・転用は固くお断りします", "no_reuse", True),
        ("<p>転載禁止", "no_reuse", True),
        ("<p>無断で欠席した。転載の記事。", "no_reuse", False),
        ("<p>転載は自由です。飲食は禁止。", "no_reuse", False),
    ],
)  # fmt: skip
def test_what_a_page_says(markup: str, field: str, value: object) -> None:
    assert getattr(page_notes(f"<html><head>{markup}<body>"), field) == value


CC = '<a rel="license" href="http://creativecommons.org/licenses/by-nc-sa/4.0/deed.ja">CC</a>'


@pytest.mark.parametrize(
    ("page", "licence", "place"),
    [
        (f"<head></head><body><p>x</p>{CC}", "cc-by-nc-sa-4.0", "body"),
        (f"<head></head><body><footer>{CC}", "cc-by-nc-sa-4.0", "footer"),
        (f"<head></head><body><div id='page-footer'><p>{CC}", "cc-by-nc-sa-4.0", "footer"),
        ('<head><link rel=license href="https://creativecommons.org/publicdomain/zero/1.0/"><body>', "cc0-1.0", "head"),
        ("<body>https://creativecommons.org/publicdomain/mark/1.0/", "publicdomain-mark-1.0", "body"),
        ("<body>https://creativecommons.org/licenses/by/", "cc-by", "body"),
        ('<body><a href="/terms" rel="license">terms</a>', "/terms", "body"),
        ("<body>creativecommons.org/about license", None, None),
        ("<body>my driver's license", None, None),
    ],
)  # fmt: skip
def test_licences(page: str, licence: str | None, place: str | None) -> None:
    notes = page_notes(page)
    assert (notes.licence, notes.licence_place) == (licence, place)


@pytest.mark.parametrize(
    ("headers", "robots", "joined"),
    [
        ([], None, None),
        ([], "noai", "noai"),
        ([("x-robots-tag", "noindex, NOAI")], None, "noai,noindex"),
        ([("x-robots-tag", "ccbot: noindex, nofollow")], "noai", "ccbot:nofollow,ccbot:noindex,noai"),
        ([("x-robots-tag", "otherbot: noindex")], None, None),
        ([("x-robots-tag", "max-snippet: 5, noai")], None, "5,max-snippet:,noai"),
        ([("content-type", "noai")], None, None),
    ],
)
def test_headers(headers: list[tuple[str, str]], robots: str | None, joined: str | None) -> None:
    assert header_robots(headers, robots) == joined


def test_the_tdm_header() -> None:
    assert header_tdm_reserved([("a", "1"), ("tdm-reservation", " 1 ")])
    assert not header_tdm_reserved([("tdm-policy", "1")])


@given(st.text(st.sampled_from("<>/= '\"abmetlinkcharsdo:転載無断禁止1-\n"), max_size=200))
def test_any_page(page: str) -> None:
    notes = page_notes(page)
    assert isinstance(notes, PageNotes)
    assert len(notes.robots or "") <= 200


@pytest.mark.parametrize(
    "unit",
    ["<meta ", '<link a="', "<a rel= license ", "<time ", "無断転載 ", "<a rel=license ", "creativecommons.org/"],
)
def test_hostile_pages_take_linear_time(unit: str) -> None:
    started = time.process_time()
    page_notes(unit * (2_000_000 // len(unit)))
    assert time.process_time() - started < 2.0
