"""One decoder body with switches: tokens (B, T) in, hidden states (B, T, D) out, logits by the head's matrix."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seimai.config import parse_config

from .attention import Attention, Cache, Frame, frame_for
from .block_mask import DocumentBlocks
from .config import Body, RopeScaling, check_body
from .kernels import Path, wide
from .positions import PositionKind, positions_for

__all__ = ["Transformer", "build", "count_parameters", "with_scaling"]


class Norm(nn.Module):
    """RMSNorm or LayerNorm in fp32."""

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.rms, self.eps = body.norm == "rms", body.eps
        self.weight = nn.Parameter(torch.ones(body.d_model))
        self.bias = nn.Parameter(torch.zeros(body.d_model)) if body.bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(…, D) -> (…, D), in x's type."""
        shape, weight = self.weight.shape, wide(self.weight)
        if self.rms:
            return F.rms_norm(wide(x), shape, weight, self.eps).to(x.dtype)
        bias = None if self.bias is None else wide(self.bias)
        return F.layer_norm(wide(x), shape, weight, bias, self.eps).to(x.dtype)


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

    path: Path | None = None
    """How attention is computed (kernels.py); the best for the device if None."""

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
        self,
        tokens: Tensor,
        position: Tensor | None = None,
        segment: Tensor | None = None,
        cache: Cache | None = None,
        blocks: DocumentBlocks | None = None,
    ) -> Tensor:
        """Tokens (B, T) int64 -> hidden states (B, T, D) after the last norm.

        `position` (B, T) counts from 0 in every segment; without it a row is one text behind what the cache holds.
        `segment` (B, T) int: tokens see only earlier tokens of their own segment.
        `blocks` are the block lists of the segments (`Batch.blocks`); made here where they are needed and not given.
        """
        past = 0 if cache is None else cache.length
        if position is None:
            position = torch.arange(past, past + tokens.shape[1], device=tokens.device).expand(tokens.shape)
            if cache is not None and cache.padding is not None:
                position = (position - cache.padding[:, None]).clamp(min=0)
        x = self.embedding(tokens)
        added = self.positions.embed(position)
        x = self.dropout(x if added is None else x + added.to(x.dtype))
        half = x.element_size() < 4 or torch.is_autocast_enabled(x.device.type)
        frame = frame_for(self.positions, position, segment, cache, blocks=blocks, half=half, path=self.path)
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


def with_scaling(model: Transformer, scaling: RopeScaling, factor: float = 1.0) -> Transformer:
    """A view of a rotary model with other angles for evaluation: the same weights in the same memory, no training.

    L is the trained length. `scaling` none with factor 1 gives the angles of training without scaling. Raises
    ConfigError for a model without rotary positions and for a factor that does not fit the scaling.

    >>> from seimai.model.config import ModelConfig, resolve_body
    >>> body = resolve_body(ModelConfig(depth=1, row_tokens=64), 100)
    >>> longer = with_scaling(build(body, seed=0), "yarn", 4.0)
    >>> longer.body.rope_scaling, longer.body.rope_factor, longer.body.rope_original_tokens
    ('yarn', 4.0, 64)
    """
    trained = model.body.rope_original_tokens or model.body.row_tokens
    changes = {"rope_scaling": scaling, "rope_factor": factor, "rope_original_tokens": trained}
    body = parse_config({**model.body.model_dump(), **changes}, Body, place="with_scaling")
    check_body(body)
    with torch.device("meta"):
        view = Transformer(body)
    view.load_state_dict(model.state_dict(), assign=True)
    return view.train(model.training)


def count_parameters(model: nn.Module) -> int:
    """Trained numbers, a tied matrix counted once."""
    return sum(parameter.numel() for parameter in model.parameters())
