"""The configuration of a run, its fingerprints, and which differences forbid to go on."""

import os
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from seimai.config import apply_overrides, dump_toml, load_config, parse_config
from seimai.errors import ConfigError
from seimai.pipeline import measure, settings
from seimai.pipeline.language import language_model
from seimai.pipeline.perplexity import PerplexityConfig
from seimai.pipeline.settings import (
    MAP_STAGES,
    READING,
    RunConfig,
    package_versions,
    reading_differences,
    stage_fingerprints,
)

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def config(*sets: str) -> RunConfig:
    return parse_config(apply_overrides({}, sets), RunConfig, "test")


@pytest.mark.parametrize(
    ("setting", "changed"),
    [
        ("input.paths=['x.warc.gz']", set()),
        ("input.contact=me@example.org", set()),
        ("quality.ja.preset=none", set()),
        ("cleaning.line_rules={ja = ['web-ja', 'c4']}", {"line_rules"}),
        ("output.shard_bytes=1000", set()),
        ("dedup.bands=4", set()),
        ("dedup.rows=2", set()),
        ("dedup.seed=7", {"signatures"}),
        ("dedup.num_perm=256", {"signatures"}),
        ("dedup.shingle_chars=4", {"signatures"}),
        ("input.part_bytes=1000", {"read"}),
        ("input.name=mine", {"read"}),
        ("gates.min_lang_score=0.1", {"read"}),
        ("extract.engine=precise", {"read"}),
        ("held_out.seed=5", {"read"}),
    ],
)
def test_a_setting_moves_the_fingerprints_that_depend_on_it(setting: str, changed: set[str]) -> None:
    before, after = stage_fingerprints(config()), stage_fingerprints(config(setting))
    assert set(before) == set(MAP_STAGES)
    assert {stage for stage in MAP_STAGES if before[stage] != after[stage]} == changed


def test_versions_and_models_move_the_fingerprints(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = stage_fingerprints(config())
    monkeypatch.setattr(measure, "VERSION", 99)
    assert {s for s, f in stage_fingerprints(config()).items() if f != before[s]} == {"signals"}
    monkeypatch.undo()
    monkeypatch.setattr(settings, "package_versions", lambda: {**package_versions(), "resiliparse": "99"})
    assert {s for s, f in stage_fingerprints(config()).items() if f != before[s]} == {"read"}
    monkeypatch.undo()
    copy = tmp_path / "copy.ftz"
    shutil.copy(language_model(None), copy)
    same = stage_fingerprints(config(f"language.model={copy}"))
    with copy.open("ab") as file:
        file.write(b"x")
    assert stage_fingerprints(config(f"language.model={copy}"))["read"] != same["read"]
    os.utime(copy, (1, 1))
    assert stage_fingerprints(config()) == before


@pytest.mark.parametrize(
    ("sets", "keys"),
    [
        ([], []),
        (
            [
                "input.paths=['x']",
                "input.contact=a",
                "quality.ja.preset=none",
                "dedup.bands=1",
                "output.format=parquet",
            ],
            [],
        ),
        (["gates.status=[200,203]"], ["gates.status"]),
        (
            ["held_out.seed=2", "input.root='/x'", "input.part_bytes=5"],
            ["input.part_bytes", "input.root", "held_out.seed"],
        ),
        (["extract.engine=precise", "language.model=/x"], ["extract.engine", "language.model"]),
    ],
)
def test_differences_in_reading_are_named(sets: list[str], keys: list[str]) -> None:
    assert reading_differences(config(), config(*sets)) == keys


def test_a_config_survives_its_file(tmp_path: Path) -> None:
    original = config(
        "input.paths=['精米 \"a\".warc.gz']", "quality.ja.preset=swallow-v1", "quality.ja.min_hiragana_ratio=0.15"
    )
    path = tmp_path / "config.toml"
    path.write_text(dump_toml(original), encoding="utf-8")
    assert load_config(path, RunConfig) == original


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("web_*.toml")), ids=lambda path: path.name)
def test_every_shipped_config_loads(path: Path) -> None:
    loaded = load_config(path, RunConfig)
    assert set(loaded.quality) == {"ja", "en"}
    named = tomllib.loads(path.read_text(encoding="utf-8"))
    assert set(named) == set(RunConfig.model_fields)
    for section in ("input", "gates", "language", "cleaning", "dedup", "held_out", "output"):
        fields = type(getattr(loaded, section)).model_fields
        # TOML cannot write "not given".
        given = {name for name, field in fields.items() if field.default is not None}
        assert given <= set(named[section]) <= set(fields), "the file names every key"


def test_the_shipped_config_is_the_default() -> None:
    shipped = load_config(CONFIGS / "web_ja_en.toml", RunConfig)
    for section in {*READING, "cleaning", "dedup", "output"} - {"extract"}:  # the file takes the faster engine
        assert getattr(shipped, section) == getattr(RunConfig(), section), section


@pytest.mark.parametrize(
    "model",
    [
        *(RunConfig, PerplexityConfig),
        *(type(getattr(RunConfig(), n)) for n in RunConfig.model_fields if n not in ("quality", "perplexity")),
    ],
)
def test_every_field_says_what_it_means(model: Any) -> None:
    silent = [name for name, field in model.model_fields.items() if not (field.description or "").strip()]
    assert silent == []


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("quality.ja.min_hiragana_ration=0.1", "did you mean"),
        ("quality.ja.preset=swalow-v1", "did you mean 'swallow-v1'"),
        ("gate.status=[200]", "unknown key 'gate'; did you mean 'gates'?"),
        ("cleaning.line_rules={ja = ['web-jp']}", "did you mean 'web-ja'"),
        ("cleaning.line_rules={ja = ['/no/such.toml']}", "/no/such.toml: No such file"),
        ("dedup.bands=199", "more than num_perm"),
        ("input.part_bytes=0", "input.part_bytes = 0"),
    ],
)
def test_mistakes_name_the_key_and_the_remedy(setting: str, words: str) -> None:
    sets = [setting] if "preset" in setting or "quality" not in setting else [setting, "quality.ja.preset=swallow-v1"]
    with pytest.raises(ConfigError) as caught:
        config(*sets)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
