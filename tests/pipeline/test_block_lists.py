"""A page that is a list keeps it, a page that has one does not: each condition by itself, and real pages' layouts."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.pipeline.block_lists import MIN_ITEMS, with_contents
from seimai.pipeline.extract import extract_text
from seimai.pipeline.html_blocks import blocks_of
from seimai.pipeline.html_scan import scan_page

INTRO = "<p>Sixty chapters on the milling of rice, as they came out week by week.</p>"
PROSE = "".join(
    f"<p>The {n}th miller of the valley polishes his rice at night, slowly, as he was taught.</p>" for n in range(9)
)


def items(number: int = 80, name: str = "Chapter {}, in which the mill turns") -> str:
    return "".join(f"<li><a href=/{n}.html>{name.format(n)}</a>" for n in range(number))


def body(inside: str) -> str:
    return f"<html><head><title>The Mill</title></head><body>{inside}</body></html>"


CONTENTS = f"<h1>The Mill</h1>{INTRO}"
LINKS = f"<ul>{items()}</ul>"

TAKEN = {
    "plain": f"{CONTENTS}{LINKS}",
    "in boxes": f"<div class=a><div>{CONTENTS}</div></div><div class=b>{LINKS}</div>",
    "menu above": f"<div id=menu><ul><li><a href=/>Home</a><li><a href=/n>News</a></ul></div>{CONTENTS}{LINKS}",
    "a word behind": f"{CONTENTS}{LINKS}<p>Copyright 2024 by the mill.</p>",
    "named contents": f"{CONTENTS}<ul class=toc>{items()}</ul>",
    "in parts": f"{CONTENTS}<div>" + "".join(f"<h3>Book {n}</h3><ul>{items(40)}</ul>" for n in range(3)) + "</div>",
    "nested": f"{CONTENTS}<ul>" + f"<li><a href=/p>A part of it</a><ul>{items(30)}</ul>" * 3 + "</ul>",
    "a table": f"{CONTENTS}<table>{items().replace('<li>', '<tr><td>')}</table>",
    "numbers alone": f"{CONTENTS}<ol>{items(300, name='第{}章')}</ol>",
}
LEFT = {
    "too short": f"{CONTENTS}<ul>{items(MIN_ITEMS - 1)}</ul>",
    "no heading": f"{INTRO}{LINKS}",
    "no word before": f"<h1>The Mill</h1>{LINKS}",
    "heading behind": f"{LINKS}{CONTENTS}",
    "a text": f"{CONTENTS}{PROSE}{LINKS}",
    "more said behind": f"{CONTENTS}{LINKS}{INTRO}{INTRO}",
    "a menu": f"{CONTENTS}<ul class=menu>{items()}</ul>",
    "a nav": f"{CONTENTS}<nav>{LINKS}</nav>",
    "a sidebar": f"{CONTENTS}<div id=sidebar>{LINKS}</div>",
    "a footer": f"{CONTENTS}<footer>{LINKS}</footer>",
    "no links": f"{CONTENTS}{LINKS.replace('<a ', '<b ').replace('</a>', '</b>')}",
    "two lists": f"{CONTENTS}{LINKS}<table>{items().replace('<li>', '<tr><td>')}</table>",
    "names it but for ¶": f"<h1>The Mill <a href=#m>¶</a></h1>{INTRO}<ul>{items()}<li><a href=/m>The Mill</a></ul>",
    "names this page": f"<h1>The Mill</h1>{INTRO}<ul>{items()}<li class=current><a href=/m>3. the MILL</a></ul>",
}


def chosen(page: str) -> float:
    """Share of the chapters that are kept where the model kept all but links and chapters."""
    scan = scan_page(body(page).encode())
    blocks = blocks_of(scan)
    spans = zip(scan.runs[blocks.blocks[:, 0], 0], scan.runs[blocks.blocks[:, 1] - 1, 1], strict=True)
    texts = [scan.data[start:end].tobytes().decode() for start, end in spans]
    is_item = np.array(["the mill turns" in text or "章" in text for text in texts])
    by_model = ~is_item & (blocks.counts[:, 3] == 0)
    kept = with_contents(scan, blocks, by_model)
    assert kept[by_model].all()
    return float(kept[is_item].mean())


@pytest.mark.parametrize("name", TAKEN)
def test_a_page_that_is_a_list_keeps_it(name: str) -> None:
    assert chosen(TAKEN[name]) > 0.9


@pytest.mark.parametrize("name", LEFT)
def test_a_page_that_has_a_list_does_not(name: str) -> None:
    assert chosen(LEFT[name]) == 0.0


def test_the_text_of_a_table_of_contents() -> None:
    menu = "".join(f"<li><a href=/{name}>{name}</a>" for name in ("Home", "News", "Shop", "About", "Contact", "Help"))
    found = extract_text(
        body(f"<nav><ul>{menu}</ul></nav>{CONTENTS}<ul>{items(300)}</ul><div class=footer>Copyright</div>")
    ).text
    assert "- Chapter 0, in which the mill turns\n- Chapter 1, in which" in found
    assert "Chapter 299," in found
    assert "News" not in found


@pytest.mark.parametrize("name", ["menu", "widget"])
def test_an_article_beside_a_long_menu_is_alone(name: str) -> None:
    found = extract_text(body(f"<div class={name}><ul>{items(300)}</ul></div><h1>The Mill</h1><div>{PROSE}</div>")).text
    assert "The 3th miller" in found
    assert "Chapter 7" not in found


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from([CONTENTS, LINKS, PROSE, "<div>", "</div>", "<nav>", "</nav>", "<h2>The Mill</h2>"])),
    st.integers(0, 3),
)
def test_what_the_model_kept_stays_and_what_comes_is_between_two_items(pieces: list[str], seed: int) -> None:
    scan = scan_page("".join(pieces).encode())
    blocks = blocks_of(scan)
    kept = (np.random.default_rng(seed).random(len(blocks.blocks)) < 0.9) & (blocks.counts[:, 3] == 0)
    found = with_contents(scan, blocks, kept)
    assert found[kept].all()
    new = np.flatnonzero(found & ~kept)
    if len(new):
        assert len(new) >= MIN_ITEMS
        assert (blocks.counts[[new[0], new[-1]], 3] > 0).all()


@pytest.mark.parametrize("unit", ["<li><a href=/>a b c</a>", "<div><a href=/>a b c</a>", "<ul><li><a href=/>a b c</a>"])
def test_lists_are_found_in_linear_time(unit: str) -> None:
    scan = scan_page((CONTENTS + unit * 40_000).encode())
    blocks = blocks_of(scan)
    kept = blocks.counts[:, 3] == 0
    with_contents(scan, blocks, kept)
    started = time.process_time()
    with_contents(scan, blocks, kept)
    assert time.process_time() - started < 1.0
