"""Runs of units looked up in a table of those of evaluation items, and the spans that such finds make."""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import jit

__all__ = ["chain_finds", "find_seeds", "hash_seeds", "judge_chains", "place_seeds"]

BASE = np.uint64(0x9E3779B97F4A7C15)
"""Multiplier of the polynomial hash of units, as in shingles."""


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
def _nearest(text: NDArray[np.uint64], item: NDArray[np.uint64]) -> tuple[int, int, int]:
    """Least edits that make a piece of the text the item, and where the first such piece begins and ends (Sellers)."""
    edits, begins = np.arange(len(item) + 1), np.zeros(len(item) + 1, np.int64)
    best, begin, end = len(item), 0, 0
    for k in range(len(text)):
        diagonal, diagonal_begin = edits[0], begins[0]
        edits[0], begins[0] = 0, k + 1
        for j in range(1, len(item) + 1):
            least, from_begin = diagonal + (text[k] != item[j - 1]), diagonal_begin
            if edits[j] + 1 < least:
                least, from_begin = edits[j] + 1, begins[j]
            if edits[j - 1] + 1 < least:
                least, from_begin = edits[j - 1] + 1, begins[j - 1]
            diagonal, diagonal_begin = edits[j], begins[j]
            edits[j], begins[j] = least, from_begin
        if edits[len(item)] < best:
            best, begin, end = edits[len(item)], begins[len(item)], k + 1
    return best, begin, end


@jit
def judge_chains(
    chains: NDArray[np.int64],
    units: NDArray[np.uint64],
    ends: NDArray[np.int64],
    item_units: NDArray[np.uint64],
    item_ends: NDArray[np.int64],
    enough: int,
    edits: float,
) -> NDArray[np.int64]:
    """The chains (text, item, first unit, unit behind the last, covered) that count; a short item's, where it is."""
    held = np.empty_like(chains)
    n = 0
    for k in range(len(chains)):
        text, item, first, stop, covered = chains[k]
        size = item_ends[item + 1] - item_ends[item]
        if size < 2 * enough and covered < size:
            here = units[ends[text] : ends[text + 1]]
            begin, end = max(0, first - size), min(len(here), stop + size)
            few, at, behind = _nearest(here[begin:end], item_units[item_ends[item] : item_ends[item + 1]])
            if few <= edits * size:
                first, stop, covered = begin + at, begin + behind, max(covered, size - few)
            elif covered < enough:
                continue
        elif covered < min(enough, size):
            continue
        # Two chains of an item that stands in one place are one span.
        if n and held[n - 1, 0] == text and held[n - 1, 1] == item and held[n - 1, 3] >= stop:
            continue
        held[n] = text, item, first, stop, covered
        n += 1
    return held[:n]
