"""Words as symbols in; the few merges that stand nearly everywhere, made by reading all words, out.

In Japanese one pair of bytes in six is E3 81: to list its places, and those of the pairs it makes, takes a tenth of the
time and a third of the memory of the loop. A merge that stands at one position in 1,024 is made by moving all symbols
together, several at one reading where they cannot touch each other, and the loop of merge_loop.py begins with a shorter
text.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from seimai.pipeline.text_kernels import jit_in_place

from .merge_pairs import Tokens, allowed
from .words import Words, with_blocks

__all__ = ["first_merges"]

Array = NDArray[Any]
MOST = 64
"""Most merges made this way."""
SHARE = 1024
"""Most positions for each place of such a merge. On 15 MB of Japanese 32, 128 and 256 took a tenth longer in all: some
40 merges are made by reading all words ten to fifteen times, and the loop begins with a quarter fewer symbols."""


def first_merges(
    words: Words, missing: Array, chars: Array, n_merges: int, min_count: int, max_chars: int
) -> tuple[Array, Words, Array, Array]:
    """The first merges as pairs of ids, shape (n, 2), and what merge_loop needs for those behind them.

    At most `n_merges`, and none below `min_count`; `missing` and `chars`: of the 256 bytes, and returned with the new
    tokens. `words.symbols` is changed.
    """
    merges, size, starts, missing, chars = _first_merges(
        words, missing, chars, min(n_merges, MOST), min_count, max_chars, SHARE
    )
    symbols = words.symbols[:size].copy() if len(merges) else words.symbols
    return merges, with_blocks(symbols, starts, words.group_counts), missing, chars


@numba.njit(cache=True, nogil=True)
def _first_merges(
    words: Words, missing: Array, chars: Array, most: int, min_count: int, max_chars: int, share: int
) -> tuple[Array, int, Array, Array, Array]:
    n_tokens = len(missing) + most
    tokens = Tokens(np.ones(n_tokens, np.int32), np.zeros(n_tokens, np.int8), np.zeros(n_tokens, np.int32))
    tokens.missing[: len(missing)], tokens.chars[: len(missing)] = missing, chars
    sums = np.zeros((n_tokens, n_tokens, 2), np.int64)
    starts, gap = words.group_starts.copy(), np.int64(words.symbols[0])
    for group in range(len(words.group_counts)):
        for place in range(starts[group], starts[group + 1] - 1):
            left, right = np.int64(words.symbols[place]), np.int64(words.symbols[place + 1])
            if left != gap and right != gap:
                _add(sums, left, right, words.group_counts[group], 1)
    merges, done, known = np.empty((most, 2), np.int32), 0, len(missing)
    joined, ends = np.zeros((n_tokens, n_tokens), np.int32), np.zeros(n_tokens, np.bool_)
    while done < most:
        n_new = _next(sums, joined, merges[done:], known, tokens, min_count, max_chars, starts[-1] // share)
        if n_new == 0:
            break
        ends[:] = False
        for i in range(done, done + n_new):
            ends[merges[i, 1]] = True
        _replace(words.symbols, starts, words.group_counts, joined, ends, sums)
        for i in range(done, done + n_new):
            joined[merges[i, 0], merges[i, 1]] = 0
        done, known = done + n_new, known + n_new
    return merges[:done].copy(), starts[-1], starts, tokens.missing[:known].copy(), tokens.chars[:known].copy()


@jit_in_place
def _add(sums: Array, a: Any, b: Any, weight: int, places: int) -> None:
    sums[a, b, 0] += weight
    sums[a, b, 1] += places


@jit_in_place
def _next(
    sums: Array, joined: Array, merges: Array, known: int, tokens: Tokens, min_count: int, max_chars: int, places: int
) -> int:
    """Write the next merges to `merges`, and to `joined` what they make; returns how many can be made at one reading.

    A merge (a, b) changes pairs that end with a or begin with b, and what it makes is never seen more often than those
    were. All pairs seen more often than any of them come next in any case, and no two of them touch each other.
    """
    n_new, changed = 0, np.int64(0)
    while n_new < len(merges):
        a, b = _commonest(sums, joined, known, tokens, max_chars)
        total = sums[a, b, 0]
        if total < min_count or sums[a, b, 1] < places or total <= changed or joined[a, b] != 0:
            break
        new = known + n_new
        merges[n_new, 0], merges[n_new, 1], joined[a, b] = a, b, new
        tokens.missing[new] = tokens.missing[a] + tokens.missing[b] if tokens.missing[a] > 0 else 0
        tokens.chars[new] = tokens.chars[a] + tokens.chars[b]
        for other in range(known):
            changed = max(changed, sums[other, a, 0], sums[b, other, 0])
        n_new += 1
    return n_new


@jit_in_place
def _commonest(sums: Array, joined: Array, n_tokens: int, tokens: Tokens, max_chars: int) -> tuple[int, int]:
    """The pair with the largest sum that may be merged and is not yet, of equals the one with the smallest ids."""
    first, second, most = 0, 0, np.int64(-1)
    for a in range(n_tokens):
        for b in range(n_tokens):
            if sums[a, b, 0] > most and joined[a, b] == 0 and allowed(a, b, tokens, max_chars):
                first, second, most = a, b, sums[a, b, 0]
    return first, second


@jit_in_place
def _replace(symbols: Array, starts: Array, counts: Array, joined: Array, ends: Array, sums: Array) -> None:
    """Write joined[a, b] for a, b from left to right, closing the gaps this leaves; `sums` and `starts` follow.

    `ends`: the tokens that are b of any such pair.
    """
    gap, previous, end, n_tokens = symbols[0], symbols[0], 0, len(ends)
    for group in range(len(counts)):
        first, behind, weight = starts[group], starts[group + 1], counts[group]
        starts[group] = end
        for place in range(first, behind):
            symbol = symbols[place]
            if symbol >= n_tokens or not ends[symbol] or previous == gap or joined[previous, symbol] == 0:
                symbols[end] = symbol
                previous, end = symbol, end + 1
                continue
            a, b, new = previous, symbol, joined[previous, symbol]
            before, after = symbols[end - 2], gap if place + 1 == len(symbols) else symbols[place + 1]
            symbols[end - 1] = new
            previous = symbols[end - 1]
            _add(sums, a, b, -weight, -1)
            if before != gap:
                _add(sums, before, a, -weight, -1)
                _add(sums, before, new, weight, 1)
            if after != gap:
                _add(sums, b, after, -weight, -1)
                _add(sums, new, after, weight, 1)
    starts[-1] = end
