"""Lines reach TensorBoard and Weights & Biases, go on where a training goes on, and a missing package is one line."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from seimai.errors import ConfigError
from seimai.model.run_logs import open_logs

LINE = {"step": 7, "loss": 2.5, "skipped": True, "by": {"lang": {"ja": {"loss": 2.0, "targets": 9}}}}


def test_tensorboard_reads_it_back(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with open_logs(["tensorboard"], tmp_path, 0, {}) as log:
        for step in range(4):
            log({"step": step, "loss": 3.0 - step})
    with open_logs(["tensorboard"], tmp_path, 2, {}) as log:
        for step in (2, 3):
            log({"step": step, "loss": 10.0 + step, "by": {"lang": {"ja": {"loss": 1.5}}}})
    found = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    assert [(event.step, event.value) for event in found.Scalars("loss")] == [(0, 3.0), (1, 2.0), (2, 12.0), (3, 13.0)]
    assert [event.value for event in found.Scalars("by/lang/ja/loss")] == [1.5, 1.5]


class FakeRun:
    """What the loop needs of a wandb run."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options, self.lines, self.finished = options, list[Any](), False

    def log(self, line: dict[str, Any], step: int) -> None:
        self.lines.append((step, line))

    def finish(self) -> None:
        self.finished = True


@pytest.fixture
def wandb_runs(monkeypatch: pytest.MonkeyPatch) -> list[FakeRun]:
    runs: list[FakeRun] = []

    def init(**options: Any) -> FakeRun:
        runs.append(FakeRun(options))
        return runs[-1]

    module = ModuleType("wandb")
    module.init = init  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", module)
    return runs


def test_wandb_gets_flat_numbers_and_one_run_a_folder(tmp_path: Path, wandb_runs: list[FakeRun]) -> None:
    for _ in range(2):
        with open_logs(["wandb"], tmp_path / "model", 0, {"train": {"seed": 3}}) as log:
            log(LINE)
    first, second = wandb_runs
    assert first.lines == [(7, {"loss": 2.5, "skipped": True, "by/lang/ja/loss": 2.0, "by/lang/ja/targets": 9})]
    assert first.options == second.options
    assert first.options["config"] == {"train": {"seed": 3}}
    assert first.finished


@pytest.mark.parametrize(("name", "module"), [("tensorboard", "torch.utils.tensorboard"), ("wandb", "wandb")])
def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"train.logs = {name}: .*pip install 'seimai\[logs\]'"):
        with open_logs([name], tmp_path, 0, {}):
            pass


def test_no_logs_no_imports(tmp_path: Path) -> None:
    with open_logs([], tmp_path, 0, {}) as log:
        log(LINE)
    assert list(tmp_path.iterdir()) == []
