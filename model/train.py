"""Train a decoder on token shards: one loop, every quantity a function of the step, resumable at any moment."""

import math
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch.optim import Optimizer

from seimai.config import load_config, parse_config
from seimai.errors import RunError
from seimai.files import canonical_json, fingerprint, read_json, write_atomic

from .checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint, save_model
from .config import resolve_body
from .evaluate import as_plain, bits_per_byte_by_language
from .folder import claim, locked, settings_fingerprint
from .loader import Batch, batches
from .loss import token_nll
from .metrics import MetricsFile, read_metrics
from .optimizer import build_optimizers, clip_gradients, lr_at, set_lr
from .order import Order
from .runtime import device_for, environment, leave_on_signal, reproducible, show_progress, step_seed
from .train_config import LoopConfig, TrainConfig, batch_rows, learning_rate
from .transformer import Transformer, build, count_parameters

__all__ = ["Summary", "train"]

Stop = Callable[[int], bool]


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
        stack.enter_context(locked(out))
        claim(out, config, order, data)
        if (out / "final" / "config.json").is_file():
            return _summary(config, order, out, 0, ("already finished; nothing was computed again",))
        stack.enter_context(reproducible(config.train))
        asked = stack.enter_context(leave_on_signal())
        trained, notes = _run(
            config, order, out, console, lambda done: asked.is_set() or (stop is not None and stop(done))
        )
    return _summary(config, order, out, trained, notes)


def _run(
    config: TrainConfig, order: Order, out: Path, console: Console | None, stop: Stop
) -> tuple[int, tuple[str, ...]]:
    """The loop, top to bottom; steps trained and notes for the user."""
    loop, device = config.train, device_for(config.train)
    body = resolve_body(config.model, order.shards.tokenizer["vocab_size"])
    model = build(body, loop.seed).to(device)
    peak = learning_rate(config.optimizer, body.d_model)
    optimizers = build_optimizers(model, config.optimizer, peak)
    made_by = settings_fingerprint(config, order)
    first, tokens, notes = _resume(out, model, optimizers, device, made_by)
    if first == 0:
        _evaluate(out, "before", config, model, order)
    forward: Callable[..., torch.Tensor] = torch.compile(model) if loop.compile else model
    done = first
    with MetricsFile(out / "metrics.jsonl", first) as metrics, show_progress(console, first, loop.steps) as show:
        model.train()
        began = time.perf_counter()
        for batch in batches(order, first, loop.steps, device=device):
            torch.manual_seed(step_seed(loop.seed, batch.step))
            loss = _backward(forward, model, batch, loop, device)
            grad_norm = clip_gradients(model, config.optimizer.grad_clip)
            if not (math.isfinite(loss) and math.isfinite(grad_norm)):
                found = f"step {batch.step}: loss {loss}, gradient norm {grad_norm}"
                raise RunError(f"{found}; lower optimizer.learning_rate and give another --out")
            lr = lr_at(batch.step, peak=peak, steps=loop.steps, config=config.optimizer)
            set_lr(optimizers, lr)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            done, tokens = batch.step + 1, tokens + batch.n_targets
            now = time.perf_counter()
            speed, began = batch.n_targets / (now - began), now
            line = {"step": batch.step, "loss": loss, "tokens": tokens, "tokens_per_s": round(speed, 1)}
            metrics.append({**line, "lr": lr, "grad_norm": grad_norm})
            show(done, loss, speed)
            leaving = stop(done)
            if leaving or done % loop.checkpoint_every == 0 or done == loop.steps:
                metrics.sync()
                state = {"environment": environment(device), "tokens": tokens, "made_by": made_by}
                save_checkpoint(out / "checkpoints", done, model, optimizers, state, keep_last=loop.keep_last)
                began = time.perf_counter()
            if leaving:
                break
    if done == loop.steps:
        _finish(config, order, out, model)
    return done - first, notes


def _backward(
    forward: Callable[..., torch.Tensor], model: Transformer, batch: Batch, loop: LoopConfig, device: torch.device
) -> float:
    """Gradients of the mean loss over all targets of the batch, however many micro-batches it is made in."""
    bf16 = loop.precision == "bf16" or (loop.precision == "auto" and device.type == "cuda")
    rows = loop.micro_batch_rows or len(batch.inputs)
    total = torch.zeros((), device=device)
    columns = (batch.inputs, batch.targets, batch.position, batch.segment)
    for inputs, targets, position, segment in zip(*(torch.split(column, rows) for column in columns), strict=True):
        with torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext():
            hidden = forward(inputs, position, segment)
            nll = token_nll(hidden.flatten(0, 1), model.head_weight(), targets.flatten())
        loss = nll.sum() / max(1, batch.n_targets)
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
    return float(total)


def _configured(config: TrainConfig | Path, steps: int | None, seed: int | None) -> TrainConfig:
    config = load_config(config, TrainConfig) if isinstance(config, Path) else config
    plain = config.model_dump()
    given = {key: value for key, value in (("steps", steps), ("seed", seed)) if value is not None}
    return parse_config({**plain, "train": {**plain["train"], **given}}, TrainConfig, place="--steps, --seed")


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


def _resume(
    out: Path, model: Transformer, optimizers: list[Optimizer], device: torch.device, made_by: str
) -> tuple[int, int, tuple[str, ...]]:
    """Steps finished, tokens seen, and what to tell the user."""
    path = latest_checkpoint(out / "checkpoints")
    if path is None:
        return 0, 0, ()
    step, state = load_checkpoint(path, model, optimizers)
    if state["made_by"] != made_by:
        raise RunError(f"{path}: belongs to another config, data or seed; give another --out or remove {path.parent}")
    here, there = environment(device), state["environment"]
    notes = [f"went on from step {step}"]
    if changed := [f"{key} {there[key]} -> {here[key]}" for key in here if there[key] != here[key]]:
        notes.append(f"the machine changed ({', '.join(changed)}): from here on losses agree to rounding only")
    return step, int(state["tokens"]), tuple(notes)


def _finish(config: TrainConfig, order: Order, out: Path, model: Transformer) -> None:
    _evaluate(out, "after", config, model, order)
    described = {
        "step": config.train.steps,
        "data": order.shards.root,
        "tokenizer": order.shards.tokenizer,
        "config": fingerprint(config.model_dump(mode="json")),
    }
    save_model(out / "final", model, described, order.shards.file("tokenizer.json"))


def _evaluate(out: Path, when: str, config: TrainConfig, model: Transformer, order: Order) -> None:
    path = out / "eval.json"
    known = read_json(path) if path.exists() else {}
    if not config.train.evaluate or when in known:
        return
    scores = bits_per_byte_by_language(model, order.shards, max_documents=config.train.evaluate_max_documents)
    write_atomic(path, canonical_json({**known, when: as_plain(scores)}) + "\n")


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
