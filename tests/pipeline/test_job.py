"""Whole runs on the sample crawl: resumed, retuned, mended, and the same bytes however they are cut and worked."""

import itertools
import json
import os
import shutil
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seimai.config import apply_overrides, parse_config
from seimai.errors import InputError, RunError, VerifyError
from seimai.files import sha256_file
from seimai.pipeline import job, stages
from seimai.pipeline.job import RunSummary, polish
from seimai.pipeline.manifest import manifest_files, manifest_head, verify
from seimai.pipeline.run import Engine
from seimai.pipeline.settings import RunConfig
from seimai.pipeline.stages import PartTask, work_part

SMALL = "input.part_bytes=100000"
TEMPLATES = "cleaning.host_min_pages=3"
"""The sample's sites have three to five pages."""
STAGES = ("read", "line_rules", "repeated_lines", "signals", "signatures", "clusters", "decisions", "write")
MANIFEST = ("manifest.json", "manifest.sha256", "report.html")
Make = Callable[..., bytes]
Snapshot = dict[str, tuple[int, str]]


def run(out: Path, *inputs: Path, sets: tuple[str, ...] = (SMALL,), workers: int = 0, **more: Any) -> RunSummary:
    config = parse_config(apply_overrides({}, (TEMPLATES, *sets)), RunConfig, "test")
    return polish(config, out, inputs=[str(path) for path in inputs], engine=Engine(workers=workers), **more)


def shards(out: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in sorted((out / "shards").iterdir())}


def snapshot(out: Path) -> Snapshot:
    """Modification time and digest of every file."""
    files = [path for path in sorted(out.rglob("*")) if path.is_file()]
    return {path.relative_to(out).as_posix(): (path.stat().st_mtime_ns, sha256_file(path)) for path in files}


def differing(before: Snapshot, after: Snapshot) -> set[str]:
    """Files that were written, removed or made since."""
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def rewritten(before: Snapshot, after: Snapshot) -> Counter[str]:
    """How many markers of each stage were written anew."""
    names = [name.split("/") for name in differing(before, after)]
    return Counter(name[1] for name in names if name[0] == "state" and len(name) == 3)


def key_of(marker: Path) -> str:
    """The archive a read marker is about."""
    return str(json.loads(marker.read_text())["input"]["key"])


def age(out: Path) -> None:
    """Set all times back, so that a rewritten file is seen however fast the test is."""
    for path in out.rglob("*"):
        if path.is_file():
            os.utime(path, (1_000_000_000, 1_000_000_000))


def split_archive(archive: Path, folder: Path, cuts: tuple[float, ...] = (0.3, 0.6)) -> list[Path]:
    """The records of an archive in several."""
    members, data = [], archive.read_bytes()
    starts = [at for at in range(len(data)) if data.startswith(b"\x1f\x8b\x08", at) and _begins(data[at : at + 400])]
    for start, stop in zip(starts, [*starts[1:], len(data)], strict=True):
        members.append(data[start:stop])
    bounds = [0, *(int(cut * len(members)) for cut in cuts), len(members)]
    paths = []
    folder.mkdir(parents=True, exist_ok=True)
    for number, (low, high) in enumerate(itertools.pairwise(bounds)):
        path = folder / f"part{number}.warc.gz"
        path.write_bytes(b"".join(members[low:high]))
        os.utime(path, (1_700_000_000, 1_700_000_000))
        paths.append(path)
    return paths


def _begins(data: bytes) -> bool:
    try:
        return zlib.decompressobj(31).decompress(data, 5) == b"WARC/"
    except zlib.error:
        return False


