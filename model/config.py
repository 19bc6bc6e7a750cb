"""What a user may set about a model, and the resolved body that follows from it."""

import math
from typing import Literal

from pydantic import Field

from seimai.config import Section
from seimai.errors import ConfigError

__all__ = ["Body", "ModelConfig", "Positions", "Preset", "RopeScaling", "check_body", "resolve_body"]

Preset = Literal["llama", "gpt2", "mpt"]
Positions = Literal["learned", "sinusoidal", "shaw", "t5", "alibi", "rope", "none"]
RopeScaling = Literal["none", "linear", "ntk", "dynamic", "yarn", "llama3"]


class ModelConfig(Section):
    """The body: one dial, `depth`; every other size follows from it unless written."""

    preset: Preset = "llama"
    """llama: RMSNorm, SwiGLU, no bias. gpt2: LayerNorm, GELU (tanh), biases. mpt: LayerNorm, GELU, no bias."""
    positions: Positions = "rope"
    """How the model knows the order of tokens."""
    depth: int = Field(default=4, ge=1, le=256)
    """The dial: number of layers; width is 64 times it, the learning rate and the batch follow."""
    n_layers: int | None = Field(default=None, ge=1, le=256)
    """Layers; `depth` if not given."""
    d_model: int | None = Field(default=None, ge=8)
    """Width of the residual stream; 64 · depth if not given."""
    n_heads: int | None = Field(default=None, ge=1)
    """Query heads; so many that a head is 64 wide (128 from width 1,024 on where that divides it) if not given."""
    n_kv_heads: int | None = Field(default=None, ge=1)
    """Key and value heads (grouped-query attention, arXiv:2305.13245); as many as query heads if not given."""
    head_dim: int | None = Field(default=None, ge=2)
    """Width of a head; d_model / n_heads if not given."""
    d_ff: int | None = Field(default=None, ge=8)
    """Width inside the MLP; 8/3 (SwiGLU) or 4 (GELU) times the width, to a multiple of 64, if not given."""
    qk_norm: bool = False
    """RMSNorm on queries and keys before the rotation; llama preset only (then the shape of Qwen3)."""
    norm_eps: float | None = Field(default=None, gt=0)
    """Added under the root of every norm; 1e-6 (RMSNorm) or 1e-5 (LayerNorm) if not given."""
    tied: bool | None = None
    """Output matrix = input embedding; the preset's habit (llama no, gpt2 and mpt yes) if not given."""
    row_tokens: int = Field(default=256, ge=8, le=1 << 20)
    """Input tokens of a training row; one more is stored, the last target."""
    vocab_multiple: int = Field(default=64, ge=1)
    """The embedding has rows up to this multiple; rows beyond the vocabulary take no part in the loss."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of activations dropped after the embedding and each sub-layer in training."""
    rope_base: float = Field(default=10_000.0, gt=1.0)
    """b in the rotary angles p · b^(−2i/d)."""
    rope_scaling: RopeScaling = "none"
    """Stretching of rotary angles beyond the trained length (rope_scaling.py); also possible at evaluation alone."""
    rope_factor: float = Field(default=1.0, ge=1.0)
    """s: how many times longer texts may be; above 1 with a scaling, 1 without."""
    rope_original_tokens: int | None = Field(default=None, ge=8)
    """L: the length trained before scaling, for dynamic, yarn and llama3; `row_tokens` if not given."""
    yarn_beta_fast: float = Field(default=32.0, gt=0)
    """Planes that turn more often than this within L keep their angles (YaRN)."""
    yarn_beta_slow: float = Field(default=1.0, gt=0)
    """Planes that turn more seldom than this within L are slowed s times (YaRN)."""
    llama3_low_freq_factor: float = Field(default=1.0, gt=0)
    """Planes whose wavelength is above L / this are slowed s times (llama3)."""
    llama3_high_freq_factor: float = Field(default=4.0, gt=0)
    """Planes whose wavelength is below L / this keep their angles (llama3)."""
    shaw_max_distance: int = Field(default=64, ge=1)
    """K: distances above it share one vector (Shaw)."""
    t5_buckets: int = Field(default=32, ge=4)
    """Rows of the T5 bias table; half of them for single distances."""
    t5_max_distance: int = Field(default=128, ge=8)
    """Distance from which on all share the last T5 bucket."""


