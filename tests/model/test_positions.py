"""Positional kinds against goldens of the literature and formulas written a second way."""

import math
from typing import get_args

import numpy as np
import pytest
import torch
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.mpt.modeling_mpt import build_mpt_alibi_tensor
from transformers.models.t5.configuration_t5 import T5Config
from transformers.models.t5.modeling_t5 import T5Attention

from seimai.errors import ConfigError
from seimai.model.config import Body, ModelConfig, Positions, resolve_body
from seimai.model.positions import (
    T5,
    Alibi,
    Learned,
    Shaw,
    alibi_slopes,
    positions_for,
    rope_angles,
    rotate_half,
    sinusoidal_table,
    t5_bucket,
)
from seimai.model.rope_scaling import frequencies

# First distance of every bucket of Transformers' causal T5 (research/training.md, section 3).
T5_FIRST = {
    **{i: i for i in range(16)},
    **{16: 16, 17: 19, 18: 21, 19: 24, 20: 27, 21: 31, 22: 35, 23: 40},
    **{24: 46, 25: 52, 26: 59, 27: 67, 28: 77, 29: 87, 30: 99, 31: 113},
}


def body_of(kind: str, n_heads: int = 6, d_model: int = 48) -> Body:
    return resolve_body(ModelConfig.model_validate({"positions": kind, "d_model": d_model, "n_heads": n_heads}), 100)


def theta(head_dim: int) -> torch.Tensor:
    body = resolve_body(ModelConfig(d_model=4 * head_dim, n_heads=4), 100)
    return frequencies(body, torch.device("cpu"))


def test_t5_buckets_begin_where_transformers_begin_them() -> None:
    bucket = t5_bucket(torch.arange(5000)).tolist()
    assert {number: bucket.index(number) for number in range(32)} == T5_FIRST
    assert bucket == sorted(bucket)


@pytest.mark.parametrize(
    ("heads", "slopes"),
    [
        (4, [0.25, 0.0625, 0.015625, 0.00390625]),
        (6, [0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125]),
        (8, [2.0**-i for i in range(1, 9)]),
    ],
)
def test_alibi_slopes_are_those_of_the_paper(heads: int, slopes: list[float]) -> None:
    assert alibi_slopes(heads) == slopes


@pytest.mark.parametrize("heads", [1, 3, 12, 20])
def test_alibi_slopes_of_any_head_count(heads: int) -> None:
    """The recursion of the paper's own code, written as it stands there."""

    def published(n: int) -> list[float]:
        if math.log2(n).is_integer():
            start = 2 ** (-(2 ** -(math.log2(n) - 3)))
            return [start * start**i for i in range(n)]
        closest = 2 ** math.floor(math.log2(n))
        return published(closest) + published(2 * closest)[0::2][: n - closest]

    assert alibi_slopes(heads) == pytest.approx(published(heads), rel=1e-12)


def test_alibi_bias_is_linear_and_fp32() -> None:
    body = resolve_body(ModelConfig(positions="alibi", d_model=48, n_heads=6), 100)
    bias = Alibi(body).to(torch.bfloat16).bias(torch.tensor([[0, 5, 4097]]))
    assert bias.dtype == torch.float32
    assert bias[0, 0].tolist() == [0, -1.25, -1024.25]


