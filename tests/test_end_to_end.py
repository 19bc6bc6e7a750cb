"""The whole job through the command line: archive, corpus, tokenizer, token shards, model, text, trace."""

import json
import re
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from seimai import cli
from seimai.sample.build import build_warc

CONFIGS = Path(__file__).parent.parent / "configs"


def _seimai(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object) -> str:
    """Run a command in this process; returns what it printed."""
    monkeypatch.setattr(sys, "argv", ["seimai", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    printed = capsys.readouterr()
    assert left.value.code in (0, None), printed.err
    return printed.out


def test_the_main_job(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    archive, run, tokens, model = (tmp_path / name for name in ("sample.warc.gz", "run", "tokens", "model"))
    tokenizer = tmp_path / "tokenizer"
    truth = {page.url for page in build_warc(archive)}

    def seimai(*words: object) -> str:
        return _seimai(capsys, monkeypatch, *words)

    config = tmp_path / "web.toml"
    assert "written" in seimai("init", config)
    wide = ["--set", "held_out.share=0.12", "--set", "held_out.seed=3"]
    polish = ["run", config, "--input", archive, "--out", run, "--workers", "0", *wide]
    funnel = seimai(*polish)
    assert re.search(r"kept +kept +ja +68", funnel), funnel
    assert "Nothing to do" in seimai(*polish)
    assert "all as the manifest says" in seimai("verify", run)

    seimai("tokenizer", "train", run, "--out", tokenizer, "--vocab-size", "2048")
    assert "never reached" in seimai("tokenizer", "eval", tokenizer, run)
    seimai("encode", run, "--tokenizer", tokenizer, "--out", tokens, "--workers", "0")
    assert "all as the manifest says" in seimai("verify", tokens)

    train = ["train", CONFIGS / "model_tiny.toml", "--data", tokens, "--out", model, "--steps", "12", "--seed", "5"]
    seimai(*train)
    lines = [json.loads(line) for line in (model / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in lines] == list(range(12))
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert {"loss", "tokens", "tokens_per_s"} <= set(lines[0])
    assert (model / "final" / "model.safetensors").is_file()
    assert "already finished" in seimai(*train)
    assert seimai("generate", model, "--prompt", "今日は", "--tokens", "8").startswith("今日は")

    urls = set(re.findall(r"https?://\S+", seimai("trace", model, "--step", "7")))
    assert urls
    shard = pa.ipc.open_file(run / "shards" / "ja-00000.arrow").read_all()
    assert set(shard["url"].to_pylist()) <= truth
