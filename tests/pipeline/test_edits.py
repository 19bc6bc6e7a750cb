"""Edits against plain Python: applied, composed, mapped back to the text as it was read, and counted."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.pipeline.document import EDIT_COLUMNS, schema
from seimai.pipeline.edits import (
    CUT_SIGNALS,
    STEPS,
    Spans,
    apply_edits,
    cut_signals,
    edit_path,
    edit_table,
    edited_texts,
    join_spans,
    read_edits,
    to_original,
)

Edit = tuple[int, int, int, str]
"""Row, start, end, replacement."""
TEXT = st.text(st.sampled_from("ab é精米\n𠮷"), max_size=12)


def spans(edits: list[Edit]) -> Spans:
    row, start, end = (np.array([edit[n] for edit in edits], np.int64) for n in range(3))
    return Spans(row, start, end, pa.array([edit[3] for edit in edits], pa.string()))


def table(edits: list[Edit]) -> pa.Table:
    rows = [{"id": str(r), "start": s, "end": e, "replacement": t, "reason": "x"} for r, s, e, t in edits]
    return pa.Table.from_pylist(rows, schema=schema(EDIT_COLUMNS))


def plain(text: str, edits: list[tuple[int, int, str]]) -> str:
    """The oracle: from the last edit to the first."""
    for start, end, replacement in sorted(edits, reverse=True):
        text = text[:start] + replacement + text[end:]
    return text


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[str | None], list[Edit]]:
    """Texts, some null, and edits that do not overlap, in order."""
    texts = draw(st.lists(st.none() | TEXT, max_size=5))
    edits = []
    for row, text in enumerate(texts):
        cuts = draw(st.lists(st.integers(0, len(text or "")), max_size=6, unique=True).map(sorted))
        pairs = list(zip(cuts[::2], cuts[1::2], strict=False))
        edits += [(row, start, end, draw(st.sampled_from(["", "", "x", "精米"]))) for start, end in pairs]
    return texts, edits


@settings(max_examples=200, deadline=None)
@given(cases())
def test_edits_are_applied_as_plain_python_does(case: tuple[list[str | None], list[Edit]]) -> None:
    texts, edits = case
    array = pa.array(["skipped", *texts], pa.large_string()).slice(1)
    expected = [
        None if text is None else plain(text, [edit[1:] for edit in edits if edit[0] == row])
        for row, text in enumerate(texts)
    ]
    assert apply_edits(array, spans(edits)).to_pylist() == expected


def test_many_texts_beyond_one_buffer() -> None:
    texts = [f"行{n}\n精米{n}" for n in range(5000)]
    edits = [(n, 0, 1, "") for n in range(0, 5000, 7)]
    expected = [text[1:] if n % 7 == 0 else text for n, text in enumerate(texts)]
    assert apply_edits(pa.chunked_array([texts[:9], texts[9:]]), spans(edits)).to_pylist() == expected


@pytest.mark.parametrize("edits", [[(0, 1, 4, "")], [(0, 1, 1, "")], [(0, 0, 2, ""), (0, 1, 3, "")], [(1, 0, 1, "")]])
def test_edits_that_do_not_fit_are_refused(edits: list[Edit]) -> None:
    with pytest.raises(ValueError, match="empty, out of order or beyond the text"):
        apply_edits(pa.array(["精米。", None]), spans(edits))


@settings(max_examples=200, deadline=None)
@given(TEXT, st.data())
def test_overlapping_edits_become_their_union(text: str, data: st.DataObject) -> None:
    places = st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).filter(lambda p: p[0] < p[1])
    steps = [data.draw(st.lists(places, max_size=4)) for _ in STEPS] if text else [[], []]
    joined = join_spans(pa.array(["0"]), [table([(0, *place, "") for place in step]) for step in steps])
    gone = {k for step in steps for start, end in step for k in range(start, end)}
    assert apply_edits(pa.array([text]), joined).to_pylist() == [
        "".join(c for k, c in enumerate(text) if k not in gone)
    ]
    assert all(joined.end[:-1] <= joined.start[1:])


def test_the_first_of_overlapping_edits_gives_the_replacement() -> None:
    first, second = [(0, 2, 4, "A")], [(0, 1, 3, "B"), (0, 5, 6, "C")]
    for ordered in ([first, second], [second, first]):
        joined = join_spans(pa.array(["0"]), [table(edits) for edits in ordered])
        assert list(zip(joined.start.tolist(), joined.end.tolist(), joined.replacement.to_pylist(), strict=True)) == [
            (1, 4, "B"),
            (5, 6, "C"),
        ]
    same = join_spans(pa.array(["0"]), [table([(0, 0, 2, "early")]), table([(0, 0, 2, "late")])])
    assert same.replacement.to_pylist() == ["early"]


@settings(max_examples=300, deadline=None)
@given(cases(), st.data())
def test_cuts_of_the_edited_text_mapped_back_compose(
    case: tuple[list[str | None], list[Edit]], data: st.DataObject
) -> None:
    """Cutting twice is cutting once with both lists, where the second cut takes no part of a replacement."""
    texts, edits = case
    edits = [(row, start, end, "") for row, start, end, _ in edits]
    first = apply_edits(pa.array(texts, pa.large_string()), spans(edits))
    later: list[Edit] = []
    for row, text in enumerate(first.to_pylist()):
        cuts = data.draw(st.lists(st.integers(0, len(text or "")), max_size=6, unique=True).map(sorted))
        later += [(row, start, end, "") for start, end in zip(cuts[::2], cuts[1::2], strict=False)]
    expected = apply_edits(first, spans(later)).to_pylist()
    found = spans(later)
    back = to_original(spans(edits), found.row, found.start, found.end)
    both = join_spans(
        pa.array([str(row) for row in range(len(texts))], pa.string()),
        [
            table(edits),
            table([(int(r), int(s), int(e), "") for r, s, e in zip(back.row, back.start, back.end, strict=True)]),
        ],
    )
    assert apply_edits(pa.array(texts, pa.large_string()), both).to_pylist() == expected


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 1, (0, 1)), (2, 3, (2, 5)), (3, 4, (2, 5)), (4, 5, (2, 5)), (5, 6, (5, 6)), (1, 6, (1, 6)), (4, 6, (2, 6))],
)
def test_a_cut_that_meets_a_replacement_takes_all_of_it(start: int, end: int, expected: tuple[int, int]) -> None:
    """ "abcdefg" with cde replaced by XYZ."""
    back = to_original(spans([(0, 2, 5, "XYZ")]), np.array([0]), np.array([start]), np.array([end]))
    assert (int(back.start[0]), int(back.end[0])) == expected


def test_files_are_read_in_the_order_of_the_steps(tmp_path: Path) -> None:
    assert read_edits(tmp_path, "p") == []
    for step, edit in zip(reversed(STEPS), [(0, 0, 1, "b"), (1, 0, 1, "a")], strict=True):
        path = tmp_path / edit_path(step, "p")
        path.parent.mkdir(parents=True)
        pq.write_table(table([edit]), path)
    assert [found["replacement"].to_pylist() for found in read_edits(tmp_path, "p")] == [["a"], ["b"]]
    documents = pa.table({"id": ["0", "1", "2"], "text": ["xy", "xy", None]})
    assert edited_texts(documents, read_edits(tmp_path, "p")).to_pylist() == ["by", "ay", None]
    assert edited_texts(documents, []).to_pylist() == ["xy", "xy", None]


def test_a_table_of_edits_has_the_declared_columns() -> None:
    made = edit_table(pa.array(["w", "x"]), spans([(1, 2, 3, "")]), pa.array(["menu"]))
    assert made.schema == schema(EDIT_COLUMNS)
    assert made.to_pylist() == [{"id": "x", "start": 2, "end": 3, "replacement": "", "reason": "menu"}]


def test_what_was_cut_is_a_column() -> None:
    documents = pa.table({"id": ["0", "1", "2"], "text": ["abcdef", "精米", None]})
    edits = [table([(0, 0, 2, "")]), table([(0, 1, 4, "z")])]
    made = cut_signals(documents, edits, np.array([2, 2, 0]))
    expected: list[dict[str, Any]] = [
        {"n_cut_chars": 4, "n_cut_lines": 1, "cut_char_ratio": 4 / 6},
        {"n_cut_chars": 0, "n_cut_lines": 0, "cut_char_ratio": 0.0},
        dict.fromkeys(CUT_SIGNALS),
    ]
    assert made.to_pylist() == expected
    assert cut_signals(documents, [], np.array([6, 2, 0]))["n_cut_chars"].to_pylist() == [0, 0, None]
