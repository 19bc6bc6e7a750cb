"""The fused path and the cache against the dense oracle, and this against the sum written out."""

import math

import pytest
import torch

from seimai.model.attention import Cache, dense_attention, frame_for, fused_attention
from seimai.model.config import ModelConfig, resolve_body
from seimai.model.positions import positions_for


def parts(tokens: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 3, tokens, 8, generator=generator) for _ in range(3))
    return query, key, value


def test_dense_attention_is_the_formula() -> None:
    query, key, value = parts()
    mask = torch.tril(torch.ones(6, 6, dtype=torch.bool))
    found = dense_attention(query, key, value, mask, None)
    for i in range(6):
        scores = [math.exp(float(query[1, 2, i] @ key[1, 2, j]) / math.sqrt(8)) for j in range(i + 1)]
        expected = sum(score * value[1, 2, j] for j, score in enumerate(scores)) / sum(scores)
        torch.testing.assert_close(found[1, 2, i], expected)


@pytest.mark.parametrize("with_bias", [False, True])
def test_fused_equals_dense(with_bias: bool) -> None:
    query, key, value = parts()
    segment = torch.tensor([[0, 0, 1, 1, 1, -1], [0, 0, 0, 0, 2, 2]])
    causal = torch.tril(torch.ones(6, 6, dtype=torch.bool))
    mask = (segment[:, :, None] == segment[:, None, :])[:, None] & causal
    bias = torch.randn(3, 6, 6) if with_bias else None
    torch.testing.assert_close(
        fused_attention(query, key, value, mask, bias), dense_attention(query, key, value, mask, bias)
    )


def test_no_mask_means_causal() -> None:
    query, key, value = parts()
    causal = torch.tril(torch.ones(6, 6, dtype=torch.bool))
    torch.testing.assert_close(
        fused_attention(query, key, value, None, None), dense_attention(query, key, value, causal, None)
    )


@pytest.mark.parametrize(("kind", "past", "masked"), [("rope", 0, False), ("rope", 3, True), ("t5", 0, True)])
def test_mask_only_where_needed(kind: str, past: int, masked: bool) -> None:
    body = resolve_body(ModelConfig.model_validate({"positions": kind}), 100)
    frame = frame_for(positions_for(body), torch.arange(past, past + 2)[None], None, past)
    assert (frame.mask is not None) == masked
    assert frame.distance.tolist() == [[past - j for j in range(past + 2)], [past + 1 - j for j in range(past + 2)]]


def test_bias_keeps_its_precision_in_bf16() -> None:
    """A slope of 1/4 over 4,096 tokens: rounded to bf16 the bias would be wrong by up to 2."""
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, 1, count, 8).to(torch.bfloat16) for count in (1, 4096, 4096))
    bias = -0.25 * torch.arange(4095, -1, -1).float()[None, None]
    mask = torch.ones(1, 1, 1, 4096, dtype=torch.bool)
    # Far keys only, where rounding is worst.
    mask[..., 256:] = False
    found = fused_attention(query, key, value, mask, bias)
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
