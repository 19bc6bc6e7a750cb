"""`seimai train` on the command line: overrides, and what several processes may not do."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from seimai.cli import app
from seimai.errors import ConfigError, InputError

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "model_tiny.toml"


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        (["--set", "train.on_spkie=skip"], ConfigError, "did you mean 'on_spike'"),
        (["--set", "train.parallel=tp"], ConfigError, "train.parallel = 'tp'"),
        ([], InputError, "no manifest.json"),
    ],
)
def test_mistakes(tmp_path: Path, words: list[str], error: type[Exception], said: str) -> None:
    command = ["train", str(CONFIG), "--data", str(tmp_path), "--out", str(tmp_path / "out"), *words]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, error)
    assert said in str(result.exception)


def test_several_processes_do_not_encode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["train", str(CONFIG), "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--tokenizer", "x"]
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, error in (("0", ConfigError), ("1", SystemExit)):
        monkeypatch.setenv("RANK", rank)
        result = CliRunner().invoke(app, command)
        assert isinstance(result.exception, error)
        assert result.exit_code == 1
        assert ("seimai encode" in str(result.exception)) == (rank == "0")
