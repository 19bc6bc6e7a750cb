"""Weights of groups in; which group the r-th row belongs to, and which of the group's rows it is, in closed form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seimai.errors import ConfigError

from .shards import TokenShards

__all__ = ["Interleaving", "Mixture", "Phase", "group_masks", "normalised", "tempered"]

UNITS = 1 << 20
"""Weights are taken in 1,048,576ths, so that all counts are exact integers."""

Int64s = NDArray[np.int64]
Mixture = Mapping[str, float] | Sequence[tuple[int, Mapping[str, float]]]


@dataclass(frozen=True)
class Phase:
    """From `first_row` on, groups have these shares of the rows."""

    first_row: int
    units: tuple[int, ...]
    """Share of each group in 1,048,576ths."""
    before: tuple[int, ...]
    """Rows of each group in the phases before."""


class Interleaving:
    """Rows of several groups, dealt out so that each group has its share after any number of rows.

    The largest group takes row m where floor(m·w + 1/2) steps up; the rows it leaves are dealt to the others the same
    way, so that of n groups none is more than (1 + ln n)/2 rows off, two for up to twenty. The count of a group after
    m rows is a formula; no state is carried.

    >>> deal = Interleaving(["ja", "en"], [(0, {"ja": 0.75, "en": 0.25})])
    >>> [numbers.tolist() for numbers in deal.place(np.arange(8))]
    [[0, 0, 1, 0, 0, 0, 1, 0], [0, 1, 0, 2, 3, 4, 1, 5]]
    """

    def __init__(self, names: Sequence[str], phases: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """`phases` holds (first row, weights) with rising first rows, the first of them 0."""
        self.names = list(names)
        made: list[Phase] = []
        before: tuple[int, ...] = (0,) * len(self.names)
        for first_row, weights in phases:
            if made:
                counts = _counts(np.array([first_row - made[-1].first_row]), made[-1].units)[:, 0].tolist()
                before = tuple(then + now for then, now in zip(before, counts, strict=True))
            made.append(Phase(first_row, _units(self.names, weights), before))
        self.phases = made
        self._firsts = np.array([phase.first_row for phase in made])

    def place(self, rows: Int64s) -> tuple[Int64s, Int64s]:
        """(group, row of the group) of global rows."""
        now, then = self._counts(rows), self._counts(rows + 1)
        group = np.argmax(then - now, axis=0)
        return group, now[group, np.arange(len(rows))]

    def global_rows(self, group: int, numbers: Int64s, rows: int) -> Int64s:
        """Global rows, below `rows`, of the group's rows `numbers`: `place` the other way round, by bisection."""
        low, high = np.zeros(len(numbers), np.int64), np.full(len(numbers), rows, np.int64)
        while bool((high - low > 1).any()):
            middle = (low + high) // 2
            below = self._counts(middle)[group] <= numbers
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return low

    def counts(self, rows: int) -> dict[str, int]:
        """Rows of every group among the first `rows`."""
        found = self._counts(np.array([rows]))[:, 0].tolist()
        return dict(zip(self.names, found, strict=True))

    def _counts(self, rows: Int64s) -> Int64s:
        """(groups, len(rows)): rows of every group among the first so many global rows."""
        found = np.zeros((len(self.names), len(rows)), np.int64)
        of_phase = np.searchsorted(self._firsts, rows, "right") - 1
        for place in np.unique(of_phase).tolist():
            phase, mine = self.phases[place], of_phase == place
            found[:, mine] = _counts(rows[mine] - phase.first_row, phase.units) + np.array(phase.before)[:, None]
        return found


