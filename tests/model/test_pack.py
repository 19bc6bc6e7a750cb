"""No pair lost or doubled, whatever the lengths; hardly any padding; few documents cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.model.pack import Plan, count_rows, pack

LENGTHS = st.lists(st.one_of(st.integers(0, 9), st.integers(0, 300)), max_size=60)


def log_normal(count: int, mean_log: float, seed: int = 0) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    drawn = np.random.default_rng(seed).lognormal(mean_log, 1.0, count)
    return np.maximum(drawn, 2).astype(np.int64)


def padding(plan: Plan, row_tokens: int) -> float:
    width = row_tokens + 1
    return 1 - int(plan.length.sum()) / (plan.n_rows * width)


@given(LENGTHS, st.integers(2, 40))
@settings(max_examples=300, deadline=None)
def test_every_pair_stands_in_exactly_one_row(lengths: list[int], row_tokens: int) -> None:
    plan = pack(np.array(lengths, np.int64), row_tokens)
    pairs = sorted(
        (document, offset + i)
        for document, offset, length in zip(
            plan.document.tolist(), plan.offset.tolist(), plan.length.tolist(), strict=True
        )
        for i in range(length - 1)
    )
    assert pairs == [(document, i) for document, length in enumerate(lengths) for i in range(length - 1)]


@given(LENGTHS, st.integers(2, 40))
@settings(max_examples=300, deadline=None)
def test_rows_are_in_order_and_never_overfull(lengths: list[int], row_tokens: int) -> None:
    plan = pack(np.array(lengths, np.int64), row_tokens)
    ends: dict[int, int] = {}
    for row, start, length in zip(plan.row.tolist(), plan.start.tolist(), plan.length.tolist(), strict=True):
        assert length >= 2
        assert start == ends.get(row, 0)
        ends[row] = start + length
    assert list(ends) == list(range(plan.n_rows))
    assert all(end <= row_tokens + 1 for end in ends.values())
    for row in range(plan.n_rows):
        assert set(plan.row[plan.segments(row)].tolist()) == {row}


@given(LENGTHS, st.integers(2, 40))
@settings(max_examples=200, deadline=None)
def test_cuts_happen_at_row_ends_only(lengths: list[int], row_tokens: int) -> None:
    plan = pack(np.array(lengths, np.int64), row_tokens)
    ends_document = plan.offset + plan.length == np.array(lengths, np.int64)[plan.document]
    ends_row = plan.start + plan.length == row_tokens + 1
    assert bool((ends_document | ends_row).all())


@pytest.mark.parametrize(
    ("count", "mean_log", "row_tokens"),
    [(65_536, 6.0, 2048), (65_536, 4.0, 256), (40_000, 6.5, 1024)],
)
def test_padding(count: int, mean_log: float, row_tokens: int) -> None:
    plan = pack(log_normal(count, mean_log), row_tokens)
    assert plan.n_rows >= 10_000
    assert padding(plan, row_tokens) < 0.001


def test_most_documents_stay_whole() -> None:
    lengths = log_normal(65_536, 6.0)
    plan = pack(lengths, 2048)
    segments = np.bincount(plan.document, minlength=len(lengths))
    assert np.count_nonzero(segments == 1) / np.count_nonzero(lengths <= 2049) > 0.89


def plainly(lengths: list[int], row_tokens: int) -> list[tuple[int, int, int, int, int]]:
    """The definition, piece by piece: whole rows first, then the best fit, queues in order of arrival."""
    width, segments, waiting = row_tokens + 1, [], dict[int, list[tuple[int, int]]]()
    row = 0
    for document, length in enumerate(lengths):
        for begin in range(0, max(0, length - 1) // row_tokens * row_tokens, row_tokens):
            segments.append((row, 0, width, document, begin))
            row += 1
    for document, length in enumerate(lengths):
        pairs = max(0, length - 1)
        if rest := pairs % row_tokens:
            waiting.setdefault(rest + 1, []).append((document, pairs - rest))
    while waiting:
        start = 0
        while waiting and width - start >= 2:
            space = width - start
            fitting = [length for length in waiting if length <= space]
            snug = [length for length in fitting if length != space - 1]
            best = max(snug) if snug and max(fitting) == space - 1 else max(fitting or waiting)
            document, offset = waiting[best].pop(0)
            if not waiting[best]:
                del waiting[best]
            kept = min(best, space)
            if kept < best:
                waiting.setdefault(best - kept + 1, []).append((document, offset + kept - 1))
            segments.append((row, start, kept, document, offset))
            start += kept
        row += 1
    return segments


@given(st.one_of(LENGTHS, st.lists(st.sampled_from([3, 5, 8, 30]), max_size=200)), st.integers(2, 40))
@settings(max_examples=300, deadline=None)
def test_rows_are_those_of_the_plain_definition(lengths: list[int], row_tokens: int) -> None:
    plan = pack(np.array(lengths, np.int64), row_tokens)
    columns = (plan.row, plan.start, plan.length, plan.document, plan.offset)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == plainly(lengths, row_tokens)
    assert count_rows(np.array(lengths, np.int64), row_tokens) == plan.n_rows


@pytest.mark.parametrize("lengths", [[], [0, 1, 1]])
def test_nothing_to_pack(lengths: list[int]) -> None:
    assert pack(np.array(lengths, np.int64), 8).n_rows == 0
