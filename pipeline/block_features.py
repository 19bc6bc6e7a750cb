"""Blocks of text in, what a model may know about each of them out: one row of numbers a block."""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .block_containers import INSIDE, N_CONTAINERS, fill_containers, inside_bits
from .block_topic import fill_topic, log_of, title_of
from .html_blocks import Blocks
from .html_scan import Scan
from .html_tables import HINTS, PHRASES, TAG_NAMES, Props, tag_table
from .text_kernels import jit_in_place

__all__ = ["N_FEATURES", "features_of"]

_N_HINTS: Final = len(HINTS)
_N_PHRASES: Final = len(PHRASES)
_N_INSIDE: Final = len(INSIDE)
_KINDS: Final = "p li td h1 h2 h3 pre div dd dt figcaption span".split()
_ALIKE: Final = {"th": "td", "h4": "h3", "h5": "h3", "h6": "h3", "listing": "pre", "caption": "figcaption"}

# Where each group of features begins.
_OWN: Final = 0
_KIND: Final = 15
_PHRASE: Final = _KIND + len(_KINDS)
_NEAR: Final = _PHRASE + _N_PHRASES
_FAR: Final = _NEAR + _N_HINTS
_IN: Final = _FAR + _N_HINTS
_AROUND: Final = _IN + _N_INSIDE
_BEST: Final = _AROUND + 16
_PLACE: Final = _BEST + 7
_PAGE: Final = _PLACE + 10
_BESIDE: Final = _PAGE + 7
_ALIKE_PLACE: Final = _BESIDE + 24 + 4
_HEADING: Final = _ALIKE_PLACE + 6
_TOPIC: Final = _HEADING + _N_PHRASES + 1
_CONTAINERS: Final = _TOPIC + 3
N_FEATURES: Final = _CONTAINERS + N_CONTAINERS
"""Numbers a block; their order is that of the kernels below and of the shipped model."""

_BLOCK = Props.BLOCK
_MAX_INT: Final = 2**63 - 1
LONG_WEIGHT: Final = 160
"""Weight (see Blocks) from which a block is a paragraph, not a label."""


def features_of(scan: Scan, blocks: Blocks) -> NDArray[np.float32]:
    """A row of N_FEATURES numbers for each block.

    >>> from .html_blocks import blocks_of
    >>> from .html_scan import scan_page
    >>> scan = scan_page(b"<p>One, two.<li>x")
    >>> features_of(scan, blocks_of(scan)).shape == (2, N_FEATURES)
    True
    """
    rows = np.zeros((len(blocks.blocks), N_FEATURES), np.float32)
    if len(rows):
        kinds, inside = _tables()
        title = title_of(scan)
        above = np.zeros((len(scan.nodes), 3), np.int64)
        homes, groups = np.zeros((2, len(rows)), np.int64)
        _above(scan.nodes, inside, above)
        _own(blocks.blocks, blocks.counts, scan.nodes, scan.runs, above, tag_table().rules, kinds, homes, rows)
        _around(blocks.sums, scan.nodes, homes, above, rows)
        best = _best(blocks.counts, blocks.sums, scan.nodes, homes, above, np.zeros(len(above)), rows)
        _place(blocks.counts, blocks.blocks, scan.data, scan.runs, title, rows)
        _beside(homes, rows)
        n_groups = _number_groups(blocks.blocks, scan.nodes, np.zeros((4 * len(rows), 2), np.int64), groups)
        _alike(groups, blocks.counts, np.zeros((n_groups, 5)), rows)
        _heading(blocks.counts, rows)
        fill_topic(scan, blocks.blocks, title, rows[:, _BEST], rows[:, _TOPIC:])
        fill_containers(
            scan, blocks.blocks, blocks.counts, blocks.sums, homes, above[:, 2], rows[:, 2], best, rows[:, _CONTAINERS:]
        )
    return rows


