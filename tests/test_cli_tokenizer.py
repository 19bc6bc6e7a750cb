"""`seimai tokenizer count` and `train` from the shell: what they write and print, and what each mistake prints."""

import inspect
import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main

from seimai import cli, tokenizer_commands
from seimai.tokenizer.count_sample import CountSettings
from seimai.tokenizer.sources import HeldOut
from seimai.tokenizer.train import TrainSettings

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "tokenizer.md"
Seimai = Callable[..., tuple[int, str, str]]


@pytest.fixture
def seimai(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Seimai:
    """Runs the command in this process: exit code, output, errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["seimai", "tokenizer", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Documents of two languages, a tenth of them held out."""
    path = tmp_path / "rows.jsonl"
    texts = {"ja": "東京タワーは高い。東京駅は広い。", "en": "The tower is high. The station is wide. "}
    lines = [
        json.dumps({"body": text * (1 + n % 5), "lang": lang, "split": "train" if n % 10 else "held_out"})
        for n in range(60)
        for lang, text in texts.items()
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_count_then_train_several_sizes(seimai: Seimai, rows: Path, tmp_path: Path) -> None:
    counts, out = tmp_path / "counts", tmp_path / "sizes"
    options = ("--text-field", "body", "--workers", 0)
    code, printed, errors = seimai("count", rows, "--out", counts, "--balance", "ja=0.5,en=0.5", *options)
    assert (code, errors) == (0, "")
    assert "54 documents" in printed
    assert seimai("count", rows, "--out", counts, "--balance", "ja=0.5,en=0.5", *options)[0] == 0
    code, printed, errors = seimai("train", counts, "--out", tmp_path / "one", "--vocab-size", 512)
    assert (code, errors) == (0, "")
    code, printed, errors = seimai("train", rows, "--out", out, "--vocab-sizes", "330,512", *options)
    assert (code, errors) == (0, "")
    assert "Bytes per token on held-out documents" in printed
    assert (out / "330" / "tokenizer.json").exists()
    assert (out / "512" / "tokenizer.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["count", "ROWS", "--out", "OUT"], "has no text in field 'text'"),
        (["count", "ROWS", "--out", "OUT", "--balance", "ja"], "write ja=0.5,en=0.5"),
        (["count", "ROWS", "--out", "OUT", "--digits", "5"], "digits 5"),
        (["count", "ROWS", "--out", "OUT", "--split", "klingon"], "split 'klingon'"),
        (["count", "gone.jsonl", "--out", "OUT"], "gone.jsonl: no such file"),
        (["train", "ROWS", "--out", "OUT", "--vocab-sizes", "1k"], "--vocab-sizes 1k: not numbers"),
        (["train", "ROWS", "--out", "OUT", "--vocab-size", "64"], "vocab_size 64 leaves no room"),
        (["train", "ROWS", "--out", "OUT", "--model", "wordpiece"], "use --model bpe"),
        (["train", "ROWS", "--out", "OUT", "--backend", "hf", "--balance", "ja=1"], "cannot weigh languages"),
    ],
)
def test_a_mistake_is_one_line(seimai: Seimai, rows: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    places = {"ROWS": str(rows), "OUT": str(tmp_path / "out")}
    code, _, errors = seimai(*(places.get(word, word) for word in arguments), "--workers", 0)
    assert code == 1
    assert errors.startswith("seimai: ")
    assert errors.count("\n") == 1
    assert words in errors


def test_every_command_in_the_guide_parses() -> None:
    lines = re.findall(r"^    seimai tokenizer (.+)$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(lines) >= 4
    group: Any = typer.main.get_command(tokenizer_commands.tokenizer_app)
    for line in lines:
        name, *words = shlex.split(line)
        group.commands[name].make_context(name, words)


@pytest.mark.parametrize("command", [tokenizer_commands.tokenizer_count, tokenizer_commands.tokenizer_train])
def test_the_shells_defaults_are_the_librarys(command: Callable[..., None]) -> None:
    shown = {name: each.default for name, each in inspect.signature(command).parameters.items()}
    counting, training, held_out = CountSettings(), TrainSettings(), HeldOut()
    for name in ("split", "digits", "glue", "host_cap", "sample_bytes", "seed"):
        assert shown[name] == getattr(counting, name), name
    assert (shown["held_out_share"], shown["held_out_seed"]) == (held_out.share, held_out.seed)
    if command is tokenizer_commands.tokenizer_train:
        for name in ("model", "backend", "boundary", "min_count"):
            assert shown[name] == getattr(training, name), name


def test_train_judge_explain_extend_and_export(seimai: Seimai, rows: Path, tmp_path: Path) -> None:
    one, counts, options = tmp_path / "one", tmp_path / "counts", ("--text-field", "body", "--workers", 0)
    assert seimai("count", rows, "--out", counts, *options)[0] == 0
    assert seimai("train", counts, "--out", one, "--vocab-size", 384)[0] == 0
    figures = tmp_path / "eval.json"
    code, printed, errors = seimai(
        *("eval", one, "--source", rows, "--text-field", "body", "--json", figures, "--no-speed")
    )
    assert (code, errors) == (0, "")
    assert "12 documents" in printed
    assert {row["lang"] for row in json.loads(figures.read_text(encoding="utf-8"))["rows"]} == {"ja", "en"}
    code, printed, _ = seimai("why", "東京", "--tokenizer", one, "--counts", counts)
    assert code == 0
    assert "e6 9d b1 e4 ba ac" in printed
    assert seimai("extend", one, "--counts", counts, "--tokens", 3, "--out", tmp_path / "more", "--workers", 0)[0] == 0
    assert (tmp_path / "more" / "embedding_map.json").is_file()
    for folder, to in ((one, "hf"), (tmp_path / "more", "tiktoken")):
        code, printed, errors = seimai("export", folder, "--to", to, "--out", tmp_path / to, "--evaluation", figures)
        assert (code, errors) == (0, "")
        assert "README.md" in printed
    code, _, errors = seimai("export", one, "--to", "sentencepiece", "--out", tmp_path / "sp")
    assert (code, len(errors.splitlines())) == (1, 1)
    assert "no split pattern" in errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("eval", "rows.jsonl"), "no tokenizer among them"),
        (("eval", "x.model", "--baselines", "gpt9"), "x.model"),
        (("export", ".", "--out", "new", "--to", "gguf"), "--to hf"),
        (("extend", "none.json", "--out", "new", "--counts", "c"), "no such file"),
        (("extend", "none.json", "--out", "new", "--special", "x"), "NAME=ID"),
        (("why", "x", "--tokenizer", "none"), "no tokenizer there"),
    ],
)
def test_a_mistake_of_the_workshop_is_one_line(
    seimai: Seimai, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, printed, errors = seimai(*arguments)
    assert (code, printed, len(errors.splitlines())) == (1, "", 1)
    assert said in errors
