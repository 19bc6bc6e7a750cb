"""Rows of an order as tensors, made ready by one background thread ahead of the loop."""

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .loss import IGNORE
from .order import Order
from .segments import Rows

__all__ = ["Batch", "batches", "to_batch"]


@dataclass(frozen=True)
class Batch:
    """What the model sees at a step; all (rows, row_tokens) int64."""

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


def batches(
    order: Order,
    first_step: int,
    last_step: int,
    *,
    rank: int = 0,
    ranks: int = 1,
    device: torch.device | None = None,
    ahead: int = 3,
) -> Iterator[Batch]:
    """Batches of steps [first_step, last_step), at most `ahead` made in advance; the thread ends with the iterator.

    With a CUDA device the buffers are pinned and copied without blocking. An error in the thread is raised here.
    """
    ready: queue.Queue[Batch | Exception] = queue.Queue(maxsize=ahead)
    stop = threading.Event()

    def put(item: Batch | Exception) -> None:
        while not stop.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for step in range(first_step, last_step):
                if stop.is_set():
                    return
                put(to_batch(order.rows(step, rank, ranks), step, pin=device is not None and device.type == "cuda"))
        except Exception as error:  # handed over and raised in the loop's thread
            put(error)

    thread = threading.Thread(target=work, name="seimai-loader", daemon=True)
    thread.start()
    try:
        for _ in range(first_step, last_step):
            item = ready.get()
            if isinstance(item, Exception):
                raise item
            yield item if device is None else _on(item, device)
    finally:
        stop.set()
        thread.join()


def to_batch(rows: Rows, step: int, *, pin: bool = False) -> Batch:
    """Inputs, targets, positions and segments of rows, in memory or in pinned memory."""
    tokens = rows.tokens.astype(np.int64)
    targets = np.where(rows.counted, tokens[:, 1:], IGNORE)
    arrays = (tokens[:, :-1], targets, rows.token_position[:, :-1], rows.token_segment[:, :-1])
    tensors = [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
    inputs, shifted, position, segment = (tensor.pin_memory() if pin else tensor for tensor in tensors)
    return Batch(step, rows, inputs, shifted, position, segment, int(rows.counted.sum()))


def _on(batch: Batch, device: torch.device) -> Batch:
    tensors = (batch.inputs, batch.targets, batch.position, batch.segment)
    inputs, targets, position, segment = (tensor.to(device, non_blocking=True) for tensor in tensors)
    return replace(batch, inputs=inputs, targets=targets, position=position, segment=segment)
