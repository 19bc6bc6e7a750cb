"""The training loop, top to bottom: every quantity a function of the step, and all state in checkpoints."""

import math
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.optim import Optimizer

from seimai.errors import RunError
from seimai.files import canonical_json, fingerprint, read_json, write_atomic

from .async_checkpoint import CheckpointWriter
from .checkpoint import newest_sound, restore, save_model, take_snapshot
from .config import resolve_body
from .distributed import Ranks
from .evaluate import as_plain, bits_per_byte_by_language
from .folder import settings_fingerprint
from .init_from import load_initial
from .loader import Batch, batches
from .loss_groups import LossGroups
from .optimizer import build_optimizers, clip_gradients, lr_at, set_lr
from .order import Order
from .parallel import gradients_shared, parallel, unsharded
from .report import Clock, Report, speed_of
from .runtime import environment, step_seed
from .shards import TokenShards
from .spikes import SpikeGuard, write_skipped, write_spike
from .train_config import TrainConfig, learning_rate
from .transformer import Transformer, build

__all__ = ["Training", "run_loop"]

Stop = Callable[[int], bool]


@dataclass
class Training:
    """What the loop works on; `done`, `tokens`, `guard` and `groups` are its state besides weights and moments."""

    config: TrainConfig
    order: Order
    out: Path
    ranks: Ranks
    model: Transformer
    """The weights, plain or in shards."""
    module: nn.Module
    """The model with its loss, for all ranks."""
    optimizers: list[Optimizer]
    guard: SpikeGuard
    groups: LossGroups
    done: int = 0
    """Steps finished."""
    tokens: int = 0
    """Targets of all ranks so far."""


def run_loop(
    config: TrainConfig, order: Order, out: Path, ranks: Ranks, *, console: Console | None, stop: Stop
) -> tuple[int, tuple[str, ...]]:
    """Train until the last step or until `stop(steps finished)` on any rank; steps trained, and notes for the user."""
    loop, training = config.train, _begin(config, order, out, ranks)
    peak_lr = learning_rate(config.optimizer, training.model.body.d_model)
    notes = _resume(training)
    first, clock = training.done, Clock()
    with ExitStack() as stack:
        report, writer = _open(training, console, stack)
        if first == 0 and loop.evaluate:
            _evaluate(training, "before")
        training.model.train()
        clock.restart()
        coming = batches(order, first, loop.steps, rank=ranks.rank, ranks=ranks.count, device=ranks.device)
        for batch in clock.waits(coming):
            step, training.done = batch.step, batch.step + 1
            torch.manual_seed(step_seed(loop.seed, step, ranks.rank))
            counts = ranks.sums(batch.n_targets, (batch.rows.token_segment[:, :-1] < 0).sum())
            n_targets, padding = int(counts[0]), int(counts[1])
            nll = _backward(training, batch, n_targets)
            nats, leaving = ranks.sums(float(nll.sum(dtype=torch.float64)), float(stop(training.done)))
            loss = nats / max(1, n_targets)
            grad_norm = clip_gradients(training.model, config.optimizer.grad_clip)
            spike = training.guard.judge(loss, grad_norm)
            skipped = ranks.any(spike is not None) and _on_spike(training, step, spike, nll, loss, grad_norm)
            lr = lr_at(step, peak=peak_lr, steps=loop.steps, config=config.optimizer)
            set_lr(training.optimizers, lr)
            for optimizer in training.optimizers:
                if not skipped:
                    optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            training.tokens += 0 if skipped else n_targets
            if math.isfinite(loss):
                training.groups.add(batch.rows, nll.cpu().numpy())
            line: dict[str, Any] = {"step": step, "loss": loss, "tokens": training.tokens, "lr": lr}
            line |= {"grad_norm": grad_norm} | ({"skipped": True} if skipped else {})
            if training.done % loop.loss_by_every == 0:
                _bring_together(training)
                line["by"] = training.groups.line()
            if report is not None:
                positions = order.batch_rows * order.row_tokens
                report.step(line, positions=positions, padding=padding, targets=n_targets, clock=clock)
            if loop.evaluate_every and training.done % loop.evaluate_every == 0:
                _evaluate(training, f"step-{training.done:08d}")
            if leaving or training.done % loop.checkpoint_every == 0 or training.done == loop.steps:
                _save(training, report, writer)
                clock.restart()
            if leaving:
                break
    if training.done == loop.steps:
        _finish(training)
    return training.done - first, notes


