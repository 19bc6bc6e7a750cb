"""The order is a permutation without pattern, the same for any ranks, and loses nothing in an epoch."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.errors import ConfigError, InputError
from seimai.model.order import Order, rows
from seimai.model.permutation import permute
from seimai.model.segments import Rows

KEY = bytes(range(48))


@given(st.integers(1, 5000), st.binary(min_size=48, max_size=48))
@settings(max_examples=60, deadline=None)
def test_permutation_is_a_bijection(n: int, key: bytes) -> None:
    found = permute(np.arange(n, dtype=np.uint64), n, key)
    assert np.array_equal(np.sort(found), np.arange(n))


def test_permutation_of_a_large_range_is_a_bijection() -> None:
    n = 1_000_003
    assert np.array_equal(np.bincount(permute(np.arange(n, dtype=np.uint64), n, KEY).astype(np.int64)), np.ones(n))


@pytest.mark.parametrize("n", [1 << 20, 1_000_000])
def test_no_output_bit_can_be_guessed_from_input_bits(n: int) -> None:
    """A known loader's permutation leaks its lowest bit from two input bits; here no pair says anything."""
    index = np.arange(n, dtype=np.uint64)
    found = permute(index, n, KEY)
    bits_in = [((index >> np.uint64(bit)) & np.uint64(1)).astype(bool) for bit in range(20)]
    sure = 5 / (2 * np.sqrt(n))
    for bit in range(19):
        out = ((found >> np.uint64(bit)) & np.uint64(1)).astype(bool)
        for i in range(20):
            for j in range(i, 20):
                given_bit = bits_in[i] ^ bits_in[j] if i != j else bits_in[i]
                assert abs(np.mean(out == given_bit) - 0.5) < sure + 0.003, (bit, i, j)


def test_keys_give_unrelated_permutations() -> None:
    index = np.arange(10_000, dtype=np.uint64)
    first, second = permute(index, 10_000, KEY), permute(index, 10_000, KEY[::-1])
    assert np.count_nonzero(first == second) < 10
    assert abs(np.corrcoef(first.astype(float), second.astype(float))[0, 1]) < 0.05


def same(a: Rows, b: Rows) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in Rows.__dataclass_fields__)


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("step", [0, 3, 40])
def test_batch_is_the_same_for_any_ranks(small_tokens: Path, ranks: int, step: int) -> None:
    order = Order(small_tokens, seed=1, row_tokens=32, batch_rows=8)
    whole = order.rows(step)
    parts = [order.rows(step, rank, ranks) for rank in range(ranks)]
    assert np.array_equal(whole.tokens, np.concatenate([part.tokens for part in parts]))
    assert np.array_equal(whole.number, np.concatenate([part.number for part in parts]))
    assert np.array_equal(whole.document, np.concatenate([part.document for part in parts]))
    assert np.array_equal(whole.counted, np.concatenate([part.counted for part in parts]))
    share = 8 // ranks
    assert np.array_equal(whole.row, np.concatenate([part.row + rank * share for rank, part in enumerate(parts)]))


def test_a_step_does_not_depend_on_those_asked_before(small_tokens: Path) -> None:
    options: dict[str, Any] = {"seed": 1, "row_tokens": 32, "batch_rows": 8}
    order = Order(small_tokens, **options)
    walked = [order.rows(step) for step in range(45)]
    for step in (44, 0, 17):
        assert same(Order(small_tokens, **options).rows(step), walked[step])
        assert same(rows(small_tokens, step=step, **options), walked[step])


def test_segments_hold_the_documents_tokens(small_tokens: Path, documents: list[list[int]]) -> None:
    found = Order(small_tokens, seed=1, row_tokens=32, batch_rows=16).rows(2)
    covered = np.zeros(found.tokens.shape, bool)
    for i in range(len(found.row)):
        row, start, length = found.row[i], found.start[i], found.length[i]
        document, offset = int(found.document[i]), int(found.offset[i])
        assert found.tokens[row, start : start + length].tolist() == documents[document][offset : offset + length]
        assert found.token_position[row, start : start + length].tolist() == list(range(length))
        assert set(found.token_document[row, start : start + length].tolist()) == {document}
        covered[row, start : start + length] = True
    assert np.array_equal(covered, found.token_segment >= 0)
    assert (found.tokens[~covered] == 258).all()
    assert found.token_position[:, :-1].max() < 32


