"""The commands that judge trainings: what they print, and one line for what cannot be."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from seimai.cli import app
from seimai.errors import SeimaiError

CONFIG = """
[model]
depth = 1
d_model = 16
n_heads = 2
row_tokens = 16
[data]
batch_rows = 4
[train]
steps = 3
device = "cpu"
evaluate = false
"""


def said(*words: object) -> str:
    result: Result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, SeimaiError):
        return str(result.exception)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts encoded with a byte-like tokenizer; a third held out."""
    import json
    import random

    from seimai.tokenizer.encode import encode
    from seimai.tokenizer.train import train_tokenizer

    folder = tmp_path_factory.mktemp("tokens")
    path = folder / "text.jsonl"
    words = ["".join(random.Random(word).choices("abcdefghijklmnopqrst", k=6)) for word in range(80)]
    rows = [
        {
            "text": f"{number} 精米は玄米から糠を取り除く。水を加えて炊く。" * 12 + " ".join(words[: number + 9]),
            "lang": ("ja", "en")[number % 2],
            "split": "held_out" if number % 3 == 1 else "train",
        }
        for number in range(60)
    ]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    train_tokenizer(path, folder / "tokenizer", vocab_size=384)
    encode(path, folder / "tokenizer", folder / "tokens")
    return folder / "tokens"


def test_compare_positions_then_evaluate(config: Path, tokens: Path, tmp_path: Path) -> None:
    asked = ("--data", tokens, "--out", tmp_path, "--seeds", 2, "--lengths", "1,2", "--kinds", "rope,learned")
    out = said("compare-positions", config, *asked)
    assert "| learned |" in out
    assert f"{tmp_path}/positions.md" in out
    assert (tmp_path / "positions.json").is_file()
    longer = said("evaluate", tmp_path / "rope" / "seed-0", "--data", tokens, "--lengths", "1,4", "--scaling", "yarn")
    assert "Held-out documents language bits per byte" in longer
    assert "The same targets behind more context, nats a token tokens loss 16" in longer
    beyond = said("evaluate", tmp_path / "learned" / "seed-0", "--data", tokens, "--lengths", "1,2")
    assert beyond.endswith("32 n/a")
    assert "no held-out document is 4000 times" in said(
        "evaluate", tmp_path / "rope" / "seed-0", "--data", tokens, "--lengths", "1,4000"
    )


def test_ablate(config: Path, tokens: Path, tmp_path: Path) -> None:
    out = said(
        *("ablate", tokens, "--config", config, "--out", tmp_path, "--seeds", 2, "--margin", "0.9"),
        *("--where-b", "n_tokens > 20", "--max-documents", 4),
    )
    assert "B is as good as A, within the margin (margin 90.00%, 2 seeds)" in out
    assert "held-out text A B B / A - 1 95 % interval" in out


def test_tokenizer_ablate(config: Path, tokens: Path, tmp_path: Path) -> None:
    from seimai.tokenizer.train import train_tokenizer

    text = tokens.parent / "text.jsonl"
    train_tokenizer(text, tmp_path / "larger", vocab_size=512)
    sides = tokens.parent / "tokenizer", tmp_path / "larger", text
    out = said(
        *("tokenizer", "ablate", *sides, "--config", config, "--out", tmp_path / "out"),
        *("--seeds", 2, "--margin", "0.9", "--workers", 0, "--max-documents", 4),
    )
    assert "at equal bytes B is as good as A" in out
    assert "verdict: cannot be told apart (margin 90.00%, 2 seeds" in out


def test_plan_training(config: Path, tokens: Path) -> None:
    free = said("plan-training", "--hours", 8, "--device", "H200", "--mfu", "0.43", "--vocab-size", 50304)
    assert "1 × H200: peak 989 TFLOP/s by its data sheet" in free
    assert free.count("depth ") == 3
    result = CliRunner().invoke(
        app, ["plan-training", str(config), "--tokens", "1e9", "--device", "A100", "--data", str(tokens)]
    )
    assert "warning: the data set has" in result.output
    assert "epochs of the data" in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (lambda c, t, o: ("ablate", t, "--config", c, "--out", o), "A and B are the same"),
        (lambda c, t, o: ("compare-positions", c, "--data", t, "--out", o, "--lengths", "one"), "--lengths one"),
        (lambda c, t, o: ("compare-positions", c, "--data", t, "--out", o, "--kinds", "rotary"), "--kinds rotary"),
        (lambda c, t, o: ("plan-training",), "nothing to plan with"),
        (lambda c, t, o: ("plan-training", "--hours", 1, "--set", "model.depth=3"), "needs a config"),
        (lambda c, t, o: ("plan-training", "--hours", 1, "--like", o), "no finished training"),
        (lambda c, t, o: ("evaluate", o, "--data", t), "no trained model"),
    ],
)
def test_mistakes(
    config: Path, tokens: Path, tmp_path: Path, words: Callable[..., tuple[object, ...]], message: str
) -> None:
    assert message in said(*words(config, tokens, tmp_path))
