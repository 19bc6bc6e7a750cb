"""Tokenizers of any kind as one thing to judge: ids of texts, and the bytes of every id."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seimai.errors import ConfigError, InputError
from seimai.files import read_json

from .encoder import Encoder
from .export import read_tiktoken_file, tiktoken_library
from .token_table import name_bytes
from .vocabulary import FORMAT

__all__ = ["Judged", "is_tokenizer", "of_library", "of_ranks", "of_sentencepiece", "open_judged"]

Ids = NDArray[Any]


@dataclass(frozen=True)
class Judged:
    """One tokenizer."""

    name: str
    vocab_size: int
    kind: str
    """seimai, tokenizers, tiktoken or sentencepiece."""
    token_bytes: tuple[bytes, ...]
    """Of every id; empty for what stands for no text."""
    encode: Callable[[Sequence[str]], list[Ids]]
    """Ids of each text, without specials."""
    decode: Callable[[Ids], str]
    fingerprint: str = ""
    """Of our own ones."""

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Bytes of every id."""
        return np.array([len(token) for token in self.token_bytes], np.int64)

    @cached_property
    def partial(self) -> NDArray[np.bool_]:
        """Whether the bytes of an id are not whole characters."""
        return np.array([not _whole(token) for token in self.token_bytes])


def is_tokenizer(path: Path) -> bool:
    """Whether a path names a tokenizer rather than text."""
    if path.is_dir():
        if (path / "tokenizer.tiktoken.json").is_file():
            return True
        manifest = path / "manifest.json"
        ours = manifest.is_file() and read_json(manifest).get("format") == FORMAT
        return ours or ((path / "tokenizer.json").is_file() and not manifest.is_file())
    return path.suffix in (".model", ".tiktoken") or path.name == "tokenizer.json"


def open_judged(path: Path, name: str = "") -> Judged:
    """A tokenizer directory of ours, an export, a `tokenizer.json` or a SentencePiece `.model`.

    Raises InputError where there is none, ConfigError for a bare tiktoken file, which holds no split.
    """
    name = name or path.name
    if path.is_dir() and (path / "tokenizer.tiktoken.json").is_file():
        about = read_json(path / "tokenizer.tiktoken.json")
        ranks = read_tiktoken_file(path / "tokenizer.tiktoken")
        return of_ranks(name, ranks, about["pat_str"], about["special_tokens"])
    if path.is_dir() and (path / "manifest.json").is_file():
        encoder = Encoder(path)
        special = set(encoder.vocabulary.special_ids.values())
        table = tuple(b"" if number in special else t for number, t in enumerate(encoder.vocabulary.token_bytes))
        size, mark = encoder.vocabulary.vocab_size, encoder.vocabulary.fingerprint
        return Judged(name, size, "seimai", table, encoder.ids, lambda ids: _decoded(encoder, ids), mark)
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{path}: no such tokenizer; give a folder with tokenizer.json, or a .model file")
    if file.suffix == ".tiktoken":
        raise ConfigError(f"{path}: holds no split; give the folder of `seimai tokenizer export --to tiktoken`")
    return of_sentencepiece(name, file) if file.suffix == ".model" else of_library(name, file)


def of_library(name: str, file: Path) -> Judged:
    """A `tokenizer.json`; the bytes of a token as the byte alphabet or byte fallback writes them."""
    from tokenizers import Tokenizer

    library = Tokenizer.from_file(str(file))
    library.encode_special_tokens = True
    library.no_padding()
    library.no_truncation()
    size = 1 + max(library.get_vocab(with_added_tokens=True).values())
    names = [library.id_to_token(number) for number in range(size)]
    byte_level = "ByteLevel" in str(read_json(file).get("decoder"))
    special = {number for number, added in library.get_added_tokens_decoder().items() if added.special}
    table = tuple(b"" if number in special else _bytes_of(each, byte_level) for number, each in enumerate(names))

    def encode(texts: Sequence[str]) -> list[Ids]:
        found = library.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(each.ids, np.uint32) for each in found]

    return Judged(name, size, "tokenizers", table, encode, lambda ids: str(library.decode(ids.tolist(), False)))


def of_ranks(name: str, ranks: dict[bytes, int], pattern: str, specials: dict[str, int] | None = None) -> Judged:
    """A tiktoken vocabulary."""
    encoding = tiktoken_library().Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens=specials or {})
    table = [b""] * (1 + max([*ranks.values(), *(specials or {}).values()]))
    for token, rank in ranks.items():
        table[rank] = token

    def encode(texts: Sequence[str]) -> list[Ids]:
        return [np.array(each, np.uint32) for each in encoding.encode_ordinary_batch(list(texts), num_threads=1)]

    return Judged(name, len(table), "tiktoken", tuple(table), encode, lambda ids: str(encoding.decode(ids.tolist())))


def of_sentencepiece(name: str, file: Path) -> Judged:
    """A SentencePiece model."""
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_file=str(file))
    size = model.vocab_size()
    table = tuple(
        b""
        if model.is_control(number) or model.is_unknown(number)
        else _bytes_of(model.id_to_piece(number), byte_level=False)
        for number in range(size)
    )

    def encode(texts: Sequence[str]) -> list[Ids]:
        return [np.array(model.encode(text), np.uint32) for text in texts]

    return Judged(name, size, "sentencepiece", table, encode, lambda ids: str(model.decode(ids.tolist())))


def _bytes_of(name: str | None, byte_level: bool) -> bytes:
    if name is None:
        return b""
    if byte_level:
        try:
            return name_bytes(name)
        except KeyError:  # an added token stands as it is
            return name.encode()
    if len(name) == 6 and name.startswith("<0x") and name.endswith(">"):
        return bytes([int(name[3:5], 16)])
    return name.replace("▁", " ").encode()


def _decoded(encoder: Encoder, ids: Ids) -> str:
    return encoder.bytes_of(ids).tobytes().decode(errors="replace")


def _whole(token: bytes) -> bool:
    try:
        token.decode()
    except UnicodeDecodeError:
        return False
    return True
