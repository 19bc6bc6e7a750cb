"""Causal attention inside segments: the dense reference, the fused kernel where it gives the same, and the KV cache.

Letters: B rows, T queries, S keys, H query heads, K key and value heads, d width of a head.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import Body
from .positions import Angles, PositionKind, rotate_half

__all__ = ["Attention", "Cache", "Frame", "dense_attention", "frame_for", "fused_attention"]


class Cache:
    """Keys and values of the tokens seen so far, allocated once: (layers, B, K, max_tokens, d)."""

    def __init__(self, body: Body, rows: int, max_tokens: int, like: Tensor) -> None:
        shape = (body.n_layers, rows, body.n_kv_heads, max_tokens, body.head_dim)
        self.keys = torch.zeros(shape, dtype=like.dtype, device=like.device)
        self.values = torch.zeros_like(self.keys)
        self.length = 0

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store (B, K, T, d) behind the tokens so far; all keys and values of the layer, (B, K, length + T, d)."""
        end = self.length + keys.shape[2]
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]


@dataclass(frozen=True)
class Frame:
    """What all layers of one forward pass share."""

    mask: Tensor | None
    """Bool, (1 or B, 1, T, S), true where a query may look; None is the plain causal square."""
    distance: Tensor
    """(T, S), query index − key index."""
    bias: Tensor | None
    """fp32 (H, T, S) added to the scores of every layer."""
    angles: Angles | None
    """Cosines and sines for the rotation of queries and keys."""


def frame_for(positions: PositionKind, position: Tensor, segment: Tensor | None, past: int) -> Frame:
    """The frame of T tokens behind `past` cached ones; `segment` (B, T) keeps documents of a row apart."""
    tokens = position.shape[1]
    query = torch.arange(past, past + tokens, device=position.device)
    distance = query[:, None] - torch.arange(past + tokens, device=position.device)[None, :]
    bias = positions.bias(distance)
    mask: Tensor | None = None
    if segment is not None:
        mask = ((segment[:, :, None] == segment[:, None, :]) & (distance >= 0))[:, None]
    elif past or bias is not None:
        mask = (distance >= 0)[None, None]
    return Frame(mask=mask, distance=distance, bias=bias, angles=positions.angles(position))


def dense_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, bias: Tensor | None) -> Tensor:
    """softmax(q · kᵀ / √d + bias) · v with all scores in memory, softmax in fp32: the oracle of every other path."""
    scores = (query @ key.transpose(-1, -2)).float() / math.sqrt(query.shape[-1])
    if bias is not None:
        scores = scores + bias
    return scores.masked_fill(~mask, -math.inf).softmax(-1).to(value.dtype) @ value


def fused_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, bias: Tensor | None) -> Tensor:
    """The same through PyTorch's scaled_dot_product_attention; a mask of None is the causal square."""
    if bias is not None:
        assert mask is not None
        if query.dtype != torch.float32:
            # The kernel wants the bias in the queries' type, and bf16 rounds ALiBi at distance 4,096 by whole units.
            return dense_attention(query, key, value, mask, bias)
        mask = bias.masked_fill(~mask, -math.inf)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=mask is None)


class Attention(nn.Module):
    """Multi-head or grouped-query attention; the output projection begins at zero (see Transformer)."""

    def __init__(self, body: Body, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.head_dim = body.head_dim
        self.query_heads_per_key = body.n_heads // body.n_kv_heads
        self.eps = 1e-6
        self.query = nn.Linear(body.d_model, body.n_heads * body.head_dim, bias=body.bias)
        self.key = nn.Linear(body.d_model, body.n_kv_heads * body.head_dim, bias=body.bias)
        self.value = nn.Linear(body.d_model, body.n_kv_heads * body.head_dim, bias=body.bias)
        self.out = nn.Linear(body.n_heads * body.head_dim, body.d_model, bias=body.bias)
        self.query_norm = nn.Parameter(torch.ones(body.head_dim)) if body.qk_norm else None
        self.key_norm = nn.Parameter(torch.ones(body.head_dim)) if body.qk_norm else None

    def forward(self, x: Tensor, positions: PositionKind, frame: Frame, cache: Cache | None) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        query = self._heads(self.query(x), self.query_norm, frame.angles)
        key = self._heads(self.key(x), self.key_norm, frame.angles)
        value = self._heads(self.value(x), None, None)
        if cache is not None:
            key, value = cache.append(self.layer, key, value)
        if self.query_heads_per_key > 1:
            key = key.repeat_interleave(self.query_heads_per_key, 1)
            value = value.repeat_interleave(self.query_heads_per_key, 1)
        by_content = positions.content_bias(self.layer, query, frame.distance)
        if by_content is not None:
            mask = frame.distance >= 0 if frame.mask is None else frame.mask
            mixed = dense_attention(query, key, value, mask, by_content)
        else:
            mixed = fused_attention(query, key, value, frame.mask, frame.bias)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out

    def _heads(self, x: Tensor, norm: Tensor | None, angles: Angles | None) -> Tensor:
        """(B, T, heads · d) -> (B, heads, T, d), normed and turned where asked."""
        heads = x.view(*x.shape[:-1], -1, self.head_dim).transpose(1, 2)
        if norm is not None:
            heads = F.rms_norm(heads.float(), (self.head_dim,), norm.float(), self.eps).to(heads.dtype)
        return heads if angles is None else rotate_half(heads, angles)
