"""The frame that layers share, the KV cache, and the layer in bf16."""

from typing import Any

import pytest
import torch

from seimai.model.attention import Cache, frame_for
from seimai.model.block_mask import document_blocks, document_starts
from seimai.model.config import ModelConfig, resolve_body
from seimai.model.kernels import dense_attention
from seimai.model.positions import positions_for


def cache_of(body: Any, length: int) -> Cache:
    cache = Cache(body, 1, 8, like=torch.zeros(1))
    cache.length = length
    return cache


@pytest.mark.parametrize(("kind", "past", "masked"), [("rope", 0, False), ("rope", 3, True), ("t5", 0, True)])
def test_mask_only_where_needed(kind: str, past: int, masked: bool) -> None:
    body = resolve_body(ModelConfig.model_validate({"positions": kind}), 100)
    frame = frame_for(positions_for(body), torch.arange(past, past + 2)[None], None, cache_of(body, past))
    assert (frame.mask is not None) == masked
    if frame.distance is not None:
        row = [past - j for j in range(past + 2)]
        assert frame.distance.tolist() == [row, [each + 1 for each in row]]


@pytest.mark.parametrize("kind", ["rope", "t5", "shaw", "alibi"])
def test_flex_frame_takes_the_blocks_it_is_given(kind: str) -> None:
    body = resolve_body(ModelConfig.model_validate({"positions": kind}), 100)
    segment = torch.tensor([[0] * 100 + [1] * 200])
    given = document_blocks(document_starts(segment))
    frame = frame_for(positions_for(body), torch.arange(300)[None], segment, None, blocks=given, path="flex")
    made = frame_for(positions_for(body), torch.arange(300)[None], segment, None, path="flex")
    assert frame.blocks is not None
    assert made.blocks is not None
    assert frame.blocks.kv_indices.data_ptr() == given.partial_keys.data_ptr()
    assert torch.equal(made.blocks.to_dense(), frame.blocks.to_dense())
    assert (frame.score_mod is not None) == (kind in ("t5", "alibi"))
    assert frame.bias is None
    assert frame.mask is None


def test_bias_keeps_its_precision_in_bf16() -> None:
    """A slope of 1/4 over 4,096 tokens: rounded to bf16 the bias would be wrong by up to 2."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(1, 1, count, 8, generator=generator).to(torch.bfloat16) for count in (1, 4096, 4096)
    )
    bias = -0.25 * torch.arange(4095, -1, -1).float()[None, None]
    mask = torch.ones(1, 1, 1, 4096, dtype=torch.bool)
    # Far keys only, where rounding is worst.
    mask[..., 256:] = False
    found = dense_attention(query, key, value, mask, bias)
    expected = dense_attention(query.double(), key.double(), value.double(), mask, bias)
    torch.testing.assert_close(found.double(), expected, atol=0.03, rtol=0)


def test_cache_grows_in_place() -> None:
    body = resolve_body(ModelConfig(depth=2, d_model=48, n_heads=6), 100)
    cache = Cache(body, 1, 5, like=torch.zeros(1))
    first = torch.ones(1, 6, 2, 8)
    assert cache.append(0, first, first)[0].shape == (1, 6, 2, 8)
    cache.length = 2
    keys, values = cache.append(0, 2 * first, 3 * first)
    assert keys[0, 0, :, 0].tolist() == [1, 1, 2, 2]
    assert values[0, 0, :, 0].tolist() == [1, 1, 3, 3]
