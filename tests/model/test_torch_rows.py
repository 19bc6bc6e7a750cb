"""The dataset for other loops: the same rows as ours, once over all ranks, resumed where it was."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from seimai.errors import ConfigError
from seimai.model.loader import batches
from seimai.model.order import Order
from seimai.model.torch_rows import RowDataset


@pytest.fixture
def order(small_tokens: Path) -> Order:
    return Order(small_tokens, seed=1, row_tokens=32, batch_rows=8)


def columns(items: list[dict[str, torch.Tensor]], name: str) -> np.ndarray[Any, Any]:
    return torch.stack([item[name] for item in items]).numpy()


def test_a_data_loader_gives_the_batches_of_our_loop(order: Order) -> None:
    loader = DataLoader(RowDataset(order, last_step=5), batch_size=8, num_workers=0)
    for theirs, ours in zip(loader, batches(order, 0, 5), strict=True):
        assert torch.equal(theirs["input_ids"], ours.inputs)
        assert torch.equal(theirs["labels"], ours.targets)
        assert torch.equal(theirs["position_ids"], ours.position)
        assert torch.equal(theirs["segment_ids"], ours.segment)


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_together_have_the_global_batch(order: Order, ranks: int) -> None:
    whole = columns(list(RowDataset(order, last_step=3)), "input_ids").reshape(3, 8, 32)
    parts = [
        columns(list(RowDataset(order, last_step=3, rank=rank, ranks=ranks)), "input_ids").reshape(3, -1, 32)
        for rank in range(ranks)
    ]
    assert np.array_equal(np.concatenate(parts, axis=1), whole)


@pytest.mark.parametrize("stop", [0, 1, 7, 8, 9, 23])
def test_goes_on_behind_the_last_row(order: Order, stop: int) -> None:
    whole = columns(list(RowDataset(order, last_step=3)), "labels")
    first = RowDataset(order, last_step=3)
    coming = iter(first)
    for _ in range(stop):
        next(coming)
    second = RowDataset(order, last_step=3)
    second.load_state_dict(first.state_dict())
    rest = list(second)
    assert len(rest) == len(whole) - stop
    assert np.array_equal(columns(rest, "labels"), whole[stop:])
    assert len(list(second)) == len(second) == 24, "and from the beginning again"


def test_state_of_another_order_is_refused(order: Order, small_tokens: Path) -> None:
    other = RowDataset(Order(small_tokens, seed=2, row_tokens=32, batch_rows=8), last_step=3)
    with pytest.raises(ConfigError, match="state of another order"):
        other.load_state_dict(RowDataset(order, last_step=3).state_dict())


def test_shifted_labels_train_the_same_pairs(order: Order) -> None:
    plain = columns(list(RowDataset(order, last_step=2)), "labels")
    items = list(RowDataset(order, last_step=2, shifts_labels=True))
    shifted = columns(items, "labels")
    assert (shifted[:, 0] == -100).all()
    assert np.array_equal(shifted[:, 1:], plain)
    taught = shifted != -100
    assert np.array_equal(shifted[taught], columns(items, "input_ids")[taught])
    assert (columns(items, "position_ids")[taught] > 0).all()


def test_workers_that_would_repeat_rows_are_refused(order: Order) -> None:
    with pytest.raises(ConfigError, match=r"num_workers = 2: every worker would repeat every row"):
        list(DataLoader(RowDataset(order, last_step=2), batch_size=4, num_workers=2))


def test_ranks_of_another_process_group_are_refused(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 1)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    with pytest.raises(ConfigError, match=r"rank 0 of 2, but this process is rank 1 of 2"):
        list(RowDataset(order, last_step=1, rank=0, ranks=2))
    assert len(list(RowDataset(order, last_step=1, rank=1, ranks=2))) == 4
    assert len(list(RowDataset(order, last_step=1))) == 8


@pytest.mark.parametrize("options", [{"last_step": 2, "first_step": 3}, {"last_step": 2, "rank": 0, "ranks": 3}])
def test_what_is_refused(order: Order, options: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        RowDataset(order, **options)  # type: ignore[arg-type]
