"""Train a decoder on token shards: a directory to begin or go on in, a loop (loop.py), and what stands there then."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from seimai.config import load_config, parse_config
from seimai.errors import ConfigError
from seimai.files import read_json

from .config import resolve_body
from .distributed import process_group
from .folder import claim, locked
from .init_from import sized_like
from .loop import Stop, run_loop
from .metrics import read_metrics
from .order import Order
from .runtime import leave_on_signal, reproducible
from .train_config import TrainConfig, batch_rows
from .transformer import Transformer, count_parameters

__all__ = ["Summary", "train"]


@dataclass(frozen=True)
class Summary:
    """What a call of `train` did and what stands in the directory now."""

    steps: int
    """Steps finished, of all calls together."""
    trained_steps: int
    """Steps of this call."""
    finished: bool
    """Whether the last step is reached and `final` is written."""
    tokens: int
    """Targets trained on, of all calls together."""
    parameters: int
    """Trained numbers of the model."""
    first_loss: float | None
    """Loss of step 0 in nats; None before it."""
    last_loss: float | None
    """Loss of the last step."""
    evaluation: dict[str, Any]
    """eval.json: before and after, by language."""
    final: Path
    """The model directory (there when finished)."""
    notes: tuple[str, ...]
    """What the user should know, one line each."""


def train(
    config: TrainConfig | Path,
    data: Path | str,
    out: Path,
    *,
    steps: int | None = None,
    seed: int | None = None,
    console: Console | None = None,
    stop: Stop | None = None,
) -> Summary:
    """Train on the token shards in `data`, or go on where `out` stands; `steps` and `seed` win over the config.

    Writes metrics.jsonl, order.json, config.toml, eval.json, checkpoints/ and final/ in `out`. SIGTERM, SIGINT and
    `stop(steps finished)` save and leave; a second signal ends at once. A finished training is not trained again.
    Losses and weights of a resumed run are those of an undisturbed one, bit by bit, on the CPU of one machine with one
    torch version and thread count. Raises RunError where `out` was begun with another config, data or seed.
    """
    config = _configured(config, steps, seed)
    order = _order(config, data)
    with ExitStack() as stack:
        ranks = stack.enter_context(process_group(config.train))
        if order.batch_rows % ranks.count:
            raise ConfigError(f"data.batch_rows = {order.batch_rows}: no multiple of {ranks.count} ranks; change one")
        ranks.first(lambda: _take(stack, out, config, order, data))
        if (out / "final" / "config.json").is_file():
            return _summary(config, order, out, 0, ("already finished; nothing was computed again",))
        stack.enter_context(reproducible(config.train))
        asked = stack.enter_context(leave_on_signal())
        shown = console if ranks.rank == 0 else None

        def leaves(done: int) -> bool:
            return asked.is_set() or (stop is not None and stop(done))

        trained, notes = run_loop(config, order, out, ranks, console=shown, stop=leaves)
        return _summary(config, order, out, trained, notes)


def _take(stack: ExitStack, out: Path, config: TrainConfig, order: Order, data: Path | str) -> None:
    stack.enter_context(locked(out))
    claim(out, config, order, data)


def _configured(config: TrainConfig | Path, steps: int | None, seed: int | None) -> TrainConfig:
    config = load_config(config, TrainConfig) if isinstance(config, Path) else config
    plain = config.model_dump()
    given = {key: value for key, value in (("steps", steps), ("seed", seed)) if value is not None}
    config = parse_config({**plain, "train": {**plain["train"], **given}}, TrainConfig, place="--steps, --seed")
    return sized_like(config)


def _order(config: TrainConfig, data: Path | str) -> Order:
    return Order(
        data,
        seed=config.train.seed,
        row_tokens=config.model.row_tokens,
        batch_rows=batch_rows(config),
        mixture=config.data.mixture,
        where=config.data.where,
        skip=config.data.skip,
        shuffle_window=config.data.shuffle_window,
        packing=config.data.packing,
        cache_dir=Path(config.data.cache_dir) if config.data.cache_dir else None,
        cache_bytes=config.data.cache_bytes,
        verify=config.data.verify,
    )


def _summary(config: TrainConfig, order: Order, out: Path, trained: int, notes: tuple[str, ...]) -> Summary:
    lines = read_metrics(out / "metrics.jsonl")
    with torch.device("meta"):
        parameters = count_parameters(Transformer(resolve_body(config.model, order.shards.tokenizer["vocab_size"])))
    return Summary(
        steps=len(lines),
        trained_steps=trained,
        finished=(out / "final" / "config.json").is_file(),
        tokens=lines[-1]["tokens"] if lines else 0,
        parameters=parameters,
        first_loss=lines[0]["loss"] if lines else None,
        last_loss=lines[-1]["loss"] if lines else None,
        evaluation=read_json(out / "eval.json") if (out / "eval.json").exists() else {},
        final=out / "final",
        notes=notes,
    )
