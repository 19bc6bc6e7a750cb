"""One attention, five ways to compute it: the dense oracle, and what is fastest for each kind of positions.

Letters: B rows, T queries, S keys, H query heads, K key and value heads, d width of a head. Measured figures come from
research/training.md, section 3.1: on Hopper cuDNN's kernel is 1.7 to 2.3 times as fast as FlashAttention 2.

- `dense`: all scores in memory. The oracle; the CPU path of Shaw and of biases in bf16.
- `sdpa`: PyTorch's fused kernels, cuDNN before flash. Learned, sinusoidal, rotary, none, one document a row.
- `biased`: the same with a bias (H, T, S) in memory. The CPU path of T5 and ALiBi; T5 in deterministic mode.
- `channels`: ALiBi as eight more channels of queries and keys, so that any causal flash kernel computes it.
- `flex`: FlexAttention with a block mask. Packed documents, T5, Shaw.

Deterministic mode (`train.deterministic`) costs 10 to 20 % of a step (an estimate until a GPU was at hand): cuDNN's
backward pass does not repeat bit by bit, FlashAttention 2's does. T5 and Shaw pay more: the gradient of a table read in
FlexAttention is an atomic sum in no fixed order (pytorch#137452), so T5 goes through `biased` and Shaw through `dense`,
which keep all pairs of a row in memory.
"""

import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import BlockMask, flex_attention

__all__ = [
    "Path",
    "ScoreMod",
    "biased_attention",
    "channel_attention",
    "dense_attention",
    "flexible_attention",
    "path_for",
    "plain_attention",
    "wide",
]

Path = Literal["dense", "sdpa", "biased", "channels", "flex"]
ScoreMod = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]

LONGEST_CHANNELS = 1 << 16
"""Positions from here on have digits above 256, which bf16 does not hold exactly."""


def path_for(kind: str, tokens: int, *, device: str, half: bool, packed: bool, cached: bool) -> Path:
    """The best path for a kind of positions, `tokens` queries and the modes that are on now.

    `half`: queries in bf16. `packed`: several documents a row. FlexAttention is for training only: it is compiled for
    each shape, and evaluation and generation meet many.

    >>> path_for("alibi", 1024, device="cuda", half=True, packed=False, cached=False)
    'channels'
    """
    relative = kind in ("alibi", "t5", "shaw")
    deterministic = torch.are_deterministic_algorithms_enabled()
    if device == "cuda" and not cached:
        if kind == "alibi" and not packed and tokens <= LONGEST_CHANNELS:
            return "channels"
        if kind == "t5" and deterministic:
            return "biased"
        learned = kind == "shaw" and deterministic
        if (relative or packed) and torch.is_grad_enabled() and not learned:
            return "flex"
    if kind == "shaw" or (relative and half):
        return "dense"
    return "biased" if relative else "sdpa"


def wide(x: Tensor) -> Tensor:
    """At least fp32: half precision widened, double kept for gradient checks."""
    return x if x.dtype == torch.float64 else x.float()


def dense_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, bias: Tensor | None) -> Tensor:
    """softmax(q · kᵀ / √d + bias) · v with all scores in memory, softmax in fp32: the oracle of every other path.

    (B, H, T, d), (B, H, S, d) twice, a bool mask that is true where a query may look -> (B, H, T, d).
    """
    scores = wide(query @ key.transpose(-1, -2)) / math.sqrt(query.shape[-1])
    if bias is not None:
        scores = scores + bias
    return scores.masked_fill(~mask, -math.inf).softmax(-1).to(value.dtype) @ value


def plain_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """softmax(q · kᵀ · scale) · v through PyTorch's fused kernels; no mask is the causal square, no scale 1/√d."""
    with _priority() if query.device.type == "cuda" else nullcontext():
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=False
        )


def biased_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, bias: Tensor) -> Tensor:
    """The same with a bias added before the softmax.

    The kernel wants it in the queries' type: in bf16 that rounds a T5 bias by 0.4 % and ALiBi at distance 4,096 by
    whole units, so ALiBi in bf16 never comes here.
    """
    return plain_attention(query, key, value, bias.masked_fill(~mask, -math.inf).to(query.dtype))


def channel_attention(query: Tensor, key: Tensor, value: Tensor, extra: tuple[Tensor, Tensor]) -> Tensor:
    """Causal attention whose scores also hold the products of `extra` channels, (H, 1, 8) and (B, 1, S, 8), over √d.

    Values get as many zeros, since flash kernels want all three equally wide.
    """
    d = query.shape[-1]
    for_query, for_key = (each.to(query.dtype) for each in extra)
    query = torch.cat((query, for_query.expand(*query.shape[:-1], -1)), -1)
    key = torch.cat((key, for_key.expand(*key.shape[:-1], -1)), -1)
    value = F.pad(value, (0, query.shape[-1] - d))
    return plain_attention(query, key, value, scale=1 / math.sqrt(d))[..., :d]


def flexible_attention(
    query: Tensor, key: Tensor, value: Tensor, blocks: BlockMask, score_mod: ScoreMod | None
) -> Tensor:
    """FlexAttention with a block mask and a change of each score, fp32; keys and values may have fewer heads.

    On the CPU it has no backward pass (torch 2.13); it serves there to be compared.
    """
    gqa = query.shape[1] != key.shape[1]
    flex = flex_attention if torch.compiler.is_compiling() else _compiled_flex()
    mixed: Tensor = flex(query, key, value, score_mod=score_mod, block_mask=blocks, enable_gqa=gqa)
    return mixed


@cache
def _compiled_flex() -> Any:
    # Uncompiled it keeps all scores in memory. Shapes are static: a training has one.
    return torch.compile(flex_attention, dynamic=False)


def _priority() -> Any:
    first = [] if torch.are_deterministic_algorithms_enabled() else [SDPBackend.CUDNN_ATTENTION]
    others = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    return sdpa_kernel([*first, *others], set_priority=True)
