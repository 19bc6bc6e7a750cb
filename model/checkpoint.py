"""Checkpoints and models on disk: whole directories of safetensors and JSON, checked by SHA-256 when read.

A checkpoint holds full tensors whatever the number of ranks, so that any number of them can go on from it, and it is a
model directory as well: `seimai generate OUT/checkpoints/step-00001000`.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from seimai.config import parse_config
from seimai.errors import RunError, VerifyError
from seimai.files import canonical_json, fingerprint, read_json, sha256_file

from .config import Body
from .sharded import as_sharded, whole
from .transformer import Transformer

__all__ = [
    "Snapshot",
    "latest_checkpoint",
    "load_checkpoint",
    "load_model",
    "model_directory",
    "newest_sound",
    "restore",
    "save_checkpoint",
    "save_model",
    "take_snapshot",
    "write_checkpoint",
]

FORMAT = "seimai-checkpoint/2"
MODEL_FORMAT = "seimai-model/1"


@dataclass(frozen=True)
class Snapshot:
    """A training after `step` steps, copied, so that it can be written while the training goes on."""

    step: int
    """Steps finished."""
    body: Body
    """The model's sizes."""
    model: dict[str, Tensor]
    """Weights by name."""
    optimizer: dict[str, Tensor]
    """`number of the optimizer/parameter/key`."""
    state: dict[str, Any]
    """Plain JSON kept beside the tensors."""
    described: dict[str, Any]
    """What the model came from, for its config.json."""
    score: float | None
    """What tells the best checkpoint; lower is better, None is none."""


def take_snapshot(
    step: int,
    model: Transformer,
    optimizers: Sequence[Optimizer],
    state: dict[str, Any],
    *,
    described: dict[str, Any] | None = None,
    score: float | None = None,
    kept: bool = True,
) -> Snapshot:
    """Copy weights and moments to the CPU; shards come together, so all ranks must ask, with `kept` on one of them."""
    moments = {
        f"{number}/{name}/{key}": value
        for number, optimizer in enumerate(optimizers)
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }
    weights, optimizer_tensors = (_copied(tensors, kept) for tensors in (model.state_dict(), moments))
    return Snapshot(step, model.body, weights, optimizer_tensors, state, described or {}, score)


def write_checkpoint(directory: Path, snapshot: Snapshot, *, keep_last: int, tokenizer: Path | None = None) -> Path:
    """Write `directory`/step-N, whole or not at all; then drop all but the last `keep_last` and the best of all.

    An existing checkpoint of the same step is left as it is.
    """
    path = directory / f"step-{snapshot.step:08d}"
    if not path.exists():
        with _whole_directory(path) as temporary:
            _write_model(temporary, snapshot.model, snapshot.body, snapshot.described, tokenizer)
            save_file(snapshot.optimizer, temporary / "optimizer.safetensors")
            described = {"format": FORMAT, "step": snapshot.step, "state": snapshot.state, "score": snapshot.score}
            _write_sealed(temporary / "checkpoint.json", {**described, "files": _digests(temporary)})
    found = _checkpoints(directory)
    best = _best(found)
    for old in found[:-keep_last]:
        if old != best:
            shutil.rmtree(old)
    return path


def save_checkpoint(
    directory: Path,
    step: int,
    model: Transformer,
    optimizers: Sequence[Optimizer],
    state: dict[str, Any],
    *,
    keep_last: int,
    score: float | None = None,
) -> Path:
    """`take_snapshot` and `write_checkpoint` in one."""
    return write_checkpoint(directory, take_snapshot(step, model, optimizers, state, score=score), keep_last=keep_last)


def latest_checkpoint(directory: Path) -> Path | None:
    """The checkpoint of the highest step, or None; half-written ones (.tmp) are removed."""
    for leftover in directory.glob("step-*.tmp"):
        shutil.rmtree(leftover)
    found = _checkpoints(directory)
    return found[-1] if found else None


