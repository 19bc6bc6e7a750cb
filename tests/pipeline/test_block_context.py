"""Headings, terms and announced lists go with the blocks they belong to, and nothing else does."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.pipeline.block_context import with_context
from seimai.pipeline.extract import extract_text
from seimai.pipeline.html_blocks import blocks_of
from seimai.pipeline.html_scan import scan_page


def with_them(page: str, kept: list[int]) -> list[int]:
    scan = scan_page(page.encode())
    found: list[int] = with_context(scan, blocks_of(scan), np.array(kept, np.bool_)).astype(int).tolist()
    return found


@pytest.mark.parametrize(
    ("page", "kept", "expected"),
    [
        ("<h2>a</h2><p>text", [0, 1], [1, 1]),
        ("<h2>a</h2><p>text", [0, 0], [0, 0]),
        ("<h1>a</h1><p>text", [0, 1], [0, 1]),
        ("<h3>a</h3><p>by me<p>text", [0, 0, 1], [0, 0, 1]),
        ("<h2>a</h2><h4>b</h4><p>text<h5>c</h5>", [0, 0, 1, 0], [1, 1, 1, 0]),
        ("", [], []),
        # A heading that leads to another page is a teaser; a place on a page is where the heading itself stands.
        ("<h2><a href=/a>a</a></h2><p>text", [0, 1], [0, 1]),
        ("<a href=/a><h2>a</h2></a><p>text", [0, 1], [0, 1]),
        ("<a href=#a><h2>a</h2></a><p>text", [0, 1], [0, 1]),
        ("<h2><a href='index.html#toc20'>a</a></h2><p>text", [0, 1], [1, 1]),
        ("<h2><a name=a>a</a></h2><p>text", [0, 1], [1, 1]),
        ("<h2><A CLASS='#' HREF=/a>a</A></h2><p>text", [0, 1], [0, 1]),
        ("<h2><a class='thread href' id=a>a</a></h2><p>text", [0, 1], [0, 1]),
        ("<h2><a class=thread id=a>a</a></h2><p>text", [0, 1], [1, 1]),
        ("<h2><b><a href=#a>a</a></b> <a href=/b>b</a></h2><p>text", [0, 1], [0, 1]),
        ("<h2><a href=#a>a</a></h2><p><a href=/b>text</a>", [0, 1], [0, 1]),
        ("<h2><a href=#a>a</a></h2><h3>b</h3><p>text", [0, 0, 1], [1, 1, 1]),
    ],
)
def test_headings_stand_before_their_text(page: str, kept: list[int], expected: list[int]) -> None:
    assert with_them(page, kept) == expected


@pytest.mark.parametrize(
    ("page", "kept", "expected"),
    [
        ("<dl><dt>a<dd>text</dl>", [0, 1], [1, 1]),
        ("<dl><dt>a<dt>b<dd>text</dl>", [0, 0, 1], [1, 1, 1]),
        ("<dl><dt>a<dd><p>one<p>two</dl>", [0, 1, 0], [1, 1, 0]),
        ("<dl><dt>a<dd>b<dt>c<dd>text</dl>", [0, 0, 0, 1], [0, 0, 1, 1]),
        ("<dl><dt>a<dd><dl><dt>b<dd>text</dl></dl>", [0, 0, 1], [1, 1, 1]),
        ("<dl><dt>a</dl><p>text", [0, 1], [0, 1]),
        ("<dl><dt><div>a</div><dd>text</dl>", [0, 1], [0, 1]),  # more than a term
        ("<dl><dt>a<p>text</dl>", [0, 1], [1, 1]),
        ("<dl><dt>a</dl><dl><dd>text</dl>", [0, 1], [0, 1]),
    ],
)
def test_terms_stand_before_what_is_said_of_them(page: str, kept: list[int], expected: list[int]) -> None:
    assert with_them(page, kept) == expected


@pytest.mark.parametrize(
    ("page", "kept", "expected"),
    [
        ("<p>as follows:<ul><li>a<li>b</ul><p>c", [1, 0, 0, 0], [1, 1, 1, 0]),
        ("<p>次の通り： <ol><li>a<li>b</ol>", [1, 0, 0], [1, 1, 1]),
        ("<p>as follows:<ul><li>a<li>b</ul>", [0, 0, 0], [0, 0, 0]),
        ("<p>as follows.<ul><li>a<li>b</ul>", [1, 0, 0], [1, 0, 0]),
        ("<p>as follows:<ul><li>a<ul><li>b</ul><li>c</ul>", [1, 0, 0, 0], [1, 1, 1, 1]),
        ("<p>x<ul><li>as follows:<ul><li>a</ul><li>b</ul>", [1, 1, 0, 0], [1, 1, 1, 0]),
        ("<p>x<ul><li>y<ul><li>z:</ul><li>b</ul>", [1, 1, 1, 0], [1, 1, 1, 0]),  # nothing behind it
        ("<ul><li>x:<li>a</ul>", [1, 0], [1, 0]),
        ("<div>as follows:<ul><li>a<li>b</ul>c</div>", [1, 0, 0, 0], [1, 1, 1, 0]),
        ("<p>see also:<ul><li><a href=/>a</a><li><a href=/>b</a></ul>", [1, 0, 0], [1, 0, 0]),
        ("<p>see also:<ul><li><a href=/>a</a> is long<li><a href=/>b</a></ul>", [1, 0, 0], [1, 1, 1]),
        ("<p>replies:<ul class=comments><li>a<li>b</ul>", [1, 0, 0], [1, 0, 0]),
        ("<p>as follows:<table><tr><td>a</table>", [1, 0], [1, 0]),
        ("<p>as follows:", [1], [1]),
    ],
)
def test_a_colon_announces_the_list_behind_it(page: str, kept: list[int], expected: list[int]) -> None:
    assert with_them(page, kept) == expected


@pytest.mark.parametrize(
    ("page", "kept", "expected"),
    [
        ("<p>text<ul><li>a<li>b</ul><p>text", [1, 0, 0, 1], [1, 1, 1, 1]),
        ("<p>text<ul><li>a<li>b</ul><p>text", [1, 0, 0, 0], [1, 0, 0, 0]),
        ("<p>text<ul><li>a<li>b</ul><p>text", [0, 0, 0, 1], [0, 0, 0, 1]),
        ("<p>text<ul><li>a<li>b</ul><p>x<p>text", [1, 0, 0, 0, 1], [1, 0, 0, 0, 1]),
        ("<ul><li>a<li>b<li>c<li>d</ul>", [1, 0, 0, 1], [1, 1, 1, 1]),
        ("<ul><li>a<li><p>b<p>c<li>d</ul>", [1, 0, 0, 1], [1, 1, 1, 1]),
        ("<ul><li>a<li><div>b</div><li>d</ul>", [1, 0, 1], [1, 0, 1]),  # more than an item
        ("<p>text<ul><li><a href=/>a</a><li><a href=/>b</a></ul><p>text", [1, 0, 0, 1], [1, 0, 0, 1]),
        ("<p>text<ul><li><a href=/>a</a> word<li>b</ul><p>text", [1, 0, 0, 1], [1, 1, 1, 1]),
        ("<p>text<ul class=sidebar><li>a<li>b</ul><p>text", [1, 0, 0, 1], [1, 0, 0, 1]),
        ("<p>text<ol><li class=comment>a<li>b</ol><p>text", [1, 0, 0, 1], [1, 0, 0, 1]),
    ],
)
def test_items_between_texts_are_text(page: str, kept: list[int], expected: list[int]) -> None:
    assert with_them(page, kept) == expected


PIECES = [
    "<h2>a</h2>",
    "<h3><a href=#x>b</a></h3>",
    "<h2><a href=/>c</a></h2>",
    "<p>so:",
    "<p>text",
    "<ul><li>d",
    "<li>",
]
PIECES += ["</ul>", "<dl><dt>e", "<dd>f", "</dl>", "<a href=#>", "</a>", "x：", "<table><tr><td>g", "</table>", "<h2>"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES)), st.integers(0, 9))
def test_nothing_kept_is_lost_and_nothing_comes_without_a_neighbour(pieces: list[str], seed: int) -> None:
    scan = scan_page("".join(pieces).encode())
    blocks = blocks_of(scan)
    kept = np.random.default_rng(seed).random(len(blocks.blocks)) < 0.4
    found = with_context(scan, blocks, kept)
    assert found[kept].all()
    assert (with_context(scan, blocks, found) >= found).all()
    if not kept.any():
        assert not found.any()
    for block in np.flatnonzero(found & ~kept):
        before = block > 0 and found[block - 1]
        behind = block + 1 < len(found) and found[block + 1]
        assert before or behind


def test_sections_of_a_manual_keep_their_headings() -> None:
    prose = "The grain is dried in the sun for three days, and turned twice a day, so that it dries evenly. "
    sections = "".join(
        f"<h2><a href='index.html#toc{number}'>{number}. Step</a></h2><p>{prose}{number}</p>"
        f"<p>Take these tools, in this order, and with care:</p><ul><li>rake {number}<li>mat</ul>"
        for number in range(6)
    )
    found = extract_text(f"<html><body><h1>Drying</h1>{sections}</body></html>").text
    assert [number for number in range(6) if f"{number}. Step" not in found or f"- rake {number}" not in found] == []


@pytest.mark.parametrize(
    "unit", ["<ul><li>so:", "<dl><dt>a<dd>", "<div><h2><a href=#>b</a></h2>x", "<p>so:<ul><li>a</ul>"]
)
def test_context_takes_linear_time(unit: str) -> None:
    scan = scan_page((unit * 20_000).encode())
    blocks = blocks_of(scan)
    with_context(scan, blocks, np.ones(len(blocks.blocks), np.bool_))
    started = time.process_time()
    with_context(scan, blocks, np.arange(len(blocks.blocks)) % 2 == 0)
    assert time.process_time() - started < 1.0
