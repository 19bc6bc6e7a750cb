"""Sets of shingle hashes laid end to end: sorted, intersected, and stars of candidates checked by exact Jaccard.

A set i is hashes[offsets[i]:offsets[i + 1]], ascending, without repeats. The Jaccard similarity of a and b is
|a & b| / |a | b|, 0 where both are empty: documents without a shingle are like nothing.
"""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import jit

__all__ = ["NOBODY", "jaccard_of_pairs", "join_rest", "join_stars", "sort_sets", "take_sets"]

NOBODY = -1
"""A member that no leader took and that came too late to lead."""


@jit
def _sort(values: NDArray[np.uint32], spare: NDArray[np.uint32]) -> int:
    """Sort in place, repeats dropped; how many are left.  Radix over bytes: a third of quicksort's time at 1,000."""
    n = len(values)
    if n <= 32:
        for k in range(1, n):
            value, j = values[k], k
            while j > 0 and values[j - 1] > value:
                values[j] = values[j - 1]
                j -= 1
            values[j] = value
    else:
        counts = np.zeros((4, 256), np.int64)
        for k in range(n):
            value = values[k]
            for digit in range(4):
                counts[digit, (value >> np.uint32(8 * digit)) & np.uint32(255)] += 1
        for digit in range(4):
            at = 0
            for k in range(256):
                at, counts[digit, k] = at + counts[digit, k], at
            source, target = (values, spare) if digit % 2 == 0 else (spare, values)
            for k in range(n):
                place = (source[k] >> np.uint32(8 * digit)) & np.uint32(255)
                target[counts[digit, place]] = source[k]
                counts[digit, place] += 1
    kept = 0
    for k in range(n):
        if k == 0 or values[k] != values[kept - 1]:
            values[kept] = values[k]
            kept += 1
    return kept


