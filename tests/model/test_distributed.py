"""Two processes under torchrun: the losses of one, with copies or shards, and from one to two and back."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from seimai.config import dump_toml, parse_config
from seimai.errors import ConfigError
from seimai.model.checkpoint import load_model
from seimai.model.distributed import alone, process_group
from seimai.model.metrics import read_metrics
from seimai.model.train import train
from seimai.model.train_config import LoopConfig, TrainConfig

CHILD = """
import json, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from seimai.cli import main
from seimai.errors import RunError
from seimai.model.distributed import process_group
from seimai.model.train import train
from seimai.model.train_config import LoopConfig

folder, data = map(Path, sys.argv[1:])
with process_group(LoopConfig(device="cpu")) as ranks:
    said = {"ranks": ranks.count, "sums": ranks.sums(1.0, ranks.rank), "any": ranks.any(ranks.rank == 1)}
    said["joined"] = ranks.joined(torch.full((1, 2), ranks.rank)).tolist()
    try:
        ranks.first(lambda: 1 / 0)
    except (ZeroDivisionError, RunError) as error:
        said["failed"] = type(error).__name__
    train(folder / "ddp.toml", data, folder / "ddp")
    train(folder / "fsdp.toml", data, folder / "fsdp")
    train(folder / "muon.toml", data, folder / "muon")
    # Only rank 1 is asked to leave.
    notes = train(folder / "elastic.toml", data, folder / "elastic", stop=lambda done: ranks.rank == 1 and done == 8)
    said["notes"] = notes.notes
    (folder / f"said-{ranks.rank}.json").write_text(json.dumps(said))
    sys.argv = ["seimai", "train", str(folder / "odd.toml"), "--data", str(data), "--out", str(folder / "odd")]
    main()
"""

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "ddp": {"optimizer": {"z_loss": 1e-3}, "train": {"micro_batch_rows": 1}},
    "fsdp": {"optimizer": {"z_loss": 1e-3}, "train": {"micro_batch_rows": 1, "parallel": "fsdp"}},
    "muon": {"optimizer": {"name": "muon"}, "train": {"parallel": "fsdp"}},
    "elastic": {"train": {"parallel": "fsdp"}},
    "odd": {"data": {"batch_rows": 3}},
}


def configured(config: TrainConfig, name: str) -> TrainConfig:
    plain = config.model_dump()
    sections = OPTIMIZERS[name] | {"train": {"evaluate": name == "fsdp"} | OPTIMIZERS[name].get("train", {})}
    return parse_config({key: plain[key] | sections.get(key, {}) for key in plain}, TrainConfig, place="test")


def losses(out: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(out / "metrics.jsonl")]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, tiny_config: TrainConfig, small_tokens: Path) -> Path:
    """What two processes made of every config; `elastic` was begun by one and is ended by one."""
    folder = tmp_path_factory.mktemp("two")
    for name in OPTIMIZERS:
        (folder / f"{name}.toml").write_text(dump_toml(configured(tiny_config, name)), encoding="utf-8")
    (folder / "child.py").write_text(CHILD, encoding="utf-8")
    train(folder / "elastic.toml", small_tokens, folder / "elastic", stop=lambda done: done == 5)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(folder / "child.py"), str(folder), str(small_tokens)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    (folder / "stderr.txt").write_text(done.stderr, encoding="utf-8")
    assert (folder / "said-0.json").exists(), done.stderr
    train(folder / "elastic.toml", small_tokens, folder / "elastic")
    return folder


def test_ranks_add_up_and_tell_each_other(two: Path) -> None:
    for rank, failed in enumerate(("ZeroDivisionError", "RunError")):
        said = json.loads((two / f"said-{rank}.json").read_text())
        assert (said["ranks"], said["sums"], said["any"], said["failed"]) == (2, [2.0, 1.0], True, failed)
        assert said["joined"] == [[0, 0], [1, 1]]


# Muon rounds to bfloat16, so that the last bit of a gradient may move a weight by a 256th of its update.
@pytest.mark.parametrize(("name", "most"), [("ddp", 1e-5), ("fsdp", 1e-5), ("muon", 1e-3)])
def test_two_ranks_have_the_losses_of_one(
    two: Path, tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path, name: str, most: float
) -> None:
    train(configured(tiny_config, name), small_tokens, tmp_path)
    assert losses(two / name) == pytest.approx(losses(tmp_path), abs=most)
    ours, theirs = (read_metrics(out / "metrics.jsonl") for out in (two / name, tmp_path))
    for line, other in zip(ours, theirs, strict=True):
        assert line["grad_norm"] == pytest.approx(other["grad_norm"], rel=100 * most)
        assert (line["tokens"], line["padding_share"]) == (other["tokens"], other["padding_share"])
    by, other_by = ours[9]["by"], theirs[9]["by"]
    assert {name: set(groups) for name, groups in by.items()} == {
        name: set(groups) for name, groups in other_by.items()
    }
    for grouping, groups in by.items():
        for group, found in groups.items():
            assert found["targets"] == other_by[grouping][group]["targets"]
            assert found["loss"] == pytest.approx(other_by[grouping][group]["loss"], abs=most)
    models = [load_model(out)[0].state_dict() for out in (two / name, tmp_path)]
    assert all(torch.allclose(models[0][key], models[1][key], atol=100 * most) for key in models[0])


def test_evaluation_of_shards_is_that_of_the_whole(two: Path, tiny_config: TrainConfig, small_tokens: Path) -> None:
    found = json.loads((two / "fsdp" / "eval.json").read_text())
    assert 0 < found["after"]["all"]["bits_per_byte"] < found["before"]["all"]["bits_per_byte"]


def test_one_then_two_then_one_process(two: Path, tiny_config: TrainConfig, small_tokens: Path, tmp_path: Path) -> None:
    train(configured(tiny_config, "elastic"), small_tokens, tmp_path)
    assert losses(two / "elastic") == pytest.approx(losses(tmp_path), abs=1e-5)
    notes = json.loads((two / "said-0.json").read_text())["notes"]
    assert notes[0] == "went on from step 5"
    assert notes[1].startswith("the machine changed (ranks 1 -> 2 fsdp)")
    assert (two / "elastic" / "checkpoints" / "step-00000008").is_dir()


def test_a_mistake_is_one_line_for_all_ranks(two: Path) -> None:
    lines = [line for line in (two / "stderr.txt").read_text().splitlines() if line.startswith("seimai:")]
    assert lines == ["seimai: data.batch_rows = 3: no multiple of 2 ranks; change one"]


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with process_group(LoopConfig(device="cpu")) as ranks:
        assert ranks == alone(torch.device("cpu"))
        assert ranks.joined(torch.ones(2)).tolist() == [1.0, 1.0]
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(ConfigError, match="WORLD_SIZE = 'two'"), process_group(LoopConfig(device="cpu")):
        raise AssertionError