def test_rotation_is_multiplication_by_a_complex_number() -> None:
    x = torch.randn(2, 3, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    position = torch.tensor([[0, 1, 7, 100, 3000], [5, 4, 3, 2, 1]])
    turned = rotate_half(x.float(), rope_angles(position, theta(8))).double()
    for plane in range(4):
        angle = position[:, None, :].double() * 10_000.0 ** (-2 * plane / 8)
        expected = torch.complex(x[..., plane], x[..., plane + 4]) * torch.polar(torch.ones_like(angle), angle)
        torch.testing.assert_close(turned[..., plane], expected.real, atol=3e-4, rtol=0)
        torch.testing.assert_close(turned[..., plane + 4], expected.imag, atol=3e-4, rtol=0)


def test_rotation_golden() -> None:
    x = torch.tensor([[[[1.0, 0.0, 0.0, 1.0]]]])
    turned = rotate_half(x, rope_angles(torch.tensor([[2]]), theta(4)))[0, 0, 0].tolist()
    assert turned == pytest.approx([math.cos(2), -math.sin(0.02), math.sin(2), math.cos(0.02)], abs=1e-6)


def test_rotated_scores_depend_on_distance_alone() -> None:
    generator = torch.Generator().manual_seed(1)
    query, key = torch.randn(1, 1, 1, 16, generator=generator), torch.randn(1, 1, 1, 16, generator=generator)

    def score(i: int, j: int) -> float:
        first = rotate_half(query, rope_angles(torch.tensor([[i]]), theta(16)))
        return float((first * rotate_half(key, rope_angles(torch.tensor([[j]]), theta(16)))).sum())

    assert score(9, 2) == pytest.approx(score(1007, 1000), abs=1e-3)
    assert score(9, 2) != pytest.approx(score(9, 3), abs=1e-3)


def test_angles_stay_fp32_for_bf16_queries() -> None:
    x = torch.ones(1, 1, 1, 8, dtype=torch.bfloat16)
    angles = rope_angles(torch.tensor([[4000]]), theta(8))
    assert angles[0].dtype == torch.float32
    assert rotate_half(x, angles).dtype == torch.bfloat16


def test_sinusoidal_table_is_the_papers() -> None:
    table = sinusoidal_table(torch.tensor([[0, 3, 17]]), 6)[0].numpy()
    for row, p in enumerate((0, 3, 17)):
        expected = [f(p * 10_000 ** (-2 * (i // 2) / 6)) for i, f in enumerate([math.sin, math.cos] * 3)]
        np.testing.assert_allclose(table[row], expected, atol=1e-6)


def test_learned_table_refuses_what_is_beyond_it() -> None:
    learned = Learned(resolve_body(ModelConfig(positions="learned", row_tokens=8), 100))
    assert learned.embed(torch.tensor([[7]])).shape == (1, 1, 256)
    with pytest.raises(ConfigError, match="position 8 is beyond the learned table of 8 rows"):
        learned.embed(torch.tensor([[0, 8]]))


def test_shaw_equals_the_sum_written_out() -> None:
    torch.manual_seed(0)
    body = resolve_body(ModelConfig(positions="shaw", d_model=12, n_heads=3, depth=2, shaw_max_distance=3), 100)
    shaw, query = Shaw(body), torch.randn(2, 3, 6, 4)
    distance = torch.arange(6)[:, None] - torch.arange(6)[None, :]
    found = shaw.content_bias(1, query, distance)
    for i in range(6):
        for j in range(i + 1):
            expected = (query[:, :, i] * shaw.table[1, min(i - j, 3)]).sum(-1) / 2
            torch.testing.assert_close(found[:, :, i, j], expected)


def test_gradients_of_t5_and_shaw() -> None:
    torch.manual_seed(0)
    distance = torch.arange(5)[:, None] - torch.arange(5)[None, :]
    body = resolve_body(ModelConfig(d_model=12, n_heads=3, depth=1, t5_buckets=4, t5_max_distance=8), 100)
    t5, shaw = T5(body).double(), Shaw(body).double()
    query = torch.randn(1, 3, 5, 4, dtype=torch.float64, requires_grad=True)

    def biased(table: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(t5, {"table": table}, (distance,))  # type: ignore[no-any-return]

    def by_content(table: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(shaw, {"table": table}, (0, query, distance))  # type: ignore[no-any-return]

    t5.forward, shaw.forward = t5.bias, shaw.content_bias
    assert torch.autograd.gradcheck(biased, (t5.table,))
    assert torch.autograd.gradcheck(by_content, (shaw.table, query))


def test_gradient_of_the_rotation() -> None:
    x = torch.randn(1, 2, 3, 8, dtype=torch.float64, requires_grad=True)
    angles = rope_angles(torch.arange(3)[None], theta(8))
    # Angles are fp32 by intent; as constants they do not disturb a gradient in double precision.
    assert torch.autograd.gradcheck(lambda x: rotate_half(x, (angles[0].double(), angles[1].double())), (x,))


def test_t5_is_transformers() -> None:
    config = T5Config(
        is_decoder=True, d_model=48, num_heads=6, relative_attention_num_buckets=32, relative_attention_max_distance=128
    )
    theirs, body = T5Attention(config, has_relative_attention_bias=True), body_of("t5")
    ours = T5(body)
    with torch.no_grad():
        ours.table.copy_(theirs.relative_attention_bias.weight)
        for past, tokens in ((0, 300), (120, 40)):
            distance = torch.arange(past, past + tokens)[:, None] - torch.arange(past + tokens)[None, :]
            expected = theirs.compute_bias(tokens, past + tokens, past_seen_tokens=past)[0]  # type: ignore[no-untyped-call]
            assert torch.equal(
                ours.bias(distance)[:, distance >= 0], expected.expand(6, *distance.shape)[:, distance >= 0]
            )


@pytest.mark.parametrize("heads", [4, 6, 8, 12, 20])
def test_alibi_is_blooms_and_mpts(heads: int) -> None:
    """Both add m · j and leave out the number for each query; MPT counts j from the last key."""
    tokens = 50
    alibi = Alibi(body_of("alibi", heads, d_model=8 * heads))
    last = alibi.bias((tokens - 1 - torch.arange(tokens))[None, :])[:, 0]
    bloom = build_alibi_tensor(torch.ones(1, tokens), heads, torch.float32)[:, 0]
    torch.testing.assert_close(last - last[:, :1], bloom)
    torch.testing.assert_close(last, build_mpt_alibi_tensor(heads, tokens)[:, 0])  # type: ignore[no-untyped-call]


def test_alibi_slopes_survive_casts_and_meta_tensors() -> None:
    expected = Alibi(body_of("alibi", 12)).slopes
    cast = Alibi(body_of("alibi", 12)).to(torch.bfloat16).half()
    with torch.device("meta"):
        empty = Alibi(body_of("alibi", 12)).to_empty(device="cpu")
    for found in (cast.slopes, empty.slopes):
        assert found.dtype == torch.float32
        assert torch.equal(found, expected)


@pytest.mark.parametrize("kind", get_args(Positions))
def test_every_kind_is_one_module(kind: str) -> None:
    body = resolve_body(ModelConfig.model_validate({"positions": kind, "d_model": 48, "n_heads": 6}), 100)
    module = positions_for(body)
    position, distance = torch.arange(4)[None], torch.zeros(4, 4, dtype=torch.int64)
    answers = {
        "embed": module.embed(position),
        "angles": module.angles(position),
        "bias": module.bias(distance),
        "content_bias": module.content_bias(0, torch.zeros(1, 6, 4, 8), distance),
        "score_mod": module.score_mod(4, torch.device("cpu")),
        "content_score_mod": module.content_score_mod(0, torch.zeros(1, 6, 4, 8)),
        "channels": module.channels(position),
    }
    expected = {
        "learned": {"embed"},
        "sinusoidal": {"embed"},
        "rope": {"angles"},
        "t5": {"bias", "score_mod"},
        "alibi": {"bias", "score_mod", "channels"},
        "shaw": {"content_bias", "content_score_mod"},
        "none": set(),
    }
    assert {name for name, answer in answers.items() if answer is not None} == expected[kind]
    assert module.kind == kind
