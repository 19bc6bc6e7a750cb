"""Loss by source, language, quality and position: sums of the per-token losses a step has made anyway."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .dataset_stats import quality_deciles
from .segments import Rows
from .shards import TokenShards

__all__ = ["Grouping", "LossGroups"]

Grouping = Literal["source", "lang", "quality", "position"]
Floats = NDArray[np.float64]


class LossGroups:
    """Sums of nats and targets by group since the last line; a step of half a million targets adds 10 ms of CPU.

    `quality` is the decile of a document's score among all (1 the lowest, 0 without a score; reading the scores takes
    one pass over the docs files at the start), `position` the power of two at or below the place in the segment.
    """

    def __init__(self, shards: TokenShards, groupings: Sequence[Grouping], row_tokens: int) -> None:
        self._names: dict[Grouping, list[str]] = {}
        self._codes: dict[Grouping, NDArray[Any]] = {}
        for grouping in groupings:
            if grouping in ("source", "lang"):
                self._names[grouping] = list(shards.manifest["sources" if grouping == "source" else "langs"])
                self._codes[grouping] = shards.source if grouping == "source" else shards.lang
            elif grouping == "quality":
                self._names[grouping] = ["none", *(str(decile) for decile in range(1, 11))]
                self._codes[grouping] = _quality(shards)
            else:
                octaves = int(row_tokens - 1).bit_length() + 1
                self._names[grouping] = ["0", *(str(1 << octave) for octave in range(octaves - 1))]
                self._codes[grouping] = np.array([place.bit_length() for place in range(row_tokens)])
        self._sums: dict[Grouping, Floats] = {name: np.zeros((2, len(self._names[name]))) for name in groupings}

    def add(self, rows: Rows, nll: NDArray[np.float32]) -> None:
        """Add the losses (rows, row_tokens) of some rows."""
        counted = rows.counted
        values, segment = nll[counted].astype(np.float64), rows.token_segment[:, :-1][counted]
        by_segment = [np.bincount(segment, weights=weights, minlength=len(rows.row)) for weights in (values, None)]
        for grouping, sums in self._sums.items():
            if grouping == "position":
                code = self._codes[grouping][rows.token_position[:, :-1][counted]]
                parts: Sequence[NDArray[Any] | None] = (values, None)
            else:
                code, parts = self._codes[grouping][rows.document], by_segment
            for total, part in zip(sums, parts, strict=True):
                total += np.bincount(code, weights=part, minlength=sums.shape[1])

    def line(self) -> dict[str, dict[str, dict[str, float]]]:
        """Loss in nats and targets of every group that had any, by grouping; the sums begin anew."""
        found: dict[str, dict[str, dict[str, float]]] = {
            grouping: _means(self._names[grouping], sums) for grouping, sums in self._sums.items()
        }
        for sums in self._sums.values():
            sums[:] = 0
        return found

    def state(self) -> list[float]:
        """All sums, one behind the other."""
        return [value for sums in self._sums.values() for value in sums.flatten().tolist()]

    def load(self, state: Sequence[float]) -> None:
        """Go on from sums that `state` gave, or those of several ranks added up."""
        at = 0
        for sums in self._sums.values():
            sums[:] = np.reshape(state[at : at + sums.size], sums.shape)
            at += sums.size


def _means(names: Sequence[str], sums: Floats) -> dict[str, dict[str, float]]:
    """A loss that is not finite is left out, as JSON has no such number."""
    return {
        name: {"loss": float(nats / targets), "targets": int(targets)}
        for name, nats, targets in zip(names, *sums, strict=True)
        if targets and np.isfinite(nats)
    }


def _quality(shards: TokenShards) -> NDArray[np.int8]:
    columns = [table["quality"] for table in shards.docs_tables(["quality"])]
    scores = pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.float32())
    deciles: NDArray[np.int8] = quality_deciles(scores).fill_null(0).to_numpy(zero_copy_only=False)
    return deciles
