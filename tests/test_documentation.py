"""What the documents say holds: commands, folders, configs, help texts."""

import re
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from seimai.cli import app
from seimai.config import dump_toml, load_config
from seimai.model.train_config import TrainConfig
from seimai.pipeline.settings import RunConfig

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = (
    *("ablate", "compare-positions", "dataset", "decontaminate", "dedup", "demo", "diff", "encode", "evaluate"),
    *("explain", "export", "generate", "index", "init", "inspect", "plan", "plan-training", "quality", "rebuild"),
    *("recipe", "remove", "retune", "run", "substrings", "tokenizer", "trace", "train", "train-report", "verify"),
)
GROUPS = {
    "dataset": ("dataset diff", "dataset export", "dataset stats"),
    "dedup": ("dedup bands", "dedup eval"),
    "index": ("index build", "index merge", "index query"),
    "quality": ("quality cutoffs", "quality train"),
    "tokenizer": (
        *("tokenizer ablate", "tokenizer train", "tokenizer count", "tokenizer eval"),
        *("tokenizer export", "tokenizer extend", "tokenizer why"),
    ),
}


def test_the_readme_is_short_and_begins_with_the_two_commands() -> None:
    assert len(README.splitlines()) < 200
    assert "make demo" in "".join(README.splitlines(keepends=True)[:12])
    assert "make test" in "".join(README.splitlines(keepends=True)[:12])


def test_the_readmes_tree_stands() -> None:
    tree = re.findall(r"^    ([a-z/]+/) {2,}", README.split("## The tree")[1].split("##")[0], re.MULTILINE)
    assert len(tree) == 10
    assert [folder for folder in tree if not (ROOT / folder).is_dir()] == []


def test_the_command_line_grows_only_on_purpose() -> None:
    assert tuple(sorted(get_command(app).commands)) == COMMANDS  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "command", [*(c for c in COMMANDS if c not in GROUPS), *(c for group in GROUPS.values() for c in group)]
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert f"Example: seimai {command} " in " ".join(result.output.split())


def test_every_command_of_the_readme_is_known() -> None:
    used = set(re.findall(r"^ +\.venv/bin/seimai ([a-z]+)", README, re.MULTILINE))
    assert used >= {"run", "verify", "train", "encode", "generate", "init", "tokenizer"}
    assert used <= set(COMMANDS)


def test_the_shipped_run_config_writes_out_every_default() -> None:
    """The file documents each key; a key added to the code must be added there, with the same default."""
    shipped = tomllib.loads((ROOT / "configs" / "web_ja_en.toml").read_text(encoding="utf-8"))
    defaults = tomllib.loads(dump_toml(RunConfig()))
    for lang in defaults["quality"].values():
        del lang["disable"], lang["add"]
    for key in shipped["extract"].keys() ^ defaults["extract"].keys():
        del defaults["extract"][key]  # limits of the extractor, documented in its docstrings
    assert shipped == defaults


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.toml")), ids=lambda path: path.name)
def test_every_shipped_config_loads(path: Path) -> None:
    load_config(path, TrainConfig if path.name.startswith(("model", "compare")) else RunConfig)
