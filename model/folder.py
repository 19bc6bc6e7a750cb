"""A training directory: one training at a time, always with the settings and the data it began with."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seimai.config import dump_toml, load_config
from seimai.errors import RunError
from seimai.files import canonical_json, fingerprint, read_json, write_atomic

from .order import Order
from .store import is_remote
from .train_config import TrainConfig

__all__ = ["claim", "locked", "settings_fingerprint"]

FREE_KEYS = frozenset(
    {
        *("data.verify", "data.cache_dir", "data.cache_bytes"),
        *("train.checkpoint_every", "train.keep_last", "train.parallel", "train.logs"),
    }
)
"""Settings that may differ when a training is taken up again: no weight depends on them but by rounding."""

OPTIONS = {"train.seed": "--seed", "train.steps": "--steps"}


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Make the directory and hold its lock, which the system lets go even when the process is killed."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = (out / ".lock").open("a")
    except OSError as error:
        raise RunError(f"{out}: cannot be written ({error.strerror}); give another --out") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"{out}: another training runs in it; wait for it or give another --out") from None
        yield


def claim(out: Path, config: TrainConfig, order: Order, data: Path | str) -> None:
    """Write config.toml and order.json, or check that they say the same; RunError names the first difference."""
    order_path, config_path = out / "order.json", out / "config.toml"
    if config_path.exists():
        _check_config(out, config, load_config(config_path, TrainConfig))
    if order_path.exists():
        _check_order(out, order.describe(), read_json(order_path))
    # The path is relative, so that a directory that holds both data and model can be moved; trace finds the data by it.
    place = str(data) if is_remote(data) else os.path.relpath(Path(data).resolve(), out.resolve())
    described = {**order.describe(), "data_dir": place}
    write_atomic(order_path, canonical_json(described) + "\n")
    write_atomic(config_path, dump_toml(config))


def settings_fingerprint(config: TrainConfig, order: Order) -> str:
    """What a checkpoint belongs to: all settings a weight depends on, and the order of the data."""
    settings = {key: value for key, value in _flat(config.model_dump(mode="json")).items() if key not in FREE_KEYS}
    return fingerprint({"settings": settings, "order": order.describe()})


def _check_config(out: Path, config: TrainConfig, before: TrainConfig) -> None:
    now, then = _flat(config.model_dump(mode="json")), _flat(before.model_dump(mode="json"))
    for key, value in now.items():
        if key not in FREE_KEYS and value != then[key]:
            option = OPTIONS.get(key)
            remedy = f"{option} {then[key]}" if option else f"set {key} back"
            raise RunError(f"{out}: was begun with {key} = {then[key]}, not {value}; give another --out or {remedy}")


def _check_order(out: Path, now: dict[str, Any], then: dict[str, Any]) -> None:
    for key, value in now.items():
        if value != then.get(key):
            what = "other token shards" if key == "data" else f"another {key}"
            raise RunError(f"{out}: was begun with {what} ({then.get(key)}, now {value}); give another --out")


def _flat(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in data.items():
        nested = key in ("model", "data", "optimizer", "train") and not prefix
        flat |= _flat(value, f"{key}.") if nested else {f"{prefix}{key}": value}
    return flat
