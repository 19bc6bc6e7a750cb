"""What surrounds the loop: the device, repeatable kernels, signals that ask to leave, and the progress bar."""

import hashlib
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils import deterministic

from seimai.errors import ConfigError

from .train_config import LoopConfig

__all__ = [
    "device_for",
    "device_name",
    "environment",
    "leave_on_signal",
    "memory_bytes",
    "reproducible",
    "show_progress",
    "step_seed",
]

Show = Callable[[int, float, float], None]


def device_for(config: LoopConfig) -> torch.device:
    """The device asked for; ConfigError where CUDA is asked for and there is none."""
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("train.device = cuda: PyTorch sees no CUDA device; use auto or cpu")
    return torch.device("cuda" if config.device != "cpu" and torch.cuda.is_available() else "cpu")


def environment(device: torch.device, ranks: int, parallel: str) -> dict[str, Any]:
    """What bitwise equal results depend on besides config, data and seed."""
    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": f"{device.type} {device_name(device)}",
        "ranks": ranks if ranks == 1 else f"{ranks} {parallel}",
    }


def device_name(device: torch.device) -> str:
    """What the device calls itself; of a CPU only its vector instructions."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()


def memory_bytes(device: torch.device) -> int:
    """The most memory held so far: of tensors on CUDA, of the whole process on the CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    # Linux counts in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """Seed of a rank's dropout at a step, 63 bits.

    >>> step_seed(0, 1) != step_seed(1, 0)
    True
    """
    text = f"{seed}/{step}" if rank == 0 else f"{seed}/{step}/{rank}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


@contextmanager
def reproducible(config: LoopConfig) -> Iterator[None]:
    """Only kernels that repeat bit by bit (always on the CPU, on CUDA if asked for), restored on leaving."""
    wanted = config.deterministic or device_for(config).type == "cpu"
    before = torch.are_deterministic_algorithms_enabled()
    filling: Any = deterministic
    fills_before = filling.fill_uninitialized_memory
    if wanted and device_for(config).type == "cuda":
        # cuBLAS repeats its results only with a fixed workspace.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(wanted)
    # Nothing here reads memory before it is written; filling it would cost a pass over every new tensor.
    filling.fill_uninitialized_memory = False
    try:
        with torch.random.fork_rng():
            yield
    finally:
        torch.use_deterministic_algorithms(before)
        filling.fill_uninitialized_memory = fills_before


@contextmanager
def leave_on_signal() -> Iterator[threading.Event]:
    """An event that SIGTERM or SIGINT sets; the second signal does what it always does."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def leave(number: int, frame: FrameType | None) -> None:
        asked.set()
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, leave)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def show_progress(console: Console | None, first: int, steps: int) -> Iterator[Show]:
    """A bar with loss, tokens/s and time left; nothing without a console."""
    if console is None:
        yield lambda done, loss, speed: None
        return
    columns = (
        TextColumn("train"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}"),
        TextColumn("{task.fields[speed]} tokens/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("train", total=steps, completed=first, loss="…", speed="…")

        def show(done: int, loss: float, speed: float) -> None:
            progress.update(task, completed=done, loss=f"{loss:.3f}", speed=f"{speed:,.0f}")

        yield show
