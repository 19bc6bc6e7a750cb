"""Words as symbols in; the few merges that stand nearly everywhere, made by reading all words once for each, out.

In Japanese one pair of bytes in six is E3 81: to list its places, and those of the pairs it makes, takes a tenth of the
time and a third of the memory of the loop. A merge that stands at one position in 32 is made by moving all symbols
together, and the loop of merge_loop.py begins with a shorter text.
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
SHARE, SHARE_WITHOUT_RULE = 32, 256
"""Most positions for each place of such a merge. On 15 MB of Japanese 32 took the least time of 16 to 128; without the
boundary rule, where every two bytes are a pair, 256 saves 10 MB for 0.1 s."""


def first_merges(
    words: Words, missing: Array, chars: Array, n_merges: int, min_count: int, max_chars: int
) -> tuple[Array, Words, Array, Array]:
    """The first merges as pairs of ids, shape (n, 2), and what merge_loop needs for those behind them.

    At most `n_merges`, and none below `min_count`; `missing` and `chars`: of the 256 bytes, and returned with the new
    tokens. `words.symbols` is changed.
    """
    share = SHARE if missing.any() else SHARE_WITHOUT_RULE
    merges, size, starts, missing, chars = _first_merges(
        words, missing, chars, min(n_merges, MOST), min_count, max_chars, share
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
    merges, done = np.empty((most, 2), np.int32), 0
    while done < most:
        new = len(missing) + done
        a, b = _commonest(sums, new, tokens, max_chars)
        if sums[a, b, 0] < min_count or sums[a, b, 1] * share < starts[-1]:
            break
        _replace(words.symbols, starts, words.group_counts, a, b, new, sums)
        tokens.missing[new] = tokens.missing[a] + tokens.missing[b] if tokens.missing[a] > 0 else 0
        tokens.chars[new] = tokens.chars[a] + tokens.chars[b]
        merges[done, 0], merges[done, 1] = a, b
        done += 1
    known = len(missing) + done
    return merges[:done].copy(), starts[-1], starts, tokens.missing[:known].copy(), tokens.chars[:known].copy()


@jit_in_place
def _add(sums: Array, a: Any, b: Any, weight: int, places: int) -> None:
    sums[a, b, 0] += weight
    sums[a, b, 1] += places


@jit_in_place
def _commonest(sums: Array, n_tokens: int, tokens: Tokens, max_chars: int) -> tuple[int, int]:
    """The pair with the largest sum that may be merged, of equals the one with the smallest ids."""
    first, second, most = 0, 0, np.int64(-1)
    for a in range(n_tokens):
        for b in range(n_tokens):
            if sums[a, b, 0] > most and allowed(a, b, tokens, max_chars):
                first, second, most = a, b, sums[a, b, 0]
    return first, second


@jit_in_place
def _replace(symbols: Array, starts: Array, counts: Array, a: Any, b: Any, new: int, sums: Array) -> None:
    """Write `new` for a, b from left to right, closing the gaps that this leaves; `sums` and `starts` follow."""
    gap, end = symbols[0], 0
    for group in range(len(counts)):
        first, behind, weight = starts[group], starts[group + 1], counts[group]
        starts[group] = end
        for place in range(first, behind):
            symbol = symbols[place]
            if symbol != b or symbols[end - 1] != a or place == 0:
                symbols[end] = symbol
                end += 1
                continue
            before, after = symbols[end - 2], gap if place + 1 == len(symbols) else symbols[place + 1]
            symbols[end - 1] = new
            _add(sums, a, b, -weight, -1)
            if before != gap:
                _add(sums, before, a, -weight, -1)
                _add(sums, before, new, weight, 1)
            if after != gap:
                _add(sums, b, after, -weight, -1)
                _add(sums, new, after, weight, 1)
    starts[-1] = end
