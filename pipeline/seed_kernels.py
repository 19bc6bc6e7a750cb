"""Runs of units looked up in a table of those of evaluation items, and the spans that such finds make."""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import jit

__all__ = ["chain_finds", "find_seeds", "hash_seeds", "judge_chains", "place_seeds"]

BASE = np.uint64(0x9E3779B97F4A7C15)
"""Multiplier of the polynomial hash of units, as in shingles."""
EDIT_COST = 2
"""Units in common that one edit undoes where a passage of a long item is looked for."""


@jit
def _mix(value: np.uint64) -> np.uint64:
    """MurmurHash3's 64-bit finalizer."""
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@jit
def hash_seeds(units: NDArray[np.uint64], size: int, out: NDArray[np.uint64]) -> int:
    """out: the 64-bit hash of every `size` consecutive units; how many. None where there are fewer units."""
    count = len(units) - size + 1
    if count < 1:
        return 0
    value, leading = np.uint64(0), np.uint64(1)
    for k in range(size):
        value = value * BASE + units[k]
        leading *= BASE
    out[0] = _mix(value)
    for k in range(size, len(units)):
        value = value * BASE + (units[k] - leading * units[k - size])
        out[k - size + 1] = _mix(value)
    return count


@jit
def place_seeds(seeds: NDArray[np.uint64], bits: int) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """A table of 2^bits places (the seed's number or -1; the next free place where one is taken) and a sieve.

    The sieve has eight bits for every place, one of them set for every seed: it turns away nearly all else.
    """
    table, sieve = np.full(1 << bits, -1, np.int32), np.zeros(1 << bits, np.uint8)
    mask = np.uint64((1 << bits) - 1)
    for number in range(len(seeds)):
        at = seeds[number] & mask
        sieve[at] |= np.uint8(1) << np.uint8(seeds[number] >> np.uint64(61))
        while table[at] >= 0:
            at = (at + np.uint64(1)) & mask
        table[at] = number
    return table, sieve