def _counts(rows: Int64s, units: Sequence[int]) -> Int64s:
    """(groups, len(rows)): rows of every group after so many rows of a phase."""
    found = np.zeros((len(units), len(rows)), np.int64)
    left, left_units = rows.astype(np.int64), sum(units)
    # Largest share first: a group takes over its part of the rounding before it, so the small ones must come last.
    for group in sorted(range(len(units)), key=lambda group: (-units[group], group)):
        if left_units:
            found[group] = (left * units[group] + left_units // 2) // left_units
        left, left_units = left - found[group], left_units - units[group]
    return found


def _units(names: Sequence[str], weights: Mapping[str, float]) -> tuple[int, ...]:
    """Shares in units that add up, by largest remainder; equal remainders go to the first name."""
    exact = [Fraction(str(weights.get(name, 0.0))) for name in names]
    scaled = [UNITS * each / sum(exact) for each in exact]
    units = [int(each) for each in scaled]
    by_remainder = sorted(range(len(names)), key=lambda i: (units[i] - scaled[i], i))
    for i in by_remainder[: UNITS - sum(units)]:
        units[i] += 1
    return tuple(units)


def normalised(mixture: Mixture, batch_rows: int) -> tuple[list[str], list[tuple[int, dict[str, float]]]]:
    """Names of all groups in order, and (first row, weights) of every phase; ConfigError for what is none.

    >>> normalised([(0, {"ja": 1}), (100, {"ja": 1, "en": 1})], batch_rows=8)
    (['en', 'ja'], [(0, {'ja': 1.0}), (800, {'ja': 1.0, 'en': 1.0})])
    """
    phases = [(0, mixture)] if isinstance(mixture, Mapping) else [(int(step), weights) for step, weights in mixture]
    steps = [step for step, _ in phases]
    if not phases or steps[0] != 0 or steps != sorted(set(steps)):
        raise ConfigError(f"data.mixture: steps {steps} must begin with 0 and rise; write [[0, {{…}}], [1000, {{…}}]]")
    for _, weights in phases:
        for name, weight in weights.items():
            if not 0 <= weight < float("inf"):
                raise ConfigError(f"data.mixture.{name} = {weight}: weights are 0 or more; change it")
        if not sum(weights.values()) > 0:
            raise ConfigError(f"data.mixture = {dict(weights)}: no group has a weight above 0; give one")
    names = sorted({name for _, weights in phases for name in weights})
    return names, [(step * batch_rows, {k: float(v) for k, v in weights.items()}) for step, weights in phases]


def group_masks(shards: TokenShards, names: Sequence[str]) -> list[NDArray[np.bool_]]:
    """Documents of every group; a group is a source, a language, or both as `source/lang`.

    ConfigError where a name is neither, or where a document would belong to two groups.
    """
    sources, langs = shards.manifest["sources"], shards.manifest["langs"]
    masks = [_mask(shards, name, sources, langs) for name in names]
    for i, name in enumerate(names):
        for j in range(i):
            if bool((masks[i] & masks[j]).any()):
                raise ConfigError(
                    f"data.mixture: documents belong to both {names[j]!r} and {name!r}; write source/lang, as in "
                    f"{sources[0]}/{langs[0]}"
                )
    return masks


def _mask(shards: TokenShards, name: str, sources: list[str], langs: list[str]) -> NDArray[np.bool_]:
    if name in sources and name in langs:
        raise ConfigError(f"data.mixture.{name}: is a source and a language; write source/lang")
    if name in sources:
        return np.asarray(shards.source == sources.index(name))
    if name in langs:
        return np.asarray(shards.lang == langs.index(name))
    source, slash, lang = name.rpartition("/")
    if slash and source in sources and lang in langs:
        return np.asarray((shards.source == sources.index(source)) & (shards.lang == langs.index(lang)))
    known = ", ".join([*sources, *langs])
    raise ConfigError(f"data.mixture.{name}: no such source or language; here are {known}, or source/lang")


def tempered(n_tokens: Mapping[str, int], temperature: float) -> dict[str, float]:
    """Weights ∝ n_tokens^(1/temperature): 1 keeps the data's shares, higher ones draw them together.

    Source: Devlin et al., multilingual BERT; XLM-R (arXiv:1911.02116) uses 1/temperature = 0.3.

    >>> tempered({"ja": 100, "en": 900}, 2.0)
    {'ja': 0.25, 'en': 0.75}
    """
    if not temperature >= 1:
        raise ConfigError(f"temperature = {temperature}: must be 1 or more; change it")
    powers: dict[str, Any] = {name: count ** (1 / temperature) for name, count in n_tokens.items()}
    total = sum(powers.values())
    return {name: round(power / total, 12) for name, power in powers.items()}