@jit
def sort_sets(hashes: NDArray[np.uint32], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Make sets of runs of hashes: each is sorted and loses its repeats, and all close ranks; the new offsets."""
    longest = 0
    for i in range(len(offsets) - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    spare = np.empty(longest, np.uint32)
    ends = np.zeros(len(offsets), np.int64)
    for i in range(len(offsets) - 1):
        part = hashes[offsets[i] : offsets[i + 1]]
        kept = _sort(part, spare)
        for k in range(kept):
            hashes[ends[i] + k] = part[k]
        ends[i + 1] = ends[i] + kept
    return ends


@jit
def take_sets(
    offsets: NDArray[np.int64], hashes: NDArray[np.uint32], wanted: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """The sets of these numbers, in this order, laid end to end."""
    ends = np.zeros(len(wanted) + 1, np.int64)
    for i in range(len(wanted)):
        ends[i + 1] = ends[i] + offsets[wanted[i] + 1] - offsets[wanted[i]]
    taken = np.empty(ends[-1], np.uint32)
    for i in range(len(wanted)):
        begin = offsets[wanted[i]]
        for k in range(ends[i + 1] - ends[i]):
            taken[ends[i] + k] = hashes[begin + k]
    return ends, taken


@jit
def jaccard_of_pairs(
    offsets: NDArray[np.int64], hashes: NDArray[np.uint32], pairs: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The Jaccard similarity of the sets pairs[i, 0] and pairs[i, 1], for each i."""
    found = np.zeros(len(pairs))
    for i in range(len(pairs)):
        x, y = offsets[pairs[i, 0]], offsets[pairs[i, 1]]
        x_end, y_end = offsets[pairs[i, 0] + 1], offsets[pairs[i, 1] + 1]
        total, shared = x_end - x + y_end - y, 0
        while x < x_end and y < y_end:
            one, other = hashes[x], hashes[y]
            x += one <= other
            y += other <= one
            shared += one == other
        if total > 0:
            found[i] = shared / (total - shared)
    return found


@jit
def _alike(offsets: NDArray[np.int64], hashes: NDArray[np.uint32], a: int, b: int, threshold: float) -> bool:
    """Whether two sets have at least that Jaccard similarity; stops as soon as they cannot have it."""
    x, y, x_end, y_end = offsets[a], offsets[b], offsets[a + 1], offsets[b + 1]
    total = x_end - x + y_end - y
    if total == 0:
        return False
    # The fewest shared hashes at which the quotient, as computed, reaches the threshold.
    needed = int(threshold * total / (1.0 + threshold))
    while needed > 0 and (needed - 1) / (total - needed + 1) >= threshold:
        needed -= 1
    while needed / (total - needed) < threshold:
        needed += 1
    if min(x_end - x, y_end - y) < needed:
        return False
    spare = total - 2 * needed
    while x < x_end and y < y_end:
        one, other = hashes[x], hashes[y]
        x += one <= other
        y += other <= one
        spare -= one != other
        if spare < 0:
            return False
    return bool(spare >= x_end - x + y_end - y)


@jit
def join_stars(
    starts: NDArray[np.int64],
    members: NDArray[np.int64],
    offsets: NDArray[np.int64],
    hashes: NDArray[np.uint32],
    threshold: float,
    leaders: int,
    few: int,
) -> tuple[NDArray[np.int64], int, int]:
    """Edges (n, 2) within each star members[starts[s]:starts[s + 1]], centre first, members ascending.

    A star of at most `few` is joined exactly: every pair not connected so far is compared. A larger one by leaders:
    the centre is the first; a member no leader takes becomes the next, while there are fewer than `leaders`.
    Also returns how many members were compared with their centre, and how many of these it turned away.
    """
    edges = np.empty((len(members), 2), np.int64)
    group = np.empty(few, np.int64)
    leading = np.empty(leaders, np.int64)
    n, compared, cut = 0, 0, 0
    for s in range(len(starts) - 1):
        star = members[starts[s] : starts[s + 1]]
        compared += max(len(star) - 1, 0)
        if len(star) <= few:
            for i in range(len(star)):
                group[i] = i
            for i in range(len(star)):
                for j in range(i + 1, len(star)):
                    if group[i] == group[j]:
                        continue
                    if _alike(offsets, hashes, star[i], star[j], threshold):
                        edges[n, 0], edges[n, 1] = star[i], star[j]
                        n += 1
                        old = group[j]
                        for k in range(len(star)):
                            if group[k] == old:
                                group[k] = group[i]
                    elif i == 0:
                        cut += 1
        else:
            many = 0
            for i in range(len(star)):
                taken = False
                for k in range(many):
                    if _alike(offsets, hashes, leading[k], star[i], threshold):
                        edges[n, 0], edges[n, 1] = leading[k], star[i]
                        n += 1
                        taken = True
                        break
                    cut += k == 0
                if not taken and many < leaders:
                    leading[many] = star[i]
                    many += 1
    return edges[:n], compared, cut


@jit
def join_rest(
    offsets: NDArray[np.int64],
    hashes: NDArray[np.uint32],
    many: int,
    threshold: float,
    leaders: int,
    leading: NDArray[np.int64],
) -> tuple[NDArray[np.int64], int]:
    """The leader that takes each set: itself where it becomes one, NOBODY where it comes too late; and how many lead.

    `join_stars` for a star that comes in pieces: the first `many` sets are the leaders so far; `leading` gets the
    numbers of all. Together with what the piece before said this is what `join_stars` does with the whole.
    """
    found = np.full(len(offsets) - 1, NOBODY, np.int64)
    for k in range(many):
        leading[k] = found[k] = k
    for i in range(many, len(offsets) - 1):
        for k in range(many):
            if _alike(offsets, hashes, leading[k], i, threshold):
                found[i] = leading[k]
                break
        if found[i] == NOBODY and many < leaders:
            leading[many] = found[i] = i
            many += 1
    return found, many
