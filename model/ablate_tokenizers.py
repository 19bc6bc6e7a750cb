"""The same text encoded by two tokenizers in; equal trainings and a verdict by bits per byte out.

Tokens of two tokenizers are not the same amount of text, nor of work where the vocabularies differ. So B is trained
twice: once on as many bytes as A, once with as many operations; only what holds both times is a verdict.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from seimai.config import load_config
from seimai.errors import ConfigError, InputError
from seimai.files import canonical_json, write_atomic

from .ablate import Piece, scored
from .config import resolve_body
from .evaluate import held_out_documents
from .mfu import flops_per_token
from .paired import Comparison, Verdict, compare_paired
from .plan_training import body_sizes
from .shards import TokenShards, open_tokens
from .train import train
from .train_config import TrainConfig, batch_rows

__all__ = ["Budget", "TokenizerAblation", "ablate_tokenizers", "equal_steps"]

FORMAT = "seimai-tokenizer-ablation/1"


@dataclass(frozen=True)
class Budget:
    """What one training was given."""

    steps: int
    """Optimizer steps."""
    n_bytes: float
    """UTF-8 bytes of the text trained on: targets times bytes a token."""
    flops: float
    """Operations, attention over whole rows counted."""


@dataclass(frozen=True)
class TokenizerAblation:
    """The verdict on tokenizer B against A, at equal bytes and at equal operations."""

    finished: bool
    """False where `stop` ended it early; the same call goes on."""
    trained: int
    """Trainings of this call."""
    verdict: Verdict | None
    """What both comparisons say, else that they cannot be told apart; None before the end."""
    comparisons: dict[str, Comparison]
    """`equal bytes` and `equal operations`."""
    budgets: dict[str, Budget]
    """Of `A`, and of B at `equal bytes` and at `equal operations`."""


def ablate_tokenizers(
    config: TrainConfig | Path,
    a: Path,
    b: Path,
    out: Path,
    *,
    seeds: int = 3,
    margin: float = 0.005,
    max_documents: int | None = None,
    console: Console | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> TokenizerAblation:
    """Train on token shards `a` and `b` of the same text and compare bits per byte on its held-out documents.

    A gets the steps of the config. Trainings stand in out/a, out/b-bytes and out/b-flops, one for each seed; what is
    finished is not computed again. Writes out/tokenizers.json. Rows have as many tokens for both, so the tokenizer
    that compresses better also sees more text at a time, as in use.
    Raises ConfigError for fewer than two seeds and InputError where the texts are not the same or none is held out.
    """
    config = load_config(config, TrainConfig) if isinstance(config, Path) else config
    if seeds < 2:
        raise ConfigError(f"--seeds {seeds} says nothing about the noise of seeds; give 2 or more")
    # The judging below reads the same documents once, after the training.
    config = config.model_copy(update={"train": config.train.model_copy(update={"evaluate": False})})
    shards = {"a": open_tokens(a), "b": open_tokens(b)}
    pieces = {name: Piece(each, held_out_documents(each, max_documents)) for name, each in shards.items()}
    _check(pieces, a, b)
    steps = {"a": config.train.steps, **equal_steps(config, shards["a"], shards["b"])}
    trained, nats = 0, {}
    for seed in range(seeds):
        for name, count in steps.items():
            data = a if name == "a" else b
            folder = out / name / f"seed-{seed}"
            summary = train(config, data, folder, steps=count, seed=seed, console=console, stop=lambda _: stop())
            trained += summary.trained_steps > 0
            if not summary.finished:
                return TokenizerAblation(False, trained, None, {}, {})
            nats[name, seed] = scored(folder, [pieces[name[0]]])
    bits = {name: np.stack([nats[name, seed] for seed in range(seeds)]) / np.log(2) for name in steps}
    held = pieces["a"].held
    said = {"b-bytes": "equal bytes", "b-flops": "equal operations"}
    comparisons = {
        word: compare_paired(bits["a"], bits[name], held.n_bytes, held.units, margin=margin)
        for name, word in said.items()
    }
    budgets = {said.get(name, "A"): _budget(config, shards[name[0]], count) for name, count in steps.items()}
    verdicts = {each.verdict for each in comparisons.values()}
    verdict = verdicts.pop() if len(verdicts) == 1 else "cannot be told apart"
    result = TokenizerAblation(True, trained, verdict, comparisons, budgets)
    described = {"format": FORMAT, "a": shards["a"].root, "b": shards["b"].root, "seeds": seeds, "verdict": verdict}
    described |= {"comparisons": {word: asdict(each) for word, each in comparisons.items()}}
    described |= {"budgets": {word: asdict(each) for word, each in budgets.items()}}
    write_atomic(out / "tokenizers.json", canonical_json(described) + "\n")
    return result


def equal_steps(config: TrainConfig, a: TokenShards, b: TokenShards) -> dict[str, int]:
    """Steps of B that read as many bytes, and that do as many operations, as A's steps of the config."""
    bytes_ratio = _bytes_per_token(a) / _bytes_per_token(b)
    flops_ratio = _flops_per_token(config, a) / _flops_per_token(config, b)
    steps = config.train.steps
    return {"b-bytes": max(1, round(steps * bytes_ratio)), "b-flops": max(1, round(steps * flops_ratio))}


def _check(pieces: dict[str, Piece], a: Path, b: Path) -> None:
    first, second = pieces["a"].held, pieces["b"].held
    if first.ids != second.ids or not np.array_equal(first.n_bytes, second.n_bytes):
        raise InputError(f"{a} and {b} do not hold out the same documents; encode the same files with both tokenizers")
    if len(set(first.units)) < 2:
        raise InputError(f"{a}: fewer than two held-out documents; encode more text or raise held_out.share")
    sides = [piece.shards.tokenizer["fingerprint"] for piece in pieces.values()]
    if sides[0] == sides[1]:
        raise ConfigError(f"{a} and {b} were encoded with one tokenizer; to compare texts use `seimai ablate`")


def _budget(config: TrainConfig, shards: TokenShards, steps: int) -> Budget:
    tokens = steps * batch_rows(config) * config.model.row_tokens
    return Budget(steps, tokens * _bytes_per_token(shards), tokens * _flops_per_token(config, shards))


def _bytes_per_token(shards: TokenShards) -> float:
    """Over all documents, EOS counted as a token and BOS not, as among the targets."""
    targets = int(shards.n_tokens.astype(np.int64).sum()) - len(shards.n_tokens)
    return sum(int(each["n_bytes"]) for each in shards.manifest["shards"]) / max(1, targets)


def _flops_per_token(config: TrainConfig, shards: TokenShards) -> float:
    body = resolve_body(config.model, shards.tokenizer["vocab_size"])
    return flops_per_token(body_sizes(body)[0], body)["attention"]
