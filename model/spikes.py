"""Steps that stand out: losses and gradient norms of the last steps in, a verdict and the trace of the batch out."""

import math
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seimai.errors import RunError
from seimai.files import canonical_json, write_atomic

from .trace import trace

__all__ = ["MOST_SKIPPED_IN_A_ROW", "SpikeGuard", "write_skipped", "write_spike"]

MOST_SKIPPED_IN_A_ROW = 10
"""Steps that may be skipped one behind the other: beyond it the weights are at fault, not the rows."""


class SpikeGuard:
    """The losses and gradient norms of the last `window` steps; a function of the steps alone, kept in checkpoints.

    A step is a spike where its loss or norm lies more than `sigmas` standard deviations above their mean (OLMo 2's
    SkipStep has 6 over 128 steps), or is not finite. A deviation counts as at least a thousandth of the mean. Spikes
    enter the history too, so that a lasting change of level is one only at first.
    """

    def __init__(self, window: int, sigmas: float) -> None:
        self._sigmas = sigmas
        self._losses: deque[float] = deque(maxlen=window)
        self._norms: deque[float] = deque(maxlen=window)
        self.skipped: list[int] = []
        """Steps whose rows were skipped."""

    def judge(self, loss: float, grad_norm: float) -> str | None:
        """What stands out about a step, None where nothing does; the step joins the history.

        >>> guard = SpikeGuard(window=3, sigmas=6.0)
        >>> [guard.judge(loss, 1.0) for loss in (2.0, 2.1, 1.9, 3.0)]
        [None, None, None, 'loss 3 above 2 + 6 · 0.0816']
        """
        found = None
        for name, value, history in (("loss", loss, self._losses), ("grad_norm", grad_norm, self._norms)):
            found = found or self._stands_out(name, value, history)
            if math.isfinite(value):
                history.append(value)
        return found

    def skip(self, step: int) -> None:
        """Note that the rows of a step are not trained; RunError where too many steps in a row would be skipped."""
        self.skipped.append(step)
        last = self.skipped[-MOST_SKIPPED_IN_A_ROW:]
        if len(last) == MOST_SKIPPED_IN_A_ROW and last[0] == step - MOST_SKIPPED_IN_A_ROW + 1:
            raise RunError(
                f"step {step}: the {len(last)}th spike in a row, so not the rows are at fault; lower "
                "optimizer.learning_rate and give another --out"
            )

    def mean_loss(self) -> float | None:
        """The mean over the window, None before the first step."""
        return math.fsum(self._losses) / len(self._losses) if self._losses else None

    def state(self) -> dict[str, Any]:
        """Plain JSON that `load` takes back without a rounding."""
        return {"losses": list(self._losses), "norms": list(self._norms), "skipped": self.skipped.copy()}

    def load(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self._losses.extend(state["losses"])
        self._norms.extend(state["norms"])
        self.skipped = list(state["skipped"])

    def _stands_out(self, name: str, value: float, history: deque[float]) -> str | None:
        if not math.isfinite(value):
            return f"{name} {value}"
        if not self._sigmas or len(history) < (history.maxlen or 0):
            return None
        mean = math.fsum(history) / len(history)
        deviation = math.sqrt(math.fsum((each - mean) ** 2 for each in history) / len(history))
        deviation = max(deviation, abs(mean) / 1000)
        if value <= mean + self._sigmas * deviation:
            return None
        return f"{name} {value:.3g} above {mean:.3g} + {self._sigmas:g} · {deviation:.3g}"


def write_spike(out: Path, step: int, reason: str, nll: NDArray[np.float32], *, skipped: bool) -> Path:
    """Write out/spikes/step-N.json: every document of the batch with its mean loss there, the highest first.

    `nll` (batch_rows, row_tokens) holds the loss of every target of the whole batch.
    """
    found = []
    for document in trace(out, step):
        targets = nll[document.number - step * len(nll), document.start : document.start + document.length - 1]
        loss = float(targets.mean(dtype=np.float64)) if len(targets) else 0.0
        plain = {key: value for key, value in asdict(document).items() if value is not None}
        # JSON has no infinity; null says that the loss is none, and stands before all others.
        found.append({**plain, "loss": loss if math.isfinite(loss) else None, "targets": len(targets)})
    found.sort(key=lambda each: (each["loss"] is not None, -(each["loss"] or 0.0), each["number"], each["start"]))
    path = out / "spikes" / f"step-{step:08d}.json"
    described = {"step": step, "reason": reason, "rows_skipped": skipped, "documents": found}
    write_atomic(path, canonical_json(described) + "\n")
    return path


def write_skipped(out: Path, steps: list[int]) -> None:
    """Write out/skipped.json, by which `seimai trace` knows the steps whose rows were not trained."""
    write_atomic(out / "skipped.json", canonical_json({"steps": steps}) + "\n")
