"""The scanner: elements close as browsers close them, and no markup makes it slow, deep or fail."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seimai.pipeline.html_kernels import BR, CELL, HIDDEN, LINE, LINK, NONE, PARAGRAPH, PRE
from seimai.pipeline.html_scan import Scan, scan_page
from seimai.pipeline.html_tables import HINTS, PHRASES, TAG_NAMES, hint_words, phrase_words, tag_table


def runs(page: str) -> list[tuple[str, str, int]]:
    """Text, element and break before, of each run."""
    scan = scan_page(page.encode())
    names = [TAG_NAMES[tag] if tag >= 0 else "" for tag in scan.nodes[:, 1].tolist()]
    return [(text_of(scan, row), names[row[2]], int(row[4])) for row in scan.runs]


def text_of(scan: Scan, row: np.ndarray) -> str:
    return bytes(scan.data[row[0] : row[1]]).decode()


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("a<p>b<p>c", [("a", "", PARAGRAPH), ("b", "p", PARAGRAPH), ("c", "p", PARAGRAPH)]),
        ("<p>a<div>b</div>c", [("a", "p", PARAGRAPH), ("b", "div", PARAGRAPH), ("c", "", LINE)]),
        ("<li>a<li>b<ul><li>c</ul>d", [("a", "li", 4), ("b", "li", LINE), ("c", "li", PARAGRAPH), ("d", "li", 4)]),
        ("<dl><dt>a<dd>b<dt>c</dl>", [("a", "dt", PARAGRAPH), ("b", "dd", LINE), ("c", "dt", LINE)]),
        ("<tr><td>a<td>b<tr><td>c", [("a", "td", PARAGRAPH), ("b", "td", CELL), ("c", "td", LINE)]),
        ("<table><td>a<table><td>b</table>c<td>d", [("a", "td", 4), ("b", "td", 4), ("c", "td", 4), ("d", "td", CELL)]),
        ("<div><td>a</div>b</table>", [("a", "td", PARAGRAPH), ("b", "td", NONE)]),
        ("a<br>b<br/><br>c</br>d", [("a", "", 4), ("b", "", BR), ("c", "", PARAGRAPH), ("d", "", BR)]),
        ("<b>a</b></i><span>b</b>c</span>d", [("a", "", 4), ("b", "span", NONE), ("c", "span", NONE), ("d", "", NONE)]),
        ("a</p>b</div>c", [("a", "", PARAGRAPH), ("b", "", PARAGRAPH), ("c", "", NONE)]),
        ("<SCRIPT>x<p></ScRiPt >a<!-- <p>b --><style>c</style>d<!x><?y?>e", [("a", "", 4), ("d", "", 0), ("e", "", 0)]),
        (
            "<ruby>漢<rp>(</rp><rt>かん<rp>)</rp>字<rt>じ</ruby>の",
            [("漢", "ruby", 4), ("字", "ruby", 0), ("の", "", 0)],
        ),
        ("<ruby>漢<rt>かん</rt>字<rt>じ</rt></ruby>", [("漢", "ruby", PARAGRAPH), ("字", "ruby", NONE)]),
        ("<head><title>t</title>text<p>b", [("text", "", PARAGRAPH), ("b", "p", PARAGRAPH)]),
        ("1 < 2 <3 a<4", [("1 < 2 <3 a<4", "", PARAGRAPH)]),
        ("<select><option>a</select><svg><text>b</text></svg><template>c</template>d", [("d", "", PARAGRAPH)]),
        ("<noscript>a</noscript><textarea><p>b</textarea>c", [("c", "", PARAGRAPH)]),
        ("<unknown>a</unknown><p class='x' id=\"y>z\" data-q=1 checked>b", [("a", "", 4), ("b", "p", PARAGRAPH)]),
        ("<h1>a<script>never closed", [("a", "h1", PARAGRAPH), ("never closed", "h1", NONE)]),
    ],
)
def test_what_opens_and_closes(page: str, expected: list[tuple[str, str, int]]) -> None:
    assert runs(page) == expected


def test_links_and_preformatted_text_are_marked() -> None:
    scan = scan_page(b"<a href=/>a<b>b</b></a>c<a><p>d</a>e</p>f<pre>  g </pre>")
    flags = {text_of(scan, row): int(row[3]) & (LINK | PRE) for row in scan.runs}
    assert flags == {"a": LINK, "b": LINK, "c": 0, "d": LINK, "e": 0, "f": 0, "  g ": PRE}


@pytest.mark.parametrize(
    "how",
    [
        "hidden", 'aria-hidden="true"', "aria-hidden=true", "style='display: none'", 'style="color:red;display:none"',
        'style="VISIBILITY : hidden"',
    ],
)  # fmt: skip
def test_hidden_text_is_left_out_unless_it_is_the_page(how: str) -> None:
    assert [text for text, *_ in runs(f"<p>seen text</p><div {how}>menu</div><p>more")] == ["seen text", "more"]
    assert runs(f"<p>seen text<span {how}>x</span> here")[1] == (" here", "p", NONE)
    assert [text for text, *_ in runs(f"<div {how}>all that stands here</div><p>nav")] == [
        "all that stands here",
        "nav",
    ]
    assert len(runs(f"<body {how}><p>a<p>b")) == 2


def test_attributes_that_hide_nothing() -> None:
    shown = "<p>" + "seen " * 9 + "<p aria-hidden=false>a<p style='display:block'>b<p data-hidden=1>c"
    assert [text for text, *_ in runs(shown)][1:] == ["a", "b", "c"]


def test_metadata_is_found() -> None:
    scan = scan_page("<html lang=ja><head><title>米 &amp; 糠</title><meta name=a><link rel=b></head>".encode())
    found = [(TAG_NAMES[tag], bytes(scan.data[start:stop]).decode()) for tag, start, stop, _ in scan.marks.tolist()]
    assert found == [("html", ""), ("title", "米 &amp; 糠"), ("meta", "<meta name=a>"), ("link", "<link rel=b>")]


def test_items_of_numbered_lists_are_counted() -> None:
    scan = scan_page(b"<ol><li>a<li>b<ul><li>c</ul><li>d</ol><li>e")
    numbers = {text_of(scan, row): int(scan.nodes[row[2], 4]) for row in scan.runs}
    assert numbers == {"a": 1, "b": 2, "c": -1, "d": 3, "e": -1}


def test_signatures_are_equal_where_only_digits_differ() -> None:
    one, two, three = scan_page(b"<div class=post-12></div><div class=post-7></div><div class=menu></div>").nodes[1:, 6]
    assert one == two != three


def groups(attribute: str) -> set[str]:
    bits = int(scan_page(f"<div {attribute}>x".encode()).nodes[1, 2])
    return {name for place, name in enumerate(HINTS) if bits >> place & 1}


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ("class=x", set()),
        ("class='side bar'", {"side"}),
        ("id=global-nav", {"nav"}),
        ('class="ads"', {"ad"}),
        ("class=loads", set()),
        ("class=readers", set()),
        ("role=navigation", {"nav"}),
        ("class='comment-list'", {"comment", "related"}),
        ("class=CookieConsent", {"consent"}),
        ("data-class=nav", set()),
        ("itemprop=articleBody", {"body"}),
        ("id=honbun", {"body"}),
    ],
)
def test_hints(attribute: str, expected: set[str]) -> None:
    assert groups(attribute) == expected


def test_the_automata_find_every_word() -> None:
    for words, rows in ((hint_words(), HINTS), (phrase_words(), PHRASES)):
        for group, row in enumerate(rows.values()):
            for word in row.split("/" if rows is PHRASES else None):
                state = 0
                for byte in word.encode():
                    state = words.step[state, words.classes[byte]]
                assert words.found[state] >> group & 1, word


def test_tags_are_told_apart_by_eight_bytes() -> None:
    keys = tag_table().keys
    assert len(set(keys.tolist())) == len(TAG_NAMES)
    assert (np.diff(keys.astype(object)) > 0).all()


PIECES = ["<", "</", ">", "p", "div", "li", "td", "table", "a ", "script", "title", "br", "ruby", "rt", "html", "head"]
PIECES += [
    "class=",
    '"',
    "'",
    "=",
    "/",
    " ",
    "\n",
    "x",
    "米",
    "&amp;",
    "<!--",
    "-->",
    "<pre>",
    "<svg>",
    "<body hidden>",
]


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_any_markup_gives_runs_in_order_inside_the_page(page: str) -> None:
    scan = scan_page(page.encode())
    bounds = scan.runs[:, :2].ravel()
    assert (np.diff(bounds) >= 0).all()
    assert (scan.runs[:, 0] < scan.runs[:, 1]).all()
    assert (scan.nodes[1:, 0] < np.arange(1, len(scan.nodes))).all()
    assert not (scan.runs[:, 3] & HIDDEN).all() or len(scan.runs) == 0 or "hidden" in page


@given(st.binary(max_size=200))
def test_any_bytes(page: bytes) -> None:
    scan_page(page)


@pytest.mark.parametrize(
    "page",
    [
        b"<div>" * 200_000, b"<b>" * 200_000, b"</a>" * 200_000, b"<p><a>" * 100_000 + b"</a>" * 50_000,
        b"<script>" * 200_000, b"<!--" * 200_000, b"<a " * 300_000, b"<a b=\"" * 100_000, b"<li><ul>" * 50_000,
        b"<title>" * 200_000, b"<" * 1_000_000, b"<p class='" + b"nav " * 200_000, b"<table><td>" * 50_000,
    ],
    ids=lambda page: page[:12].decode(),
)  # fmt: skip
def test_hostile_pages_take_linear_time(page: bytes) -> None:
    scan_page(b"<p>compiled")
    started = time.process_time()
    scan_page(page)
    assert time.process_time() - started < 1.0  # a megabyte of an honest page takes 4 ms
