"""Warnings before a run: rules that would drop every page of a language, and presets without the cleaning they rest on.

What a column rests on is data (`writing.toml`). The verdict follows from columns and thresholds, not from a preset's
name: a config's own rules are judged too, and a preset without its offending rules is not warned of.
"""

import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

from .presets import QualityConfig, Rule, preset, rules

__all__ = ["Ground", "foreign_rules", "grounds", "quality_warnings"]


class Ground(NamedTuple):
    """Something texts must have for a column to mean what its rules take it for; writing.toml tells the fields."""

    what: str
    only_in: tuple[str, ...]
    not_in: tuple[str, ...]
    low: tuple[str, ...]
    high: tuple[str, ...]
    lists: tuple[str, ...]

    def lacks(self, lang: str) -> bool:
        """Whether texts of that language have it not."""
        return lang in self.not_in or bool(self.only_in and lang not in self.only_in)

    def drops(self, rule: Rule) -> bool:
        """Whether the rule drops texts that have it not."""
        if rule.keep in (">=", ">"):
            return rule.column in self.low and rule.threshold > 0
        return rule.column in self.high


@lru_cache(maxsize=1)
def grounds() -> tuple[Ground, ...]:
    """What columns rest on.

    >>> [ground.what for ground in grounds() if ground.lacks("ja")]
    ['words between spaces', 'English words']
    """
    data = tomllib.loads((files("seimai.pipeline") / "writing.toml").read_text(encoding="utf-8"))
    fields = Ground._fields[1:]
    return tuple(Ground(e["what"], *(tuple(e.get(field, ())) for field in fields)) for e in data["rests_on"])


def foreign_rules(lang: str, asked: Sequence[Rule], lists: Sequence[str] = ()) -> dict[str, list[str]]:
    """What texts of a language lack, and the rules and lists of line rules that drop them for it.

    >>> foreign_rules("ja", rules(QualityConfig(preset="gopher")))
    {'words between spaces': ['min_mean_word_chars'], 'English words': ['min_stop_words']}
    """
    found = {}
    for ground in grounds():
        if ground.lacks(lang):
            names = [rule.reason for rule in asked if ground.drops(rule)] + [n for n in lists if n in ground.lists]
            if names:
                found[ground.what] = names
    return found


def quality_warnings(quality: Mapping[str, QualityConfig], line_rules: Mapping[str, Sequence[str]]) -> list[str]:
    """What to tell a user before a run, a line each: rules and lists of line rules that would drop nearly all of a
    language, and lists that a preset's original applies first and the config does not.

    >>> quality_warnings({"ja": QualityConfig(preset="gopher", disable=["min_mean_word_chars"])}, {})
    ["quality.ja (gopher): min_stop_words needs English words; in 'ja' it drops nearly every page"]
    """
    lines = []
    for lang in sorted({*quality, *line_rules}):
        asked = rules(quality[lang]) if lang in quality else []
        place = f"quality.{lang} ({quality[lang].preset})" if lang in quality else f"cleaning.line_rules.{lang}"
        for what, names in foreign_rules(lang, asked, line_rules.get(lang, ())).items():
            verb, pronoun = ("needs", "it drops") if len(names) == 1 else ("need", "they drop")
            lines.append(f"{place}: {', '.join(names)} {verb} {what}; in {lang!r} {pronoun} nearly every page")
        absent = set(preset(quality[lang].preset).cleaning) - set(line_rules.get(lang, ())) if lang in quality else ()
        for name in sorted(absent):
            lines.append(f"{place}: its original first cuts lines; add {name!r} to cleaning.line_rules.{lang}")
    return lines
