"""Which documents stand in which row of which step: a pure function of data set, seed and step.

Global row r belongs to a group of the mixture in closed form, and is there a row of the group's stream (stream.py);
step s has the global rows [s · B, (s + 1) · B), rank k of R the k-th contiguous part of them.
"""

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seimai.errors import ConfigError, InputError
from seimai.files import canonical_json

from .mixture import Interleaving, Mixture, group_masks, normalised
from .segments import Rows
from .shards import TokenShards, Verify, open_tokens
from .store import is_remote
from .stream import Epochs, Packing, Stream
from .where import where_mask

__all__ = ["FORMAT", "Order", "rows"]

FORMAT = "seimai-order/2"
"""Raised when the same settings would give other rows."""

Int64s = NDArray[np.int64]


class Order:
    """The order of one data set; made once, asked for any step. Not for use by several threads at a time."""

    def __init__(
        self,
        tokens_dir: Path | str,
        *,
        seed: int,
        row_tokens: int,
        batch_rows: int,
        mixture: Mixture | None = None,
        where: str | None = None,
        skip: Iterable[int] = (),
        shuffle_window: int | None = None,
        packing: Packing = "best_fit",
        verify: Verify = "size",
        cache_dir: Path | None = None,
        cache_bytes: int = 32 << 30,
    ) -> None:
        """Open the shards and say which documents are trained.

        `mixture` weighs groups (sources, languages, or `source/lang`) by tokens, for the whole training or from steps
        on: `[(0, {"en": 1.0}), (1000, {"en": 0.5, "ja": 0.5})]`; documents of no group are not trained. `where` keeps
        documents by an expression (where.py). `skip` holds global row numbers that are masked from the loss.
        `packing` is by best fit, or documents end to end (`concatenate`).
        `tokens_dir` may be an address that fsspec reads; then shards come into `cache_dir`, at most `cache_bytes` of
        them, and a `shuffle_window` of some shards keeps the needed ones few. The window is a setting of the order.
        Raises ConfigError for what cannot be taken and InputError where no document is left.
        """
        for name, number in (("row_tokens", row_tokens), ("batch_rows", batch_rows)):
            if number < 1:
                raise ConfigError(f"data.{name} = {number}: must be 1 or more; change it")
        self.shards: TokenShards = open_tokens(tokens_dir, verify=verify, cache_dir=cache_dir, cache_bytes=cache_bytes)
        self.seed, self.row_tokens, self.batch_rows = seed, row_tokens, batch_rows
        self.mixture, self.where, self.shuffle_window = mixture, where, shuffle_window
        self.packing = packing
        self._skip = np.array(sorted(set(skip)), np.int64)
        trained = ~self.shards.held_out & (self.shards.n_tokens >= 2)
        if not trained.any():
            raise InputError(f"{tokens_dir}: no training document; encode more text or lower held_out.share")
        if where is not None:
            trained &= where_mask(self.shards, where)
            if not trained.any():
                raise ConfigError(f"data.where = {where!r}: keeps no training document of {tokens_dir}; loosen it")
        names, phases, masks = self._groups(trained)
        epochs = Epochs(seed, self.shards.first_document, shuffle_window)
        streams = [(name, mask & trained) for name, mask in zip(names, masks, strict=True)]
        for name, mask in streams:
            if not mask.any() and mixture is not None:
                raise ConfigError(f"data.mixture.{name}: no training document is left in it; drop it or loosen where")
        self.groups = [Stream(name, mask, self.shards.n_tokens, epochs, row_tokens, packing) for name, mask in streams]
        self.interleaving = Interleaving(names, phases)

    def _groups(
        self, trained: NDArray[np.bool_]
    ) -> tuple[list[str], Sequence[tuple[int, dict[str, float]]], list[NDArray[np.bool_]]]:
        if self.mixture is None:
            return ["all"], [(0, {"all": 1.0})], [trained]
        names, phases = normalised(self.mixture, self.batch_rows)
        return names, phases, group_masks(self.shards, names)

    def describe(self) -> dict[str, Any]:
        """What defines the order, as it stands in order.json; equal descriptions give equal rows."""
        return {
            "format": FORMAT,
            "data": self.shards.root,
            "seed": self.seed,
            "row_tokens": self.row_tokens,
            "batch_rows": self.batch_rows,
            "mixture": _plain(self.mixture),
            "where": self.where,
            "shuffle_window": self.shuffle_window,
            "packing": self.packing,
            "skip": self._skip.tolist(),
        }

    def rows(self, step: int, rank: int = 0, ranks: int = 1) -> Rows:
        """The rows of a rank at a 0-based step; all ranks together are the same batch for any number of them."""
        if step < 0 or not 0 <= rank < ranks:
            raise ConfigError(f"step {step}, rank {rank} of {ranks}: steps count from 0 and ranks from 0 to ranks − 1")
        if self.batch_rows % ranks:
            raise ConfigError(f"data.batch_rows = {self.batch_rows} must be a multiple of the {ranks} ranks; change it")
        share = self.batch_rows // ranks
        first = step * self.batch_rows + rank * share
        return self._gather(np.arange(first, first + share, dtype=np.int64))

    def progress(self, step: int) -> dict[str, dict[str, int]]:
        """Rows of every group before a step, and the epoch its next row belongs to."""
        counts = self.interleaving.counts(step * self.batch_rows)
        return {group.name: {"rows": counts[group.name], "epoch": group.epoch_of(counts[group.name])}
                for group in self.groups}  # fmt: skip

    def steps_with(self, documents: Int64s, steps: int) -> tuple[Int64s, Int64s]:
        """(document, step) pairs, without repetition and in order of both: which of the first `steps` trained which.

        `documents` are row numbers over all shards. Rows that are skipped do not count. Cost: the blocks up to that
        step are packed once more.
        """
        wanted = np.zeros(len(self.shards.n_tokens), bool)
        wanted[documents] = True
        counts = self.interleaving.counts(steps * self.batch_rows)
        found = [np.empty((2, 0), np.int64)]
        for number, group in enumerate(self.groups):
            document, row = group.rows_with(wanted, counts[group.name])
            place = self.interleaving.global_rows(number, row, steps * self.batch_rows)
            trained = ~np.isin(place, self._skip)
            found.append(np.stack([document, place // self.batch_rows])[:, trained])
        pairs = np.unique(np.concatenate(found, axis=1), axis=1)
        return pairs[0], pairs[1]

    def budget(self, epoch: int = 0) -> dict[str, int]:
        """One epoch of all groups in tokens: what went in = trained + left out by choice.

        `tokens` are those of the documents that stand in rows, `pairs` what is trained, `repeated` tokens stand twice
        where a document is cut, `padding` is empty places. `held_out` documents and those that `where` or the mixture
        leave out are `left_out`, in tokens.
        """
        segments = held = n_rows = 0
        for group in self.groups:
            for plan in group.epoch_plans(epoch):
                segments, held, n_rows = segments + len(plan.row), held + int(plan.length.sum()), n_rows + plan.n_rows
        tokens = sum(group.n_tokens for group in self.groups)
        return {
            "rows": n_rows,
            "documents": sum(group.n_documents for group in self.groups),
            "tokens": tokens,
            "pairs": held - segments,
            "repeated": held - tokens,
            "padding": n_rows * (self.row_tokens + 1) - held,
            "left_out": int(self.shards.n_tokens.sum(dtype=np.int64)) - tokens,
        }

    def _gather(self, numbers: Int64s) -> Rows:
        """Segments of every row by group and block, put in order of (row, start), and their tokens."""
        group, place = self.interleaving.place(numbers)
        found: list[Int64s] = []
        for number, stream in enumerate(self.groups):
            mine = np.flatnonzero(group == number)
            for at in stream.locate(place[mine]) if len(mine) else ():
                same = np.full(len(at.which), number)
                found.append(np.stack([mine[at.which], at.start, at.length, at.document, at.offset, same]))
        columns = np.concatenate(found, axis=1) if len(found) != 1 else found[0]
        columns = columns[:, np.lexsort((columns[1], columns[0]))]
        row, start, length, document, offset, _ = columns
        width = self.row_tokens + 1
        tokens = np.full((len(numbers), width), self.shards.tokenizer["pad_id"], self.shards.dtype)
        self.shards.gather(document, offset, length, tokens.reshape(-1), row * width + start)
        return Rows(tokens, numbers, np.isin(numbers, self._skip), *columns)


def _plain(mixture: Mixture | None) -> Any:
    """The mixture as JSON holds it, keys in order."""
    if mixture is None or not isinstance(mixture, Sequence):
        return None if mixture is None else dict(sorted(mixture.items()))
    return [[step, dict(sorted(weights.items()))] for step, weights in mixture]


def rows(
    tokens_dir: Path | str,
    *,
    seed: int,
    step: int,
    batch_rows: int,
    row_tokens: int,
    rank: int = 0,
    ranks: int = 1,
    mixture: Mixture | None = None,
    where: str | None = None,
) -> Rows:
    """The rows of one step without keeping an Order; the last few orders asked for are kept behind it.

    For a folder; shards at an address want an Order, which is told where to keep them. Raises as Order and its rows do.
    """
    if is_remote(tokens_dir):
        raise ConfigError(f"{tokens_dir}: rows() takes a folder; use Order(…, cache_dir=…) for an address")
    folder = Path(tokens_dir).absolute()
    manifest = folder / "manifest.json"
    changed_ns = manifest.stat().st_mtime_ns if manifest.exists() else 0
    if mixture is not None:
        normalised(mixture, batch_rows)
    mixed = canonical_json(_plain(mixture))
    return _order(folder, changed_ns, seed, row_tokens, batch_rows, mixed, where).rows(step, rank, ranks)


@lru_cache(maxsize=4)
def _order(
    tokens_dir: Path, changed_ns: int, seed: int, row_tokens: int, batch_rows: int, mixture: str, where: str | None
) -> Order:
    return Order(
        tokens_dir, seed=seed, row_tokens=row_tokens, batch_rows=batch_rows, mixture=json.loads(mixture), where=where
    )
