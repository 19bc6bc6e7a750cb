"""Which documents stand in which row of which step: a pure function of data set, seed and step.

Epoch e permutes the whole index by a keyed permutation, keeps the training documents, and packs every 65,536 of them
on their own; the rows of such a block are permuted again. Global row r belongs to the epoch and block whose rows
contain it, step s to the global rows [s · B, (s + 1) · B), rank k of R to the k-th contiguous part of them.
"""

import hashlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seimai.errors import ConfigError, InputError

from .pack import Plan, pack
from .shards import TokenShards, Verify, open_tokens

__all__ = ["BLOCK_DOCUMENTS", "Order", "Rows", "permute", "rows"]

BLOCK_DOCUMENTS = 65_536
ROUNDS = 6
CACHED_PLANS = 4

Int64s = NDArray[np.int64]
UInt64s = NDArray[np.uint64]
Mixture = Mapping[str, float] | list[tuple[int, Mapping[str, float]]]


@dataclass(frozen=True)
class Rows:
    """Rows of one step of one rank; `row` to `group` have one entry a segment, ordered by (row, start)."""

    tokens: NDArray[Any]
    """(rows, row_tokens + 1) in the storage type; what no segment covers holds the padding id."""
    number: Int64s
    """Global number of every row: step · batch_rows + its place in the batch."""
    skipped: NDArray[np.bool_]
    """Rows that are masked from the loss by choice."""
    row: Int64s
    """Row of the segment in `tokens`."""
    start: Int64s
    """Place of its first token in the row."""
    length: Int64s
    """Its tokens."""
    document: Int64s
    """Row number of its document over all shards in manifest order."""
    offset: Int64s
    """Place of its first token in the document."""
    group: Int64s
    """Number of its group in the mixture; 0 without one."""

    @cached_property
    def token_segment(self) -> Int64s:
        """(rows, row_tokens + 1): number of the segment of every token over all rows, −1 for padding."""
        return self._spread(np.arange(len(self.row)), -1)

    @cached_property
    def token_document(self) -> Int64s:
        """(rows, row_tokens + 1): document of every token, −1 for padding."""
        return self._spread(self.document, -1)

    @cached_property
    def token_position(self) -> Int64s:
        """(rows, row_tokens + 1): position from 0 in every segment, 0 for padding."""
        filled = self._spread(self.start, 0)
        place = np.arange(self.tokens.shape[1]) - filled
        return np.where(self.token_segment >= 0, place, 0)

    @cached_property
    def counted(self) -> NDArray[np.bool_]:
        """(rows, row_tokens): whether the pair of token t and t + 1 is trained."""
        segment = self.token_segment
        inside: NDArray[np.bool_] = (segment[:, :-1] == segment[:, 1:]) & (segment[:, 1:] >= 0)
        return inside & ~self.skipped[:, None]

    def _spread(self, values: Int64s, padding: int) -> Int64s:
        out = np.full(self.tokens.shape, padding, np.int64)
        ends = np.cumsum(self.length)
        within = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - self.length, self.length)
        begins = self.row * self.tokens.shape[1] + self.start
        out.reshape(-1)[np.repeat(begins, self.length) + within] = np.repeat(values, self.length)
        return out


@dataclass(frozen=True)
class _Block:
    """Rows [first_row, first_row + n_rows) of the run: block `block` of epoch `epoch`."""

    first_row: int
    n_rows: int
    epoch: int
    block: int


