"""Explaining a page and reading both sides of a threshold, on a run of the sample crawl."""

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seimai.config import apply_overrides, parse_config
from seimai.errors import ConfigError, InputError, RunError
from seimai.pipeline.explain import explain
from seimai.pipeline.inspect_run import Group, inspect_run
from seimai.pipeline.job import polish
from seimai.pipeline.presets import rules
from seimai.pipeline.run import Engine
from seimai.pipeline.settings import RunConfig

KINDS = ("documents", "signals", "clusters", "decisions")


@pytest.fixture(scope="module")
def run(sample_warc: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("explain") / "run"
    sets = ["input.part_bytes=100000", "cleaning.host_min_pages=3", "output.shard_bytes=40000"]
    config = parse_config(apply_overrides({}, sets), RunConfig, "test")
    polish(config, out, inputs=[str(sample_warc)], engine=Engine(workers=0))
    return out


@pytest.fixture(scope="module")
def rows(run: Path) -> list[dict[str, Any]]:
    """Every document with all its columns, read plainly."""
    found = []
    for path in sorted((run / "documents").iterdir()):
        tables = [pq.read_table(run / kind / path.name).to_pylist() for kind in KINDS]
        found += [{**a, **b, **c, **d} for a, b, c, d in zip(*tables, strict=True)]
    return found


def test_every_document_is_found_by_its_id_with_its_verdict(run: Path, rows: list[dict[str, Any]]) -> None:
    config = RunConfig().quality
    for row in rows[:: max(1, len(rows) // 25)]:
        (one,) = explain(run, row["id"])
        assert (one.kept, one.reason, one.cluster) == (row["kept"], row["reason"], row["cluster"])
        broken = [rule.reason for rule in one.rules if rule.broken]
        if row["gate"] is None:
            assert [r for r in row["reasons"] if r not in ("duplicate", "emptied")] == broken
            assert [rule.reason for rule in one.rules] == [rule.reason for rule in rules(config[row["lang"]])]
            assert one.text is not None
            assert len(one.text) == row["n_chars"]
        else:
            assert (one.rules, one.text) == ([], None)
        assert all(rule.value == row[rule.column] for rule in one.rules)


def test_a_kept_document_names_its_shard(run: Path, rows: list[dict[str, Any]]) -> None:
    shards = {path: pa.ipc.open_file(path).read_all()["id"].to_pylist() for path in (run / "shards").iterdir()}
    assert len(shards) > 3
    for path, ids in shards.items():
        assert explain(run, ids[-1])[0].shard == f"shards/{path.name}"
    dropped = next(row for row in rows if not row["kept"])
    assert explain(run, dropped["id"])[0].shard is None


def test_a_duplicate_names_who_beat_it(run: Path, rows: list[dict[str, Any]]) -> None:
    copy = next(row for row in rows if row["reason"] == "duplicate")
    (one,) = explain(run, copy["id"])
    kept = [row for row in rows if row["cluster"] == copy["cluster"] and row["kept"]]
    assert [survivor.id for survivor in one.survivors] == [row["id"] for row in kept]
    assert one.survivors[0].n_chars == kept[0]["n_chars"]
    assert one.cluster_size == sum(row["cluster"] == copy["cluster"] for row in rows)


@pytest.mark.parametrize("form", ["{}", "{}/", "{}#part", "  {} ", "no scheme", "www", "upper"])
def test_urls_are_matched_with_forgiveness(run: Path, rows: list[dict[str, Any]], form: str) -> None:
    url = next(row["url"] for row in rows if row["kept"] and row["url"].count("/") > 3)
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    asked = {"no scheme": rest, "www": f"http://www.{rest}", "upper": f"{scheme.upper()}://{host.upper()}/{path}"}
    found = explain(run, asked.get(form, form.format(url)))
    assert {one.document["url"] for one in found} >= {url}
    assert len(found) == sum(row["url"] == url for row in rows)


def test_all_captures_are_shown(tmp_path: Path, warc_record: Any, warc_archive: Any, http_page: Any) -> None:
    text = "The harbour wakes before the town does, and the boats leave while the lamps are burning. " * 4
    records = [warc_record(n, http_page(n, f"{text} {n}")) for n in (0, 0, 1)]
    (tmp_path / "c.warc.gz").write_bytes(warc_archive(records))
    config = RunConfig()
    polish(config, tmp_path / "run", inputs=[str(tmp_path / "c.warc.gz")], engine=Engine(workers=0))
    found = explain(tmp_path / "run", "site0.example/page/0")
    assert len({one.document["id"] for one in found}) == 2
    with pytest.raises(InputError, match=r"of site0.example it has 1 pages, the nearest http://site0.example/page/0"):
        explain(tmp_path / "run", "https://site0.example/page/77")
    with pytest.raises(InputError, match=r"it has no page of elsewhere\.example"):
        explain(tmp_path / "run", "elsewhere.example/x")
    with pytest.raises(InputError, match="an id is 32 hexadecimal digits"):
        explain(tmp_path / "run", "0" * 32)


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    for look in (lambda: explain(tmp_path, "example.org"), lambda: inspect_run(tmp_path)):
        with pytest.raises(RunError, match="is no finished run directory"):
            look()
    (tmp_path / "config.toml").write_text("")
    with pytest.raises(RunError, match="is no finished run directory"):
        explain(tmp_path, "example.org")


@pytest.mark.parametrize(("rule", "lang"), [("min_closed_sentences", "ja"), ("min_chars", "ja"), ("min_words", "en")])
@pytest.mark.parametrize("everything", [False, True])
def test_near_shows_the_nearest_of_both_sides(
    run: Path, rows: list[dict[str, Any]], rule: str, lang: str, everything: bool
) -> None:
    asked = next(one for one in rules(RunConfig().quality[lang]) if one.reason == rule)
    mine = [row for row in rows if row["lang"] == lang and row["gate"] is None]
    sides = (
        [row for row in mine if rule in row["reasons"] and (everything or row["reasons"] == [rule])],
        [row for row in mine if rule not in row["reasons"] and (everything or row["kept"])],
    )
    groups = inspect_run(run, rule=rule, near=True, lang=lang, count=4, everything=everything)
    for group, expected in zip(groups, sides, strict=True):
        assert group.found == len(expected)
        far = sorted((abs(row[asked.column] - asked.threshold), row["id"]) for row in expected)
        assert [case.id for case in group.cases] == [identity for _, identity in far[:4]]
        values = {row["id"]: row[asked.column] for row in expected}
        assert [case.value for case in group.cases] == [values[case.id] for case in group.cases]


def ids(groups: list[Group]) -> list[list[str]]:
    return [[case.id for case in group.cases] for group in groups]


def test_random_documents_follow_the_seed(run: Path, rows: list[dict[str, Any]]) -> None:
    one = inspect_run(run, count=6, lang="ja")
    assert ids(one) == ids(inspect_run(run, count=6, lang="ja"))
    assert ids(one) != ids(inspect_run(run, count=6, lang="ja", seed=2))
    kept = {row["id"] for row in rows if row["kept"]}
    dropped, let_pass = one
    assert set(ids([let_pass])[0]) <= kept
    assert not set(ids([dropped])[0]) & kept
    assert [len(group.cases) for group in inspect_run(run, count=10**6)] == [g.found for g in inspect_run(run)]


def test_duplicates_can_be_shown(run: Path, rows: list[dict[str, Any]]) -> None:
    groups = inspect_run(run, rule="duplicate", count=1000)
    shown = {case.id for group in groups if "dropped by duplicate" in group.title for case in group.cases}
    assert shown == {row["id"] for row in rows if row["reason"] == "duplicate"}


def test_search_looks_into_text_and_url(run: Path, rows: list[dict[str, Any]]) -> None:
    found = {case.id for group in inspect_run(run, search="昆布|kurashi", count=10**6) for case in group.cases}
    plain = {
        row["id"]
        for row in rows
        if row["gate"] is None and row["lang"] in ("ja", "en") and re.search("昆布|kurashi", row["url"] + row["text"])
    }
    assert found == plain != set()


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"rule": "min_char"}, "did you mean 'min_chars'"),
        ({"rule": "status"}, "is a gate"),
        ({"rule": "duplicate", "near": True}, "no rule of this run"),
        ({"lang": "ko"}, "this run has rules for en, ja"),
        ({"search": "("}, "no RE2 expression"),
    ],
)
def test_mistakes(run: Path, more: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        inspect_run(run, **more)


def test_a_rule_of_both_languages_is_shown_for_each(run: Path) -> None:
    groups = inspect_run(run, rule="max_char_run", near=True, count=1)
    assert [group.title[:3] for group in groups] == ["en:", "en:", "ja:", "ja:"]
