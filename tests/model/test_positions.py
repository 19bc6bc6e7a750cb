"""Positional kinds against goldens of the literature and formulas written a second way."""

import math
from typing import get_args

import numpy as np
import pytest
import torch

from seimai.errors import ConfigError
from seimai.model.config import ModelConfig, Positions, resolve_body
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

# First distance of every bucket of Transformers' causal T5 (research/training.md, section 3).
T5_FIRST = {
    **{i: i for i in range(16)},
    **{16: 16, 17: 19, 18: 21, 19: 24, 20: 27, 21: 31, 22: 35, 23: 40},
    **{24: 46, 25: 52, 26: 59, 27: 67, 28: 77, 29: 87, 30: 99, 31: 113},
}


def body_of(kind: str, n_heads: int = 6) -> object:
    return resolve_body(ModelConfig.model_validate({"positions": kind, "d_model": 48, "n_heads": n_heads}), 100)


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
    turned = rotate_half(x.float(), rope_angles(position, 8, 10_000.0)).double()
    for plane in range(4):
        angle = position[:, None, :].double() * 10_000.0 ** (-2 * plane / 8)
        expected = torch.complex(x[..., plane], x[..., plane + 4]) * torch.polar(torch.ones_like(angle), angle)
        torch.testing.assert_close(turned[..., plane], expected.real, atol=3e-4, rtol=0)
        torch.testing.assert_close(turned[..., plane + 4], expected.imag, atol=3e-4, rtol=0)


def test_rotation_golden() -> None:
    x = torch.tensor([[[[1.0, 0.0, 0.0, 1.0]]]])
    turned = rotate_half(x, rope_angles(torch.tensor([[2]]), 4, 10_000.0))[0, 0, 0].tolist()
    assert turned == pytest.approx([math.cos(2), -math.sin(0.02), math.sin(2), math.cos(0.02)], abs=1e-6)


def test_rotated_scores_depend_on_distance_alone() -> None:
    generator = torch.Generator().manual_seed(1)
    query, key = torch.randn(1, 1, 1, 16, generator=generator), torch.randn(1, 1, 1, 16, generator=generator)

    def score(i: int, j: int) -> float:
        first = rotate_half(query, rope_angles(torch.tensor([[i]]), 16, 10_000.0))
        return float((first * rotate_half(key, rope_angles(torch.tensor([[j]]), 16, 10_000.0))).sum())

    assert score(9, 2) == pytest.approx(score(1007, 1000), abs=1e-3)
    assert score(9, 2) != pytest.approx(score(9, 3), abs=1e-3)


def test_angles_stay_fp32_for_bf16_queries() -> None:
    x = torch.ones(1, 1, 1, 8, dtype=torch.bfloat16)
    angles = rope_angles(torch.tensor([[4000]]), 8, 10_000.0)
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


def test_gradients_of_bias_and_shaw() -> None:
    torch.manual_seed(0)
    distance = torch.arange(5)[:, None] - torch.arange(5)[None, :]
    body = resolve_body(ModelConfig(d_model=12, n_heads=3, depth=1, t5_buckets=4, t5_max_distance=8), 100)
    t5, shaw = T5(body), Shaw(body)

    def biased(table: torch.Tensor) -> torch.Tensor:
        bucket = t5_bucket(distance, 4, 8)
        return torch.nn.functional.embedding(bucket, table).permute(2, 0, 1)

    assert torch.autograd.gradcheck(biased, (t5.table.detach().double().requires_grad_(),))
    # The modules answer in fp32, so their own gradients are compared with finite differences in fp32.
    t5.bias(distance)[1].sum().backward()  # type: ignore[no-untyped-call]
    counts = torch.bincount(t5_bucket(distance, 4, 8).flatten(), minlength=4).float()
    assert t5.table.grad is not None
    torch.testing.assert_close(t5.table.grad[:, 1], counts)
    query = torch.randn(1, 3, 5, 4)
    shaw.content_bias(0, query, distance)[0, 2, 4, 1].backward()  # type: ignore[no-untyped-call]
    assert shaw.table.grad is not None
    torch.testing.assert_close(shaw.table.grad[0, 3], query[0, 2, 4] / 2)
    assert shaw.table.grad.count_nonzero() == 4


@pytest.mark.parametrize("kind", get_args(Positions))
def test_every_kind_is_one_module(kind: str) -> None:
    body = resolve_body(ModelConfig.model_validate({"positions": kind, "d_model": 48, "n_heads": 6}), 100)
    module = positions_for(body)
    position, distance = torch.arange(4)[None], torch.zeros(4, 4, dtype=torch.int64)
    answers = [
        module.embed(position),
        module.angles(position),
        module.bias(distance),
        module.content_bias(0, torch.zeros(1, 6, 4, 8), distance),
    ]
    expected = {"learned": 0, "sinusoidal": 0, "rope": 1, "t5": 2, "alibi": 2, "shaw": 3, "none": None}[kind]
    assert [i for i, answer in enumerate(answers) if answer is not None] == ([] if expected is None else [expected])
