"""The Seimai decoder for Transformers: seven kinds of positions, KV cache, left padding. Needs torch and transformers.

An export without a native class holds a copy of this file as `modeling_seimai.py`; nothing of Seimai is imported.
Attention keeps all scores in memory: it is the definition, written to be read and to be right, and not to be fast.
Letters: B rows, T queries, S keys, H heads, K key and value heads, d width of a head, D width of the model.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import DynamicCache, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

__all__ = ["SeimaiConfig", "SeimaiForCausalLM"]


class SeimaiConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """Sizes under the names that Transformers expects, and `body`, all switches as the training wrote them."""

    model_type = "seimai"
    keys_to_ignore_at_inference = ["past_key_values"]
    body: Any = None

    def __init__(self, body: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.body = body or {}


def frequencies(body: dict[str, Any], tokens: int, device: torch.device) -> Tensor:
    """Angles a token turns the d/2 planes of a head by, fp32; `tokens` is the length so far, for `dynamic`."""
    d, base, factor = int(body["head_dim"]), float(body["rope_base"]), float(body["rope_factor"])
    kind, trained = body["rope_scaling"], body["rope_original_tokens"] or body["row_tokens"]
    if kind == "ntk":
        base = base * factor ** (d / (d - 2))
    if kind == "dynamic":
        base = base * (factor * max(tokens, trained) / trained - (factor - 1)) ** (d / (d - 2))
    plain: Tensor = 1.0 / base ** (torch.arange(0, d, 2, device=device, dtype=torch.float32) / d)
    if kind == "linear":
        return plain / factor
    if kind == "yarn":

        def plane(turns: float) -> float:
            return float(d * math.log(trained / (turns * 2 * math.pi)) / (2 * math.log(body["rope_base"])))

        low = max(math.floor(plane(body["yarn_beta_fast"])), 0)
        high = min(math.ceil(plane(body["yarn_beta_slow"])), d - 1)
        width = high - low if high != low else 0.001
        ramp = ((torch.arange(d // 2, device=device, dtype=torch.float32) - low) / width).clamp(0, 1)
        return plain / factor * ramp + plain * (1 - ramp)
    if kind == "llama3":
        slowest, fastest = body["llama3_low_freq_factor"], body["llama3_high_freq_factor"]
        wavelength = 2 * math.pi / plain
        mixed = (trained / wavelength - slowest) / (fastest - slowest)
        between = (1 - mixed) * plain / factor + mixed * plain
        slow = torch.where(wavelength > trained / slowest, plain / factor, between)
        return torch.where(wavelength < trained / fastest, plain, slow)
    return plain


def alibi_slopes(heads: int) -> list[float]:
    """Those of the paper; for other numbers than powers of two the rest from between them."""
    below = 1 << (heads.bit_length() - 1)
    slopes = [2.0 ** (-8 * (head + 1) / below) for head in range(below)]
    return slopes + [2.0 ** (-8 * (head + 1) / (2 * below)) for head in range(0, 2 * below, 2)][: heads - below]


def t5_bucket(distance: Tensor, buckets: int, max_distance: int) -> Tensor:
    """The causal bucket of each distance: half of them for 0, 1, 2 …, the rest logarithmic."""
    exact = buckets // 2
    ratio = torch.log(distance.clamp(min=1).float() / exact) / math.log(max_distance / exact)
    far = (exact + (ratio * (buckets - exact)).long()).clamp(max=buckets - 1)
    return torch.where(distance < exact, distance, far)


class Positions(nn.Module):
    """What tells tokens their order: an addition to the embedding, angles, or biases of the scores."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__()
        self.body, self.kind = body, body["positions"]
        shapes = {
            "learned": (body["row_tokens"], body["d_model"]),
            "shaw": (body["n_layers"], body["shaw_max_distance"] + 1, body["head_dim"]),
            "t5": (body["t5_buckets"], body["n_heads"]),
        }
        if self.kind in shapes:
            self.table = nn.Parameter(torch.empty(shapes[self.kind]))

    def embed(self, position: Tensor) -> Tensor | None:
        """(B, T) -> (B, T, D) to add, or None."""
        if self.kind == "learned":
            return F.embedding(position, self.table)
        if self.kind == "sinusoidal":
            width = self.body["d_model"]
            exponent = torch.arange(0, width, 2, device=position.device, dtype=torch.float32) / width
            angle = position[..., None].float() * 10_000.0**-exponent
            return 0.02 * math.sqrt(2) * torch.stack((angle.sin(), angle.cos()), -1).flatten(-2)
        return None

    def angles(self, position: Tensor) -> tuple[Tensor, Tensor] | None:
        """(B, T) -> cosines and sines (B, 1, T, d/2) fp32, or None."""
        if self.kind != "rope":
            return None
        tokens = int(position.max()) + 1 if self.body["rope_scaling"] == "dynamic" else 0
        angle = (position[..., None].float() * frequencies(self.body, tokens, position.device))[:, None]
        factor = 0.1 * math.log(self.body["rope_factor"]) + 1.0 if self.body["rope_scaling"] == "yarn" else 1.0
        return angle.cos() * factor, angle.sin() * factor

    def bias(self, layer: int, query: Tensor, distance: Tensor) -> Tensor | None:
        """(B, H, T, d) queries and (T, S) distances -> what the scores get, fp32, or None."""
        distance = distance.clamp(min=0)
        if self.kind == "alibi":
            slopes = torch.tensor(alibi_slopes(query.shape[1]), device=query.device)
            return -slopes[:, None, None] * distance.float()
        if self.kind == "t5":
            bucket = t5_bucket(distance, self.body["t5_buckets"], self.body["t5_max_distance"])
            return F.embedding(bucket, self.table.float()).permute(2, 0, 1)
        if self.kind == "shaw":
            by_distance = (query @ self.table[layer].to(query.dtype).T).float() / math.sqrt(query.shape[-1])
            index = distance.clamp(max=by_distance.shape[-1] - 1).expand(*query.shape[:2], *distance.shape)
            return by_distance.gather(-1, index)
        return None


