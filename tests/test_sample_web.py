"""The sample web page by page: what must be kept, merged and dropped, and the text that must come out."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seimai.pipeline.job import polish
from seimai.pipeline.run import Engine
from seimai.pipeline.settings import RunConfig
from seimai.sample.articles import articles
from seimai.sample.build import build_warc
from seimai.sample.pages import Truth

Pages = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def polished(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Truth], Pages]:
    folder = tmp_path_factory.mktemp("sample")
    truth = build_warc(folder / "sample.warc.gz")
    run = folder / "run"
    polish(RunConfig(), run, inputs=[str(folder / "sample.warc.gz")], engine=Engine(workers=0))
    tables = [_stage(run, name) for name in ("documents", "clusters", "decisions")]
    pages: Pages = {}
    for rows in zip(*(table.to_pylist() for table in tables), strict=True):
        page = {key: value for row in rows for key, value in row.items()}
        pages[page["url"]] = page
    return truth, pages


def _stage(run: Path, name: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in sorted((run / name).glob("*.parquet"))])


def test_every_page_has_the_fate_it_should_have(polished: tuple[list[Truth], Pages]) -> None:
    truth, pages = polished
    wrong = []
    for page in truth:
        if page.kind == "revisit" or page.expected == "merge":
            continue
        if pages[page.url]["kept"] != (page.expected == "keep"):
            wrong.append((page.url, page.expected, pages[page.url]["reasons"]))
    assert wrong == []
    assert sum(page.expected == "keep" for page in truth) >= 100
    assert sum(page.expected == "drop" for page in truth) >= 40


def test_each_group_of_duplicates_is_one_cluster_with_one_survivor(polished: tuple[list[Truth], Pages]) -> None:
    truth, pages = polished
    groups: dict[str, list[dict[str, Any]]] = {}
    for page in truth:
        if page.group:
            groups.setdefault(page.group, []).append(pages[page.url])
    assert len(groups) >= 20
    for group, members in groups.items():
        assert len({page["cluster"] for page in members}) == 1, group
        assert {page["cluster_size"] for page in members} == {len(members)}, group
        assert sorted(page["cluster_rank"] for page in members) == list(range(len(members))), group
        assert sum(page["kept"] for page in members) == 1, group


def test_no_article_is_lost_or_garbled(polished: tuple[list[Truth], Pages]) -> None:
    """Whatever the encoding, declared rightly, wrongly or not at all: the article's paragraphs stand in the text."""
    truth, pages = polished
    written = {article.slug: article for article in articles()}
    checked = set()
    for page in truth:
        if page.kind == "original":
            text = "".join((pages[page.url]["text"] or "").split())
            for paragraph in written[page.slug].paragraphs:
                assert "".join(paragraph.split()) in text, (page.url, page.encoding)
            checked.add((page.lang, page.encoding))
    assert {encoding for lang, encoding in checked if lang == "ja"} >= {"euc-jp", "iso-2022-jp", "shift_jis", "utf-8"}