def _begin(config: TrainConfig, order: Order, out: Path, ranks: Ranks) -> Training:
    """Fresh weights and moments, the same on every rank."""
    loop = config.train
    body = resolve_body(config.model, order.shards.tokenizer["vocab_size"])
    model = build(body, loop.seed)
    if loop.init_from is not None:
        load_initial(model, config, order.shards)
    model = model.to(ranks.device)
    module = parallel(model, ranks, loop.parallel, z_loss=config.optimizer.z_loss, compiled=loop.compile)
    optimizers = build_optimizers(model, config.optimizer, learning_rate(config.optimizer, body.d_model))
    guard = SpikeGuard(loop.spike_window, loop.spike_sigmas)
    groups = LossGroups(_reopened(order.shards), loop.loss_by, config.model.row_tokens)
    return Training(config, order, out, ranks, model, module, optimizers, guard, groups)


def _open(
    training: Training, console: Console | None, stack: ExitStack
) -> tuple[Report | None, CheckpointWriter | None]:
    """The logs and the writer of checkpoints, on rank 0; all fail where they cannot be opened."""
    config, ranks, out = training.config, training.ranks, training.out
    speed = speed_of(training.model, training.model.body, ranks.device, ranks.count, half=_half(training))
    report: list[Report] = []
    ranks.first(lambda: report.append(stack.enter_context(Report(config, out, training.done, speed, console))))
    if not report:
        return None, None
    tokenizer = training.order.shards.file("tokenizer.json")
    writer = CheckpointWriter(out / "checkpoints", keep_last=config.train.keep_last, tokenizer=tokenizer)
    return report[0], stack.enter_context(writer)


def _backward(training: Training, batch: Batch, n_targets: int) -> Tensor:
    """Gradients of the mean loss over the targets of all ranks, in however many micro-batches; the loss of each.

    Both ways of sharing average over ranks, hence the factor; all micro-batches but the last keep their gradients.
    """
    device, rows = training.ranks.device, training.config.train.micro_batch_rows or len(batch.inputs)
    share = training.ranks.count / max(1, n_targets)
    columns = (batch.inputs, batch.targets, batch.position, batch.segment)
    found = []
    for first in range(0, len(batch.inputs), rows):
        last = first + rows
        blocks = None if batch.blocks is None else batch.blocks.rows(first, last)
        with gradients_shared(training.module, last >= len(batch.inputs)):
            with torch.autocast(device.type, torch.bfloat16) if _half(training) else nullcontext():
                nll, minimised = training.module(*(column[first:last] for column in columns), blocks)
            (minimised.sum() * share).backward()
        found.append(nll.detach())
    return torch.cat(found)


def _on_spike(training: Training, step: int, spike: str | None, nll: Tensor, loss: float, grad_norm: float) -> bool:
    """Write the trace of the batch; whether its rows are skipped. RunError where nothing can be trained on."""
    skipped, ranks = training.config.train.on_spike == "skip", training.ranks
    whole_nll = ranks.joined(nll).numpy()
    reason = spike or "on another rank"
    ranks.first(lambda: write_spike(training.out, step, reason, whole_nll, skipped=skipped))
    if skipped:
        training.guard.skip(step)
        ranks.first(lambda: write_skipped(training.out, training.guard.skipped))
    elif not (math.isfinite(loss) and math.isfinite(grad_norm)):
        raise RunError(
            f"step {step}: loss {loss}, gradient norm {grad_norm}; lower optimizer.learning_rate and give another "
            f"--out ({training.out}/spikes/step-{step:08d}.json names the documents of the batch)"
        )
    return skipped


def _bring_together(training: Training) -> None:
    """The sums of all ranks in those of rank 0."""
    sums = training.ranks.sums(*training.groups.state())
    training.groups.load(sums if training.ranks.rank == 0 else [0.0] * len(sums))


