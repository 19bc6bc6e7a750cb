"""What else than the core a run measures: groups of signals that its rules ask for, and word lists."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, Self

import pyarrow as pa
from pydantic import model_validator

from seimai.config import Section
from seimai.errors import ConfigError

from .measure import signals
from .own_columns import check_own, measure_own, own_parts
from .presets import QualityConfig, rules
from .signal_columns import GROUPS, columns_of, groups_of
from .wordlists import ListConfig, list_digests, open_list

__all__ = ["SignalsConfig", "measure_signals", "signals_parts"]

_PACKAGES = {"zstd": ("zstandard",), "sudachi": ("sudachipy", "sudachidict_core"), "unidic": ("fugashi", "unidic-lite")}
_WITHOUT = {"sudachi": "fineweb2-ja@chars", "unidic": "hojichar-ja@chars"}
"""Presets that decide much the same without the analyser."""


class SignalsConfig(Section):
    """Section [signals]: groups that no rule asks for yet, and word lists. What rules ask for is measured anyway."""

    groups: list[Literal["space", "datatrove", "dclm", "sudachi", "unidic", "zstd", "zlib", "bbs", "words"]] = []
    """Groups of columns to measure beside those that the rules of [quality] ask for."""
    lists: dict[str, ListConfig] = {}
    """Word lists by kind: ad, adult, discrimination, ng, spam, violence. A kind without a list breaks no rule."""
    own: dict[str, str] = {}
    """Columns of your own, own_name = "module:function"; docs/rules.md tells how to write one."""

    @model_validator(mode="after")
    def _own_is_sound(self) -> Self:
        check_own(self.own)
        return self


def _groups(config: SignalsConfig, quality: Mapping[str, QualityConfig], japanese: bool) -> tuple[str, ...]:
    """The groups to measure for Japanese, or for all other languages, in the order of GROUPS."""
    asked: set[str] = set(config.groups)
    for lang in sorted(quality):
        if (lang == "ja") == japanese:
            asked |= set(groups_of(rule.column for rule in rules(quality[lang])))
    return tuple(group for group in GROUPS if group in asked)


def signals_parts(config: SignalsConfig, quality: Mapping[str, QualityConfig]) -> dict[str, Any]:
    """What the numbers depend on besides code and texts: groups, lists with their SHA-256, versions of packages.

    Raises ConfigError, one line with the remedy, where an analyser that the rules ask for is not installed.
    """
    asked = {"ja": _groups(config, quality, True), "other": _groups(config, quality, False)}
    groups = sorted({group for of_one in asked.values() for group in of_one})
    packages = {package: _version(package, group) for group in groups for package in _PACKAGES.get(group, ())}
    lists = {}
    if "words" in groups:
        digests = list_digests(config.lists)
        for kind, entry in sorted(config.lists.items()):
            lists[kind] = {**entry.model_dump(mode="json", exclude={"path"}), "sha256": digests[kind]}
    parts: dict[str, Any] = {"groups": asked, "lists": lists, "packages": packages}
    return {**parts, "own": own_parts(config.own)} if config.own else parts


def _version(package: str, group: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        names = " ".join(_PACKAGES[group])
        other = f", or take the preset {_WITHOUT[group]}" if group in _WITHOUT else ""
        raise ConfigError(f"signals of the group {group!r} need {package}; pip install {names}{other}") from None


def measure_signals(
    texts: pa.Array, japanese: bool, config: SignalsConfig, quality: Mapping[str, QualityConfig]
) -> pa.Table:
    """The signals of texts that are all Japanese or all of other languages; what only the others ask for is null."""
    mine, others = _groups(config, quality, japanese), _groups(config, quality, not japanese)
    lists = {kind: open_list(entry) for kind, entry in config.lists.items()} if "words" in mine else {}
    table = signals(texts, "ja" if japanese else "en", groups=mine, lists=lists)
    columns = columns_of({*mine, *others})
    absent = {
        name: pa.nulls(len(texts), column.type) for name, column in columns.items() if name not in table.schema.names
    }
    measured = {name: absent[name] if name in absent else table[name] for name in columns}
    return pa.table({**measured, **measure_own(texts, config.own)})
