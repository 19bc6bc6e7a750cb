"""Schedules as tables, parameter groups complete, clipping as stated."""

import math

import pytest
import torch

from seimai.model.config import ModelConfig, resolve_body
from seimai.model.optimizer import build_optimizers, clip_gradients, lr_at, set_lr
from seimai.model.train_config import OptimizerConfig
from seimai.model.transformer import Transformer, build


def tiny(positions: str = "learned") -> Transformer:
    config = {"preset": "gpt2", "positions": positions, "depth": 2, "d_model": 32, "n_heads": 2, "row_tokens": 8}
    return build(resolve_body(ModelConfig.model_validate(config), 50), 0)


@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [
        ("cosine", 0, 0.1),
        ("cosine", 9, 1.0),
        ("cosine", 54, 0.55),
        ("cosine", 99, 0.1),
        ("wsd", 0, 0.1),
        ("wsd", 50, 1.0),
        ("wsd", 79, 1.0),
        ("wsd", 89, 0.55),
        ("wsd", 99, 0.1),
    ],
)
def test_schedule(schedule: str, step: int, expected: float) -> None:
    config = OptimizerConfig.model_validate({"schedule": schedule, "warmup_steps": 10})
    assert lr_at(step, peak=1.0, steps=100, config=config) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
@pytest.mark.parametrize("steps", [1, 2, 5, 300])
def test_schedule_stays_between_nothing_and_peak(schedule: str, steps: int) -> None:
    config = OptimizerConfig.model_validate({"schedule": schedule})
    rates = [lr_at(step, peak=1e-3, steps=steps, config=config) for step in range(steps)]
    assert all(0 < rate <= 1e-3 for rate in rates)
    assert rates[-1] == pytest.approx(1e-4)


@pytest.mark.parametrize("name", ["adamw", "muon"])
@pytest.mark.parametrize("positions", ["learned", "t5", "shaw"])
def test_every_parameter_stands_in_one_group(name: str, positions: str) -> None:
    model = tiny(positions)
    optimizers = build_optimizers(model, OptimizerConfig.model_validate({"name": name}), 1e-3)
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    held = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(held) == sorted(id(parameter) for parameter in model.parameters())
    still = {id(p) for group in groups if group["weight_decay"] == 0 for p in group["params"]}
    for key, parameter in model.named_parameters():
        assert (id(parameter) in still) == (parameter.ndim == 1 or key.startswith("positions.")), key


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_step_lowers_the_loss(name: str) -> None:
    model = tiny()
    optimizers = build_optimizers(model, OptimizerConfig.model_validate({"name": name}), 1e-3)
    set_lr(optimizers, 1e-2)
    tokens, losses = torch.arange(16).view(2, 8), []
    for _ in range(5):
        loss = torch.nn.functional.cross_entropy(model.logits(model(tokens)).flatten(0, 1), tokens.flatten() + 1)
        losses.append(loss.item())
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    assert losses[-1] < losses[0] - 0.1


def test_clipping() -> None:
    model = torch.nn.Linear(2, 1, bias=False)
    for limit, after in ((0.0, 5.0), (10.0, 5.0), (1.0, 1.0)):
        model.weight.grad = torch.tensor([[3.0, 4.0]])
        assert clip_gradients(model, limit) == pytest.approx(5.0)
        assert math.isclose(float(model.weight.grad.norm()), after, rel_tol=1e-5)
