"""A budget of operations, hours or tokens in; the size of a model, its tokens, operations and hours out.

N is the number of parameters in matrices that multiply (head included, input embedding not), D the tokens trained, C
the operations: C = 6 · N · D (Kaplan et al. 2020, arXiv:2001.08361), and D = 20 · N where nothing else is asked, which
is the best use of C by Chinchilla (Hoffmann et al. 2022, arXiv:2203.15556). Hours count the products of attention too.
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

import torch

from seimai.config import parse_config
from seimai.errors import ConfigError, InputError
from seimai.files import read_json

from .config import Body, ModelConfig, resolve_body
from .metrics import read_metrics
from .mfu import LISTED_FLOPS, flops_per_token, matrix_parameters, peak_flops
from .train_config import TrainConfig, batch_rows
from .transformer import Transformer, count_parameters

__all__ = [
    "DEVICES",
    "Planned",
    "Speed",
    "TrainingPlan",
    "body_sizes",
    "plan_training",
    "speed_of",
    "speed_of_training",
]

DEVICES = tuple(LISTED_FLOPS)
"""Devices whose peak is listed; `here` measures this machine's."""
DEPTHS = (*range(1, 16), *range(16, 257, 2))
"""Depths to choose from: from width 1,024 on heads are 128 wide, which only even depths are a multiple of."""
MOST_EPOCHS = 4.0


@dataclass(frozen=True)
class Speed:
    """Operations a second that a training really does."""

    flops_per_s: float
    """All devices together, attention counted."""
    assumption: str
    """How it was come by, for the reader."""


@dataclass(frozen=True)
class TrainingPlan:
    """One model and one training of it."""

    depth: int
    """The dial of the config."""
    d_model: int
    """Width."""
    row_tokens: int
    """Length of a row."""
    parameters: int
    """All trained numbers."""
    matrices: int
    """N."""
    tokens: float
    """D, targets to train on."""
    tokens_per_parameter: float
    """D / N."""
    flops: float
    """6 · N · D."""
    flops_attention: float
    """The same with attention, by which the hours go."""
    hours: float
    """At the speed assumed."""
    steps: int
    """Optimizer steps of the batch that follows from the depth or the config."""
    epochs: float | None
    """Passes over the data set; None where none was given."""


@dataclass(frozen=True)
class Planned:
    """The plan, its neighbours, and everything it rests on."""

    best: TrainingPlan
    """The model asked for, or the depth that uses the budget best."""
    around: tuple[TrainingPlan, ...]
    """One depth less and one more with the same budget, where the depth was free."""
    assumptions: tuple[str, ...]
    """One line each."""
    warnings: tuple[str, ...]
    """One line each."""


def plan_training(
    config: TrainConfig | None,
    speed: Speed,
    *,
    vocab_size: int,
    flops: float | None = None,
    hours: float | None = None,
    tokens: float | None = None,
    tokens_per_parameter: float = 20.0,
    available_tokens: int | None = None,
) -> Planned:
    """Plan a training from at most one of `flops` (6 · N · D), `hours` and `tokens`.

    Without a `config` the depth is found whose `tokens_per_parameter` · N tokens come closest to the budget; the tokens
    then use all of it. With one the model stands, and the budget gives its tokens (or `tokens` its operations and
    hours; without a budget it gets `tokens_per_parameter` · N). `available_tokens` are those of the data set.
    Raises ConfigError for budgets that are none, more than one, or too small for the smallest model.
    """
    given = {
        name: value for name, value in (("flops", flops), ("hours", hours), ("tokens", tokens)) if value is not None
    }
    if len(given) > 1:
        raise ConfigError(f"--{' and --'.join(given)} are two budgets; give one")
    if any(not (math.isfinite(value) and value > 0) for value in (*given.values(), tokens_per_parameter)):
        raise ConfigError(
            f"a budget of {given} with {tokens_per_parameter} tokens a parameter is none; give more than 0"
        )
    if config is None and not given:
        raise ConfigError("nothing to plan with; give --hours, --flops or --tokens, or a config")

    def planned(depth: int | None, enough: bool = False) -> TrainingPlan:
        return _plan(config, depth, vocab_size, speed, {} if enough else given, tokens_per_parameter, available_tokens)

    around: tuple[TrainingPlan, ...] = ()
    if config is not None:
        best = planned(None)
    else:
        place = _best_depth(planned, given)
        best = planned(DEPTHS[place])
        around = tuple(planned(DEPTHS[other]) for other in (place - 1, place + 1) if 0 <= other < len(DEPTHS))
    assumptions = (
        f"N = {best.matrices:,} parameters in matrices: the head counts, the input embedding does not",
        f"vocabulary of {vocab_size:,}; rows of {best.row_tokens:,} tokens",
        "C = 6 · N · D; hours with attention over whole rows, 12 · layers · width · row_tokens a token more",
        f"{tokens_per_parameter:g} tokens a parameter are the best use of operations (Chinchilla: 20)",
        speed.assumption,
    )
    return Planned(best, around, assumptions, _warnings(best, available_tokens, tokens_per_parameter))


