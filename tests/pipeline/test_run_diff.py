"""Two runs compared: counts, causes and samples are those of a plain comparison, however the parts lie."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.test_dedup_index import Page, finished, pages, rows_of

from seimai.errors import RunError
from seimai.pipeline import run_diff
from seimai.pipeline.run_diff import RunDiff, diff_runs


def plain(one: Path, other: Path, rows: dict[str, list[Page]]) -> dict[str, int]:
    """The counts, by dictionaries of all documents."""
    reasons = [{row["id"]: row["reason"] for row in rows_of(run, "decisions")} for run in (one, other)]
    texts = [{row["id"]: row["text"] for row in rows[run.name]} for run in (one, other)]
    both = reasons[0].keys() & reasons[1].keys()
    return {
        "both": len(both),
        "only_a": len(reasons[0]) - len(both),
        "only_b": len(reasons[1]) - len(both),
        "decided": sum(reasons[0][k] != reasons[1][k] for k in both),
        "kept_only_a": sum(reasons[0][k] is None and reasons[1][k] is not None for k in both),
        "kept_only_b": sum(reasons[0][k] is not None and reasons[1][k] is None for k in both),
        "text": sum(texts[0][k] != texts[1][k] for k in both),
    }


def told(found: RunDiff) -> list[Any]:
    """Everything that does not depend on how the runs lie on disk."""
    return [found.documents, found.only, found.changes, found.samples]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Page]]]:
    """Runs of nearly the same pages: another threshold, other parts, and a few pages that differ."""
    folder = tmp_path_factory.mktemp("runs")
    rows = pages(21)
    changed = [dict(row) for row in rows[5:]]
    for row in changed[::7]:
        row["text"] = None if row["gate"] else row["text"] + "終わり"
    for row in changed[3::9]:
        row["lang_score"] = 0.1
    made = {"first": rows, "strict": rows, "other": changed, "split": changed}
    finished(folder / "first", rows)
    finished(folder / "strict", rows, least=0.5)
    finished(folder / "other", changed)
    finished(folder / "split", changed, parts="pqrst")
    return folder, made


def test_another_threshold_is_named(runs: tuple[Path, dict[str, list[Page]]]) -> None:
    folder, rows = runs
    found = diff_runs(folder / "first", folder / "strict")
    assert found.documents == plain(folder / "first", folder / "strict", rows)
    assert found.documents["decided"] > 10
    assert found.documents["text"] == 0
    assert found.config == [(f"quality.{lang}.min_lang_score", 0.2, 0.5) for lang in ("en", "ja")]
    by_rule = [change for change in found.changes if change.reason == "min_lang_score"]
    for change in by_rule:
        assert (change.why, change.column, change.keep) == ("threshold", "lang_score", ">=")
        assert (change.threshold_a, change.threshold_b) == (0.2, 0.5)
    # A copy survives where the rule now drops the survivor.
    assert {change.why for change in found.changes if change.reason == "duplicate"} == {"cluster"}
    for sample in found.samples:
        if sample["reason"] == "min_lang_score":
            assert 0.2 <= sample["value_a"] == sample["value_b"] < 0.5


@pytest.mark.parametrize("name", ["other", "split"])
def test_other_numbers_texts_and_documents(runs: tuple[Path, dict[str, list[Page]]], name: str) -> None:
    folder, rows = runs
    found = diff_runs(folder / "first", folder / name, samples=2)
    assert found.documents == plain(folder / "first", folder / name, rows)
    assert found.documents["only_a"] == 5
    assert sum(count for side, _, count in found.only if side == "a") == 5
    assert found.documents["text"] > 10
    assert {change.why for change in found.changes} == {"value", "cluster"}
    assert Counter(sample["kind"] for sample in found.samples)["text"] == 2
    ids = sorted(row["id"] for row in rows["first"][:5])
    assert [sample["id"] for sample in found.samples if sample["kind"] == "only_a"] == ids[:2]
    for sample in found.samples:
        if sample["kind"] == "text":
            assert sample["text_b"] == sample["text_a"] + "終わり"


def test_parts_and_ranges_make_no_difference(
    runs: tuple[Path, dict[str, list[Page]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = runs
    one, other = (told(diff_runs(folder / "first", folder / name)) for name in ("other", "split"))
    assert one == other
    monkeypatch.setattr(run_diff, "RANGE_ROWS", 20)
    assert told(diff_runs(folder / "first", folder / "split")) == one


def test_a_run_differs_in_nothing_from_itself(runs: tuple[Path, dict[str, list[Page]]]) -> None:
    folder, rows = runs
    found = diff_runs(folder / "first", folder / "first")
    assert told(found)[1:] == [[], [], []]
    assert found.documents["both"] == len(rows["first"])


def test_what_is_no_run_is_refused(tmp_path: Path, runs: tuple[Path, dict[str, list[Page]]]) -> None:
    with pytest.raises(RunError, match="is no finished run"):
        diff_runs(runs[0] / "first", tmp_path)
