"""A body in, the config of the Hugging Face class that computes it out (or why there is none); and the way back."""

from typing import Any, Literal

from seimai.errors import ConfigError

from .config import Body
from .rope_scaling import ntk_base

__all__ = ["CLASSES", "Family", "body_settings", "context_tokens", "family_of", "hf_config"]

Family = Literal["llama", "qwen3", "gpt2", "mpt"]

CLASSES: dict[Family, str] = {
    "llama": "LlamaForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "gpt2": "GPT2LMHeadModel",
    "mpt": "MptForCausalLM",
}
NO_LLAMA = {"n_kv_heads": None, "head_dim": None, "qk_norm": False}
"""What the other two bodies do not have."""
TABLE_GROWTH = 4
"""Rows of an exported table that is computed, and ALiBi's reach in MPT, as a multiple of the trained length."""


def family_of(body: Body) -> tuple[Family | None, str]:
    """The native class of a body, or None; in words why.

    >>> from .config import ModelConfig, resolve_body
    >>> family_of(resolve_body(ModelConfig(depth=1, qk_norm=True), 100))
    ('qwen3', 'LlamaForCausalLM with RMSNorm on queries and keys')
    >>> family_of(resolve_body(ModelConfig(depth=1, positions="shaw"), 100))
    (None, 'no class of Transformers has the llama body with positions = shaw')
    """
    if body.preset == "llama" and body.positions == "rope":
        if body.qk_norm:
            return "qwen3", "LlamaForCausalLM with RMSNorm on queries and keys"
        return "llama", "the llama body with rotary positions"
    if body.preset == "gpt2" and body.positions in ("learned", "sinusoidal", "none"):
        tables = {"learned": "the trained", "sinusoidal": "the sinusoids in the", "none": "zeros in the"}
        return "gpt2", f"the gpt2 body, {tables[body.positions]} table of positions"
    if body.preset == "mpt" and body.positions == "alibi":
        if not body.tied:
            return None, "MPT ties the output matrix to the embedding, and this body does not"
        if body.d_ff != 4 * body.d_model:
            return None, f"MPT's MLP is 4 times as wide as the model, and this one is {body.d_ff} at {body.d_model}"
        return "mpt", "the mpt body with ALiBi"
    return None, f"no class of Transformers has the {body.preset} body with positions = {body.positions}"


def context_tokens(body: Body) -> int:
    """The length an export says it is good for; of a table the rows it has."""
    if body.positions == "rope":
        trained = body.rope_original_tokens or body.row_tokens
        # Transformers reads the trained length of `dynamic` from this number.
        return trained if body.rope_scaling == "dynamic" else max(body.row_tokens, round(trained * body.rope_factor))
    if family_of(body)[0] in ("gpt2", "mpt") and body.positions != "learned":
        return TABLE_GROWTH * body.row_tokens
    return body.row_tokens


def hf_config(body: Body, special: dict[str, int], dtype: str) -> dict[str, Any]:
    """The content of config.json; `special` holds bos_id, eos_id and pad_id."""
    family, _ = family_of(body)
    shared: dict[str, Any] = {
        "vocab_size": body.vocab_size,
        "tie_word_embeddings": body.tied,
        "dtype": dtype,
        **{f"{name}_token_id": special[f"{name}_id"] for name in ("bos", "eos", "pad")},
    }
    if family is None:
        return {**shared, **_remote_config(body)}
    config = {"architectures": [CLASSES[family]], "model_type": family, **shared}
    if family in ("llama", "qwen3"):
        return {**config, **_llama_config(body)}
    return {**config, **(_gpt2_config(body) if family == "gpt2" else _mpt_config(body))}


