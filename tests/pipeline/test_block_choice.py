"""The choice of blocks against trying every choice, and copies of a text in other markup."""

import time
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.pipeline.block_choice import CHANGE_COST, MAX_BAR, THRESHOLD, choose, drop_bars, drop_copies
from seimai.pipeline.extract import extract_text
from seimai.pipeline.html_blocks import blocks_of
from seimai.pipeline.html_scan import scan_page

EN = " ".join(f"grain{number} was polished in step {number * 7}," for number in range(12))
JA = "".join(f"第{number}の工程では、玄米の表面を{number * 3}分ほど磨く。" for number in range(12))


def worth(kept: tuple[bool, ...], scores: list[float]) -> float:
    """What `choose` maximises, written down again."""
    lack = 3.0 - sum(sorted(scores)[-3:]) / min(3, len(scores))
    level = 0.4 * max(0.0, lack) - THRESHOLD
    changes = sum(one != other for one, other in pairwise(kept))
    return sum(score + level for score, is_kept in zip(scores, kept, strict=True) if is_kept) - CHANGE_COST * changes


@settings(deadline=None)
@given(st.lists(st.integers(-40, 40).map(lambda tenths: tenths / 8), min_size=1, max_size=9))
def test_no_other_choice_is_worth_more(scores: list[float]) -> None:
    kept = choose(np.array(scores, np.float32))
    best = max(worth(choice, scores) for choice in product((False, True), repeat=len(scores)))
    assert worth(tuple(kept.tolist()), scores) == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([], []),
        ([-0.2], [True]),  # the best block of a page without any sure one
        ([-2.0], [False]),
        ([5, -0.5, 5, 5], [True, True, True, True]),
        ([5, -1.5, 5, 5], [True, False, True, True]),
        ([5, 5, 5, -6, 0.8, -6], [True, True, True, False, False, False]),
        ([5, 5, 5, -6, 1.4, -6], [True, True, True, False, True, False]),
    ],
)
def test_what_stands_between_texts_is_text_and_what_stands_alone_is_not(scores: list[float], kept: list[bool]) -> None:
    assert choose(np.array(scores, np.float32)).tolist() == kept


def without_copies(page: str) -> list[bool]:
    scan = scan_page(page.encode())
    blocks = blocks_of(scan)
    kept: list[bool] = drop_copies(scan, blocks, np.ones(len(blocks.blocks), np.bool_)).tolist()
    return kept


@pytest.mark.parametrize("text", [EN, JA])
@pytest.mark.parametrize(
    ("page", "kept"),
    [
        ("<p>{0}</p><div class=print>{0}</div>", [True, False]),
        ("<p class=a>{0}</p><p class=schema>{0}</p><p>{0}</p>", [True, False, False]),
        ("<p>{0}</p><p>{0}</p>", [True, True]),  # a refrain
        ("<p class=v1>{0}</p><p class=v2>{0}</p>", [True, True]),  # made alike but for the number
        ("<p>{1}</p><p>{2}</p><div>{0}</div>", [True, True, False]),
        ("<div>{1}</div><p>{0}</p>", [True, True]),  # half of it is new
        ("<p>{0}</p><h2>{3}</h2><div>{3}</div>", [True, True, True]),  # too short to tell
        ("<p>{0}</p><div>{0}{0}<br>{1}</div>", [True, False]),
        ("<div>{0}</div>", [True]),
    ],
)
def test_a_second_copy_in_other_markup_goes(text: str, page: str, kept: list[bool]) -> None:
    middle = len(text) // 2
    assert without_copies(page.format(text, text[:middle], text[middle:], text[:40])) == kept


def test_a_block_that_was_not_kept_has_no_copy() -> None:
    scan = scan_page(f"<p>{EN}</p><div>{EN}</div>".encode())
    blocks = blocks_of(scan)
    assert drop_copies(scan, blocks, np.array([False, True])).tolist() == [False, True]


@settings(deadline=None)
@given(st.lists(st.sampled_from([f"<p>{EN}", f"<div>{EN}", f"<p>{JA}", f"<td>{EN}{JA}", "<p>x", "<b>米</b>", "<td>"])))
def test_what_goes_stood_before(pieces: list[str]) -> None:
    scan = scan_page("".join(pieces).encode())
    blocks = blocks_of(scan)
    kept = drop_copies(scan, blocks, np.ones(len(blocks.blocks), np.bool_))
    texts = [scan.data[scan.runs[first, 0] : scan.runs[last - 1, 1]].tobytes() for first, last, *_ in blocks.blocks]
    before = b"".join(text for text, is_kept in zip(texts, kept, strict=True) if is_kept).decode()
    for text, is_kept in zip(texts, kept, strict=True):
        if not is_kept:
            assert text.decode()[:200] in before


def test_the_copy_for_machines_is_not_in_the_text() -> None:
    paragraphs = [f"{EN} This was paragraph {number} of the story." for number in range(5)]
    article = "".join(f"<p>{text}</p>" for text in paragraphs)
    page = f"<article><h1>Rice</h1>{article}</article><div itemprop=articleBody>{' '.join(paragraphs)}</div>"
    assert extract_text(page).text.count("paragraph 3 of the story") == 1


@pytest.mark.parametrize("unit", [f"<p>{EN}", f"<div>{EN}<p>{EN}", "<p>米 x " * 30])
def test_copies_are_found_in_linear_time(unit: str) -> None:
    without_copies(f"<p>{EN}</p><div>{EN}</div>")
    started = time.process_time()
    without_copies(unit * 4_000)
    assert time.process_time() - started < 3.0


def without_bars(page: str) -> str:
    """Of each block 1 where it stays, 0 where it is dropped as a part of a bar."""
    scan = scan_page(page.encode())
    blocks = blocks_of(scan)
    return "".join(map(str, drop_bars(scan, blocks, np.ones(len(blocks.blocks), np.bool_)).astype(int)))


BAR = "<div><a href=/1>Back</a></div><div><a href=/>Top</a></div><div><a href=/3>Next</a></div>"
OTHER = "<div><a href=/7>Before</a></div><div><a href=/>Top</a></div><div><a href=/9>Behind</a></div>"
HALF = "<div><a href=/7>Before</a></div><div><a href=/>Top</a></div><div><a href=/3>Next</a></div>"


@pytest.mark.parametrize(
    ("page", "kept"),
    [
        (f"{BAR}<p>text{BAR}", "0001000"),
        (f"{BAR}<p>text", "1111"),
        (f"{BAR}<p>text{OTHER}", "1111111"),  # one of three is no bar
        (f"{BAR}<p>text{HALF}", "0001000"),
        (f"{BAR}<p>text<p><a href=/>link</a><p>text{BAR}", "000111000"),
        (f"{BAR}{BAR}", "111111"),  # nothing but links
        (f"{BAR}<ul><li><a href=/a>Chapter</a></ul><p>text{BAR}", "00011000"),  # made otherwise
        (f"<p>title{BAR}<p>text{BAR}", "11111111"),
        ("<p>text", "1"),
        ("", ""),
        ("<p><a href=/1>Back</a> of the mill<p>text<p><a href=/1>Back</a> of the mill", "111"),
        (f"{BAR * MAX_BAR}<p>text{BAR * MAX_BAR}", "1" * (6 * MAX_BAR + 1)),  # a list
    ],
)
def test_a_bar_of_links_at_both_ends_goes(page: str, kept: str) -> None:
    assert without_bars(page) == kept
