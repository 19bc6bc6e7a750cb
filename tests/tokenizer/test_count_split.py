"""The kernel's cuts against the regular expression's: any text, every code point, the edges of every run."""

import json
import os
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.tokenizer.count_split import TABLES, cutter
from seimai.tokenizer.counts import finder
from seimai.tokenizer.split import DIGITS, split_pattern

PIECES = st.sampled_from(
    [
        *"東々〆ヶのーゝアヴ・「、。…（azAsStTrRvVeEmMlLdDéßя한१1２٣ ",
        *"\t\n\r\x0b\u3000\xa0'’!-_👩\u200d\u0301\u3099\ufe0f\x00",
        "re",
        "ll",
        "  ",
    ]
)
RUNS = [*"東のアaé1!\u0301", " ", "\n", "\u3000", "\t", "\r\n", "'s ", "「東", " a", " !"]


def _pieces(texts: list[str], pattern: str) -> list[list[str]]:
    """What the cutter says, as strings."""
    data, lengths, ends = cutter(pattern)(texts)
    whole = bytes(data).decode()
    bounds = np.concatenate(([0], np.cumsum(lengths))).tolist()
    flat = [whole[first:last] for first, last in pairwise(bounds)]
    assert bounds[-1] == len(whole)
    starts = [0, *ends.tolist()]
    return [flat[first:last] for first, last in pairwise(starts)]


def _same(texts: list[str], digits: int = 1) -> None:
    pattern = split_pattern(digits)
    find = finder(pattern)
    assert _pieces(texts, pattern) == [find(text) for text in texts]


@given(texts=st.lists(st.lists(PIECES, max_size=30).map("".join), max_size=4), digits=st.sampled_from(DIGITS))
@settings(max_examples=300, deadline=None)
def test_likely_characters(texts: list[str], digits: int) -> None:
    _same(texts, digits)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60), digits=st.sampled_from(DIGITS))
@settings(max_examples=300, deadline=None)
def test_any_characters(text: str, digits: int) -> None:
    _same([text], digits)


def _edges() -> list[str]:
    """The first and the last code point of every range, and those beside them."""
    bounds = {int(end, 16) for _, table in TABLES for item in table.split() for end in item.split("-")}
    beside = {code + step for code in bounds for step in (-1, 0, 1)}
    return [chr(code) for code in sorted(beside) if code <= sys.maxunicode and not 0xD800 <= code < 0xE000]


def test_the_edges_of_every_class_before_and_behind_others() -> None:
    for between in ("", "a", "東", " ", "'", "\n"):
        _same([between.join(_edges())])


def test_every_code_point_up_to_ffff() -> None:
    _same(["".join(chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000)])


@pytest.mark.parametrize("one", RUNS)
def test_runs_end_where_the_expression_ends_them(one: str) -> None:
    for n in (1, 2, 15, 16, 17, 31, 32, 33, 34, 48, 63, 64, 65, 66, 130):
        _same(
            [
                one * n,
                one * n + "a",
                " " + one * n + "の",
                "「" + one * n + " ",
                one * n + "\n" * 6,
                "a" + one * n + "!",
            ]
        )


def test_another_pattern_is_cut_by_the_expression() -> None:
    assert _pieces(["ab cd", "", "e"], r"\S+|\s+") == [["ab", " ", "cd"], [], ["e"]]
    assert _pieces(["étà x"], r"\p{L}+|[^\p{L}]+") == [["étà", " ", "x"]]


def test_articles(texts: dict[str, list[str]]) -> None:
    _same([text for each in texts.values() for text in each])


def test_real_text() -> None:
    root = Path(os.environ.get("SEIMAI_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
    paths = sorted((root / "text").glob("*.jsonl.zst"))
    if not paths:
        pytest.skip(f"no text in {root}; set SEIMAI_DATA to the folder that holds text/")
    for path in paths:
        with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
            lines = stream.read(1_000_000).split(b"\n")[:-1]
        _same([json.loads(line)["text"] for line in lines])
