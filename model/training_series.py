"""The folder of a training in; its logs as plain arrays by name out: what a page about it draws."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seimai.errors import RunError
from seimai.files import canonical_json, read_json, write_atomic

from .metrics import read_metrics

__all__ = ["Line", "TrainingLog", "keep_lengths", "read_training", "thinned"]

Floats = NDArray[np.float64]
COLUMNS = ("loss", "lr", "grad_norm", "tokens_per_s", "data_wait_share", "padding_share", "memory_bytes")
MOST_POINTS = 2000
"""Points of a line; a training of more steps is drawn by means of neighbouring steps."""


@dataclass(frozen=True)
class Line:
    """One line of a figure: means of neighbouring steps, and the lowest and highest value among them."""

    step: Floats
    mean: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class TrainingLog:
    """What stands in the folder of a training."""

    columns: dict[str, Floats]
    """Value of every step by name (NaN where it is none): loss, lr, grad_norm, tokens_per_s, mfu_… and others."""
    tokens: int
    """Targets trained on."""
    by: dict[str, dict[str, tuple[Floats, Floats]]]
    """Steps and mean losses by grouping (source, lang, quality, position) and group, those with most targets first."""
    held_out: dict[str, tuple[Floats, Floats]]
    """Steps finished and bits per byte by language."""
    spikes: list[dict[str, Any]]
    """What spikes/step-N.json holds, in order of the step."""
    lengths: dict[str, dict[int, float | None]]
    """Nats a token by tokens of context, for every scaling that `seimai evaluate` was asked for."""

    @property
    def steps(self) -> int:
        """Steps finished."""
        return len(self.columns["loss"])


def read_training(folder: Path) -> TrainingLog:
    """The logs of a training that is running or finished; RunError where the folder holds none."""
    lines = read_metrics(folder / "metrics.jsonl")
    if not lines:
        raise RunError(f"{folder}: no step of a training there (metrics.jsonl); give the --out of `seimai train`")
    names = [*COLUMNS, *sorted({name for name in lines[-1] if name.startswith("mfu_")})]
    columns = {name: _numbers(lines, name) for name in names}
    return TrainingLog(
        {name: values for name, values in columns.items() if name == "loss" or not np.isnan(values).all()},
        int(lines[-1]["tokens"]),
        _by_group(lines),
        _held_out(folder / "eval.json", len(lines)),
        [read_json(path) for path in sorted((folder / "spikes").glob("step-*.json"))],
        _lengths(folder / "lengths.json"),
    )


def thinned(values: Floats, most: int = MOST_POINTS) -> Line:
    """A value of every step as at most `most` points, each the mean of as many neighbouring steps.

    >>> line = thinned(np.array([1.0, 3.0, np.nan, 5.0, 7.0]), most=3)
    >>> line.step.tolist(), line.mean.tolist(), line.low.tolist(), line.high.tolist()
    ([0.5, 2.5, 4.0], [2.0, 5.0, 7.0], [1.0, 5.0, 7.0], [3.0, 5.0, 7.0])
    """
    width = max(1, -(-len(values) // most))
    first = np.arange(0, len(values), width)
    known = ~np.isnan(values)
    count = np.add.reduceat(known.astype(np.int64), first)

    def over(parts: Any, missing: float) -> Floats:
        found: Floats = parts.reduceat(np.where(known, values, missing), first)
        return np.where(count > 0, found, np.nan)

    mean = over(np.add, 0.0) / np.maximum(count, 1)
    steps = (first + np.minimum(first + width, len(values)) - 1) / 2
    return Line(steps, mean, over(np.minimum, np.inf), over(np.maximum, -np.inf))


def keep_lengths(model: Path, scaling: str, by_length: Mapping[int, float | None]) -> None:
    """Keep what `seimai evaluate` measured in lengths.json of a training's folder; nothing for other folders."""
    if not by_length or not (model / "metrics.jsonl").is_file():
        return
    path = model / "lengths.json"
    known = read_json(path) if path.exists() else {}
    measured = {str(tokens): nats for tokens, nats in by_length.items()}
    write_atomic(path, canonical_json({**known, scaling: measured}) + "\n")


def _numbers(lines: list[dict[str, Any]], name: str) -> Floats:
    return np.array([np.nan if line.get(name) is None else line[name] for line in lines], np.float64)


def _by_group(lines: list[dict[str, Any]]) -> dict[str, dict[str, tuple[Floats, Floats]]]:
    points: dict[str, dict[str, list[tuple[float, float, float]]]] = {}
    for line in lines:
        for grouping, groups in line.get("by", {}).items():
            for group, found in groups.items():
                point = (line["step"], found["loss"], found["targets"])
                points.setdefault(grouping, {}).setdefault(group, []).append(point)
    drawn: dict[str, dict[str, tuple[Floats, Floats]]] = {}
    for grouping, groups in points.items():
        arrays = {group: np.array(each, np.float64).T for group, each in groups.items()}
        order = sorted(arrays, key=lambda group: (-arrays[group][2].sum(), group))
        drawn[grouping] = {group: (arrays[group][0], arrays[group][1]) for group in order}
    return drawn


def _held_out(path: Path, steps: int) -> dict[str, tuple[Floats, Floats]]:
    """Bits per byte; `before` is measured after 0 steps, `after` behind the last, step-N after N."""
    if not path.exists():
        return {}
    at = {"before": 0, "after": steps}
    measured = [(at.get(when, -1), when, scores) for when, scores in read_json(path).items()]
    points: dict[str, dict[int, float]] = {}
    for step, when, scores in measured:
        step = int(when.removeprefix("step-")) if step < 0 else step
        for lang, score in scores.items():
            points.setdefault(lang, {})[step] = score["bits_per_byte"]
    return {
        lang: (np.array(sorted(each), np.float64), np.array([each[step] for step in sorted(each)]))
        for lang, each in sorted(points.items())
    }


def _lengths(path: Path) -> dict[str, dict[int, float | None]]:
    if not path.exists():
        return {}
    return {
        scaling: {tokens: measured[str(tokens)] for tokens in sorted(map(int, measured))}
        for scaling, measured in sorted(read_json(path).items())
    }
