"""A model directory in; a GGUF file for llama.cpp out, read back and compared before it stands there."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seimai.errors import ConfigError, RunError
from seimai.files import read_json
from seimai.tokenizer.gguf_tokenizer import GgufTokenizer, gguf_tokenizer

from .config import Body
from .export_hf import chat_template_of, context_limit, trained_model, unchecked_folder
from .gguf_check import GgufChecked, check_gguf
from .gguf_layout import Architecture, StoredAs, architecture_of, gguf_sizes, gguf_tensors, stored_as
from .hf_card import origin_rows
from .transformer import Transformer

__all__ = ["STORED_AS", "ExportedGguf", "export_gguf", "gguf_library", "round_weights"]

STORED_AS: dict[StoredAs, tuple[str, int]] = {
    "float32": ("F32", 0),
    "float16": ("F16", 1),
    "bfloat16": ("BF16", 32),
    "q8_0": ("Q8_0", 7),
}
"""Names of the tensor types in the gguf package, and `general.file_type`."""
TABLE = "position_embd.weight"


@dataclass(frozen=True)
class ExportedGguf:
    """What was written and what was compared."""

    architecture: Architecture
    """Name of llama.cpp for it."""
    reason: str
    """Why that one."""
    tokenizer: GgufTokenizer | None
    """Tokens and split; None where the file takes ids only."""
    checked: tuple[GgufChecked, ...]
    """What each reader found."""
    files: tuple[str, ...]
    """Names in the folder."""
    notes: tuple[str, ...]
    """What the user should know, one line each."""


def gguf_library() -> Any:
    """The module; ConfigError where it is not installed."""
    try:
        import gguf
    except ImportError:
        raise ConfigError("gguf is not installed; pip install 'seimai[gguf]'") from None
    return gguf


def export_gguf(
    model_dir: Path,
    out: Path,
    *,
    texts: Sequence[str] | None,
    dtype: StoredAs = "float32",
    chat_template: str | None = None,
) -> ExportedGguf:
    """Write a folder with model.gguf, the tokenizer.json of the training and a card.

    The file is read back by Transformers, and by llama.cpp where llama-cpp-python is installed, and logits (1e-4 in
    fp32) and 64 greedy tokens are compared before the folder gets its name; on a difference VerifyError, and nothing
    is left. With another `dtype` than float32 the comparison is with our model of the same rounded weights. On `texts`
    the splits of llama.cpp are tried; None leaves the text side out: programs then give token ids. Raises RunError
    where `out` stands, ConfigError with the reason for a body or a tokenizer that llama.cpp does not have.
    """
    gguf_library()
    if out.exists():
        raise RunError(f"{out}: exists; give a new folder to --out")
    if dtype not in STORED_AS:
        raise ConfigError(f"dtype = {dtype}: there are {', '.join(STORED_AS)}")
    model, described, source = trained_model(model_dir)
    architecture, reason = architecture_of(model.body)
    if architecture is None:
        raise ConfigError(f"{reason}; leave --format gguf out")
    data = read_json(source)
    tokenizer = None if texts is None else gguf_tokenizer(data, model.body.vocab_size, texts)
    round_weights(model, dtype)
    with unchecked_folder(out) as folder:
        notes = _write(folder / "model.gguf", model, architecture, described, dtype, (tokenizer, data, chat_template))
        shutil.copyfile(source, folder / "tokenizer.json")
        checked = check_gguf(folder / "model.gguf", model, architecture, dtype, context_limit(model.body))
        card = _card(model.body, described, architecture, dtype, tokenizer, checked)
        (folder / "README.md").write_text(card, encoding="utf-8")
    files = tuple(sorted(path.name for path in out.iterdir()))
    return ExportedGguf(architecture, reason, tokenizer, checked, files, notes)


@torch.no_grad()
def round_weights(model: Transformer, dtype: StoredAs) -> None:
    """Give every matrix of the model, in place, the values that a file of that type holds."""
    for name, parameter in model.named_parameters():
        kind = stored_as(tuple(parameter.shape), dtype, table=name == "positions.table")
        if kind != "float32":
            packed = _packed(parameter.numpy(), kind)
            parameter.copy_(torch.from_numpy(np.array(gguf_library().quants.dequantize(packed, _type(kind)))))


def _packed(values: np.ndarray, kind: StoredAs) -> np.ndarray:
    return np.asarray(gguf_library().quants.quantize(values, _type(kind)))


def _type(kind: StoredAs) -> Any:
    return gguf_library().GGMLQuantizationType[STORED_AS[kind][0]]


def _write(
    path: Path,
    model: Transformer,
    architecture: Architecture,
    described: dict[str, Any],
    dtype: StoredAs,
    text: tuple[GgufTokenizer | None, dict[str, Any], str | None],
) -> tuple[str, ...]:
    """The file; notes for the user."""
    tokenizer, data, template = text
    writer = gguf_library().GGUFWriter(path, architecture)
    for key, value in gguf_sizes(model.body, architecture).items():
        _add(writer, f"{architecture}.{key}", value)
    for key, value in _about(described, tokenizer).items():
        _add(writer, key, value)
    writer.add_file_type(STORED_AS[dtype][1])
    writer.add_quantization_version(gguf_library().GGML_QUANT_VERSION)
    notes = _add_tokenizer(writer, tokenizer, data, described["tokenizer"], template)
    for name, values in gguf_tensors(model.body, architecture, model.state_dict()).items():
        kind = stored_as(values.shape, dtype, table=name == TABLE)
        writer.add_tensor(name, _packed(values, kind), raw_dtype=_type(kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return notes


def _add(writer: Any, key: str, value: Any) -> None:
    add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}[type(value)]
    add(key, value)


def _about(described: dict[str, Any], tokenizer: GgufTokenizer | None) -> dict[str, Any]:
    """Keys of the file that say where the model came from."""
    split = "ids only" if tokenizer is None else "exact" if tokenizer.exact else _other_ids(tokenizer)
    return {
        "general.name": "A decoder trained with Seimai",
        "general.description": "Not tuned to follow instructions. A text begins with the BOS token.",
        "seimai.data.merkle_root": str(described.get("data", "not told")),
        "seimai.tokenizer.fingerprint": str(described["tokenizer"]["fingerprint"]),
        "seimai.tokenizer.split": split,
        "seimai.config.fingerprint": str(described.get("config", "not told")),
        "seimai.steps": int(described.get("step", 0)),
    }


def _other_ids(tokenizer: GgufTokenizer) -> str:
    return (
        f"nearest, {tokenizer.pre}: other ids on {tokenizer.other_texts} of {tokenizer.texts} texts than tokenizer.json"
    )


def _add_tokenizer(
    writer: Any, tokenizer: GgufTokenizer | None, data: dict[str, Any], special: dict[str, Any], template: str | None
) -> tuple[str, ...]:
    """Tokens, merges, special tokens and the chat template; notes for the user."""
    # Readers that know this key of the format have the very tokenizer.
    writer.add_string("tokenizer.huggingface.json", json.dumps(data, ensure_ascii=False))
    if tokenizer is None:
        writer.add_tokenizer_model("none")
        return ("the file takes token ids only: encode and decode with the tokenizer.json beside it",)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(tokenizer.pre)
    writer.add_token_list(tokenizer.tokens)
    writer.add_token_types(tokenizer.types)
    writer.add_token_merges(tokenizer.merges)
    writer.add_bos_token_id(special["bos_id"])
    writer.add_eos_token_id(special["eos_id"])
    writer.add_pad_token_id(special["pad_id"])
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    notes = () if tokenizer.exact else (f"llama.cpp has not this tokenizer's split. {_remedy(tokenizer)}",)
    chat = chat_template_of([each["content"] for each in data["added_tokens"]], template)
    if chat is None:
        return (
            *notes,
            "no chat template: the tokenizer has no <|reserved_0|> and <|reserved_1|>; give --chat-template",
        )
    writer.add_chat_template(chat)
    return notes


def _remedy(tokenizer: GgufTokenizer) -> str:
    return (
        f"With {tokenizer.pre}, the nearest, {tokenizer.other_texts} of {tokenizer.texts} texts got other ids than in "
        "training; where that matters give ids made with the tokenizer.json beside the file"
    )


def _card(
    body: Body,
    described: dict[str, Any],
    architecture: Architecture,
    dtype: StoredAs,
    tokenizer: GgufTokenizer | None,
    checked: tuple[GgufChecked, ...],
) -> str:
    """README.md: front matter of the hub, sizes, origin by hash, how it was checked."""
    rows = [("Architecture in llama.cpp", architecture), *origin_rows(body, described, dtype)]
    text = "Ids only: encode with the tokenizer.json in this folder." if tokenizer is None else "Text: the same split."
    if tokenizer is not None and not tokenizer.exact:
        text = f"Text: llama.cpp has not this tokenizer's split. {_remedy(tokenizer)}."
    readers = [
        f"- {each.reader}: rows of {each.found.rows} random tokens, largest difference of two logits "
        f"{each.found.logit_difference:.1e}; {each.found.greedy_tokens} greedy tokens, all the same."
        for each in checked
    ]
    return (
        "\n".join(
            [
                *("---", "library_name: gguf", "pipeline_tag: text-generation", "tags:", "- seimai", "---", ""),
                *("# A decoder trained with Seimai, as GGUF", "", "| | |", "|---|---|"),
                *(f"| {name} | {value} |" for name, value in rows),
                *(
                    "",
                    text,
                    "",
                    "## Checked",
                    "",
                    "`model.gguf` was compared, in fp32, with the model it was made of:",
                    "",
                ),
                *(*readers, "", "## Use", "", "```", "llama-cli -m model.gguf -p TEXT", "```", ""),
                "The model was not tuned to follow instructions. A text begins with BOS, which llama.cpp adds.",
            ]
        )
        + "\n"
    )
