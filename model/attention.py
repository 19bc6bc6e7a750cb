"""Causal attention inside segments: what the layers of a forward pass share, the KV cache, and the layer itself.

Letters: B rows, T queries, S keys, H query heads, K key and value heads, d width of a head.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask

from .block_mask import DocumentBlocks, causal_block_mask, document_blocks, document_starts
from .config import Body
from .kernels import (
    Path,
    ScoreMod,
    biased_attention,
    channel_attention,
    dense_attention,
    flexible_attention,
    path_for,
    plain_attention,
    wide,
)
from .positions import Angles, PositionKind, rotate_half

__all__ = ["Attention", "Cache", "Frame", "frame_for"]


class Cache:
    """Keys and values of the tokens seen so far, allocated once: (layers, B, K, max_tokens, d).

    `padding` (B) says how many tokens of each row, its first, are padding: prompts of several lengths end together.
    """

    def __init__(self, body: Body, rows: int, max_tokens: int, like: Tensor, padding: Tensor | None = None) -> None:
        shape = (body.n_layers, rows, body.n_kv_heads, max_tokens, body.head_dim)
        self.keys = torch.zeros(shape, dtype=like.dtype, device=like.device)
        self.values = torch.zeros_like(self.keys)
        self.max_tokens = max_tokens
        self.padding = padding
        self.length = 0

    def room(self) -> int | Tensor:
        """Tokens that a text may reach: a number, or (B) where rows are padded."""
        return self.max_tokens if self.padding is None else self.max_tokens - self.padding

    def select(self, rows: Tensor) -> None:
        """Go on with these rows, each any number of times, as many as before."""
        for each in (self.keys, self.values):
            each[:, :, :, : self.length] = each[:, rows, :, : self.length]
        if self.padding is not None:
            self.padding = self.padding[rows]

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store (B, K, T, d) behind the tokens so far; all keys and values of the layer, (B, K, length + T, d)."""
        end = self.length + keys.shape[2]
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]


@dataclass(frozen=True)
class Frame:
    """What all layers of one forward pass share; what its path does not need is None."""

    path: Path
    """How attention is computed (kernels.py)."""
    angles: Angles | None = None
    """Cosines and sines for the rotation of queries and keys."""
    mask: Tensor | None = None
    """Bool, (1 or B, 1, T, S), true where a query may look; None is the plain causal square."""
    distance: Tensor | None = None
    """(T, S), query index − key index."""
    bias: Tensor | None = None
    """fp32 (H, T, S) added to the scores of every layer."""
    channels: tuple[Tensor, Tensor] | None = None
    """Channels whose products are the bias."""
    blocks: BlockMask | None = None
    """Visible blocks for FlexAttention."""
    score_mod: ScoreMod | None = None
    """The bias as FlexAttention adds it."""


def frame_for(
    positions: PositionKind,
    position: Tensor,
    segment: Tensor | None,
    cache: Cache | None,
    *,
    blocks: DocumentBlocks | None = None,
    half: bool = False,
    path: Path | None = None,
) -> Frame:
    """The frame of T tokens behind those of `cache`; `segment` (B, T) keeps documents of a row apart.

    `blocks` are the block lists of those segments where the loader made them; FlexAttention makes them itself without.
    `path` is the best for the device if not given.
    """
    tokens, device = position.shape[1], position.device
    packed, room = segment is not None, None if cache is None else cache.room()
    path = path or path_for(
        positions.kind, tokens, device=device.type, half=half, packed=packed, cached=cache is not None
    )
    angles = positions.angles(position, room)
    if path == "flex":
        if blocks is None and segment is not None:
            blocks = document_blocks(document_starts(segment))
        mask = causal_block_mask(tokens, device) if blocks is None else blocks.block_mask()
        return Frame(path, angles, blocks=mask, score_mod=positions.score_mod(tokens, device))
    if path == "channels":
        return Frame(path, angles, channels=positions.channels(position))
    return _dense_frame(positions, position, segment, cache, path, angles)


def _dense_frame(
    positions: PositionKind,
    position: Tensor,
    segment: Tensor | None,
    cache: Cache | None,
    path: Path,
    angles: Angles | None,
) -> Frame:
    tokens, device = position.shape[1], position.device
    past, padding = (0, None) if cache is None else (cache.length, cache.padding)
    if path == "sdpa" and segment is None and not past and padding is None:
        return Frame(path, angles)
    query = torch.arange(past, past + tokens, device=device)
    distance = query[:, None] - torch.arange(past + tokens, device=device)[None, :]
    mask = (distance >= 0)[None, None]
    if segment is not None:
        mask = ((segment[:, :, None] == segment[:, None, :]) & (distance >= 0))[:, None]
    if padding is not None:
        key = torch.arange(past + tokens, device=device)
        # Padding sees itself, so that no softmax is over nothing.
        mask = mask & (key >= padding[:, None, None, None]) | (distance == 0)
    return Frame(path, angles, mask=mask, distance=distance, bias=positions.bias(distance))


class Attention(nn.Module):
    """Multi-head or grouped-query attention; the output projection begins at zero (see Transformer)."""

    def __init__(self, body: Body, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.head_dim = body.head_dim
        self.query_heads_per_key = body.n_heads // body.n_kv_heads
        self.eps = body.eps
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
        mixed = self._attend(query, key, value, positions, frame)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, positions: PositionKind, frame: Frame) -> Tensor:
        """(B, H, T, d), (B, K, S, d) twice -> (B, H, T, d) by the frame's path."""
        if frame.blocks is not None:
            score_mod = positions.content_score_mod(self.layer, query) or frame.score_mod
            return flexible_attention(query, key, value, frame.blocks, score_mod)
        if self.query_heads_per_key > 1:
            # Only FlexAttention reads shared heads itself on every backend.
            key = key.repeat_interleave(self.query_heads_per_key, 1)
            value = value.repeat_interleave(self.query_heads_per_key, 1)
        if frame.channels is not None:
            return channel_attention(query, key, value, frame.channels)
        if frame.path == "sdpa":
            return plain_attention(query, key, value, frame.mask)
        assert frame.mask is not None
        assert frame.distance is not None
        bias = positions.content_bias(self.layer, query, frame.distance)
        bias = frame.bias if bias is None else bias
        if frame.path == "biased" and bias is not None:
            return biased_attention(query, key, value, frame.mask, bias)
        return dense_attention(query, key, value, frame.mask, bias)

    def _heads(self, x: Tensor, norm: Tensor | None, angles: Angles | None) -> Tensor:
        """(B, T, heads · d) -> (B, heads, T, d), normed and turned where asked."""
        heads = x.view(*x.shape[:-1], -1, self.head_dim).transpose(1, 2)
        if norm is not None:
            heads = F.rms_norm(wide(heads), (self.head_dim,), wide(norm), self.eps).to(heads.dtype)
        return heads if angles is None else rotate_half(heads, angles)
