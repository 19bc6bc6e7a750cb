"""Words as tokens of a vocabulary in; further merges of them out: how a vocabulary is continued."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .cut import Pieces
from .merge_kernels import encode_words, rank_table
from .merge_loop import NO_PAIRS, merge_loop
from .token_table import Vocabulary
from .words import words_of

__all__ = ["NEVER", "Alphabet", "alphabet_of", "learn_more", "token_words"]

NEVER = -128
"""`missing` of a token that joins no other."""


class Alphabet(NamedTuple):
    """What the merges need to know of the tokens that they begin with."""

    missing: NDArray[np.int8]
    """Bytes the last character lacks; -n for n continuation bytes and nothing else; NEVER for other fragments."""
    chars: NDArray[np.int32]
    """Characters begun in it."""


def alphabet_of(tokens: tuple[bytes, ...]) -> Alphabet:
    """The same of every token.

    >>> alphabet_of((b"a", b"\\xe3", b"\\xe3\\x81", b"\\x82", b"\\x82a")).missing.tolist()
    [0, 2, 1, -1, -128]
    """
    missing = np.array([_missing(token) for token in tokens], np.int8)
    chars = np.array([sum(byte & 0xC0 != 0x80 for byte in token) for token in tokens], np.int32)
    return Alphabet(missing, chars)


def _missing(token: bytes) -> int:
    if all(byte & 0xC0 == 0x80 for byte in token):
        return max(-len(token), NEVER)
    for lacking in range(4):
        try:
            # A character needs one to three continuation bytes; any fit that are allowed behind its first.
            (token + b"\x80" * lacking).decode()
        except UnicodeDecodeError:
            try:
                (token + b"\xbf"[:lacking] + b"\x80" * (lacking - 1)).decode()
            except UnicodeDecodeError:
                continue
        return lacking
    return NEVER


def token_words(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], vocabulary: Vocabulary
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Tokens of words by the vocabulary's merges, end to end, and how many each word has; a word has some 500 bytes."""
    ranks = rank_table(vocabulary.merges.astype(np.int32).reshape(-1, 2), 256, vocabulary.joins)
    return encode_words(data, offsets, ranks)


def learn_more(
    tokens: NDArray[np.uint32],
    sizes: NDArray[np.int64],
    counts: NDArray[np.int64],
    alphabet: Alphabet,
    n_merges: int,
    *,
    min_count: int = 2,
    max_chars: int = 2**31 - 1,
    barred: NDArray[np.int64] = NO_PAIRS,
) -> NDArray[np.int32]:
    """At most `n_merges` merges as pairs, shape (n, 2); the first makes token len(alphabet.missing), and so on.

    `tokens`: words end to end, `sizes` tokens each, seen `counts` times. `barred`: pairs a << 32 | b never merged.
    """
    n_first = len(alphabet.missing)
    starts = np.cumsum(sizes) - sizes
    kept = np.flatnonzero((sizes > 1) & (counts > 0))
    pieces = Pieces(starts[kept], sizes[kept].astype(np.int32), counts[kept])
    words = words_of(tokens, pieces, n_first + n_merges, np.arange(n_first))
    merges, _ = merge_loop(words, alphabet.missing, alphabet.chars, n_merges, min_count, max_chars, barred)
    return np.asarray(merges, np.int32)
