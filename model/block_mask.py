"""Which blocks of 128 queries and 128 keys may look at each other: FlexAttention's mask of documents, made ahead.

`create_block_mask` evaluates every pair of a row for it (0.15 to 0.3 s a step, pytorch#151043). Documents are
contiguous, so the first and last query of a block say everything: with s(q) the place of the first token of q's
document, block (Q, K) holds a visible pair iff K ≤ Q and K reaches s(first of Q), and only visible pairs iff K < Q and
K begins at or behind s(last of Q).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

__all__ = ["BLOCK", "DocumentBlocks", "causal_block_mask", "document_blocks", "document_starts"]

BLOCK = 128
"""Queries and keys of a block, FlexAttention's default."""


class DocumentBlocks(NamedTuple):
    """Document starts (B, T) and block lists, all int32; counts are (B, N), lists (B, N, N) for N blocks a row.

    A list names the blocks that take part first, in rising order, then the others, as `create_block_mask` does.
    """

    start: Tensor
    """Place in the row of the first token of each token's document."""
    partial_keys_count: Tensor
    """For each query block, key blocks with some visible pairs."""
    partial_keys: Tensor
    full_keys_count: Tensor
    """For each query block, key blocks with visible pairs only."""
    full_keys: Tensor
    partial_queries_count: Tensor
    """The same for each key block, which the backward pass walks by."""
    partial_queries: Tensor
    full_queries_count: Tensor
    full_queries: Tensor

    def rows(self, first: int, last: int) -> "DocumentBlocks":
        """Those of rows [first, last)."""
        return DocumentBlocks(*(each[first:last] for each in self))

    def block_mask(self) -> BlockMask:
        """The mask for `flex_attention`; inside partial blocks it asks for kv ≤ q and kv ≥ start."""
        start = self.start

        def visible(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return (key <= query) & (key >= start[row, query])

        return self.with_mask(visible)

    def with_mask(self, visible: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> BlockMask:
        """The mask that asks `visible(row, head, query, key)` inside partial blocks."""
        tokens = self.start.shape[1]
        return BlockMask(
            seq_lengths=(tokens, tokens),
            kv_num_blocks=self.partial_keys_count[:, None],
            kv_indices=self.partial_keys[:, None],
            full_kv_num_blocks=self.full_keys_count[:, None],
            full_kv_indices=self.full_keys[:, None],
            q_num_blocks=self.partial_queries_count[:, None],
            q_indices=self.partial_queries[:, None],
            full_q_num_blocks=self.full_queries_count[:, None],
            full_q_indices=self.full_queries[:, None],
            BLOCK_SIZE=(BLOCK, BLOCK),
            mask_mod=visible,
        )


def document_starts(segment: Tensor) -> Tensor:
    """Place (B, T) int32 of the first token of every token's segment; a segment is a run of equal numbers.

    >>> document_starts(torch.tensor([[7, 7, 8, 8, 8, -1]])).tolist()
    [[0, 0, 2, 2, 2, 5]]
    """
    place = torch.arange(segment.shape[1], device=segment.device).expand(segment.shape)
    begins = torch.ones_like(segment, dtype=torch.bool)
    begins[:, 1:] = segment[:, 1:] != segment[:, :-1]
    return torch.where(begins, place, 0).cummax(1).values.to(torch.int32)


def document_blocks(start: Tensor) -> DocumentBlocks:
    """Block lists of rows from the document starts (B, T), which rise along a row; on any device, no loop over pairs.

    >>> blocks = document_blocks(document_starts(torch.tensor([[0] * 128 + [1] * 256])))
    >>> blocks.partial_keys_count.tolist(), blocks.full_keys_count.tolist()
    ([[1, 1, 1]], [[0, 0, 1]])
    """
    tokens = start.shape[1]
    n_blocks = -(-tokens // BLOCK)
    block = torch.arange(n_blocks, device=start.device)
    first = start[:, block * BLOCK]
    last = start[:, (block * BLOCK + BLOCK - 1).clamp(max=tokens - 1)]
    query, key = block[:, None], block[None, :]
    some = (key <= query) & (key * BLOCK + BLOCK > first[..., None])
    # A last block that the row's end cuts short is never full.
    whole = (query + 1) * BLOCK <= tokens
    full = (key < query) & (key * BLOCK >= last[..., None]) & whole
    partial = some & ~full
    return DocumentBlocks(
        start.to(torch.int32),
        *_listed(partial),
        *_listed(full),
        *_listed(partial.transpose(1, 2)),
        *_listed(full.transpose(1, 2)),
    )


def causal_block_mask(tokens: int, device: torch.device) -> BlockMask:
    """The mask of one document a row, for any number of rows."""
    return document_blocks(torch.zeros(1, tokens, dtype=torch.int32, device=device)).with_mask(_causal)


def _causal(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
    return key <= query


def _listed(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Per row of a block matrix the number of true columns, and all columns with the true ones first."""
    order = torch.argsort(mask.to(torch.int8), dim=-1, descending=True, stable=True)
    return mask.sum(-1, dtype=torch.int32), order.to(torch.int32).contiguous()
