"""`seimai index` and `seimai diff`: a second run against a first one's index, what they print and refuse."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from seimai import cli
from seimai.config import load_config
from seimai.files import sha256_file
from seimai.pipeline.job import polish
from seimai.pipeline.manifest import manifest_head
from seimai.pipeline.run import Engine
from seimai.pipeline.settings import RunConfig

CONFIG = Path(__file__).parent.parent / "configs" / "web_ja_en.toml"
Seimai = Callable[..., tuple[int, str, str]]


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


@pytest.fixture(scope="module")
def run(sample_warc: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run over the sample web."""
    out = tmp_path_factory.mktemp("former") / "run"
    with Engine(workers=0) as engine:
        polish(load_config(CONFIG, RunConfig), out, inputs=[str(sample_warc)], engine=engine)
    return out


def test_the_same_crawl_again_is_all_in_the_index(seimai: Seimai, run: Path, sample_warc: Path, tmp_path: Path) -> None:
    code, said, _ = seimai("index", "build", run, "--out", tmp_path / "index", "--workers", 0)
    assert code == 0
    assert "of 1 runs" in said
    assert "exact verification" in said
    again = ["--input", sample_warc, "--out", tmp_path / "again", "--workers", 0]
    code, _, err = seimai("run", CONFIG, "--set", f"dedup.index='{tmp_path / 'index'}'", *again)
    assert code == 0, err
    parts = sorted((tmp_path / "again" / "decisions").glob("*.parquet"))
    for part in parts:
        before, after = pq.read_table(run / "decisions" / part.name), pq.read_table(part)
        dropped = pc.fill_null(pc.equal(before["reason"], "duplicate"), False)
        passed = pc.or_(pc.is_null(before["reason"]), dropped)
        assert pc.all(pc.equal(after["reason"].filter(passed), "in_index")).as_py()
        assert after["reason"].filter(pc.invert(passed)).equals(before["reason"].filter(pc.invert(passed)))
    assert manifest_head(tmp_path / "again")["index"] == sha256_file(tmp_path / "index" / "manifest.json")
    assert "in_index" in (tmp_path / "again" / "report.html").read_text(encoding="utf-8")
    assert seimai("verify", tmp_path / "again")[0] == seimai("verify", tmp_path / "index")[0] == 0
    dropped_id = pq.read_table(parts[0]).filter(pc.equal(pq.read_table(parts[0])["reason"], "in_index"))["id"][0]
    code, said, _ = seimai("explain", tmp_path / "again", dropped_id.as_py())
    assert code == 0
    assert "passed their rules in former dumps" in said
    code, said, _ = seimai("diff", run, tmp_path / "again", "--json")
    assert code == 0
    found = json.loads(said)
    kept = sum(pc.sum(pq.read_table(path)["kept"]).as_py() for path in (run / "decisions").glob("*.parquet"))
    assert found["documents"]["kept_only_a"] == kept
    assert found["documents"]["only_a"] == found["documents"]["only_b"] == found["documents"]["text"] == 0
    assert {change["after"] for change in found["changes"]} == {"in_index"}
    assert [row[0] for row in found["config"]] == ["dedup.index"]
    code, said, _ = seimai("diff", run, tmp_path / "again")
    assert code == 0
    assert "in_index" in said


def test_query_of_one_document(seimai: Seimai, run: Path, tmp_path: Path) -> None:
    assert seimai("index", "build", run, "--out", tmp_path / "index", "--workers", 0)[0] == 0
    part = next(path for path in sorted((run / "documents").glob("*.parquet")) if pq.read_metadata(path).num_rows)
    table = pq.read_table(part, columns=["id", "text", "lang"])
    signed = pq.read_table(run / "signatures" / part.name, columns=["signature"])["signature"]
    row = table.filter(pc.and_(signed.is_valid(), pc.equal(table["lang"], "ja"))).slice(0, 1).to_pylist()[0]
    (tmp_path / "page.txt").write_text(row["text"], encoding="utf-8")
    code, said, _ = seimai("index", "query", tmp_path / "index", tmp_path / "page.txt", "--lang", "ja", "--json")
    assert code == 0
    assert json.loads(said)[0]["jaccard"] > 0.5
    code, said, _ = seimai("index", "query", tmp_path / "index", tmp_path / "page.txt", "--lang", "ja")
    assert code == 0
    assert "near-duplicates from 0.8" in said


def test_refusals_are_one_line(
    seimai: Seimai, run: Path, sample_warc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert seimai("index", "build", run, "--out", tmp_path / "index", "--workers", 0)[0] == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("精米".encode("cp932"))))
    another = ["--set", f"dedup.index='{tmp_path / 'index'}'", "--set", "dedup.num_perm=64"]
    for arguments, told in (
        (["index", "query", tmp_path, tmp_path / "x.txt"], "no index of duplicates"),
        (["index", "query", tmp_path / "index", tmp_path / "x.txt"], "x.txt: no such file"),
        (["index", "query", tmp_path / "index", "-"], "-: is not UTF-8"),
        (["index", "merge", tmp_path / "index", tmp_path / "index", "--out", tmp_path / "two"], "drop one"),
        (["index", "build", run, "--out", tmp_path / "index"], "not empty"),
        (["diff", run, tmp_path], "is no finished run"),
        (
            ["run", CONFIG, *another, "--input", sample_warc, "--out", tmp_path / "bad"],
            "num_perm = 128, this run has 64",
        ),
    ):
        code, _, said = seimai(*arguments)
        assert code == 1
        assert told in said
        assert said.count("\n") == 1
    assert not (tmp_path / "bad").exists()
