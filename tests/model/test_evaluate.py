"""Every held-out target is scored once, with the context its window gives, and by language."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seimai.model.config import ModelConfig, resolve_body
from seimai.model.evaluate import bits_per_byte_by_language, document_nll, windows
from seimai.model.shards import open_tokens
from seimai.model.transformer import Transformer, build


def model_of(row_tokens: int = 32) -> Transformer:
    config = ModelConfig(depth=2, d_model=32, n_heads=2, row_tokens=row_tokens, positions="learned")
    model = build(resolve_body(config, 264), 0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return model.eval()


@given(st.integers(2, 500), st.integers(2, 64))
def test_windows_score_every_target_once(n_tokens: int, row_tokens: int) -> None:
    scored: list[int] = []
    for window in windows(0, n_tokens, row_tokens):
        assert window.length <= row_tokens
        assert window.start <= window.scored
        # All but the first window give at least half a row of context.
        assert window.start == 0 or window.scored - window.start >= row_tokens // 2
        scored += range(window.scored, window.start + window.length)
    assert scored == list(range(n_tokens - 1))


@torch.no_grad()
def test_document_nll_equals_the_loop_written_out(small_tokens: Path) -> None:
    model, shards = model_of(), open_tokens(small_tokens)
    documents = np.array([1, 11, 21, 31], np.int64)
    found = document_nll(model, shards, documents, 32)
    for document, nll in zip(documents.tolist(), found.tolist(), strict=True):
        tokens = torch.from_numpy(shards.tokens(document).astype(np.int64))
        expected = 0.0
        for window in windows(0, len(tokens), 32):
            piece = tokens[window.start : window.start + window.length + 1]
            logs = model.logits(model(piece[None, :-1]))[0].log_softmax(-1)
            for i in range(window.scored - window.start, window.length):
                expected -= float(logs[i, piece[i + 1]])
        assert nll == pytest.approx(expected, rel=1e-5)


def test_scores_by_language(small_tokens: Path, documents: list[list[int]]) -> None:
    scores = bits_per_byte_by_language(model_of(), small_tokens)
    held = [number for number in range(200) if number % 10 == 1]
    assert list(scores) == ["en", "all"]
    assert scores["all"] == scores["en"]
    assert scores["all"].documents == len(held)
    assert scores["all"].n_bytes == sum(len(documents[number]) - 2 for number in held)
    assert scores["all"].targets == scores["all"].n_bytes + len(held)
    score = scores["all"]
    assert score.bits_per_byte == pytest.approx(score.nats_per_token * score.targets / math.log(2) / score.n_bytes)


def test_languages_add_up(make_tokens: Callable[..., Path], documents: list[list[int]]) -> None:
    directory = make_tokens(documents[:60], held_out_every=3)
    scores = bits_per_byte_by_language(model_of(), directory)
    assert list(scores) == ["en", "ja", "all"]
    assert scores["all"].n_bytes == scores["en"].n_bytes + scores["ja"].n_bytes
    few = bits_per_byte_by_language(model_of(), directory, max_documents=2)
    assert [score.documents for score in few.values()] == [2, 2, 4]


def test_a_uniform_model_costs_ln_v_per_target(small_tokens: Path) -> None:
    model = model_of()
    with torch.no_grad():
        assert model.head is not None
        model.head.weight.zero_()
    assert bits_per_byte_by_language(model, small_tokens)["all"].nats_per_token == pytest.approx(math.log(264))


def test_nothing_held_out_is_no_score(make_tokens: Callable[..., Path]) -> None:
    assert bits_per_byte_by_language(model_of(), make_tokens([[256, 65, 257]])) == {}


def test_evaluation_keeps_the_models_mode(small_tokens: Path) -> None:
    model = model_of().train()
    bits_per_byte_by_language(model, small_tokens, max_documents=1)
    assert model.training
