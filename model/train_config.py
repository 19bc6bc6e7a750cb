"""What a user may set about a training: data, optimizer and loop; what follows from `depth` where nothing is set."""

import math
from typing import Literal

from pydantic import Field

from seimai.config import Section

from .config import ModelConfig

__all__ = [
    "DataConfig",
    "LoopConfig",
    "OptimizerConfig",
    "TrainConfig",
    "batch_rows",
    "learning_rate",
    "warmup_steps",
]


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
    z_loss: float = Field(default=0.0, ge=0)
    """Weight of ln² Z in what is minimised (PaLM, arXiv:2204.02311: 1e-4); logged losses are without it."""
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
    """Newest checkpoints kept; the best is kept beside them."""
    evaluate: bool = True
    """Bits per byte by language on held-out documents before and after training, in eval.json."""
    evaluate_every: int | None = Field(default=None, ge=1)
    """Steps between further evaluations; the best checkpoint is then the best of these, else the lowest mean loss."""
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
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """With several processes (torchrun): a copy of the model on each, or weights and moments in shards (FSDP2)."""
    spike_sigmas: float = Field(default=6.0, ge=0)
    """Standard deviations above the mean of the window that make a loss or gradient norm a spike; 0 never."""
    spike_window: int = Field(default=128, ge=2)
    """Steps of that window (OLMo 2)."""
    on_spike: Literal["trace", "skip"] = "trace"
    """Write the documents of the batch to spikes/step-N.json; skip also trains none of its rows."""
    logs: tuple[Literal["tensorboard", "wandb"], ...] = ()
    """Logs beside metrics.jsonl: tensorboard in OUT/tensorboard, wandb by its own settings (WANDB_PROJECT, …)."""
    loss_by: tuple[Literal["source", "lang", "quality", "position"], ...] = ("source", "lang", "quality", "position")
    """What the loss is added up by; quality reads the scores of all documents at the start."""
    loss_by_every: int = Field(default=10, ge=1)
    """Steps of one such sum; it stands as `by` in the line of the last one."""
    init_from: str | None = None
    """Hugging Face folder (Llama, Qwen3, GPT-2, MPT) whose weights are gone on from; it fixes the sizes of the body."""
    embedding_map: str | None = None
    """`embedding_map.json` of `seimai tokenizer extend`: which old rows a new token's embedding is the mean of."""


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
