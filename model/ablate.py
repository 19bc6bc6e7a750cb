"""Two token data sets (or two conditions on one) in; equal trainings and a verdict on the same held-out text out.

The two sides, A and B, differ in their documents alone: model, seeds, steps and settings are the same, and where both
read one data set the documents they share keep their order.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from rich.console import Console

from seimai.config import load_config, parse_config
from seimai.errors import ConfigError, InputError
from seimai.files import canonical_json, fingerprint, read_json, write_atomic

from .checkpoint import load_model
from .evaluate import HeldOut, document_nll, held_out_documents
from .paired import Comparison, compare_paired
from .shards import TokenShards, open_tokens
from .train import train
from .train_config import TrainConfig
from .where import where_mask

__all__ = ["Ablation", "Piece", "Side", "ablate", "scored"]

FORMAT = "seimai-ablation/1"
MOST_EPOCHS = 4.0


@dataclass(frozen=True)
class Side:
    """One of the two data sets."""

    data: Path
    """Folder of token shards."""
    where: str | None = None
    """Condition on its documents; wins over the config's."""


@dataclass(frozen=True)
class Piece:
    """Held-out documents of one data set that both sides are judged on."""

    shards: TokenShards
    held: HeldOut


@dataclass(frozen=True)
class Ablation:
    """The verdict of B against A, and what it rests on."""

    finished: bool
    """False where `stop` ended it early; the same call goes on."""
    trained: int
    """Trainings of this call."""
    comparison: Comparison | None
    """All held-out documents; None before the end."""
    parts: dict[str, Comparison]
    """By language, and by whose held-out documents they are where there are two data sets."""
    tokens: dict[str, dict[str, float]]
    """Of A and B: targets trained by each seed, tokens to train on, and epochs."""
    notes: tuple[str, ...]
    """What the user should know, one line each."""


