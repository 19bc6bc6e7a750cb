"""`seimai plan` and `seimai run` on a crawl's server: what they print, keep, take and refuse."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.common_crawl import SNAPSHOT, CommonCrawl, lay_out, lay_out_wet
from tests.pipeline.test_fetch_news import MONTHS, lay_out_news
from tests.pipeline.test_fetch_run import cut

from seimai import cli
from seimai.pipeline.manifest import verify
from seimai.pipeline.run import process_limiter

CONFIG = Path(__file__).parent.parent / "configs" / "web_ja_en.toml"
Seimai = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory, sample_warc: Path) -> Path:
    folder = tmp_path_factory.mktemp("commands")
    lay_out_wet(folder, lay_out(folder, cut(sample_warc, records=36, archives=3)))
    lay_out_news(folder, cut(sample_warc, records=36, archives=6))
    return folder


@pytest.fixture
def server(mirror: Path) -> Iterator[CommonCrawl]:
    process_limiter.cache_clear()
    with CommonCrawl(mirror) as running:
        yield running


@pytest.fixture
def seimai(server: CommonCrawl, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Seimai:
    """Runs the command in this process against the server: exit code, output, errors."""
    monkeypatch.setenv("COLUMNS", "200")
    address = ["--set", f"fetch.base={server.url}", "--set", "input.contact=me@example.org"]
    fast = ["--set", "fetch.requests_per_s=1000"]

    def call(command: str, *arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["seimai", command, str(CONFIG), *map(str, arguments), *address, *fast])
        with pytest.raises(SystemExit) as left:
            cli.main()
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return call


SELECT = ("--input", SNAPSHOT, "--set", 'fetch.select.languages=["jpn"]')


def test_plan_prints_three_ways_the_choice_and_why(seimai: Seimai, server: CommonCrawl) -> None:
    code, out, _ = seimai("plan", *SELECT, "--index-sample", 0)
    assert code == 0
    rows = {name: re.search(rf"^\W*{name} .*$", out, re.MULTILINE) for name in ("whole", "ranges", "wet")}
    assert all(rows.values()), out
    assert re.search(r"[\d,]+ records in 3 archives", out)
    for column in ("GB", "requests", "hours", "GB on disk"):
        assert column in out
    assert rows["wet"] is not None
    assert " to " in rows["wet"][0]
    assert re.search(r"Takes (whole|ranges|wet): .* takes \d.* h", out)
    assert not [e for e in server.log if "segments" in e.path]


def test_plan_with_exact_asks_for_every_size(seimai: Seimai, server: CommonCrawl) -> None:
    _, out, _ = seimai("plan", *SELECT, "--exact", "--index-sample", 0)
    assert [e.method for e in server.log if "segments" in e.path] == ["HEAD"] * 6
    assert re.search(r"whole .*exact", out)


def test_a_part_of_the_index_is_said_to_be_one(seimai: Seimai, tmp_path: Path) -> None:
    _, out, _ = seimai("plan", *SELECT, "--index-sample", 1)
    assert "Reads 1 files of the index" in out
    assert "scaled up 2.0 times" in out
    code, _, err = seimai("plan", *SELECT, "--index-sample", 1, "--out", tmp_path / "run")
    assert code == 1
    assert "an estimate" in err


def test_run_takes_the_plan_that_was_kept(seimai: Seimai, server: CommonCrawl, tmp_path: Path) -> None:
    chosen = (*SELECT, "--set", 'fetch.strategy="ranges"', "--out", tmp_path / "run")
    assert "the plan is kept there" in seimai("plan", *chosen)[1]
    seen = len(server.log)
    assert seimai("run", *chosen, "--workers", 0)[0] == 0
    assert {"segments" in entry.path for entry in server.log[seen:]} == {True}  # no list, no index: ranges alone
    verify(tmp_path / "run")


def test_run_refuses_what_takes_too_long_until_it_is_told_yes(seimai: Seimai, tmp_path: Path) -> None:
    long = ("--input", SNAPSHOT, "--limit", 1, "--set", "fetch.max_hours=0.001", "--out", tmp_path / "run")
    code, _, err = seimai("run", *long, "--workers", 0)
    assert code == 1
    assert re.search(r"about \d+ hours, and fetch.max_hours is 0.001; .*--yes", err)
    assert seimai("run", *long, "--workers", 0, "--yes")[0] == 0


def test_the_plan_of_news_is_whole_files(seimai: Seimai, server: CommonCrawl) -> None:
    assert MONTHS[:2] == ("2024/11", "2024/12")
    _, out, _ = seimai("plan", "--input", "CC-NEWS-2024-11..2024-12", "--exact")
    assert "4 archives" in out
    assert "Takes whole: without a columnar index there is no other way." in out
    code, _, err = seimai("plan", "--input", "CC-NEWS-2024-11", *SELECT[2:])
    assert code == 1
    assert "CC-NEWS has none" in err