class Body(Section):
    """A body with every size fixed: what a checkpoint's config.json holds and `Transformer` is built from."""

    preset: Preset
    """Which preset it came from."""
    positions: Positions
    """Kind of positions."""
    vocab_size: int
    """Token ids are below it."""
    padded_vocab: int
    """Rows of the embedding."""
    row_tokens: int
    """Trained length; the learned table has as many rows."""
    n_layers: int
    """Layers."""
    d_model: int
    """Width of the residual stream."""
    n_heads: int
    """Query heads."""
    n_kv_heads: int
    """Key and value heads."""
    head_dim: int
    """Width of a head."""
    d_ff: int
    """Width inside the MLP."""
    norm: Literal["rms", "layer"]
    """RMSNorm or LayerNorm."""
    mlp: Literal["swiglu", "gelu_tanh", "gelu"]
    """Kind of MLP."""
    bias: bool
    """Biases in linear layers and norms."""
    norm_eps: float | None = None
    """Added under the root of norms; None, as in trainings before it, is 1e-6 (RMSNorm) or 1e-5 (LayerNorm)."""
    qk_norm: bool
    """RMSNorm on queries and keys."""
    tied: bool
    """Output matrix = input embedding."""
    dropout: float
    """Share of activations dropped in training."""
    rope_base: float
    """b of the rotary angles."""
    rope_scaling: RopeScaling = "none"
    """Stretching of rotary angles; this and what follows up to Shaw is not written by trainings before scalings."""
    rope_factor: float = 1.0
    """s of the scaling."""
    rope_original_tokens: int | None = None
    """L of the scaling; `row_tokens` if not given."""
    yarn_beta_fast: float = 32.0
    """Turns within L above which YaRN keeps a plane."""
    yarn_beta_slow: float = 1.0
    """Turns within L below which YaRN slows a plane s times."""
    llama3_low_freq_factor: float = 1.0
    """L / wavelength below which llama3 slows a plane s times."""
    llama3_high_freq_factor: float = 4.0
    """L / wavelength above which llama3 keeps a plane."""
    shaw_max_distance: int
    """K of Shaw."""
    t5_buckets: int
    """Rows of the T5 table."""
    t5_max_distance: int
    """Distance of the last T5 bucket."""

    @property
    def eps(self) -> float:
        """What norms add under the root."""
        return self.norm_eps or (1e-6 if self.norm == "rms" else 1e-5)


