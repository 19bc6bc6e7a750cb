"""WET files first: only what they surely rule out is left where it is; the rest of the run is that of all records."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.common_crawl import SNAPSHOT, CommonCrawl, Fault, lay_out, lay_out_wet
from tests.pipeline.test_fetch_run import cut, settings, shards

from seimai.errors import InputError, RunError
from seimai.pipeline.explain import explain
from seimai.pipeline.fetch_config import access_of
from seimai.pipeline.job import RunSummary, polish
from seimai.pipeline.manifest import verify
from seimai.pipeline.plan import make_plan
from seimai.pipeline.plan_costs import Cost
from seimai.pipeline.retune import apply_retune
from seimai.pipeline.run import Engine, process_limiter
from seimai.sample.sites import site

SETS = (
    'gates.languages=["ja"]',
    'quality.ja.preset="web-ja"',
    "fetch.max_gap_bytes=200",
    "fetch.max_range_bytes=9000",
    "fetch.select.status=[200]",
)
WET, RANGES = 'fetch.strategy="wet"', 'fetch.strategy="ranges"'


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory, sample_warc: Path) -> Path:
    """A snapshot with WET files, but for one archive; one page has no text there."""
    folder = tmp_path_factory.mktemp("wet")
    paths = lay_out(folder, cut(sample_warc, records=96, archives=4))
    names = lay_out_wet(folder, paths, skip=[str(textless(folder)["url"])])
    (folder / names[2]).unlink()
    return folder


@pytest.fixture
def server(mirror: Path) -> Iterator[CommonCrawl]:
    process_limiter.cache_clear()
    with CommonCrawl(mirror) as running:
        yield running


def index_rows(folder: Path) -> list[dict[str, object]]:
    tables = [pq.ParquetFile(path).read() for path in sorted((folder / "cc-index").rglob("*.parquet"))]
    return [row for table in tables for row in table.to_pylist() if row["fetch_status"] == 200]


def textless(folder: Path) -> dict[str, object]:
    """The English page that has no text."""
    return next(row for row in index_rows(folder) if site(str(row["url_host_name"])).lang == "en")


def run(base: str, out: Path, *sets: str) -> RunSummary:
    config = settings(base, *SETS, *sets)
    return polish(config, out, inputs=[SNAPSHOT], engine=Engine(workers=0))


def documents(out: Path) -> set[tuple[str, int]]:
    found = pa.concat_tables(pq.read_table(path) for path in (out / "documents").iterdir())
    return set(zip(found["warc_file"].to_pylist(), found["warc_offset"].to_pylist(), strict=True))


@pytest.fixture(scope="module")
def by_ranges(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that reads every record of the index."""
    out = tmp_path_factory.mktemp("ranges") / "run"
    run(f"{mirror}/", out, RANGES)
    return out


@pytest.mark.parametrize("faults", [False, True])
def test_the_shards_are_those_of_all_records_for_fewer_bytes_and_within_the_plan(
    server: CommonCrawl, tmp_path: Path, by_ranges: Path, faults: bool
) -> None:
    config = settings(server.url, *SETS, WET)
    access = access_of(config.fetch, "me@example.org")
    plan = make_plan(config.fetch, [SNAPSHOT], access, languages=["ja"], exact=True)
    assert plan.strategy == "wet"
    cost = {cost.strategy: cost for cost in plan.costs}
    if faults:
        kinds = ("busy", "wrong", "short", "reset")
        server.faults = [Fault(kind, r"(warc|wet)\.gz$", share=0.05, after=500, seed=n) for n, kind in enumerate(kinds)]
    before = len(server.log)
    out = tmp_path / "run"
    summary = run(server.url, out, WET)
    assert shards(out) == shards(by_ranges)
    verify(out)

    seen = [e for e in server.log[before:] if f"crawl-data/{SNAPSHOT}/segments" in e.path]
    order = [e.path.endswith("wet.gz") for e in seen]
    assert order == sorted(order, reverse=True)  # texts first
    good = [e for e in seen if e in server.good()]
    asked = [e for e in seen if e.method == "HEAD" and (e.status in (200, 404)) and not e.fault]
    sent, requests = sum(e.sent for e in good), len(good) + len(asked)
    assert cost["wet"].low[0] < sent <= cost["wet"].high[0]
    if not faults:  # what goes on after a break is one request more
        assert cost["wet"].low[1] < requests <= cost["wet"].high[1]
    archives = sum(e.sent for e in good if not e.path.endswith("wet.gz"))
    assert archives < cost["ranges"].low[0]

    told = summary.totals["wet"]
    rows = index_rows(server.folder)
    assert told["records"] == len(rows)
    assert told["archives_without_wet"] == 1
    assert 0 < told["read"] == len(documents(out)) < len(rows)
    assert told["texts"]["left_out"] >= len(rows) - told["read"]
    kept = documents(out)
    row = textless(server.folder)
    assert (row["warc_filename"], row["warc_record_offset"]) in kept
    lost = [row for row in rows if (row["warc_filename"], row["warc_record_offset"]) not in kept]
    assert lost
    assert not any("00002.warc.gz" in str(row["warc_filename"]) for row in lost)  # its WET file is missing

    for row in lost[:3]:
        with pytest.raises(InputError, match=r"its text in the WET file is \w\w.*was not read"):
            explain(out, str(row["url"]))

    asked_before = len(server.log)
    assert not run(server.url, out, WET).changed
    assert len(server.log) == asked_before


