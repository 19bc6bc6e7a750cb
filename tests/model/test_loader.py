"""Batches are those of the order, shifted by one, and the thread ends with the loop."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.attention.flex_attention import create_block_mask

from seimai.errors import VerifyError
from seimai.model.block_mask import document_starts
from seimai.model.loader import batches, to_batch
from seimai.model.loss import IGNORE
from seimai.model.order import Order


def order_of(directory: Path) -> Order:
    return Order(directory, seed=1, row_tokens=32, batch_rows=4)


def loaders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "seimai-loader"]


def test_batches_are_the_rows_of_their_steps(small_tokens: Path) -> None:
    order = order_of(small_tokens)
    for step, batch in enumerate(batches(order_of(small_tokens), 3, 9), start=3):
        rows = order.rows(step)
        assert batch.step == step
        assert torch.equal(batch.inputs, torch.from_numpy(rows.tokens[:, :-1].astype(np.int64)))
        counted = torch.from_numpy(rows.counted)
        assert torch.equal(batch.targets[counted], torch.from_numpy(rows.tokens[:, 1:].astype(np.int64))[counted])
        assert bool((batch.targets[~counted] == IGNORE).all())
        assert batch.n_targets == int(counted.sum())
    assert not loaders()


def test_bos_is_never_a_target_and_eos_is(small_tokens: Path) -> None:
    order = order_of(small_tokens)
    targets = torch.cat([to_batch(order.rows(step), step).targets for step in range(20)])
    assert not bool((targets == 256).any())
    assert bool((targets == 257).any())


def test_batches_are_their_own_memory(small_tokens: Path) -> None:
    """The ring is filled again while batches are still held."""
    order = order_of(small_tokens)
    for step, batch in enumerate(list(batches(order_of(small_tokens), 0, 12, ahead=1, blocks=True))):
        expected = to_batch(order.rows(step), step, blocks=True)
        for name in ("inputs", "targets", "position", "segment"):
            found = getattr(batch, name)
            assert found.dtype == torch.int64
            assert torch.equal(found, getattr(expected, name))
        assert batch.blocks is not None
        assert expected.blocks is not None
        assert all(map(torch.equal, batch.blocks, expected.blocks))
    assert not loaders()


def test_blocks_are_those_of_the_segments(make_tokens: Callable[..., Path]) -> None:
    """The mask made ahead is the one FlexAttention would make from every pair of a row."""
    random = np.random.default_rng(0)
    documents = [[256, *([65] * int(random.integers(1, 200))), 257] for _ in range(200)]
    order = Order(make_tokens(documents), seed=1, row_tokens=300, batch_rows=4)
    for batch in batches(order, 0, 3, blocks=True):
        segment = batch.segment

        def visible(row: torch.Tensor, head: torch.Tensor, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
            return (j <= i) & (segment[row, i] == segment[row, j])  # noqa: B023 - used before the next batch

        expected = create_block_mask(visible, 4, 1, 300, 300, device="cpu")
        assert batch.blocks is not None
        assert torch.equal(batch.blocks.start, document_starts(segment))
        found = batch.blocks.block_mask()
        assert torch.equal(found.kv_indices, expected.kv_indices)
        assert torch.equal(found.kv_num_blocks, expected.kv_num_blocks)
        assert torch.equal(found.full_kv_num_blocks, expected.full_kv_num_blocks)  # type: ignore[arg-type]
        assert torch.equal(found.q_indices, expected.q_indices)  # type: ignore[arg-type]


def test_blocks_are_made_where_they_are_asked_for(small_tokens: Path) -> None:
    (batch,) = batches(order_of(small_tokens), 0, 1, device=torch.device("cpu"))
    assert batch.blocks is None


def test_leaving_early_ends_the_thread(small_tokens: Path) -> None:
    for batch in batches(order_of(small_tokens), 0, 1000):
        if batch.step == 2:
            break
    assert not loaders()


def test_errors_of_the_thread_are_raised_in_the_loop(make_tokens: Callable[..., Path]) -> None:
    directory = make_tokens([[256, 65, 66, 67, 257]] * 4)
    order = order_of(directory)
    path = directory / "tokens-00000.arrow"
    path.write_bytes(b"\0" * path.stat().st_size)
    with pytest.raises(VerifyError, match=r"tokens-00000.arrow"):
        list(batches(order, 0, 2))
    assert not loaders()
