"""`seimai dedup`: what it prints, and what each mistake gets."""

import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from seimai import cli

Seimai = Callable[..., tuple[int, str, str]]


@pytest.fixture
def seimai(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Seimai:
    """Runs the command in this process: exit code, output, errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["seimai", "dedup", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def labelled(tmp_path: Path) -> list[object]:
    """Options that name two files: three documents, two of them alike, and a pair that is not listed as alike."""
    texts = ["Clean rice is white and shines.", "clean rice is white, and shines", "Brown rice keeps its coat on."]
    rows = [{"id": str(n), "text": text, "lang": "en"} for n, text in enumerate(texts)]
    pairs = [{"a": "0", "b": "1", "jaccard": 1.0}]
    options: list[object] = []
    for name, lines in (("documents", rows), ("pairs", pairs)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        options += [f"--{name}", tmp_path / f"{name}.jsonl"]
    return options


def test_eval_prints_the_figures_of_files(seimai: Seimai, labelled: list[object]) -> None:
    code, out, err = seimai("eval", *labelled)
    assert (code, err) == (0, "")
    rows = {line[:18].strip(): line[18:].split() for line in out.splitlines()}
    assert rows["documents"] == ["3"]
    assert rows["recall"][0] == rows["precision"][0] == "1.000"


def test_eval_takes_settings(seimai: Seimai, labelled: list[object], tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("[dedup]\nthreshold = 0.9\n")
    assert seimai("eval", *labelled, "--config", tmp_path / "run.toml", "--set", "dedup.num_perm=64")[0] == 0
    code, _, err = seimai("eval", *labelled, "--set", "dedup.treshold=0.9")
    assert code == 1
    assert "did you mean 'threshold'" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["eval"], "nothing to judge; give a run directory, or --documents and --pairs"),
        (["eval", "absent"], "absent: has no clusters"),
        (["eval", "absent", "--set", "dedup.rows=1"], "a run is judged with its own config"),
        (["eval", "--documents", "a.jsonl", "--pairs", "b.jsonl"], "a.jsonl: cannot be read as JSON lines"),
        (["bands", "--set", "dedup.preset=fineweb", "--set", "dedup.rows=3"], "rows = 3 but preset 'fineweb' has 8"),
        (["bands", "--config", "absent.toml"], "absent.toml: no such config file"),
    ],
)
def test_a_mistake_is_one_line(seimai: Seimai, arguments: list[str], words: str) -> None:
    code, out, err = seimai(*arguments)
    assert (code, out) == (1, "")
    assert words in err
    assert len(err.splitlines()) == 1


def test_bands_says_what_they_find_and_draws_it(seimai: Seimai, tmp_path: Path) -> None:
    code, out, _ = seimai("bands", "--set", "dedup.preset=olmo3", "--picture", tmp_path / "curve.svg")
    assert code == 0
    assert out.startswith("26 bands x 11 rows, threshold 0.8 verified: found ")
    assert "olmo3 26 × 11" in "".join(ET.parse(tmp_path / "curve.svg").getroot().itertext())
