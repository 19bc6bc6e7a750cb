"""A plan says what will happen: the records of an independent reading, the bytes and requests that a server saw."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.common_crawl import INDEX_SCHEMA, SNAPSHOT, CommonCrawl, Fault, lay_out
from tests.pipeline.test_fetch_run import cut, settings

from seimai.errors import ConfigError, InputError, RunError
from seimai.pipeline.fetch_config import FetchConfig, SelectConfig, access_of
from seimai.pipeline.job import polish
from seimai.pipeline.manifest import verify
from seimai.pipeline.plan import files_of, load_plan, make_plan, needs_plan, plan_fingerprint, refuse_long, save_plan
from seimai.pipeline.retune import apply_retune
from seimai.pipeline.run import Engine, process_limiter

LANGUAGES = ("jpn", "eng", "jpn,eng", "eng,jpn", "zho")


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory, sample_warc: Path) -> Path:
    """A snapshot whose index says of every page another language, in turn."""
    folder = tmp_path_factory.mktemp("planned")
    lay_out(folder, cut(sample_warc))
    for path in sorted((folder / "cc-index").rglob("*.parquet")):
        table = pq.read_table(path)
        turn = pa.array([LANGUAGES[n % len(LANGUAGES)] for n in range(len(table))])
        at = table.schema.get_field_index("content_languages")
        pq.write_table(table.set_column(at, "content_languages", turn), path, row_group_size=7)
    return folder


@pytest.fixture
def server(mirror: Path) -> Iterator[CommonCrawl]:
    process_limiter.cache_clear()
    with CommonCrawl(mirror) as running:
        yield running


def all_rows(mirror: Path) -> list[dict[str, object]]:
    tables = [pq.ParquetFile(path).read() for path in sorted((mirror / "cc-index").rglob("*.parquet"))]
    return [row for table in tables for row in table.to_pylist()]


@pytest.mark.parametrize(
    "select",
    [
        SelectConfig(),
        SelectConfig(languages=["jpn"]),
        SelectConfig(languages=["jpn", "zho"], status=[]),
        SelectConfig(status=[404]),
        SelectConfig(mime=["application/pdf"]),
        SelectConfig(since="2026-01-01", until="2026-01-31"),
        SelectConfig(since="1990-01-01", until="2099-01-01"),
    ],
)
def test_the_wanted_records_are_those_of_a_plain_reading(mirror: Path, select: SelectConfig) -> None:
    config = FetchConfig(base=f"{mirror}/", select=select)
    plan = make_plan(config, [SNAPSHOT], access_of(config, ""))
    expected = {
        (row["warc_filename"], row["warc_record_offset"])
        for row in all_rows(mirror)
        if (not select.status or row["fetch_status"] in select.status)
        and (not select.languages or str(row["content_languages"]).split(",")[0] in select.languages)
        and (not select.mime or row["content_mime_detected"] in select.mime)
        and (not select.since or select.since <= str(row["fetch_time"])[:10] <= select.until)
    }
    found = list(zip(plan.records["file"].to_pylist(), plan.records["offset"].to_pylist(), strict=True))
    assert set(found) == expected
    assert found == sorted(found)


def test_hosts_and_domains_are_found(mirror: Path) -> None:
    rows = [row for row in all_rows(mirror) if row["fetch_status"] == 200]
    for key, column in (("hosts", "url_host_name"), ("domains", "url_host_registered_domain")):
        for value in sorted({str(row[column]) for row in rows}):
            config = FetchConfig(base=f"{mirror}/", select=SelectConfig.model_validate({key: [value]}))
            plan = make_plan(config, [SNAPSHOT], access_of(config, ""))
            assert plan.n_records == sum(row[column] == value for row in rows), value


@pytest.mark.parametrize("faults", [False, True])
def test_planned_ranges_are_what_is_sent_byte_for_byte(server: CommonCrawl, tmp_path: Path, faults: bool) -> None:
    sets = ('fetch.select.languages=["jpn"]', 'fetch.strategy="ranges"', "fetch.max_gap_bytes=3000")
    config = settings(server.url, *sets)
    languages, access = config.gates.languages, access_of(config.fetch, "me@example.org")
    plan = make_plan(config.fetch, [SNAPSHOT], access, languages=languages)
    save_plan(plan, tmp_path / "run")
    if faults:
        server.faults = [Fault("busy", "warc.gz$", share=0.2), Fault("wrong", "warc.gz$", share=0.1)]
    before = len(server.log)
    polish(config, tmp_path / "run", inputs=[SNAPSHOT], engine=Engine(workers=0))
    cost = next(cost for cost in plan.costs if cost.strategy == "ranges")
    good = [entry for entry in server.good()[0:] if entry in server.log[before:]]
    assert cost.exact
    assert sum(entry.sent for entry in good) == cost.low[0]
    assert len(good) == cost.low[1]
    verify(tmp_path / "run")
    found = pa.concat_tables(pq.read_table(path) for path in (tmp_path / "run" / "documents").iterdir())
    places = set(zip(found["warc_file"].to_pylist(), found["warc_offset"].to_pylist(), strict=True))
    assert places == set(zip(plan.records["file"].to_pylist(), plan.records["offset"].to_pylist(), strict=True))
    local = settings(f"{server.folder}/", *sets)
    polish(local, tmp_path / "local", inputs=[SNAPSHOT], engine=Engine(workers=0))
    shard = "shards/ja-00000.arrow"
    assert (tmp_path / "run" / shard).read_bytes() == (tmp_path / "local" / shard).read_bytes()
    asked = len(server.log)
    assert not polish(config, tmp_path / "run", inputs=[SNAPSHOT], engine=Engine(workers=0)).changed
    assert len(server.log) == asked


def test_another_choice_reads_only_what_is_new(server: CommonCrawl, tmp_path: Path) -> None:
    out = tmp_path / "run"
    for languages in ('["jpn"]', '["jpn", "zho"]', '["zho"]'):
        sets = (f"fetch.select.languages={languages}", 'fetch.strategy="ranges"', "fetch.max_gap_bytes=0")
        config = settings(server.url, *sets)
        polish(config, out, inputs=[SNAPSHOT], engine=Engine(workers=0))
        polish(config, tmp_path / languages, inputs=[SNAPSHOT], engine=Engine(workers=0))
        for path in (tmp_path / languages / "shards").iterdir():
            assert (out / "shards" / path.name).read_bytes() == path.read_bytes()


def test_every_read_of_an_index_has_its_start_time(server: CommonCrawl) -> None:
    config = settings(server.url, 'fetch.select.languages=["jpn"]').fetch
    make_plan(config, [SNAPSHOT], access_of(config, "me@example.org"), exact=True)
    assert len([entry for entry in server.log if entry.path.endswith(".parquet")]) >= 4
    assert process_limiter().answer({"op": "counts"})["requests"] == len(server.log)


def test_ranges_end_at_the_budget_of_bytes(server: CommonCrawl, tmp_path: Path) -> None:
    sets = ('fetch.select.languages=["jpn"]', 'fetch.strategy="ranges"', "fetch.max_gap_bytes=0")
    config = settings(server.url, *sets)
    plan = make_plan(config.fetch, [SNAPSHOT], access_of(config.fetch, "me@example.org"))
    lengths = [sum(plan.records.slice(at, n)["length"].to_pylist()) for _, at, n in files_of(plan.records)]
    budget = sum(lengths[:2]) + 1
    seen = len(server.log)
    polish(settings(server.url, *sets, f"fetch.max_bytes={budget}"), tmp_path / "run", inputs=[SNAPSHOT],
           engine=Engine(workers=0))  # fmt: skip
    ranges = [entry.sent for entry in server.log[seen:] if entry.path.endswith("warc.gz")]
    assert sum(ranges) == sum(lengths[:2])


def test_a_run_of_ranges_is_decided_again_without_the_server(mirror: Path, tmp_path: Path) -> None:
    sets = ('fetch.select.languages=["jpn"]', 'fetch.strategy="ranges"')
    base = 'quality.ja.preset="web-ja"'
    change = "quality.ja.min_chars=715"
    process_limiter.cache_clear()
    with CommonCrawl(mirror) as running:
        polish(settings(running.url, *sets, base), tmp_path / "run", inputs=[SNAPSHOT], engine=Engine(workers=0))
        polish(
            settings(running.url, *sets, base, change), tmp_path / "new", inputs=[SNAPSHOT], engine=Engine(workers=0)
        )
    before = (tmp_path / "run" / "shards" / "ja-00000.arrow").read_bytes()
    apply_retune(tmp_path / "run", [change], engine=Engine(workers=0))
    after = (tmp_path / "run" / "shards" / "ja-00000.arrow").read_bytes()
    wanted = (tmp_path / "new" / "shards" / "ja-00000.arrow").read_bytes()
    assert before != wanted
    assert after == wanted
    verify(tmp_path / "run")


def test_whole_archives_are_exact_when_asked_for(server: CommonCrawl) -> None:
    config = settings(server.url, 'fetch.select.languages=["jpn"]').fetch
    access = access_of(config, "me@example.org")
    for path in (server.folder / "crawl-data").rglob("*.warc.gz"):
        wet = path.parents[1] / "wet" / path.name.replace(".warc.gz", ".warc.wet.gz")
        wet.parent.mkdir(exist_ok=True)
        wet.write_bytes(b"x" * 100)
    plan = make_plan(config, [SNAPSHOT], access)
    names = plan.records["file"].unique().to_pylist()
    size = sum((server.folder / name).stat().st_size for name in names)
    exact = {cost.strategy: cost for cost in make_plan(config, [SNAPSHOT], access, exact=True).costs}
    assert exact["whole"].low[0] == exact["whole"].high[0] == size
    assert exact["whole"].exact
    near = {cost.strategy: cost for cost in plan.costs}
    assert not near["whole"].exact
    assert 0.5 * size < near["whole"].low[0] < 1.5 * size
    assert near["wet"].low[0] < near["wet"].high[0]
    assert exact["wet"].low[0] == 100 * len(names)


def test_a_plan_is_kept_for_its_config_only(mirror: Path, tmp_path: Path) -> None:
    config = FetchConfig(base=f"{mirror}/", select=SelectConfig(languages=["jpn"]))
    plan = make_plan(config, [SNAPSHOT], access_of(config, ""))
    save_plan(plan, tmp_path)
    again = load_plan(tmp_path, plan_fingerprint(config, [SNAPSHOT], []))
    assert again is not None
    assert again.records.equals(plan.records)
    assert replace(again, records=plan.records) == plan
    other = config.model_copy(update={"max_gap_bytes": 1})
    assert load_plan(tmp_path, plan_fingerprint(other, [SNAPSHOT], [])) is None
    assert load_plan(tmp_path, plan_fingerprint(config, [SNAPSHOT], ["ja"])) is None
    with pytest.raises(RunError, match="an estimate"):
        save_plan(make_plan(config, [SNAPSHOT], access_of(config, ""), index_sample=1), tmp_path)


def test_mistakes_are_one_line(mirror: Path, tmp_path: Path) -> None:
    base = FetchConfig(base=f"{mirror}/")
    access = access_of(base, "")
    with pytest.raises(InputError, match="a plan is for one crawl"):
        make_plan(base, ["x.warc.gz"], access)
    with pytest.raises(InputError, match="no such list"):
        make_plan(base, ["CC-MAIN-1999-01"], access)
    with pytest.raises(ConfigError, match=r"fetch\.select\.since = 'May'"):
        make_plan(base.model_copy(update={"select": SelectConfig(since="May")}), [SNAPSHOT], access)
    pq.write_table(pa.table({"url": ["a"]}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match="is no index of a crawl"):
        make_plan(base.model_copy(update={"index": str(tmp_path)}), [SNAPSHOT], access)
    config = settings(f"{mirror}/", 'fetch.select.languages=["xxx"]')
    with pytest.raises(InputError, match="no record"):
        polish(config, tmp_path / "run", inputs=[SNAPSHOT], engine=Engine(workers=0))
    assert not (tmp_path / "run").exists()


def test_what_takes_too_long_needs_a_yes(mirror: Path, tmp_path: Path, server: CommonCrawl) -> None:
    config = settings(server.url, 'fetch.select.languages=["jpn"]', "fetch.max_hours=0.000000001")
    for sets in (config, settings(server.url, "fetch.max_hours=0.01")):
        with pytest.raises(RunError, match=r"fetch\.max_hours.*--yes"):
            polish(sets, tmp_path / "run", inputs=[SNAPSHOT], engine=Engine(workers=0))
    refuse_long(2.0, FetchConfig(max_hours=1.0), yes=True)


def test_only_some_runs_go_by_an_index() -> None:
    some = SelectConfig(languages=["jpn"])
    assert not needs_plan(FetchConfig(), [SNAPSHOT])
    assert needs_plan(FetchConfig(select=some), [SNAPSHOT])
    assert needs_plan(FetchConfig(strategy="ranges"), [SNAPSHOT])
    assert needs_plan(FetchConfig(strategy="wet"), [SNAPSHOT])
    assert needs_plan(FetchConfig(select=some, strategy="whole"), [SNAPSHOT])
    assert not needs_plan(FetchConfig(), ["x.warc.gz"])
    for config, name in (
        (FetchConfig(select=some), "x.warc.gz"),
        (FetchConfig(select=some), "CC-NEWS-2024-11"),
        (FetchConfig(strategy="wet"), "CC-NEWS-2024-11"),
        (FetchConfig(strategy="ranges", kind="wet"), SNAPSHOT),
    ):
        with pytest.raises(InputError, match="columnar index"):
            needs_plan(config, [name])


def test_a_large_index_is_read_at_once(tmp_path: Path) -> None:
    """100,000 rows in a tenth of the ten seconds that a million may take (bench/make_index.py makes one)."""
    n_rows = 100_000
    columns = {
        "url_surtkey": [f"jp,site{n:06d})/" for n in range(n_rows)],
        "url_host_name": [f"site{n:06d}.jp" for n in range(n_rows)],
        "fetch_status": pa.array([200] * n_rows, pa.int16()),
        "content_languages": ["jpn" if n % 20 == 0 else "eng" for n in range(n_rows)],
        "content_digest": ["A" * 32] * n_rows,
        "warc_filename": [f"crawl-data/C/warc/{n % 9}.warc.gz" for n in range(n_rows)],
        "warc_record_offset": pa.array([n * 1000 for n in range(n_rows)], pa.int32()),
        "warc_record_length": pa.array([500] * n_rows, pa.int32()),
    }
    arrays = [
        pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(n_rows, f.type) for f in INDEX_SCHEMA
    ]
    pq.write_table(pa.table(arrays, schema=INDEX_SCHEMA), tmp_path / "x.parquet", compression="gzip")
    config = FetchConfig(index=str(tmp_path), select=SelectConfig(languages=["jpn"]))
    began = time.process_time()
    plan = make_plan(config, [SNAPSHOT], access_of(config, ""))
    assert time.process_time() - began < 1.0
    assert plan.n_records == n_rows // 20
