"""Months of CC-NEWS as Common Crawl lays them out: named, in a span, drawn and cut; read whole, without an index."""

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.common_crawl import CommonCrawl
from tests.pipeline.test_fetch_run import cut, settings, shards

from seimai.errors import InputError
from seimai.pipeline.fetch_config import access_of
from seimai.pipeline.inputs import find_sources
from seimai.pipeline.job import polish
from seimai.pipeline.manifest import manifest_head
from seimai.pipeline.plan import make_plan
from seimai.pipeline.plan_whole import goes_whole, whole_plan
from seimai.pipeline.run import Engine, process_limiter

MONTHS = ("2024/11", "2024/12", "2025/01")


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory, sample_warc: Path) -> Path:
    """Three months of two archives each."""
    folder = tmp_path_factory.mktemp("news")
    lay_out_news(folder, cut(sample_warc, records=36, archives=6))
    return folder


def lay_out_news(folder: Path, data: Sequence[bytes]) -> None:
    """Write archives as months of news, two in each."""
    archives = iter(data)
    for month in MONTHS:
        base = folder / "crawl-data" / "CC-NEWS" / month
        base.mkdir(parents=True)
        names = [f"CC-NEWS-{month.replace('/', '')}0{day}000000-0000{day}.warc.gz" for day in (1, 2)]
        for name in names:
            (base / name).write_bytes(next(archives))
        lines = "".join(f"crawl-data/CC-NEWS/{month}/{name}\n" for name in names)
        (base / "warc.paths.gz").write_bytes(gzip.compress(lines.encode(), mtime=0))


@pytest.fixture
def server(mirror: Path) -> Iterator[CommonCrawl]:
    process_limiter.cache_clear()
    with CommonCrawl(mirror) as running:
        yield running


def keys(base: str, *names: str, sets: tuple[str, ...] = ()) -> list[str]:
    config = settings(base, *sets)
    return [source.key for source in find_sources(config.input, names, config.fetch)]


@pytest.mark.parametrize(
    ("names", "months"),
    [
        (["CC-NEWS-2024-11"], [0]),
        (["CC-NEWS/2024/12"], [1]),
        (["CC-NEWS-2024-11..2025-01"], [0, 1, 2]),
        (["CC-NEWS-2025-01", "CC-NEWS-2024-11"], [0, 2]),
        (["CC-NEWS-2024-11", "CC-NEWS-2024-11..2024-12"], [0, 1]),
    ],
)
def test_months_and_spans_are_their_lists(server: CommonCrawl, names: list[str], months: list[int]) -> None:
    everything = sorted(str(path.relative_to(server.folder)) for path in server.folder.rglob("CC-NEWS-*.warc.gz"))
    wanted = [key for key in everything if any(f"/{MONTHS[month]}/" in key for month in months)]
    assert keys(server.url, *names) == keys(f"{server.folder}/", *names) == wanted
    assert {e.path.rpartition("/")[2] for e in server.log} == {"warc.paths.gz"}  # no archive is asked for


def test_some_are_drawn_and_cut(server: CommonCrawl) -> None:
    span = "CC-NEWS-2024-11..2025-01"
    assert keys(server.url, span, sets=("fetch.limit=3",)) == keys(server.url, span)[:3]
    drawn = keys(server.url, span, sets=("fetch.sample=3", "fetch.seed=2"))
    assert len(drawn) == 3
    assert drawn == keys(server.url, span, sets=("fetch.sample=3", "fetch.seed=2"))
    assert drawn != keys(server.url, span, sets=("fetch.sample=3", "fetch.seed=1"))


def test_a_run_over_months_is_that_over_a_copy_within_its_budget(server: CommonCrawl, tmp_path: Path) -> None:
    sizes = [(server.folder / key).stat().st_size for key in keys(server.url, "CC-NEWS-2024-11..2025-01")]
    for base, out in ((server.url, tmp_path / "far"), (f"{server.folder}/", tmp_path / "near")):
        sets = f"fetch.max_bytes={sum(sizes[:3])}"
        polish(settings(base, sets), out, inputs=["CC-NEWS-2024-11..2025-01"], engine=Engine(workers=0))
    assert shards(tmp_path / "far") == shards(tmp_path / "near")
    assert [source["bytes"] for source in manifest_head(tmp_path / "far")["inputs"]] == sizes[:3]
    assert sum(e.sent for e in server.good() if not e.path.endswith("paths.gz")) == sum(sizes[:3])


def test_the_plan_of_months_is_whole_files(server: CommonCrawl) -> None:
    names = ["CC-NEWS-2024-11", "CC-NEWS-2024-12"]
    config = settings(server.url).fetch
    access = access_of(config, "me@example.org")
    assert goes_whole(config, names)
    assert not goes_whole(config, ["CC-MAIN-2024-51"])
    assert not goes_whole(config, ["x.warc.gz"])
    near, exact = (whole_plan(config, names, access, exact=exact) for exact in (False, True))
    assert near.strategy == exact.strategy == "whole"
    assert near.costs[0].low == near.costs[0].high
    assert near.costs[0].low[:2] == (4 * 1_100_000_000, 8)
    sizes = [(server.folder / key).stat().st_size for key in keys(server.url, *names)]
    assert exact.costs[0].low[0] == sum(sizes)
    assert exact.costs[0].exact
    few = config.model_copy(update={"max_bytes": sum(sizes[:2]), "limit": 3})
    assert whole_plan(few, names, access, exact=True).n_files == 2


@pytest.mark.parametrize("name", ["CC-NEWS-2024-13", "CC-NEWS-2024", "CC-NEWS-2025-01..2024-11", "CC-NEWS-2024-11..12"])
def test_what_is_no_month_is_one_line(mirror: Path, name: str) -> None:
    with pytest.raises(InputError, match="is no month of news"):
        keys(f"{mirror}/", name)


def test_what_news_does_not_have_is_said(mirror: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such list"):
        keys(f"{mirror}/", "CC-NEWS-2016-01")
    with pytest.raises(InputError, match="CC-NEWS has WARC files only"):
        keys(f"{mirror}/", "CC-NEWS-2024-11", sets=('fetch.kind="wet"',))
    for sets in ('fetch.select.languages=["jpn"]', 'fetch.strategy="ranges"', 'fetch.strategy="wet"'):
        config = settings(f"{mirror}/", sets)
        with pytest.raises(InputError, match="CC-NEWS has none; its archives are read whole"):
            polish(config, tmp_path / "run", inputs=["CC-NEWS-2024-11"], engine=Engine(workers=0))
    with pytest.raises(InputError, match="CC-NEWS has no columnar index"):
        make_plan(settings(f"{mirror}/").fetch, ["CC-NEWS-2024-11"], access_of(settings(f"{mirror}/").fetch, ""))
