"""Counts of pre-tokens in; the vocabulary that cuts them into the fewest tokens out, as pieces of a Unigram.

Merges of BPE are made for each other: some only lead to longer ones, and text is cut by their order. Here twice as many
tokens as wanted are learned as merges, all words are cut into the fewest of them, and what is missed least is left out,
a quarter at a time (Kudo 2018 prunes a Unigram like this; Schmidt et al. 2024, PathPiece, for the fewest tokens). A
token costs as much as the tokens that would take its place, as often as it is used.

The score of a token is -(1 + bits / 64), `bits` its own in a text of such tokens: in effect the fewest tokens
are taken, and of as many the likelier. Scores are multiples of 2^-16, so that sums are exact wherever they are added.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seimai.errors import ConfigError

from .bpe import learn_merges
from .counts import flat_counts
from .cut import cut_unreached
from .token_table import Vocabulary, merges_for, special_names
from .viterbi import best_tokens, best_without_itself, joined, trie_of

__all__ = ["MAX_TOKEN_CHARS", "FewestPieces", "fewest_vocabularies", "learn_fewest"]

CANDIDATES = 2
"""Tokens learned at first for one that stays. From four times as many more is learned by heart than holds elsewhere."""
KEPT = 0.75
"""Share of the tokens that outlasts a round; losses are of single tokens, so not too many may go at once."""
BITS_PER_TOKEN = 64
"""Bits of likelihood that weigh as much as one token more: more than ever differ between two cuts of one word."""
SCORE_STEP = 2.0**-16
MAX_TOKEN_CHARS = 64
"""Where nothing is said: a split as wide as lines bounds no token, and encoding looks as far ahead as the longest."""


class FewestPieces(NamedTuple):
    """Tokens by id: the 256 bytes, then the others by falling score."""

    tokens: tuple[bytes, ...]
    scores: NDArray[np.float32]
    """Of each, between -2 and -1, a multiple of 2^-16."""


def learn_fewest(
    counts: pa.Table, sizes: Sequence[int], *, min_count: int = 2, max_token_chars: int = MAX_TOKEN_CHARS
) -> dict[int, FewestPieces]:
    """For each of `sizes` at most so many tokens beside the bytes, from the columns of COUNTS.

    `min_count`, `max_token_chars`: of the merges that propose tokens, which follow the boundary rule. The same table
    gives the same tokens, whatever other sizes are asked. Raises ConfigError where there is nothing to learn from.

    >>> table = pa.table({"pretoken": pa.array([b"abc", b"abd"], pa.large_binary()), "count": [5, 4]})
    >>> learn_fewest(table, [1])[1].tokens[256:]
    (b'abc',)
    """
    most = CANDIDATES * max(sizes)
    merges = learn_merges(counts, most, min_count=min_count, max_token_chars=max_token_chars)
    if not len(merges):
        raise ConfigError(f"no two bytes stand together {min_count} times; count more text")
    # The first merges are what fewer would be.
    return {size: _pruned(counts, Vocabulary(merges[: CANDIDATES * size], (), "").tokens, size) for size in sizes}


def fewest_vocabularies(
    counts: pa.Table, vocab_sizes: Sequence[int], pattern: str, min_count: int, max_token_chars: int | None
) -> dict[int, Vocabulary]:
    """A vocabulary for each size, all ids counted, over the split that the counts were made with."""
    sizes = [merges_for(size) for size in vocab_sizes]
    found = learn_fewest(counts, sizes, min_count=min_count, max_token_chars=max_token_chars or MAX_TOKEN_CHARS)
    none = np.empty((0, 2), np.int32)
    each = zip(vocab_sizes, map(found.__getitem__, sizes), strict=True)
    return {
        size: Vocabulary(none, special_names(len(tokens) - 256), pattern, tokens[256:], scores)
        for size, (tokens, scores) in each
    }


def _pruned(counts: pa.Table, tokens: tuple[bytes, ...], n_pieces: int) -> FewestPieces:
    """The tokens without those that are missed least, `n_pieces` beside the bytes."""
    words = cut_unreached(*flat_counts(counts), *joined(tokens[256:]))
    while True:
        used = _uses(*words, tokens)
        if len(tokens) <= 256 + n_pieces:
            return _scored(tokens, used)
        loss = used * (best_without_itself(tokens, trie_of(tokens, -np.ones(len(tokens)))) - 1)
        n_kept = max(n_pieces, int(KEPT * (len(tokens) - 256)))
        # Of equal losses the older token stays.
        chosen = np.sort(256 + np.argsort(-loss[256:], kind="stable")[:n_kept])
        tokens = (*tokens[:256], *(tokens[at] for at in chosen.tolist()))


def _uses(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], weights: NDArray[np.int64], tokens: tuple[bytes, ...]
) -> NDArray[np.int64]:
    """How often each token stands in the words when they are cut into the fewest."""
    found, sizes = best_tokens(data, offsets, trie_of(tokens, -np.ones(len(tokens))))
    used = np.zeros(len(tokens), np.int64)
    np.add.at(used, found, np.repeat(weights, sizes))
    return used


def _scored(tokens: tuple[bytes, ...], used: NDArray[np.int64]) -> FewestPieces:
    """Tokens in order of their uses, with scores; what is not used counts as used once."""
    bits = np.log2(max(1, int(used.sum()))) - np.log2(np.maximum(used, 1))
    scores = -np.round((1 + np.minimum(bits / BITS_PER_TOKEN, 1 - SCORE_STEP)) / SCORE_STEP) * SCORE_STEP
    order = [*range(256), *sorted(range(256, len(tokens)), key=lambda at: (-scores[at], tokens[at]))]
    return FewestPieces(tuple(tokens[at] for at in order), scores[order].astype(np.float32))
