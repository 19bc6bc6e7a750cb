"""The section [cleaning]: what it turns on, what it is made of, and its mistakes."""

import tomllib
from pathlib import Path

import pytest

from seimai.config import dump_toml, parse_config
from seimai.errors import ConfigError
from seimai.pipeline.cleaning import CleaningConfig, line_rules_parts

MINE = 'version = 1\nsource = "x"\n[[rules]]\nreason = "a"\nlines = ["x"]\nsource = "x"\n'


@pytest.mark.parametrize(
    ("config", "repeated"),
    [
        (CleaningConfig(), True),
        (CleaningConfig(host_min_pages=0), False),
        (CleaningConfig(host_min_pages=0, corpus="first"), True),
        (CleaningConfig(line_rules={}, host_min_pages=0), False),
    ],
)
def test_repeated_lines_are_looked_for_where_a_key_asks(config: CleaningConfig, repeated: bool) -> None:
    assert config.repeated is repeated


def test_a_section_survives_its_file() -> None:
    for config in (
        CleaningConfig(),
        CleaningConfig(line_rules={}),
        CleaningConfig(line_rules={"en": ["c4", "web-en"]}),
    ):
        assert parse_config(tomllib.loads(dump_toml(config)), CleaningConfig, "test") == config


def test_a_list_is_known_by_its_rules_not_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(MINE)
    (tmp_path / "b.toml").write_text(MINE.replace('source = "x"\n[', 'source = "x"\nnote = "other words"\n['))
    (tmp_path / "c.toml").write_text(MINE.replace('["x"]', '["y"]'))
    parts = [
        line_rules_parts(CleaningConfig(line_rules={"ja": [str(tmp_path / name)]}))
        for name in ("a.toml", "b.toml", "c.toml")
    ]
    assert parts[0] == parts[1] != parts[2]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"line_rules": {"ja": ["web-jp"]}}, "did you mean 'web-ja'"),
        ({"line_rules": {"ja": ["mine.toml"]}}, "mine.toml: No such file or directory; give a file of rules"),
        ({"host_share": 0}, "host_share"),
        ({"host_max_cut": 1.5}, "host_max_cut"),
        ({"corpus": "last"}, "corpus"),
        ({"corpus_copies": 3}, "unknown key 'corpus_copies'; did you mean 'corpus_max_copies'?"),
    ],
)
def test_mistakes_are_one_line_with_a_remedy(data: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(data, CleaningConfig, "test")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
