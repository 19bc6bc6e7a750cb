"""What a step reports: its line in metrics.jsonl and the other logs, the progress bar, and how well time was used."""

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from rich.console import Console

from .config import Body
from .loader import Batch
from .metrics import MetricsFile
from .mfu import flops_per_token, matrix_parameters, peak_flops
from .run_logs import open_logs
from .runtime import memory_bytes, show_progress
from .train_config import TrainConfig
from .transformer import Transformer

__all__ = ["Clock", "Report", "Speed", "speed_of"]


@dataclass(frozen=True)
class Speed:
    """What the device could do, and what a token of this model asks of it."""

    flops: dict[str, float]
    """Operations a token by convention (mfu.py)."""
    peak: float
    """Operations a second of all ranks' devices."""
    device: torch.device


def speed_of(model: Transformer, body: Body, device: torch.device, ranks: int, *, half: bool) -> Speed:
    """The figures that MFU needs."""
    return Speed(flops_per_token(matrix_parameters(model), body), ranks * peak_flops(device, half=half), device)


class Clock:
    """Seconds of each step and of its wait for data; what is done between steps can be left out."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.waited_s = 0.0

    def waits(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches; the time until each comes is `waited_s`."""
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                return
            self.waited_s = time.perf_counter() - asked
            yield batch

    def lap_s(self) -> float:
        """Seconds since the last lap or restart."""
        now = time.perf_counter()
        lap_s, self._began = now - self._began, now
        return lap_s

    def restart(self) -> None:
        """Leave out what was done since the last lap."""
        self._began = time.perf_counter()


class Report:
    """The logs of one training, opened for the step after `first_step` steps; on ranks other than 0 none is written."""

    def __init__(self, config: TrainConfig, out: Path, first_step: int, speed: Speed, console: Console | None) -> None:
        self._speed = speed
        self._positions = 0
        self._stack = ExitStack()
        with ExitStack() as stack:
            self._metrics = stack.enter_context(MetricsFile(out / "metrics.jsonl", first_step))
            plain = config.model_dump(mode="json")
            self._log = stack.enter_context(open_logs(config.train.logs, out, first_step, plain))
            self._show = stack.enter_context(show_progress(console, first_step, config.train.steps))
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def step(self, line: dict[str, Any], *, positions: int, padding: int, targets: int, clock: Clock) -> None:
        """Write the line of a step; `positions` are places of the global batch, `padding` those without a token."""
        waited_s, step_s = clock.waited_s, clock.lap_s()
        used = {
            "tokens_per_s": round(targets / step_s, 1),
            "data_wait_share": round(waited_s / step_s, 4),
            "padding_share": round(padding / positions, 6),
            "memory_bytes": memory_bytes(self._speed.device),
        }
        for name, flops in self._speed.flops.items():
            used[f"mfu_{name}"] = round(flops * positions / step_s / self._speed.peak, 4)
        finite = {key: None if isinstance(value, float) and not math.isfinite(value) else value
                  for key, value in line.items()}  # fmt: skip
        self._metrics.append({**finite, **used})
        self._log({**finite, **used})
        self._show(line["step"] + 1, line["loss"], used["tokens_per_s"])

    def sync(self) -> None:
        """Bring metrics.jsonl to the disk."""
        self._metrics.sync()
