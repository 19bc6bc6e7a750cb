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
    longest = 1
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    steps, begins = np.empty(512, np.int32), np.empty(longest, np.int32)
    for text in range(len(offsets) - 1):
        first, last = offsets[text], offsets[text + 1]
        if last > first:
            _tally(agree[first:last], last - first, steps, begins, counts[text])
            if counts[text, 4 * (LONGEST - 2) + 3]:
                counts[text, COVERED] = _covered(copied[first:last], last - first)


@jit
def _longest_run(agree: NDArray[np.uint8], n: int, order: int, best: int) -> int:
    """Most neighbours in a row that agree in `order` characters, of whom `best` are known; leaps as far as the best."""
    at = 1
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
def _tally(
    agree: NDArray[np.uint8], n: int, steps: NDArray[np.int32], begins: NDArray[np.int32], out: NDArray[np.int64]
) -> None:
    """The counts of every order from the agreement of neighbours."""
    for step in range(512):
        steps[step] = 0
    # Two tables: a count waits for the same count before it.
    before, four = np.uint32(0), np.uint32(4)
    for k in range(n):
        now = np.uint32(agree[k])
        steps[np.uint32((k & 1) << 8) | before << four | now] += 1
        before = now
    for step in range(256):
        steps[step] += steps[256 + step]
    run = int64(0)
    for order in range(min(LONGEST, n), 1, -1):
        distinct, repeated = 0, 0
        for low in range(LONGEST + 1):
            for high in range(LONGEST + 1):
                times = steps[low << 4 | high]
                distinct += times if high < order else 0
                repeated += times if low < order <= high else 0
        at = 4 * (order - 2)
        run = _longest_run(agree, n, order, run)
        out[at], out[at + 1] = n - order + 1, run + 1
        # The last order - 1 places begin no n-gram; filled up with nothing they were all different.
        out[at + 2], out[at + 3] = distinct - (order - 1), repeated
    if n >= 5:
        out[FREQUENT] = _frequent(agree, n, out[4 * 3 + 2], out[4 * 3 + 3], out[4 * 3 + 1], begins)


@jit
def _frequent(
    agree: NDArray[np.uint8], n: int, n_distinct: int, n_repeated: int, most: int, begins: NDArray[np.int32]
) -> int:
    """How often the sqrt(n_distinct) most frequent 5-grams stand together, of those that stand more than once."""
    wanted = min(int64(np.sqrt(n_distinct)), n_repeated)
    if wanted == 0:
        return 0
    times = min(most, int64(FEW_TIMES - 1))
    few, many, n_many = np.zeros((times + 1) * 4, np.int32), np.empty(n // FEW_TIMES + 1, np.int64), 0
    # Where runs begin is gathered without a branch, for most are short.
    n_begins = 0
    for k in range(1, n):
        begins[n_begins] = k
        n_begins += agree[k] < 5
    begins[n_begins] = n
    # Four tables: a count waits for the same count before it.
    before = 0
    for k in range(n_begins + 1):
        run, before = int64(begins[k]) - before, int64(begins[k])
        if run < FEW_TIMES:
            few[np.uint64(run << 2 | k & 3)] += 1
        else:
            many[n_many] = run
            n_many += 1
    total = 0
    while n_many and wanted > 0:
        best = 0
        for k in range(n_many):
            best = k if many[k] > many[best] else best
        total, wanted, n_many = total + many[best], wanted - 1, n_many - 1
        many[best] = many[n_many]
    while wanted > 0:
        taken = min(wanted, few[4 * times] + few[4 * times + 1] + few[4 * times + 2] + few[4 * times + 3])
        total, wanted, times = total + taken * times, wanted - taken, times - 1
    return total


@jit
def _covered(copied: NDArray[np.bool_], n: int) -> int:
    """Characters that copied 10-grams cover."""
    covered, reach = 0, 0
    for k in range(n):
        reach = k + LONGEST if copied[k] else reach
        covered += k < reach
    return covered
