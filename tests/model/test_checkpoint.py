"""Checkpoints are whole, checked and few; models load from their directory alone."""

import json
from pathlib import Path

import pytest
import torch
from torch.optim import Optimizer

from seimai.errors import RunError, VerifyError
from seimai.files import fingerprint
from seimai.model.checkpoint import (
    latest_checkpoint,
    load_checkpoint,
    load_model,
    model_directory,
    newest_sound,
    save_checkpoint,
    save_model,
)
from seimai.model.config import ModelConfig, resolve_body
from seimai.model.optimizer import build_optimizers
from seimai.model.train_config import OptimizerConfig
from seimai.model.transformer import Transformer, build


def trained(name: str = "adamw", seed: int = 0) -> tuple[Transformer, list[Optimizer]]:
    model = build(resolve_body(ModelConfig(depth=1, d_model=16, n_heads=2, row_tokens=8), 20), seed)
    optimizers = build_optimizers(model, OptimizerConfig.model_validate({"name": name}), 1e-2)
    advance(model, optimizers)
    return model, optimizers


def advance(model: Transformer, optimizers: list[Optimizer]) -> None:
    tokens = torch.arange(8)[None]
    model.logits(model(tokens)).square().mean().backward()  # type: ignore[no-untyped-call]
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_going_on_from_a_checkpoint_is_exact(tmp_path: Path, name: str) -> None:
    model, optimizers = trained(name)
    path = save_checkpoint(tmp_path, 1, model, optimizers, {"tokens": 7}, keep_last=2)
    other, others = trained(name, seed=1)
    fresh = build(other.body, 2)
    fresh_optimizers = build_optimizers(fresh, OptimizerConfig.model_validate({"name": name}), 1e-2)
    for receiver, receivers in ((other, others), (fresh, fresh_optimizers)):
        assert load_checkpoint(path, receiver, receivers) == (1, {"tokens": 7})
        # The one that has already stepped must forget its moments too.
        reference, references = trained(name)
        for _ in range(3):
            advance(reference, references)
            advance(receiver, receivers)
        assert all(torch.equal(a, b) for a, b in zip(reference.parameters(), receiver.parameters(), strict=True))


def test_only_the_last_are_kept_and_leftovers_go(tmp_path: Path) -> None:
    model, optimizers = trained()
    for step in (1, 2, 11):
        save_checkpoint(tmp_path, step, model, optimizers, {}, keep_last=2)
    (tmp_path / "step-00000012.tmp").mkdir()
    assert latest_checkpoint(tmp_path) == tmp_path / "step-00000011"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000011"]
    assert latest_checkpoint(tmp_path / "none") is None


def test_the_best_is_kept_beside_the_last(tmp_path: Path) -> None:
    model, optimizers = trained()
    for step, score in ((1, 3.0), (2, 2.0), (3, 2.0), (4, None), (5, 2.5)):
        save_checkpoint(tmp_path, step, model, optimizers, {}, keep_last=1, score=score)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000005"]
    save_checkpoint(tmp_path, 6, model, optimizers, {}, keep_last=1, score=1.0)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000006"]


def test_going_back_behind_damaged_checkpoints(tmp_path: Path) -> None:
    model, optimizers = trained()
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, step, model, optimizers, {}, keep_last=3)
    flip(tmp_path / "step-00000003" / "model.safetensors")
    (tmp_path / "step-00000002" / "checkpoint.json").write_text("{")
    path, said = newest_sound(tmp_path)
    assert path == tmp_path / "step-00000001"
    assert [line.rpartition("; ")[2][:32] for line in said] == [
        "put aside as step-00000003.damag",
        "put aside as step-00000002.damag",
    ]
    flip(path / "optimizer.safetensors")
    with pytest.raises(VerifyError, match="there is no checkpoint before it: to begin anew remove"):
        newest_sound(tmp_path)
    assert newest_sound(tmp_path / "none") == (None, [])


def test_another_format_is_not_damage(tmp_path: Path) -> None:
    model, optimizers = trained()
    path = save_checkpoint(tmp_path, 1, model, optimizers, {}, keep_last=1) / "checkpoint.json"
    described = json.loads(path.read_text()) | {"format": "seimai-checkpoint/1"}
    del described["fingerprint"]
    path.write_text(json.dumps({**described, "fingerprint": fingerprint(described)}))
    with pytest.raises(RunError, match="format 'seimai-checkpoint/1', not 'seimai-checkpoint/2'"):
        newest_sound(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "checkpoint.json"])
@pytest.mark.parametrize("gone", [False, True])
def test_damage_is_found(tmp_path: Path, name: str, gone: bool) -> None:
    model, optimizers = trained()
    path = save_checkpoint(tmp_path, 1, model, optimizers, {}, keep_last=2)
    if gone:
        (path / name).unlink()
    else:
        flip(path / name)
    with pytest.raises(VerifyError) as caught:
        load_checkpoint(path, model, optimizers)
    assert name in str(caught.value)
    assert "remove" in str(caught.value)


def test_no_pickle_is_written(tmp_path: Path) -> None:
    model, optimizers = trained()
    path = save_checkpoint(tmp_path, 1, model, optimizers, {}, keep_last=2)
    assert {file.suffix for file in path.iterdir()} == {".safetensors", ".json"}


def test_model_directory_stands_alone(tmp_path: Path) -> None:
    model, _ = trained()
    (tmp_path / "tokenizer.json").write_text("{}")
    save_model(tmp_path / "out" / "final", model, {"step": 3}, tmp_path / "tokenizer.json")
    loaded, config = load_model(tmp_path / "out")
    assert config["step"] == 3
    assert not loaded.training
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), loaded.parameters(), strict=True))
    assert model_directory(tmp_path / "out") == tmp_path / "out" / "final"
    flip(tmp_path / "out" / "final" / "model.safetensors")
    with pytest.raises(VerifyError, match=r"model.safetensors: changed"):
        load_model(tmp_path / "out")


def test_no_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no trained model"):
        load_model(tmp_path)


def test_edited_config_is_found(tmp_path: Path) -> None:
    model, _ = trained()
    save_model(tmp_path / "final", model, {}, tmp_path / "none.json")
    path = tmp_path / "final" / "config.json"
    config = json.loads(path.read_text())
    config["body"]["n_heads"] = 4
    path.write_text(json.dumps(config))
    with pytest.raises(VerifyError, match=r"config.json: changed"):
        load_model(tmp_path)
