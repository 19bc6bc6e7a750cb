"""Line rules: texts in, edits out: the lines that are a page's furniture and no part of its text.

A rule is data (`line_rules.toml`). A line (`lines.Lines`) is cut for the first rule, in running order, of which
everything that is written holds:

    reason      name of the rule, in edits, counts and reports
    pattern     regular expression (RE2), searched in the line; {mark} in it is a character that no word is made of
    lines       expressions of which one is the whole line, but for what is neither letter nor digit at its ends
    items       expressions of which the line has at least `min_items`, with anything but letters and digits between
    unless      regular expression that must not be found
    where       comparisons on the line's counts, as "chars <= 40"; ratios are over its characters
    position    any, head, tail or edge: within the first or last `within` lines of the text
    within      lines counted from an end
    min_run     fewest adjacent lines of the text for which the rule holds
    part        cut only what `pattern` finds, not the line; later rules still see the whole line
    source      where the rule is from
"""

import difflib
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from seimai.config import Section

from .edits import Spans, edit_table
from .lines import Lines, cut_lines, line_strings, runs, split_lines

__all__ = ["VERSION", "LineRule", "RuleList", "cut_tally", "line_edits", "list_names", "rule_list", "rules_of"]

VERSION = 1

COUNTS = ("chars", "words", "longest_word", "letters", "capitals", "digits", "plain", "japanese", "breaks",
          "from_start", "from_end")  # fmt: skip
RATIOS: Mapping[str, tuple[str, str]] = {
    "capital_ratio": ("capitals", "chars"),
    "digit_ratio": ("digits", "chars"),
    "letter_ratio": ("letters", "chars"),
}
"""Name of a ratio: the counts above and below the line; 0 where nothing stands below."""

_MARK = (
    "[^0-9A-Za-z\u00c0-\u024f\u0370-\u1fff\u3005-\u3007\u3041-\u30fa\u30fc-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff"
    "\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uff9f\U00020000-\U0003ffff]"
)
"""A mark: by blocks, since an automaton of all of Unicode's letters takes 1 ms to build, for every rule and part."""
_WHERE = re.compile(rf"({'|'.join((*COUNTS, *RATIOS))}) (<=|>=|<|>|==) (\d+(?:\.\d+)?)")
_COMPARE = {"<=": np.less_equal, ">=": np.greater_equal, "<": np.less, ">": np.greater, "==": np.equal}


class LineRule(Section):
    """One rule; the fields are those the module names."""

    reason: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Name of the rule."""
    pattern: str = ""
    """What is searched in the line (RE2)."""
    lines: list[str] = []
    """What the whole line may be (RE2, any case), whatever marks stand at its ends."""
    items: list[str] = []
    """What the line may consist of (RE2, any case), with marks between."""
    min_items: int = Field(default=1, ge=1)
    """Fewest items of the line."""
    unless: str = ""
    """What must not be found in the line (RE2)."""
    where: list[str] = []
    """Comparisons that must hold."""
    position: Literal["any", "head", "tail", "edge"] = "any"
    """Where in the text the line must stand."""
    within: int = Field(default=1, ge=1)
    """Lines from an end of the text that count as its head or tail."""
    min_run: int = Field(default=1, ge=1)
    """Fewest adjacent lines for which the rule holds."""
    part: bool = False
    """Cut what `pattern` finds, not the line."""
    source: str
    """Where the rule is from."""

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        for condition in self.where:
            if not _WHERE.fullmatch(condition):
                raise ValueError(
                    f"where = {condition!r}: write a count, a comparison and a number, as 'chars <= 40'; counts are "
                    f"{', '.join((*COUNTS, *RATIOS))}"
                )
        if (self.pattern != "") + bool(self.lines) + bool(self.items) > 1:
            raise ValueError("has more than one of pattern, lines and items; write one rule for each")
        for pattern in (self.expression, self.unless):
            try:
                pc.match_substring_regex(pa.array([""]), pattern)
            except pa.ArrowInvalid as error:
                raise ValueError(f"{pattern!r} is no RE2 expression: {error}") from None
        if not (self.expression or self.unless or self.where):
            raise ValueError("has nothing to look for: it would cut every line")
        if self.part and (not self.pattern or self.min_run > 1):
            raise ValueError("part = true needs a pattern, and no min_run")
        return self

    @property
    def expression(self) -> str:
        """The regular expression (RE2) that a line must contain; empty where any will do.

        >>> LineRule(reason="a", items=["next", "up"], min_items=2, source="").expression.replace(_MARK, "{mark}")
        '(?i)^{mark}*(?:next|up)(?:{mark}+(?:next|up)){1,}{mark}*$'
        """
        if self.lines:
            return rf"(?i)^{_MARK}*(?:{'|'.join(self.lines)}){_MARK}*$"
        if self.items:
            item = f"(?:{'|'.join(self.items)})"
            return rf"(?i)^{_MARK}*{item}(?:{_MARK}+{item}){{{self.min_items - 1},}}{_MARK}*$"
        return self.pattern.replace("{mark}", _MARK)


class RuleList(Section):
    """A named list of rules, in running order."""

    version: int
    """Number of the list's edition."""
    source: str
    """Where the list is from."""
    note: str = ""
    """What differs from there."""
    rules: list[LineRule]
    """The rules."""


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Any]:
    return tomllib.loads((files("seimai.pipeline") / "line_rules.toml").read_text(encoding="utf-8"))


