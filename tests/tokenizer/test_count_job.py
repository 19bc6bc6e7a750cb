"""Counting against a plain Counter, and the same bytes for any order of work, after kills and damage; refusals."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from seimai.errors import ConfigError, InputError, RunError
from seimai.files import sha256_file
from seimai.pipeline.run import Engine
from seimai.sample.articles import articles
from seimai.tokenizer import count_job, count_map, count_merge, count_sample, count_tasks
from seimai.tokenizer.count_job import CountSummary, count_sources
from seimai.tokenizer.count_sample import Balance, CountSettings
from seimai.tokenizer.counts import finder
from seimai.tokenizer.sources import open_sources
from seimai.tokenizer.split import split_pattern
from seimai.verify import verify

Row = dict[str, Any]


def _rows() -> list[Row]:
    """Articles of six languages; every fifth has no host, hosts write in several languages, some are held out."""
    return [
        {"text": a.text, "lang": a.lang, "split": "train" if n % 7 else "held_out"}
        | ({} if n % 5 == 0 else {"host": f"host{n % 11}.example"})
        for n, a in enumerate(articles())
    ]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return _rows()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> list[Path]:
    """The rows in three files, so that a host's documents lie in all of them."""
    folder = tmp_path_factory.mktemp("files")
    paths = [folder / f"part{n}.jsonl" for n in range(3)]
    for n, path in enumerate(paths):
        lines = [json.dumps(row, ensure_ascii=False) for row in rows[n::3]]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return paths


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory, files: list[Path]) -> Path:
    """Counts of the files with a cap of 3, made in this process in one go."""
    out = tmp_path_factory.mktemp("counted") / "counts"
    _count(files, out)
    return out


def _count(
    paths: Sequence[Path],
    out: Path,
    settings: CountSettings | None = None,
    part_map: Callable[..., Any] = map,
    in_memory_bytes: int = 0,
) -> CountSummary:
    """By slices and ranges, as more text than there is in a test would be."""
    shards = open_sources(paths)
    settings = settings or CountSettings(host_cap=3)
    return count_sources(shards, out, settings, part_map=part_map, in_memory_bytes=in_memory_bytes)


def _digests(out: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in sorted(out.iterdir())}


def _expected(rows: list[Row], langs: list[str], cap: int) -> dict[bytes, tuple[int, ...]]:
    """The same by Counters: documents, hosts and counts by language of every pre-token."""
    find = finder(split_pattern())
    of_host: dict[tuple[str, Any], Counter[str]] = defaultdict(Counter)
    documents: Counter[str] = Counter()
    for number, row in enumerate(rows):
        if row["split"] == "train":
            for token, n in Counter(find(row["text"])).items():
                documents[token] += 1
                of_host[token, row.get("host", number)][row["lang"]] += n
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    hosts: Counter[str] = Counter()
    for (token, _), by_lang in of_host.items():
        hosts[token] += 1
        most = min(cap, by_lang.total())
        for at, lang in enumerate(langs):
            before, behind = (sum(by_lang[name] for name in langs[:end]) for end in (at, at + 1))
            sums[token][lang] += most * behind // by_lang.total() - most * before // by_lang.total()
    return {
        token.encode(): (sums[token].total(), documents[token], hosts[token], *(sums[token][lang] for lang in langs))
        for token in documents
    }


@pytest.mark.parametrize("cap", [3, 20, 0])
def test_the_table_is_what_counters_say(rows: list[Row], files: list[Path], tmp_path: Path, cap: int) -> None:
    summary = _count(files, tmp_path / "counts", CountSettings(host_cap=cap))
    table = pq.read_table(tmp_path / "counts" / "counts.parquet")
    langs = sorted({row["lang"] for row in rows})
    assert table.column_names == [
        *("pretoken", "count", "n_documents", "n_hosts"),
        *(f"count_{lang}" for lang in langs),
    ]
    found = {row["pretoken"]: tuple(row.values())[1:] for row in table.to_pylist()}
    assert found == _expected(rows, langs, cap or 1 << 40)
    assert table["pretoken"].to_pylist() == sorted(found)
    assert summary.n_pretokens == table.num_rows
    train = [row for row in rows if row["split"] == "train"]
    assert {lang: sums["documents"] for lang, sums in summary.sample.items()} == Counter(r["lang"] for r in train)
    assert sum(sums["bytes"] for sums in summary.sample.values()) == sum(len(r["text"].encode()) for r in train)