def test_a_local_copy_gives_the_same_is_decided_again_and_goes_another_way(
    mirror: Path, tmp_path: Path, by_ranges: Path
) -> None:
    out, change = tmp_path / "run", "quality.ja.min_chars=715"
    run(f"{mirror}/", out, WET)
    assert shards(out) == shards(by_ranges)
    shutil.copytree(by_ranges, tmp_path / "other")
    for folder in (out, tmp_path / "other"):
        apply_retune(folder, [change], engine=Engine(workers=0))
    assert shards(out) == shards(tmp_path / "other") != shards(by_ranges)
    verify(out)
    assert any((out / "extracts").iterdir())
    run(f"{mirror}/", out, RANGES)
    assert not any((out / "extracts").iterdir())
    assert shards(out) == shards(by_ranges)
    assert documents(out) == documents(by_ranges)
    verify(out)


def test_a_run_that_was_stopped_asks_for_no_text_twice(server: CommonCrawl, tmp_path: Path, by_ranges: Path) -> None:
    """Stopped among the texts, then among the ranges."""
    for path in (r"00001\.warc\.wet\.gz$", r"00001\.warc\.gz$"):
        server.faults = [Fault("forbidden", path)]
        with pytest.raises(RunError, match="refuses us"):
            run(server.url, tmp_path / "run", WET)
        process_limiter.cache_clear()
    server.faults = []
    run(server.url, tmp_path / "run", WET)
    texts = sorted(e.path for e in server.good() if e.path.endswith("wet.gz"))
    assert texts == sorted(str(path.relative_to(server.folder)) for path in server.folder.rglob("*.wet.gz"))
    assert shards(tmp_path / "run") == shards(by_ranges)


def test_a_budget_of_bytes_counts_texts_and_ranges(server: CommonCrawl, tmp_path: Path) -> None:
    wet = sorted(server.folder.rglob("*.wet.gz"))
    budget = sum(path.stat().st_size for path in server.folder.rglob("*.warc*gz")) // 2
    run(server.url, tmp_path / "run", WET, f"fetch.max_bytes={budget}")
    sent = sum(e.sent for e in server.good() if "segments" in e.path)
    assert wet[0].stat().st_size < sent <= budget
    assert 0 < len({file for file, _ in documents(tmp_path / "run")}) < 4
    with pytest.raises(InputError, match=r"fetch\.max_bytes"):
        run(server.url, tmp_path / "none", WET, "fetch.max_bytes=100")


def test_what_takes_too_long_is_refused_before_and_behind_the_texts(sample_warc: Path, tmp_path: Path) -> None:
    """The index calls every page Chinese, so the plan expects few ranges; the texts leave many."""
    paths = lay_out(tmp_path / "crawl", cut(sample_warc, records=36, archives=1), languages="zho")
    lay_out_wet(tmp_path / "crawl", paths)
    process_limiter.cache_clear()
    with CommonCrawl(tmp_path / "crawl") as server:
        slow = (WET, "fetch.requests_per_s=20", "fetch.max_gap_bytes=0", "fetch.max_range_bytes=1")
        with pytest.raises(RunError, match=r"fetch\.max_hours"):
            run(server.url, tmp_path / "run", *slow, "fetch.max_hours=0.00001")
        assert not [e for e in server.log if "segments" in e.path]
        for _ in range(2):  # and the second time too
            with pytest.raises(RunError, match=r"fetch\.max_hours"):
                run(server.url, tmp_path / "run", *slow, "fetch.max_hours=0.00005")
        assert {e.path for e in server.log if "segments" in e.path} == {
            str(path.relative_to(tmp_path / "crawl")) for path in (tmp_path / "crawl").rglob("*.wet.gz")
        }


def test_the_likely_way_is_taken(mirror: Path) -> None:
    """Few pages of a rare language among many: texts first; most pages of the crawl: not."""
    config = settings(f"{mirror}/", *SETS, "fetch.requests_per_s=1e9", "fetch.bytes_per_s=1e3").fetch
    config = config.model_copy(update={"strategy": "auto", "max_gap_bytes": 0})
    select = config.select.model_copy(update={"since": "1990-01-01"})
    config = config.model_copy(update={"select": select})

    def plan(languages: list[str]) -> dict[str, Cost]:
        made = make_plan(config, [SNAPSHOT], access_of(config, ""), languages=languages)
        found = {cost.strategy: cost for cost in made.costs}
        assert made.strategy == min(found, key=lambda name: (found[name].likely[2], found[name].likely[0]))
        assert made.hours == found[made.strategy].likely[2]
        assert found["wet"].low[0] <= found["wet"].likely[0] <= found["wet"].high[0]
        return found

    rare, common = plan(["is"]), plan(["ja"])
    assert rare["wet"].likely[2] < rare["ranges"].likely[2] < common["wet"].likely[2]
    assert common["ranges"] == rare["ranges"]
