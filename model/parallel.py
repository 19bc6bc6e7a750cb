"""One model on several ranks: copies that add up gradients (DDP), or shards that come together by layer (FSDP2)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from .block_mask import DocumentBlocks
from .distributed import Ranks
from .loss import token_losses, token_nll
from .sharded import whole
from .transformer import Transformer

__all__ = ["LossModel", "Parallel", "gradients_shared", "parallel", "unsharded"]

Parallel = Literal["ddp", "fsdp"]


class LossModel(nn.Module):
    """The decoder and its loss in one module: the head is used inside, where FSDP2 has its weights together."""

    def __init__(self, model: Transformer, z_loss: float) -> None:
        super().__init__()
        self.model = model
        self.z_loss = z_loss

    def forward(
        self,
        inputs: Tensor,
        targets: Tensor,
        position: Tensor | None,
        segment: Tensor | None,
        blocks: DocumentBlocks | None = None,
    ) -> tuple[Tensor, Tensor]:
        """(B, T) each -> −ln p(target), and what is minimised: with z_loss · ln² Z added; fp32 (B, T).

        Both are 0 where there is no target; `blocks` as for the Transformer.
        """
        hidden, weight = self.model(inputs, position, segment, blocks=blocks).flatten(0, 1), self.model.head_weight()
        if not self.z_loss:
            nll = token_nll(hidden, weight, targets.flatten()).view_as(targets)
            return nll, nll
        plain, z = token_losses(hidden, weight, targets.flatten())
        return plain.view_as(targets), (plain + self.z_loss * z).view_as(targets)


def parallel(model: Transformer, ranks: Ranks, kind: Parallel, *, z_loss: float, compiled: bool) -> nn.Module:
    """`model` with its loss, made ready for all ranks; every rank must come with the same weights.

    Both kinds average gradients over ranks, so a loss is to be multiplied by `ranks.count`. FSDP2 keeps and sends fp32
    weights: twice bf16's traffic, for the same losses as one process.
    """
    module: nn.Module = LossModel(model, z_loss)
    if ranks.count > 1 and kind == "fsdp":
        return _sharded(module, model, ranks, compiled)
    if ranks.count > 1:
        module = DistributedDataParallel(module, broadcast_buffers=False, gradient_as_bucket_view=True)
    return cast(nn.Module, torch.compile(module)) if compiled else module


def _sharded(module: nn.Module, model: Transformer, ranks: Ranks, compiled: bool) -> nn.Module:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(ranks.device.type, (ranks.count,))
    for block in model.blocks:
        if compiled:
            block.compile()
        fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh)
    return module


@contextmanager
def gradients_shared(module: nn.Module, shared: bool) -> Iterator[None]:
    """Whether a backward pass inside sends its gradients; only the last of an accumulation has to."""
    inner: Any = getattr(module, "_orig_mod", module)
    if isinstance(inner, DistributedDataParallel) and not shared:
        with inner.no_sync():
            yield
        return
    if hasattr(inner, "set_requires_gradient_sync"):
        inner.set_requires_gradient_sync(shared)
    yield


def unsharded(model: Transformer, device: torch.device) -> Transformer:
    """The model itself, or where it is in shards a whole copy of it (all ranks must ask)."""
    if not any(hasattr(parameter, "full_tensor") for parameter in model.parameters()):
        return model
    weights = {name: whole(tensor.detach()) for name, tensor in model.state_dict().items()}
    copy = Transformer(model.body).to(device)
    copy.load_state_dict(weights)
    return copy