@pytest.fixture(scope="module")
def finished_run(sample_warc: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run over three archives; tests copy it."""
    folder = tmp_path_factory.mktemp("finished")
    summary = run(folder / "run", *split_archive(sample_warc, folder / "crawl"))
    assert summary.changed
    age(folder / "run")
    return folder


@pytest.fixture
def fresh(finished_run: Path, tmp_path: Path) -> tuple[Path, list[Path]]:
    """A copy of the finished run and of its archives."""
    shutil.copytree(finished_run, tmp_path, dirs_exist_ok=True)
    return tmp_path / "run", sorted((tmp_path / "crawl").iterdir())


def test_a_run_keeps_both_languages_and_accounts_for_every_page(finished_run: Path) -> None:
    head = manifest_head(finished_run / "run")
    totals = head["totals"]
    assert {lang: sums["documents"] > 40 for lang, sums in totals["kept"].items()} == {"en": True, "ja": True}
    assert sum(count for _, _, count in totals["reasons"]) == totals["read"]["documents"]
    kept = Counter[str]()
    for path in (finished_run / "run" / "shards").iterdir():
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
        kept.update(table["lang"].to_pylist())
        pairs = zip(table["text"].to_pylist(), table["n_chars"].to_pylist(), strict=True)
        assert all(len(text) == n_chars > 0 for text, n_chars in pairs)
    assert dict(kept) == {lang: sums["documents"] for lang, sums in totals["kept"].items()}


def test_shards_hold_the_edited_texts_and_documents_the_texts_as_read(finished_run: Path) -> None:
    out = finished_run / "run"
    texts, cut = {}, Counter[str]()
    for path in sorted((out / "documents").iterdir()):
        for row in pq.read_table(path, columns=["id", "text"]).to_pylist():
            texts[row["id"]] = row["text"]
    gone: dict[str, set[int]] = {identity: set() for identity in texts}
    for path in sorted((out / "edits").rglob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            gone[row["id"]] |= set(range(row["start"], row["end"]))
            cut[row["reason"]] += 1
    assert {"breadcrumbs", "host_line"} <= set(cut)
    found = 0
    for path in sorted((out / "shards").iterdir()):
        for row in pa.ipc.open_file(path).read_all().select(["id", "text", "n_chars"]).to_pylist():
            left = "".join(c for k, c in enumerate(texts[row["id"]]) if k not in gone[row["id"]])
            assert (row["text"], row["n_chars"]) == (left, len(left))
            found += bool(gone[row["id"]])
    assert found > 10
    for path in sorted((out / "signals").iterdir()):
        for row in pq.read_table(path, columns=["id", "n_chars", "n_cut_chars"]).to_pylist():
            text = texts[row["id"]]
            expected = (None, None) if text is None else (len(text) - len(gone[row["id"]]), len(gone[row["id"]]))
            assert (row["n_chars"], row["n_cut_chars"]) == expected


def test_row_aligned_files_have_the_same_ids(finished_run: Path) -> None:
    out = finished_run / "run"
    parts = sorted(path.name for path in (out / "documents").iterdir())
    assert len(parts) >= 6
    for part in parts:
        ids = pq.read_table(out / "documents" / part, columns=["id"])["id"].to_pylist()
        for kind in ("signals", "signatures", "clusters", "decisions"):
            assert pq.read_table(out / kind / part, columns=["id"])["id"].to_pylist() == ids


def test_a_finished_run_computes_nothing(fresh: tuple[Path, list[Path]]) -> None:
    out, inputs = fresh
    before = snapshot(out)
    run(out, *inputs)
    after = snapshot(out)
    assert rewritten(before, after) == {}
    # The archives were copied, so the config names other paths and its digest stands in the manifest.
    assert differing(before, after) == {"config.toml", "state/order.arrow", *MANIFEST}
    age(out)
    before = snapshot(out)
    summary = run(out, *inputs)
    assert not summary.changed
    assert summary.totals == manifest_head(out)["totals"]
    assert differing(before, snapshot(out)) == {"state/order.arrow"}
    verify(out)


@pytest.mark.parametrize(
    ("setting", "again"),
    [
        ("quality.ja.min_lang_score=0.999", {"decisions", "write"}),
        ("dedup.bands=8", {"clusters", "decisions", "write"}),
        ("dedup.seed=2", {"signatures", "clusters", "decisions", "write"}),
        ("output.shard_bytes=50000", {"write"}),
        ("output.signals=['n_words']", {"write"}),
        ("output.audit_samples=3", {"decisions"}),
        ("cleaning.line_rules={}", {*STAGES} - {"read"}),
        ("cleaning.host_min_pages=0", {*STAGES} - {"read", "line_rules"}),
        ("cleaning.corpus=first", {*STAGES} - {"read", "line_rules"}),
        ("cleaning.memory_mb=1", set()),
    ],
)
def test_a_setting_recomputes_what_follows_from_it(
    fresh: tuple[Path, list[Path]], setting: str, again: set[str]
) -> None:
    out, inputs = fresh
    before, results = snapshot(out), shards(out)
    run(out, *inputs, sets=(SMALL, *_whole_quality(setting)))
    counts = rewritten(before, snapshot(out))
    assert set(counts) == again or set(counts) == again - {"write"}
    verify(out)
    age(out)
    run(out, *inputs)
    assert shards(out) == results
    verify(out)


def _whole_quality(setting: str) -> tuple[str, ...]:
    """A config that names one language names both, and their presets."""
    return (setting, "quality.ja.preset=web-ja", "quality.en.preset=web-en") if "quality" in setting else (setting,)


def test_a_changed_archive_recomputes_its_own_parts(fresh: tuple[Path, list[Path]]) -> None:
    out, inputs = fresh
    before = snapshot(out)
    data = inputs[1].read_bytes()
    inputs[1].write_bytes(data[:-1000] + bytes(1000))
    run(out, *inputs)
    after = snapshot(out)
    own = {path.stem for path in (out / "state" / "read").iterdir() if key_of(path) == inputs[1].name}
    for stage in ("read", "line_rules"):
        markers = {Path(name).stem for name in differing(before, after) if name.startswith(f"state/{stage}/")}
        assert markers
        assert markers <= own
    assert set(rewritten(before, after)) == set(STAGES)
    verify(out)
    shutil.rmtree(out)
    run(out, *inputs)
    assert shards(out) == {Path(n).name: digest for n, (_, digest) in after.items() if n.startswith("shards/")}


def test_a_grown_archive_reads_its_new_end(fresh: tuple[Path, list[Path]]) -> None:
    out, inputs = fresh
    before = snapshot(out)
    inputs[0].write_bytes(inputs[0].read_bytes() + inputs[0].read_bytes()[:50_000])
    run(out, *inputs)
    changed = [name for name in differing(before, snapshot(out)) if name.startswith("documents/")]
    assert 1 <= len(changed) <= 2
    verify(out)


def test_a_touched_archive_gets_a_new_stamp_and_nothing_else(fresh: tuple[Path, list[Path]]) -> None:
    out, inputs = fresh
    run(out, *inputs)
    age(out)
    before = snapshot(out)
    os.utime(inputs[0], (1_700_000_777, 1_700_000_777))
    summary = run(out, *inputs)
    after = snapshot(out)
    markers = {name for name in differing(before, after) if name.startswith("state/read/")}
    assert {key_of(out / name) for name in markers} == {inputs[0].name}
    assert differing(before, after) - markers == {*MANIFEST, "state/order.arrow"}
    assert summary.changed
    verify(out)


def test_check_inputs_sees_what_size_and_time_hide(fresh: tuple[Path, list[Path]]) -> None:
    out, inputs = fresh
    results = shards(out)
    data = inputs[0].read_bytes()
    inputs[0].write_bytes(data[:-500] + bytes(500))
    os.utime(inputs[0], (1_700_000_000, 1_700_000_000))
    run(out, *inputs)
    assert shards(out) == results, "trusted by size and time"
    run(out, *inputs, check_inputs=True)
    verify(out)
    damaged = manifest_head(out)["totals"]["read"]
    assert damaged.get("archive.broken_member", 0) + damaged.get("archive.cut_member", 0) >= 1


def test_a_removed_archive_disappears(fresh: tuple[Path, list[Path]]) -> None:
    out, inputs = fresh
    run(out, *inputs[:2])
    head = manifest_head(out)
    assert [source["key"] for source in head["inputs"]] == ["part0.warc.gz", "part1.warc.gz"]
    assert {key_of(path) for path in (out / "state" / "read").iterdir()} == {"part0.warc.gz", "part1.warc.gz"}
    verify(out)
    left = shards(out)
    shutil.rmtree(out)
    run(out, *inputs[:2])
    assert shards(out) == left


def test_shards_follow_neither_order_nor_cuts_nor_names_of_folders(
    finished_run: Path, tmp_path: Path, fresh: tuple[Path, list[Path]]
) -> None:
    _, inputs = fresh
    expected = shards(finished_run / "run")
    for number, (paths, part_bytes) in enumerate([(inputs[::-1], 10**6), (inputs[1:] + inputs[:1], 41_111)]):
        out = tmp_path / f"other{number}"
        run(out, *paths, sets=(f"input.part_bytes={part_bytes}",))
        assert shards(out) == expected


def test_an_archive_inside_a_payload_is_chained(
    tmp_path: Path, finished_run: Path, warc_record: Make, warc_archive: Make, http_page: Make
) -> None:
    text = (
        "This is a page of plain English prose about the weather, the harbour and the people who live beside it. " * 9
    )
    carrier = b"HTTP/1.1 200 OK\r\nContent-Type: application/gzip\r\n\r\n"
    records = [warc_record(n, http_page(n, f"{text} {n}")) for n in range(5)]
    records.insert(2, warc_record(99, carrier + (finished_run / "crawl" / "part0.warc.gz").read_bytes()[:60_000]))
    archive = tmp_path / "outer.warc.gz"
    archive.write_bytes(warc_archive(records, 0))
    results = []
    for part_bytes in (30_000, 7_777, 10**7):
        out, sets = tmp_path / str(part_bytes), (f"input.part_bytes={part_bytes}", "quality.en.preset=none")
        assert run(out, archive, sets=sets).totals["read"]["documents"] == 6
        verify(out)
        assert not run(out, archive, sets=sets).changed
        results.append(shards(out))
    assert results[0] == results[1] == results[2]
    assert results[0]


def test_two_workers_give_the_same_bytes(finished_run: Path, fresh: tuple[Path, list[Path]]) -> None:
    out, inputs = fresh
    shutil.rmtree(out)
    summary = run(out, *inputs, workers=2)
    assert summary.failed_parts == []
    assert shards(out) == shards(finished_run / "run")
    mine, theirs = snapshot(out), snapshot(finished_run / "run")
    data = {
        n
        for n in theirs
        if n.split("/")[0] in ("documents", "edits", "signals", "signatures", "clusters", "decisions", "audit")
    }
    assert {n: mine[n][1] for n in data} == {n: theirs[n][1] for n in data}
    verify(out)


KINDS = {
    "config": "config.toml",
    "canaries": "canaries.json",
    "report": "report.html",
    "manifest": "manifest.json",
    "digest": "manifest.sha256",
    "order": "state/order.arrow",
    "audit of drops": "audit/dropped.parquet",
    "audit of a part": "audit/*-*.parquet",
    "documents": "documents/*.parquet",
    "line edits": "edits/line_rules/*.parquet",
    "repeated edits": "edits/repeated_lines/*.parquet",
    "signals": "signals/*.parquet",
    "signatures": "signatures/*.parquet",
    "clusters": "clusters/*.parquet",
    "decisions": "decisions/*.parquet",
    "shards": "shards/ja-*.arrow",
    **{f"marker of {stage}": f"state/{stage}/*.json" for stage in STAGES},
}


@pytest.mark.parametrize("kind", KINDS)
def test_one_changed_byte_is_found_and_mended(finished_run: Path, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished_run / "run", out)
    inputs = sorted((finished_run / "crawl").iterdir())
    verify(out)
    path = sorted(out.glob(KINDS[kind]))[-1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    name = path.relative_to(out).as_posix()
    with pytest.raises(VerifyError, match=name) as caught:
        verify(out)
    assert "\n" not in str(caught.value)
    path.unlink()
    if kind != "manifest":
        with pytest.raises(VerifyError, match=name):
            verify(out)
    run(out, *inputs)
    verify(out)
    assert shards(out) == shards(finished_run / "run")


def test_every_file_is_listed(finished_run: Path) -> None:
    out = finished_run / "run"
    listed = {entry["path"] for entry in manifest_files(out)} | {"manifest.json", "manifest.sha256"}
    assert listed == {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    covered = {
        name for pattern in KINDS.values() for name in (p.relative_to(out).as_posix() for p in out.glob(pattern))
    }
    assert {name for name in listed - covered if not name.startswith("shards/")} == set()


@pytest.mark.parametrize(
    "name", ["extra.txt", "documents/extra.parquet", "shards/.ja-00000.arrow.0123.tmp", "state/read/x"]
)
def test_an_unlisted_file_is_named(finished_run: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished_run / "run", out)
    (out / name).write_text("x")
    with pytest.raises(VerifyError, match=f"unlisted {name}"):
        verify(out)


@pytest.mark.parametrize("stage", STAGES)
def test_torn_markers_are_made_again(finished_run: Path, tmp_path: Path, stage: str) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished_run / "run", out)
    for path in (out / "state" / stage).iterdir():
        path.write_bytes(path.read_bytes()[:100])
    (out / "state" / stage / "0000000000000000-0000000000000.json").write_bytes(b"")
    run(out, *sorted((finished_run / "crawl").iterdir()))
    verify(out)
    assert shards(out) == shards(finished_run / "run")


def test_a_run_killed_between_stages_goes_on(finished_run: Path, tmp_path: Path) -> None:
    """Every prefix of the stages is a state that a kill may leave."""
    expected = shards(finished_run / "run")
    inputs = sorted((finished_run / "crawl").iterdir())
    for cut in range(len(STAGES)):
        out = tmp_path / f"run{cut}"
        shutil.copytree(finished_run / "run", out)
        (out / "manifest.json").unlink()
        for stage in STAGES[cut:]:
            for path in sorted((out / "state" / stage).iterdir())[::2]:
                path.unlink()
        (out / "work").mkdir()
        (out / "work" / "left").touch()
        (out / "documents" / ".x.parquet.00.tmp").touch()
        run(out, *inputs)
        verify(out)
        assert shards(out) == expected


KILLED = """
import sys
from pathlib import Path
from seimai.pipeline.job import polish
from seimai.pipeline.run import Engine
from seimai.pipeline.settings import RunConfig
from seimai.config import parse_config
config = parse_config({"input": {"part_bytes": 40000}, "cleaning": {"host_min_pages": 3}}, RunConfig, "x")
polish(config, Path(sys.argv[1]), inputs=sys.argv[2:], engine=Engine(workers=0))
"""


@pytest.mark.parametrize("delay_s", [0.05, 0.3])
def test_a_killed_driver_leaves_a_run_that_goes_on(
    fresh: tuple[Path, list[Path]], finished_run: Path, delay_s: float
) -> None:
    out, inputs = fresh
    shutil.rmtree(out)
    with subprocess.Popen([sys.executable, "-c", KILLED, str(out), *map(str, inputs)]) as driver:
        while driver.poll() is None and not list(out.glob("state/read/*.json")):
            pass
        try:
            driver.wait(delay_s)
        except subprocess.TimeoutExpired:
            driver.kill()
    assert list(out.glob("state/read/*.json"))
    run(out, *inputs, sets=("input.part_bytes=40000",))
    verify(out)
    assert shards(out) == shards(finished_run / "run")


def _fail_second(task: PartTask) -> Any:
    if task.part.source.key == "part1.warc.gz" and task.part.start == 0:
        raise ValueError("a parser\ngave up")
    return work_part(task)


@pytest.mark.parametrize("part_bytes", [100_000, 9_000], ids=["alone", "bundled with others"])
def test_a_part_that_fails_is_listed_and_the_rest_finished(
    fresh: tuple[Path, list[Path]], finished_run: Path, part_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, inputs = fresh
    shutil.rmtree(out)
    monkeypatch.setattr(job, "work_part", _fail_second)
    monkeypatch.setattr(stages, "work_part", _fail_second)
    sets = (f"input.part_bytes={part_bytes}",)
    summary = run(out, *inputs, sets=sets)
    assert [part["error"] for part in summary.failed_parts] == ["ValueError: a parser gave up"]
    assert manifest_head(out)["failed_parts"] == summary.failed_parts
    assert summary.totals["kept"]["ja"]["documents"] > 20
    verify(out)
    monkeypatch.undo()
    age(out)
    before = snapshot(out)
    summary = run(out, *inputs, sets=sets)
    assert summary.failed_parts == []
    again = {name for name in differing(before, snapshot(out)) if name.startswith("documents/")}
    assert len(again) == 1
    assert all(name not in before for name in again)
    assert shards(out) == shards(finished_run / "run")


def refused(out: Path, *inputs: Path, sets: tuple[str, ...] = (SMALL,)) -> str:
    with pytest.raises(RunError) as caught:
        run(out, *inputs, sets=sets)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("setting", "key"),
    [
        ("gates.min_lang_score=0.1", "gates.min_lang_score"),
        ("gates.languages=['ja','en','zh']", "gates.languages"),
        ("extract.engine=precise", "extract.engine"),
        ("input.part_bytes=200000", "input.part_bytes"),
        ("held_out.share=0.5", "held_out.share"),
        ("input.name=mine", "input.name"),
    ],
)
def test_another_reading_is_refused_by_its_key(fresh: tuple[Path, list[Path]], setting: str, key: str) -> None:
    out, inputs = fresh
    before = snapshot(out)
    message = refused(out, *inputs, sets=(SMALL, setting))
    assert key in message
    assert "use another --out, or --rebuild" in message
    assert snapshot(out) == before
    verify(out)


def test_a_rebuild_reads_again(fresh: tuple[Path, list[Path]]) -> None:
    out, inputs = fresh
    run(out, *inputs, sets=(SMALL, "gates.languages=['ja']"), rebuild=True)
    assert list(manifest_head(out)["totals"]["kept"]) == ["ja"]
    verify(out)
    age(out)
    before = snapshot(out)
    run(out, *inputs, sets=(SMALL, "gates.languages=['ja']"), rebuild=True)
    assert rewritten(before, snapshot(out)) == {}, "nothing differs, so nothing is read again"


def test_folders_that_are_no_run_are_left_alone(tmp_path: Path, sample_warc: Path) -> None:
    (tmp_path / "file").touch()
    assert "is a file" in refused(tmp_path / "file", sample_warc)
    assert "cannot be written" in refused(tmp_path / "file" / "below", sample_warc)
    assert "cannot be written" in refused(Path("/proc/seimai-run"), sample_warc)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    assert "holds files that are no run's" in refused(tmp_path / "home", sample_warc)
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["letter.txt"]


def test_a_mistake_in_the_inputs_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        run(tmp_path / "run", tmp_path / "gone.warc.gz")
    assert not (tmp_path / "run").exists()


def test_a_crawl_without_pages_is_a_run(tmp_path: Path, warc_record: Make, warc_archive: Make) -> None:
    archive = tmp_path / "empty.warc.gz"
    archive.write_bytes(warc_archive([warc_record(0, b"software: x", kind="warcinfo")]))
    summary = run(tmp_path / "run", archive)
    assert (summary.totals["kept"], summary.totals["read"]["records.warcinfo"]) == ({}, 1)
    verify(tmp_path / "run")
    assert not run(tmp_path / "run", archive).changed


def totals_of(head: Mapping[str, Any], name: str) -> int:
    return int(head["totals"]["read"].get(name, 0))


def test_real_archives_with_damage(real_warcs: Path, tmp_path: Path) -> None:
    names = ["damaged_clipped.warc.gz", "damaged_nonchunked.warc.gz", "damaged_trunc.warc", "cc_2019_1page.warc.gz"]
    names += ["cc_main_2020-34_16pages.warc.gz", "cc_whirlwind_2024-22.warc.wet.gz", "wget_dolma_sample-0000.warc.gz"]
    summary = run(tmp_path / "run", *(real_warcs / name for name in names))
    assert summary.failed_parts == []
    head = manifest_head(tmp_path / "run")
    assert totals_of(head, "archive.cut_member") == 1
    assert totals_of(head, "archive.bad_record_header") == 1
    assert totals_of(head, "records.response") >= 40
    verify(tmp_path / "run")
