"""The README's real Common Crawl example, taken from its text, against a server that differs in its address only."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.common_crawl import SNAPSHOT, CommonCrawl, lay_out
from tests.pipeline.test_fetch_run import cut

from seimai.pipeline.manifest import manifest_head, verify

ROOT = Path(__file__).resolve().parents[2]


def readme_command() -> list[str]:
    """The command of the section on a real crawl, without its comment."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("## A real crawl")[1].split("\n## ")[0]
    found = re.search(r"^    \.venv/bin/(seimai run (?:.*\\\n)*.*)$", text, re.MULTILINE)
    assert found is not None
    return shlex.split(found[1].replace("\\\n", " "), comments=True)


def test_the_readmes_crawl_is_what_the_server_was_tested_with(
    sample_warc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = lay_out(tmp_path / "crawl", cut(sample_warc))
    command = readme_command()
    assert command[:2] == ["seimai", "run"]
    assert SNAPSHOT in command
    monkeypatch.chdir(tmp_path)
    seimai = [sys.executable, "-m", "seimai"]
    subprocess.run([*seimai, "init", command[2]], check=True, capture_output=True)
    with CommonCrawl(tmp_path / "crawl") as server:
        address = ["--set", f"fetch.base={server.url}"]
        done = subprocess.run([*seimai, *command[1:], *address], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert all("you@example.org" in entry.agent for entry in server.log)
        assert {entry.path for entry in server.log} == {f"crawl-data/{SNAPSHOT}/warc.paths.gz", sorted(paths)[0]}
    out = Path(command[command.index("--out") + 1])
    verify(tmp_path / out)
    assert [source["key"] for source in manifest_head(tmp_path / out)["inputs"]] == [sorted(paths)[0]]
