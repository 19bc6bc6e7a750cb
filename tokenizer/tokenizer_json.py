"""Vocabularies as `tokenizer.json` of Hugging Face `tokenizers`, and back."""

import json
from json.encoder import encode_basestring
from typing import Any

import numpy as np

from .token_table import BOS, Vocabulary, bytes_name, name_bytes

__all__ = ["byte_level_tokens", "from_tokenizer_json", "json_text", "tokenizer_json"]


def tokenizer_json(vocabulary: Vocabulary) -> dict[str, Any]:
    """The content of the file: split by the pattern, bytes as printable characters, `<|bos|>` before a text."""
    bos = {"SpecialToken": {"id": BOS, "type_id": 0}}
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": name, "special": True, "normalized": False}
            | {"single_word": False, "lstrip": False, "rstrip": False}
            for name, number in sorted(vocabulary.special_ids.items(), key=lambda item: item[1])
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": vocabulary.pattern}, "behavior": "Isolated", "invert": False},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
            ],
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [bos, first],
            "pair": [bos, first, second],
            "special_tokens": {BOS: {"id": BOS, "ids": [vocabulary.bos_id], "tokens": [BOS]}},
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        "model": _model_json(vocabulary),
    }


def _model_json(vocabulary: Vocabulary) -> dict[str, Any]:
    names = [bytes_name(token) for token in vocabulary.tokens[: vocabulary.n_ordinary]]
    if vocabulary.scores is not None:
        # Nothing is ever unknown: every byte has an id.
        vocab = [[name, score] for name, score in zip(names, vocabulary.scores.tolist(), strict=True)]
        return {"type": "Unigram", "unk_id": None, "vocab": vocab, "byte_fallback": False}
    ids = range(len(names)) if vocabulary.ids is None else vocabulary.ids.tolist()
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": vocabulary.whole,
        "vocab": dict(zip(names, ids, strict=False)),
        "merges": [[names[left], names[right]] for left, right in vocabulary.merges.tolist()],
    }


def json_text(content: dict[str, Any]) -> str:
    """What `json.dumps` makes of `tokenizer_json` with an indent of 1, in half the time.

    >>> content = {"model": {"vocab": {"Ġ": 0, "a": 1}, "merges": [["Ġ", "a"]]}}
    >>> json_text(content) == json.dumps(content, ensure_ascii=False, indent=1)
    True
    """
    model = content["model"]
    if not model.get("merges"):
        return json.dumps(content, ensure_ascii=False, indent=1)
    # With an indent json.dumps does without its C code: the two long parts are written here.
    quoted = {name: encode_basestring(name) for name in model["vocab"]}
    vocab = ",\n".join([f"   {quoted[name]}: {number}" for name, number in model["vocab"].items()])
    merges = ",\n".join([f"   [\n    {quoted[left]},\n    {quoted[right]}\n   ]" for left, right in model["merges"]])
    rest = {**content, "model": {**model, "vocab": {}, "merges": []}}
    # Inside a string a quotation mark would have a backslash before it, so each of these stands there once.
    text = json.dumps(rest, ensure_ascii=False, indent=1)
    text = text.replace('"vocab": {}', f'"vocab": {{\n{vocab}\n  }}', 1)
    return text.replace('"merges": []', f'"merges": [\n{merges}\n  ]', 1)


def from_tokenizer_json(data: dict[str, Any]) -> Vocabulary:
    """What `tokenizer_json` wrote; ValueError, KeyError, TypeError or IndexError where it is no file of ours."""
    added = {str(token["content"]): int(token["id"]) for token in data["added_tokens"]}
    pattern = data["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
    model = data["model"]
    if model["type"] == "Unigram":
        tokens = [name_bytes(name) for name, _ in model["vocab"]]
        scores = np.array([score for _, score in model["vocab"]], np.float32)
        vocabulary = Vocabulary(np.empty((0, 2), np.int32), tuple(added), pattern, tuple(tokens[256:]), scores)
    else:
        vocabulary = _bpe(model, added, pattern)
    if vocabulary.special_ids != added:
        raise ValueError("ids of special tokens do not follow the others")
    if sorted(vocabulary.special_ids.values()) != list(added.values()):
        raise ValueError("special tokens do not stand in order")
    return vocabulary


def _bpe(model: dict[str, Any], added: dict[str, int], pattern: str) -> Vocabulary:
    """Ids as places where they are bytes, merges, specials; else with the order beside the ids."""
    ids = model["vocab"]
    if sorted([*ids.values(), *added.values()]) != [*range(len(ids) + len(added))]:
        raise ValueError("ids have holes")
    if min(added.values(), default=0) >= len(ids) and not model["ignore_merges"]:
        tokens = [name_bytes(name) for name in sorted(ids, key=ids.__getitem__)]
        merges = np.array([[ids[a], ids[b]] for a, b in model["merges"]], np.int32).reshape(-1, 2)
        vocabulary = Vocabulary(merges, tuple(added), pattern)
        if tuple(tokens) == vocabulary.tokens[: vocabulary.n_ordinary]:
            return vocabulary
    return byte_level_tokens(ids, model["merges"], added, pattern, whole=model["ignore_merges"])


def byte_level_tokens(
    ids: dict[str, int], pairs: list[list[str]], added: dict[str, int], pattern: str, *, whole: bool
) -> Vocabulary:
    """A vocabulary with any ids: bytes first, then what merges make in their order, then tokens that none makes.

    `ids`: of printable names; `pairs`: merges in order of rank; `added`: specials, that with the ids fill 0 to n - 1.
    Raises ValueError where a byte has no token, a merge makes none, or merges of one token do not stand together.
    """
    names = [bytes_name(bytes([byte])) for byte in range(256)]
    if missing := [name for name in names if name not in ids]:
        raise ValueError(f"{len(missing)} of the 256 bytes have no token")
    place = {name: byte for byte, name in enumerate(names)}
    joins: list[int] = []
    for left, right in pairs:
        made = place.setdefault(left + right, len(place))
        if left + right not in ids:
            raise ValueError(f"merge {left} {right} makes no token of the vocabulary")
        if joins and made < joins[-1]:
            raise ValueError(f"merges that make {left + right} do not stand together")
        joins.append(made)
    for name in sorted(ids, key=ids.__getitem__):
        place.setdefault(name, len(place))
    merges = np.array([[place[left], place[right]] for left, right in pairs], np.int32).reshape(-1, 2)
    order = [*(ids[name] for name in place), *added.values()]
    learned = tuple(name_bytes(name) for name in list(place)[256:])
    numbers = np.array(order, np.int32)
    return Vocabulary(merges, tuple(added), pattern, learned, None, np.array(joins, np.int32), numbers, whole)
