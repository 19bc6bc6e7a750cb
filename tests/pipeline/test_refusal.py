"""Pages that no parser may see: the limits against regular expressions that say what is meant."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seimai.pipeline.extract import ExtractConfig, refusal

UNNESTED = frozenset(
    b"area base br col embed hr img input link meta param source track wbr "
    b"p li dt dd tr td th option thead tbody".split()
)
TAG = re.compile(rb"<(/?)([a-zA-Z][a-zA-Z0-9]*+)([^<>]*+)>")
SMALL = ExtractConfig(max_nodes=300, max_depth=50, max_attributes=100)


def depth_of(payload: bytes) -> int:
    """Depth, tag by tag."""
    depth = deepest = 0
    for is_end, name, rest in TAG.findall(payload):
        if name.lower() in UNNESTED:
            continue
        if is_end:
            depth = max(0, depth - 1)
        elif not rest.endswith(b"/"):
            depth += 1
            deepest = max(deepest, depth)
    return deepest


PIECES = [
    *(b"<", b">", b"/", b"a", b"1", b"p", b" ", b"\xff", b"<div", b"<br", b"</p>", b"</b>", b"<BR>", b"<option1 x>"),
    *([b"<b>"] * 5 + [b"<b/>", b"<thead>", b"<theads x=/>", b"</theads>"]),
]


@given(st.lists(st.sampled_from(PIECES), min_size=50, max_size=250))
def test_depth_is_that_of_the_tags(pieces: list[bytes]) -> None:
    payload = b"<b>" * 30 + b"".join(pieces)
    too_deep = depth_of(payload) > SMALL.max_depth
    assert refusal(payload, SMALL.model_copy(update={"max_nodes": 10_000})) == ("too_deep" if too_deep else None)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", None),
        (b"<b>" * 50, None),
        (b"<b>" * 51, "too_deep"),
        (b"<B>" * 51, "too_deep"),
        (b"<b x=/ >" * 51, "too_deep"),
        (b"<b x/>" * 51, None),
        (b"<b><p>" * 50, None),
        (b"<b>" * 50 + b"<b/>", None),
        (b"</b>" * 60 + b"<b>" * 51, "too_deep"),
        (b"<b></i>" * 51, None),
        (b"<b" + b" x" * 100 + b">", None),
        (b"<b" + b" x" * 101 + b">", "too_many_attributes"),
        (b"<i>" * 9 + b"<b" + b" x" * 101 + b">" + b"<i>" * 9, "too_many_attributes"),
        (b"<" * 9 + b"b" + b" x" * 101, "too_many_attributes"),
        (b"<b x='" + b" y" * 300 + b"'>", None),
        (b"<b>" + b" y" * 3000, None),
        (b"<p>" * 300, None),
        (b"<p>" * 301, "too_many_nodes"),
    ],
)
def test_limits_are_inclusive(payload: bytes, reason: str | None) -> None:
    assert refusal(payload, SMALL) == reason


@given(st.integers(195, 215), st.integers(0, 300), st.sampled_from([b"", b">", b"<i>", b" > "]))
def test_a_long_tag_is_seen_wherever_it_stands(n_bytes: int, before: int, end: bytes) -> None:
    tag = b"<b" + b" x" * (n_bytes // 2)
    wanted = "too_many_attributes" if n_bytes // 2 > SMALL.max_attributes else None
    assert refusal(b"<i>" + b"." * before + tag + end + b"." * before, SMALL) == wanted
