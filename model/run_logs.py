"""Where the lines of a training go besides metrics.jsonl: TensorBoard and Weights & Biases, if asked for."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from seimai.errors import ConfigError
from seimai.files import fingerprint

__all__ = ["flat_numbers", "open_logs"]

Log = Callable[[dict[str, Any]], None]


@contextmanager
def open_logs(names: Sequence[str], out: Path, first_step: int, config: dict[str, Any]) -> Iterator[Log]:
    """A function that writes a line with its `step` to every log named; ConfigError where its package is missing.

    Both go on behind `first_step` when a training is taken up again.
    """
    with ExitStack() as stack:
        openers = {"tensorboard": _tensorboard, "wandb": _wandb}
        logs = [stack.enter_context(openers[name](out, first_step, config)) for name in names]

        def write(line: dict[str, Any]) -> None:
            for log in logs:
                log(line)

        yield write


def flat_numbers(line: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of a line by path, without its step.

    >>> flat_numbers({"step": 3, "loss": 2.5, "by": {"lang": {"ja": {"loss": 2.0}}}})
    {'loss': 2.5, 'by/lang/ja/loss': 2.0}
    """
    found: dict[str, float] = {}
    for key, value in line.items():
        if isinstance(value, dict):
            found |= flat_numbers(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and (prefix or key != "step"):
            found[prefix + key] = value
    return found


@contextmanager
def _tensorboard(out: Path, first_step: int, config: dict[str, Any]) -> Iterator[Log]:
    module = _module("tensorboard", "torch.utils.tensorboard")
    writer = module.SummaryWriter(str(out / "tensorboard"), purge_step=first_step)

    def write(line: dict[str, Any]) -> None:
        for tag, value in flat_numbers(line).items():
            writer.add_scalar(tag, value, line["step"])

    try:
        yield write
    finally:
        writer.close()


@contextmanager
def _wandb(out: Path, first_step: int, config: dict[str, Any]) -> Iterator[Log]:
    # The id follows from the folder, so that the same command goes on with the same run.
    name = fingerprint(str(out.resolve()))[:16]
    run = _module("wandb", "wandb").init(id=name, name=out.name, dir=str(out), config=config, resume="allow")
    try:
        yield lambda line: run.log(flat_numbers(line), step=line["step"])
    finally:
        run.finish()


def _module(name: str, module: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise ConfigError(
            f"train.logs = {name}: is not installed; pip install 'seimai[logs]', or take it out of train.logs"
        ) from None