@jit
def find_seeds(
    units: NDArray[np.uint64],
    ends: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    sizes: NDArray[np.int64],
    seeds: NDArray[np.uint64],
    table: NDArray[np.int32],
    sieve: NDArray[np.uint8],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Text, place in its units and number of every seed that stands in the texts."""
    texts, places, found = np.empty(1024, np.int64), np.empty(1024, np.int64), np.empty(1024, np.int64)
    mask = np.uint64(len(table) - 1)
    longest = 0
    for text in range(len(kinds)):
        longest = max(longest, ends[text + 1] - ends[text])
    hashes = np.empty(longest + 1, np.uint64)
    n = 0
    for text in range(len(kinds)):
        count = hash_seeds(units[ends[text] : ends[text + 1]], sizes[kinds[text]], hashes)
        for k in range(count):
            at = hashes[k] & mask
            if not (sieve[at] >> np.uint8(hashes[k] >> np.uint64(61))) & np.uint8(1):
                continue
            while table[at] >= 0 and seeds[table[at]] != hashes[k]:
                at = (at + np.uint64(1)) & mask
            if table[at] < 0:
                continue
            if n == len(texts):
                texts = np.append(texts, np.empty_like(texts))
                places = np.append(places, np.empty_like(places))
                found = np.append(found, np.empty_like(found))
            texts[n], places[n], found[n] = text, k, table[at]
            n += 1
    return texts[:n], places[:n], found[:n]


@jit
def chain_finds(
    keys: NDArray[np.int64],
    places: NDArray[np.int64],
    in_item: NDArray[np.int64],
    size: int,
    gap: int,
    most_units: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """First find, last find and covered units of every span: finds of one text and item (key) no gap apart.

    Finds ascend by key and place and have `size` units. Covered are those units of the span or of the
    item, whichever are fewer, that a find stands on: what repeats in one of them alone counts once.
    """
    first, last = np.empty(len(keys), np.int64), np.empty(len(keys), np.int64)
    covered = np.empty(len(keys), np.int64)
    seen = np.zeros(most_units + 1, np.int64)
    n, begin, here, there = 0, 0, 0, 0
    for k in range(len(keys)):
        joins = k > 0 and keys[k] == keys[k - 1] and places[k] - places[k - 1] <= size + gap
        if not joins:
            begin, here, there = k, 0, 0
            n += 1
        here += min(size, places[k] - places[k - 1]) if joins else size
        for unit in range(in_item[k], in_item[k] + size):
            there += seen[unit] != n
            seen[unit] = n
        first[n - 1], last[n - 1], covered[n - 1] = begin, k, min(here, there)
    return first[:n], last[:n], covered[:n]


@jit
def _passage(text: NDArray[np.uint64], item: NDArray[np.uint64]) -> int:
    """Units in common of two pieces less EDIT_COST for each left out or added, at most (Smith and Waterman)."""
    scores, best = np.zeros(len(item) + 1, np.int64), 0
    for k in range(len(text)):
        diagonal = 0
        for j in range(1, len(item) + 1):
            score = max(0, scores[j] - EDIT_COST, scores[j - 1] - EDIT_COST)
            if text[k] == item[j - 1]:
                score = max(score, diagonal + 1)
            diagonal, scores[j] = scores[j], score
            best = max(best, score)
    return best


@jit
def _nearest(text: NDArray[np.uint64], item: NDArray[np.uint64]) -> tuple[int, int, int]:
    """Fewest units left out or added that make the item of a piece of the text, and where that begins and ends.

    Sellers' algorithm; a replaced unit is one left out and one added. Of equal pieces the first.
    """
    edits, begins = np.arange(len(item) + 1), np.zeros(len(item) + 1, np.int64)
    best, begin, end = len(item), 0, 0
    for k in range(len(text)):
        diagonal, diagonal_begin = edits[0], begins[0]
        edits[0], begins[0] = 0, k + 1
        for j in range(1, len(item) + 1):
            least, from_begin = edits[j] + 1, begins[j]
            if text[k] == item[j - 1] and diagonal < least:
                least, from_begin = diagonal, diagonal_begin
            if edits[j - 1] + 1 < least:
                least, from_begin = edits[j - 1] + 1, begins[j - 1]
            diagonal, diagonal_begin = edits[j], begins[j]
            edits[j], begins[j] = least, from_begin
        if edits[len(item)] < best:
            best, begin, end = edits[len(item)], begins[len(item)], k + 1
    return best, begin, end


@jit
def _lacking_ends(piece: NDArray[np.uint64], item: NDArray[np.uint64]) -> int:
    """Units of the item before the one that the piece begins with, and behind the one that it ends with."""
    if not len(piece):
        return len(item)
    first, last = 0, 0
    while first < len(item) and item[first] != piece[0]:
        first += 1
    while last < len(item) and item[-1 - last] != piece[-1]:
        last += 1
    return first + last


@jit
def judge_chains(
    chains: NDArray[np.int64],
    units: NDArray[np.uint64],
    ends: NDArray[np.int64],
    item_units: NDArray[np.uint64],
    item_ends: NDArray[np.int64],
    enough: int,
    edits: float,
    lacking: float,
) -> NDArray[np.int64]:
    """The chains (text, item, first unit, unit behind the last, covered) that count; a whole item's, where it is.

    A whole item has at most the share `edits` of its units left out or added, and `lacking` of them left out, those at
    its ends counted twice; of other items a passage has `enough` (see `_passage`).
    """
    held = np.empty_like(chains)
    n = 0
    for k in range(len(chains)):
        text, item, first, stop, covered = chains[k]
        here, whole = units[ends[text] : ends[text + 1]], item_units[item_ends[item] : item_ends[item + 1]]
        size = len(whole)
        counts = False
        if size < 2 * enough:
            begin, end = max(0, first - size), min(len(here), stop + size)
            few, at, behind = _nearest(here[begin:end], whole)
            at, behind = begin + at, begin + behind
            missing = (few + size - (behind - at)) // 2 + _lacking_ends(here[at:behind], whole)
            if few <= edits * size and missing <= lacking * size:
                first, stop, covered, counts = at, behind, max(covered, size - few), True
        if not counts and (covered < enough or _passage(here[first:stop], whole) < enough):
            continue
        # Two chains of an item that stands in one place are one span.
        if n and held[n - 1, 0] == text and held[n - 1, 1] == item and held[n - 1, 3] >= stop:
            continue
        held[n] = text, item, first, stop, covered
        n += 1
    return held[:n]
