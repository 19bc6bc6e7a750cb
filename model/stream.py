"""One endless stream of packed rows over a group of documents: epoch after epoch, block after block.

Epoch e permutes the whole index by a keyed permutation, keeps the group's documents, and packs every 65,536 of them
(or 2²⁷ tokens) on their own; the rows of such a block are permuted again. So a row is found from its number by the
rows of the blocks before it, which need the lengths of their documents and no packing.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .concatenate import concatenate, count_concatenated
from .pack import Plan, count_rows, pack
from .permutation import permute, purpose_key

__all__ = ["BLOCK_DOCUMENTS", "Epochs", "Located", "Packing", "Stream"]

BLOCK_DOCUMENTS = 65_536
BLOCK_TOKENS = 1 << 27
"""Documents that reach it together fill a block, so that books take no more memory than pages."""
CACHED_PLANS = 4
KEPT_EPOCHS = 2
"""Orders of documents held at a time, 4 bytes a document each: an epoch's end and the next one's beginning."""
CHUNK = 1 << 17
"""Places of the permutation computed at a time: they fit a processor's cache."""

Packing = Literal["best_fit", "concatenate"]
_PACKINGS = {"best_fit": (pack, count_rows), "concatenate": (concatenate, count_concatenated)}

Int64s = NDArray[np.int64]
Documents = NDArray[np.uint32]


@dataclass
class Epochs:
    """The permutations of the whole index, one an epoch, computed as far as asked; shared by the groups.

    With a shuffle window of W shards the shards are permuted, and the documents of each W of them in a row: then a
    loader that reads in order needs few shards at a time.
    """

    seed: int
    first_document: Int64s
    """Number of the first document of every shard, and the number of all documents."""
    shuffle_window: int | None = None
    """Shards of a window; None permutes all documents at once."""
    _order: OrderedDict[int, list[Documents]] = field(default_factory=OrderedDict)

    def chunk(self, epoch: int, number: int) -> Documents:
        """The `number`-th stretch of an epoch's order; empty behind the last."""
        chunks = self._order.setdefault(epoch, [])
        self._order.move_to_end(epoch)
        if len(self._order) > KEPT_EPOCHS:
            self._order.popitem(last=False)
        while len(chunks) <= number and (coming := self._next(epoch, len(chunks))) is not None:
            chunks.append(coming)
        return chunks[number] if number < len(chunks) else np.empty(0, np.uint32)

    def _next(self, epoch: int, number: int) -> Documents | None:
        if self.shuffle_window is not None:
            return self._window(epoch, number, self.shuffle_window)
        first, n_documents = number * CHUNK, int(self.first_document[-1])
        if first >= n_documents:
            return None
        places = np.arange(first, min(first + CHUNK, n_documents), dtype=np.uint64)
        return permute(places, n_documents, purpose_key(self.seed, "documents", epoch)).astype(np.uint32)

    def _window(self, epoch: int, number: int, size: int) -> Documents | None:
        """The documents of the `number`-th window of an epoch, permuted among themselves."""
        sizes = np.diff(self.first_document)
        # Shards without documents belong to no window, so that none is empty.
        filled = np.flatnonzero(sizes)
        places = np.arange(number * size, min((number + 1) * size, len(filled)), dtype=np.uint64)
        if not len(places):
            return None
        order = permute(places, len(filled), purpose_key(self.seed, "shards", epoch)).astype(np.int64)
        shards = filled[order]
        ends = np.cumsum(sizes[shards])
        shift = np.repeat(self.first_document[shards] - ends + sizes[shards], sizes[shards])
        documents = np.arange(int(ends[-1])) + shift
        within = permute(
            np.arange(len(documents), dtype=np.uint64), len(documents), purpose_key(self.seed, "window", epoch, number)
        )
        found: Documents = documents[within.astype(np.int64)].astype(np.uint32)
        return found


@dataclass(frozen=True)
class _Block:
    """Rows [first_row, first_row + n_rows) of the stream."""

    first_row: int
    n_rows: int
    epoch: int
    number: int


@dataclass(frozen=True)
class _Packed:
    """A block's plan, its documents by their number over all shards, and the order of its rows."""

    plan: Plan
    documents: Documents
    order: Int64s


@dataclass(frozen=True)
class Located:
    """Segments of some of the rows asked for, one entry each, in order of (row asked for, start)."""

    which: Int64s
    """Which of the rows asked for it stands in."""
    start: Int64s
    length: Int64s
    document: Int64s
    """Number over all shards."""
    offset: Int64s


