"""A GGUF file and the model it was made of in; whether Transformers and llama.cpp compute the same, or VerifyError."""

import contextlib
import io
import logging
import os
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from seimai.errors import ConfigError, VerifyError

from .export_check import (
    LARGEST_DIFFERENCE,
    Checked,
    check_greedy_tokens,
    checked_logits,
    compare_models,
    greedy_prompt,
    quiet,
    sample_tokens,
    transformers_library,
)
from .gguf_layout import Architecture, StoredAs
from .transformer import Transformer

__all__ = ["GgufChecked", "LlamaCpp", "check_gguf", "gguf_config", "transformers_model"]

ROUNDING = 1e-5
"""Of the largest logit: what another order of fp32 operations may change, where that is more than 1e-4."""
LLAMA_CPP_TOKENS = 64
"""Of a row. ggml takes each angle from the one before by a product in fp32, so later places differ by rounding alone:
at place 512 of a 4-layer model by 1.3e-4, and by 2.2e-5 from our model with angles made in that way."""


class GgufChecked(NamedTuple):
    """One reader's result."""

    reader: str
    """Its name and version."""
    found: Checked
    """What was compared."""


def check_gguf(
    path: Path, model: Transformer, architecture: Architecture, dtype: StoredAs, limit: int | None
) -> tuple[GgufChecked, ...]:
    """Load the file with every reader that is here and computes in fp32; VerifyError where one differs.

    `model` holds the weights as they were written. Transformers reads all but `refact`. llama.cpp is asked for files
    of float32 but gpt2's: it multiplies other types with rounded activations, and takes GELU from a table in float16.
    Raises ConfigError where no reader is left.
    """
    found = []
    if architecture != "refact":
        with quiet(), _silent():
            theirs = transformers_model(path, architecture)
            found.append(GgufChecked(_named("transformers"), compare_models(model, theirs, limit)))
    if dtype == "float32" and architecture != "gpt2" and find_spec("llama_cpp") is not None:
        found.append(GgufChecked(_named("llama_cpp"), _check_llama_cpp(path, model, limit)))
    if not found and dtype != "float32":
        raise ConfigError(f"ALiBi in {dtype} cannot be checked; give --dtype float32 and quantise it with llama.cpp")
    if not found:
        raise ConfigError("ALiBi in GGUF is checked with llama.cpp; pip install llama-cpp-python, which compiles it")
    return tuple(found)


def _named(package: str) -> str:
    names = {"transformers": "Transformers", "llama_cpp": "llama.cpp in llama-cpp-python"}
    return f"{names[package]} {import_module(package).__version__}"


def transformers_model(path: Path, architecture: Architecture) -> Any:
    """What Transformers makes of the file, with the keys that its reader leaves out."""
    if find_spec("accelerate") is None:
        raise ConfigError("accelerate is not installed; pip install 'seimai[gguf]'")
    config = gguf_config(path, architecture)
    theirs, info = transformers_library().AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, config=config, dtype=torch.float32, output_loading_info=True
    )
    tied = {"lm_head.weight"} if config.tie_word_embeddings else set()
    if missing := sorted(set(info["missing_keys"]) - tied):
        raise VerifyError(f"missing keys in the GGUF file, first {missing[0]}; nothing was written")
    factors = [tensor.data for tensor in _reader(path).tensors if tensor.name == "rope_freqs.weight"]
    if factors:
        theirs.model.rotary_emb.inv_freq /= torch.from_numpy(np.array(factors[0]))
    return theirs.eval()


def gguf_config(path: Path, architecture: Architecture) -> Any:
    """The config of Transformers by the file's own keys: what its reader takes, and what it leaves out.

    It leaves out the scaling of angles, the width of a head in qwen3, and the length of a table of positions.
    """
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    library = transformers_library()
    read: Any = load_gguf_checkpoint
    config = dict(read(str(path))["config"])
    keys = {name.removeprefix(f"{architecture}."): field.contents() for name, field in _reader(path).fields.items()}
    config["vocab_size"] = keys["vocab_size"]
    if architecture == "gpt2":
        config |= {"n_positions": keys["context_length"], "n_inner": keys["feed_forward_length"]}
    else:
        rope = {"rope_type": keys.get("rope.scaling.type", "default"), "rope_theta": keys["rope.freq_base"]}
        if "rope.scaling.factor" in keys:
            rope["factor"] = keys["rope.scaling.factor"]
        if "rope.scaling.original_context_length" in keys:
            rope["original_max_position_embeddings"] = keys["rope.scaling.original_context_length"]
        config.pop("rope_theta", None)
        config |= {"head_dim": keys["attention.key_length"], "rope_parameters": rope}
    return library.AutoConfig.for_model(**config)


def _reader(path: Path) -> Any:
    from gguf import GGUFReader

    return GGUFReader(path)


class LlamaCpp:
    """llama.cpp with one file, in fp32 on the CPU as far as it computes in fp32."""

    def __init__(self, path: Path, context_tokens: int) -> None:
        import llama_cpp

        # Its caches would be float16; its own messages are no use to who exports.
        with _no_stderr():
            self.model = llama_cpp.Llama(
                model_path=str(path),
                n_ctx=context_tokens,
                n_batch=context_tokens,
                n_ubatch=context_tokens,
                logits_all=True,
                type_k=llama_cpp.GGML_TYPE_F32,
                type_v=llama_cpp.GGML_TYPE_F32,
                flash_attn=False,
                verbose=False,
            )

    def logits(self, tokens: list[int]) -> torch.Tensor:
        """(T, V) for one text."""
        self.model.reset()
        self.model.eval(tokens)
        return torch.from_numpy(np.array(self.model.scores[: len(tokens)]))

    def greedy(self, tokens: list[int], new: int) -> list[int]:
        """The text and `new` tokens behind it, with its KV cache."""
        self.model.reset()
        self.model.eval(tokens)
        found = list(tokens)
        for _ in range(new):
            found.append(int(np.argmax(self.model.scores[len(found) - 1])))
            self.model.eval(found[-1:])
        return found

    def ids(self, text: str) -> list[int]:
        """Of a text without special tokens, by the tokenizer in the file."""
        return [int(token) for token in self.model.tokenize(text.encode(), add_bos=False, special=False)]

    def close(self) -> None:
        """Free its memory."""
        self.model.close()


@torch.no_grad()
def _check_llama_cpp(path: Path, model: Transformer, limit: int | None) -> Checked:
    body, rows = model.body, [(2, min(model.body.row_tokens, LLAMA_CPP_TOKENS))]
    prompt, new = greedy_prompt(body, limit)
    theirs = LlamaCpp(path, max(*(tokens for _, tokens in rows), prompt.shape[1] + new))
    try:
        differences, largest = [], 0.0
        for count, tokens in rows:
            sample = sample_tokens(body.vocab_size, count, tokens)
            ours = model.logits(model(sample))
            their = torch.stack([theirs.logits(row) for row in sample.tolist()])
            difference = float((ours[..., : body.vocab_size] - their).abs().max())
            differences.append(difference if difference == difference else float("inf"))
            largest = max(largest, float(ours.abs().max()))
        logits = checked_logits(differences, rows, most=max(LARGEST_DIFFERENCE, ROUNDING * largest))
        found = torch.tensor([theirs.greedy(prompt[0].tolist(), new)])
    finally:
        theirs.close()
    return Checked(*logits, check_greedy_tokens(model, found, new))


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """No progress bar of the reader, and no complaints of what it imports beside."""
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


@contextlib.contextmanager
def _no_stderr() -> Iterator[None]:
    """Send what C code writes to standard error nowhere."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
