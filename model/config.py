"""What a user may set about a model and its training, and the resolved body that follows from it."""

import math
from typing import Literal

from pydantic import Field

from seimai.config import Section
from seimai.errors import ConfigError

__all__ = [
    "Body",
    "DataConfig",
    "LoopConfig",
    "ModelConfig",
    "OptimizerConfig",
    "Positions",
    "TrainConfig",
    "batch_rows",
    "learning_rate",
    "resolve_body",
    "warmup_steps",
]

Preset = Literal["llama", "gpt2", "mpt"]
Positions = Literal["learned", "sinusoidal", "shaw", "t5", "alibi", "rope", "none"]


class ModelConfig(Section):
    """The body: one dial, `depth`; every other size follows from it unless written."""

    preset: Preset = "llama"
    """llama: RMSNorm, SwiGLU, no bias. gpt2: LayerNorm, GELU (tanh), biases. mpt: LayerNorm, GELU, no bias."""
    positions: Positions = "rope"
    """How the model knows the order of tokens."""
    rope_scaling: Literal["none"] = "none"
    """Stretching of rotary angles beyond the trained length."""
    depth: int = Field(default=4, ge=1, le=256)
    """The dial: number of layers; width is 64 times it, the learning rate and the batch follow."""
    n_layers: int | None = Field(default=None, ge=1, le=256)
    """Layers; `depth` if not given."""
    d_model: int | None = Field(default=None, ge=8)
    """Width of the residual stream; 64 · depth if not given."""
    n_heads: int | None = Field(default=None, ge=1)
    """Query heads; so many that a head is 64 wide (128 from width 1,024 on) if not given."""
    n_kv_heads: int | None = Field(default=None, ge=1)
    """Key and value heads (grouped-query attention, arXiv:2305.13245); as many as query heads if not given."""
    d_ff: int | None = Field(default=None, ge=8)
    """Width inside the MLP; 8/3 (SwiGLU) or 4 (GELU) times the width, to a multiple of 64, if not given."""
    qk_norm: bool = False
    """RMSNorm on queries and keys before the rotation; llama preset only (then the shape of Qwen3)."""
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
    shaw_max_distance: int = Field(default=64, ge=1)
    """K: distances above it share one vector (Shaw)."""
    t5_buckets: int = Field(default=32, ge=4)
    """Rows of the T5 bias table; half of them for single distances."""
    t5_max_distance: int = Field(default=128, ge=8)
    """Distance from which on all share the last T5 bucket."""


class DataConfig(Section):
    """The batch and the order of the data."""

    batch_rows: int | None = Field(default=None, ge=1)
    """Rows of the global batch; follows from `depth` if not given."""
    mixture: dict[str, float] | list[tuple[int, dict[str, float]]] | None = None
    """Weights in tokens of sources, languages or `source/lang`; or [[step, weights], …], each from its step on."""
    where: str | None = None
    """Condition over document columns that keeps a document: `lang == 'ja' and quality > 0.6`."""
    packing: Literal["best_fit", "concatenate"] = "best_fit"
    """How documents fill rows: by best fit, or end to end; both cut them only where a row ends."""
    shuffle_window: int | None = Field(default=None, ge=1)
    """Shards whose documents are shuffled together, for shards that lie far away; all at once if not given."""
    cache_dir: str | None = None
    """Folder for shards that are read by address (s3://…, https://…)."""
    cache_bytes: int = Field(default=32 << 30, ge=1)
    """Most bytes of shards kept there."""
    skip: tuple[int, ...] = ()
    """Global row numbers (step · batch_rows + row) masked from the loss."""
    verify: Literal["size", "hash"] = "size"
    """How shards are checked against the manifest before the first step; hash reads all of them."""


class OptimizerConfig(Section):
    """The optimizer and its schedule, functions of the step."""

    name: Literal["adamw", "muon"] = "adamw"
    """adamw, or muon for the hidden matrices and adamw for the rest."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Peak; 0.02 / √d_model if not given."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Decoupled decay of matrices; norms, biases and position tables have none."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Decay of the first moment; Muon's momentum is 0.95."""
    beta2: float = Field(default=0.95, ge=0, lt=1)
    """Decay of the second moment."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the root of the second moment."""
    grad_clip: float = Field(default=1.0, ge=0)
    """Largest global gradient norm; 0 never clips."""
    schedule: Literal["cosine", "wsd"] = "cosine"
    """cosine to `min_lr_ratio`, or warm-up, stable, linear decay (WSD, arXiv:2404.06395)."""
    warmup_steps: int | None = Field(default=None, ge=0)
    """Steps of linear warm-up; a twentieth of all, at most 1,000, if not given."""
    decay_share: float = Field(default=0.2, ge=0, le=1)
    """Share of the steps in which WSD decays."""
    min_lr_ratio: float = Field(default=0.1, ge=0, le=1)
    """Last learning rate as a share of the peak."""


class LoopConfig(Section):
    """The loop: how long, from which seed, what is kept."""

    steps: int = Field(default=300, ge=1)
    """Optimizer steps; the schedule ends with them."""
    seed: int = Field(default=0, ge=0, lt=1 << 63)
    """Seed of the weights, the order of the data and dropout."""
    micro_batch_rows: int | None = Field(default=None, ge=1)
    """Rows of one forward pass; the whole batch if not given. Gradients are those of the whole batch."""
    checkpoint_every: int = Field(default=100, ge=1)
    """Steps between checkpoints."""
    keep_last: int = Field(default=2, ge=1)
    """Checkpoints kept."""
    evaluate: bool = True
    """Bits per byte by language on held-out documents before and after training, in eval.json."""
    evaluate_max_documents: int | None = Field(default=None, ge=1)
    """Most held-out documents of each language in that evaluation; all if not given."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes CUDA where there is one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16 computes in bfloat16 with fp32 master weights; auto is bf16 on CUDA, fp32 on the CPU."""
    compile: bool = False
    """torch.compile the model."""
    deterministic: bool = False
    """On CUDA only kernels that repeat bit by bit, 10 to 20 % slower; the CPU always repeats."""


