"""One decoder body with switches: tokens (B, T) in, hidden states (B, T, D) out, logits by the head's matrix."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Attention, Cache, Frame, frame_for
from .config import Body
from .positions import PositionKind, positions_for

__all__ = ["Transformer", "build", "count_parameters"]


class Norm(nn.Module):
    """RMSNorm or LayerNorm in fp32, eps 1e-6 or 1e-5."""

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.rms = body.norm == "rms"
        self.weight = nn.Parameter(torch.ones(body.d_model))
        self.bias = nn.Parameter(torch.zeros(body.d_model)) if body.bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(…, D) -> (…, D), in x's type."""
        shape = self.weight.shape
        if self.rms:
            return F.rms_norm(x.float(), shape, self.weight, 1e-6).to(x.dtype)
        return F.layer_norm(x.float(), shape, self.weight, self.bias, 1e-5).to(x.dtype)


class Mlp(nn.Module):
    """down(silu(gate(x)) · up(x)) (SwiGLU, arXiv:2002.05202) or down(gelu(up(x)))."""

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.kind = body.mlp
        self.gate = nn.Linear(body.d_model, body.d_ff, bias=body.bias) if body.mlp == "swiglu" else None
        self.up = nn.Linear(body.d_model, body.d_ff, bias=body.bias)
        self.down = nn.Linear(body.d_ff, body.d_model, bias=body.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        if self.gate is not None:
            inner = F.silu(self.gate(x)) * self.up(x)
        else:
            inner = F.gelu(self.up(x), approximate="tanh" if self.kind == "gelu_tanh" else "none")
        out: Tensor = self.down(inner)
        return out


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, body: Body, layer: int) -> None:
        super().__init__()
        self.attention_norm = Norm(body)
        self.attention = Attention(body, layer)
        self.mlp_norm = Norm(body)
        self.mlp = Mlp(body)
        self.dropout = nn.Dropout(body.dropout)

    def forward(self, x: Tensor, positions: PositionKind, frame: Frame, cache: Cache | None) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        x = x + self.dropout(self.attention(self.attention_norm(x), positions, frame, cache))
        out: Tensor = x + self.dropout(self.mlp(self.mlp_norm(x)))
        return out


class Transformer(nn.Module):
    """The decoder; `forward` stops at the hidden states, so that the loss need never build all logits."""

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.body = body
        self.embedding = nn.Embedding(body.padded_vocab, body.d_model)
        self.positions = positions_for(body)
        self.dropout = nn.Dropout(body.dropout)
        self.blocks = nn.ModuleList(Block(body, layer) for layer in range(body.n_layers))
        self.norm = Norm(body)
        self.head = None if body.tied else nn.Linear(body.d_model, body.padded_vocab, bias=False)
        self._initialise()

    def forward(
        self, tokens: Tensor, position: Tensor | None = None, segment: Tensor | None = None, cache: Cache | None = None
    ) -> Tensor:
        """Tokens (B, T) int64 -> hidden states (B, T, D) after the last norm.

        `position` (B, T) counts from 0 in every segment; without it a row is one text behind what the cache holds.
        `segment` (B, T) int: tokens see only earlier tokens of their own segment.
        """
        past = 0 if cache is None else cache.length
        if position is None:
            position = torch.arange(past, past + tokens.shape[1], device=tokens.device).expand(tokens.shape)
        x = self.embedding(tokens)
        added = self.positions.embed(position)
        x = self.dropout(x if added is None else x + added.to(x.dtype))
        frame = frame_for(self.positions, position, segment, past)
        for block in self.blocks:
            x = block(x, self.positions, frame, cache)
        if cache is not None:
            cache.length += tokens.shape[1]
        hidden: Tensor = self.norm(x)
        return hidden

    def head_weight(self) -> Tensor:
        """The output matrix (vocab_size, D); rows that only pad the vocabulary are left out."""
        weight = self.embedding.weight if self.head is None else self.head.weight
        return weight[: self.body.vocab_size]

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (…, D) -> logits (…, vocab_size)."""
        return F.linear(hidden, self.head_weight().to(hidden.dtype))

    def _initialise(self) -> None:
        """Embedding and head N(0, 0.02), matrices N(0, 1/√fan_in), what writes to the residual stream zero.

        The first loss is then close to ln(vocab_size) at any depth (test_transformer.py::test_first_loss).
        """
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                if name.endswith((".out", ".down")):
                    nn.init.zeros_(module.weight)
                else:
                    std = 0.02 if name == "head" else 1 / math.sqrt(module.in_features)
                    nn.init.normal_(module.weight, 0.0, std)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.embedding.weight, 0.0, 0.02)


def build(body: Body, seed: int) -> Transformer:
    """A fresh model on the CPU whose weights depend on the body and the seed alone; the global generator is kept."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Transformer(body)


def count_parameters(model: nn.Module) -> int:
    """Trained numbers, a tied matrix counted once."""
    return sum(parameter.numel() for parameter in model.parameters())