class Order:
    """The order of one data set; made once, asked for any step. Not for use by several threads at a time."""

    def __init__(
        self,
        tokens_dir: Path,
        *,
        seed: int,
        row_tokens: int,
        batch_rows: int,
        mixture: Mixture | None = None,
        where: str | None = None,
        skip: Iterable[int] = (),
        verify: Verify = "size",
    ) -> None:
        if mixture is not None:
            raise ConfigError(f"data.mixture = {mixture!r}: mixtures are not offered; drop it or encode a source apart")
        if where is not None:
            raise ConfigError(f"data.where = {where!r}: expressions are not offered; filter before `encode` or drop it")
        self.shards: TokenShards = open_tokens(tokens_dir, verify=verify)
        self.seed, self.row_tokens, self.batch_rows = seed, row_tokens, batch_rows
        self._skip = np.array(sorted(set(skip)), np.int64)
        self._trained = ~self.shards.held_out & (self.shards.n_tokens >= 2)
        if not self._trained.any():
            raise InputError(f"{tokens_dir}: no training document; encode more text or lower held_out.share")
        self._n_blocks = -(-int(np.count_nonzero(self._trained)) // BLOCK_DOCUMENTS)
        self._blocks: list[_Block] = []
        self._first_rows: list[int] = []
        self._documents: tuple[int, Int64s] | None = None
        self._plans: OrderedDict[tuple[int, int], Plan] = OrderedDict()

    def describe(self) -> dict[str, Any]:
        """What defines the order, as it stands in order.json; equal descriptions give equal rows."""
        return {
            "format": "seimai-order/1",
            "data": self.shards.root,
            "seed": self.seed,
            "row_tokens": self.row_tokens,
            "batch_rows": self.batch_rows,
            "mixture": None,
            "where": None,
            "shuffle_window": None,
            "skip": self._skip.tolist(),
        }

    def rows(self, step: int, rank: int = 0, ranks: int = 1) -> Rows:
        """The rows of a rank at a 0-based step; all ranks together are the same batch for any number of them."""
        if self.batch_rows % ranks:
            raise ConfigError(f"data.batch_rows = {self.batch_rows} must be a multiple of the {ranks} ranks; change it")
        if step < 0 or not 0 <= rank < ranks:
            raise ConfigError(f"step {step}, rank {rank} of {ranks}: steps count from 0 and ranks from 0 to ranks − 1")
        share = self.batch_rows // ranks
        first = step * self.batch_rows + rank * share
        return self._gather(np.arange(first, first + share, dtype=np.int64))

    def budget(self, epoch: int = 0) -> dict[str, int]:
        """Rows, pairs trained, repeated context and padding of one epoch, and the documents' tokens that went in."""
        plans = [self._plan(epoch, block) for block in range(self._n_blocks)]
        segments = sum(len(plan.row) for plan in plans)
        held = sum(int(plan.length.sum()) for plan in plans)
        n_rows = sum(plan.n_rows for plan in plans)
        tokens = int(self.shards.n_tokens[self._trained].sum(dtype=np.int64))
        return {
            "rows": n_rows,
            "documents": int(self._trained.sum()),
            "tokens": tokens,
            "pairs": held - segments,
            "repeated": held - tokens,
            "padding": n_rows * (self.row_tokens + 1) - held,
        }

    def _gather(self, numbers: Int64s) -> Rows:
        width = self.row_tokens + 1
        tokens = np.full((len(numbers), width), self.shards.tokenizer["pad_id"], self.shards.dtype)
        columns: list[Int64s] = []
        for place, number in enumerate(numbers.tolist()):
            plan, documents, row = self._locate(number)
            cut = plan.segments(row)
            document = documents[plan.document[cut]]
            start, length, offset = plan.start[cut], plan.length[cut], plan.offset[cut]
            for d, s, m, o in zip(document.tolist(), start.tolist(), length.tolist(), offset.tolist(), strict=True):
                tokens[place, s : s + m] = self.shards.tokens(d, o, m)
            same_row, group = np.full_like(start, place), np.zeros_like(start)
            columns.append(np.stack([same_row, start, length, document, offset, group]))
        return Rows(tokens, numbers, np.isin(numbers, self._skip), *np.concatenate(columns, axis=1))

    def _locate(self, number: int) -> tuple[Plan, Int64s, int]:
        """The plan of a global row, the documents of its block, and the row's place in the plan."""
        while not self._blocks or number >= self._blocks[-1].first_row + self._blocks[-1].n_rows:
            self._add_block()
        block = self._blocks[bisect_right(self._first_rows, number) - 1]
        plan = self._plan(block.epoch, block.block)
        place = np.array([number - block.first_row], np.uint64)
        row = permute(place, plan.n_rows, self._key("rows", block.epoch, block.block))
        return plan, self._block_documents(block.epoch, block.block), int(row[0])

    def _add_block(self) -> None:
        last = self._blocks[-1] if self._blocks else _Block(0, 0, 0, -1)
        epoch, block = (last.epoch, last.block + 1) if last.block + 1 < self._n_blocks else (last.epoch + 1, 0)
        n_rows = self._plan(epoch, block).n_rows
        self._blocks.append(_Block(last.first_row + last.n_rows, n_rows, epoch, block))
        self._first_rows.append(last.first_row + last.n_rows)

    def _plan(self, epoch: int, block: int) -> Plan:
        plan = self._plans.get((epoch, block))
        if plan is None:
            documents = self._block_documents(epoch, block)
            plan = pack(self.shards.n_tokens[documents].astype(np.int64), self.row_tokens)
            self._plans[epoch, block] = plan
            if len(self._plans) > CACHED_PLANS:
                self._plans.popitem(last=False)
        self._plans.move_to_end((epoch, block))
        return plan

    def _block_documents(self, epoch: int, block: int) -> Int64s:
        if self._documents is None or self._documents[0] != epoch:
            n = len(self._trained)
            order = permute(np.arange(n, dtype=np.uint64), n, self._key("documents", epoch)).astype(np.int64)
            self._documents = (epoch, order[self._trained[order]])
        return self._documents[1][block * BLOCK_DOCUMENTS : (block + 1) * BLOCK_DOCUMENTS]

    def _key(self, *purpose: str | int) -> bytes:
        text = "/".join(str(part) for part in ("seimai-order", self.seed, *purpose))
        return hashlib.blake2b(text.encode(), digest_size=8 * ROUNDS).digest()


def rows(
    tokens_dir: Path,
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
    """The rows of one step without keeping an Order; the last few orders asked for are kept behind it."""
    if mixture is not None or where is not None:
        raise ConfigError(f"mixture = {mixture!r}, where = {where!r}: neither is offered; leave both out")
    manifest = tokens_dir / "manifest.json"
    changed_ns = manifest.stat().st_mtime_ns if manifest.exists() else 0
    return _order(tokens_dir.absolute(), changed_ns, seed, row_tokens, batch_rows).rows(step, rank, ranks)


@lru_cache(maxsize=4)
def _order(tokens_dir: Path, changed_ns: int, seed: int, row_tokens: int, batch_rows: int) -> Order:
    return Order(tokens_dir, seed=seed, row_tokens=row_tokens, batch_rows=batch_rows)


def permute(index: UInt64s, n: int, key: bytes) -> UInt64s:
    """Places of `index` (each below n) under the keyed permutation of range(n), without a table.

    A balanced Feistel network of 6 rounds over an even number of bits, murmur3's 64-bit finaliser as round function,
    8 bytes of `key` a round; numbers beyond n walk the cycle on. About 10 million numbers a second and core.

    >>> sorted(permute(np.arange(5, dtype=np.uint64), 5, bytes(48)).tolist())
    [0, 1, 2, 3, 4]
    """
    half = np.uint64(max(1, (max(1, n - 1).bit_length() + 1) // 2))
    keys = np.frombuffer(key, "<u8")
    out = _feistel(index, half, keys)
    while (beyond := np.flatnonzero(out >= np.uint64(n))).size:
        out[beyond] = _feistel(out[beyond], half, keys)
    return out


def _feistel(value: UInt64s, half: np.uint64, keys: UInt64s) -> UInt64s:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = value >> half, value & mask
    for key in keys:
        left, right = right, left ^ (_mix(right + key) & mask)
    return (left << half) | right


def _mix(value: UInt64s) -> UInt64s:
    """fmix64 of murmur3; its low bits depend on all bits, unlike those of one multiplication."""
    value = value ^ (value >> np.uint64(33))
    value = value * np.uint64(0xFF51AFD7ED558CCD)
    value = value ^ (value >> np.uint64(33))
    value = value * np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))
