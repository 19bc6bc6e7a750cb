"""Vocabularies of others in: a `tokenizer.json`, a tiktoken file or a directory of ours, as a `Vocabulary`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from seimai.errors import ConfigError, InputError
from seimai.files import read_json, sha256_file

from .export import read_tiktoken_file, tiktoken_library
from .split import split_pattern
from .split_presets import PRESETS
from .token_table import Vocabulary, bytes_name
from .tokenizer_json import byte_level_tokens
from .vocabulary import engine, load

__all__ = ["KNOWN_SPECIALS", "Base", "open_base", "vocabulary_of_ranks"]

KNOWN_SPECIALS: dict[str, dict[str, int]] = {
    "gpt2": {"<|endoftext|>": 50256},
    "cl100k": {
        "<|endoftext|>": 100257,
        "<|fim_prefix|>": 100258,
        "<|fim_middle|>": 100259,
        "<|fim_suffix|>": 100260,
        "<|endofprompt|>": 100276,
    },
    "o200k": {"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
}
"""Specials that stand in no tiktoken file but in tiktoken_ext/openai_public.py, by split."""
Encode = Callable[[str], list[int]]


class Base(NamedTuple):
    """A vocabulary to be continued."""

    vocabulary: Vocabulary
    encode: Encode
    """Ids of a text by the library that the vocabulary comes from, without specials."""
    any_pair: bool
    """Any neighbours whose bytes together are a token merge, as tiktoken has it; else only listed pairs."""
    facts: dict[str, Any]
    """File, its SHA-256, kind, and how many ids."""


def open_base(path: Path, *, split: str = "", pattern: str = "", specials: Mapping[str, int] | None = None) -> Base:
    """Read a vocabulary with the ids it has.

    `split` (a name of PRESETS) or `pattern` are for a tiktoken file, which holds none; `specials` for its specials,
    known for gpt2, cl100k and o200k. Ids that stand for nothing become specials `<|unused_n|>`. Raises ConfigError
    where the file says something that cannot be carried on: a normalizer, another model than byte-level BPE.
    """
    if path.is_dir() and (path / "manifest.json").is_file() and (path / "tokenizer.json").is_file():
        vocabulary, library = load(path), engine(path)
        if vocabulary.scores is not None:
            raise ConfigError(f"{path}: a Unigram has no merges to add to; give a BPE")
        facts = _facts(path / "tokenizer.json", "seimai", vocabulary)
        return Base(vocabulary, lambda text: _ids(library, text), False, facts)
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{file}: no such file; give a tokenizer.json, a tiktoken file or a tokenizer of ours")
    if file.suffix == ".json":
        return _from_library(file)
    return _from_ranks(file, split, pattern, specials)


def vocabulary_of_ranks(ranks: Mapping[bytes, int], pattern: str, specials: Mapping[str, int]) -> Vocabulary:
    """tiktoken's rule as merges: each token is made of any two tokens, tried where it has the lowest rank."""
    ids = {bytes_name(token): rank for token, rank in ranks.items()}
    pairs: list[list[str]] = []
    for token in sorted(ranks, key=ranks.__getitem__):
        name = bytes_name(token)
        halves = [(name[:at], name[at:]) for at in range(1, len(name)) if name[:at] in ids and name[at:] in ids]
        pairs += [list(pair) for pair in sorted(halves, key=lambda pair: (ids[pair[0]], ids[pair[1]]))]
    return byte_level_tokens(ids, pairs, _filled(ids, specials), pattern, whole=True)


def _from_ranks(file: Path, split: str, pattern: str, specials: Mapping[str, int] | None) -> Base:
    if not pattern and split not in PRESETS:
        raise ConfigError(f"{file}: holds no split; say which: --base-split with one of {', '.join(PRESETS)}")
    pattern = pattern or split_pattern(name=split)
    known = dict(KNOWN_SPECIALS.get(split, {})) if specials is None else dict(specials)
    ranks = read_tiktoken_file(file)
    known = {name: number for name, number in known.items() if number >= len(ranks)}
    encoding = tiktoken_library().Encoding("base", pat_str=pattern, mergeable_ranks=ranks, special_tokens=known)
    vocabulary = vocabulary_of_ranks(ranks, pattern, known)
    return Base(vocabulary, encoding.encode_ordinary, True, _facts(file, "tiktoken", vocabulary))


def _from_library(file: Path) -> Base:
    from tokenizers import Tokenizer

    try:
        data = read_json(file)
        model, added = data["model"], {str(each["content"]): int(each["id"]) for each in data["added_tokens"]}
        if model["type"] != "BPE":
            raise ConfigError(f"{file}: its model is {model['type']}; only byte-level BPE can be continued")
        if data["normalizer"] is not None:
            kind = data["normalizer"]["type"]
            raise ConfigError(f"{file}: it changes text ({kind}), so old encodings cannot be kept by a pattern alone")
        pattern = _pattern(file, data["pre_tokenizer"])
        pairs = [each.split(" ") if isinstance(each, str) else each for each in model["merges"]]
        ordinary = {name: number for name, number in model["vocab"].items() if name not in added}
        vocabulary = byte_level_tokens(
            ordinary, pairs, _filled(ordinary, added), pattern, whole=bool(model.get("ignore_merges"))
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{file}: no byte-level BPE ({' '.join(str(error).split())}); give another base") from None
    library = Tokenizer.from_file(str(file))
    library.encode_special_tokens = True
    return Base(vocabulary, lambda text: _ids(library, text), False, _facts(file, "tokenizers", vocabulary))


def _pattern(file: Path, pre_tokenizer: dict[str, Any]) -> str:
    """The one pattern of a pre-tokenizer that cuts by a regular expression and writes bytes."""
    steps = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    cuts, last = steps[:-1], steps[-1]
    if last["type"] != "ByteLevel" or last.get("add_prefix_space") or len(cuts) + last.get("use_regex", True) != 1:
        raise ConfigError(
            f"{file}: its pre-tokenizer is not one split and ByteLevel without prefix space; give another"
        )
    if not cuts:
        return split_pattern(name="gpt2")
    if cuts[0]["type"] != "Split" or cuts[0]["behavior"] != "Isolated" or cuts[0].get("invert"):
        raise ConfigError(f"{file}: its split is {cuts[0]['type']}, not an isolating expression; give another base")
    return str(cuts[0]["pattern"]["Regex"])


def _filled(ids: Mapping[str, int], specials: Mapping[str, int]) -> dict[str, int]:
    """The specials, and one for every id below the greatest that stands for nothing, in order of ids."""
    taken = {*ids.values(), *specials.values()}
    unused = {f"<|unused_{number}|>": number for number in range(max(taken) + 1) if number not in taken}
    return dict(sorted({**specials, **unused}.items(), key=lambda item: item[1]))


def _ids(library: Any, text: str) -> list[int]:
    return list(library.encode(text, add_special_tokens=False).ids)


def _facts(file: Path, kind: str, vocabulary: Vocabulary) -> dict[str, Any]:
    digest = sha256_file(file)
    return {"file": file.name, "sha256": digest, "kind": kind, "vocab_size": vocabulary.vocab_size}
