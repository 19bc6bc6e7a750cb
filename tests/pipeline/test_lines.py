"""Lines against str.split and plain counting; what is left when some of them are cut."""

import random

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.pipeline.edits import apply_edits
from seimai.pipeline.lines import cut_lines, line_strings, runs, split_lines

TEXT = st.text(st.sampled_from("aB 　3。精ーパ\n\n\t𠮷é\u2028"), max_size=25)


def plain_lines(text: str) -> list[dict[str, int]]:
    """The oracle: lines between newlines, without white space at their ends."""
    found, at, breaks = [], 0, 0
    for line in text.split("\n"):
        bare = line.strip()
        if bare:
            start = at + len(line) - len(line.lstrip())
            words = bare.split()
            found.append(
                {
                    **{"start": start, "end": start + len(bare), "byte_start": len(text[:start].encode())},
                    **{"byte_end": len(text[: start + len(bare)].encode()), "chars": len(bare), "words": len(words)},
                    "longest_word": max(map(len, words)),
                    "letters": len(regex.findall(r"\p{L}", bare)),
                    "capitals": sum(c.isupper() for c in bare),
                    "digits": len(regex.findall(r"\p{N}", bare)),
                    "plain": len(regex.findall(r"[\p{L}\p{M}\p{N}]", bare)),
                    "japanese": len(regex.findall(r"[\p{Hiragana}\p{Katakana}\p{Han}ー]", bare)),
                    "breaks": breaks,
                }
            )
            breaks = 0
        at += len(line) + 1
        breaks += 1
    return found


@settings(max_examples=200, deadline=None)
@given(st.lists(st.none() | TEXT, max_size=5))
def test_lines_are_those_of_plain_python(texts: list[str | None]) -> None:
    array = pa.array(texts, pa.large_string())
    lines = split_lines(array)
    expected = [(row, line) for row, text in enumerate(texts) for line in plain_lines(text or "")]
    assert lines.text.tolist() == [row for row, _ in expected]
    for name in expected[0][1] if expected else ():
        assert getattr(lines, name).tolist() == [line[name] for _, line in expected], name
    counts = [sum(row == other for other in lines.text.tolist()) for row in range(len(texts))]
    assert (lines.from_start + lines.from_end + 1).tolist() == [counts[row] for row in lines.text]
    assert lines.lengths.tolist() == [len(text or "") for text in texts]
    strings = line_strings(array, lines, np.arange(len(lines.text))).to_pylist()
    assert strings == [(texts[row] or "")[line["start"] : line["end"]] for row, line in expected]


@pytest.mark.parametrize(
    ("text", "cut", "left"),
    [
        ("menu\nA。\n\nB。", {0}, "A。\n\nB。"),
        ("\n menu\n\nA。", {0}, "A。"),
        ("A。\nmenu\nB。", {1}, "A。\nB。"),
        ("A。\n\nmenu\nB。", {1}, "A。\n\nB。"),
        ("A。\nmenu\n\nB。", {1}, "A。\n\nB。"),
        ("A。\n\nmenu\n\n\nshare\n\nB。", {1, 2}, "A。\n\nB。"),
        ("A。\n\nmenu\nB。\nfooter", {1, 3}, "A。\n\nB。"),
        ("A。\n\nfooter \n", {1}, "A。"),
        ("A。\n one\n two\n", {1, 2}, "A。"),
        ("  A。\n two", {1}, "  A。"),
        ("menu\nshare", {0, 1}, ""),
        ("A。\nB。\n", set(), "A。\nB。\n"),
    ],
)
def test_what_is_left_keeps_its_paragraphs(text: str, cut: set[int], left: str) -> None:
    array = pa.array(["x\ny", text, "z"], pa.large_string())
    lines = split_lines(array)
    first = int(np.flatnonzero(lines.text == 1)[0])
    marked = np.array([n - first in cut and row == 1 for n, row in enumerate(lines.text)])
    assert apply_edits(array, cut_lines(lines, marked)).to_pylist() == ["x\ny", left, "z"]


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXT, max_size=4), st.randoms(use_true_random=False))
def test_the_lines_that_stay_are_the_lines_not_cut(texts: list[str], chosen: random.Random) -> None:
    array = pa.array(texts, pa.large_string())
    lines = split_lines(array)
    marked = np.array([chosen.random() < 0.5 for _ in lines.text], bool)
    spans = cut_lines(lines, marked)
    assert len(spans.row) == marked.sum(), "an edit for each line"
    left = apply_edits(array, spans)
    kept = line_strings(array, lines, np.flatnonzero(~marked)).to_pylist()
    after = split_lines(left)
    assert line_strings(left, after, np.arange(len(after.text))).to_pylist() == kept
    assert after.text.tolist() == lines.text[~marked].tolist()
    touched = set(lines.text[marked].tolist())
    assert all(left[n].as_py() == text for n, text in enumerate(texts) if n not in touched)


def test_runs_stay_within_their_text() -> None:
    lines = split_lines(pa.array(["a\nb\nc", "d\ne"], pa.large_string()))
    firsts, lasts = runs(lines, np.array([False, True, True, True, False]))
    assert (firsts.tolist(), lasts.tolist()) == ([1, 3], [2, 3])
    firsts, lasts = runs(lines, np.ones(5, bool))
    assert (firsts.tolist(), lasts.tolist()) == ([0, 3], [2, 4])
    empty = split_lines(pa.array([], pa.large_string()))
    assert [len(found) for found in runs(empty, np.ones(0, bool))] == [0, 0]