def _save(training: Training, report: Report | None, writer: CheckpointWriter | None) -> None:
    """Copy the state, then write it while the training goes on; all ranks take part."""
    config, ranks = training.config, training.ranks
    _bring_together(training)
    state = {
        "environment": environment(ranks.device, ranks.count, config.train.parallel),
        "made_by": settings_fingerprint(config, training.order),
        "tokens": training.tokens,
        "guard": training.guard.state(),
        "loss_by": training.groups.state(),
    }
    snapshot = take_snapshot(
        training.done,
        training.model,
        training.optimizers,
        state,
        described=_described(training),
        score=_score(training),
        kept=writer is not None,
    )
    if report is not None and writer is not None:
        # A checkpoint counts on the lines before it.
        report.sync()
        writer.save(snapshot)


def _resume(training: Training) -> tuple[str, ...]:
    """Go on from the newest sound checkpoint, if there is one; what to tell the user."""
    folder, ranks = training.out / "checkpoints", training.ranks
    found: list[tuple[Path | None, list[str]]] = []
    ranks.first(lambda: found.append(newest_sound(folder)))
    path, notes = found[0] if found else (None, [])
    step = int(ranks.sums(float(path.name.removeprefix("step-")) if path is not None else 0.0)[0])
    if step == 0:
        return tuple(notes)
    path = folder / f"step-{step:08d}"
    described = read_json(path / "checkpoint.json")
    state = described["state"]
    if state["made_by"] != settings_fingerprint(training.config, training.order):
        raise RunError(f"{path}: belongs to another config, data or seed; give another --out or remove {folder}")
    restore(path, training.model, training.optimizers)
    training.done, training.tokens = step, int(state["tokens"])
    training.guard.load(state["guard"])
    training.groups.load(state["loss_by"] if ranks.rank == 0 else [0.0] * len(state["loss_by"]))
    if training.guard.skipped:
        ranks.first(lambda: write_skipped(training.out, training.guard.skipped))
    here, there = environment(ranks.device, ranks.count, training.config.train.parallel), state["environment"]
    notes.append(f"went on from step {step}")
    if changed := [f"{key} {there[key]} -> {here[key]}" for key in here if there[key] != here[key]]:
        notes.append(f"the machine changed ({', '.join(changed)}): from here on losses agree to rounding only")
    return tuple(notes)


def _finish(training: Training) -> None:
    if training.config.train.evaluate:
        _evaluate(training, "after")
    model = unsharded(training.model, training.ranks.device)
    tokenizer = training.order.shards.file("tokenizer.json")
    training.ranks.first(lambda: save_model(training.out / "final", model, _described(training), tokenizer))


def _evaluate(training: Training, when: str) -> None:
    """Add bits per byte on held-out documents to eval.json, unless they stand there; rank 0 computes."""
    model = unsharded(training.model, training.ranks.device)
    path = training.out / "eval.json"

    def work() -> None:
        known = read_json(path) if path.exists() else {}
        if when not in known:
            shards = _reopened(training.order.shards)
            most = training.config.train.evaluate_max_documents
            scores = bits_per_byte_by_language(model, shards, max_documents=most)
            write_atomic(path, canonical_json({**known, when: as_plain(scores)}) + "\n")

    training.ranks.first(work)


def _score(training: Training) -> float | None:
    """What tells the best checkpoint: held-out bits per byte where they are measured, else the mean training loss."""
    every, path = training.config.train.evaluate_every, training.out / "eval.json"
    if every is None:
        return training.guard.mean_loss()
    if training.done % every or not path.exists():
        return None
    scores = read_json(path).get(f"step-{training.done:08d}", {})
    return float(scores["all"]["bits_per_byte"]) if "all" in scores else None


def _described(training: Training) -> dict[str, Any]:
    """What the model came from, for its config.json."""
    return {
        "step": training.done,
        "data": training.order.shards.root,
        "tokenizer": training.order.shards.tokenizer,
        "config": fingerprint(training.config.model_dump(mode="json")),
    }


def _half(training: Training) -> bool:
    precision = training.config.train.precision
    return precision == "bf16" or (precision == "auto" and training.ranks.device.type == "cuda")


def _reopened(shards: TokenShards) -> TokenShards:
    """The same data with files of its own: the loader's thread has the others."""
    return TokenShards(shards.store, shards.manifest, shards.n_tokens, shards.held_out, shards.source, shards.lang)
