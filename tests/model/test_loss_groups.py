"""Loss by group is what a loop over every token adds up."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from seimai.model.loss_groups import Grouping, LossGroups
from seimai.model.order import Order

GROUPINGS: tuple[Grouping, ...] = ("source", "lang", "quality", "position")


def order_of(tokens: Path, **options: object) -> Order:
    return Order(tokens, seed=0, row_tokens=32, batch_rows=4, **options)  # type: ignore[arg-type]


def test_sums_are_those_of_a_loop(small_tokens: Path) -> None:
    order = order_of(small_tokens, skip=[1])
    groups = LossGroups(order.shards, GROUPINGS, 32)
    expected: dict[tuple[str, str], list[float]] = defaultdict(list)
    random = np.random.default_rng(0)
    for step in range(3):
        rows = order.rows(step)
        nll = random.random((4, 32)).astype(np.float32)
        groups.add(rows, nll)
        for row, place in zip(*np.nonzero(rows.counted), strict=True):
            document = rows.token_document[row, place]
            position = int(rows.token_position[row, place])
            lang = order.shards.manifest["langs"][order.shards.lang[document]]
            octave = str(1 << (position.bit_length() - 1)) if position else "0"
            for key in (("source", "crawl"), ("lang", lang), ("quality", "none"), ("position", octave)):
                expected[key].append(float(nll[row, place]))
    found = groups.line()
    assert {(grouping, name) for grouping, by in found.items() for name in by} == set(expected)
    for (grouping, name), values in expected.items():
        assert found[grouping][name]["targets"] == len(values)
        assert found[grouping][name]["loss"] == pytest.approx(np.mean(values))
    assert groups.line() == {grouping: {} for grouping in GROUPINGS}


def test_state_goes_on(small_tokens: Path) -> None:
    order = order_of(small_tokens)
    nll = np.random.default_rng(1).random((4, 32)).astype(np.float32)
    whole, first, second = (LossGroups(order.shards, GROUPINGS, 32) for _ in range(3))
    whole.add(order.rows(0), nll)
    first.add(order.rows(0), nll)
    second.load(first.state())
    for groups in (whole, second):
        groups.add(order.rows(1), nll)
    assert whole.line() == second.line()