def speed_of(device: str, *, mfu: float, devices: int = 1) -> Speed:
    """So many devices with a listed peak, or this machine's with `here`, at the share `mfu` of it.

    >>> round(speed_of("H200", mfu=0.5).flops_per_s / 1e12, 1)
    494.5
    """
    if not 0 < mfu <= 1 or devices < 1:
        raise ConfigError(f"--mfu {mfu} on --devices {devices}: give a share above 0, at most 1, and 1 device or more")
    if device == "here":
        cuda = torch.cuda.is_available()
        peak, how = (
            peak_flops(torch.device("cuda" if cuda else "cpu"), half=cuda),
            "measured or listed for this machine",
        )
    elif device in LISTED_FLOPS:
        peak, how = LISTED_FLOPS[device], "by its data sheet, dense bf16"
    else:
        raise ConfigError(f"--device {device}: its peak is not listed; use here, or one of {', '.join(DEVICES)}")
    line = f"{devices} × {device}: peak {peak / 1e12:,.4g} TFLOP/s {how}; MFU {mfu:.0%}, attention counted"
    return Speed(peak * mfu * devices, line)


def speed_of_training(folder: Path) -> Speed:
    """What a finished training reached: the median of its tokens a second times its operations a token."""
    found = [line["tokens_per_s"] for line in read_metrics(folder / "metrics.jsonl") if line.get("tokens_per_s")]
    described = folder / "final" / "config.json"
    if len(found) < 3 or not described.is_file():
        raise InputError(f"{folder}: no finished training of 3 steps or more; give the folder of `seimai train`")
    body = parse_config(read_json(described)["body"], Body, place=str(described))
    reached = median(found) * flops_per_token(body_sizes(body)[0], body)["attention"]
    line = f"{reached / 1e12:,.4g} TFLOP/s, attention counted: the median of {len(found)} steps of {folder}"
    return Speed(reached, line)


def _plan(
    config: TrainConfig | None,
    depth: int | None,
    vocab_size: int,
    speed: Speed,
    given: dict[str, float],
    per_parameter: float,
    available: int | None,
) -> TrainingPlan:
    settings = config or TrainConfig(model=ModelConfig(depth=depth or 1, row_tokens=2048))
    body = resolve_body(settings.model, vocab_size)
    matrices, parameters = body_sizes(body)
    each = flops_per_token(matrices, body)
    tokens = given.get("tokens", per_parameter * matrices)
    if "flops" in given:
        tokens = given["flops"] / each["6n"]
    if "hours" in given:
        tokens = given["hours"] * 3600 * speed.flops_per_s / each["attention"]
    return TrainingPlan(
        depth=settings.model.depth,
        d_model=body.d_model,
        row_tokens=body.row_tokens,
        parameters=parameters,
        matrices=matrices,
        tokens=tokens,
        tokens_per_parameter=tokens / matrices,
        flops=tokens * each["6n"],
        flops_attention=tokens * each["attention"],
        hours=tokens * each["attention"] / speed.flops_per_s / 3600,
        steps=math.ceil(tokens / (batch_rows(settings) * body.row_tokens)),
        epochs=None if available is None else tokens / available,
    )


def _best_depth(planned: Callable[..., TrainingPlan], given: dict[str, float]) -> int:
    """The place in DEPTHS whose compute-optimal training is nearest to the budget, by ratio."""
    name, budget = next(iter(given.items()))

    def cost(place: int) -> float:
        return float(getattr(planned(DEPTHS[place], True), name))

    if cost(0) > 4 * budget:
        raise ConfigError(f"--{name} {budget:g} is too little: the smallest model wants {cost(0):.2g}")
    above = min(bisect_left(range(len(DEPTHS)), budget, key=cost), len(DEPTHS) - 1)
    return min((max(above - 1, 0), above), key=lambda place: abs(math.log(cost(place) / budget)))


@cache
def body_sizes(body: Body) -> tuple[int, int]:
    """N and all trained numbers, without allocating them."""
    with torch.device("meta"):
        model = Transformer(body)
    return matrix_parameters(model), count_parameters(model)


def _warnings(plan: TrainingPlan, available: int | None, asked: float) -> tuple[str, ...]:
    found = []
    if plan.epochs is not None and plan.epochs > MOST_EPOCHS:
        found.append(
            f"the data set has {available:,} tokens, so they are read {plan.epochs:.1f} times; beyond 4 epochs text "
            "counts less and less (Muennighoff et al. 2023, arXiv:2305.16264): more text, or a smaller model"
        )
    if not asked / 4 <= plan.tokens_per_parameter <= asked * 4:
        found.append(f"{plan.tokens_per_parameter:.2g} tokens a parameter are far from the {asked:g} asked")
    return tuple(found)
