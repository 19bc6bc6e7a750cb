"""A tokenizer directory in; the same tokenizer for transformers, tiktoken or SentencePiece out, or a reason why not."""

import base64
import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seimai.errors import ConfigError, RunError
from seimai.files import read_json, write_atomic

from .card import model_card
from .encoder import Encoder
from .token_table import BOS, EOS, PAD, Vocabulary

__all__ = [
    "CHAT_TEMPLATE",
    "FORMATS",
    "Format",
    "export_tokenizer",
    "format_named",
    "read_tiktoken_file",
    "tiktoken_encoding",
    "tiktoken_library",
]

Format = Literal["hf", "tiktoken", "sentencepiece"]
FORMATS: tuple[Format, ...] = ("hf", "tiktoken", "sentencepiece")

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|reserved_0|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|reserved_1|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|reserved_0|>assistant\n{% endif %}"
)
"""A turn stands between the first two reserved tokens, its role on the first line."""
PROOF_TEXTS, PROOF_TOKENS, PROOF_SEED = 2_000, 30, 1


def export_tokenizer(
    tokenizer: Path, out: Path, to: Format, *, chat_template: str = CHAT_TEMPLATE, evaluation: Path | None = None
) -> list[str]:
    """Write the tokenizer to a new folder `out` with its model card; the names of the files.

    hf: loads with `AutoTokenizer.from_pretrained(out)`. tiktoken: ranks as base64 lines, pattern and specials beside
    them. sentencepiece: `tokenizer.model`. `chat_template` is for hf; `evaluation` a JSON of `seimai tokenizer eval`
    for the card. Raises ConfigError with the reason where the format cannot give the same ids, RunError where `out`
    holds something.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out}: holds something; give a new folder to --out")
    encoder = Encoder(tokenizer)
    manifest = read_json(tokenizer / "manifest.json")
    if to == "hf":
        files = _hf(tokenizer, encoder.vocabulary, chat_template)
    elif to == "tiktoken":
        files = _tiktoken(encoder)
    else:
        from .export_sentencepiece import sentencepiece_model

        files = {"tokenizer.model": sentencepiece_model(encoder)}
    figures = read_json(evaluation) if evaluation is not None else None
    files["README.md"] = model_card(encoder.vocabulary, manifest, to, figures)
    files["manifest.json"] = (tokenizer / "manifest.json").read_bytes()
    for name, content in files.items():
        write_atomic(out / name, content)
    return sorted(files)


def format_named(name: str) -> Format:
    """The format of that name; ConfigError where there is none.

    >>> format_named("tiktoken")
    'tiktoken'
    """
    for known in FORMATS:
        if name == known:
            return known
    raise ConfigError(f"--to {name}: there are {', '.join(FORMATS)}; use --to hf")


def _hf(tokenizer: Path, vocabulary: Vocabulary, chat_template: str) -> dict[str, str | bytes]:
    names = {"bos_token": BOS, "eos_token": EOS, "pad_token": PAD}
    others = [name for name in vocabulary.specials if name not in names.values()]
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **names,
        "additional_special_tokens": others,
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": 1_000_000_000,
        "seimai_fingerprint": vocabulary.fingerprint,
    }
    return {
        "tokenizer.json": (tokenizer / "tokenizer.json").read_bytes(),
        "tokenizer_config.json": _json(config),
        "special_tokens_map.json": _json(names),
        "chat_template.jinja": chat_template,
    }


def _tiktoken(encoder: Encoder) -> dict[str, str | bytes]:
    vocabulary = encoder.vocabulary
    if vocabulary.scores is not None:
        raise ConfigError("tiktoken merges pairs by rank, and a Unigram has scores and no merges; use --to hf")
    ids = range(vocabulary.n_ordinary) if vocabulary.ids is None else vocabulary.ids[: vocabulary.n_ordinary].tolist()
    made = ids[256:] if vocabulary.joins is None else [ids[place] for place in vocabulary.joins.tolist()]
    if any(a > b for a, b in pairwise(made)):
        raise ConfigError("tiktoken merges in the order of the ids, and this one merges in another; use --to hf")
    rows = sorted(zip(ids, vocabulary.tokens, strict=False))
    ranks = "".join(f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in rows)
    about = {
        "name": f"seimai-{vocabulary.fingerprint[:12]}",
        "pat_str": vocabulary.pattern,
        "special_tokens": vocabulary.special_ids,
        "explicit_n_vocab": vocabulary.vocab_size,
        "seimai_fingerprint": vocabulary.fingerprint,
    }
    encoding = _encoding(about, {token: rank for rank, token in rows})
    _prove(encoder, lambda text: list(encoding.encode_ordinary(text)), "tiktoken")
    return {"tokenizer.tiktoken": ranks, "tokenizer.tiktoken.json": _json(about)}


def _prove(encoder: Encoder, encode: Callable[[str], list[int]], name: str) -> None:
    """ConfigError where the other library gives other ids on any text of random tokens of ours."""
    for text in _random_texts(encoder.vocabulary):
        [ids] = encoder.ids([text])
        if encode(text) != ids.tolist():
            raise ConfigError(f"{name} gives other ids, for example on {text[:40]!r}; use --to hf")


def _random_texts(vocabulary: Vocabulary) -> Iterator[str]:
    """Tokens end to end by a seeded draw: every joint of two tokens that text might have, and most that it has not."""
    draw = np.random.default_rng(PROOF_SEED)
    for row in draw.integers(0, vocabulary.n_ordinary, (PROOF_TEXTS, PROOF_TOKENS)).tolist():
        yield b"".join(vocabulary.tokens[place] for place in row).decode("utf-8", "ignore")


def read_tiktoken_file(path: Path) -> dict[bytes, int]:
    """Tokens and their ranks from lines of base64 and a number; ConfigError where a line is none."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line:
            continue
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except ValueError:
            raise ConfigError(f"{path} line {number}: not base64 and a rank; give a .tiktoken file") from None
    return ranks


def tiktoken_encoding(directory: Path) -> Any:
    """The `tiktoken.Encoding` of a folder that `export_tokenizer` wrote."""
    return _encoding(
        read_json(directory / "tokenizer.tiktoken.json"), read_tiktoken_file(directory / "tokenizer.tiktoken")
    )


def tiktoken_library() -> Any:
    """The module; ConfigError where it is not installed."""
    try:
        import tiktoken
    except ImportError:
        raise ConfigError("tiktoken is not installed, which reads and proves it; `pip install tiktoken`") from None
    return tiktoken


def _encoding(about: dict[str, Any], ranks: dict[bytes, int]) -> Any:
    return tiktoken_library().Encoding(
        about["name"],
        pat_str=about["pat_str"],
        mergeable_ranks=ranks,
        special_tokens=about["special_tokens"],
        explicit_n_vocab=about["explicit_n_vocab"],
    )


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
