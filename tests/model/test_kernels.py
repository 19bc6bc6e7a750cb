"""Every path of attention against the dense oracle, and this against the sum written out."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention

from seimai.model import kernels
from seimai.model.config import ModelConfig, resolve_body
from seimai.model.kernels import (
    Path,
    biased_attention,
    channel_attention,
    dense_attention,
    path_for,
    plain_attention,
)
from seimai.model.positions import Alibi
from seimai.model.transformer import Transformer, build


def parts(tokens: int = 6, heads: int = 3, width: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, heads, tokens, width, generator=generator) for _ in range(3))
    return query, key, value


def causal(tokens: int) -> Tensor:
    return torch.tril(torch.ones(tokens, tokens, dtype=torch.bool))


def alibi_of(n_heads: int, head_dim: int) -> Alibi:
    body = {"positions": "alibi", "preset": "mpt", "n_heads": n_heads, "d_model": n_heads * head_dim}
    return Alibi(resolve_body(ModelConfig.model_validate(body), 100))


def test_dense_attention_is_the_formula() -> None:
    query, key, value = parts()
    found = dense_attention(query, key, value, causal(6), None)
    for i in range(6):
        scores = [math.exp(float(query[1, 2, i] @ key[1, 2, j]) / math.sqrt(8)) for j in range(i + 1)]
        expected = sum(score * value[1, 2, j] for j, score in enumerate(scores)) / sum(scores)
        torch.testing.assert_close(found[1, 2, i], expected)


def test_gradients_of_dense_attention() -> None:
    query, key, value = (part[:1, :2, :4, :3].double().requires_grad_() for part in parts())
    bias = torch.randn(2, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda q, k, v, b: dense_attention(q, k, v, causal(4), b), (query, key, value, bias)
    )


def test_fused_paths_equal_dense() -> None:
    query, key, value = parts()
    segment = torch.tensor([[0, 0, 1, 1, 1, -1], [0, 0, 0, 0, 2, 2]])
    mask = (segment[:, :, None] == segment[:, None, :])[:, None] & causal(6)
    bias = torch.randn(3, 6, 6, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(plain_attention(query, key, value, mask), dense_attention(query, key, value, mask, None))
    torch.testing.assert_close(
        biased_attention(query, key, value, mask, bias), dense_attention(query, key, value, mask, bias)
    )


def test_no_mask_means_causal() -> None:
    query, key, value = parts()
    torch.testing.assert_close(plain_attention(query, key, value), dense_attention(query, key, value, causal(6), None))


@pytest.mark.parametrize("n_heads", [6, 8, 12])
@pytest.mark.parametrize("head_dim", [64, 80, 128])
def test_channels_hold_alibi_in_bf16(n_heads: int, head_dim: int) -> None:
    """Factors in bf16, products and sums in fp32, as tensor cores do, at every position up to 65,535."""
    alibi, position = alibi_of(n_heads, head_dim), torch.arange(65_536)[None]
    for_query, for_key = alibi.channels(position)
    for exact in (for_query, for_key):
        assert torch.equal(exact.to(torch.bfloat16).float(), exact)
    found = (for_query @ for_key[0].transpose(-1, -2))[:, 0] / math.sqrt(head_dim)
    expected = alibi.slopes.double()[:, None] * position.double()
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=0)
    one_part = for_query.clone()
    one_part[..., [1, 2, 4, 5]] = 0
    off = (one_part @ for_key[0].transpose(-1, -2))[:, 0, 4096] / math.sqrt(head_dim) - expected[:, 4096]
    # With 6 and 8 heads slopes are powers of two, and with √64 = 8 one part is enough.
    assert (float(off.abs().max()) > 0.1) == (n_heads == 12 or head_dim != 64)


@pytest.mark.parametrize("rounded", [False, True])
def test_attention_with_channels_is_alibi(rounded: bool) -> None:
    """1,024 tokens, 6 heads; `rounded` as on a GPU: queries, keys and values in bf16, everything else in fp32."""
    query, key, value = (part[:1] for part in parts(1024, heads=6, width=16))
    if rounded:
        query, key, value = (part.to(torch.bfloat16).float() for part in (query, key, value))
    alibi, place = alibi_of(6, 16), torch.arange(1024)
    bias = alibi.bias(place[:, None] - place[None, :])
    found = channel_attention(query, key, value, alibi.channels(place[None]))
    torch.testing.assert_close(found, dense_attention(query, key, value, causal(1024), bias), atol=2e-4, rtol=0)


def test_gradients_through_channels() -> None:
    query, key, value = (part.requires_grad_() for part in parts(40, heads=6, width=16))
    alibi, place = alibi_of(6, 16), torch.arange(40)
    bias = alibi.bias(place[:, None] - place[None, :])
    expected = torch.autograd.grad(
        dense_attention(query, key, value, causal(40), bias).square().sum(), (query, key, value)
    )
    found = torch.autograd.grad(
        channel_attention(query, key, value, alibi.channels(place[None])).square().sum(), (query, key, value)
    )
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@contextmanager
def deterministic(on: bool) -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(on)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


@pytest.mark.parametrize(
    ("kind", "modes", "path"),
    [
        ("rope", {}, "sdpa"),
        ("rope", {"packed": True}, "flex"),
        ("rope", {"packed": True, "deterministic": True}, "flex"),
        ("none", {"deterministic": True}, "sdpa"),
        ("alibi", {}, "channels"),
        ("alibi", {"tokens": 70_000}, "flex"),
        ("alibi", {"packed": True}, "flex"),
        ("alibi", {"cached": True}, "dense"),
        ("t5", {}, "flex"),
        ("t5", {"deterministic": True}, "biased"),
        ("shaw", {}, "flex"),
        ("shaw", {"deterministic": True}, "dense"),
        ("shaw", {"device": "cpu"}, "dense"),
        ("learned", {"cached": True}, "sdpa"),
        ("learned", {"device": "cpu", "packed": True}, "sdpa"),
        ("alibi", {"device": "cpu", "half": False}, "biased"),
        ("t5", {"device": "cpu"}, "dense"),
    ],
)
def test_path_of_a_kind(kind: str, modes: dict[str, Any], path: Path) -> None:
    given = {"device": "cuda", "half": True, "packed": False, "cached": False, "tokens": 1024, **modes}
    with deterministic(given.pop("deterministic", False)):
        assert path_for(kind, given.pop("tokens"), **given) == path


def test_nothing_is_compiled_for_evaluation() -> None:
    with torch.no_grad():
        assert path_for("shaw", 100, device="cuda", half=True, packed=True, cached=False) == "dense"
        assert path_for("rope", 100, device="cuda", half=True, packed=True, cached=False) == "sdpa"


def model_of(kind: str, **changes: Any) -> Transformer:
    config = {"positions": kind, "depth": 1, "d_model": 48, "n_heads": 6, "row_tokens": 160, **changes}
    model = build(resolve_body(ModelConfig.model_validate(config), 100), seed=0).eval()
    with torch.no_grad():
        model.blocks[0].attention.out.weight.normal_(0, 0.2, generator=torch.Generator().manual_seed(1))  # type: ignore[union-attr, operator]
    return model


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning")
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["rope", "alibi", "t5", "shaw"])
@torch.no_grad()
def test_flex_equals_the_cpu_path(kind: str, packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows of 160 tokens, a block and a part of one; two key heads for six query heads.

    Uncompiled, for a compiler takes 20 s; bench/attention.py compares the compiled kernel.
    """
    monkeypatch.setattr(kernels, "_compiled_flex", lambda: flex_attention)
    model = model_of(kind, n_kv_heads=2)
    generator = torch.Generator().manual_seed(2)
    tokens = torch.randint(0, 100, (2, 160), generator=generator)
    segment = (torch.rand(2, 160, generator=generator) < 0.03).long().cumsum(1) if packed else None
    expected = model(tokens, None, segment)
    model.path = "flex"
    torch.testing.assert_close(model(tokens, None, segment), expected, atol=2e-5, rtol=0)


@torch.no_grad()
def test_channels_in_a_whole_model_equal_the_bias() -> None:
    model = model_of("alibi", preset="mpt")
    tokens = torch.randint(0, 100, (2, 160), generator=torch.Generator().manual_seed(2))
    expected = model(tokens)
    model.path = "channels"
    torch.testing.assert_close(model(tokens), expected, atol=2e-5, rtol=0)