def list_names() -> tuple[str, ...]:
    """The lists that come with the package.

    >>> list_names()
    ('web-ja', 'web-en', 'refinedweb', 'c4', 'fineweb', 'c4-ja')
    """
    return tuple(_shipped())


@lru_cache(maxsize=64)
def rule_list(name: str) -> RuleList:
    """The shipped list of that name, or the one in a TOML file (a name that ends in .toml); else ValueError, one line.

    >>> rule_list("c4").rules[0].reason
    'c4_citation'
    """
    data: Any
    if name.endswith(".toml"):
        try:
            data = tomllib.loads(Path(name).read_text(encoding="utf-8"))
        except OSError as error:
            raise ValueError(f"{name}: {error.strerror}; give a file of rules") from None
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ValueError(f"{name}: not valid TOML: {error}") from None
    elif name in _shipped():
        data = _shipped()[name]
    else:
        near = difflib.get_close_matches(name, list_names(), n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(list_names())}, or give a .toml file"
        raise ValueError(f"unknown list {name!r}; {remedy}")
    try:
        return RuleList.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{name}: {place}: {first['msg'].removeprefix('Value error, ')}") from None


def rules_of(names: Sequence[str]) -> tuple[LineRule, ...]:
    """The rules of several lists, one after the other."""
    return tuple(rule for name in names for rule in rule_list(name).rules)


def line_edits(documents: pa.Table, rules: Mapping[str, Sequence[LineRule]]) -> pa.Table:
    """The edits of a table with columns `id`, `text` and `lang`, by the rules of each language.

    >>> documents = pa.table({"id": ["x"], "text": ["精米は白い。\\n次のページ"], "lang": ["ja"]})
    >>> line_edits(documents, {"ja": rules_of(["web-ja"])}).select(["start", "end", "reason"]).to_pylist()
    [{'start': 6, 'end': 12, 'reason': 'navigation'}]
    """
    ids, texts = documents["id"].combine_chunks(), documents["text"].cast(pa.large_string()).combine_chunks()
    found = []
    for lang in sorted(rules):
        of_lang = pc.fill_null(pc.equal(documents["lang"].combine_chunks(), lang), False)
        chosen = np.flatnonzero(of_lang.to_numpy(zero_copy_only=False))
        if len(chosen) and rules[lang]:
            spans, reasons = _spans(texts.take(pa.array(chosen)), rules[lang])
            found.append((spans._replace(row=chosen[spans.row]), reasons))
    if not found:
        nothing = np.empty(0, np.int64)
        return edit_table(ids, Spans(nothing, nothing, nothing, pa.array([], pa.string())), pa.array([], pa.string()))
    columns = [np.concatenate([getattr(spans, name) for spans, _ in found]) for name in ("row", "start", "end")]
    order = np.lexsort((columns[1], columns[0]))
    row, start, end = (column[order] for column in columns)
    reason = pa.concat_arrays([reasons for _, reasons in found]).take(pa.array(order))
    return edit_table(ids, Spans(row, start, end, pa.array([""] * len(row), pa.string())), reason)