@cache
def _tables() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each known element its place in _KINDS (-1 for none) and its bit in INSIDE."""
    kinds = [_ALIKE.get(name, name) for name in TAG_NAMES]
    return np.array([_KINDS.index(kind) if kind in _KINDS else -1 for kind in kinds], np.int64), inside_bits()


Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@jit_in_place
def _above(nodes: Ints, inside: Ints, above: Ints) -> None:
    """Of each element: hints of all around it, kinds of elements around it or itself, depth."""
    for node in range(1, len(nodes)):
        parent = nodes[node, 0]
        above[node, 0] = above[parent, 0] | (nodes[parent, 2] if parent > 0 else 0)
        above[node, 1] = above[parent, 1] | inside[nodes[node, 1]]
        above[node, 2] = above[parent, 2] + 1


@jit_in_place
def _own(
    blocks: Ints, counts: Ints, nodes: Ints, runs: Ints, above: Ints, rules: Ints, kinds: Ints, homes: Ints,
    rows: Floats,
) -> None:  # fmt: skip
    """What a block itself says, and its home: the element that holds it and its like."""
    for block in range(len(blocks)):
        row, count = rows[block], counts[block]
        node = blocks[block, 2]
        kind = kinds[nodes[node, 1]] if node > 0 else -1
        homes[block] = node if kind == 2 or kind == 7 or kind < 0 else nodes[node, 0]  # td, div or a larger one
        chars = max(1, count[0])
        weight = count[0] + count[2]
        row[0], row[1] = log_of(weight), log_of(count[1])
        row[2], row[3] = count[3] / chars, count[4] / chars
        row[4], row[5] = count[2] / chars, count[5] / chars
        row[6], row[7], row[8] = log_of(count[6]), log_of(count[7]), log_of(count[8])
        row[9], row[10], row[11] = count[10], count[11], above[node, 2]
        row[12] = chars / max(1, count[1] + count[2])
        row[13] = log_of(weight / (1 + count[8]))
        row[14] = count[11] / chars
        if kind >= 0:
            row[_KIND + kind] = 1
        for group in range(_N_PHRASES):
            row[_PHRASE + group] = count[9] >> group & 1
        near = nodes[node, 2] | (nodes[nodes[node, 0], 2] if node > 0 else 0)
        for run in range(blocks[block, 0], blocks[block, 1]):
            inner = runs[run, 2]
            while inner > node and not rules[nodes[inner, 1], 0] & _BLOCK:
                near |= nodes[inner, 2]
                inner = nodes[inner, 0]
        far = above[nodes[node, 0], 0] if node > 0 else 0
        for group in range(_N_HINTS):
            row[_NEAR + group] = near >> group & 1
            row[_FAR + group] = far >> group & 1


@jit_in_place
def _around(sums: Ints, nodes: Ints, homes: Ints, above: Ints, rows: Floats) -> None:
    """What the elements around a block hold: home, its parent and the one above."""
    page = max(1, sums[0, 0])
    for block in range(len(rows)):
        node = homes[block]
        for group in range(_N_INSIDE):
            rows[block, _IN + group] = above[node, 1] >> group & 1
        for level in range(3):
            place = _AROUND + 5 * level
            weight = max(1, sums[node, 0])
            rows[block, place] = log_of(weight)
            rows[block, place + 1] = sums[node, 1] / weight
            rows[block, place + 2] = sums[node, 2] / weight
            rows[block, place + 3] = log_of(weight / max(1, sums[node, 3]))
            rows[block, place + 4] = sums[node, 0] / page
            node = max(0, nodes[node, 0])
        rows[block, _AROUND + 15] = log_of(sums[homes[block], 3])


@jit_in_place
def _best(
    counts: Ints, sums: Ints, nodes: Ints, homes: Ints, above: Ints, scores: NDArray[np.float64], rows: Floats,
) -> int:  # fmt: skip
    """Where a block stands to the element with the most prose in it, as readability scores it; that element."""
    for block in range(len(rows)):
        weight = (counts[block, 0] + counts[block, 2]) * (1.0 - rows[block, 2])
        if weight < 40:
            continue
        score = 1.0 + counts[block, 4] + min(weight / 100.0, 3.0)
        node = homes[block]
        for divisor in (1.0, 2.0, 6.0, 9.0):
            scores[node] += score / divisor
            node = nodes[node, 0]
            if node <= 0:
                break
    best, most = 0, 0.0
    for node in range(len(nodes)):
        score = scores[node] * (1.0 - sums[node, 1] / max(1, sums[node, 0]))
        if score > most:
            best, most = node, score
    share = sums[best, 0] / max(1, sums[0, 0])
    for block in range(len(rows)):
        one, other = homes[block], best
        while above[one, 2] > above[other, 2]:
            one = nodes[one, 0]
        while above[other, 2] > above[one, 2]:
            other = nodes[other, 0]
        while one != other:
            one, other = nodes[one, 0], nodes[other, 0]
        up, down = above[homes[block], 2] - above[one, 2], above[best, 2] - above[one, 2]
        row = rows[block]
        row[_BEST], row[_BEST + 1], row[_BEST + 2] = one == best, up, down
        row[_BEST + 3] = share
        row[_BEST + 4] = scores[homes[block]] / max(1.0, scores[best])
        row[_BEST + 5] = scores[one] / max(1.0, scores[best])
        row[_BEST + 6] = 1 if one == best else 2 if homes[block] < best else 3
    return best


@jit_in_place
def _place(counts: Ints, blocks: Ints, data: Bytes, runs: Ints, title: Bytes, rows: Floats) -> None:
    """Where on the page a block stands, and what the page is."""
    n_blocks = len(rows)
    page, links, cjk, marks, n_long = 0, 0.0, 0, 0, 0
    for block in range(n_blocks):
        weight = counts[block, 0] + counts[block, 2]
        page += weight
        links += weight * rows[block, 2]
        cjk += 2 * counts[block, 2]
        marks += counts[block, 4]
        n_long += weight >= LONG_WEIGHT and rows[block, 2] < 0.5
    before, since_heading, since_top, last_long = 0, 50, -1, 50
    for block in range(n_blocks):
        row = rows[block]
        weight = counts[block, 0] + counts[block, 2]
        is_heading = row[_KIND + 3] + row[_KIND + 4] + row[_KIND + 5] > 0
        if is_heading:
            since_heading = 0
        if row[_KIND + 3] > 0 and since_top < 0:
            since_top = 0
        row[_PLACE], row[_PLACE + 1] = before / max(1, page), block / n_blocks
        row[_PLACE + 2], row[_PLACE + 3] = min(since_heading, 50), min(since_top, 200)
        row[_PLACE + 4] = min(last_long, 50)
        row[_PLACE + 5] = weight / max(1, page)
        if weight < 400:
            row[_PLACE + 6] = _stands_in(data, runs[blocks[block, 0], 0], runs[blocks[block, 0], 1], title)
        row[_PLACE + 7], row[_PLACE + 8] = log_of(before), log_of(page - before)
        row[_PAGE], row[_PAGE + 1], row[_PAGE + 2] = log_of(page), links / max(1, page), cjk / max(1, page)
        row[_PAGE + 3], row[_PAGE + 4], row[_PAGE + 5] = marks / max(1, page), log_of(n_blocks), log_of(n_long)
        row[_PAGE + 6] = n_long / n_blocks
        before += weight
        since_heading += 1
        since_top += since_top >= 0
        last_long = 0 if weight >= LONG_WEIGHT and row[2] < 0.5 else last_long + 1
    next_long = 50
    for block in range(n_blocks - 1, -1, -1):
        rows[block, _PLACE + 9] = min(next_long, 50)
        is_long = counts[block, 0] + counts[block, 2] >= LONG_WEIGHT and rows[block, 2] < 0.5
        next_long = 0 if is_long else next_long + 1


@jit_in_place
def _stands_in(data: Bytes, start: int, end: int, title: Bytes) -> bool:
    """Whether data[start:end] without the white space around it, four bytes or more of it, stands in the title."""
    while start < end and data[start] <= 32:
        start += 1
    while end > start and data[end - 1] <= 32:
        end -= 1
    if end - start < 4:
        return False
    for offset in range(len(title) - (end - start) + 1):
        matched = 0
        while matched < end - start and title[offset + matched] == data[start + matched]:
            matched += 1
        if matched == end - start:
            return True
    return False


@jit_in_place
def _beside(homes: Ints, rows: Floats) -> None:
    """What stands before and behind a block, and the mean of the nine around it."""
    n_blocks = len(rows)
    for block in range(n_blocks):
        row = rows[block]
        place = _BESIDE
        for offset in (-2, -1, 1, 2):
            other = block + offset
            if 0 <= other < n_blocks:
                row[place], row[place + 1], row[place + 2] = rows[other, 0], rows[other, 2], rows[other, 3]
                row[place + 3] = homes[other] == homes[block]
                row[place + 4] = rows[other, _KIND + 3] + rows[other, _KIND + 4] + rows[other, _KIND + 5]
                row[place + 5] = rows[other, _KIND]
            else:
                row[place] = -1
            place += 6
        low, high = max(0, block - 4), min(n_blocks, block + 5)
        for other in range(low, high):
            row[place] += rows[other, 0] / (high - low)
            row[place + 1] += rows[other, 2] / (high - low)
            row[place + 2] += rows[other, 3] / (high - low)
            row[place + 3] += rows[other, 9] / (high - low)


@jit_in_place
def _number_groups(blocks: Ints, nodes: Ints, table: Ints, groups: Ints) -> int:
    """Small numbers for blocks, equal where the element, its parent and its grandparent were made alike; how many.

    The table holds a key and its number plus one, at the key's place or behind it.
    """
    n_groups = 0
    for block in range(len(blocks)):
        node = blocks[block, 2]
        parent = max(nodes[node, 0], 0)
        above = max(nodes[parent, 0], 0)
        key = nodes[node, 6] * 1_000_003 + nodes[parent, 6] * 8_191 + nodes[above, 6]
        place = (key & _MAX_INT) % len(table)
        while table[place, 1] > 0 and table[place, 0] != key:
            place = (place + 1) % len(table)
        if table[place, 1] == 0:
            n_groups += 1
            table[place, 0], table[place, 1] = key, n_groups
        groups[block] = table[place, 1] - 1
    return n_groups


@jit_in_place
def _alike(groups: Ints, counts: Ints, sums: NDArray[np.float64], rows: Floats) -> None:
    """What the blocks are like that were made as this one was: number, weight, share of links, spread on the page."""
    for block in range(len(rows)):
        own = sums[groups[block]]
        weight = counts[block, 0] + counts[block, 2]
        own[0] += 1
        own[1] += weight
        own[2] += weight * rows[block, 2]
        own[3] += counts[block, 4]
        own[4] += rows[block, 0]
    for block in range(len(rows)):
        own, row = sums[groups[block]], rows[block]
        weight = max(1.0, own[1])
        row[_ALIKE_PLACE], row[_ALIKE_PLACE + 1] = log_of(own[0]), own[2] / weight
        row[_ALIKE_PLACE + 2], row[_ALIKE_PLACE + 3] = own[3] / weight, own[4] / own[0]
        row[_ALIKE_PLACE + 4] = own[1] / max(1.0, np.exp2(row[_PAGE]) - 1)
        row[_ALIKE_PLACE + 5] = row[0] - own[4] / own[0]


@jit_in_place
def _heading(counts: Ints, rows: Floats) -> None:
    """Phrases of the last heading, or of the last short line without a link that stands for one, and its level."""
    phrases, level = 0, 0
    for block in range(len(rows)):
        row = rows[block]
        for group in range(_N_PHRASES):
            row[_HEADING + group] = phrases >> group & 1
        row[_HEADING + _N_PHRASES] = level
        for size in range(3):
            if row[_KIND + 3 + size] > 0:
                phrases, level = counts[block, 9], size + 1
