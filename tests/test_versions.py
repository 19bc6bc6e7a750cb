"""A stage's source changes together with its VERSION, so that no run keeps what older code wrote."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


def load_renew() -> ModuleType:
    """The script beside this file."""
    spec = importlib.util.spec_from_file_location("renew_versions", ROOT / "tests" / "renew_versions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


renew = load_renew()
STAGES = sorted(renew.STAGES)


@pytest.fixture(scope="module")
def now() -> dict[str, dict[str, object]]:
    """Every stage's VERSION and the digest of its files."""
    found: dict[str, dict[str, object]] = renew.measured()
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_and_its_version_change_together(stage: str, now: dict[str, dict[str, object]]) -> None:
    old, new = json.loads(renew.GOLDEN.read_text(encoding="utf-8")), now
    assert stage not in renew.unversioned(old, new), (
        f"the source of {', '.join(renew.STAGES[stage])} has changed: raise VERSION in pipeline/{stage}.py, "
        "then `python tests/renew_versions.py` (with --same-bytes instead when not one byte of a run differs)"
    )
    assert new[stage] == old[stage], "another VERSION: `python tests/renew_versions.py` writes it down"


def test_every_module_with_a_version_is_known() -> None:
    modules = (ROOT / "pipeline").glob("*.py")
    assert {path.stem for path in modules if "\nVERSION = " in path.read_text(encoding="utf-8")} == set(STAGES)


ENGINE = {
    *("canaries", "canary_config", "explain", "inspect_run", "own_columns", "retune", "retune_look", "run_summary"),
    *("coalesce", "fetch_config", "fetch_feed", "fetch_file", "fetch_http", "fetch_list", "fetch_remote", "fetch_run"),
    *("plan", "plan_costs", "plan_index", "plan_sources", "plan_whole", "rate", "wet_first"),
    *(
        "contamination",
        "derived",
        "eval_index",
        "eval_items",
        "removal",
        "seed_kernels",
        "substrings",
        "window_kernels",
    ),
    *("index_build", "index_query", "rebuild", "recipe", "run_diff", "run_facts"),
    *("quality_report", "quality_train"),
    *("credentials", "needs", "object_store", "run_folder"),
    *("store_lock", "store_picture", "store_run", "store_scratch", "store_task", "store_verify"),
    *("dedup_eval", "duplicates", "overlap_kernels", "pair_quality"),
    *("__init__", "audit", "barriers", "finish", "inputs", "job", "manifest", "order", "progress", "report", "run"),
    *("cleaning", "settings", "signal_config", "signal_docs", "sorted_files", "stages", "state", "writing"),
}
"""Modules that move results about and write none of their columns."""


def test_every_module_of_the_pipeline_is_a_stage_or_the_engine() -> None:
    files = {path.name for path in (ROOT / "pipeline").iterdir() if path.is_file()}
    versioned = {name for names in renew.STAGES.values() for name in names}
    assert files - versioned == {f"{name}.py" for name in ENGINE} | {"writing.toml", "canaries.toml"}
    assert versioned <= files


@pytest.mark.parametrize(
    ("after", "same"),
    [
        ("def f(x):\n    return x + 1\n", True),
        ("# why\ndef f(x):\n\n    '''Docs.'''\n    return (x + 1)  # one more\n", True),
        ('"""Module."""\ndef f(x):\n    return x + 1\n', True),
        ("def f(x):\n    return x + 2\n", False),
        ("def f(x):\n    return x + 1.0\n", False),
        ("def f(y):\n    return y + 1\n", False),
    ],
)
def test_only_what_code_does_counts(tmp_path: Path, after: str, same: bool) -> None:
    before = tmp_path / "before.py"
    before.write_text("def f(x):\n    return x + 1\n")
    (tmp_path / "after.py").write_text(after)
    assert (renew.source_digest(before) == renew.source_digest(tmp_path / "after.py")) == same


def test_the_script_refuses_a_change_without_a_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    golden = tmp_path / "golden" / "stage_versions.json"
    monkeypatch.setattr(renew, "GOLDEN", golden)
    monkeypatch.setattr(renew, "ROOT", tmp_path)
    now = {"read": {"version": 1, "sha256": "a"}, "warc": {"version": 1, "sha256": "b"}}
    monkeypatch.setattr(renew, "measured", lambda: now)
    assert renew.main([]) == 0
    now = {**now, "warc": {"version": 1, "sha256": "c"}}
    assert renew.main([]) == 1
    assert "raise VERSION in pipeline/warc.py first" in capsys.readouterr().out
    assert json.loads(golden.read_text())["warc"]["sha256"] == "b"
    assert renew.main(["--same-bytes"]) == 0
    now = {**now, "warc": {"version": 2, "sha256": "d"}}
    assert renew.main([]) == 0
    assert json.loads(golden.read_text()) == now