def cut_tally(edits: pa.Table) -> dict[str, Any]:
    """Lines and characters cut, by reason; what a marker keeps of a part's edits."""
    lines: Counter[str] = Counter(edits["reason"].to_pylist())
    chars = pa.table({"reason": edits["reason"], "chars": pc.subtract(edits["end"], edits["start"])})
    sums = chars.group_by("reason").aggregate([("chars", "sum")]).to_pylist()
    return {"cut": sorted([row["reason"], lines[row["reason"]], row["chars_sum"]] for row in sums)}


def _spans(texts: pa.Array, rules: Sequence[LineRule]) -> tuple[Spans, pa.Array]:
    """Spans and their reasons, not in order: whole lines, then parts of lines that stay."""
    lines = split_lines(texts)
    first = np.full(len(lines.text), len(rules), np.int64)
    parts: list[tuple[int, NDArray[np.int64], pa.Array]] = []
    for number, rule in enumerate(rules):
        places, strings = _holding(texts, lines, rule)
        if rule.part:
            parts.append((number, places, strings))
        else:
            first[places] = np.minimum(first[places], number)
    cut = first < len(rules)
    spans = cut_lines(lines, cut)
    row, start, end, names = [spans.row], [spans.start], [spans.end], [first[cut]]
    for number, places, strings in parts:
        pattern = re.compile(rules[number].expression)
        for place, string in zip(places, strings.to_pylist(), strict=True):
            found = [] if cut[place] else [m.span() for m in pattern.finditer(string) if m.end() > m.start()]
            row.append(np.full(len(found), lines.text[place]))
            start.append(np.array([low for low, _ in found], np.int64) + lines.start[place])
            end.append(np.array([high for _, high in found], np.int64) + lines.start[place])
            names.append(np.full(len(found), number))
    reasons = pa.array([rule.reason for rule in rules], pa.string()).take(pa.array(np.concatenate(names)))
    nothing = pa.array([""] * len(reasons), pa.string())
    return Spans(np.concatenate(row), np.concatenate(start), np.concatenate(end), nothing), reasons


def _holding(texts: pa.Array, lines: Lines, rule: LineRule) -> tuple[NDArray[np.int64], pa.Array]:
    """The lines (places) for which a rule holds, and their texts.

    Counts and position first: they leave few and short lines to search. One search for all rules at once would be 20
    times slower, since RE2's automaton of all of them does not fit its memory.
    """
    places = np.flatnonzero(_allowed(lines, rule))
    strings = line_strings(texts, lines, places)
    for expression, wanted in ((rule.expression, True), (rule.unless, False)):
        if expression and len(places):
            found = pc.match_substring_regex(strings, expression).to_numpy(zero_copy_only=False) == wanted
            places, strings = places[found], strings.filter(pa.array(found))
    return (_long_runs(lines, places, rule.min_run) if rule.min_run > 1 else places), strings


def _allowed(lines: Lines, rule: LineRule) -> NDArray[np.bool_]:
    """Lines whose counts and position a rule asks for."""
    mask = np.ones(len(lines.text), np.bool_)
    head, tail = lines.from_start < rule.within, lines.from_end < rule.within
    mask &= {"any": mask, "head": head, "tail": tail, "edge": head | tail}[rule.position]
    for condition in rule.where:
        name, comparison, number = _WHERE.fullmatch(condition).groups()  # type: ignore[union-attr]
        mask &= _COMPARE[comparison](_values(lines, name), float(number))
    return mask


def _values(lines: Lines, name: str) -> NDArray[Any]:
    if name in RATIOS:
        above, below = RATIOS[name]
        return np.asarray(getattr(lines, above) / np.maximum(getattr(lines, below), 1))
    return np.asarray(getattr(lines, name))


def _long_runs(lines: Lines, places: NDArray[np.int64], least: int) -> NDArray[np.int64]:
    marked = np.zeros(len(lines.text), np.bool_)
    marked[places] = True
    for first, last in zip(*runs(lines, marked), strict=True):
        if last - first + 1 < least:
            marked[first : last + 1] = False
    return np.flatnonzero(marked)
