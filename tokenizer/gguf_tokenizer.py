"""A tokenizer.json in; its vocabulary for GGUF out, with the split of llama.cpp that gives the fewest other ids."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from seimai.errors import ConfigError

from .gguf_splits import GGUF_SPLITS, GgufSplit, names_of

__all__ = ["GgufTokenizer", "gguf_tokenizer", "with_gguf_split"]

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5
"""`tokenizer.ggml.token_type`."""
MOST_OTHER = 0.01
"""Share of tokens cut otherwise above which no split of llama.cpp is near enough to be written."""
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


@dataclass(frozen=True)
class GgufTokenizer:
    """What llama.cpp needs for text, and how far it is from the tokenizer of the training."""

    pre: str
    """Name of the split."""
    tokens: list[str]
    """By id, in the printable writing of bytes."""
    types: list[int]
    """Type of each token."""
    merges: list[str]
    """Both halves with a space between, best first."""
    exact: bool
    """Whether the split is the very one of the training."""
    other_texts: int
    """Compared texts that get other ids."""
    texts: int
    """Compared texts."""


def gguf_tokenizer(data: dict[str, Any], vocab_size: int, texts: Sequence[str]) -> GgufTokenizer:
    """Tokens, merges and the nearest split for the content of a tokenizer.json of byte-level BPE.

    Every split of `GGUF_SPLITS` is tried on the texts, and the one that gives the fewest of them other ids taken.
    Raises ConfigError where llama.cpp cannot hold the vocabulary, or more than 1 % of the tokens would be others.
    """
    model = data["model"]
    if model["type"] != "BPE" or (data.get("decoder") or {}).get("type") != "ByteLevel":
        raise ConfigError(f"llama.cpp reads BPE of bytes, and the tokenizer is {model['type']}; give --ids-only")
    tokens, types = _tokens(data, vocab_size)
    if not model["merges"]:
        raise ConfigError("llama.cpp wants merges, and the tokenizer has none; give --ids-only")
    pre, other = _nearest(data, texts)
    if (share := _other_tokens(data, pre, texts)) > MOST_OTHER:
        raise ConfigError(
            f"llama.cpp has no split near this tokenizer's: {pre}, the nearest, cuts {share:.1%} of the tokens of "
            f"{len(texts)} texts otherwise; give --ids-only"
        )
    pairs = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    return GgufTokenizer(pre, tokens, types, pairs, pre in _same(data) and not other, other, len(texts))


def _nearest(data: dict[str, Any], texts: Sequence[str]) -> tuple[str, int]:
    """The split with the fewest texts of other ids, the tokenizer's very own tried first; and how many they are."""
    expected = _ids(Tokenizer.from_str(json.dumps(data)), texts)
    same = _same(data)
    found = {}
    for name in [*same, *(name for name in GGUF_SPLITS if name not in same)]:
        ids = _ids(Tokenizer.from_str(json.dumps(with_gguf_split(data, GGUF_SPLITS[name]))), texts)
        found[name] = sum(ours != theirs for ours, theirs in zip(expected, ids, strict=True))
        if not found[name]:
            break
    return min(found.items(), key=lambda item: item[1])


def _other_tokens(data: dict[str, Any], name: str, texts: Sequence[str]) -> float:
    """Share of the tokens of the texts that are not tokens at the same place with that split."""
    ours, theirs = (
        Tokenizer.from_str(json.dumps(each)).encode_batch(list(texts), add_special_tokens=False)
        for each in (data, with_gguf_split(data, GGUF_SPLITS[name]))
    )
    cuts = [(set(a.offsets), set(b.offsets)) for a, b in zip(ours, theirs, strict=True)]
    return sum(len(a - b) for a, b in cuts) / max(1, sum(len(a) for a, _ in cuts))


def with_gguf_split(data: dict[str, Any], split: GgufSplit) -> dict[str, Any]:
    """The content of a tokenizer.json that cuts as llama.cpp does under a name of its own."""
    cuts = [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
        for pattern in split.patterns
    ]
    return {
        **data,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*cuts, BYTE_LEVEL]},
        "model": {**data["model"], "ignore_merges": split.whole},
    }


def _same(data: dict[str, Any]) -> list[str]:
    """Names of the very split of the tokenizer."""
    steps = (data.get("pre_tokenizer") or {}).get("pretokenizers") or [{}]
    pattern = (steps[0].get("pattern") or {}).get("Regex")
    if data.get("normalizer") or pattern is None or len(steps) != 2:
        return []
    return names_of(pattern, whole=bool(data["model"].get("ignore_merges")))


def _tokens(data: dict[str, Any], vocab_size: int) -> tuple[list[str], list[int]]:
    """Texts and types by id; an id without a token gets a name of its own and the type unused."""
    tokens, types = [f"[UNUSED_{number}]" for number in range(vocab_size)], [UNUSED] * vocab_size
    for name, number in data["model"]["vocab"].items():
        tokens[number], types[number] = name, NORMAL
    for added in data["added_tokens"]:
        tokens[added["id"]] = added["content"]
        types[added["id"]] = CONTROL if added["special"] else USER_DEFINED
    [(twice, times)] = Counter(tokens).most_common(1)
    if times > 1:
        raise ConfigError(f"two tokens are written {twice!r}, which llama.cpp refuses; give --ids-only")
    return tokens, types


def _ids(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False)]