def _llama_config(body: Body) -> dict[str, Any]:
    base = ntk_base(body.rope_base, body.rope_factor, body.head_dim) if body.rope_scaling == "ntk" else body.rope_base
    scaling = _rope_scaling(body)
    return {
        "hidden_size": body.d_model,
        "intermediate_size": body.d_ff,
        "num_hidden_layers": body.n_layers,
        "num_attention_heads": body.n_heads,
        "num_key_value_heads": body.n_kv_heads,
        "head_dim": body.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": context_tokens(body),
        "rms_norm_eps": body.eps,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "use_cache": True,
        **({"use_sliding_window": False} if body.qk_norm else {"mlp_bias": False}),
        # Transformers 5 reads rope_parameters, what is older the other two.
        "rope_parameters": {"rope_theta": base, **(scaling or {"rope_type": "default"})},
        "rope_theta": base,
        "rope_scaling": scaling,
    }


def _rope_scaling(body: Body) -> dict[str, Any] | None:
    kind, trained = body.rope_scaling, body.rope_original_tokens or body.row_tokens
    if kind in ("none", "ntk"):
        return None
    scaling: dict[str, Any] = {"rope_type": kind, "factor": body.rope_factor}
    if kind == "yarn":
        scaling |= {"beta_fast": body.yarn_beta_fast, "beta_slow": body.yarn_beta_slow}
    if kind == "llama3":
        scaling |= {
            "low_freq_factor": body.llama3_low_freq_factor,
            "high_freq_factor": body.llama3_high_freq_factor,
        }
    return scaling if kind in ("linear", "dynamic") else {**scaling, "original_max_position_embeddings": trained}


def _gpt2_config(body: Body) -> dict[str, Any]:
    return {
        "n_positions": context_tokens(body),
        "n_embd": body.d_model,
        "n_layer": body.n_layers,
        "n_head": body.n_heads,
        "n_inner": body.d_ff,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": body.eps,
        "resid_pdrop": body.dropout,
        "embd_pdrop": body.dropout,
        "attn_pdrop": 0.0,
    }


def _mpt_config(body: Body) -> dict[str, Any]:
    return {
        "d_model": body.d_model,
        "n_heads": body.n_heads,
        "n_layers": body.n_layers,
        "expansion_ratio": 4,
        "max_seq_len": context_tokens(body),
        "layer_norm_epsilon": body.eps,
        "no_bias": True,
        "resid_pdrop": body.dropout,
        "emb_pdrop": body.dropout,
        "attn_config": {"alibi": True, "alibi_bias_max": 8, "attn_type": "multihead_attention"},
    }


def _remote_config(body: Body) -> dict[str, Any]:
    body_plain = body.model_dump(mode="json")
    body_plain["padded_vocab"] = body.vocab_size
    return {
        "architectures": ["SeimaiForCausalLM"],
        "model_type": "seimai",
        "auto_map": {
            "AutoConfig": "modeling_seimai.SeimaiConfig",
            "AutoModelForCausalLM": "modeling_seimai.SeimaiForCausalLM",
        },
        "hidden_size": body.d_model,
        "intermediate_size": body.d_ff,
        "num_hidden_layers": body.n_layers,
        "num_attention_heads": body.n_heads,
        "num_key_value_heads": body.n_kv_heads,
        "head_dim": body.head_dim,
        "max_position_embeddings": context_tokens(body),
        "body": body_plain,
    }


def body_settings(config: dict[str, Any], row_tokens: int) -> tuple[Family, dict[str, Any]]:
    """Family and keys of `ModelConfig` that a config.json of Hugging Face stands for.

    `row_tokens` is the length to train on. ConfigError, with the key, for a model that our body cannot compute.
    """
    kind = config.get("model_type")
    for family in CLASSES:
        if kind == family:
            settings = {"llama": _from_llama, "qwen3": _from_llama, "gpt2": _from_gpt2, "mpt": _from_mpt}[family](
                config
            )
            context = settings.pop("context_tokens")
            if settings["positions"] == "learned" and row_tokens > context:
                raise ConfigError(
                    f"model.row_tokens = {row_tokens}: the model knows {context} positions; lower it to that"
                )
            return family, settings
    raise ConfigError(f"model_type {kind!r}: read are {', '.join(CLASSES)}; convert the model to one of them")


