"""TOML becomes frozen sections and back; every mistake is one line with its key and a remedy."""

from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from seimai.config import Section, apply_overrides, dump_toml, load_config, parse_config
from seimai.errors import ConfigError


class Inner(Section):
    """A section of a section."""

    rows: int = Field(default=8, ge=1)
    """Rows of a band."""
    share: float = 0.5
    """A share."""


class Outer(Section):
    """A config with every kind of value."""

    name: str = ""
    """Any text."""
    fast: bool = False
    """A switch."""
    kind: Literal["arrow", "parquet"] = "arrow"
    """One of a few."""
    paths: list[str] = []
    """Texts."""
    limit: int | None = None
    """A number or nothing."""
    dedup: Inner = Inner()
    """A section."""
    quality: dict[str, Inner] = {}
    """Sections by name."""


sections = st.builds(
    Outer,
    name=st.text(),
    fast=st.booleans(),
    paths=st.lists(st.text(), max_size=3),
    limit=st.none() | st.integers(-(2**62), 2**62),
    dedup=st.builds(Inner, rows=st.integers(1, 9), share=st.floats(allow_nan=False)),
    quality=st.dictionaries(st.text(min_size=1, max_size=8), st.builds(Inner, rows=st.integers(1, 9)), max_size=3),
)


@settings(max_examples=200, deadline=None)
@given(sections)
def test_a_section_survives_its_file(tmp_path_factory: pytest.TempPathFactory, section: Outer) -> None:
    path = tmp_path_factory.getbasetemp() / "config.toml"
    path.write_bytes(dump_toml(section).encode())
    assert load_config(path, Outer) == section
    assert dump_toml(load_config(path, Outer)) == dump_toml(section)


def put(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nane = 'x'", "unknown key 'nane'; did you mean 'name'?"),
        ("zzzzzz = 1", "unknown key 'zzzzzz'; known keys: dedup, fast, kind, limit, name, paths, quality"),
        ("[dedup]\nrow = 1", "unknown key 'dedup.row'; did you mean 'rows'?"),
        ("[dedupe]\nrows = 1", "unknown key 'dedupe'; did you mean 'dedup'?"),
        ("[dedup]\nrows = 0", "dedup.rows = 0: input should be greater than or equal to 1"),
        ("[dedup]\nrows = 'many'", "dedup.rows = 'many': input should be a valid integer"),
        ("[dedup]\nrows = 1.5", "dedup.rows = 1.5"),
        ("fast = 3", "fast = 3"),
        ("kind = 'csv'", "kind = 'csv': input should be 'arrow' or 'parquet'"),
        ("paths = 'x'", "paths = 'x': input should be a valid list"),
        ("dedup = 3", "dedup"),
        ("[quality.ja]\nrowz = 1", "unknown key 'quality.ja.rowz'"),
        ("name = ", "not valid TOML"),
        ("name = 'a'\nname = 'b'", "not valid TOML"),
    ],
)
def test_a_mistake_is_one_line_with_file_key_and_remedy(tmp_path: Path, text: str, words: str) -> None:
    path = put(tmp_path / "web.toml", text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, Outer)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert "\n" not in message


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such config file; `seimai init`"):
        load_config(tmp_path / "gone.toml", Outer)
    with pytest.raises(ConfigError, match="is a directory"):
        load_config(tmp_path, Outer)
    (tmp_path / "sjis.toml").write_bytes("name = '精米'".encode("cp932"))
    with pytest.raises(ConfigError, match="not UTF-8 at byte 8"):
        load_config(tmp_path / "sjis.toml", Outer)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["name=plain text"], {"name": "plain text"}),
        (["name='3'"], {"name": "3"}),
        (["fast=true", "limit=3"], {"fast": True, "limit": 3}),
        (["paths=['a', 'b']"], {"paths": ["a", "b"]}),
        (["dedup.rows=2", "dedup.rows=3"], {"dedup": {"rows": 3}}),
        (["quality.ja.share=1e-3"], {"quality": {"ja": {"share": 0.001}}}),
        ([" dedup . rows = 2 "], {"dedup": {"rows": 2}}),
        (["name=a=b"], {"name": "a=b"}),
        (["name="], {"name": ""}),
    ],
)
def test_overrides(overrides: list[str], expected: dict[str, Any]) -> None:
    assert apply_overrides({}, overrides) == expected


@pytest.mark.parametrize("override", ["name", "=3", "a..b=1", "name.below=1", ""])
def test_wrong_overrides_name_themselves(override: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        apply_overrides({"name": "x"}, [override])


def test_overrides_leave_their_source_alone(tmp_path: Path) -> None:
    data = {"dedup": {"rows": 1}}
    assert apply_overrides(data, ["dedup.rows=2"]) == {"dedup": {"rows": 2}}
    assert data == {"dedup": {"rows": 1}}
    path = put(tmp_path / "x.toml", "[dedup]\nrows = 1\nshare = 0.1")
    assert load_config(path, Outer, ["dedup.rows=5"]).dedup == Inner(rows=5, share=0.1)


def test_sections_are_frozen_and_described() -> None:
    with pytest.raises(ValidationError):
        Outer().name = "x"
    assert Outer.model_fields["name"].description == "Any text."


def test_plain_data_names_its_place() -> None:
    with pytest.raises(ConfigError, match=r"^--set: unknown key 'nam'; did you mean 'name'\?$"):
        parse_config({"nam": 1}, Outer, "--set")