@pytest.mark.parametrize("epoch", [0, 1])
def test_an_epoch_has_every_training_pair_once(
    small_tokens: Path, documents: list[list[int]], epoch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seimai.model.stream.BLOCK_DOCUMENTS", 50)
    order = Order(small_tokens, seed=3, row_tokens=32, batch_rows=1)
    n_rows = [order.budget(e)["rows"] for e in range(2)]
    first = sum(n_rows[:epoch])
    pairs: Counter[tuple[int, int]] = Counter()
    for step in range(first, first + n_rows[epoch]):
        found = order.rows(step)
        where = found.token_document[:, :-1][found.counted]
        offsets = np.repeat(found.offset, found.length - 1) + found.token_position[:, :-1][found.counted]
        pairs.update(zip(where.tolist(), offsets.tolist(), strict=True))
    expected = {(d, i) for d, tokens in enumerate(documents) if d % 10 != 1 for i in range(len(tokens) - 1)}
    assert set(pairs) == expected
    assert set(pairs.values()) == {1}


def test_epochs_and_seeds_differ(small_tokens: Path) -> None:
    order = Order(small_tokens, seed=3, row_tokens=32, batch_rows=1)
    n_rows = order.budget()["rows"]
    first = [order.rows(step).document.tolist() for step in range(20)]
    assert first != [order.rows(n_rows + step).document.tolist() for step in range(20)]
    other = Order(small_tokens, seed=4, row_tokens=32, batch_rows=1)
    assert first != [other.rows(step).document.tolist() for step in range(20)]


def test_budget_adds_up(small_tokens: Path, documents: list[list[int]]) -> None:
    budget = Order(small_tokens, seed=0, row_tokens=32, batch_rows=1).budget()
    trained = [document for number, document in enumerate(documents) if number % 10 != 1]
    assert budget["tokens"] == sum(map(len, trained))
    assert budget["pairs"] == budget["tokens"] - len(trained)
    assert budget["rows"] * 33 == budget["tokens"] + budget["repeated"] + budget["padding"]


def test_skipped_rows_keep_their_number(small_tokens: Path) -> None:
    options: dict[str, Any] = {"seed": 1, "row_tokens": 32, "batch_rows": 4}
    plain, skipping = Order(small_tokens, **options).rows(2), Order(small_tokens, **options, skip=[9]).rows(2)
    assert np.array_equal(plain.tokens, skipping.tokens)
    assert skipping.number.tolist() == [8, 9, 10, 11]
    assert not skipping.counted[1].any()
    assert np.array_equal(skipping.counted[[0, 2, 3]], plain.counted[[0, 2, 3]])


MIXED: dict[str, Any] = {"seed": 1, "row_tokens": 32, "mixture": [(0, {"ja": 0.75, "en": 0.25}), (10, {"en": 1.0})]}


@pytest.mark.parametrize("batch_rows", [8, 12])
def test_mixture_gives_every_group_its_share_of_rows(small_tokens: Path, batch_rows: int) -> None:
    order = Order(small_tokens, batch_rows=batch_rows, **MIXED)
    langs = order.shards.lang
    for step in range(20):
        found = order.rows(step)
        rows_of = [np.unique(found.row[found.group == group]) for group in range(2)]
        assert len(rows_of[0]) + len(rows_of[1]) == batch_rows
        assert np.array_equal(langs[found.document], found.group), "groups are en, ja, as the codes are"
        if step >= 10:
            assert len(rows_of[1]) == 0
        else:
            assert abs(len(rows_of[1]) - 0.75 * batch_rows) <= 1
    progress = order.progress(10)
    assert progress["ja"]["rows"] == round(0.75 * 10 * batch_rows)


def test_mixture_is_the_same_for_any_ranks_and_from_json(small_tokens: Path) -> None:
    whole = Order(small_tokens, batch_rows=8, **MIXED)
    again = Order(small_tokens, batch_rows=8, **{**MIXED, "mixture": whole.describe()["mixture"]})
    assert same(whole.rows(11), again.rows(11))
    for step in (0, 9, 10, 30):
        parts = [whole.rows(step, rank, 4) for rank in range(4)]
        for name in ("tokens", "number", "document", "group", "offset"):
            joined = np.concatenate([getattr(part, name) for part in parts])
            assert np.array_equal(joined, getattr(whole.rows(step), name)), name
    assert same(rows(small_tokens, step=9, batch_rows=8, **MIXED), whole.rows(9))


def test_every_group_has_its_own_epochs(small_tokens: Path, documents: list[list[int]]) -> None:
    """Each document of a group has been seen `epoch` or `epoch + 1` times, whatever the other group does."""
    order = Order(small_tokens, seed=2, row_tokens=32, batch_rows=16, mixture={"ja": 0.9, "en": 0.1})
    first: Counter[int] = Counter()
    steps = 400
    for step in range(steps):
        found = order.rows(step)
        first.update(found.document[found.offset == 0].tolist())
    progress = order.progress(steps)
    assert progress["ja"]["epoch"] > progress["en"]["epoch"]
    for name, group in (("en", 0), ("ja", 1)):
        mine = [d for d in range(len(documents)) if d % 10 != 1 and order.shards.lang[d] == group]
        seen = {first[d] for d in mine}
        assert seen <= {progress[name]["epoch"], progress[name]["epoch"] + 1}


def test_where_keeps_a_common_order(small_tokens: Path, documents: list[list[int]]) -> None:
    """A filter takes documents out of the order of all; those that stay keep their order among themselves."""
    options: dict[str, Any] = {"seed": 5, "row_tokens": 512, "batch_rows": 1}

    def block(order: Order) -> list[int]:
        (stream,) = order.groups
        found = stream._block_documents(0, 0)
        assert found is not None
        return [int(each) for each in found]

    long = [d for d in range(len(documents)) if len(documents[d]) > 100]
    filtered = Order(small_tokens, where="n_tokens > 100", **options)
    assert block(filtered) == [d for d in block(Order(small_tokens, **options)) if d in set(long)]
    seen = set(np.concatenate([filtered.rows(step).document for step in range(filtered.budget()["rows"])]).tolist())
    assert seen == {d for d in long if d % 10 != 1}
    assert filtered.budget()["left_out"] == sum(map(len, documents)) - sum(len(documents[d]) for d in seen)


def test_books_make_smaller_blocks(
    small_tokens: Path, documents: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seimai.model.stream.BLOCK_TOKENS", 2000)
    order = Order(small_tokens, seed=5, row_tokens=32, batch_rows=1)
    plans = list(order.groups[0].epoch_plans(0))
    assert len(plans) > 5
    assert sum(len(np.unique(plan.document)) for plan in plans) == order.budget()["documents"]
    rows_of = [order.rows(step).document.tolist() for step in range(order.budget()["rows"])]
    assert {d for row in rows_of for d in row} == {d for d in range(len(documents)) if d % 10 != 1}


def test_rows_are_those_of_an_order(small_tokens: Path) -> None:
    options: dict[str, Any] = {"seed": 1, "row_tokens": 32, "batch_rows": 6, "where": "lang == 'ja'"}
    expected = Order(small_tokens, **options).rows(3, 1, 2)
    for place in (small_tokens, str(small_tokens)):
        found = rows(place, step=3, rank=1, ranks=2, **options)
        for name in Rows.__annotations__:
            assert np.array_equal(getattr(found, name), getattr(expected, name))


def test_what_is_refused(small_tokens: Path, make_tokens: Callable[..., Path]) -> None:
    options: dict[str, Any] = {"seed": 1, "row_tokens": 32, "batch_rows": 6}
    with pytest.raises(ConfigError, match=r"data.batch_rows = 6 must be a multiple of the 4 ranks"):
        Order(small_tokens, **options).rows(0, 0, 4)
    with pytest.raises(ConfigError, match=r"data.mixture.a: no such source or language"):
        Order(small_tokens, **options, mixture={"a": 1.0})
    with pytest.raises(ConfigError, match=r"data.where = 'quality > 0': keeps no training document"):
        Order(small_tokens, **options, where="quality > 0")
    with pytest.raises(ConfigError, match=r"data.mixture.en: no training document is left"):
        Order(small_tokens, **options, mixture={"ja": 1.0, "en": 1.0}, where="lang == 'ja'")
    for wrong in ({"row_tokens": 0}, {"batch_rows": 0}, {"batch_rows": -6}):
        with pytest.raises(ConfigError, match="must be 1 or more"):
            Order(small_tokens, **{**options, **wrong})
    with pytest.raises(ConfigError, match="step 0, rank 0 of 0"):
        Order(small_tokens, **options).rows(0, 0, 0)
    with pytest.raises(ConfigError, match=r"data.mixture.ja = nan: weights are 0 or more"):
        rows(small_tokens, **options, step=0, mixture={"ja": float("nan")})
    with pytest.raises(ConfigError, match=r"s3://b/tokens: rows\(\) takes a folder"):
        rows("s3://b/tokens", **options, step=0)
    empty = make_tokens([[256, 257], [256, 65, 257]], held_out_every=2)
    Order(empty, **options)
    with pytest.raises(InputError, match="no training document"):
        Order(make_tokens([[256]], name="none"), **options)


def test_description_names_the_data(small_tokens: Path) -> None:
    order = Order(small_tokens, seed=1, row_tokens=32, batch_rows=6, skip=[5, 2])
    described = order.describe()
    assert described["data"] == order.shards.root
    assert described["skip"] == [2, 5]
