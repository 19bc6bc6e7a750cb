"""A vocabulary in memory: which bytes every id stands for, how tokens merge, its fingerprint."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seimai.files import fingerprint

__all__ = [
    "BOS",
    "BYTE_ORDER",
    "EOS",
    "MULTIPLE",
    "PAD",
    "SPECIALS",
    "Vocabulary",
    "bytes_name",
    "merges_for",
    "name_bytes",
    "special_names",
]

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
    """Tokens in order: 256 bytes, learned tokens (by the merges, or a Unigram's pieces), specials.

    In a tokenizer that was trained here that order is the ids. One that continues another's vocabulary keeps the old
    ids: `ids` then says which id each token has.
    """

    merges: NDArray[np.int32]
    """Shape (n, 2): the tokens each merge joins, by their place in that order; none for a Unigram."""
    specials: tuple[str, ...]
    """Names of the special tokens; in our own vocabularies `<|bos|>`, `<|eos|>` and `<|pad|>` come first."""
    pattern: str
    """Regular expression that cuts text before merges apply; nothing else changes the text."""
    pieces: tuple[bytes, ...] = ()
    """Learned tokens where the merges do not tell them one by one: of a Unigram, and where `joins` is set."""
    scores: NDArray[np.float32] | None = None
    """Log-probability of each byte and piece of a Unigram; None for BPE."""
    joins: NDArray[np.int32] | None = None
    """Shape (n,): the token that each merge makes, rising; None where merge i makes token 256 + i."""
    ids: NDArray[np.int32] | None = None
    """Shape (vocab_size,): the id of each token, a permutation; None where a token's place is its id."""
    whole: bool = False
    """A pre-token that is a token as a whole is that token, whatever the merges would make of it."""

    @property
    def n_ordinary(self) -> int:
        """Tokens that stand for text: all but the specials."""
        return 256 + (len(self.merges) if self.joins is None else 0) + len(self.pieces)

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
        place = self.n_ordinary + self.specials.index(name)
        return place if self.ids is None else int(self.ids[place])

    @cached_property
    def tokens(self) -> tuple[bytes, ...]:
        """Bytes of every token in order; of a special token the UTF-8 of its name."""
        found = [bytes([byte]) for byte in range(256)]
        if self.joins is None:
            for left, right in self.merges.tolist():
                found.append(found[left] + found[right])
        return (*found, *self.pieces, *(name.encode() for name in self.specials))

    @cached_property
    def token_bytes(self) -> tuple[bytes, ...]:
        """Bytes of every id; of a special token the UTF-8 of its name."""
        if self.ids is None:
            return self.tokens
        return tuple(self.tokens[place] for place in np.argsort(self.ids).tolist())

    @cached_property
    def special_ids(self) -> dict[str, int]:
        """Id of every special token by name."""
        return {name: self.special_id(name) for name in self.specials}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over the table of (id, bytes, score, special), the merges and the pattern: what decides ids.

        BPE and specials have no scores; the field is null.
        """
        scores = (
            [None] * self.vocab_size if self.scores is None else [*self.scores.tolist(), *[None] * len(self.specials)]
        )
        special = set(self.special_ids.values())
        rows = enumerate(zip(self.token_bytes, scores, strict=True))
        table = [[i, token.hex(), score, i in special] for i, (token, score) in rows]
        merges = self.merges if self.ids is None else self.ids[self.merges]
        of_what: dict[str, Any] = {"tokens": table, "merges": merges.tolist(), "split": self.pattern}
        if self.whole:
            of_what["whole"] = True
        return fingerprint(of_what)


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
