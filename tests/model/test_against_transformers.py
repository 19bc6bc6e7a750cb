"""The body against Transformers' own Llama, Qwen 3, GPT-2 and MPT with the same weights: the same logits."""

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MptConfig,
    MptForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from seimai.model.config import ModelConfig, resolve_body
from seimai.model.positions import sinusoidal_table
from seimai.model.transformer import Transformer, build

TOKENS = 48
LLAMA = {
    "attention.query": "self_attn.q_proj",
    "attention.key": "self_attn.k_proj",
    "attention.value": "self_attn.v_proj",
    "attention.out": "self_attn.o_proj",
    "attention.query_norm": "self_attn.q_norm.weight",
    "attention.key_norm": "self_attn.k_norm.weight",
    "attention_norm": "input_layernorm",
    "mlp_norm": "post_attention_layernorm",
}


def filled(**changes: Any) -> Transformer:
    """Two layers of width 48 with six heads whose every weight is drawn, biases and norms too."""
    config = {"depth": 2, "d_model": 48, "n_heads": 6, "row_tokens": TOKENS, "vocab_multiple": 1, **changes}
    model = build(resolve_body(ModelConfig.model_validate(config), 101), seed=0).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return model


def tokens_of(length: int) -> Tensor:
    return torch.randint(0, 101, (2, length), generator=torch.Generator().manual_seed(2))


def assert_same(model: Transformer, theirs: Any, weights: dict[str, Tensor], length: int = TOKENS) -> None:
    missing, unexpected = theirs.load_state_dict(weights, strict=False)
    assert unexpected == []
    assert set(missing) <= {"lm_head.weight"}
    theirs.eval()
    with torch.no_grad():
        expected = theirs(tokens_of(length), use_cache=False).logits
        torch.testing.assert_close(model.logits(model(tokens_of(length))), expected, atol=2e-5, rtol=0)


def as_llama(model: Transformer) -> dict[str, Tensor]:
    renamed = {}
    for name, weight in model.state_dict().items():
        for ours, theirs in LLAMA.items():
            name = name.replace(f".{ours}.", f".{theirs}.") if f".{ours}." in name else name
            name = name.replace(f".{ours}", f".{theirs}") if name.endswith(f".{ours}") else name
        name = name.replace("blocks.", "model.layers.").replace("embedding.", "model.embed_tokens.")
        for part in ("gate", "up", "down"):
            name = name.replace(f"mlp.{part}.", f"mlp.{part}_proj.")
        renamed[{"norm.weight": "model.norm.weight", "head.weight": "lm_head.weight"}.get(name, name)] = weight
    return renamed


def llama_sizes(model: Transformer, rope: dict[str, Any]) -> dict[str, Any]:
    body = model.body
    return {
        "vocab_size": body.vocab_size,
        "hidden_size": body.d_model,
        "intermediate_size": body.d_ff,
        "num_hidden_layers": body.n_layers,
        "num_attention_heads": body.n_heads,
        "num_key_value_heads": body.n_kv_heads,
        "head_dim": body.head_dim,
        "max_position_embeddings": TOKENS,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
        "rope_parameters": {"rope_type": "default", "rope_theta": body.rope_base, **rope},
    }


@pytest.mark.parametrize(
    ("scaling", "rope"),
    [
        ("none", {}),
        ("linear", {"rope_type": "linear", "factor": 4.0}),
        ("ntk", {"rope_theta": 10_000.0 * 4 ** (8 / 6)}),
        ("dynamic", {"rope_type": "dynamic", "factor": 4.0}),
        ("yarn", {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": TOKENS}),
        (
            "llama3",
            {
                "rope_type": "llama3",
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": TOKENS,
            },
        ),
    ],
)
def test_llama(scaling: str, rope: dict[str, Any]) -> None:
    """Grouped heads; texts within the trained length and three times as long."""
    scaled = {} if scaling == "none" else {"rope_scaling": scaling, "rope_factor": 4.0}
    model = filled(n_kv_heads=2, **scaled)
    theirs = LlamaForCausalLM(LlamaConfig(**llama_sizes(model, rope)))
    for length in (TOKENS, 3 * TOKENS):
        assert_same(model, theirs, as_llama(model), length)


def test_qwen3() -> None:
    model = filled(n_kv_heads=3, qk_norm=True)
    assert_same(model, Qwen3ForCausalLM(Qwen3Config(**llama_sizes(model, {}))), as_llama(model))


@pytest.mark.parametrize("kind", ["learned", "sinusoidal", "none"])
def test_gpt2(kind: str) -> None:
    """Sinusoidal positions are a table, none are a table of zeros."""
    model = filled(preset="gpt2", positions=kind)
    state = model.state_dict()
    tables = {"none": torch.zeros(TOKENS, 48), "learned": state.get("positions.table")}
    table = tables.get(kind)
    if table is None:
        table = 0.02 * 2**0.5 * sinusoidal_table(torch.arange(TOKENS)[None], 48)[0]
    weights = {"transformer.wte.weight": state["embedding.weight"], "transformer.wpe.weight": table}
    names = {
        "attention_norm": "ln_1",
        "attention.out": "attn.c_proj",
        "mlp_norm": "ln_2",
        "mlp.up": "mlp.c_fc",
        "mlp.down": "mlp.c_proj",
    }
    for part in ("weight", "bias"):
        weights[f"transformer.ln_f.{part}"] = state[f"norm.{part}"]
        for layer in range(2):
            ours, theirs = f"blocks.{layer}", f"transformer.h.{layer}"
            merged = torch.cat([state[f"{ours}.attention.{each}.{part}"] for each in ("query", "key", "value")])
            weights[f"{theirs}.attn.c_attn.{part}"] = merged.t()
            for name, other in names.items():
                weights[f"{theirs}.{other}.{part}"] = state[f"{ours}.{name}.{part}"].t()
    config = GPT2Config(vocab_size=101, n_positions=TOKENS, n_embd=48, n_layer=2, n_head=6)
    assert_same(model, GPT2LMHeadModel(config), {**weights, "lm_head.weight": state["embedding.weight"]})


@pytest.mark.parametrize("n_heads", [4, 6])
def test_mpt(n_heads: int) -> None:
    model = filled(preset="mpt", positions="alibi", n_heads=n_heads)
    state = model.state_dict()
    weights = {"transformer.wte.weight": state["embedding.weight"], "transformer.norm_f.weight": state["norm.weight"]}
    names = {
        "attention_norm": "norm_1",
        "attention.out": "attn.out_proj",
        "mlp_norm": "norm_2",
        "mlp.up": "ffn.up_proj",
        "mlp.down": "ffn.down_proj",
    }
    for layer in range(2):
        ours, theirs = f"blocks.{layer}", f"transformer.blocks.{layer}"
        merged = torch.cat([state[f"{ours}.attention.{each}.weight"] for each in ("query", "key", "value")])
        weights[f"{theirs}.attn.Wqkv.weight"] = merged
        for name, other in names.items():
            weights[f"{theirs}.{other}.weight"] = state[f"{ours}.{name}.weight"]
    config = MptConfig(d_model=48, n_heads=n_heads, n_layers=2, expansion_ratio=4, max_seq_len=TOKENS, vocab_size=101)
    assert model.body.d_ff == 4 * 48
    assert_same(model, MptForCausalLM(config), {**weights, "lm_head.weight": state["embedding.weight"]})
