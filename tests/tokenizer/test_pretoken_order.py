"""Pre-tokens sorted by bytes: as Python sorts them, whatever they begin with, in n log n comparisons."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.tokenizer.pretoken_order import BLOCK, new_rows, sorted_rows

ROW = st.one_of(
    st.binary(max_size=20),
    st.text("\0aあ亜", max_size=9).map(str.encode),
    st.binary(max_size=4).map((b"\0" * 8).__add__),
)


def _flat(rows: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return np.frombuffer(b"".join(rows), np.uint8), offsets


@given(rows=st.lists(ROW, max_size=4 * BLOCK))
@settings(max_examples=300, deadline=None)
def test_rows_stand_in_the_order_of_their_bytes(rows: list[bytes]) -> None:
    data, offsets = _flat(rows)
    order = sorted_rows(data, offsets)
    assert sorted(order.tolist()) == list(range(len(rows)))
    assert [rows[row] for row in order] == sorted(rows)
    assert int(new_rows(data, offsets, order).sum()) == len(set(rows))


@pytest.mark.parametrize("prefix", [b"", b"seven b", b"eight by", b"\0" * 8, b"twenty-four bytes of this"])
def test_many_rows_with_one_beginning(prefix: bytes) -> None:
    rng = random.Random(1)
    rows = [prefix + rng.randbytes(rng.randrange(4)) for _ in range(3000)]
    data, offsets = _flat(rows)
    assert [rows[row] for row in sorted_rows(data, offsets)] == sorted(rows)


def test_a_hundred_thousand_equal_beginnings_in_falling_order() -> None:
    # By insertion alone it would take hours.
    rows = [b"equal beginning %06d" % number for number in range(100_000)][::-1]
    order = sorted_rows(*_flat(rows))
    assert order.tolist() == list(range(100_000))[::-1]
