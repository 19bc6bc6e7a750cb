"""AdamW, or Muon with AdamW, over parameter groups, and the learning rate as a function of the step."""

import math

import torch
from torch import nn
from torch.optim import Optimizer

from .muon import Muon
from .sharded import whole
from .train_config import OptimizerConfig, warmup_steps

__all__ = ["build_optimizers", "clip_gradients", "lr_at", "set_lr"]


def lr_at(step: int, *, peak: float, steps: int, config: OptimizerConfig) -> float:
    """The learning rate of 0-based `step` of `steps`: linear warm-up, then cosine or stable and linear decay.

    >>> config = OptimizerConfig(warmup_steps=2, min_lr_ratio=0.1)
    >>> [round(lr_at(step, peak=1.0, steps=5, config=config), 3) for step in range(5)]
    [0.5, 1.0, 0.775, 0.325, 0.1]
    """
    warmup = warmup_steps(config, steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    floor = config.min_lr_ratio
    if config.schedule == "cosine":
        done = (step + 1 - warmup) / max(1, steps - warmup)
        return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))
    decay = max(1, round(config.decay_share * steps))
    left = max(0, steps - 1 - step) / decay
    return peak * (floor + (1 - floor) * min(1.0, left))


def build_optimizers(model: nn.Module, config: OptimizerConfig, lr: float) -> list[Optimizer]:
    """One AdamW, or a Muon for the hidden matrices and an AdamW for the rest; every parameter in exactly one group.

    Matrices decay; vectors (norms, biases) and position tables do not. Muon takes AdamW's learning rate because its
    update is scaled to AdamW's size (Moonlight, arXiv:2502.16982).
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    hidden = [p for name, p in named if p.ndim == 2 and name.startswith("blocks.")]
    outer = [p for name, p in named if p.ndim == 2 and not name.startswith(("blocks.", "positions."))]
    still = [p for name, p in named if p.ndim != 2 or name.startswith("positions.")]
    muon = config.name == "muon"
    groups = [
        {"params": outer if muon else hidden + outer, "weight_decay": config.weight_decay},
        {"params": still, "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=lr,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        fused=True,
    )
    if not muon:
        return [adamw]
    return [Muon(hidden, lr=lr, weight_decay=config.weight_decay), adamw]


def set_lr(optimizers: list[Optimizer], lr: float) -> None:
    """Write the learning rate of the coming step into every group."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr


def clip_gradients(model: nn.Module, max_norm: float) -> float:
    """The norm over all gradients and shards before clipping; they are scaled down to `max_norm` unless it is 0."""
    parameters = [parameter for parameter in model.parameters() if parameter.grad is not None]
    return float(whole(nn.utils.clip_grad_norm_(parameters, max_norm or math.inf)))