class Norm(nn.Module):
    """RMSNorm or LayerNorm in fp32."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__()
        self.rms = body["norm"] == "rms"
        self.eps = body["norm_eps"] or (1e-6 if self.rms else 1e-5)
        self.weight = nn.Parameter(torch.ones(body["d_model"]))
        self.bias = nn.Parameter(torch.zeros(body["d_model"])) if body["bias"] else None

    def forward(self, x: Tensor) -> Tensor:
        """(…, D) -> (…, D)."""
        shape, weight = self.weight.shape, self.weight.float()
        if self.rms:
            return F.rms_norm(x.float(), shape, weight, self.eps).to(x.dtype)
        bias = None if self.bias is None else self.bias.float()
        return F.layer_norm(x.float(), shape, weight, bias, self.eps).to(x.dtype)


class Attention(nn.Module):
    """Multi-head or grouped-query attention with all scores in memory."""

    def __init__(self, body: dict[str, Any], layer: int) -> None:
        super().__init__()
        self.layer, self.head_dim = layer, body["head_dim"]
        self.shared = body["n_heads"] // body["n_kv_heads"]
        self.eps = body["norm_eps"] or (1e-6 if body["norm"] == "rms" else 1e-5)
        wide, narrow = body["n_heads"] * self.head_dim, body["n_kv_heads"] * self.head_dim
        self.query = nn.Linear(body["d_model"], wide, bias=body["bias"])
        self.key = nn.Linear(body["d_model"], narrow, bias=body["bias"])
        self.value = nn.Linear(body["d_model"], narrow, bias=body["bias"])
        self.out = nn.Linear(wide, body["d_model"], bias=body["bias"])
        self.query_norm = nn.Parameter(torch.ones(self.head_dim)) if body["qk_norm"] else None
        self.key_norm = nn.Parameter(torch.ones(self.head_dim)) if body["qk_norm"] else None

    def forward(
        self, x: Tensor, positions: Positions, angles: tuple[Tensor, Tensor] | None, mask: Tensor, past: Any
    ) -> Tensor:
        """(B, T, D) -> (B, T, D); `mask` (B, 1, T, S) is true where a query may look."""
        query = self._heads(self.query(x), self.query_norm, angles)
        key = self._heads(self.key(x), self.key_norm, angles)
        value = self._heads(self.value(x), None, None)
        if past is not None:
            key, value = past.update(key, value, self.layer)
        key, value = (each.repeat_interleave(self.shared, 1) for each in (key, value))
        tokens, seen = query.shape[2], key.shape[2]
        here = torch.arange(seen - tokens, seen, device=x.device)
        bias = positions.bias(self.layer, query, here[:, None] - torch.arange(seen, device=x.device)[None, :])
        scores = (query @ key.transpose(-1, -2)).float() / math.sqrt(self.head_dim)
        scores = scores if bias is None else scores + bias
        mixed = scores.masked_fill(~mask, -math.inf).softmax(-1).to(value.dtype) @ value
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out

    def _heads(self, x: Tensor, norm: Tensor | None, angles: tuple[Tensor, Tensor] | None) -> Tensor:
        heads = x.view(*x.shape[:-1], -1, self.head_dim).transpose(1, 2)
        if norm is not None:
            heads = F.rms_norm(heads.float(), (self.head_dim,), norm.float(), self.eps).to(heads.dtype)
        if angles is None:
            return heads
        cos, sin = angles
        first, second = heads.float().chunk(2, -1)
        return torch.cat((first * cos - second * sin, second * cos + first * sin), -1).to(heads.dtype)


class Mlp(nn.Module):
    """SwiGLU or GELU."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__()
        width, inner = body["d_model"], body["d_ff"]
        self.kind = body["mlp"]
        self.gate = nn.Linear(width, inner, bias=body["bias"]) if self.kind == "swiglu" else None
        self.up = nn.Linear(width, inner, bias=body["bias"])
        self.down = nn.Linear(inner, width, bias=body["bias"])

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

    def __init__(self, body: dict[str, Any], layer: int) -> None:
        super().__init__()
        self.attention_norm, self.attention = Norm(body), Attention(body, layer)
        self.mlp_norm, self.mlp = Norm(body), Mlp(body)
        self.dropout = nn.Dropout(body["dropout"])

    def forward(
        self, x: Tensor, positions: Positions, angles: tuple[Tensor, Tensor] | None, mask: Tensor, past: Any
    ) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        x = x + self.dropout(self.attention(self.attention_norm(x), positions, angles, mask, past))
        out: Tensor = x + self.dropout(self.mlp(self.mlp_norm(x)))
        return out


