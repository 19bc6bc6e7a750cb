"""Checkpoints and models on disk: whole directories of safetensors and JSON, checked by SHA-256 when read."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from seimai.config import parse_config
from seimai.errors import RunError, VerifyError
from seimai.files import canonical_json, fingerprint, read_json, sha256_file

from .config import Body
from .transformer import Transformer

__all__ = ["latest_checkpoint", "load_checkpoint", "load_model", "model_directory", "save_checkpoint", "save_model"]

FORMAT = "seimai-checkpoint/1"
MODEL_FORMAT = "seimai-model/1"


def save_checkpoint(
    directory: Path,
    step: int,
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    state: dict[str, Any],
    *,
    keep_last: int,
) -> Path:
    """Write `directory`/step-N for N finished steps, whole or not at all, then drop all but the last `keep_last`.

    `state` is plain JSON kept beside the tensors. An existing checkpoint of the same step is left as it is.
    """
    path = directory / f"step-{step:08d}"
    if not path.exists():
        with _whole_directory(path) as temporary:
            save_file(_plain(model.state_dict()), temporary / "model.safetensors")
            save_file(_optimizer_tensors(model, optimizers), temporary / "optimizer.safetensors")
            described = {"format": FORMAT, "step": step, "state": state, "files": _digests(temporary)}
            _write_sealed(temporary / "checkpoint.json", described)
    for old in _checkpoints(directory)[:-keep_last]:
        shutil.rmtree(old)
    return path


def latest_checkpoint(directory: Path) -> Path | None:
    """The checkpoint of the highest step, or None; half-written ones (.tmp) are removed."""
    for leftover in directory.glob("step-*.tmp"):
        shutil.rmtree(leftover)
    found = _checkpoints(directory)
    return found[-1] if found else None


def load_checkpoint(path: Path, model: nn.Module, optimizers: Sequence[Optimizer]) -> tuple[int, dict[str, Any]]:
    """Put a checkpoint's weights and moments into `model` and `optimizers`; its step and state.

    Raises VerifyError where a file is missing or is not what checkpoint.json says.
    """
    described = _read_sealed(path / "checkpoint.json", FORMAT)
    remedy = f"remove {path} to go on from the checkpoint before it"
    _check_digests(path, described["files"], remedy)
    device = next(model.parameters()).device
    model.load_state_dict(load_file(path / "model.safetensors", device=str(device)))
    tensors = load_file(path / "optimizer.safetensors")
    parameters = dict(model.named_parameters())
    for name, tensor in tensors.items():
        number, parameter, key = name.split("/")
        owner = parameters[parameter]
        # AdamW counts steps in a tensor that lives beside the parameter when fused; moments always do.
        optimizers[int(number)].state[owner][key] = tensor.to(owner.device)
    return int(described["step"]), dict(described["state"])


def save_model(directory: Path, model: Transformer, described: dict[str, Any], tokenizer: Path) -> None:
    """Write a model directory, whole or not at all: model.safetensors, config.json and a copy of tokenizer.json.

    `described` holds what the model came from (data, tokenizer ids, step) and joins the body in config.json.
    """
    with _whole_directory(directory) as temporary:
        save_file(_plain(model.state_dict()), temporary / "model.safetensors")
        if tokenizer.is_file():
            shutil.copyfile(tokenizer, temporary / "tokenizer.json")
        config = {"format": MODEL_FORMAT, "body": model.body.model_dump(mode="json"), **described}
        _write_sealed(temporary / "config.json", {**config, "files": _digests(temporary)})


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
    return sorted(path for path in directory.glob("step-*") if path.suffix != ".tmp" and path.is_dir())


def _plain(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}


def _optimizer_tensors(model: nn.Module, optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
    return {
        f"{number}/{name}/{key}": value.detach().cpu().contiguous()
        for number, optimizer in enumerate(optimizers)
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


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
    if seal != fingerprint(described) or described.get("format") != expected_format:
        raise VerifyError(f"{path}: changed, or not of format {expected_format}; remove {path.parent} or copy it again")
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
