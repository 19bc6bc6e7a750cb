"""Counts of character n-grams from what sorted neighbours agree in (ngram_kernels.py)."""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import int64, jit

__all__ = ["CHAR_COUNTS", "count_char_ngrams"]

CHAR_COUNTS = (
    *(f"{part}_char_{n}grams" for n in range(2, 11) for part in ("all", "top", "distinct", "dup")),
    *("frequent_char_5grams", "covered_chars"),
)
"""Of each order: n-grams, times the most frequent stands, distinct ones, distinct ones that stand more than once."""


LONGEST = 10
FREQUENT, COVERED = 36, 37
FEW_TIMES = 1 << 10


@jit
def count_char_ngrams(
    agree: NDArray[np.uint8], copied: NDArray[np.bool_], offsets: NDArray[np.int64], counts: NDArray[np.int64]
) -> None:
    """Fill counts[text, :] (CHAR_COUNTS) for every text from what `sort_places` found."""
    steps = np.empty(512, np.int32)
    for text in range(len(offsets) - 1):
        first, last = offsets[text], offsets[text + 1]
        if last > first:
            _tally(agree[first:last], last - first, steps, counts[text])
            if counts[text, 4 * (LONGEST - 2) + 3]:
                counts[text, COVERED] = _covered(copied[first:last], last - first)


@jit
def _longest_run(agree: NDArray[np.uint8], n: int, order: int) -> int:
    """Most neighbours in a row that agree in `order` characters; leaps as far as the best run so far."""
    best, at = 0, 1
    while at + best < n:
        back = at + best
        while back >= at and agree[back] >= order:
            back -= 1
        if back >= at:
            at = back + 1
            continue
        end = at + best + 1
        while end < n and agree[end] >= order:
            end += 1
        best, at = end - at, end + 1
    return best


@jit
def _tally(agree: NDArray[np.uint8], n: int, steps: NDArray[np.int32], out: NDArray[np.int64]) -> None:
    """The counts of every order from the agreement of neighbours."""
    for step in range(512):
        steps[step] = 0
    # Two tables: a count waits for the same count before it.
    before = int64(0)
    for k in range(n):
        now = int64(agree[k])
        steps[(k & 1) << 8 | before << 4 | now] += 1
        before = now
    for step in range(256):
        steps[step] += steps[256 + step]
    for order in range(2, min(LONGEST, n) + 1):
        distinct, repeated = 0, 0
        for low in range(LONGEST + 1):
            for high in range(LONGEST + 1):
                times = steps[low << 4 | high]
                distinct += times if high < order else 0
                repeated += times if low < order <= high else 0
        at = 4 * (order - 2)
        out[at], out[at + 1] = n - order + 1, _longest_run(agree, n, order) + 1
        # The last order - 1 places begin no n-gram; filled up with nothing they were all different.
        out[at + 2], out[at + 3] = distinct - (order - 1), repeated
    if n >= 5:
        out[FREQUENT] = _frequent(agree, n, out[4 * 3 + 2], out[4 * 3 + 3])


@jit
def _frequent(agree: NDArray[np.uint8], n: int, n_distinct: int, n_repeated: int) -> int:
    """How often the sqrt(n_distinct) most frequent 5-grams stand together, of those that stand more than once."""
    wanted = min(int64(np.sqrt(n_distinct)), n_repeated)
    if wanted == 0:
        return 0
    few, many, n_many, run = np.zeros(FEW_TIMES + 1, np.int64), np.empty(n // FEW_TIMES + 1, np.int64), 0, 1
    for k in range(1, n):
        # No branch for the many short runs; long ones are n // FEW_TIMES at most.
        goes_on = agree[k] >= 5
        few[min(run, FEW_TIMES)] += not goes_on
        if run >= FEW_TIMES and not goes_on:
            many[n_many] = run
            n_many += 1
        run = run * goes_on + 1
    if run >= FEW_TIMES:
        many[n_many] = run
        n_many += 1
    else:
        few[run] += 1
    total, times = 0, int64(FEW_TIMES - 1)
    while n_many and wanted > 0:
        most = 0
        for k in range(n_many):
            most = k if many[k] > many[most] else most
        total, wanted, n_many = total + many[most], wanted - 1, n_many - 1
        many[most] = many[n_many]
    while wanted > 0:
        taken = min(wanted, few[times])
        total, wanted, times = total + taken * times, wanted - taken, times - 1
    return total


@jit
def _covered(copied: NDArray[np.bool_], n: int) -> int:
    """Characters that copied 10-grams cover."""
    covered, reach = 0, 0
    for k in range(n):
        if copied[k]:
            covered += k + LONGEST - max(k, reach)
            reach = k + LONGEST
    return covered