class TrainConfig(Section):
    """Everything `seimai train` reads from a file."""

    model: ModelConfig = ModelConfig()
    """The body."""
    data: DataConfig = DataConfig()
    """The batch and the order of the data."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """The optimizer and its schedule."""
    train: LoopConfig = LoopConfig()
    """The loop."""


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
    qk_norm: bool
    """RMSNorm on queries and keys."""
    tied: bool
    """Output matrix = input embedding."""
    dropout: float
    """Share of activations dropped in training."""
    rope_base: float
    """b of the rotary angles."""
    shaw_max_distance: int
    """K of Shaw."""
    t5_buckets: int
    """Rows of the T5 table."""
    t5_max_distance: int
    """Distance of the last T5 bucket."""


def resolve_body(config: ModelConfig, vocab_size: int) -> Body:
    """Fix every size that follows from `depth` and the preset; ConfigError where sizes do not fit each other.

    >>> body = resolve_body(ModelConfig(depth=12), 50_304)
    >>> body.d_model, body.n_heads, body.head_dim, body.d_ff, body.tied
    (768, 12, 64, 2048, False)
    """
    d_model = config.d_model or 64 * config.depth
    n_heads = config.n_heads or max(1, d_model // (128 if d_model >= 1024 else 64))
    n_kv_heads = config.n_kv_heads or n_heads
    _check_heads(config, d_model, n_heads, n_kv_heads)
    swiglu = config.preset == "llama"
    d_ff = config.d_ff or _multiple(math.ceil(8 * d_model / 3) if swiglu else 4 * d_model, 64)
    return Body(
        preset=config.preset,
        positions=config.positions,
        vocab_size=vocab_size,
        padded_vocab=_multiple(vocab_size, config.vocab_multiple),
        row_tokens=config.row_tokens,
        n_layers=config.n_layers or config.depth,
        d_model=d_model,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        head_dim=d_model // n_heads,
        d_ff=d_ff,
        norm="rms" if config.preset == "llama" else "layer",
        mlp="swiglu" if swiglu else "gelu_tanh" if config.preset == "gpt2" else "gelu",
        bias=config.preset == "gpt2",
        qk_norm=config.qk_norm,
        tied=config.preset != "llama" if config.tied is None else config.tied,
        dropout=config.dropout,
        rope_base=config.rope_base,
        shaw_max_distance=config.shaw_max_distance,
        t5_buckets=config.t5_buckets,
        t5_max_distance=config.t5_max_distance,
    )


def learning_rate(config: OptimizerConfig, d_model: int) -> float:
    """The peak learning rate: as written, else 0.02 / √d_model."""
    return config.learning_rate or 0.02 / math.sqrt(d_model)


def warmup_steps(config: OptimizerConfig, steps: int) -> int:
    """Steps of warm-up: as written, else a twentieth of all, at most 1,000."""
    return min(steps // 20, 1000) if config.warmup_steps is None else config.warmup_steps


def batch_rows(config: TrainConfig) -> int:
    """Rows of the global batch: as written, else 2¹⁹ tokens at depth 12, growing as depth^1.15.

    Data grow as the parameters, these as depth³, and the best batch as data^0.383 (nanochat, dev/LOG.md).

    >>> batch_rows(TrainConfig(model=ModelConfig(depth=12, row_tokens=2048)))
    256
    """
    if config.data.batch_rows is not None:
        return config.data.batch_rows
    tokens: float = 2**19 * (config.model.depth / 12) ** 1.15
    return max(1, int(tokens / config.model.row_tokens + 0.5))


def _check_heads(config: ModelConfig, d_model: int, n_heads: int, n_kv_heads: int) -> None:
    if d_model % n_heads:
        raise ConfigError(f"model.d_model = {d_model} is no multiple of model.n_heads = {n_heads}; change one")
    if n_heads % n_kv_heads:
        raise ConfigError(f"model.n_kv_heads = {n_kv_heads} does not divide model.n_heads = {n_heads}; change it")
    if config.preset != "llama" and n_kv_heads != n_heads:
        raise ConfigError(f"model.n_kv_heads = {n_kv_heads}: the {config.preset} preset has none; use preset llama")
    if config.preset != "llama" and config.qk_norm:
        raise ConfigError(f"model.qk_norm = true: the {config.preset} preset has none; use preset llama")
    if config.positions == "rope" and (d_model // n_heads) % 2:
        raise ConfigError(f"model.positions = rope needs heads of even width, not {d_model // n_heads}; change n_heads")
    if config.positions == "sinusoidal" and d_model % 2:
        raise ConfigError(f"model.positions = sinusoidal needs an even model.d_model, not {d_model}; change d_model")
    if config.t5_max_distance <= config.t5_buckets // 2:
        raise ConfigError(f"model.t5_max_distance = {config.t5_max_distance} must be above half of model.t5_buckets")


def _multiple(value: int, of: int) -> int:
    return -(-value // of) * of
