"""Words as flat arrays of symbols in; the merges that join their commonest pairs out: the kernel behind bpe.py.

Symbols stand in one array, a gap (its first number) before, between and behind the words. A token's id stands at its
first and at its last position, gap - 1 where a token began that was its right part; the rest of it is never read.

Places (first positions) of a pair stand together in one pool, in rising order, listed once by the merge that made its
younger token. A place may go stale, which its two symbols tell. What a merge (a, b) takes from the pair (x, a) it gives
to (x, new), so gains and losses are summed by neighbour, and a pair is looked up once a merge, not once a place.
Counts only fall once a pair is listed: a pair seen less than `min_count` times is never listed at all.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from seimai.pipeline.text_kernels import jit_in_place

from .heap import pop, push
from .merge_pairs import (
    CONTINUATION,
    FEW,
    ID_BITS,
    ID_MASK,
    NO_PAIRS,
    SPARE,
    Pairs,
    Tokens,
    allowed,
    first_pairs,
    first_pairs_of_many,
    keep_live,
    list_pair,
    probe,
    with_room,
)
from .prefetch import prefetch
from .words import Words, weight_at

__all__ = ["CONTINUATION", "NO_PAIRS", "merge_loop"]

Array = NDArray[Any]
AHEAD = 12
"""Places between the one merged and the one asked for meanwhile: a sixth of the loop's time."""


class Sums(NamedTuple):
    """What one merge changes, per neighbouring token; zero between merges."""

    weights: Array
    """Summed counts, int64."""
    places: Array
    """How many places, later where to write the next, int64."""
    touched: Array
    """The tokens that are not zero, int32."""


@numba.njit(cache=True, nogil=True)
def _heap_of(pairs: Pairs, n_slots: int) -> Array:
    """A heap of all slots, with room for those to come."""
    heap = np.empty((len(pairs.keys), 2), np.int64)
    for slot in range(n_slots):
        push(heap, slot, pairs.totals[slot], slot, pairs.keys)
    return heap


@jit_in_place
def _add(sums: Sums, n_touched: int, token: int, weight: int) -> int:
    if sums.places[token] == 0:
        sums.touched[n_touched] = token
        n_touched += 1
    sums.weights[token] += weight
    sums.places[token] += 1
    return n_touched


@jit_in_place
def _join(
    words: Words, lengths: Array, a: int, b: int, new: int, places: Array, left: Sums, right: Sums, found: Array
) -> tuple[int, int, int]:
    """Merge (a, b) at its places; those not stale move to the front, `found` keeps their left and right neighbours.

    Returns how many they are, and how many tokens stand to the left and to the right of them.
    """
    symbols, n_found, n_left, n_right = words.symbols, 0, 0, 0
    gap = symbols[0]
    hollow = gap - 1
    for i in range(len(places)):
        if i + AHEAD < len(places):
            prefetch(symbols, places[i + AHEAD])
        place = places[i]
        middle = place + lengths[a]
        if symbols[place] != a or symbols[middle] != b:
            continue
        end, weight = middle + lengths[b], weight_at(words, place)
        x, y = symbols[place - 1], symbols[end]
        symbols[middle] = hollow
        symbols[place], symbols[end - 1] = new, new
        if x != gap:
            n_left = _add(left, n_left, x, weight)
        if y != gap:
            n_right = _add(right, n_right, y, weight)
        found[n_found, 0], found[n_found, 1], places[n_found] = x, y, place
        n_found += 1
    return n_found, n_left, n_right


@jit_in_place
def _key(token: int, neighbour: int, on_right: bool) -> int:
    """The pair of a token with its neighbour on that side."""
    if on_right:
        return int((np.int64(token) << ID_BITS) | neighbour)
    return int((np.int64(neighbour) << ID_BITS) | token)


@jit_in_place
def _settle(
    pairs: Pairs, sums: Sums, n_touched: int, part: int, new: int, on_right: bool, twice: Array, tokens: Tokens,
    limits: Array, state: Array, heap: Array,
) -> None:  # fmt: skip
    """Book what a merge took from the pairs of `part` with its neighbours on one side, and list those it made.

    `twice`: a token and the weight with which its pair was made and merged again. `state`: slots, places, heap size.
    """
    for i in range(n_touched):
        token = sums.touched[i]
        weight, size = sums.weights[token], sums.places[token]
        sums.weights[token], sums.places[token] = 0, -1
        if token != new:
            slot = pairs.table[probe(pairs, _key(part, token, on_right))]
            if slot >= 0:
                pairs.totals[slot] -= weight
        if token == twice[0]:
            weight -= twice[1]
        first, second = (new, token) if on_right else (token, new)
        if weight < limits[0] or not allowed(first, second, tokens, limits[1]):
            continue
        slot, start, key = state[0], state[1], _key(new, token, on_right)
        list_pair(pairs, slot, key, weight, start, size)
        sums.places[token] = start
        state[0], state[1], state[2] = slot + 1, start + size, push(heap, state[2], weight, slot, pairs.keys)