def test_order_and_slicing_change_no_byte(
    files: list[Path], counted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def backwards(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        return [function(item) for item in reversed(list(items))]

    _count(files[::-1], tmp_path / "reversed", part_map=backwards)
    assert _digests(tmp_path / "reversed") == _digests(counted)
    runs = count_map.count_runs

    def small_runs(*arguments: Any, **options: Any) -> Any:
        return runs(*arguments, **options, flush_pairs=2000)

    monkeypatch.setattr(count_tasks, "count_runs", small_runs)
    monkeypatch.setattr("seimai.tokenizer.count_job.cut_ranges", lambda paths: count_merge.cut_ranges(paths, 1000))
    _count(files, tmp_path / "small")
    assert _digests(tmp_path / "small") == _digests(counted)


BALANCED = CountSettings(host_cap=3, balance=Balance(exponent=Fraction(1, 2)))


@pytest.mark.parametrize("settings", [CountSettings(host_cap=3), CountSettings(host_cap=0), BALANCED])
def test_little_text_in_one_go_gives_the_same_bytes(files: list[Path], tmp_path: Path, settings: CountSettings) -> None:
    done: list[tuple[str, str]] = []
    _count(files, tmp_path / "slices", settings)
    _count(files, tmp_path / "whole", settings, _recorder(done), in_memory_bytes=1 << 25)
    assert [task for task, _ in done] == ["survey_slice"] * 3 + ["count_whole"]
    assert _digests(tmp_path / "whole") == _digests(tmp_path / "slices")


def test_whole_counts_are_not_counted_again(
    files: list[Path], counted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(count_job, "write_table", stop)
        with pytest.raises(KeyboardInterrupt):
            _count(files, tmp_path / "counts", in_memory_bytes=1 << 25)
    done: list[tuple[str, str]] = []
    _count(files, tmp_path / "counts", None, _recorder(done), in_memory_bytes=1 << 25)
    assert done == []
    assert _digests(tmp_path / "counts") == _digests(counted)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_no_byte(files: list[Path], counted: Path, tmp_path: Path, workers: int) -> None:
    with Engine(workers=workers) as engine:
        _count(files, tmp_path / "counts", part_map=engine.results)
    assert _digests(tmp_path / "counts") == _digests(counted)


KILLED = """
import os, signal, sys
from pathlib import Path
from seimai.tokenizer.count_job import count_sources
from seimai.tokenizer.count_sample import CountSettings
from seimai.tokenizer.sources import open_sources

def part_map(function, items):
    for number, item in enumerate(items):
        if function.func.__name__ == sys.argv[1] and number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        yield function(item)

out, *paths = map(Path, sys.argv[2:])
count_sources(open_sources(paths), out, CountSettings(host_cap=3), part_map=part_map, in_memory_bytes=0)
"""


@pytest.fixture
def killed(files: list[Path], tmp_path: Path) -> Path:
    """Counts whose process was killed after the first of three slices was counted."""
    out = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, "count_slice", str(out), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (out / "manifest.json").exists()
    assert len(list((out / "state" / "count").iterdir())) == 1
    return out


def _recorder(done: list[tuple[str, str]]) -> Callable[..., Iterator[Any]]:
    def part_map(function: Any, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            done.append((function.func.__name__, item.part))
            yield function(item)

    return part_map


def test_a_kill_costs_only_what_was_not_finished(files: list[Path], counted: Path, killed: Path) -> None:
    (killed / ".counts.parquet.0123456789abcdef.tmp").write_bytes(b"half")
    done: list[tuple[str, str]] = []
    _count(files, killed, part_map=_recorder(done))
    assert [part for task, part in done if task == "count_slice"] == ["00001-000000", "00002-000000"]
    assert not [part for task, part in done if task == "survey_slice"]
    assert _digests(killed) == _digests(counted)


def test_a_truncated_run_is_counted_again(files: list[Path], counted: Path, killed: Path) -> None:
    [run] = (killed / "runs").iterdir()
    os.truncate(run, run.stat().st_size // 2)
    done: list[tuple[str, str]] = []
    _count(files, killed, part_map=_recorder(done))
    assert len([part for task, part in done if task == "count_slice"]) == 3
    assert _digests(killed) == _digests(counted)


def test_other_text_is_not_taken_from_a_killed_run(files: list[Path], killed: Path, tmp_path: Path) -> None:
    _count(files[:2], killed)
    _count(files[:2], tmp_path / "fresh")
    assert _digests(killed) == _digests(tmp_path / "fresh")


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(
    files: list[Path], counted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "runs")

    with monkeypatch.context() as patch, Engine(workers=0) as engine:
        patch.setattr("pyarrow.ipc.new_file", full)
        with pytest.raises(RunError, match="no space left; free some") as caught:
            _count(files, tmp_path / "counts", part_map=engine.results)
    assert "\n" not in str(caught.value)
    _count(files, tmp_path / "counts")
    assert _digests(tmp_path / "counts") == _digests(counted)


def test_a_task_that_fails_leaves_the_rest_done(
    files: list[Path], counted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = count_sample.survey

    def fails_once(shard: Any, seed: int) -> Any:
        if shard.path == files[0]:
            raise ValueError("a disk was pulled")
        return survey(shard, seed)

    with monkeypatch.context() as patch, Engine(workers=0) as engine:
        patch.setattr(count_tasks, "survey", fails_once)
        with pytest.raises(RunError, match="1 tasks failed, the first with ValueError: a disk was pulled"):
            _count(files, tmp_path / "counts", part_map=engine.results)
    assert len(list((tmp_path / "counts" / "state" / "survey").iterdir())) == 2
    _count(files, tmp_path / "counts")
    assert _digests(tmp_path / "counts") == _digests(counted)


def test_the_same_again_does_nothing_and_another_is_refused(files: list[Path], counted: Path) -> None:
    before = _digests(counted)
    assert _count(files, counted).reused
    with pytest.raises(RunError, match="host_cap 3 there, 4 asked"):
        _count(files, counted, CountSettings(host_cap=4))
    with pytest.raises(RunError, match="other text"):
        _count(files[:1], counted)
    assert _digests(counted) == before
    assert verify(counted)[0] == 1


def test_a_damaged_table_is_made_again(files: list[Path], counted: Path, tmp_path: Path) -> None:
    out = tmp_path / "counts"
    _count(files, out)
    os.truncate(out / "counts.parquet", 100)
    assert not _count(files, out).reused
    assert _digests(out) == _digests(counted)


def test_a_folder_of_something_else_stays_as_it_is(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("dear")
    for out, words in ((tmp_path / "letters", "dear.txt"), (files[0], "is a file")):
        with pytest.raises(RunError, match=words):
            _count(files, out)
    assert [path.name for path in (tmp_path / "letters").iterdir()] == ["dear.txt"]


def test_languages_are_balanced_in_bytes(files: list[Path], tmp_path: Path) -> None:
    shares = {"ja": Fraction(3, 4), "en": Fraction(1, 4)}
    _count(files, tmp_path / "counts", CountSettings(host_cap=0, balance=Balance(shares)))
    table = pq.read_table(tmp_path / "counts" / "counts.parquet")
    manifest = json.loads((tmp_path / "counts" / "manifest.json").read_text(encoding="utf-8"))
    mass = {
        lang: sum(len(row["pretoken"]) * row[f"count_{lang}"] for row in table.to_pylist())
        for lang in manifest["weights"]
    }
    weighed = {lang: mass[lang] * manifest["weights"][lang] for lang in mass}
    assert manifest["weights"]["de"] == 0.0
    assert min(weight for weight in manifest["weights"].values() if weight) == 1.0
    assert weighed["ja"] / (weighed["ja"] + weighed["en"]) == pytest.approx(0.75, abs=1e-4)
    for row in table.to_pylist():
        exact = sum(row[f"count_{lang}"] * weight for lang, weight in manifest["weights"].items())
        assert abs(row["count"] - exact) <= 0.5
        assert row["count"] > 0


def test_a_sample_has_its_size_and_does_not_follow_the_files(
    files: list[Path], rows: list[Row], tmp_path: Path
) -> None:
    settings = CountSettings(host_cap=0, sample_bytes=120_000, balance=Balance(exponent=Fraction(1, 2)))
    summary = _count(files, tmp_path / "sample", settings)
    longest = max(len(row["text"].encode()) for row in rows)
    assert abs(sum(sums["bytes"] for sums in summary.sample.values()) - 120_000) < 6 * 2 * longest
    _count(files[::-1], tmp_path / "again", settings)
    assert _digests(tmp_path / "again") == _digests(tmp_path / "sample")
    other = _count(files, tmp_path / "other", replace(settings, seed=2))
    assert other.sample != summary.sample


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        (CountSettings(host_cap=-1), ConfigError, "host_cap -1"),
        (CountSettings(sample_bytes=-1), ConfigError, "sample_bytes -1"),
        (CountSettings(digits=4), ConfigError, "digits 4"),
        (
            CountSettings(balance=Balance({"xx": Fraction(1)})),
            ConfigError,
            "no training document in 'xx'; there",
        ),
    ],
)
def test_a_wrong_setting_is_one_line(
    files: list[Path], tmp_path: Path, settings: CountSettings, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        _count(files, tmp_path / "counts", settings)
    assert "\n" not in str(caught.value)


def test_nothing_to_count_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "split": "held_out"}\n')
    with pytest.raises(InputError, match="no document with split 'train'"):
        _count([path], tmp_path / "counts")


def test_many_languages_share_a_column(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps({"text": "word " * (n + 1), "lang": f"l{n:02d}", "split": "train"}) for n in range(20)]
    path.write_text("\n".join(lines))
    summary = _count([path], tmp_path / "counts", CountSettings(host_cap=0))
    assert sorted(summary.sample) == [*(f"l{n:02d}" for n in range(5, 20)), "other"]
    assert summary.sample["other"] == {"documents": 5, "bytes": 5 * (1 + 2 + 3 + 4 + 5)}
