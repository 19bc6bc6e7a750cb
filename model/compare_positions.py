"""One config and token shards in; seven kinds of positions trained alike and one table, JSON file and plot out."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from seimai.config import load_config, parse_config
from seimai.errors import ConfigError, InputError
from seimai.files import canonical_json, fingerprint, read_json, write_atomic

from .checkpoint import load_model
from .config import Positions, RopeScaling
from .evaluate import HeldOut, document_nll, held_out_documents
from .extrapolation import (
    LENGTHS,
    SCALINGS,
    LongWindows,
    at_length,
    last_part_nll,
    long_windows,
    nll_by_position,
)
from .paired import compare_paired
from .position_report import plot_svg, table_markdown
from .shards import TokenShards, open_tokens
from .train import train
from .train_config import TrainConfig

__all__ = ["KINDS", "PositionComparison", "compare_positions"]

KINDS: tuple[Positions, ...] = get_args(Positions)
FORMAT = "seimai-positions/1"
POSITION_BINS = 32


@dataclass(frozen=True)
class PositionComparison:
    """What was written, and whether every training is finished."""

    finished: bool
    """False where `stop` ended it early; the same call goes on."""
    trained: int
    """Trainings of this call."""
    rows: list[dict[str, Any]]
    """One object for each kind and scaling: see `table`."""
    table: Path
    """Markdown; the same numbers stand in positions.json beside it."""
    plot: Path | None
    """SVG; None where matplotlib is not installed."""


def compare_positions(
    config: TrainConfig | Path,
    data: Path,
    out: Path,
    *,
    seeds: int = 3,
    lengths: Sequence[int] = LENGTHS,
    kinds: Sequence[Positions] = KINDS,
    max_documents: int | None = 64,
    max_windows: int = 64,
    console: Console | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> PositionComparison:
    """Train every kind of `model.positions` with every seed on the same rows, then judge all of them on the same texts.

    A seed gives the weights that all kinds have in common and the order of the data. Each training stands in
    out/<kind>/seed-<n> and its figures in out/<kind>/seed-<n>.json; what is finished is not computed again, and `stop`,
    asked between steps, leaves early. Rotary models are judged with every scaling too, without training.
    `max_documents` of each language are read for bits per byte, `max_windows` of each for long contexts.
    Raises ConfigError for what cannot be asked and InputError where no held-out text is long enough.
    """
    config = load_config(config, TrainConfig) if isinstance(config, Path) else config
    _check(seeds, lengths, kinds)
    shards = open_tokens(data)
    windows = long_windows(shards, config.model.row_tokens, max(lengths), max_per_lang=max_windows)
    held = held_out_documents(shards, max_documents)
    if not len(windows.tokens):
        asked = max(lengths) * config.model.row_tokens + 1
        raise InputError(f"{data}: no held-out document of {asked:,} tokens; give smaller --lengths or more text")
    trained, scores = 0, {}
    for seed in range(seeds):
        for kind in kinds:
            folder = out / kind / f"seed-{seed}"
            summary = train(_of_kind(config, kind, seed), data, folder, console=console, stop=lambda _: stop())
            trained += summary.trained_steps > 0
            if not summary.finished:
                return PositionComparison(False, trained, [], out / "positions.md", None)
            scores[kind, seed] = _judged(folder, shards, held, windows, lengths)
    rows = _rows(scores, kinds, seeds, lengths, held)
    return _written(out, rows, config, shards, seeds, lengths, windows, held, trained)


def _check(seeds: int, lengths: Sequence[int], kinds: Sequence[Positions]) -> None:
    if seeds < 2:
        raise ConfigError(f"--seeds {seeds} says nothing about the noise of seeds; give 2 or more")
    if not lengths or min(lengths) != 1 or len(set(lengths)) != len(lengths):
        raise ConfigError(f"--lengths {','.join(map(str, lengths))}: give multiples from 1 on, such as 1,2,4,8")
    if unknown := sorted(set(kinds) - set(KINDS)):
        raise ConfigError(f"--kinds {unknown[0]} is none; use {', '.join(KINDS)}")


def _of_kind(config: TrainConfig, kind: Positions, seed: int) -> TrainConfig:
    plain = config.model_dump()
    model = {**plain["model"], "positions": kind, "rope_scaling": "none", "rope_factor": 1.0}
    changed = {**plain, "model": model, "train": {**plain["train"], "seed": seed, "evaluate": False}}
    return parse_config(changed, TrainConfig, place=f"model.positions = {kind}")


def _judged(
    folder: Path, shards: TokenShards, held: HeldOut, windows: LongWindows, lengths: Sequence[int]
) -> dict[str, Any]:
    """Figures of one training: nats of every held-out document, and by scaling, length and position."""
    path = folder.with_name(f"{folder.name}.json")
    config = read_json(folder / "final" / "config.json")
    made_of = {"model": config["fingerprint"], "data": shards.root, "lengths": list(lengths)}
    made_of |= {"documents": fingerprint(held.documents.tolist()), "windows": fingerprint(windows.tokens.tolist())}
    if path.exists() and (known := read_json(path))["made_of"] == made_of:
        return dict(known)
    model, _ = load_model(folder)
    scalings: tuple[RopeScaling, ...] = ("none", *SCALINGS) if model.body.positions == "rope" else ("none",)
    by_length: dict[str, list[list[float] | None]] = {}
    by_position: dict[str, list[float] | None] = {}
    for scaling in scalings:
        views = [at_length(model, multiple, scaling) for multiple in lengths]
        by_length[scaling] = [
            None if view is None else last_part_nll(view, windows, multiple).tolist()
            for view, multiple in zip(views, lengths, strict=True)
        ]
        longest = at_length(model, max(lengths), scaling)
        by_position[scaling] = None if longest is None else nll_by_position(longest, windows, POSITION_BINS).tolist()
    nll = document_nll(model, shards, held.documents, model.body.row_tokens)
    found = {"made_of": made_of, "nats": nll.tolist(), "by_length": by_length, "by_position": by_position}
    write_atomic(path, canonical_json(found) + "\n")
    return found


def _rows(
    scores: dict[tuple[Positions, int], dict[str, Any]],
    kinds: Sequence[Positions],
    seeds: int,
    lengths: Sequence[int],
    held: HeldOut,
) -> list[dict[str, Any]]:
    """One object for each kind and scaling, the kinds in order of their bits per byte."""
    bits = {kind: np.array([scores[kind, seed]["nats"] for seed in range(seeds)]) / np.log(2) for kind in kinds}
    reference: Positions = "rope" if "rope" in kinds else kinds[0]
    langs = np.array(held.langs)
    rows = []
    for kind in sorted(kinds, key=lambda each: float(bits[each].sum())):
        against = compare_paired(bits[reference], bits[kind], held.n_bytes, held.units)
        for scaling in ("none", *SCALINGS) if kind == "rope" else ("none",):
            cells = [
                [scores[kind, seed]["by_length"][scaling][at] for seed in range(seeds)] for at in range(len(lengths))
            ]
            curves = [scores[kind, seed]["by_position"][scaling] for seed in range(seeds)]
            rows.append(
                {
                    "positions": kind,
                    "scaling": scaling,
                    "bits_per_byte": _per_byte(bits[kind], held.n_bytes),
                    "bits_per_byte_by_lang": {
                        str(lang): _per_byte(bits[kind][:, langs == lang], held.n_bytes[langs == lang])
                        for lang in np.unique(langs)
                    },
                    "against": {"positions": reference, **asdict(against)},
                    "nats_by_length": [_over_seeds(cell) for cell in cells],
                    "nats_by_position": None if curves[0] is None else np.mean(curves, axis=0).tolist(),
                }
            )
    return rows


def _per_byte(bits: NDArray[np.float64], n_bytes: NDArray[np.int64]) -> dict[str, float]:
    """Mean and standard deviation over seeds."""
    by_seed = (bits.sum(1) / n_bytes.sum()).tolist()
    return {"mean": fmean(by_seed), "sd": stdev(by_seed)}


def _over_seeds(cell: list[list[float] | None]) -> dict[str, float] | None:
    by_seed = [fmean(windows) for windows in cell if windows is not None]
    return {"mean": fmean(by_seed), "sd": stdev(by_seed)} if by_seed else None


def _written(
    out: Path,
    rows: list[dict[str, Any]],
    config: TrainConfig,
    shards: TokenShards,
    seeds: int,
    lengths: Sequence[int],
    windows: LongWindows,
    held: HeldOut,
    trained: int,
) -> PositionComparison:
    facts = {
        "format": FORMAT,
        "config": config.model_dump(mode="json", exclude_none=True),
        "data": shards.root,
        "seeds": seeds,
        "lengths": list(lengths),
        "row_tokens": windows.row_tokens,
        "windows": len(windows.tokens),
        "documents": len(held.documents),
        "hosts": len(set(held.units)),
        "rows": rows,
    }
    write_atomic(out / "positions.json", canonical_json(facts) + "\n")
    write_atomic(out / "positions.md", table_markdown(facts))
    picture = plot_svg(facts)
    if picture is not None:
        write_atomic(out / "positions.svg", picture)
    plot = None if picture is None else out / "positions.svg"
    return PositionComparison(True, trained, rows, out / "positions.md", plot)