def ablate(
    config: TrainConfig | Path,
    a: Side,
    b: Side,
    out: Path,
    *,
    held_out: Path | None = None,
    seeds: int = 3,
    margin: float = 0.005,
    max_documents: int | None = None,
    console: Console | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Ablation:
    """Train both sides with every seed and compare their bits per byte on the same held-out documents.

    These are the held-out documents of A and of B without those that the other side trains on, a document of both once;
    or those of the data set `held_out`. At most `max_documents` of each language and data set are read. Each training
    stands in out/a/seed-<n> or out/b/seed-<n>; what is finished is not computed again. Writes out/ablation.json.
    Raises ConfigError where the tokenizers differ and InputError where no text is held out from both.
    """
    config = load_config(config, TrainConfig) if isinstance(config, Path) else config
    sides = {"a": a, "b": b}
    shards = {name: open_tokens(side.data) for name, side in sides.items()}
    pieces = _pieces(list(shards.values()), None if held_out is None else open_tokens(held_out), max_documents)
    _check(shards, pieces, seeds, held_out)
    tokens = {name: _available(shards[name], config, side) for name, side in sides.items()}
    trained, nats = 0, {}
    for seed in range(seeds):
        for name, side in sides.items():
            folder = out / name / f"seed-{seed}"
            settings = _settings(config, side, seed)
            summary = train(settings, side.data, folder, console=console, stop=lambda _: stop())
            trained += summary.trained_steps > 0
            if not summary.finished:
                return Ablation(False, trained, None, {}, tokens, ("left early; the same command goes on",))
            tokens[name] |= {"trained": summary.tokens, "epochs": summary.tokens / tokens[name]["available"]}
            nats[name, seed] = scored(folder, pieces)
    bits = {name: np.stack([nats[name, seed] for seed in range(seeds)]) / np.log(2) for name in sides}
    found = _compared(bits, pieces, margin)
    comparison, parts = found["all"], {name: each for name, each in found.items() if name != "all"}
    result = Ablation(True, trained, comparison, parts, tokens, _notes(comparison, tokens))
    described: dict[str, Any] = {"format": FORMAT, "config": config.model_dump(mode="json", exclude_none=True)}
    described |= {name: {"data": shards[name].root, "where": side.where} for name, side in sides.items()}
    described |= {"held_out": [[piece.shards.root, len(piece.held.documents)] for piece in pieces], "seeds": seeds}
    described |= {key: value for key, value in asdict(result).items() if key not in ("trained", "finished")}
    write_atomic(out / "ablation.json", canonical_json(described) + "\n")
    return result


def scored(folder: Path, pieces: list[Piece]) -> NDArray[np.float64]:
    """Nats of every document of all pieces with the model of a training; kept in <folder>.json and found again."""
    path = folder.with_name(f"{folder.name}.json")
    made_of = {
        "model": read_json(folder / "final" / "config.json")["fingerprint"],
        "documents": fingerprint([[piece.shards.root, *piece.held.documents.tolist()] for piece in pieces]),
    }
    if path.exists() and (known := read_json(path))["made_of"] == made_of:
        return np.array(known["nats"])
    model, _ = load_model(folder)
    nats = np.concatenate(
        [document_nll(model, piece.shards, piece.held.documents, model.body.row_tokens) for piece in pieces]
    )
    write_atomic(path, canonical_json({"made_of": made_of, "nats": nats.tolist()}) + "\n")
    return nats


def _settings(config: TrainConfig, side: Side, seed: int) -> TrainConfig:
    plain = config.model_dump()
    data = {**plain["data"], "where": plain["data"]["where"] if side.where is None else side.where}
    changed = {**plain, "data": data, "train": {**plain["train"], "seed": seed, "evaluate": False}}
    return parse_config(changed, TrainConfig, place=str(side.data))


def _pieces(sides: list[TokenShards], given: TokenShards | None, max_documents: int | None) -> list[Piece]:
    """The held-out documents to judge by: of `given`, else of both sides, never one that a side trains on."""
    owners = [given] if given is not None else sides[:1] if sides[0].root == sides[1].root else sides
    seen: set[tuple[str, int, int]] = set()
    pieces = []
    for owner in owners:
        held = held_out_documents(owner)
        for side in sides:
            if side.root != owner.root:
                held = held.take(~_in_training(side, held.hosts))
        n_tokens = owner.n_tokens[held.documents].tolist()
        names = list(zip(held.ids, held.n_bytes.tolist(), n_tokens, strict=True))
        held = held.take(np.array([name not in seen for name in names], bool))
        seen.update(names)
        pieces.append(Piece(owner, _drawn(held, max_documents)))
    return [piece for piece in pieces if len(piece.held.documents)]


def _drawn(held: HeldOut, max_documents: int | None) -> HeldOut:
    """The first by fingerprint of id, so many of each language: the same whatever else the data set holds."""
    if max_documents is None:
        return held
    order = sorted(range(len(held.ids)), key=lambda place: fingerprint(held.ids[place]))
    left = dict.fromkeys(held.langs, max_documents)
    chosen = []
    for place in order:
        if left[held.langs[place]]:
            left[held.langs[place]] -= 1
            chosen.append(place)
    return held.take(np.array(sorted(chosen), np.int64))


def _in_training(shards: TokenShards, names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Whether each host (or id) stands in the training documents of a data set."""
    found = np.zeros(len(names), bool)
    asked = pa.array(names, pa.string())
    firsts = shards.first_document
    for number, table in enumerate(shards.docs_tables(["host", "id"])):
        mine = table.filter(pa.array(~shards.held_out[firsts[number] : firsts[number + 1]]))
        known = pc.coalesce(mine["host"], mine["id"]).combine_chunks()
        found |= pc.is_in(asked, known.cast(pa.string())).to_numpy(zero_copy_only=False)
    return found


def _check(shards: dict[str, TokenShards], pieces: list[Piece], seeds: int, held_out: Path | None) -> None:
    if seeds < 2:
        raise ConfigError(f"--seeds {seeds} says nothing about the noise of seeds; give 2 or more")
    known = [*shards.values(), *(piece.shards for piece in pieces)]
    if len({each.tokenizer["fingerprint"] for each in known}) > 1:
        raise ConfigError("the data sets were encoded with different tokenizers; encode both with one")
    if len({unit for piece in pieces for unit in piece.held.units}) < 2:
        remedy = (
            f"{held_out} has too few" if held_out else "encode both with the same held_out.seed, or give --held-out"
        )
        raise InputError(f"fewer than two held-out documents that neither side trains on; {remedy}")


def _available(shards: TokenShards, config: TrainConfig, side: Side) -> dict[str, float]:
    mask = ~shards.held_out
    where = config.data.where if side.where is None else side.where
    if where is not None:
        mask &= where_mask(shards, where)
    return {"available": float(shards.n_tokens[mask].sum()), "documents": float(mask.sum())}


def _compared(bits: dict[str, NDArray[np.float64]], pieces: list[Piece], margin: float) -> dict[str, Comparison]:
    n_bytes = np.concatenate([piece.held.n_bytes for piece in pieces])
    units = np.array([unit for piece in pieces for unit in piece.held.units])
    langs = np.array([lang for piece in pieces for lang in piece.held.langs])
    owner = np.repeat(np.arange(len(pieces)), [len(piece.held.documents) for piece in pieces])
    masks = {"all": np.ones(len(n_bytes), bool)}
    masks |= {str(lang): langs == lang for lang in np.unique(langs)}
    if len(pieces) == 2:
        masks |= {f"held out of {name}": owner == at for at, name in enumerate("AB")}
    return {
        name: compare_paired(bits["a"][:, mask], bits["b"][:, mask], n_bytes[mask], units[mask], margin=margin)
        for name, mask in masks.items()
        if len(np.unique(units[mask])) > 1
    }


def _notes(comparison: Comparison, tokens: dict[str, dict[str, float]]) -> tuple[str, ...]:
    notes = []
    for name, each in tokens.items():
        if each["epochs"] > MOST_EPOCHS:
            notes.append(
                f"{name.upper()} has {each['available']:,.0f} tokens and was read {each['epochs']:.1f} times; "
                "more than 4 epochs count less than fresh text (Muennighoff et al. 2023)"
            )
    reach = (comparison.high - comparison.low) / 2
    if comparison.verdict == "cannot be told apart" and not comparison.within_margin:
        notes.append(
            f"differences below {reach + comparison.margin:.1%} are not seen with this text and these seeds; "
            "more --seeds, more steps or more held-out text see smaller ones"
        )
    return tuple(notes)