def _expect(config: dict[str, Any], **wanted: Any) -> None:
    """ConfigError for a key that is there and says something else."""
    for key, value in wanted.items():
        found = config.get(key, value)
        if found != value and found is not None:
            raise ConfigError(f"{key} = {found!r} in config.json: only {value!r} can be computed; take another model")


def _from_llama(config: dict[str, Any]) -> dict[str, Any]:
    _expect(config, hidden_act="silu", attention_bias=False, mlp_bias=False, use_sliding_window=False)
    heads = config["num_attention_heads"]
    rope = {"rope_theta": config.get("rope_theta", 10_000.0), **(config.get("rope_scaling") or {})}
    rope |= config.get("rope_parameters") or {}
    return {
        "preset": "llama",
        "positions": "rope",
        "n_layers": config["num_hidden_layers"],
        "d_model": config["hidden_size"],
        "n_heads": heads,
        "n_kv_heads": config.get("num_key_value_heads") or heads,
        "head_dim": config.get("head_dim") or config["hidden_size"] // heads,
        "d_ff": config["intermediate_size"],
        "qk_norm": config["model_type"] == "qwen3",
        "tied": bool(config.get("tie_word_embeddings", False)),
        "norm_eps": config.get("rms_norm_eps", 1e-6),
        "context_tokens": config["max_position_embeddings"],
        **_from_rope(rope, config["max_position_embeddings"]),
    }


def _from_rope(rope: dict[str, Any], context: int) -> dict[str, Any]:
    kind = rope.get("rope_type", rope.get("type", "default"))
    settings: dict[str, Any] = {"rope_base": float(rope["rope_theta"]), "rope_scaling": "none", "rope_factor": 1.0}
    _expect(rope, partial_rotary_factor=1.0, truncate=True)
    if kind == "default":
        return settings
    if kind not in ("linear", "dynamic", "yarn", "llama3"):
        raise ConfigError(f"rope_type = {kind!r} in config.json: linear, dynamic, yarn and llama3 can be computed")
    settings |= {"rope_scaling": kind, "rope_factor": float(rope["factor"])}
    settings["rope_original_tokens"] = int(rope.get("original_max_position_embeddings") or context)
    if kind == "yarn":
        _expect(rope, mscale=None, mscale_all_dim=None, attention_factor=None)
        settings |= {
            "yarn_beta_fast": float(rope.get("beta_fast") or 32),
            "yarn_beta_slow": float(rope.get("beta_slow") or 1),
        }
    if kind == "llama3":
        settings["llama3_low_freq_factor"] = float(rope["low_freq_factor"])
        settings["llama3_high_freq_factor"] = float(rope["high_freq_factor"])
    return settings


def _from_gpt2(config: dict[str, Any]) -> dict[str, Any]:
    _expect(
        config,
        activation_function="gelu_new",
        scale_attn_weights=True,
        scale_attn_by_inverse_layer_idx=False,
        add_cross_attention=False,
    )
    return {
        "preset": "gpt2",
        **NO_LLAMA,
        "positions": "learned",
        "n_layers": config["n_layer"],
        "d_model": config["n_embd"],
        "n_heads": config["n_head"],
        "d_ff": config.get("n_inner") or 4 * config["n_embd"],
        "tied": bool(config.get("tie_word_embeddings", True)),
        "norm_eps": config.get("layer_norm_epsilon", 1e-5),
        "context_tokens": config["n_positions"],
    }


def _from_mpt(config: dict[str, Any]) -> dict[str, Any]:
    attention = config.get("attn_config") or {}
    _expect(config, no_bias=True, tie_word_embeddings=True)
    _expect(attention, alibi=True, alibi_bias_max=8, clip_qkv=None, qk_ln=False, softmax_scale=None, prefix_lm=False)
    return {
        "preset": "mpt",
        **NO_LLAMA,
        "positions": "alibi",
        "n_layers": config["n_layers"],
        "d_model": config["d_model"],
        "n_heads": config["n_heads"],
        "d_ff": 4 * config["d_model"],
        "tied": True,
        "norm_eps": config.get("layer_norm_epsilon", 1e-5),
        "context_tokens": config["max_seq_len"],
    }
