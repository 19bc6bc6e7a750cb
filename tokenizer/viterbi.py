"""Scored tokens and words in; each word as the tokens of the best sum of scores out: how a Unigram encodes.

The same ids as `tokenizers` gives: scores are added in 64 bits from the beginning of a word, and of equal sums the one
whose last token is longest stays (that library tries the places in order, and only a better sum replaces another).
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["Trie", "best_tokens", "best_without_itself", "joined", "trie_of"]

Array = NDArray[Any]
EMPTY = -1
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 / golden ratio: spreads keys over a table (Knuth, The Art of Computer Programming 6.4)."""
NOTHING = np.empty(0, np.int32)


class Trie(NamedTuple):
    """Tokens as paths of bytes from node 0; edges in a table of open addressing, a power of two long."""

    edges: NDArray[np.int64]
    """The node << 8 | the byte that leads on; EMPTY where none is."""
    nodes: NDArray[np.int32]
    """The node behind each edge."""
    tokens: NDArray[np.int32]
    """The token that ends at each node; EMPTY where none does."""
    scores: NDArray[np.float64]
    """Of each token."""
    whole: bool
    """No best path enters a character that is a token itself: every token is whole characters or a part of one, and any
    single token is better than any two."""


def joined(words: tuple[bytes, ...]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Words end to end, and where each begins and the last ends.

    >>> joined((b"ab", b"c"))[1].tolist()
    [0, 2, 3]
    """
    ends = np.cumsum([len(word) for word in words], dtype=np.int64)
    return np.frombuffer(b"".join(words), np.uint8), np.concatenate([np.zeros(1, np.int64), ends])


def trie_of(tokens: tuple[bytes, ...], scores: NDArray[np.floating[Any]]) -> Trie:
    """A trie of distinct tokens; the 256 bytes must be among them, so that every word has a path."""
    data, offsets = joined(tokens)
    size = 1 << max(4, int(2 * len(data)).bit_length())
    edges, nodes = np.full(size, EMPTY, np.int64), np.zeros(size, np.int32)
    ends = _grow(data, offsets, edges, nodes)
    apart = bool(2 * scores.max() < scores.min())
    return Trie(edges, nodes, ends, scores.astype(np.float64), apart and not _mixed(data, offsets))


def best_tokens(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], trie: Trie
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Tokens of all words, end to end, and how many each has; word i is data[offsets[i]:offsets[i + 1]].

    Time grows with the bytes, whatever the length of a word.

    >>> trie = trie_of((*(bytes([byte]) for byte in range(256)), b"ab", b"abc"), np.full(258, -1.0))
    >>> tokens, counts = best_tokens(np.frombuffer(b"ababc", np.uint8), np.array([0, 2, 5]), trie)
    >>> tokens.tolist(), counts.tolist()
    ([256, 257], [1, 1])
    """
    return _best(data, offsets, trie, NOTHING)


def best_without_itself(tokens: tuple[bytes, ...], trie: Trie) -> NDArray[np.int64]:
    """Of how many other tokens each token but the 256 bytes is made at best; 1 for a byte."""
    left_out = np.arange(len(tokens), dtype=np.int32)
    left_out[:256] = EMPTY
    return _best(*joined(tokens), trie, left_out)[1]


def _best(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], trie: Trie, left_out: NDArray[np.int32]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    found = np.empty(len(data), np.uint32)
    counts = np.empty(len(offsets) - 1, np.int64)
    longest = int(np.diff(offsets).max(initial=0))
    sums, befores = np.empty(longest + 1, np.float64), np.empty(longest + 1, np.int64)
    lasts = np.empty(longest + 1, np.int32)
    total = _search(data, offsets, trie, left_out, sums, befores, lasts, found, counts)
    return found[:total], counts


@numba.njit(nogil=True, cache=True)
def _place(key: Any, size: int) -> int:
    return int((np.uint64(key) * GOLDEN) >> np.uint64(20)) & (size - 1)


@numba.njit(nogil=True, cache=True)
def _edge(edges: Array, node: int, byte: int) -> int:
    """Where the edge stands, or the empty place for it."""
    key = (np.int64(node) << 8) | np.int64(byte)
    at = _place(key, len(edges))
    while edges[at] != EMPTY and edges[at] != key:
        at = (at + 1) & (len(edges) - 1)
    return at


@numba.njit(nogil=True, cache=True)
def _grow(data: Array, offsets: Array, edges: Array, nodes: Array) -> Array:
    """Fill the table; the token of every node."""
    ends = np.full(len(data) + 1, EMPTY, np.int32)
    n_nodes = 1
    for token in range(len(offsets) - 1):
        node = 0
        for i in range(offsets[token], offsets[token + 1]):
            at = _edge(edges, node, data[i])
            if edges[at] == EMPTY:
                edges[at] = (np.int64(node) << 8) | np.int64(data[i])
                nodes[at] = n_nodes
                n_nodes += 1
            node = nodes[at]
        ends[node] = token
    return ends[:n_nodes].copy()


@numba.njit(nogil=True, cache=True)
def _width(first: int) -> int:
    """Bytes of the character with that first byte; 1 inside of one."""
    if first < 0xC0:
        return 1
    return 2 if first < 0xE0 else 3 if first < 0xF0 else 4


@numba.njit(nogil=True, cache=True)
def _mixed(data: Array, offsets: Array) -> bool:
    """Whether a token is neither whole characters nor inside of one."""
    for token in range(len(offsets) - 1):
        start, end = offsets[token], offsets[token + 1]
        begins = 0x80 <= data[start] < 0xC0
        lacks, n_chars = 0, 0
        for i in range(start, end):
            if not 0x80 <= data[i] < 0xC0:
                n_chars += 1
                lacks = _width(data[i])
            lacks -= 1
        if (begins and n_chars > 0) or (not begins and lacks != 0 and n_chars > 1):
            return True
    return False


@numba.njit(nogil=True, cache=True)
def _search(
    data: Array,
    offsets: Array,
    trie: Trie,
    left_out: Array,
    sums: Array,
    befores: Array,
    lasts: Array,
    found: Array,
    counts: Array,
) -> int:
    """Fill `found` and `counts`; how many tokens in all. `sums`, `befores`, `lasts`: room for one word."""
    total = 0
    for word in range(len(offsets) - 1):
        start, size = offsets[word], offsets[word + 1] - offsets[word]
        sums[1 : size + 1] = -np.inf
        sums[0] = 0.0
        barred = left_out[word] if len(left_out) else EMPTY
        i = 0
        while i < size:
            width = _width(data[start + i]) if trie.whole else 0
            node, j, behind = 0, i, i + 1
            while j < size:
                at = _edge(trie.edges, node, data[start + j])
                if trie.edges[at] == EMPTY:
                    break
                node = trie.nodes[at]
                j += 1
                token = trie.tokens[node]
                if token == EMPTY or token == barred:
                    continue
                reached = sums[i] + trie.scores[token]
                if reached > sums[j]:
                    sums[j], befores[j], lasts[j] = reached, i, token
                if j - i == width:
                    behind = j
            i = behind
        n_tokens, j = 0, size
        while j > 0:
            n_tokens += 1
            j = befores[j]
        counts[word] = n_tokens
        total += n_tokens
        j, at = size, total
        while j > 0:
            at -= 1
            found[at] = lasts[j]
            j = befores[j]
    return total
