"""Tokenizer directories: a vocabulary as `tokenizer.json`, its fingerprint and origin in `manifest.json`."""

import json
from pathlib import Path
from typing import Any

from seimai.errors import InputError, RunError, VerifyError
from seimai.files import read_json, sha256_file, write_atomic

from .token_table import BYTE_ORDER, MULTIPLE, Vocabulary, bytes_name, merges_for, name_bytes, special_names
from .tokenizer_json import from_tokenizer_json, json_text, tokenizer_json

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


def save(vocabulary: Vocabulary, directory: Path, facts: dict[str, Any]) -> None:
    """Write `tokenizer.json` for Hugging Face `tokenizers`, then `manifest.json` with the fingerprint and `facts`."""
    path = directory / "tokenizer.json"
    write_atomic(path, json_text(tokenizer_json(vocabulary)) + "\n")
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
        vocabulary = from_tokenizer_json(read_json(path))
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
