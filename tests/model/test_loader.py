"""Batches are those of the order, shifted by one, and the thread ends with the loop."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from seimai.errors import VerifyError
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
