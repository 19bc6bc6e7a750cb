"""A model directory in; a folder that Transformers loads out, proven to compute the same before it stands there."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, processors
from torch import Tensor

from seimai.errors import ConfigError, RunError

from .checkpoint import load_model, model_directory
from .config import Body
from .export_check import Checked, check_export, transformers_library
from .hf_card import hf_card
from .hf_config import CLASSES, context_tokens, family_of, hf_config
from .hf_weights import to_hf, trimmed
from .transformer import Transformer

__all__ = [
    "Dtype",
    "Exported",
    "chat_template_of",
    "context_limit",
    "export_hf",
    "tokenizer_files",
    "trained_model",
    "unchecked_folder",
]

Dtype = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Exported:
    """What was written and what was compared."""

    class_name: str
    """Class of Transformers that computes it."""
    native: bool
    """False where the folder holds code that the user must trust."""
    reason: str
    """Why it is native or not."""
    checked: Checked
    """What the comparison found."""
    files: tuple[str, ...]
    """Names in the folder."""
    notes: tuple[str, ...]
    """What the user should know, one line each."""


def export_hf(model_dir: Path, out: Path, *, dtype: Dtype = "float32", chat_template: str | None = None) -> Exported:
    """Write the model as a Hugging Face folder: weights, config, tokenizer, generation config, chat template, card.

    The folder is loaded back, and logits (1e-4 in fp32), 64 greedy tokens and the tokenizer's ids are compared before
    it gets its name; on a difference VerifyError, and nothing is left. With `dtype` bfloat16 the comparison is with our
    model of the same rounded weights. `chat_template` is a Jinja text instead of our own. Raises RunError where `out`
    stands, ConfigError where transformers is missing.
    """
    transformers_library()
    if out.exists():
        raise RunError(f"{out}: exists; give a new folder to --out")
    if dtype not in ("float32", "bfloat16"):
        raise ConfigError(f"dtype = {dtype}: there are float32 and bfloat16")
    model, described, tokenizer = trained_model(model_dir)
    _round(model, dtype)
    family, reason = family_of(model.body)
    class_name = "SeimaiForCausalLM" if family is None else CLASSES[family]
    with unchecked_folder(out) as folder:
        notes = _write(folder, model, described, tokenizer, dtype, chat_template)
        checked = check_export(folder, model, limit=context_limit(model.body))
        card = hf_card(model.body, described, class_name, family is not None, dtype, checked)
        (folder / "README.md").write_text(card, encoding="utf-8")
    files = tuple(sorted(path.name for path in out.iterdir()))
    return Exported(class_name, family is not None, reason, checked, files, notes)


def trained_model(path: Path) -> tuple[Transformer, dict[str, Any], Path]:
    """The model, its config.json and the tokenizer.json beside it; RunError where there is none."""
    source = model_directory(path)
    model, described = load_model(source)
    if "tokenizer" not in described or not (source / "tokenizer.json").is_file():
        raise RunError(
            f"{source}: no tokenizer beside the weights; export OUT/final of a training, or a checkpoint of it"
        )
    return model, described, source / "tokenizer.json"


def context_limit(body: Body) -> int | None:
    """Positions beyond which the export cannot go, or None."""
    family, _ = family_of(body)
    return context_tokens(body) if family in ("gpt2", "mpt") or body.positions == "learned" else None


@torch.no_grad()
def _round(model: Transformer, dtype: Dtype) -> None:
    """Give every weight the value that is written."""
    if dtype == "bfloat16":
        for parameter in model.parameters():
            parameter.copy_(parameter.bfloat16())


def _write(
    folder: Path, model: Transformer, described: dict[str, Any], tokenizer: Path, dtype: Dtype, template: str | None
) -> tuple[str, ...]:
    body, special = model.body, described["tokenizer"]
    _write_json(folder / "config.json", hf_config(body, special, dtype))
    ids = {f"{name}_token_id": special[f"{name}_id"] for name in ("bos", "eos", "pad")}
    _write_json(folder / "generation_config.json", {"do_sample": True, "temperature": 0.8, "top_p": 0.95, **ids})
    save_file(_weights(model, dtype), folder / "model.safetensors", metadata={"format": "pt"})
    if family_of(body)[0] is None:
        shutil.copyfile(Path(__file__).with_name("remote_modeling.py"), folder / "modeling_seimai.py")
    notes = tokenizer_files(tokenizer, folder, special, model_max_length=context_tokens(body), chat_template=template)
    if body.rope_scaling == "dynamic":
        notes = (*notes, "rope_scaling = dynamic: beyond the trained length generate with use_cache=False")
    return notes


def _weights(model: Transformer, dtype: Dtype) -> dict[str, Tensor]:
    body, state = model.body, model.state_dict()
    family, _ = family_of(body)
    weights = trimmed(body, state) if family is None else to_hf(body, family, state)
    kind = torch.bfloat16 if dtype == "bfloat16" else torch.float32
    return {name: weight.to(kind).contiguous() for name, weight in weights.items()}


def tokenizer_files(
    source: Path, folder: Path, special: dict[str, Any], *, model_max_length: int, chat_template: str | None
) -> tuple[str, ...]:
    """Write tokenizer.json, its config, the map of special tokens and the chat template; notes for the user.

    The tokenizer puts BOS before a text, as the training did.
    """
    tokenizer = Tokenizer.from_file(str(source))
    bos, eos, pad = (tokenizer.id_to_token(special[f"{name}_id"]) for name in ("bos", "eos", "pad"))
    if tokenizer.encode("").ids == [special["bos_id"]]:
        shutil.copyfile(source, folder / "tokenizer.json")
    else:
        begins = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, special["bos_id"])])
        before = tokenizer.post_processor
        tokenizer.post_processor = begins if before is None else processors.Sequence([before, begins])
        tokenizer.save(str(folder / "tokenizer.json"))
    names = {"bos_token": bos, "eos_token": eos, "pad_token": pad}
    added = [token.content for _, token in sorted(tokenizer.get_added_tokens_decoder().items()) if token.special]
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **names,
        # The name that both Transformers 4 and 5 read.
        "additional_special_tokens": [name for name in added if name not in names.values()],
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": model_max_length,
        "padding_side": "left",
        "seimai_fingerprint": special["fingerprint"],
    }
    _write_json(folder / "tokenizer_config.json", config)
    _write_json(folder / "special_tokens_map.json", names)
    template = chat_template_of(added, chat_template)
    if template is None:
        return ("no chat template: the tokenizer has no <|reserved_0|> and <|reserved_1|>; give --chat-template",)
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return ()


def chat_template_of(added: list[str], given: str | None) -> str | None:
    """The template that was given, or ours where the special tokens have what it needs, or None."""
    from seimai.tokenizer.export import CHAT_TEMPLATE

    if given is not None or {"<|reserved_0|>", "<|reserved_1|>"} <= set(added):
        return given or CHAT_TEMPLATE
    return None


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


@contextmanager
def unchecked_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its name at the end; removed on an error."""
    temporary = out.with_name(f"{out.name}_unchecked")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
