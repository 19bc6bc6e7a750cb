"""The rows of an Order as a PyTorch dataset, for others' loops: plain PyTorch, Lightning, Trainer, torchtitan."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from seimai.errors import ConfigError

from .loader import to_batch
from .loss import IGNORE
from .order import Order

__all__ = ["RowDataset"]


class RowDataset(IterableDataset[dict[str, Tensor]]):
    """One item a row, in the order of `Order`: step 0's rows, step 1's rows, … up to `last_step`.

    An item holds `input_ids`, `labels` (already the next tokens; −100 where no pair is trained), `position_ids` (from 0
    in every segment) and `segment_ids` (equal within a document's segment, −1 for padding), each of `row_tokens` int64.
    With `shifts_labels`, for models that shift labels themselves as those of Transformers do, all columns have
    `row_tokens + 1` and the labels are the inputs with −100 at every segment's first token: the same pairs.

    It yields the global batch and leaves sharding to the host loop, unless `ranks` is above 1: then it yields this
    rank's rows, the host must not shard again, and rank and ranks must be those of the process group. Use it with
    `num_workers` 0 or 1: more would repeat every row.
    `state_dict` and `load_state_dict` are those of torchdata's StatefulDataLoader; the state is one number.

    >>> from seimai.model.torch_rows import RowDataset
    >>> RowDataset.__mro__[1].__name__
    'IterableDataset'
    """

    def __init__(
        self,
        order: Order,
        *,
        last_step: int,
        first_step: int = 0,
        rank: int = 0,
        ranks: int = 1,
        shifts_labels: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= first_step <= last_step:
            raise ConfigError(f"first_step = {first_step}, last_step = {last_step}: steps rise from 0; change them")
        if order.batch_rows % ranks or not 0 <= rank < ranks:
            raise ConfigError(f"rank {rank} of {ranks}: batch_rows = {order.batch_rows} must be a multiple; change it")
        self.order, self.first_step, self.last_step = order, first_step, last_step
        self.rank, self.ranks, self.shifts_labels = rank, ranks, shifts_labels
        self.rows_per_step = order.batch_rows // ranks
        self._next = first_step * self.rows_per_step

    def __len__(self) -> int:
        """Rows from the first step to the last."""
        return (self.last_step - self.first_step) * self.rows_per_step

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Rows from where the state stands; ConfigError in one of several workers."""
        worker = get_worker_info()
        if worker is not None and worker.num_workers > 1:
            raise ConfigError(f"num_workers = {worker.num_workers}: every worker would repeat every row; use 0 or 1")
        if self.ranks > 1 and dist.is_available() and dist.is_initialized():
            there = dist.get_rank(), dist.get_world_size()
            if there != (self.rank, self.ranks):
                given = f"rank {self.rank} of {self.ranks}, but this process is rank {there[0]} of {there[1]}"
                raise ConfigError(f"{given}; give these, and turn the host loop's own sharding off")
        end = self.last_step * self.rows_per_step
        while self._next < end:
            step, place = divmod(self._next, self.rows_per_step)
            items = self._step(step)
            while place < self.rows_per_step:
                # Moved before the row is handed out: the state counts rows that have left.
                self._next, place = self._next + 1, place + 1
                yield {name: column[place - 1] for name, column in items.items()}
        self._next = self.first_step * self.rows_per_step

    def state_dict(self) -> dict[str, Any]:
        """The rows handed out so far and what they belong to."""
        return {"next_row": self._next, "rows_per_step": self.rows_per_step, "order": self.order.describe()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on behind the last row handed out; ConfigError for the state of another order or number of ranks."""
        if state["order"] != self.order.describe() or state["rows_per_step"] != self.rows_per_step:
            raise ConfigError("state of another order, data set or number of ranks; make the dataset as it was made")
        self._next = int(state["next_row"])

    def _step(self, step: int) -> dict[str, Tensor]:
        rows = self.order.rows(step, self.rank, self.ranks)
        if not self.shifts_labels:
            batch = to_batch(rows, step)
            columns = {"input_ids": batch.inputs, "labels": batch.targets, "position_ids": batch.position}
            return {**columns, "segment_ids": batch.segment}
        tokens = torch.from_numpy(rows.tokens.astype(np.int64))
        first = torch.full_like(tokens[:, :1], IGNORE)
        labels = torch.where(torch.from_numpy(rows.counted), tokens[:, 1:], IGNORE)
        columns = {"input_ids": tokens, "labels": torch.cat([first, labels], dim=1)}
        position, segment = (torch.from_numpy(each) for each in (rows.token_position, rows.token_segment))
        return {**columns, "position_ids": position, "segment_ids": segment}
