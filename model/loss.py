"""Next-token loss that never needs all logits at once, and its unit for people: bits per byte."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .kernels import wide

__all__ = ["IGNORE", "bits_per_byte", "token_losses", "token_nll"]

IGNORE = -100
"""Target of a position that takes no part in the loss."""

MAX_LOGITS_BYTES = 1 << 28
"""Most memory for fp32 logits at a time; the backward pass holds two such tensors and the gradient of the head."""


def token_nll(hidden: Tensor, weight: Tensor, targets: Tensor, *, max_logits_bytes: int = MAX_LOGITS_BYTES) -> Tensor:
    """−ln p(target) of every position, fp32, 0 where the target is IGNORE.

    `hidden` (N, D), `weight` (V, D), `targets` (N). Where the fp32 logits of all N positions would pass
    `max_logits_bytes` they are made in chunks and made again for the gradient: one more product with the head, no
    (N, V) tensor. Below it they are kept, which is faster.

    >>> token_nll(torch.zeros(2, 4), torch.ones(8, 4), torch.tensor([3, IGNORE])).tolist()
    [2.079441547393799, 0.0]
    """
    chunk = _chunk(weight, max_logits_bytes)
    if len(hidden) > chunk:
        return _chunked(hidden, weight, targets, chunk)[0]
    return F.cross_entropy(wide(F.linear(hidden, weight)), targets, ignore_index=IGNORE, reduction="none")


def token_losses(
    hidden: Tensor, weight: Tensor, targets: Tensor, *, max_logits_bytes: int = MAX_LOGITS_BYTES
) -> tuple[Tensor, Tensor]:
    """`token_nll`, and ln² Z of every position for the z-loss (PaLM, arXiv:2204.02311), 0 where the target is IGNORE.

    >>> nll, z = token_losses(torch.zeros(1, 4), torch.ones(8, 4), torch.tensor([3]))
    >>> round(nll.item(), 4), round(z.item(), 4)
    (2.0794, 4.3241)
    """
    chunk = _chunk(weight, max_logits_bytes)
    if len(hidden) > chunk:
        nll, log_z = _chunked(hidden, weight, targets, chunk)
        return nll, log_z.square()
    logits = wide(F.linear(hidden, weight))
    nll = F.cross_entropy(logits, targets, ignore_index=IGNORE, reduction="none")
    return nll, logits.logsumexp(-1).square().masked_fill(targets == IGNORE, 0.0)


def bits_per_byte(nll_sum: float, n_bytes: int) -> float:
    """Bits per UTF-8 byte of the original text; `nll_sum` in nats over all targets, EOS included.

    >>> round(bits_per_byte(nll_sum=693.147, n_bytes=1000), 3)
    1.0
    """
    return nll_sum / (math.log(2) * n_bytes)


def _chunk(weight: Tensor, max_logits_bytes: int) -> int:
    return max(1, max_logits_bytes // (4 * weight.shape[0]))


def _chunked(hidden: Tensor, weight: Tensor, targets: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    """−ln p(target) and ln Z, both (N), 0 where the target is IGNORE."""
    kind = hidden.device.type
    if torch.is_autocast_enabled(kind):
        # Products in bf16 as everywhere; the gradient of the head is still summed up over the chunks in fp32.
        compute = torch.get_autocast_dtype(kind)
    else:
        compute = hidden.dtype
    nll, log_z = _ChunkedLoss.apply(hidden, weight, targets, chunk, compute)  # type: ignore[no-untyped-call]
    return nll, log_z


class _ChunkedLoss(torch.autograd.Function):
    """Saves ln Z instead of logits: with it the softmax comes back from one product and one exponential."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, chunk: int, compute: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        found = []
        with torch.autocast(hidden.device.type, enabled=False):
            head = weight.to(compute)
            for piece, target in zip(torch.split(hidden, chunk), torch.split(targets, chunk), strict=True):
                logits = wide(F.linear(piece.to(compute), head))
                log_z = logits.logsumexp(-1)
                chosen = logits.gather(1, target.clamp(min=0)[:, None])[:, 0]
                found.append(torch.stack((log_z - chosen, log_z)).masked_fill(target == IGNORE, 0.0))
        nll, log_z = torch.cat(found, 1)
        ctx.save_for_backward(hidden, weight, targets, log_z)
        ctx.chunk, ctx.compute = chunk, compute
        return nll, log_z

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """With p the softmax: ∂(−ln p_t) = p − 1_t and ∂ ln Z = p, each times its gradient from above."""
        hidden, weight, targets, log_z = ctx.saved_tensors
        counted = targets != IGNORE
        for_nll, for_z = (gradient * counted for gradient in gradients)
        head = weight.to(ctx.compute)
        head_gradient = torch.zeros_like(wide(weight))
        hidden_gradient = torch.empty_like(hidden)
        for first in range(0, len(hidden), ctx.chunk):
            part = slice(first, first + ctx.chunk)
            piece, target = hidden[part].to(ctx.compute), targets[part].clamp(min=0)
            p = wide(F.linear(piece, head)).sub_(log_z[part, None]).exp_()
            p.mul_((for_nll[part] + for_z[part])[:, None])
            place = torch.arange(len(target), device=target.device)
            p[place, target] -= for_nll[part]
            p = p.to(ctx.compute)
            hidden_gradient[part] = p @ head
            if p.dtype == head_gradient.dtype:
                head_gradient.addmm_(p.T, piece)
            else:
                head_gradient += p.T @ piece
        return hidden_gradient, head_gradient.to(weight.dtype), None, None, None