@jit_in_place
def _write_places(pool: Array, places: Array, found: Array, gap: int, lengths: Array, left: Sums, right: Sums) -> None:
    """Put each place behind the others of its pair."""
    for i in range(len(places)):
        x, y = found[i]
        if x != gap and left.places[x] >= 0:
            pool[left.places[x]] = places[i] - lengths[x]
            left.places[x] += 1
        if y != gap and right.places[y] >= 0:
            pool[right.places[y]] = places[i]
            right.places[y] += 1


@jit_in_place
def _forget(sums: Sums, n_touched: int) -> None:
    for i in range(n_touched):
        sums.places[sums.touched[i]] = 0


@numba.njit(cache=True, nogil=True)
def _empty_sums(n_tokens: int) -> Sums:
    return Sums(np.zeros(n_tokens, np.int64), np.zeros(n_tokens, np.int64), np.empty(n_tokens, np.int32))


@numba.njit(cache=True, nogil=True)
def merge_loop(
    words: Words, missing: Array, chars: Array, n_merges: int, min_count: int, max_chars: int, barred: Array
) -> tuple[Array, Array]:
    """At most `n_merges` merges of ids, shape (n, 2), and how often each pair stood there, none below `min_count`.

    `missing` and `chars`: what Tokens says of the first symbols, the 256 bytes or more; the first merge makes the id
    behind them. `barred`: pairs of more than FEW first symbols that are never merged, as a << 32 | b. `words.symbols`
    is changed.
    """
    n_first = len(missing)
    most = n_first + n_merges
    tokens = Tokens(np.ones(most, np.int32), np.zeros(most, np.int8), np.zeros(most, np.int32))
    tokens.missing[:n_first], tokens.chars[:n_first] = missing, chars
    left, right, found = _empty_sums(most), _empty_sums(most), np.empty((0, 2), words.symbols.dtype)
    limits, state, twice = np.array([min_count, max_chars]), np.zeros(3, np.int64), np.zeros(2, np.int64)
    merges, counts, done = np.empty((n_merges, 2), np.int32), np.empty(n_merges, np.int64), 0
    if n_first <= FEW:
        pairs, n_slots, n_places = first_pairs(words, tokens, max_chars, min_count)
    else:
        pairs, n_slots, n_places = first_pairs_of_many(words, tokens, max_chars, min_count, barred)
    heap = _heap_of(pairs, n_slots)
    state[0], state[1], state[2] = n_slots, n_places, n_slots
    while state[2] > 0 and done < n_merges:
        total, merged = heap[0, 0], heap[0, 1]
        if pairs.totals[merged] != total:
            # Counts only fall, so an old one may wait in the heap until it comes up.
            state[2] = pop(heap, state[2], pairs.keys)
            if pairs.totals[merged] >= min_count:
                state[2] = push(heap, state[2], pairs.totals[merged], merged, pairs.keys)
            continue
        key, new = pairs.keys[merged], n_first + done
        a, b = key >> ID_BITS, key & ID_MASK
        # A pair has at most one new neighbour per place and per token on either side, an unfinished one on its right.
        tokens.missing[new] = tokens.missing[a] + tokens.missing[b] if tokens.missing[a] > 0 else 0
        sides = 1 if tokens.missing[new] > 0 else 2
        most_slots, most_places = sides * min(pairs.sizes[merged], new), sides * pairs.sizes[merged]
        if state[0] + most_slots > len(pairs.keys) or state[1] + most_places > len(pairs.pool):
            n_slots, n_places = keep_live(pairs, state[0], words.symbols, tokens.lengths, min_count)
            pairs = with_room(pairs, n_slots, n_places, most_slots + SPARE, most_places + SPARE)
            heap = _heap_of(pairs, n_slots)
            state[0], state[1], state[2] = n_slots, n_places, n_slots
            merged = pairs.table[probe(pairs, key)]
        state[2] = pop(heap, state[2], pairs.keys)
        merges[done, 0], merges[done, 1], counts[done] = a, b, total
        done += 1
        tokens.lengths[new], tokens.chars[new] = (
            tokens.lengths[a] + tokens.lengths[b],
            tokens.chars[a] + tokens.chars[b],
        )
        places = pairs.pool[pairs.starts[merged] : pairs.starts[merged] + pairs.sizes[merged]]
        if len(places) > len(found):
            found = np.empty((len(places), 2), words.symbols.dtype)
        n_found, n_left, n_right = _join(words, tokens.lengths, a, b, new, places, left, right, found)
        pairs.totals[merged] = 0
        # Where `new` follows itself, (new, a) was booked for the first one and is gone with the second.
        twice[0], twice[1] = a, left.weights[new]
        _settle(pairs, right, n_right, b, new, True, twice, tokens, limits, state, heap)
        twice[0] = -1
        _settle(pairs, left, n_left, a, new, False, twice, tokens, limits, state, heap)
        _write_places(pairs.pool, places[:n_found], found[:n_found], words.symbols[0], tokens.lengths, left, right)
        _forget(left, n_left)
        _forget(right, n_right)
    return merges[:done], counts[:done]
