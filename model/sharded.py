"""Tensors that FSDP2 keeps in shards: the full one from all ranks, and this rank's shard of a full one.

A sharded tensor is torch's DTensor; its module is loaded only where there is one, as it costs half a second.
"""

from typing import Any, cast

from torch import Tensor

__all__ = ["as_sharded", "whole"]


def whole(tensor: Tensor) -> Tensor:
    """The full tensor of a shard, from all ranks (all must ask); a plain tensor as it is."""
    shard: Any = tensor
    return cast(Tensor, shard.full_tensor()) if hasattr(tensor, "full_tensor") else tensor


def as_sharded(full: Tensor, like: Tensor) -> Tensor:
    """This rank's part of a full tensor that every rank has, laid out as `like`; nothing is sent.

    >>> import torch
    >>> as_sharded(torch.ones(2), like=torch.zeros(2)).tolist()
    [1.0, 1.0]
    """
    if not hasattr(like, "full_tensor"):
        return full
    from torch.distributed.tensor import distribute_tensor

    shard: Any = like
    return distribute_tensor(full, shard.device_mesh, shard.placements, src_data_rank=None)
