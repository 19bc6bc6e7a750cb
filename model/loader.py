"""Rows of an order as tensors, made ready by one background thread ahead of the loop.

The thread gathers tokens, positions, segments and FlexAttention's block lists into a ring of buffers, pinned where a
GPU copies from them; the loop's thread only starts one copy for each batch.
"""

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from .block_mask import BLOCK, DocumentBlocks, document_blocks, document_starts
from .loss import IGNORE
from .order import Order
from .segments import Rows

__all__ = ["Batch", "batches", "to_batch"]


@dataclass(frozen=True)
class Batch:
    """What the model sees at a step; tensors of tokens are (rows, row_tokens) int64."""

    step: int
    rows: Rows
    """Where every token comes from."""
    inputs: Tensor
    """Tokens; padding is the padding id."""
    targets: Tensor
    """The next token, IGNORE where the pair is not trained."""
    position: Tensor
    """From 0 in every segment."""
    segment: Tensor
    """A number for each segment, −1 for padding."""
    n_targets: int
    """Pairs trained."""
    blocks: DocumentBlocks | None = None
    """Block lists of the segments for FlexAttention, where they were asked for."""


def batches(
    order: Order,
    first_step: int,
    last_step: int,
    *,
    rank: int = 0,
    ranks: int = 1,
    device: torch.device | None = None,
    ahead: int = 3,
    blocks: bool | None = None,
) -> Iterator[Batch]:
    """Batches of steps [first_step, last_step), at most `ahead` made in advance; the thread ends with the iterator.

    With a CUDA device the buffers are pinned and copied without blocking. `blocks` adds `Batch.blocks`; with CUDA if
    not given. An error in the thread is raised here.
    """
    device = device or torch.device("cpu")
    with_blocks = device.type == "cuda" if blocks is None else blocks
    ring = [
        _Buffer(order.batch_rows // ranks, order.row_tokens, with_blocks, pin=device.type == "cuda")
        for _ in range(ahead + 1)
    ]
    ready: queue.SimpleQueue[tuple[_Buffer, Rows, int] | Exception] = queue.SimpleQueue()
    free: queue.SimpleQueue[_Buffer | None] = queue.SimpleQueue()
    for buffer in ring:
        free.put(buffer)

    def work() -> None:
        try:
            for step in range(first_step, last_step):
                buffer = free.get()
                if buffer is None:
                    return
                rows = order.rows(step, rank, ranks)
                ready.put((buffer, rows, buffer.fill(rows)))
        except Exception as error:  # handed over and raised in the loop's thread
            ready.put(error)

    thread = threading.Thread(target=work, name="seimai-loader", daemon=True)
    thread.start()
    try:
        for step in range(first_step, last_step):
            item = ready.get()
            if isinstance(item, Exception):
                raise item
            buffer, rows, n_targets = item
            batch = buffer.hand_over(step, rows, n_targets, device)
            free.put(buffer)
            yield batch
    finally:
        while not free.empty():
            free.get()
        free.put(None)
        thread.join()


def to_batch(rows: Rows, step: int, *, blocks: bool = False) -> Batch:
    """Inputs, targets, positions and segments of rows in memory of their own."""
    buffer = _Buffer(len(rows.tokens), rows.tokens.shape[1] - 1, blocks, pin=False)
    return buffer.hand_over(step, rows, buffer.fill(rows), torch.device("cpu"))


class _Buffer:
    """One int32 piece of memory for all a batch holds, so that it travels in one copy."""

    def __init__(self, rows: int, row_tokens: int, blocks: bool, *, pin: bool) -> None:
        n = -(-row_tokens // BLOCK)
        self.columns_shape = (4, rows, row_tokens)
        lists = [(rows, row_tokens), *[(rows, n), (rows, n, n)] * 4] if blocks else []
        self.shapes = [self.columns_shape, *lists]
        self.memory = torch.empty(sum(map(prod, self.shapes)), dtype=torch.int32, pin_memory=pin)
        self.copied: torch.cuda.Event | None = None

    def fill(self, rows: Rows) -> int:
        """Put rows in, once the copy of what stood here is through; the pairs trained."""
        if self.copied is not None:
            self.copied.synchronize()
        columns, *lists = self._views(self.memory)
        inputs, targets, position, segment = columns.numpy()
        inputs[:] = rows.tokens[:, :-1]
        targets[:] = rows.tokens[:, 1:]
        targets[~rows.counted] = IGNORE
        position[:] = rows.token_position[:, :-1]
        segment[:] = rows.token_segment[:, :-1]
        if lists:
            for view, value in zip(lists, document_blocks(document_starts(columns[3])), strict=True):
                view.copy_(value)
        return int(rows.counted.sum())

    def hand_over(self, step: int, rows: Rows, n_targets: int, device: torch.device) -> Batch:
        """A batch of what stands here, copied to `device`; the buffer may be filled again."""
        there = self.memory.to(device, non_blocking=True, copy=True)
        if device.type == "cuda":
            self.copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self.copied.record(torch.cuda.current_stream(device))
        columns, *lists = self._views(there)
        inputs, targets, position, segment = columns.long()
        blocks = DocumentBlocks(*lists) if lists else None
        return Batch(step, rows, inputs, targets, position, segment, n_targets, blocks)

    def _views(self, memory: Tensor) -> list[Tensor]:
        pieces = torch.split(memory, [prod(shape) for shape in self.shapes])
        return [piece.view(shape) for piece, shape in zip(pieces, self.shapes, strict=True)]
