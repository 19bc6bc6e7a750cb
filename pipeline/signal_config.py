"""What else than the core a run measures: groups of signals that its rules ask for, and word lists."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import pyarrow as pa

from seimai.config import Section

from .measure import signals
from .presets import QualityConfig, rules
from .signal_columns import GROUPS, columns_of, groups_of
from .wordlists import ListConfig, list_digests, open_list

__all__ = ["SignalsConfig", "measure_signals", "signals_parts"]

_PACKAGES = {"zstd": ("zstandard",), "sudachi": ("sudachipy", "sudachidict_core")}


class SignalsConfig(Section):
    """Section [signals]: groups that no rule asks for yet, and word lists. What rules ask for is measured anyway."""

    groups: list[Literal["space", "datatrove", "dclm", "sudachi", "zstd", "zlib", "bbs", "words"]] = []
    """Groups of columns to measure beside those that the rules of [quality] ask for."""
    lists: dict[str, ListConfig] = {}
    """Word lists by kind: ad, adult, discrimination, ng, spam, violence. A kind without a list breaks no rule."""


def _groups(config: SignalsConfig, quality: Mapping[str, QualityConfig], japanese: bool) -> tuple[str, ...]:
    """The groups to measure for Japanese, or for all other languages, in the order of GROUPS."""
    asked: set[str] = set(config.groups)
    for lang in sorted(quality):
        if (lang == "ja") == japanese:
            asked |= set(groups_of(rule.column for rule in rules(quality[lang])))
    return tuple(group for group in GROUPS if group in asked)


def signals_parts(config: SignalsConfig, quality: Mapping[str, QualityConfig]) -> dict[str, Any]:
    """What the numbers depend on besides code and texts: groups, lists with their SHA-256, versions of packages."""
    asked = {"ja": _groups(config, quality, True), "other": _groups(config, quality, False)}
    groups = sorted({group for of_one in asked.values() for group in of_one})
    packages: dict[str, str | None] = {}
    for package in (package for group in groups for package in _PACKAGES.get(group, ())):
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            packages[package] = None
    lists = {}
    if "words" in groups:
        digests = list_digests(config.lists)
        for kind, entry in sorted(config.lists.items()):
            lists[kind] = {**entry.model_dump(mode="json", exclude={"path"}), "sha256": digests[kind]}
    return {"groups": asked, "lists": lists, "packages": packages}


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
    return pa.table({name: absent[name] if name in absent else table[name] for name in columns})
