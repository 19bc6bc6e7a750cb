"""Weights under our names and under those of Transformers: one table of pairs per family, read in both directions."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from seimai.errors import ConfigError

from .config import Body
from .hf_config import Family, context_tokens
from .positions import Sinusoidal, sinusoidal_table

__all__ = ["from_hf", "to_hf", "trimmed"]

LLAMA = {
    "attention.query": "self_attn.q_proj",
    "attention.key": "self_attn.k_proj",
    "attention.value": "self_attn.v_proj",
    "attention.out": "self_attn.o_proj",
    "attention_norm": "input_layernorm",
    "mlp_norm": "post_attention_layernorm",
    "mlp.gate": "mlp.gate_proj",
    "mlp.up": "mlp.up_proj",
    "mlp.down": "mlp.down_proj",
}
GPT2 = {
    "attention.out": "attn.c_proj",
    "attention_norm": "ln_1",
    "mlp_norm": "ln_2",
    "mlp.up": "mlp.c_fc",
    "mlp.down": "mlp.c_proj",
}
MPT = {
    "attention.out": "attn.out_proj",
    "attention_norm": "norm_1",
    "mlp_norm": "norm_2",
    "mlp.up": "ffn.up_proj",
    "mlp.down": "ffn.down_proj",
}
OUTER = {
    "llama": ("model.embed_tokens", "model.norm", "model.layers"),
    "gpt2": ("transformer.wte", "transformer.ln_f", "transformer.h"),
    "mpt": ("transformer.wte", "transformer.norm_f", "transformer.blocks"),
}


class Pair(NamedTuple):
    """One tensor of theirs: ours, several one below the other, transposed or not."""

    theirs: str
    ours: tuple[str, ...]
    transposed: bool = False


def to_hf(body: Body, family: Family, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our weights under the names and in the layout of a native class; rows that pad the vocabulary are left out."""
    weights = trimmed(body, weights)
    found = {}
    for pair in _pairs(body, family):
        tensor = torch.cat([weights[name] for name in pair.ours])
        found[pair.theirs] = (tensor.t() if pair.transposed else tensor).contiguous()
    if family == "gpt2" and body.positions != "learned":
        found["transformer.wpe.weight"] = _computed_table(body)
    return found


def trimmed(body: Body, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights with as many rows of the embedding and the head as there are tokens."""
    rows = ("embedding.weight", "head.weight")
    return {name: each[: body.vocab_size].clone() if name in rows else each for name, each in weights.items()}


def from_hf(body: Body, family: Family, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse, fp32; the rows of embedding and head are theirs, however many.

    A table of positions gives its first `row_tokens` rows. ConfigError for a tensor that is missing.
    """
    # Published GPT-2 and MPT files leave out the first part of every name.
    prefix = OUTER[_kind(family)][0].partition(".")[0] + "."
    named = {name if name.startswith((prefix, "lm_head.")) else prefix + name: each for name, each in weights.items()}
    found = {}
    for pair in _pairs(body, family):
        if pair.theirs not in named:
            raise ConfigError(f"{pair.theirs}: not among the weights; the folder holds another model than config.json")
        tensor = named[pair.theirs].float()
        tensor = tensor.t() if pair.transposed else tensor
        if len(tensor) % len(pair.ours):
            raise ConfigError(f"{pair.theirs}: {len(tensor)} rows for {len(pair.ours)} matrices; the file is damaged")
        for name, part in zip(pair.ours, tensor.chunk(len(pair.ours)), strict=True):
            found[name] = part[: body.row_tokens].contiguous() if name == "positions.table" else part.contiguous()
    return found


def _kind(family: Family) -> str:
    return "llama" if family == "qwen3" else family


def _pairs(body: Body, family: Family) -> Iterator[Pair]:
    embedding, norm, layers = OUTER[_kind(family)]
    parts = ("weight", "bias") if body.bias else ("weight",)
    yield Pair(f"{embedding}.weight", ("embedding.weight",))
    if not body.tied:
        yield Pair("lm_head.weight", ("head.weight",))
    if body.positions == "learned":
        yield Pair("transformer.wpe.weight", ("positions.table",))
    for part in parts:
        yield Pair(f"{norm}.{part}", (f"norm.{part}",))
    for layer in range(body.n_layers):
        for pair in _layer_pairs(body, family, parts):
            yield Pair(
                f"{layers}.{layer}.{pair.theirs}",
                tuple(f"blocks.{layer}.{name}" for name in pair.ours),
                pair.transposed,
            )


def _layer_pairs(body: Body, family: Family, parts: tuple[str, ...]) -> Iterator[Pair]:
    table = {"llama": LLAMA, "gpt2": GPT2, "mpt": MPT}[_kind(family)]
    for part in parts:
        # The Conv1D of GPT-2 keeps its matrices the other way round.
        turned = family == "gpt2" and part == "weight"
        for ours, theirs in table.items():
            yield Pair(f"{theirs}.{part}", (f"{ours}.{part}",), turned and not ours.endswith("_norm"))
        if family in ("gpt2", "mpt"):
            merged = "attn.c_attn" if family == "gpt2" else "attn.Wqkv"
            yield Pair(
                f"{merged}.{part}", tuple(f"attention.{each}.{part}" for each in ("query", "key", "value")), turned
            )
    if body.qk_norm:
        yield Pair("self_attn.q_norm.weight", ("attention.query_norm",))
        yield Pair("self_attn.k_norm.weight", ("attention.key_norm",))


def _computed_table(body: Body) -> Tensor:
    """What sinusoidal positions add at every place; zeros for none."""
    rows = context_tokens(body)
    if body.positions == "none":
        return torch.zeros(rows, body.d_model)
    return Sinusoidal.alpha * sinusoidal_table(torch.arange(rows)[None], body.d_model)[0]