def resolve_body(config: ModelConfig, vocab_size: int) -> Body:
    """Fix every size that follows from `depth` and the preset; ConfigError where sizes do not fit each other.

    >>> body = resolve_body(ModelConfig(depth=12), 50_304)
    >>> body.d_model, body.n_heads, body.head_dim, body.d_ff, body.tied
    (768, 12, 64, 2048, False)
    """
    d_model = config.d_model or 64 * config.depth
    n_heads = config.n_heads or max(1, d_model // (128 if d_model >= 1024 and d_model % 128 == 0 else 64))
    n_kv_heads = config.n_kv_heads or n_heads
    _check_heads(config, d_model, n_heads, n_kv_heads)
    swiglu = config.preset == "llama"
    d_ff = config.d_ff or _multiple(math.ceil(8 * d_model / 3) if swiglu else 4 * d_model, 64)
    body = Body(
        preset=config.preset,
        positions=config.positions,
        vocab_size=vocab_size,
        padded_vocab=_multiple(vocab_size, config.vocab_multiple),
        row_tokens=config.row_tokens,
        n_layers=config.n_layers or config.depth,
        d_model=d_model,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        head_dim=config.head_dim or d_model // n_heads,
        d_ff=d_ff,
        norm="rms" if config.preset == "llama" else "layer",
        mlp="swiglu" if swiglu else "gelu_tanh" if config.preset == "gpt2" else "gelu",
        bias=config.preset == "gpt2",
        norm_eps=config.norm_eps,
        qk_norm=config.qk_norm,
        tied=config.preset != "llama" if config.tied is None else config.tied,
        dropout=config.dropout,
        rope_base=config.rope_base,
        rope_scaling=config.rope_scaling,
        rope_factor=config.rope_factor,
        rope_original_tokens=config.rope_original_tokens or config.row_tokens,
        yarn_beta_fast=config.yarn_beta_fast,
        yarn_beta_slow=config.yarn_beta_slow,
        llama3_low_freq_factor=config.llama3_low_freq_factor,
        llama3_high_freq_factor=config.llama3_high_freq_factor,
        shaw_max_distance=config.shaw_max_distance,
        t5_buckets=config.t5_buckets,
        t5_max_distance=config.t5_max_distance,
    )
    check_body(body)
    return body


def check_body(body: Body) -> None:
    """ConfigError where the settings of a body's positions do not fit each other."""
    if body.positions == "rope" and body.head_dim % 2:
        raise ConfigError(f"model.positions = rope needs heads of even width, not {body.head_dim}; change n_heads")
    if body.positions == "sinusoidal" and body.d_model % 2:
        raise ConfigError(f"model.positions = sinusoidal needs an even model.d_model, not {body.d_model}; change it")
    if body.t5_max_distance <= body.t5_buckets // 2:
        raise ConfigError(f"model.t5_max_distance = {body.t5_max_distance} must be above half of model.t5_buckets")
    _check_scaling(body)


def _check_scaling(body: Body) -> None:
    kind = body.rope_scaling
    if kind == "none":
        if body.rope_factor != 1:
            raise ConfigError(f"model.rope_factor = {body.rope_factor} scales nothing; give model.rope_scaling too")
        return
    if body.positions != "rope":
        raise ConfigError(f"model.rope_scaling = {kind} needs model.positions = rope, not {body.positions}")
    if body.rope_factor <= 1:
        raise ConfigError(f"model.rope_factor = {body.rope_factor} must be above 1 with model.rope_scaling = {kind}")
    if kind in ("ntk", "dynamic") and body.head_dim < 4:
        raise ConfigError(f"model.rope_scaling = {kind} needs heads of at least 4, not {body.head_dim}; change n_heads")
    if kind == "yarn" and body.yarn_beta_fast <= body.yarn_beta_slow:
        raise ConfigError(f"model.yarn_beta_fast = {body.yarn_beta_fast} must be above model.yarn_beta_slow")
    if kind == "llama3" and body.llama3_high_freq_factor <= body.llama3_low_freq_factor:
        low = body.llama3_low_freq_factor
        raise ConfigError(f"model.llama3_low_freq_factor = {low} must be below model.llama3_high_freq_factor")


def _check_heads(config: ModelConfig, d_model: int, n_heads: int, n_kv_heads: int) -> None:
    if config.head_dim is None and d_model % n_heads:
        raise ConfigError(f"model.d_model = {d_model} is no multiple of model.n_heads = {n_heads}; change one")
    if n_heads % n_kv_heads:
        raise ConfigError(f"model.n_kv_heads = {n_kv_heads} does not divide model.n_heads = {n_heads}; change it")
    if config.preset != "llama" and n_kv_heads != n_heads:
        raise ConfigError(f"model.n_kv_heads = {n_kv_heads}: the {config.preset} preset has none; use preset llama")
    if config.preset != "llama" and config.head_dim not in (None, d_model // n_heads):
        width = d_model // n_heads
        raise ConfigError(f"model.head_dim = {config.head_dim}: the {config.preset} preset has {width}; remove it")
    if config.preset != "llama" and config.qk_norm:
        raise ConfigError(f"model.qk_norm = true: the {config.preset} preset has none; use preset llama")


def _multiple(value: int, of: int) -> int:
    return -(-value // of) * of
