"""The paired comparison against direct formulas, and how often its verdicts and intervals are wrong on made data."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seimai.errors import ConfigError, InputError
from seimai.model.paired import Comparison, compare_paired

Floats = NDArray[np.float64]


def made(seed: int, effect: float, *, seeds: int = 3, hosts: int = 60, of_seed: float = 0.004, of_host: float = 0.02,
         ) -> tuple[Floats, Floats, NDArray[np.int64], NDArray[np.int64]]:  # fmt: skip
    """Bits of two trainings: a true relative effect, noise of every seed and host, sizes that differ widely."""
    random = np.random.default_rng(seed)
    host = np.repeat(np.arange(hosts), 4)
    n_bytes = np.exp(random.normal(7, 1, len(host))).astype(np.int64) + 50
    bits_a = 2.0 * n_bytes * np.exp(random.normal(0, 0.2, len(host))) * np.ones((seeds, 1))
    noise = random.normal(0, of_seed, (seeds, 1)) + random.normal(0, of_host, hosts)[host][None]
    return bits_a, bits_a * (1 + effect + noise), n_bytes, host


def test_point_estimates_are_plain_ratios() -> None:
    bits_a, bits_b, n_bytes, host = made(0, 0.01)
    found = compare_paired(bits_a, bits_b, n_bytes, host)
    assert found.difference == pytest.approx(bits_b.sum() / bits_a.sum() - 1)
    assert found.bits_per_byte_a == pytest.approx(np.mean(bits_a.sum(1) / n_bytes.sum()))
    assert found.by_seed == pytest.approx([bits_b[s].sum() / bits_a[s].sum() - 1 for s in range(3)])
    assert (found.documents, found.hosts) == (240, 60)
    assert found.low <= found.difference <= found.high


@pytest.mark.parametrize(("effect", "verdict"), [(-0.2, "better"), (0.2, "worse"), (0.0, "cannot be told apart")])
def test_verdicts(effect: float, verdict: str) -> None:
    assert compare_paired(*made(1, effect)).verdict == verdict


def test_equal_trainings_are_within_the_margin() -> None:
    bits_a, _, n_bytes, host = made(2, 0.0)
    found = compare_paired(bits_a, bits_a, n_bytes, host)
    assert (found.verdict, found.within_margin, found.low, found.high) == ("cannot be told apart", True, 0.0, 0.0)


@given(st.integers(0, 1 << 30), st.floats(-0.1, 0.1))
@settings(max_examples=10, deadline=None)
def test_turning_a_and_b_around_turns_the_verdict(seed: int, effect: float) -> None:
    bits_a, bits_b, n_bytes, host = made(seed, effect)
    one, other = compare_paired(bits_a, bits_b, n_bytes, host), compare_paired(bits_b, bits_a, n_bytes, host)
    turned = {"better": "worse", "worse": "better"}
    # (1 + d)(1 + d') = 1, so the ends differ by d² and a verdict on the very edge of the margin may too.
    if min(abs(abs(end) - one.margin) for end in (one.low, one.high)) > 0.02:
        assert other.verdict == turned.get(one.verdict, one.verdict)


def many(count: int, effect: float, **options: Any) -> list[Comparison]:
    return [compare_paired(*made(seed, effect, **options), draws=400) for seed in range(count)]


def test_the_interval_covers_the_truth() -> None:
    """Against made data whose effect is known: at least 93 % of 95 % intervals of three seeds hold it."""
    for of_seed, of_host in ((0.004, 0.02), (0.02, 0.02), (0.02, 0.0)):
        found = many(200, 0.01, of_seed=of_seed, of_host=of_host)
        assert sum(each.low <= 0.01 <= each.high for each in found) >= 186


def test_no_difference_is_seldom_called_one_and_a_large_one_is_found() -> None:
    assert sum(each.verdict != "cannot be told apart" for each in many(200, 0.0)) <= 4
    assert sum(each.verdict == "worse" for each in many(100, 0.05)) >= 98


def test_documents_of_a_host_count_together() -> None:
    """Doubling every document within its host must not narrow the interval."""
    bits_a, bits_b, n_bytes, host = made(3, 0.0, of_seed=0.0)
    twice = [np.concatenate([each, each], -1) for each in (bits_a, bits_b, n_bytes, host)]
    once, doubled = compare_paired(bits_a, bits_b, n_bytes, host), compare_paired(*twice)
    assert doubled.high - doubled.low == pytest.approx(once.high - once.low, rel=0.01)


def test_the_same_numbers_give_the_same_interval() -> None:
    assert compare_paired(*made(4, 0.0)) == compare_paired(*made(4, 0.0))


def test_what_cannot_be_compared() -> None:
    bits_a, bits_b, n_bytes, host = made(5, 0.0)
    with pytest.raises(ConfigError, match="--seeds 2 or more"):
        compare_paired(bits_a[:1], bits_b[:1], n_bytes, host)
    with pytest.raises(ConfigError, match="score the same documents"):
        compare_paired(bits_a[:, 1:], bits_b, n_bytes, host)
    with pytest.raises(ConfigError, match="below 0"):
        compare_paired(bits_a, bits_b, n_bytes, host, margin=-0.1)
    with pytest.raises(InputError, match="hold out more hosts"):
        compare_paired(bits_a, bits_b, n_bytes, np.zeros(len(n_bytes)))
