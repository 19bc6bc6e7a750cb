"""Which bodies llama.cpp has, and what stands in the file for them."""

from typing import Any

import numpy as np
import pytest
import torch

from seimai.model.config import Body, ModelConfig, resolve_body
from seimai.model.gguf_layout import architecture_of, gguf_sizes, gguf_tensors
from seimai.model.transformer import build

SMALL = {"depth": 2, "d_model": 48, "n_heads": 6, "row_tokens": 48}

FITTING: list[tuple[dict[str, Any], str]] = [
    ({}, "llama"),
    ({"positions": "none"}, "llama"),
    *(({"rope_scaling": kind, "rope_factor": 4.0}, "llama") for kind in ("linear", "ntk", "yarn", "llama3")),
    ({"qk_norm": True}, "qwen3"),
    ({"qk_norm": True, "rope_scaling": "yarn", "rope_factor": 4.0}, "qwen3"),
    *(({"preset": "gpt2", "positions": kind}, "gpt2") for kind in ("learned", "sinusoidal", "none")),
    ({"positions": "alibi"}, "refact"),
]
MISSING: list[tuple[dict[str, Any], str]] = [
    ({"rope_scaling": "dynamic", "rope_factor": 4.0}, "follow the length"),
    ({"rope_scaling": "yarn", "rope_factor": 4.0, "yarn_beta_fast": 16.0}, "betas 32 and 1 only, not 16 and 1"),
    ({"rope_scaling": "llama3", "rope_factor": 4.0, "qk_norm": True}, "no qk_norm"),
    ({"positions": "alibi", "qk_norm": True}, "rotary positions only, not with alibi"),
    ({"positions": "none", "qk_norm": True}, "rotary positions only, not with none"),
    *(({"positions": kind}, f"positions = {kind}") for kind in ("learned", "sinusoidal", "t5", "shaw")),
    ({"preset": "gpt2", "positions": "rope"}, "positions = rope"),
    ({"preset": "gpt2", "positions": "alibi"}, "its table for GELU"),
    ({"preset": "mpt", "positions": "alibi"}, "GELU by tanh only"),
]


def body_of(**changes: Any) -> Body:
    """Two layers of width 48."""
    return resolve_body(ModelConfig.model_validate({**SMALL, **changes}), 264)


@pytest.mark.parametrize(("changes", "name"), FITTING, ids=lambda value: str(value))
def test_bodies_that_fit(changes: dict[str, Any], name: str) -> None:
    body = body_of(**changes)
    found, _ = architecture_of(body)
    assert found == name
    sizes = gguf_sizes(body, found)
    assert (sizes["vocab_size"], sizes["block_count"], sizes["attention.head_count"]) == (264, 2, 6)
    tensors = gguf_tensors(body, found, build(body, seed=0).state_dict())
    assert tensors["token_embd.weight"].shape == (264, 48)
    assert ("output.weight" in tensors) != body.tied
    assert all(each.dtype == np.float32 and each.flags.c_contiguous for each in tensors.values())


@pytest.mark.parametrize(("changes", "reason"), MISSING, ids=lambda value: str(value))
def test_bodies_that_do_not_fit(changes: dict[str, Any], reason: str) -> None:
    found, why = architecture_of(body_of(**changes))
    assert found is None
    assert reason in why


def test_rows_of_queries_stand_in_planes_side_by_side() -> None:
    """The planes of ggml's llama are (0, 1), (2, 3) …; ours (0, 4), (1, 5) … of a head of 8."""
    body = body_of(n_kv_heads=2)
    weights = build(body, seed=0).state_dict()
    tensors = gguf_tensors(body, "llama", weights)
    ours, theirs = weights["blocks.1.attention.key.weight"].numpy(), tensors["blk.1.attn_k.weight"]
    for head in range(2):
        for plane in range(4):
            assert np.array_equal(theirs[8 * head + 2 * plane], ours[8 * head + plane])
            assert np.array_equal(theirs[8 * head + 2 * plane + 1], ours[8 * head + plane + 4])
    assert np.array_equal(tensors["blk.1.attn_v.weight"], weights["blocks.1.attention.value.weight"].numpy())
    plain = gguf_tensors(
        body_of(n_kv_heads=2, qk_norm=True), "qwen3", build(body_of(qk_norm=True), seed=0).state_dict()
    )
    assert plain["blk.0.attn_q_norm.weight"].shape == (8,)


def test_matrices_of_gpt2_stand_the_usual_way_round() -> None:
    body = body_of(preset="gpt2", positions="sinusoidal")
    weights = build(body, seed=0).state_dict()
    tensors = gguf_tensors(body, "gpt2", weights)
    assert np.array_equal(tensors["blk.0.ffn_up.weight"], weights["blocks.0.mlp.up.weight"].numpy())
    merged = torch.cat([weights[f"blocks.0.attention.{each}.weight"] for each in ("query", "key", "value")])
    assert np.array_equal(tensors["blk.0.attn_qkv.weight"], merged.numpy())
    assert tensors["position_embd.weight"].shape == (gguf_sizes(body, "gpt2")["context_length"], 48)


def test_factors_of_llama3_by_its_formula() -> None:
    """λ = 2π · 10000^(2i/8) for i = 0 … 3 is 6.3, 63, 628, 6283; L = 48, low 1, high 4: kept below 12, else slowed."""
    body = body_of(rope_scaling="llama3", rope_factor=4.0)
    tensors = gguf_tensors(body, "llama", build(body, seed=0).state_dict())
    assert tensors["rope_freqs.weight"] == pytest.approx([1.0, 4.0, 4.0, 4.0], rel=1e-6)
    assert "rope.scaling.type" not in gguf_sizes(body, "llama")
    assert gguf_sizes(body_of(rope_scaling="ntk", rope_factor=4.0), "llama")["rope.freq_base"] == pytest.approx(
        10_000 * 4 ** (8 / 6)
    )
