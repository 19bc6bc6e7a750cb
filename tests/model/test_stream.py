"""A stream loses no pair in any epoch, whatever the documents, blocks, group and questions asked of it."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.model import stream as stream_module
from seimai.model.stream import Epochs, Packing, Stream

LENGTHS = st.lists(st.one_of(st.integers(2, 9), st.integers(2, 90)), min_size=1, max_size=60)


def made(
    lengths: list[int], chosen: int, row_tokens: int, window: int | None, packing: Packing = "best_fit"
) -> tuple[Stream, np.ndarray]:
    n_tokens = np.array(lengths, np.uint32)
    trained = np.random.default_rng(chosen).random(len(lengths)) < 0.7
    trained[chosen % len(lengths)] = True
    first = np.unique(np.linspace(0, len(lengths), 5).astype(np.int64))
    return Stream("g", trained, n_tokens, Epochs(chosen, first, window), row_tokens, packing), np.flatnonzero(trained)


def pairs_of(stream: Stream, numbers: np.ndarray) -> Counter[tuple[int, int]]:
    found: Counter[tuple[int, int]] = Counter()
    for at in stream.locate(numbers):
        for document, offset, length in zip(at.document.tolist(), at.offset.tolist(), at.length.tolist(), strict=True):
            found.update((document, offset + k) for k in range(length - 1))
    return found


@given(LENGTHS, st.integers(0, 99), st.integers(2, 40), st.integers(2, 20), st.sampled_from([None, 1, 3]),
       st.sampled_from(["best_fit", "concatenate"]))  # fmt: skip
@settings(max_examples=120, deadline=None)
def test_every_pair_of_the_group_once_an_epoch(
    lengths: list[int], chosen: int, row_tokens: int, block: int, window: int | None, packing: Packing
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream_module, "BLOCK_DOCUMENTS", block)
        patch.setattr(stream_module, "CHUNK", 7)
        stream, group = made(lengths, chosen, row_tokens, window, packing)
        rows = [sum(plan.n_rows for plan in stream.epoch_plans(epoch)) for epoch in range(3)]
        bounds = np.cumsum([0, *rows]).tolist()
        wanted = {(int(d), k) for d in group for k in range(lengths[d] - 1)}
        for epoch, (first, last) in enumerate(pairwise(bounds)):
            found = pairs_of(stream, np.arange(first, last))
            assert set(found) == wanted
            assert set(found.values()) == {1}
            assert stream.epoch_of(first) == stream.epoch_of(last - 1) == epoch


@given(LENGTHS, st.integers(0, 99), st.lists(st.integers(0, 200), min_size=1, max_size=20))
@settings(max_examples=80, deadline=None)
def test_any_rows_in_any_order_are_those_of_a_walk(lengths: list[int], chosen: int, asked: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream_module, "BLOCK_DOCUMENTS", 6)
        patch.setattr(stream_module, "CACHED_PLANS", 1)
        walked, fresh = made(lengths, chosen, 11, None)[0], made(lengths, chosen, 11, None)[0]
        by_row = [pairs_of(walked, np.array([row])) for row in range(201)]
        assert pairs_of(fresh, np.array(asked)) == sum((by_row[row] for row in asked), Counter())
        wanted = np.zeros(len(lengths), bool)
        wanted[:: 1 + chosen % 3] = True
        document, row = fresh.rows_with(wanted, 50)
        expected = {(d, r) for r in range(50) for d, _ in by_row[r] if wanted[d]}
        assert set(zip(document.tolist(), row.tolist(), strict=True)) == expected
