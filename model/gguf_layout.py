"""A body in; the architecture of llama.cpp that computes the same, its sizes and tensors out, or why there is none."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from seimai.errors import ConfigError

from .config import Body
from .hf_config import context_tokens
from .hf_weights import to_hf
from .rope_scaling import frequencies, ntk_base

__all__ = ["Architecture", "StoredAs", "architecture_of", "gguf_sizes", "gguf_tensors", "stored_as"]

Architecture = Literal["llama", "qwen3", "gpt2", "refact"]
"""Names of llama.cpp; `refact` is the llama body with ALiBi."""

StoredAs = Literal["float32", "float16", "bfloat16", "q8_0"]
"""How matrices are written. q8_0: 32 numbers of 8 bits with one scale."""

Q8_BLOCK = 32
YARN_BETAS = (32.0, 1.0)
"""What llama.cpp takes for every llama and qwen3: it does not read these keys there."""
NO_TURN = 1e30
"""A plane slowed so many times is not turned: cosine 1 and sine 0 in fp32, and still a finite number in the file."""


def architecture_of(body: Body) -> tuple[Architecture | None, str]:
    """The architecture that computes a body exactly, or None; in words why.

    >>> from .config import ModelConfig, resolve_body
    >>> architecture_of(resolve_body(ModelConfig(depth=1, positions="alibi"), 100))
    ('refact', 'the llama body with ALiBi')
    >>> architecture_of(resolve_body(ModelConfig(depth=1, positions="t5"), 100))
    (None, 'llama.cpp has no decoder with positions = t5')
    """
    if body.preset == "mpt":
        return None, "llama.cpp computes GELU by tanh only, and the mpt body by the error function"
    if body.positions in ("t5", "shaw"):
        return None, f"llama.cpp has no decoder with positions = {body.positions}"
    if body.preset == "gpt2":
        if body.positions in ("learned", "sinusoidal", "none"):
            return "gpt2", f"the gpt2 body, positions = {body.positions} as a table"
        if body.positions == "alibi":
            return None, "only llama.cpp would read gpt2 with ALiBi, and its table for GELU is 1e-3 from the formula"
        return None, f"llama.cpp has no gpt2 body with positions = {body.positions}"
    if body.positions == "rope":
        return _rotary(body)
    if body.positions in ("alibi", "none") and body.qk_norm:
        return None, f"llama.cpp has qk_norm with rotary positions only, not with {body.positions}"
    if body.positions == "alibi":
        return "refact", "the llama body with ALiBi"
    if body.positions == "none":
        return "llama", "the llama body, its rotary planes slowed until they stand still"
    return None, f"llama.cpp has no llama body with positions = {body.positions}"


def _rotary(body: Body) -> tuple[Architecture | None, str]:
    kind = body.rope_scaling
    if kind == "dynamic":
        return None, "llama.cpp has no angles that follow the length of a text (rope_scaling = dynamic)"
    if kind == "yarn" and (body.yarn_beta_fast, body.yarn_beta_slow) != YARN_BETAS:
        betas = f"{body.yarn_beta_fast:g} and {body.yarn_beta_slow:g}"
        return None, f"llama.cpp knows YaRN with the betas 32 and 1 only, not {betas}"
    if body.qk_norm and kind == "llama3":
        return None, "llama.cpp reads the factors of llama3 in its llama only, which has no qk_norm"
    if body.qk_norm:
        return "qwen3", "the llama body with RMSNorm on queries and keys"
    return "llama", "the llama body with rotary positions"


def gguf_sizes(body: Body, architecture: Architecture) -> dict[str, Any]:
    """Keys behind `ARCHITECTURE.` and their values; an int is a uint32 and a float a float32 in the file."""
    sizes: dict[str, Any] = {
        "vocab_size": body.vocab_size,
        "context_length": _table_rows(body) if architecture == "gpt2" else context_tokens(body),
        "embedding_length": body.d_model,
        "block_count": body.n_layers,
        "feed_forward_length": body.d_ff,
        "attention.head_count": body.n_heads,
        "attention.head_count_kv": body.n_kv_heads,
        f"attention.layer_norm_{'rms_' if body.norm == 'rms' else ''}epsilon": body.eps,
    }
    if architecture != "gpt2":
        sizes |= {"attention.key_length": body.head_dim, "attention.value_length": body.head_dim}
    if architecture in ("llama", "qwen3"):
        sizes |= {"rope.dimension_count": body.head_dim, **_angles(body)}
    return sizes


def _table_rows(body: Body) -> int:
    return body.row_tokens if body.positions == "learned" else context_tokens(body)


def _angles(body: Body) -> dict[str, Any]:
    kind, trained = body.rope_scaling, body.rope_original_tokens or body.row_tokens
    base = ntk_base(body.rope_base, body.rope_factor, body.head_dim) if kind == "ntk" else body.rope_base
    keys: dict[str, Any] = {"rope.freq_base": float(base)}
    # Without the key llama.cpp takes `linear`; with a factor of 1 that is the same.
    if kind in ("linear", "yarn"):
        keys |= {"rope.scaling.type": kind, "rope.scaling.factor": float(body.rope_factor)}
    if kind == "yarn":
        keys["rope.scaling.original_context_length"] = trained
    return keys


def gguf_tensors(body: Body, architecture: Architecture, weights: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Our weights under the names and in the layout of llama.cpp, fp32; rows that pad the vocabulary are left out."""
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    [number] = [number for number, name in MODEL_ARCH_NAMES.items() if name == architecture]
    names = get_tensor_name_map(number, body.n_layers)
    found: dict[str, np.ndarray] = {}
    if factors := _rope_factors(body, architecture):
        found["rope_freqs.weight"] = np.array(factors, np.float32)
    family: Literal["llama", "gpt2"] = "gpt2" if architecture == "gpt2" else "llama"
    for theirs, tensor in to_hf(body, family, weights).items():
        name = names.get_name(theirs, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise ConfigError(f"{theirs}: the gguf package has no name for it in {architecture}; upgrade gguf")
        found[name] = np.ascontiguousarray(_laid_out(body, architecture, name, tensor).float().numpy())
    return found


def _rope_factors(body: Body, architecture: Architecture) -> list[float]:
    """What llama.cpp divides the angle of each plane by, where no key says it; or nothing."""
    if architecture == "llama" and body.positions == "none":
        return [NO_TURN] * (body.head_dim // 2)
    if architecture == "llama" and body.rope_scaling == "llama3":
        plain = frequencies(body.model_copy(update={"rope_scaling": "none"}), torch.device("cpu"))
        return [float(each) for each in plain / frequencies(body, torch.device("cpu"))]
    return []


def _laid_out(body: Body, architecture: Architecture, name: str, tensor: Tensor) -> Tensor:
    """The Conv1D of GPT-2 the usual way round; rows of queries and keys of llama in planes side by side."""
    if architecture == "gpt2" and name.startswith("blk.") and tensor.dim() == 2:
        return tensor.t()
    if architecture == "llama" and name.endswith(("attn_q.weight", "attn_k.weight")):
        # The planes of ggml's llama are (x_2i, x_2i+1), ours and those of its qwen3 (x_i, x_(i+d/2)).
        half = body.head_dim // 2
        return tensor.view(-1, 2, half, body.d_model).transpose(1, 2).reshape(tensor.shape)
    return tensor


def stored_as(shape: tuple[int, ...], wanted: StoredAs, *, table: bool) -> StoredAs:
    """The type of one tensor: vectors and the table of positions fp32; q8_0 needs rows of 32 numbers, else float16.

    >>> stored_as((8, 48), "q8_0", table=False), stored_as((8,), "float16", table=False)
    ('float16', 'float32')
    """
    if len(shape) < 2 or table:
        return "float32"
    return "float16" if wanted == "q8_0" and shape[-1] % Q8_BLOCK else wanted
