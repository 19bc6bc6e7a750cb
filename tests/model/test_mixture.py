"""Rows are dealt to groups by a formula: every share is kept at every moment, and no row of a group is missed."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.errors import ConfigError
from seimai.model.mixture import Interleaving, Mixture, group_masks, normalised, tempered
from seimai.model.shards import open_tokens

WEIGHTS = st.lists(st.floats(0, 10, allow_nan=False), min_size=1, max_size=7).filter(lambda w: sum(w) > 1e-3)


def deal(weights: list[list[float]], length: int) -> Interleaving:
    names = [f"g{i}" for i in range(max(map(len, weights)))]
    phases = [(i * length, {f"g{j}": w for j, w in enumerate(each)}) for i, each in enumerate(weights)]
    return Interleaving(names, phases)


@given(st.lists(WEIGHTS, min_size=1, max_size=3), st.integers(1, 400))
@settings(max_examples=150, deadline=None)
def test_every_row_of_a_group_comes_once_and_in_order(weights: list[list[float]], length: int) -> None:
    found = deal(weights, length)
    group, number = found.place(np.arange(1000))
    for g in range(len(found.names)):
        mine = number[group == g]
        assert mine.tolist() == list(range(len(mine)))
    counted = found.counts(1000)
    assert [counted[name] for name in found.names] == np.bincount(group, minlength=len(found.names)).tolist()


@given(WEIGHTS)
@settings(max_examples=150, deadline=None)
def test_shares_are_kept_after_any_number_of_rows(weights: list[float]) -> None:
    found = deal([weights], 1)
    group, _ = found.place(np.arange(2000))
    seen = np.cumsum(group[:, None] == np.arange(len(weights)), axis=0)
    wanted = np.arange(1, 2001)[:, None] * (np.array(weights) / sum(weights))
    assert np.abs(seen - wanted).max() < (1 + np.log(len(weights))) / 2 + 2000 / (1 << 20) * len(weights)


def test_any_place_is_computed_alone() -> None:
    found = deal([[0.7, 0.2, 0.1], [0.1, 0.0, 0.9]], 500)
    whole = np.stack(found.place(np.arange(1500)))
    for row in (0, 499, 500, 777, 1499):
        assert np.stack(found.place(np.array([row])))[:, 0].tolist() == whole[:, row].tolist()
    far = 1 << 40
    group, number = found.place(np.arange(far, far + 1000))
    assert np.bincount(group, minlength=3).tolist() == [100, 0, 900]
    assert number[group == 0][0] == found.counts(far)["g0"]


@given(st.lists(WEIGHTS, min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_global_rows_are_the_way_back(weights: list[list[float]]) -> None:
    found = deal(weights, 300)
    group, number = found.place(np.arange(1000))
    for g in range(len(found.names)):
        assert found.global_rows(g, number[group == g], 1000).tolist() == np.flatnonzero(group == g).tolist()


def test_a_phase_keeps_the_places_of_the_phases_before() -> None:
    one, two = deal([[0.5, 0.5]], 1), deal([[0.5, 0.5], [1.0, 0.0]], 300)
    assert np.array_equal(np.stack(one.place(np.arange(300))), np.stack(two.place(np.arange(300))))
    group, number = two.place(np.arange(300, 310))
    assert group.tolist() == [0] * 10
    assert number.tolist() == list(range(150, 160))


@pytest.mark.parametrize(
    ("mixture", "said"),
    [
        ({"ja": -1.0}, r"data.mixture.ja = -1.0: weights are 0 or more"),
        ({"ja": float("nan")}, r"data.mixture.ja = nan"),
        ({"ja": 0.0}, r"no group has a weight above 0"),
        ({}, r"no group has a weight above 0"),
        ([(5, {"ja": 1.0})], r"steps \[5\] must begin with 0"),
        ([(0, {"ja": 1.0}), (0, {"ja": 1.0})], r"steps \[0, 0\] must begin with 0 and rise"),
    ],
)
def test_what_is_no_mixture(mixture: Mixture, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        normalised(mixture, 8)


def test_groups_are_sources_languages_or_both(small_tokens: Path) -> None:
    shards = open_tokens(small_tokens)
    ja, both, all_of = group_masks(shards, ["ja"]), group_masks(shards, ["crawl/ja"]), group_masks(shards, ["crawl"])
    assert np.array_equal(ja[0], both[0])
    assert all_of[0].all()
    assert not ja[0].all()
    with pytest.raises(ConfigError, match=r"belong to both 'crawl' and 'ja'; write source/lang, as in crawl/en"):
        group_masks(shards, ["crawl", "ja"])
    with pytest.raises(ConfigError, match=r"data.mixture.fr: no such source or language; here are crawl, en, ja"):
        group_masks(shards, ["fr"])


@pytest.mark.parametrize(("counts", "temperature"), [({"a": 10, "b": 90}, 1.0), ({"a": 1, "b": 999}, 3.3)])
def test_temperature_draws_shares_together(counts: Mapping[str, int], temperature: float) -> None:
    found = tempered(counts, temperature)
    assert sum(found.values()) == pytest.approx(1)
    assert found["a"] >= counts["a"] / sum(counts.values())
    assert found["a"] / found["b"] == pytest.approx((counts["a"] / counts["b"]) ** (1 / temperature))
    with pytest.raises(ConfigError, match=r"temperature = 0.5: must be 1 or more"):
        tempered(counts, 0.5)
