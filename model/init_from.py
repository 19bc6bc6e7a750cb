"""A Hugging Face folder in; a training whose body is its body and whose first weights are its weights out."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from seimai.config import parse_config
from seimai.errors import ConfigError, InputError, VerifyError
from seimai.files import read_json

from .config import Body, resolve_body
from .export_check import LARGEST_DIFFERENCE, largest_difference, quiet, sample_tokens, transformers_library
from .hf_config import Family, body_settings
from .hf_weights import from_hf
from .shards import TokenShards
from .train_config import TrainConfig
from .transformer import Transformer, build

__all__ = ["extended_rows", "load_initial", "read_embedding_map", "sized_like"]

EMBEDDING_MAP = "seimai-embedding-map/1"
CHECKED_TOKENS = 256
"""Tokens of a row whose logits are compared, at most."""


def sized_like(config: TrainConfig) -> TrainConfig:
    """The config with the body of `train.init_from`; row length, dropout and vocabulary multiple stay as written.

    A scaling of rotary angles that is written stays too where the folder has none; L is then the folder's context.
    """
    loop = config.train
    if loop.init_from is None:
        if loop.embedding_map is not None:
            raise ConfigError(f"train.embedding_map = {loop.embedding_map}: give train.init_from (--init-from) too")
        return config
    folder = Path(loop.init_from)
    _, settings = _settings(folder, config.model.row_tokens)
    settings |= {"depth": settings["n_layers"]}
    if config.model.rope_scaling != "none" and settings.get("rope_scaling") == "none":
        context = _read_config(folder)["max_position_embeddings"]
        del settings["rope_scaling"], settings["rope_factor"]
        settings["rope_original_tokens"] = config.model.rope_original_tokens or context
    plain = config.model_dump()
    return parse_config({**plain, "model": {**plain["model"], **settings}}, TrainConfig, place=str(folder))


def load_initial(model: Transformer, config: TrainConfig, shards: TokenShards) -> None:
    """Put the weights of `train.init_from` into `model`, after its logits were compared with Transformers' own.

    The vocabulary is that of the shards: the folder's, or one extended by `train.embedding_map`. Raises ConfigError
    where they do not fit each other, VerifyError where logits differ by more than 1e-4 in fp32.
    """
    assert config.train.init_from is not None
    folder, known = Path(config.train.init_from), shards.tokenizer
    weights, body = _read_model(folder, config)
    _check_logits(folder, body, weights)
    wanted = int(known["vocab_size"])
    if config.train.embedding_map is None:
        if body.vocab_size < wanted:
            raise ConfigError(f"{folder}: {body.vocab_size} tokens, the shards have {wanted}; give --embedding-map")
        _check_same_ids(folder, shards.file("tokenizer.json"))
        rows: list[list[int]] = []
        base = wanted
    else:
        base, rows = read_embedding_map(Path(config.train.embedding_map), body.vocab_size, known)
    state = model.state_dict()
    for name in ("embedding.weight", "head.weight"):
        if name in weights:
            # Rows that only pad the vocabulary stay as they were drawn.
            full = extended_rows(weights[name][:base], rows)
            weights[name] = torch.cat([full, state[name][wanted:]])
    model.load_state_dict(weights)


def read_embedding_map(path: Path, most_tokens: int, tokenizer: dict[str, Any]) -> tuple[int, list[list[int]]]:
    """Old vocabulary size and the old rows of each new token; ConfigError where the map is of other tokenizers.

    `most_tokens` is the number of rows the old embedding has; `tokenizer` holds vocab_size and fingerprint of the new.
    """
    try:
        found = read_json(path)
        base, size, rows = int(found["base_vocab_size"]), int(found["vocab_size"]), list(found["rows"])
        told, fingerprint = found["format"], found["fingerprint"]
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); give embedding_map.json of the extension"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{path}: no embedding map; `seimai tokenizer extend` writes one") from None
    if told != EMBEDDING_MAP:
        raise ConfigError(f"{path}: format {told!r}, not {EMBEDDING_MAP!r}; extend the tokenizer again")
    if fingerprint != tokenizer["fingerprint"] or size != tokenizer["vocab_size"]:
        raise ConfigError(f"{path}: of another tokenizer than the shards'; encode with the extended one")
    if base > most_tokens:
        raise ConfigError(
            f"{path}: extends {base} tokens, and the model has {most_tokens}; take the model of that vocabulary"
        )
    if len(rows) != size - base or any(not 0 <= row < base for each in rows for row in each):
        raise ConfigError(f"{path}: rows do not fit {base} + {size - base} tokens; extend the tokenizer again")
    return base, rows


def extended_rows(old: Tensor, rows: list[list[int]]) -> Tensor:
    """The matrix (V, D) with a row more for each list: the mean of those old rows, of all for an empty list.

    >>> extended_rows(torch.tensor([[0.0], [2.0], [4.0]]), [[1, 2], []])[3:].tolist()
    [[3.0], [2.0]]
    """
    if not rows:
        return old
    sizes = torch.tensor([len(each) for each in rows])
    ids = torch.tensor([row for each in rows for row in each], dtype=torch.int64)
    new = F.embedding_bag(ids, old, sizes.cumsum(0) - sizes, mode="mean")
    return torch.cat([old, torch.where(sizes[:, None] == 0, old.mean(0), new)])


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        return dict(read_json(folder / "config.json"))
    except (OSError, ValueError, TypeError):
        raise InputError(
            f"{folder}: no config.json; give a folder of Hugging Face with weights as safetensors"
        ) from None


def _settings(folder: Path, row_tokens: int) -> tuple[Family, dict[str, Any]]:
    try:
        return body_settings(_read_config(folder), row_tokens)
    except KeyError as error:
        raise ConfigError(f"{folder / 'config.json'}: no key {error}; save the model with Transformers again") from None


def _read_model(folder: Path, config: TrainConfig) -> tuple[dict[str, Tensor], Body]:
    """Weights under our names in fp32, and the body as the folder says it is."""
    family, settings = _settings(folder, config.model.row_tokens)
    plain = {"row_tokens": config.model.row_tokens, "vocab_multiple": 1, **settings, "depth": settings["n_layers"]}
    theirs = _read_config(folder)
    model = parse_config({"model": plain}, TrainConfig, place=str(folder)).model
    body = resolve_body(model, int(theirs["vocab_size"]))
    return from_hf(body, family, _read_weights(folder)), body


def _read_weights(folder: Path) -> dict[str, Tensor]:
    index = folder / "model.safetensors.index.json"
    names = sorted(set(read_json(index)["weight_map"].values())) if index.is_file() else ["model.safetensors"]
    weights: dict[str, Tensor] = {}
    for name in names:
        path = folder / Path(name).name
        if not path.is_file():
            raise InputError(f"{path}: missing; save the model as safetensors (pickled weights are not read)")
        try:
            weights |= load_file(path)
        except SafetensorError as error:
            raise InputError(f"{path}: {str(error).splitlines()[0]}; download it again") from None
    return weights


@torch.no_grad()
def _check_logits(folder: Path, body: Body, weights: dict[str, Tensor]) -> None:
    library = transformers_library()
    ours = build(body, seed=0)
    try:
        ours.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigError(f"{folder}: weights do not fit config.json ({str(error).splitlines()[-1].strip()})") from None
    tokens = sample_tokens(body.vocab_size, 1, min(body.row_tokens, CHECKED_TOKENS))
    with quiet():
        theirs = library.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    difference = largest_difference(ours.eval(), theirs, tokens)
    if not difference <= LARGEST_DIFFERENCE:
        raise VerifyError(
            f"{folder}: our logits differ by {difference:.2g} from Transformers' (at most {LARGEST_DIFFERENCE}); "
            "the model has something that its config.json does not tell; take another"
        )


def _check_same_ids(folder: Path, tokenizer: Path) -> None:
    """ConfigError where an id is another token in the folder than in the shards."""
    if not (folder / "tokenizer.json").is_file():
        raise ConfigError(f"{folder}: no tokenizer.json to compare ids with; save the model's tokenizer there")
    ours, theirs = (Tokenizer.from_file(str(path)).get_vocab() for path in (tokenizer, folder / "tokenizer.json"))
    for token, number in sorted(ours.items(), key=lambda item: item[1]):
        if theirs.get(token) != number:
            raise ConfigError(
                f"{folder}: token {number} of the shards is {token!r}, which the model has as {theirs.get(token)}; "
                "encode with the model's own tokenizer, or with an extension of it and --embedding-map"
            )