def newest_sound(directory: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint whose files are what they were, and a line for each damaged one before it.

    A damaged one is put aside as step-N.damaged. Raises VerifyError where there are checkpoints and none is sound.
    """
    said: list[str] = []
    while (path := latest_checkpoint(directory)) is not None:
        try:
            _verified(path)
            return path, said
        except VerifyError as error:
            found = str(error).partition(";")[0]
            if len(_checkpoints(directory)) == 1:
                raise VerifyError(f"{found}; there is no checkpoint before it: to begin anew remove {path}") from None
            aside = path.with_name(f"{path.name}.damaged")
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
            said.append(f"{found}; put aside as {aside.name}, went back to the checkpoint before it")
    return None, said


def load_checkpoint(path: Path, model: Transformer, optimizers: Sequence[Optimizer]) -> tuple[int, dict[str, Any]]:
    """Put a checkpoint's weights and moments into `model` and `optimizers`; its step and state.

    Raises VerifyError where a file is missing or is not what checkpoint.json says.
    """
    described = _verified(path)
    restore(path, model, optimizers)
    return int(described["step"]), dict(described["state"])


@torch.no_grad()
def restore(path: Path, model: Transformer, optimizers: Sequence[Optimizer]) -> dict[str, Any]:
    """As `load_checkpoint` without checking its files; its checkpoint.json. Each rank takes its own shards."""
    weights, targets = load_file(path / "model.safetensors"), model.state_dict()
    if weights.keys() != targets.keys():
        differing = sorted(weights.keys() ^ targets.keys())[0]
        raise RunError(f"{path}: {differing} stands in one of checkpoint and model only; use the version that wrote it")
    for name, target in targets.items():
        target.copy_(_laid_out(weights[name], target))
    parameters = dict(model.named_parameters())
    for optimizer in optimizers:
        optimizer.state.clear()
    for name, tensor in load_file(path / "optimizer.safetensors").items():
        number, parameter, key = name.split("/")
        owner = parameters[parameter]
        # AdamW counts steps in a tensor that lives beside the parameter when fused; moments always do.
        moment = _laid_out(tensor, owner) if tensor.shape == owner.shape else tensor.to(owner.device)
        optimizers[int(number)].state[owner][key] = moment
    described: dict[str, Any] = read_json(path / "checkpoint.json")
    return described


def save_model(directory: Path, model: Transformer, described: dict[str, Any], tokenizer: Path) -> None:
    """Write a model directory, whole or not at all: model.safetensors, config.json and a copy of tokenizer.json.

    `described` holds what the model came from (data, tokenizer ids, step) and joins the body in config.json.
    """
    with _whole_directory(directory) as temporary:
        _write_model(temporary, _copied(model.state_dict(), True), model.body, described, tokenizer)


def model_directory(path: Path) -> Path:
    """The model directory itself, or `final` in a training directory; RunError where there is neither."""
    for directory in (path, path / "final"):
        if (directory / "config.json").is_file():
            return directory
    raise RunError(f"{path}: no trained model (config.json or final/config.json); `seimai train` writes one")


def load_model(path: Path, device: str = "cpu") -> tuple[Transformer, dict[str, Any]]:
    """A model and its config.json, from a model or training directory, in evaluation mode, fp32."""
    directory = model_directory(path)
    config = _read_sealed(directory / "config.json", MODEL_FORMAT)
    _check_digests(directory, config["files"], "train again or copy the directory again")
    body = parse_config(config["body"], Body, place=f"{directory / 'config.json'}: body")
    with torch.random.fork_rng(devices=[]):
        model = Transformer(body)
    try:
        model.load_state_dict(load_file(directory / "model.safetensors"))
    except (RuntimeError, SafetensorError) as error:
        line = str(error).splitlines()[0]
        raise VerifyError(f"{directory / 'model.safetensors'}: not the weights of config.json ({line})") from None
    return model.to(device).eval(), config


def _checkpoints(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob("step-*") if not path.suffix and path.is_dir())


def _write_model(
    directory: Path, weights: dict[str, Tensor], body: Body, described: dict[str, Any], tokenizer: Path | None
) -> None:
    save_file(weights, directory / "model.safetensors")
    if tokenizer is not None and tokenizer.is_file():
        shutil.copyfile(tokenizer, directory / "tokenizer.json")
    config = {"format": MODEL_FORMAT, "body": body.model_dump(mode="json"), **described}
    _write_sealed(directory / "config.json", {**config, "files": _digests(directory)})


def _best(found: Sequence[Path]) -> Path | None:
    """The checkpoint of the lowest score, the earliest of equal ones; a damaged one has none."""
    scores: dict[Path, float] = {}
    for path in found:
        try:
            score = _read_sealed(path / "checkpoint.json", FORMAT)["score"]
        except VerifyError:
            continue
        if score is not None:
            scores[path] = score
    return min(scores, key=lambda path: (scores[path], path), default=None)


def _verified(path: Path) -> dict[str, Any]:
    """checkpoint.json, after every file was compared with it."""
    described = _read_sealed(path / "checkpoint.json", FORMAT)
    _check_digests(path, described["files"], f"remove {path} to go on from the checkpoint before it")
    return described


def _copied(tensors: dict[str, Tensor], kept: bool) -> dict[str, Tensor]:
    """Full tensors on the CPU that nothing else changes; none where they are only to be sent to another rank."""
    full = ((name, whole(tensor.detach())) for name, tensor in tensors.items())
    return {name: tensor.to("cpu", copy=True).contiguous() for name, tensor in full if kept}


def _laid_out(full: Tensor, like: Tensor) -> Tensor:
    """A full tensor on the device of `like`, cut into shards where `like` is."""
    return as_sharded(full.to(like.device), like)


def _digests(directory: Path) -> dict[str, dict[str, Any]]:
    files = sorted(path for path in directory.iterdir() if path.is_file())
    return {path.name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)} for path in files}


def _check_digests(directory: Path, files: dict[str, dict[str, Any]], remedy: str) -> None:
    for name, described in files.items():
        path = directory / Path(name).name
        if not path.is_file():
            raise VerifyError(f"{path}: missing; {remedy}")
        if path.stat().st_size != described["bytes"] or sha256_file(path) != described["sha256"]:
            raise VerifyError(f"{path}: changed since it was written; {remedy}")


def _write_sealed(path: Path, described: dict[str, Any]) -> None:
    """JSON with the fingerprint of its own content, so that a changed byte in it is seen too."""
    path.write_text(canonical_json({**described, "fingerprint": fingerprint(described)}), encoding="utf-8")


def _read_sealed(path: Path, expected_format: str) -> dict[str, Any]:
    try:
        described = read_json(path)
        seal = described.pop("fingerprint")
    except FileNotFoundError:
        raise VerifyError(f"{path}: missing; remove {path.parent} or copy it again") from None
    except (ValueError, KeyError, AttributeError):
        raise VerifyError(f"{path}: damaged; remove {path.parent} or copy it again") from None
    if seal != fingerprint(described):
        raise VerifyError(f"{path}: changed since it was written; remove {path.parent} or copy it again")
    if described.get("format") != expected_format:
        # Sound, so it is not put aside as damaged.
        raise RunError(f"{path}: format {described.get('format')!r}, not {expected_format!r}; use the version it is of")
    return dict(described)


@contextmanager
def _whole_directory(path: Path) -> Iterator[Path]:
    """A temporary directory that takes `path`'s place when its files are on the disk; removed on an error."""
    temporary = path.with_name(f"{path.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        for file in temporary.iterdir():
            _sync(file)
        _sync(temporary)
        temporary.rename(path)
        _sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
