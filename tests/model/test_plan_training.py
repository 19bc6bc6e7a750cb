"""Plans against the formulas written out and published sizes; budgets that are none are refused."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from seimai.config import parse_config
from seimai.errors import ConfigError, InputError
from seimai.model.config import resolve_body
from seimai.model.plan_training import Speed, TrainingPlan, plan_training, speed_of, speed_of_training
from seimai.model.train import train
from seimai.model.train_config import TrainConfig
from seimai.model.transformer import build

SPEED = Speed(4e14, "400 TFLOP/s")
VOCAB = 50_304


def gpt2(**changes: Any) -> TrainConfig:
    model = {"preset": "gpt2", "positions": "learned", "depth": 12, "row_tokens": 1024, **changes}
    return parse_config({"model": model}, TrainConfig, "test")


@pytest.mark.parametrize(
    ("depth", "n_layers", "d_model", "millions"), [(12, 12, 768, 124), (24, 24, 1024, 354), (24, 24, 2048, 1314)]
)
def test_published_sizes(depth: int, n_layers: int, d_model: int, millions: int) -> None:
    config = gpt2(depth=depth, n_layers=n_layers, d_model=d_model)
    best = plan_training(config, SPEED, vocab_size=VOCAB).best
    assert round(best.parameters / 1e6) == pytest.approx(millions, abs=1)


def test_the_formulas_written_out() -> None:
    best = plan_training(gpt2(), SPEED, vocab_size=VOCAB).best
    matrices = 12 * 12 * 768**2 + VOCAB * 768
    assert best.matrices == matrices
    assert best.tokens == 20 * matrices
    assert best.flops == 6 * matrices * best.tokens
    assert best.flops_attention == (6 * matrices + 12 * 12 * 768 * 1024) * best.tokens
    assert best.hours == best.flops_attention / 4e14 / 3600
    assert best.steps == -(-best.tokens // (512 * 1024))
    assert best.parameters == sum(p.numel() for p in build(resolve_body(gpt2().model, VOCAB), 0).parameters())


def test_a_124m_model_takes_the_hours_of_the_research_note() -> None:
    """500,000 tokens/s of 124M on an H200 (43 % MFU): 2.5 billion tokens in 1.4 hours."""
    best = plan_training(gpt2(), speed_of("H200", mfu=0.43), vocab_size=VOCAB, tokens=2.5e9).best
    assert best.hours == pytest.approx(1.4, abs=0.05)


@pytest.mark.parametrize(
    "budget", [{"flops": 1e15}, {"flops": 3e19}, {"hours": 0.2}, {"hours": 24.0}, {"tokens": 2.5e9}]
)
def test_a_budget_finds_the_depth_nearest_to_chinchilla(budget: dict[str, Any]) -> None:
    planned = plan_training(None, SPEED, vocab_size=VOCAB, **budget)
    name, value = next(iter(budget.items()))
    for plan in (planned.best, *planned.around):
        assert getattr(plan, name) == pytest.approx(value)

    def off(plan: TrainingPlan) -> float:
        return abs(math.log(plan.tokens_per_parameter / 20))

    assert all(off(planned.best) <= off(other) + 0.01 for other in planned.around)
    assert off(planned.best) < 0.6


def test_there_and_back() -> None:
    """The tokens that hours allow need these hours, and the operations that tokens need allow these tokens."""
    by_hours = plan_training(gpt2(), SPEED, vocab_size=VOCAB, hours=3).best
    by_tokens = plan_training(gpt2(), SPEED, vocab_size=VOCAB, tokens=by_hours.tokens).best
    by_flops = plan_training(gpt2(), SPEED, vocab_size=VOCAB, flops=by_tokens.flops).best
    assert by_tokens.hours == pytest.approx(3)
    assert by_flops.tokens == pytest.approx(by_hours.tokens)


def test_too_little_text_is_said() -> None:
    enough = plan_training(gpt2(), SPEED, vocab_size=VOCAB, tokens=4e9, available_tokens=10**9)
    assert (enough.best.epochs, enough.warnings) == (4, ())
    short = plan_training(gpt2(), SPEED, vocab_size=VOCAB, tokens=4.1e9, available_tokens=10**9)
    assert "1,000,000,000 tokens, so they are read 4.1 times" in short.warnings[0]


def test_assumptions_are_named() -> None:
    lines = "\n".join(plan_training(gpt2(), speed_of("A100", mfu=0.4, devices=8), vocab_size=VOCAB).assumptions)
    for part in ("8 × A100", "312 TFLOP/s", "MFU 40%", "6 · N · D", "20 tokens a parameter", "vocabulary of 50,304"):
        assert part in lines


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"flops": 1e18, "hours": 1.0}, "--flops and --hours are two budgets"),
        ({"hours": 0.0}, "give more than 0"),
        ({"tokens": float("nan")}, "give more than 0"),
        ({}, "nothing to plan with"),
        ({"flops": 1e9}, "is too little"),
    ],
)
def test_budgets_that_are_none(budget: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_training(None, SPEED, vocab_size=VOCAB, **budget)


@pytest.mark.parametrize("options", [{"mfu": 0.0}, {"mfu": 1.5}, {"mfu": 0.4, "devices": 0}])
def test_speeds_that_are_none(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="share above 0"):
        speed_of("H200", **options)


def test_a_device_without_a_listed_peak() -> None:
    with pytest.raises(ConfigError, match="--device TPU: its peak is not listed; use here, or one of B200"):
        speed_of("TPU", mfu=0.4)
    assert speed_of("here", mfu=1.0).flops_per_s > 1e8


def test_the_speed_of_a_training(small_tokens: Path, tiny_config: TrainConfig, tmp_path: Path) -> None:
    train(tiny_config, small_tokens, tmp_path / "model")
    found = speed_of_training(tmp_path / "model")
    speeds = [
        json.loads(line)["tokens_per_s"] for line in (tmp_path / "model" / "metrics.jsonl").read_text().splitlines()
    ]
    body = resolve_body(tiny_config.model, 264)
    per_token = 6 * (2 * (4 * 32 * 32 + 3 * 32 * body.d_ff) + 264 * 32) + 12 * 2 * 32 * 32
    assert found.flops_per_s == pytest.approx(sorted(speeds)[len(speeds) // 2] * per_token, rel=0.5)
    with pytest.raises(InputError, match="no finished training"):
        speed_of_training(tmp_path)
