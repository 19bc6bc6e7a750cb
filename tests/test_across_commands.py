"""The commands that look across corpora: what they print, write and refuse."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from seimai import cli
from seimai.tokenizer.sources import batches, open_sources

Seimai = Callable[..., tuple[int, str, str]]
QUESTION = "ある村の精米所は1時間に米を12俵つきます。朝8時から休まずにつくと、96俵がつき上がるのは何時でしょうか。"


@pytest.fixture
def seimai(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Seimai:
    """Runs the command in this process: exit code, output, errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["seimai", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Three documents; the second holds the question with other white space."""
    texts = [
        "精米とは玄米の糠を取ることです。",
        f"宿題の答え。{QUESTION.replace('、', '、 ')}答えは午後4時。",
        "Rice is a grain.",
    ]
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps({"id": f"d{n}", "text": text}) + "\n" for n, text in enumerate(texts)))
    return path


def test_decontaminate(seimai: Seimai, corpus: Path, tmp_path: Path) -> None:
    evals = tmp_path / "quiz.jsonl"
    evals.write_text(json.dumps({"question": QUESTION, "answer": "16時"}, ensure_ascii=False) + "\n", encoding="utf-8")
    out = tmp_path / "found"
    code, said, _ = seimai("decontaminate", corpus, "--evals", f"{evals}#question", "--out", out, "--workers", 0)
    assert code == 0
    assert "1 of 3 documents hold 1 spans of 1 items" in said
    (shard,) = open_sources(corpus)
    ids = [one for batch in batches(shard, ("id",)) for one in batch["id"].to_pylist()]
    assert (out / "ids.txt").read_text() == ids[1] + "\n"
    (row,) = pq.read_table(out / "spans.parquet").to_pylist()
    assert (row["id"], row["set"], row["row"], row["field"], row["url"]) == (ids[1], "quiz", 0, "question", None)
    assert row["said"].startswith("宿題の答え。ある村の")
    assert json.loads((out / "summary.json").read_text())["contaminated"] == 1


def test_decontaminate_refuses_in_one_line(seimai: Seimai, corpus: Path, tmp_path: Path) -> None:
    code, _, said = seimai("decontaminate", corpus, "--evals", tmp_path / "no.jsonl", "--out", tmp_path / "found")
    assert code != 0
    assert "no.jsonl: no such file" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "found").exists()
