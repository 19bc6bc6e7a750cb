"""A vocabulary: bytes, merges and specials with their ids; its fingerprint; `tokenizer.json` and `manifest.json`."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seimai.errors import InputError, RunError, VerifyError
from seimai.files import fingerprint, read_json, sha256_file, write_atomic

__all__ = [
    "BYTE_ORDER",
    "FORMAT",
    "MULTIPLE",
    "Vocabulary",
    "bytes_name",
    "engine",
    "load",
    "load_manifest",
    "merges_for",
    "name_bytes",
    "save",
    "special_names",
]

FORMAT = "seimai-tokenizer/1"
MULTIPLE = 128
"""Every vocabulary size is a multiple of this: matrix kernels like it."""
BOS, EOS, PAD = "<|bos|>", "<|eos|>", "<|pad|>"
NAMED_SPECIALS = (BOS, EOS, PAD)
SPECIALS = 64
"""Ids kept for specials: the named ones, the rest `<|reserved_n|>`; more where the size must reach a multiple."""

_PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
BYTE_ORDER: NDArray[np.int32] = np.array([*_PRINTABLE, *sorted(set(range(256)) - set(_PRINTABLE))], np.int32)
"""Bytes in the order of the characters that stand for them in `tokenizer.json` (GPT-2's alphabet)."""
_CHARACTERS = {byte: chr(byte) for byte in _PRINTABLE} | {
    byte: chr(0x100 + i) for i, byte in enumerate(BYTE_ORDER[len(_PRINTABLE) :].tolist())
}
_BYTES = {character: byte for byte, character in _CHARACTERS.items()}


@dataclass(frozen=True)
class Vocabulary:
    """Ids in order: 256 bytes (id = value), merges (the first is 256) or a Unigram's pieces, specials."""

    merges: NDArray[np.int32]
    """Shape (n, 2): the ids each merge joins; none for a Unigram."""
    specials: tuple[str, ...]
    """Names of the special tokens; `<|bos|>`, `<|eos|>` and `<|pad|>` come first."""
    pattern: str
    """Regular expression that cuts text before merges apply; nothing else changes the text."""
    pieces: tuple[bytes, ...] = ()
    """Pieces of a Unigram behind the bytes."""
    scores: NDArray[np.float32] | None = None
    """Log-probability of each byte and piece of a Unigram; None for BPE."""

    @property
    def n_ordinary(self) -> int:
        """Ids that stand for text: all but the specials."""
        return 256 + len(self.merges) + len(self.pieces)

    @property
    def vocab_size(self) -> int:
        """All ids."""
        return self.n_ordinary + len(self.specials)

    @property
    def bos_id(self) -> int:
        """Id of `<|bos|>`, the first token of a document."""
        return self.special_id(BOS)

    @property
    def eos_id(self) -> int:
        """Id of `<|eos|>`, the last token of a document."""
        return self.special_id(EOS)

    @property
    def pad_id(self) -> int:
        """Id of `<|pad|>`; it never stands in token shards."""
        return self.special_id(PAD)

    def special_id(self, name: str) -> int:
        """Id of a special token; ValueError where there is none of that name."""
        return self.n_ordinary + self.specials.index(name)

    @cached_property
    def token_bytes(self) -> tuple[bytes, ...]:
        """Bytes of every id; of a special token the UTF-8 of its name."""
        tokens = [bytes([byte]) for byte in range(256)]
        for left, right in self.merges.tolist():
            tokens.append(tokens[left] + tokens[right])
        return (*tokens, *self.pieces, *(name.encode() for name in self.specials))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over the table of (id, bytes, score, special), the merges and the pattern: what decides ids.

        BPE and specials have no scores; the field is null.
        """
        scores = (
            [None] * self.vocab_size if self.scores is None else [*self.scores.tolist(), *[None] * len(self.specials)]
        )
        rows, n_ordinary = enumerate(zip(self.token_bytes, scores, strict=True)), self.n_ordinary
        table = [[i, token.hex(), score, i >= n_ordinary] for i, (token, score) in rows]
        return fingerprint({"tokens": table, "merges": self.merges.tolist(), "split": self.pattern})


def bytes_name(token: bytes) -> str:
    """How `tokenizer.json` writes a token: a printable character for every byte.

    >>> bytes_name("米 ".encode())
    'ç±³Ġ'
    """
    return "".join(map(_CHARACTERS.__getitem__, token))


def name_bytes(name: str) -> bytes:
    """The token that `tokenizer.json` writes as `name`.

    >>> name_bytes("ç±³Ġ").decode()
    '米 '
    """
    return bytes(map(_BYTES.__getitem__, name))


def merges_for(vocab_size: int) -> int:
    """How many merges a vocabulary of `vocab_size` ids has room for, 64 ids being kept for specials; may be negative.

    >>> merges_for(65536)
    65216
    """
    return vocab_size - 256 - SPECIALS


def special_names(n_merges: int) -> tuple[str, ...]:
    """Named specials, then `<|reserved_n|>` up to 64 and on to a multiple of 128 of the whole vocabulary.

    >>> names = special_names(65216)
    >>> len(names), names[:4]
    (64, ('<|bos|>', '<|eos|>', '<|pad|>', '<|reserved_0|>'))
    """
    n_specials = SPECIALS + -(256 + n_merges + SPECIALS) % MULTIPLE
    return (*NAMED_SPECIALS, *(f"<|reserved_{n}|>" for n in range(n_specials - len(NAMED_SPECIALS))))


def save(vocabulary: Vocabulary, directory: Path, facts: dict[str, Any]) -> None:
    """Write `tokenizer.json` for Hugging Face `tokenizers`, then `manifest.json` with the fingerprint and `facts`."""
    path = directory / "tokenizer.json"
    write_atomic(path, json.dumps(_tokenizer_json(vocabulary), ensure_ascii=False, indent=1) + "\n")
    manifest = {
        "format": FORMAT,
        "fingerprint": vocabulary.fingerprint,
        "vocab_size": vocabulary.vocab_size,
        "bos_id": vocabulary.bos_id,
        "eos_id": vocabulary.eos_id,
        "pad_id": vocabulary.pad_id,
        **facts,
        "files": [{"path": path.name, "bytes": path.stat().st_size, "sha256": sha256_file(path)}],
    }
    write_atomic(directory / "manifest.json", json.dumps(manifest, ensure_ascii=False, indent=2) + "\n")


def load(directory: Path) -> Vocabulary:
    """Read what `save` wrote; the vocabulary in `tokenizer.json` must have the fingerprint of `manifest.json`.

    Raises RunError where there is no tokenizer, VerifyError where it is damaged or another.
    """
    manifest = load_manifest(directory)
    path = directory / "tokenizer.json"
    try:
        vocabulary = _from_json(read_json(path))
    except FileNotFoundError:
        raise VerifyError(f"{path}: missing, though manifest.json is there; copy the directory again") from None
    except (ValueError, KeyError, TypeError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise VerifyError(f"{path}: not a tokenizer of ours ({reason}); copy it again or train again") from None
    if vocabulary.fingerprint != manifest["fingerprint"]:
        raise VerifyError(
            f"{path}: fingerprint {vocabulary.fingerprint[:12]}, manifest.json says {manifest['fingerprint'][:12]}; "
            "one of the two was changed: copy the directory again"
        )
    return vocabulary


def load_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a tokenizer directory; RunError where it is none."""
    path = directory / "manifest.json"
    if not path.is_file():
        raise RunError(f"{directory}: no tokenizer there; `seimai tokenizer train SOURCE --out {directory}` makes one")
    try:
        manifest = read_json(path)
    except ValueError as error:
        raise VerifyError(f"{path}: not JSON ({error}); copy the directory again or train again") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise InputError(f"{path}: not the manifest of a tokenizer ({FORMAT}); give the directory that training wrote")
    return manifest


def engine(directory: Path) -> Any:
    """The `tokenizers.Tokenizer` of a directory, set so that special tokens inside text are plain text.

    Its `encode` puts `<|bos|>` before the text unless `add_special_tokens=False`.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    # Not kept in tokenizer.json: whoever loads the file elsewhere must set it again before encoding web text.
    tokenizer.encode_special_tokens = True
    return tokenizer


def _tokenizer_json(vocabulary: Vocabulary) -> dict[str, Any]:
    bos = {"SpecialToken": {"id": BOS, "type_id": 0}}
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": vocabulary.n_ordinary + i, "content": name, "special": True, "normalized": False}
            | {"single_word": False, "lstrip": False, "rstrip": False}
            for i, name in enumerate(vocabulary.specials)
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
    names = [bytes_name(token) for token in vocabulary.token_bytes[: vocabulary.n_ordinary]]
    if vocabulary.scores is not None:
        # Nothing is ever unknown: every byte has an id.
        vocab = [[name, score] for name, score in zip(names, vocabulary.scores.tolist(), strict=True)]
        return {"type": "Unigram", "unk_id": None, "vocab": vocab, "byte_fallback": False}
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": {name: i for i, name in enumerate(names)},
        "merges": [[names[left], names[right]] for left, right in vocabulary.merges.tolist()],
    }


def _from_json(data: dict[str, Any]) -> Vocabulary:
    specials = tuple(str(token["content"]) for token in data["added_tokens"])
    pattern = data["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
    vocabulary = _ordinary(data["model"], specials, pattern)
    if [token["id"] for token in data["added_tokens"]] != [*range(vocabulary.n_ordinary, vocabulary.vocab_size)]:
        raise ValueError("ids of special tokens do not follow the others")
    return vocabulary


def _ordinary(model: dict[str, Any], specials: tuple[str, ...], pattern: str) -> Vocabulary:
    """The vocabulary, whose tokens must stand in our order."""
    if model["type"] == "Unigram":
        tokens = [name_bytes(name) for name, _ in model["vocab"]]
        scores = np.array([score for _, score in model["vocab"]], np.float32)
        vocabulary = Vocabulary(np.empty((0, 2), np.int32), specials, pattern, tuple(tokens[256:]), scores)
    else:
        ids = model["vocab"]
        tokens = [name_bytes(name) for name in sorted(ids, key=ids.__getitem__)]
        merges = np.array([[ids[a], ids[b]] for a, b in model["merges"]], np.int32).reshape(-1, 2)
        vocabulary = Vocabulary(merges, specials, pattern)
        if sorted(ids.values()) != [*range(len(ids))]:
            raise ValueError("ids have holes")
    if tuple(tokens) != vocabulary.token_bytes[: vocabulary.n_ordinary]:
        raise ValueError("ids are not bytes, merges or pieces, specials in order")
    return vocabulary
