"""The command line: what works, what each mistake prints (one line, exit code 1; usage 2), and that help is true."""

import gzip
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main

from seimai import cli

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "web_ja_en.toml"


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


Seimai = Callable[..., Done]


@pytest.fixture
def seimai(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Seimai:
    """Runs the command in this process."""

    def call(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["seimai", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        code = left.value.code
        assert code is None or isinstance(code, int)
        captured = capsys.readouterr()
        return Done(code or 0, captured.out, captured.err)

    return call


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory, warc_record: Any, warc_archive: Any, http_page: Any) -> Path:
    """A small archive."""
    text = "The harbour wakes before the town does, and the first boats leave while the lamps are still burning. " * 12
    records = [warc_record(n, http_page(n, f"{text} {n} " * (1 + n % 3))) for n in range(12)]
    path = tmp_path_factory.mktemp("crawl") / "crawl.warc.gz"
    path.write_bytes(warc_archive(records))
    return path


@pytest.fixture(scope="module")
def finished(crawl: Path) -> Path:
    """A finished run over it, outside of any test's capture."""
    out = crawl.parent / "finished"
    arguments = [sys.executable, "-m", "seimai", "run", CONFIG, "--input", crawl, "--out", out, "--workers", "0"]
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Funnel" in done.stdout
    return out


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name."""
    root: Any = typer.main.get_command(cli.app)
    for name, command in root.commands.items():
        if hasattr(command, "commands"):
            yield from ((f"{name} {below}", one) for below, one in command.commands.items())
        else:
            yield name, command


def test_the_commands() -> None:
    assert {name for name, _ in commands()} == {
        *("dataset diff", "dataset export", "dataset stats"),
        *("dedup bands", "dedup eval"),
        *("quality cutoffs", "quality train"),
        *("ablate", "compare-positions", "evaluate", "plan", "plan-training", "train-report"),
        *("demo", "init", "run", "verify", "encode", "train", "export", "generate", "trace"),
        *("explain", "inspect", "retune", "decontaminate", "substrings", "remove", "diff", "recipe", "rebuild"),
        *("index build", "index merge", "index query"),
        *("tokenizer ablate", "tokenizer count", "tokenizer train", "tokenizer eval"),
        *("tokenizer export", "tokenizer extend", "tokenizer why"),
    }


@pytest.mark.parametrize(
    ("name", "command"), list(commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_help_says_what_a_command_does_with_an_example_that_parses(name: str, command: Any) -> None:
    assert command.help
    assert command.epilog
    assert command.epilog.startswith(f"Example: seimai {name} ")
    words = shlex.split(command.epilog.removeprefix(f"Example: seimai {name} "))
    command.make_context(name, words, resilient_parsing=False)
    assert all(getattr(one, "help", None) for one in command.params if not getattr(one, "hidden", False))


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["tokenizer", "train", "--help"]])
def test_help_answers(seimai: Seimai, arguments: list[str]) -> None:
    done = seimai(*arguments)
    assert (done.code, done.err) == (0, "")
    assert "Usage: " in done.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["run"],
        ["run", CONFIG],
        ["run", CONFIG, "--out", "x", "--no-such-option"],
        ["run", CONFIG, "--out", "x", "--workers", "-1"],
        ["run", CONFIG, "--out", "x", "--workers", "many"],
        ["verify"],
        ["verify", "a", "b"],
    ],
)
def test_wrong_usage_has_exit_code_2(seimai: Seimai, arguments: list[object]) -> None:
    done = seimai(*arguments)
    assert done.code == 2
    assert "Usage: " in done.err
    assert "Traceback" not in done.err


MISTAKES: dict[str, tuple[list[str], list[str]]] = {
    "unknown key": (["--set", "gates.min_lang_scor=0.5"], ["gates.min_lang_scor", "did you mean 'min_lang_score'?"]),
    "unknown section": (["--set", "gate.status=[1]"], ["unknown key 'gate'", "did you mean 'gates'?"]),
    "wrong type": (["--set", "dedup.bands=many"], ["dedup.bands = 'many'", "valid integer"]),
    "out of range": (["--set", "gates.min_lang_score=2"], ["gates.min_lang_score = 2", "less than or equal to 1"]),
    "no value": (["--set", "dedup.bands"], ["--set 'dedup.bands'", "section.key=value"]),
    "missing file": (["--input", "{tmp}/gone.warc.gz"], ["{tmp}/gone.warc.gz: no such file", "check --input"]),
    "glob": (["--input", "{tmp}/*.nothing"], ["{tmp}/*.nothing: no file matches", "check the pattern"]),
    "empty file": (["--input", "{tmp}/empty.warc.gz"], ["{tmp}/empty.warc.gz: is empty", "fetch it again"]),
    "no WARC": (["--input", "{tmp}/text.gz"], ["{tmp}/text.gz: is not a WARC or WET archive"]),
    "a folder": (["--input", "{tmp}"], ["{tmp}: is a folder", "'{tmp}/*.warc.gz'"]),
    "nothing": ([], ["--input"]),
    "contact": (["--input", "https://data.commoncrawl.org/x.warc.gz"], ["input.contact=you@example.org"]),
    "file as out": (["--input", "{crawl}", "--out", "{tmp}/text.gz"], ["{tmp}/text.gz: is a file", "give a folder"]),
    "below a file": (["--input", "{crawl}", "--out", "{tmp}/text.gz/x"], ["{tmp}/text.gz/x: cannot be written"]),
    "no place": (["--input", "{crawl}", "--out", "/proc/x"], ["/proc/x: cannot be written", "give another --out"]),
    "foreign folder": (["--input", "{crawl}", "--out", "{tmp}"], ["{tmp}: holds files that are no run's"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_with_place_and_remedy(seimai: Seimai, crawl: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.warc.gz").touch()
    (tmp_path / "text.gz").write_bytes(gzip.compress(b"text"))
    arguments, words = MISTAKES[name]
    places = {"tmp": tmp_path, "crawl": crawl}
    out = [] if "--out" in arguments else ["--out", str(tmp_path / "run")]
    done = seimai("run", CONFIG, *(one.format(**places) for one in arguments), *out, "--workers", 0)
    assert_one_line(done, *(word.format(**places) for word in words))
    assert not (tmp_path / "run").exists()


def assert_one_line(done: Done, *words: str) -> None:
    assert done.code == 1
    assert done.err.startswith("seimai: ")
    assert done.err.count("\n") == 1
    assert done.err.endswith("\n")
    for word in words:
        assert word in done.err
    assert "Traceback" not in done.out + done.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[gates]\nstatuses = [200]", "unknown key 'gates.statuses'; did you mean 'status'?"),
        ("[gates]\nstatus = 'ok'", "gates.status = 'ok'"),
        ("[gates", "not valid TOML"),
    ],
)
def test_a_mistake_in_the_config_names_the_file(seimai: Seimai, tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert_one_line(seimai("run", path, "--out", tmp_path / "run"), f"{path}: ", words)
    path.unlink()
    assert_one_line(seimai("run", path, "--out", tmp_path / "run"), "no such config file", "seimai init")


def test_a_rank_wants_the_number_of_ranks(seimai: Seimai) -> None:
    assert_one_line(seimai("trace", "model", "--step", "1", "--rank", "1"), "--rank 1: of how many ranks?", "--ranks")


def test_a_run_resumes_and_verifies(seimai: Seimai, crawl: Path, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    done = seimai("run", CONFIG, "--input", crawl, "--out", out, "--workers", 0)
    assert (done.code, done.err) == (0, "")
    assert "Nothing to do" in done.out
    assert "all as the manifest says" in seimai("verify", out).out
    done = seimai("run", CONFIG, "--input", crawl, "--out", out, "--workers", 0, "--set", "quality.en.min_words=5000")
    assert_one_line(done, "canary en-essay is dropped by quality.en min_words", "everything is written")
    assert "min_words" in done.out
    (out / "report.html").write_text("x")
    assert_one_line(seimai("verify", out), "changed report.html", "remove what is named")


@pytest.mark.parametrize(
    "settings",
    [["gates.min_lang_score=0.1"], ["extract.engine=precise", "input.part_bytes=1000"], ["held_out.share=0.2"]],
)
def test_another_reading_names_its_keys_and_rebuild_works(
    seimai: Seimai, crawl: Path, finished: Path, tmp_path: Path, settings: list[str]
) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    sets = [word for setting in settings for word in ("--set", setting)]
    arguments = ["run", CONFIG, "--input", crawl, "--out", out, "--workers", 0, *sets]
    keys = [setting.partition("=")[0] for setting in settings]
    assert_one_line(seimai(*arguments), str(out), *keys, "use another --out, or --rebuild")
    assert seimai("verify", out).code == 0
    assert seimai(*arguments, "--rebuild").code == 0
    assert seimai("verify", out).code == 0


HOLD = """
import sys
from pathlib import Path
from seimai.pipeline.state import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_at_the_same_time(seimai: Seimai, crawl: Path, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        done = seimai("run", CONFIG, "--input", crawl, "--out", out, "--workers", 0)
        assert_one_line(done, f"{out}: another run works here (process {holder.pid} on ", "use another --out")
        holder.stdin.close()
    assert seimai("run", CONFIG, "--input", crawl, "--out", out, "--workers", 0).code == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [("gone", "no such folder"), ("empty", "has no manifest.json"), ("file", "no such folder")],
)
def test_verify_needs_a_finished_folder(seimai: Seimai, tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert_one_line(seimai("verify", tmp_path / name), str(tmp_path / name), words)


def test_init_writes_a_config_that_loads_and_leaves_an_old_one(seimai: Seimai, crawl: Path, tmp_path: Path) -> None:
    path = tmp_path / "web.toml"
    done = seimai("init", path)
    assert done.code == 0
    assert f"seimai run {path}" in done.out
    assert path.read_bytes() == CONFIG.read_bytes()
    path.write_text("mine")
    assert_one_line(seimai("init", path), "exists; give another name")
    assert path.read_text() == "mine"


def test_a_part_that_fails_shows_in_the_exit_code(
    seimai: Seimai, crawl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seimai.pipeline import job, stages

    def fail(_: object) -> None:
        raise ValueError("a parser gave up")

    monkeypatch.setattr(job, "work_part", fail)
    monkeypatch.setattr(stages, "work_part", fail)
    arguments = ["run", CONFIG, "--input", crawl, "--out", tmp_path / "run", "--workers", 0]
    assert_one_line(seimai(*arguments), "1 parts failed", "ValueError: a parser gave up", "type the same command again")
    monkeypatch.undo()
    monkeypatch.setattr(sys, "argv", sys.argv)
    assert seimai(*arguments).code == 0


def test_a_missing_package_is_one_line(seimai: Seimai, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(cli, "app", absent)
    assert_one_line(seimai("train"), "torch is not installed; pip install 'seimai[all]'")


def test_a_full_disk_is_one_line(seimai: Seimai, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device", "/run/shards")

    monkeypatch.setattr(cli, "app", full)
    assert_one_line(seimai("run"), "/run/shards: no space left")