class SeimaiForCausalLM(PreTrainedModel, GenerationMixin):  # type: ignore[no-untyped-call]
    """The decoder with its head. A row of `attention_mask` (B, S) is 0 at left padding."""

    config_class = SeimaiConfig
    base_model_prefix = ""
    _no_split_modules = ["Block"]
    _tied_weights_keys = {"head.weight": "embedding.weight"}

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        body = config.body
        self.embedding = nn.Embedding(config.vocab_size, body["d_model"])
        self.positions = Positions(body)
        self.dropout = nn.Dropout(body["dropout"])
        self.blocks = nn.ModuleList(Block(body, layer) for layer in range(body["n_layers"]))
        self.norm = Norm(body)
        self.head = nn.Linear(body["d_model"], config.vocab_size, bias=False)
        self.post_init()  # type: ignore[no-untyped-call]

    def get_input_embeddings(self) -> Any:
        """The embedding."""
        return self.embedding

    def set_input_embeddings(self, value: Any) -> None:
        """Put another embedding in its place."""
        self.embedding = value

    def get_output_embeddings(self) -> Any:
        """The head."""
        return self.head

    def set_output_embeddings(self, new_embeddings: Any) -> None:
        """Put another head in its place."""
        self.head = new_embeddings

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits (B, T, V) and, with labels (B, T; -100 counts for nothing), the mean loss of the next tokens."""
        x = self.embedding(input_ids) if inputs_embeds is None else inputs_embeds
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache()
        past = 0 if past_key_values is None else int(past_key_values.get_seq_length())
        tokens, seen = x.shape[1], past + x.shape[1]
        visible = torch.ones(len(x), seen, dtype=torch.bool, device=x.device)
        if attention_mask is not None:
            visible = attention_mask[:, :seen].bool()
        if position_ids is None:
            position_ids = (visible.long().cumsum(-1) - 1).clamp(min=0)[:, -tokens:]
        here = torch.arange(past, seen, device=x.device)[:, None]
        there = torch.arange(seen, device=x.device)[None, :]
        # Padding sees itself, so that no softmax is over nothing.
        mask = ((there <= here) & visible[:, None, :] | (there == here))[:, None]
        added = self.positions.embed(position_ids)
        x = self.dropout(x if added is None else x + added.to(x.dtype))
        angles = self.positions.angles(position_ids)
        for block in self.blocks:
            x = block(x, self.positions, angles, mask, past_key_values)
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.head(self.norm(x)[:, kept])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs)
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=past_key_values)
