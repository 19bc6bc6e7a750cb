"""Documents end to end: their order kept, every pair once, rows full but for one token and the last row."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.model.conftest import sample_documents, write_tokens

from seimai.model.concatenate import concatenate, count_concatenated
from seimai.model.order import Order

LENGTHS = st.lists(st.one_of(st.integers(0, 9), st.integers(0, 300)), max_size=60)


def plainly(lengths: list[int], row_tokens: int) -> list[tuple[int, int, int, int, int]]:
    """The definition, token by token."""
    width, segments, row, start = row_tokens + 1, [], 0, 0
    for document, length in enumerate(lengths):
        offset = 0
        while length - offset >= 2:
            if width - start < 2:
                row, start = row + 1, 0
            kept = min(length - offset, width - start)
            segments.append((row, start, kept, document, offset))
            start, offset = start + kept, offset + kept - 1
            if offset < length - 1:
                row, start = row + 1, 0
            else:
                break
    return segments


@given(LENGTHS, st.integers(2, 40))
@settings(max_examples=300, deadline=None)
def test_rows_are_those_of_the_plain_definition(lengths: list[int], row_tokens: int) -> None:
    plan = concatenate(np.array(lengths, np.int64), row_tokens)
    columns = (plan.row, plan.start, plan.length, plan.document, plan.offset)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == plainly(lengths, row_tokens)
    assert count_concatenated(np.array(lengths, np.int64), row_tokens) == plan.n_rows


def test_an_order_of_documents_end_to_end(tmp_path_factory: pytest.TempPathFactory) -> None:
    tokens = write_tokens(tmp_path_factory.mktemp("end") / "tokens", sample_documents(100))
    fitted = Order(tokens, seed=0, row_tokens=64, batch_rows=4)
    laid = Order(tokens, seed=0, row_tokens=64, batch_rows=4, packing="concatenate")
    assert laid.budget()["pairs"] == fitted.budget()["pairs"]
    assert laid.budget()["padding"] < 0.02 * laid.budget()["tokens"]
    assert laid.describe() != fitted.describe()
    assert not np.array_equal(laid.rows(0).tokens, fitted.rows(0).tokens)
