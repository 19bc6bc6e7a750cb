"""Block lists made from document starts are those that FlexAttention makes from every pair."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask

from seimai.model.block_mask import causal_block_mask, document_blocks, document_starts

FIELDS = (
    "kv_num_blocks",
    "kv_indices",
    "full_kv_num_blocks",
    "full_kv_indices",
    "q_num_blocks",
    "q_indices",
    "full_q_num_blocks",
    "full_q_indices",
)


def segments(rows: int, tokens: int, share: float, padding: int, seed: int) -> Tensor:
    random = torch.rand(rows, tokens, generator=torch.Generator().manual_seed(seed))
    segment = (random < share).long().cumsum(1)
    segment[0, tokens - padding :] = -1
    return segment


def by_pairs(segment: Tensor) -> object:
    rows, tokens = segment.shape

    def visible(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (key <= query) & (segment[row, query] == segment[row, key])

    return create_block_mask(visible, rows, 1, tokens, tokens, device="cpu")


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 3),
    tokens=st.integers(1, 700),
    share=st.sampled_from([0.0, 0.003, 0.02, 0.3]),
    padded=st.floats(0, 1),
    seed=st.integers(0, 1 << 30),
)
def test_lists_are_those_of_create_block_mask(rows: int, tokens: int, share: float, padded: float, seed: int) -> None:
    segment = segments(rows, tokens, share, int(padded * (tokens - 1)), seed)
    ours, theirs = document_blocks(document_starts(segment)).block_mask(), by_pairs(segment)
    for field in FIELDS:
        found, expected = getattr(ours, field), getattr(theirs, field)
        assert found.dtype == expected.dtype
        assert torch.equal(found, expected), field
    assert ours.seq_lengths == theirs.seq_lengths  # type: ignore[attr-defined]
    assert ours.BLOCK_SIZE == theirs.BLOCK_SIZE  # type: ignore[attr-defined]


def test_mask_inside_blocks_is_causal_and_by_document() -> None:
    segment = segments(2, 50, 0.1, 7, 0)
    mask = document_blocks(document_starts(segment)).block_mask().mask_mod
    row, query, key = torch.meshgrid(torch.arange(2), torch.arange(50), torch.arange(50), indexing="ij")
    expected = (key <= query) & (segment[row, query] == segment[row, key])
    assert torch.equal(mask(row, torch.tensor(0), query, key), expected)


@pytest.mark.parametrize("tokens", [100, 128, 500])
def test_one_document_is_causal(tokens: int) -> None:
    expected = by_pairs(torch.zeros(1, tokens, dtype=torch.int64))
    for field in FIELDS:
        assert torch.equal(getattr(causal_block_mask(tokens, torch.device("cpu")), field), getattr(expected, field))


def test_rows_of_a_micro_batch() -> None:
    segment = segments(4, 300, 0.01, 0, 3)
    part = document_blocks(document_starts(segment)).rows(1, 3)
    for found, expected in zip(part, document_blocks(document_starts(segment[1:3])), strict=True):
        assert torch.equal(found, expected)
