"""Every length scores the same targets; loss by length and position against the loop written out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from seimai.errors import ConfigError
from seimai.model.config import ModelConfig, Positions, resolve_body
from seimai.model.extrapolation import (
    LENGTHS,
    SCALINGS,
    LongWindows,
    at_length,
    last_part_nll,
    long_windows,
    nll_by_position,
)
from seimai.model.shards import open_tokens
from seimai.model.transformer import Transformer, build

ROW = 16


def model_of(positions: Positions) -> Transformer:
    config = ModelConfig(depth=2, d_model=32, n_heads=2, row_tokens=ROW, positions=positions)
    model = build(resolve_body(config, 264), 0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return model.eval()


@pytest.fixture
def windows(small_tokens: Path) -> LongWindows:
    return long_windows(open_tokens(small_tokens), ROW, 8, max_per_lang=5)


def test_windows_are_pieces_of_held_out_documents_that_do_not_overlap(
    make_tokens: Callable[..., Path], documents: list[list[int]]
) -> None:
    numbered = [[256, *range(200), 257], [256, *range(50), 257], [256, *range(250), *range(130), 257], [256, 1, 257]]
    shards = open_tokens(make_tokens(numbered * 2, held_out_every=2))  # documents 1, 3, 5, 7: two long enough for 4 x 8
    found = long_windows(shards, 8, 4)
    assert found.tokens.shape == (2, 33)
    assert found.longest == 4
    assert found.tokens.tolist() == [[256, *range(32)]] * 2
    shards = open_tokens(make_tokens(numbered * 3, "all", held_out_every=1))
    assert long_windows(shards, 8, 4).tokens.shape == (0, 33)  # every_1 never equals 1: none is held out
    some = open_tokens(make_tokens([numbered[0], numbered[2]] * 3, "some", held_out_every=2))
    pieces = long_windows(some, 8, 4)
    text = np.array(numbered[2])
    starts = sorted(next(s for s in range(0, 352, 32) if (text[s : s + 33] == row).all()) for row in pieces.tokens)
    assert starts == sorted([*range(0, 352, 32)] * 3)
    assert long_windows(some, 8, 4, max_per_lang=7).tokens.tolist() == pieces.tokens[:7].tolist()


@torch.no_grad()
@pytest.mark.parametrize("multiple", LENGTHS)
def test_the_same_targets_with_more_context(windows: LongWindows, multiple: int) -> None:
    model = model_of("alibi")
    found = last_part_nll(model, windows, multiple)
    for row, nll in zip(torch.from_numpy(windows.tokens), found.tolist(), strict=True):
        logs = model.logits(model(row[None, -multiple * ROW - 1 : -1]))[0].log_softmax(-1)
        targets = row[-ROW // 2 :]
        expected = -logs[-ROW // 2 :].gather(1, targets[:, None]).mean()
        assert nll == pytest.approx(float(expected), rel=1e-5)


@torch.no_grad()
def test_loss_by_position(windows: LongWindows) -> None:
    model = model_of("none")
    logs = model.logits(model(torch.from_numpy(windows.tokens[:, :-1]))).log_softmax(-1)
    nll = -logs.gather(2, torch.from_numpy(windows.tokens[:, 1:, None]))[..., 0].numpy()
    expected = [nll[:, first : first + 32].mean() for first in range(0, 128, 32)]
    assert nll_by_position(model, windows, 4) == pytest.approx(expected, rel=1e-5)


def test_learned_knows_nothing_beyond_its_table() -> None:
    model = model_of("learned")
    assert at_length(model, 1) is model
    assert [at_length(model, multiple) for multiple in (2, 4, 8)] == [None] * 3


def test_scalings_change_long_texts_only() -> None:
    model = model_of("rope")
    for scaling in SCALINGS:
        assert at_length(model, 1, scaling) is model
        longer = at_length(model, 4, scaling)
        assert longer is not None
        assert longer.body.rope_factor == (2 if scaling == "dynamic" else 4)
        assert longer.body.rope_original_tokens == ROW
        assert longer.embedding.weight.data_ptr() == model.embedding.weight.data_ptr()


def test_scalings_differ_from_each_other(windows: LongWindows) -> None:
    model = model_of("rope")
    by_kind = {}
    for scaling in ("none", *SCALINGS):
        longer = at_length(model, 8, scaling)
        assert longer is not None
        by_kind[scaling] = float(last_part_nll(longer, windows, 8).mean())
    assert len({round(nll, 6) for nll in by_kind.values()}) == 6


def test_what_is_no_length(windows: LongWindows) -> None:
    with pytest.raises(ConfigError, match="give 1 or more"):
        at_length(model_of("none"), 0)


def test_the_models_mode_is_kept(windows: LongWindows) -> None:
    model = model_of("rope").train()
    last_part_nll(model, windows, 1)
    assert model.training
