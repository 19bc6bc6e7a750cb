"""The commands retune, explain and inspect: what they print, plain where there is no terminal."""

import shutil
import sys
from pathlib import Path

import pytest

from seimai import cli
from seimai.pipeline.job import polish
from seimai.pipeline.manifest import verify
from seimai.pipeline.run import Engine
from seimai.pipeline.settings import RunConfig


@pytest.fixture(scope="module")
def finished(sample_warc: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("commands") / "run"
    polish(RunConfig(), out, inputs=[str(sample_warc)], engine=Engine(workers=0))
    return out


def seimai(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["seimai", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code is None or isinstance(left.value.code, int)
    return left.value.code or 0


def test_retune_looks_and_then_applies(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    change = ("--set", "quality.ja.min_chars=300", "--workers", 0)
    assert seimai(monkeypatch, "retune", run, *change) == 0
    out = capsys.readouterr().out
    for words in ("old by new", "tokens", "min_chars", "back", "Nothing is written; --apply"):
        assert words in out
    assert "\x1b[" not in out
    assert "min_chars = 100" not in (run / "config.toml").read_text()
    assert seimai(monkeypatch, "retune", run, *change, "--apply") == 0
    assert "Funnel" in capsys.readouterr().out
    assert "min_chars = 300" in (run / "config.toml").read_text()
    verify(run)
    assert seimai(monkeypatch, "retune", run, "--set", "quality.ja.min_chars=5000", "--workers", 0, "--apply") == 1
    assert "the good canary ja-essay is dropped by quality.ja min_chars" in capsys.readouterr().err
    verify(run)
    assert seimai(monkeypatch, "retune", run, "--set", "gates.status=[200, 404]") == 1
    error = capsys.readouterr().err
    assert "gates.status would be looser" in error
    assert error.count("\n") == 1


def test_explain_prints_the_way_of_a_page(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert seimai(monkeypatch, "inspect", finished, "--rule", "duplicate", "-n", 1, "--lang", "ja") == 0
    shown = capsys.readouterr().out
    assert "ja: dropped by duplicate: 1 of " in shown
    identity = next(line for line in shown.splitlines() if line.startswith("-- ")).split()[-1]
    assert seimai(monkeypatch, "explain", finished, identity) == 0
    out = capsys.readouterr().out
    places = ("archive      sample.warc.gz at offset", "language     ja", "survivor     ", "dropped by duplicate")
    for words in (*places, "rule         ok     min_chars: n_chars = ", "text\n"):
        assert words in out
    assert seimai(monkeypatch, "explain", finished, "nowhere.example/") == 1
    assert "it has no page of nowhere.example" in capsys.readouterr().err


def test_explain_says_where_a_page_without_text_lies(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import pyarrow.parquet as pq

    rows = [row for path in sorted((finished / "documents").iterdir()) for row in pq.read_table(path).to_pylist()]
    gated = next(row for row in rows if row["gate"] == "mime")
    assert seimai(monkeypatch, "explain", finished, gated["id"]) == 0
    out = capsys.readouterr().out
    assert f"gate         mime stopped it: {gated['gate_value']}" in out
    assert f"its record is in {gated['warc_file']} at offset {gated['warc_offset']}" in out


def test_inspect_near_a_rule_and_its_mistake(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("inspect", finished, "--rule", "min_chars", "--near", "-n", 2, "--chars", 20)
    assert seimai(monkeypatch, *arguments) == 0
    out = capsys.readouterr().out
    assert "just let pass by min_chars (n_chars >= 100): 2 of " in out
    assert " characters …]" in out
    assert seimai(monkeypatch, "inspect", finished, "--near") == 1
    assert "Give --rule" in capsys.readouterr().err