class Stream:
    """The rows of one group; `trained` says which documents of the index belong to it."""

    def __init__(
        self,
        name: str,
        trained: NDArray[np.bool_],
        n_tokens: NDArray[np.uint32],
        epochs: Epochs,
        row_tokens: int,
        packing: Packing = "best_fit",
    ) -> None:
        self.name, self.row_tokens = name, row_tokens
        self.n_documents = int(np.count_nonzero(trained))
        self.n_tokens = int(n_tokens[trained].sum(dtype=np.int64))
        self._trained, self._lengths_of, self._epochs = trained, n_tokens, epochs
        self._to_rows, self._count_rows = _PACKINGS[packing]
        self._blocks: list[_Block] = []
        self._first_rows = np.empty(0, np.int64)
        self._cut: OrderedDict[int, tuple[Iterator[Documents], list[Documents]]] = OrderedDict()
        self._packed: OrderedDict[tuple[int, int], _Packed] = OrderedDict()

    def locate(self, numbers: Int64s) -> Iterator[Located]:
        """Where rows of the stream stand, block by block."""
        self._reach(int(numbers.max(initial=-1)))
        places = np.searchsorted(self._first_rows, numbers, "right") - 1
        for place in np.unique(places).tolist():
            asked = np.flatnonzero(places == place)
            packed = self._pack(self._blocks[place])
            plan, row = packed.plan, packed.order[numbers[asked] - self._blocks[place].first_row]
            first = plan.first_segment[row]
            counts = plan.first_segment[row + 1] - first
            index = np.arange(int(counts.sum())) + np.repeat(first - np.cumsum(counts) + counts, counts)
            document = packed.documents[plan.document[index]].astype(np.int64)
            which = np.repeat(asked, counts)
            yield Located(which, plan.start[index], plan.length[index], document, plan.offset[index])

    def rows_with(self, wanted: NDArray[np.bool_], n_rows: int) -> tuple[Int64s, Int64s]:
        """(document, row) of every segment of a wanted document in the first `n_rows` rows; wanted is over all shards.

        Packs the blocks one after the other, some 30 ms each.
        """
        documents, rows = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        self._reach(n_rows - 1)
        for block in self._blocks:
            if block.first_row >= n_rows:
                break
            packed = self._pack(block)
            segments = np.flatnonzero(wanted[packed.documents[packed.plan.document]])
            place = np.argsort(packed.order)[packed.plan.row[segments]] + block.first_row
            inside = place < n_rows
            documents.append(packed.documents[packed.plan.document[segments]].astype(np.int64)[inside])
            rows.append(place[inside])
        return np.concatenate(documents), np.concatenate(rows)

    def epoch_plans(self, epoch: int) -> Iterator[Plan]:
        """The plans of all blocks of an epoch."""
        number = 0
        while (documents := self._block_documents(epoch, number)) is not None:
            yield self._to_rows(self._lengths(documents), self.row_tokens)
            number += 1

    def epoch_of(self, row: int) -> int:
        """The epoch a row of the stream belongs to."""
        self._reach(row)
        return self._blocks[int(np.searchsorted(self._first_rows, row, "right")) - 1].epoch

    def _reach(self, row: int) -> None:
        """Count the rows of blocks until one holds this row."""
        while not self._blocks or row >= self._blocks[-1].first_row + self._blocks[-1].n_rows:
            last = self._blocks[-1] if self._blocks else _Block(0, 0, 0, -1)
            epoch, number = last.epoch, last.number + 1
            documents = self._block_documents(epoch, number)
            if documents is None:
                epoch, number = epoch + 1, 0
                documents = self._block_documents(epoch, number)
            assert documents is not None, "an epoch has at least one block"
            n_rows = self._count_rows(self._lengths(documents), self.row_tokens)
            self._blocks.append(_Block(last.first_row + last.n_rows, n_rows, epoch, number))
            self._first_rows = np.append(self._first_rows, self._blocks[-1].first_row)

    def _pack(self, block: _Block) -> _Packed:
        found = self._packed.get((block.epoch, block.number))
        if found is None:
            documents = self._block_documents(block.epoch, block.number)
            assert documents is not None
            plan = self._to_rows(self._lengths(documents), self.row_tokens)
            key = purpose_key(self._epochs.seed, "rows", self.name, block.epoch, block.number)
            order = permute(np.arange(plan.n_rows, dtype=np.uint64), plan.n_rows, key).astype(np.int64)
            found = self._packed[block.epoch, block.number] = _Packed(plan, documents, order)
            if len(self._packed) > CACHED_PLANS:
                self._packed.popitem(last=False)
        self._packed.move_to_end((block.epoch, block.number))
        return found

    def _lengths(self, documents: Documents) -> Int64s:
        return self._lengths_of[documents].astype(np.int64)

    def _block_documents(self, epoch: int, number: int) -> Documents | None:
        """The documents of a block, None behind the last; an epoch's permutation is computed as far as this block."""
        if epoch not in self._cut:
            self._cut[epoch] = (self._cut_epoch(epoch), [])
            if len(self._cut) > KEPT_EPOCHS:
                self._cut.popitem(last=False)
        coming, blocks = self._cut[epoch]
        while len(blocks) <= number:
            block = next(coming, None)
            if block is None:
                return None
            blocks.append(block)
        return blocks[number]

    def _cut_epoch(self, epoch: int) -> Iterator[Documents]:
        """The group's documents in an epoch's order, in blocks of 65,536 documents or fewer with 2²⁷ tokens."""
        held, number = np.empty(0, np.uint32), 0
        while len(chunk := self._epochs.chunk(epoch, number)):
            number += 1
            held = np.concatenate([held, chunk[self._trained[chunk]]])
            while (size := self._block_size(held)) is not None:
                yield held[:size]
                held = held[size:]
        if len(held):
            yield held

    def _block_size(self, held: Documents) -> int | None:
        """Documents of the next block; None where more must be held to know."""
        first = held[:BLOCK_DOCUMENTS]
        tokens = np.cumsum(self._lengths_of[first], dtype=np.int64)
        full = int(np.searchsorted(tokens, BLOCK_TOKENS)) + 1
        if full <= len(first):
            return full
        return len(first) if len(first) == BLOCK_DOCUMENTS else None
