"""Where blocks stand to articles, to the best element and to the heading, on pages small enough to count by hand."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.pipeline.block_containers import INSIDE, N_CONTAINERS, inside_bits
from seimai.pipeline.block_features import N_FEATURES, features_of
from seimai.pipeline.html_blocks import blocks_of
from seimai.pipeline.html_scan import scan_page
from seimai.pipeline.html_tables import HINTS, TAG_NAMES

PROSE = "Polishing takes the bran off brown rice, slowly. " * 6
WAY = 7
SIDE = WAY + len(HINTS)
BEHIND = SIDE + len(INSIDE)


def numbers(page: str) -> npt.NDArray[np.float32]:
    scan = scan_page(page.encode())
    return features_of(scan, blocks_of(scan))[:, N_FEATURES - N_CONTAINERS :]


def test_elements_have_bits_of_their_own() -> None:
    bits = {TAG_NAMES[number]: int(bit) for number, bit in enumerate(inside_bits()) if bit}
    assert sorted(bits) == sorted(INSIDE)
    assert sum(bits.values()) == 2 ** len(INSIDE) - 1


def test_the_nearest_article_and_how_much_prose_it_holds() -> None:
    text, card, menu = numbers(
        f"<div class=article-body><div><p>{PROSE}</p></div></div><article>{PROSE[:100]}</article><div>menu</div>"
    )
    assert [text[0], card[0], menu[0]] == [1, 0, -1]
    assert [text[2], menu[2]] == [1, -1]
    assert 0.05 < card[2] < 0.4
    assert [text[3], card[3], menu[3]] == [1, 3, 0]
    assert text[1] > card[1] > menu[1] == -1
    assert text[5] == card[5] == menu[5] == pytest.approx(np.log2(3))


def test_hints_count_below_the_article_only() -> None:
    inside, outside = numbers(
        f"<div class=sidebar><article><div class=comments><p>{PROSE}</p></div></article><p>{PROSE}</p></div>"
    )
    groups = list(HINTS)
    assert inside[WAY + groups.index("comment")] == 1
    assert inside[WAY + groups.index("side")] == 0
    assert outside[WAY + groups.index("side")] == 1


def test_what_parts_a_block_from_the_best_element() -> None:
    text, teaser = numbers(
        f"<section><div>{f'<p>{PROSE}</p>' * 3}</div><aside><ul><li>teaser</li></ul></aside></section>"
    )[[0, 3]]
    assert not text[SIDE:BEHIND].any()
    assert [INSIDE[place] for place in np.flatnonzero(teaser[SIDE:BEHIND])] == ["aside", "li"]


def test_prose_before_and_behind_and_steps_to_the_heading() -> None:
    rows = numbers(f"<div><h1>Rice</h1></div><div><section><p>{PROSE}</p><p>{PROSE}</p></section></div><p>end")
    assert rows[:, BEHIND].tolist() == [0, 0, 0.5, 1]
    assert rows[:, BEHIND + 1].tolist() == [1, 0.5, 0, 0]
    assert rows[:, BEHIND + 2].tolist() == [0, 2, 2, 0]
    assert rows[:, BEHIND + 3].tolist() == [1, 2, 2, 2]


def test_without_a_heading_there_are_no_steps_to_it() -> None:
    assert numbers(f"<p>{PROSE}")[:, BEHIND + 2 :].tolist() == [[-1, -1]]


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["<article>", "</article>", "<div class=article-body>", "</div>", "<h1>x", "<p>", "米。", PROSE, "<a>y</a>"]
        )
    )
)
def test_any_page_has_numbers_in_bounds(pieces: list[str]) -> None:
    rows = numbers("".join(pieces))
    assert np.isfinite(rows).all()
    shares = rows[:, [4, 6, BEHIND, BEHIND + 1]]
    assert ((shares >= -1) & (shares <= 1)).all()
    assert np.isin(rows[:, WAY:BEHIND], (0, 1)).all()
