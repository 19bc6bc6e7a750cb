"""Next-token loss that never needs all logits at once, and its unit for people: bits per byte."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

__all__ = ["IGNORE", "bits_per_byte", "token_nll"]

IGNORE = -100
"""Target of a position that takes no part in the loss."""


def token_nll(hidden: Tensor, weight: Tensor, targets: Tensor, *, max_logits_bytes: int = 1 << 28) -> Tensor:
    """−ln p(target) of every position, fp32, 0 where the target is IGNORE.

    `hidden` (N, D), `weight` (V, D), `targets` (N). Where the fp32 logits of all N positions would pass
    `max_logits_bytes` they are made in chunks and made again for the gradient: one more product with the head, no
    (N, V) tensor. Below it they are kept, which is faster.

    >>> token_nll(torch.zeros(2, 4), torch.ones(8, 4), torch.tensor([3, IGNORE])).tolist()
    [2.079441547393799, 0.0]
    """
    chunk = max(1, max_logits_bytes // (4 * weight.shape[0]))
    if len(hidden) <= chunk:
        return _nll(hidden, weight, targets)
    pieces = zip(torch.split(hidden, chunk), torch.split(targets, chunk), strict=True)
    return torch.cat([_recomputed(piece, weight, target) for piece, target in pieces])


def bits_per_byte(nll_sum: float, n_bytes: int) -> float:
    """Bits per UTF-8 byte of the original text; `nll_sum` in nats over all targets, EOS included.

    >>> round(bits_per_byte(nll_sum=693.147, n_bytes=1000), 3)
    1.0
    """
    return nll_sum / (math.log(2) * n_bytes)


def _recomputed(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    nll: Tensor = checkpoint(_nll, hidden, weight, targets, use_reentrant=False, preserve_rng_state=False)
    return nll


def _nll(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    logits = F.linear(hidden, weight)
    # Half precision is widened before the softmax; double stays double for gradient checks.
    logits = logits if logits.dtype == torch.float64 else logits.float()
    return F.cross_entropy(logits, targets, ignore_index=IGNORE, reduction="none")
