"""The processes of one training: alone, or as torchrun started them; sums over them, and what one does for all."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from seimai.errors import ConfigError, RunError

from .runtime import device_for
from .train_config import LoopConfig

__all__ = ["Ranks", "alone", "process_group"]

TIMEOUT = timedelta(hours=2)
"""Rank 0 evaluates while the others wait; a process that died is noticed at once by its closed connection."""


@dataclass(frozen=True)
class Ranks:
    """This process among those of the training."""

    rank: int
    """Its number from 0; 0 writes files and prints."""
    count: int
    """Processes of the training, on all machines."""
    device: torch.device
    """The device of this process."""

    def sums(self, *values: float) -> list[float]:
        """Each value added up over all ranks, in fp64; the same bits everywhere."""
        if self.count == 1:
            return list(values)
        found = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(found)
        return [float(value) for value in found]

    def any(self, flag: bool) -> bool:
        """Whether it holds on any rank."""
        return self.sums(float(flag))[0] > 0

    def joined(self, part: Tensor) -> Tensor:
        """The tensors (n, …) of all ranks, of one shape and type, one behind the other, on the CPU."""
        part = part.detach().cpu().contiguous()
        if self.count == 1:
            return part
        parts = [torch.empty_like(part) for _ in range(self.count)]
        dist.all_gather(parts, part)
        return torch.cat(parts)

    def first(self, work: Callable[[], object]) -> None:
        """Rank 0 does `work` while the others wait; where it fails, it raises there and RunError elsewhere."""
        failed: Exception | None = None
        if self.rank == 0:
            try:
                work()
            except Exception as error:  # raised again as soon as the others know
                failed = error
        stopped = self.any(failed is not None)
        if failed is not None:
            raise failed
        if stopped:
            raise RunError("stopped; the message of rank 0 says why")


def alone(device: torch.device) -> Ranks:
    """A training in this process only.

    >>> alone(torch.device("cpu")).sums(1.0, 2.5)
    [1.0, 2.5]
    """
    return Ranks(0, 1, device)


@contextmanager
def process_group(config: LoopConfig) -> Iterator[Ranks]:
    """The ranks torchrun says by RANK, LOCAL_RANK and WORLD_SIZE, connected until the end; alone without them.

    gloo on the CPU; NCCL on CUDA, where each process has the device of its local rank, with gloo beside it for numbers.
    A process group that stands already is used and left standing.
    """
    device = device_for(config)
    count = dist.get_world_size() if dist.is_initialized() else _number("WORLD_SIZE", 1)
    if count == 1:
        yield alone(device)
        return
    if device.type == "cuda":
        local = _number("LOCAL_RANK", 0)
        if local >= torch.cuda.device_count():
            raise ConfigError(
                f"local rank {local}: this machine has {torch.cuda.device_count()} CUDA devices; "
                "start no more processes than that with --nproc-per-node"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    begun = not dist.is_initialized()
    if begun:
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield Ranks(dist.get_rank(), count, device)
    finally:
        if begun:
            dist.destroy_process_group()


def _number(name: str, default: int) -> int:
    value = os.environ.get(name, "")
    if value and not value.isdecimal():
        raise ConfigError(f"{name} = {value!r} in the environment: not a number; start with torchrun, or unset it")
    return int(value) if value else default
