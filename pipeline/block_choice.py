"""Scores of a page's blocks in, the blocks that are its text out: whole stretches, no second copy, no bar of links."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from .html_blocks import Blocks
from .html_scan import Scan
from .text_kernels import jit, jit_in_place

__all__ = ["choose", "drop_bars", "drop_copies"]

THRESHOLD: Final = 0.1
"""Score (log odds) from which a block by itself is text, on a page with blocks that are surely text."""
CHANGE_COST: Final = 0.5
"""What each beginning and end of a stretch of text costs, in units of score: a heading between paragraphs stays, a
teaser among menus goes."""
SURE_SCORE: Final = 3.0
"""Mean score of the best three blocks from which a page surely has a text."""
SURE_BLOCKS: Final = 3
DOUBT_SHARE: Final = 0.4
"""Share of what a page's best blocks lack of SURE_SCORE that all its blocks are given: a strange page has text too."""
COPY_WEIGHT: Final = 200
"""Weight (see Blocks) from which a block may be a copy; 40 words of English, 100 characters of Japanese."""
COPY_SHARE: Final = 0.8
"""Share of a block's windows of words that must stand in blocks before it, made of another element."""
WINDOW: Final = 5
"""Words, or characters of Japanese and Chinese, in a window."""

MAX_BAR: Final = 40
"""Blocks of links at an end of a text up to which they are taken for a bar."""
BAR_SHARE: Final = 0.5
"""Share of the shorter end's blocks that must stand at the other end too."""

_HASH_BITS: Final = (1 << 48) - 1

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]


def choose(scores: NDArray[np.float32]) -> Bools:
    """Whether each block is text: the choice of the highest sum of scores, less what its changes cost (Viterbi 1967).

    >>> choose(np.array([-4, -0.5, 5, -0.3, 5, 4, -6, 0.3, -6], np.float32)).nonzero()[0].tolist()
    [2, 3, 4, 5]
    """
    if not len(scores):
        return np.zeros(0, np.bool_)
    best = float(np.sort(scores)[-SURE_BLOCKS:].mean(dtype=np.float64))
    lift = DOUBT_SHARE * max(0.0, SURE_SCORE - best)
    return _stretches(scores + (lift - THRESHOLD), CHANGE_COST)


def drop_copies(scan: Scan, blocks: Blocks, kept: Bools) -> Bools:
    """The kept blocks without long ones whose words stood in kept blocks before them, in elements made otherwise.

    Pages carry their text twice for search engines, printers or scripts, in other markup than the text that is shown. A
    refrain, or a warning that stands in each section, is made as it was before, and stays.

    >>> from .html_blocks import blocks_of
    >>> from .html_scan import scan_page
    >>> words = b"".join(b"word%d and " % number for number in range(50))
    >>> scan = scan_page(b"<p>" + words + b"<p>" + words + b"<div class=print>" + words)
    >>> drop_copies(scan, blocks_of(scan), np.ones(3, bool)).tolist()
    [True, True, False]
    """
    counts = blocks.counts
    is_long = kept & (counts[:, 0] + counts[:, 2] >= COPY_WEIGHT)
    if not is_long.any() or kept.sum() < 2:
        return kept
    first, last = blocks.blocks[kept, 0], blocks.blocks[kept, 1] - 1
    size = int((scan.runs[last, 1] - scan.runs[first, 0]).sum())
    table = np.zeros((1 << max(10, size.bit_length()), 2), np.int64)
    without = kept.copy()
    hashes, words = np.empty(size, np.int64), np.empty(WINDOW, np.int64)
    _drop(scan.data, scan.runs, blocks.blocks, scan.nodes, is_long, table, hashes, words, without)
    return without


def drop_bars(scan: Scan, blocks: Blocks, kept: Bools) -> Bools:
    """The kept blocks without the bar of links that leads on from a page, where it stands above its text and below it.

    >>> from .html_blocks import blocks_of
    >>> from .html_scan import scan_page
    >>> bar = b"<p><a href=1>Back</a> | <a href=3>Next</a>"
    >>> scan = scan_page(bar + b"<p>Rice.<p><a href=/>Bran</a> is taken off." + bar)
    >>> drop_bars(scan, blocks_of(scan), np.ones(4, bool)).tolist()
    [False, True, True, False]
    """
    without = kept.copy()
    _drop_bars(scan.data, scan.runs, blocks.blocks, blocks.counts, scan.nodes, without)
    return without


@jit
def _stretches(scores: NDArray[np.float32], cost: float) -> Bools:
    n_blocks = len(scores)
    changed = np.zeros((n_blocks, 2), np.bool_)  # whether the best way to this state came from the other one
    out, text = 0.0, float(scores[0])
    for block in range(1, n_blocks):
        changed[block, 0], changed[block, 1] = text - cost > out, out - cost > text
        out, text = max(out, text - cost), max(text, out - cost) + float(scores[block])
    kept = np.zeros(n_blocks, np.bool_)
    state = 1 if text > out else 0
    for block in range(n_blocks - 1, -1, -1):
        kept[block] = state == 1
        if changed[block, state]:
            state = 1 - state
    return kept


@jit
def _drop_bars(data: Bytes, runs: Ints, blocks: Ints, counts: Ints, nodes: Ints, kept: Bools) -> None:
    """Unset blocks of links at both ends that are made as those that stand there twice."""
    ends = np.zeros((2, MAX_BAR), np.int64)
    sizes = np.zeros(2, np.int64)
    for end in range(2):
        for step in range(len(blocks)):
            block = len(blocks) - 1 - step if end else step
            if not kept[block]:
                continue
            if 2 * counts[block, 3] < counts[block, 0] or counts[block, 0] == 0:
                break
            if sizes[end] == MAX_BAR:  # a list
                return
            ends[end, sizes[end]] = block
            sizes[end] += 1
    if not sizes[0] or not sizes[1] or ends[0, sizes[0] - 1] >= ends[1, sizes[1] - 1]:  # nothing but links
        return
    hashes = np.zeros((2, MAX_BAR), np.int64)
    for end in range(2):
        for place in range(sizes[end]):
            block = ends[end, place]
            for run in range(blocks[block, 0], blocks[block, 1]):
                for position in range(runs[run, 0], runs[run, 1]):
                    if data[position] > 32:
                        hashes[end, place] = (hashes[end, place] * 1_000_003 + int(data[position])) & _HASH_BITS
    n_common, made = 0, np.zeros(MAX_BAR, np.int64)
    for place in range(sizes[0]):
        for other in range(sizes[1]):
            if hashes[0, place] == hashes[1, other]:
                made[n_common] = nodes[blocks[ends[0, place], 2], 6]
                n_common += 1
                break
    if n_common == 0 or n_common < BAR_SHARE * min(sizes[0], sizes[1]):
        return
    for end in range(2):
        for place in range(sizes[end]):
            block = ends[end, place]
            for common in range(n_common):
                if nodes[blocks[block, 2], 6] == made[common]:
                    kept[block] = False


@jit_in_place
def _drop(
    data: Bytes,
    runs: Ints,
    blocks: Ints,
    nodes: Ints,
    is_long: Bools,
    table: Ints,
    hashes: Ints,
    words: Ints,
    kept: Bools,
) -> None:
    """Unset the copies; the table holds hashes of windows and signatures of the first element each stood in.

    `hashes` has room for as many windows as a block has bytes, `words` for WINDOW.
    """
    for block in range(len(blocks)):
        if not kept[block]:
            continue
        signature = nodes[blocks[block, 2], 6]
        n_windows = _windows(data, runs, blocks[block, 0], blocks[block, 1], words, hashes)
        if is_long[block] and n_windows:
            n_copied = 0
            for window in range(n_windows):
                place = _place(table, hashes[window])
                n_copied += table[place, 0] != 0 and table[place, 1] != signature
            if n_copied >= COPY_SHARE * n_windows:
                kept[block] = False
                continue
        for window in range(n_windows):
            place = _place(table, hashes[window])
            if table[place, 0] == 0:
                table[place, 0], table[place, 1] = hashes[window], signature


@jit_in_place
def _place(table: Ints, window: int) -> int:
    """Where a window stands in the table, or would."""
    mask = len(table) - 1
    place = (window >> 16 ^ window) & mask
    while table[place, 0] != 0 and table[place, 0] != window:
        place = place + 1 & mask
    return place


@jit_in_place
def _windows(data: Bytes, runs: Ints, first: int, last: int, words: Ints, hashes: Ints) -> int:
    """Hashes of the windows of words in some runs of text, none of them 0; their number."""
    n_words, n_windows, word = 0, 0, 0
    for run in range(first, last):
        for position in range(runs[run, 0], runs[run, 1] + 1):
            byte = int(data[position]) if position < runs[run, 1] else 32
            is_inside = 97 <= byte | 32 <= 122 or 48 <= byte <= 57 or byte >= 0x80
            if word and (not is_inside or 0xE3 <= byte <= 0xE9):  # kana and kanji are words by themselves
                words[n_words % WINDOW] = word
                n_words, word = n_words + 1, 0
                if n_words >= WINDOW:
                    mixed = 0
                    for offset in range(WINDOW):
                        mixed = (mixed * 1_000_003 ^ words[(n_words + offset) % WINDOW]) & _HASH_BITS
                    hashes[n_windows] = max(1, mixed)
                    n_windows += 1
            if is_inside:
                word = (word * 8_191 + (byte | 32)) & _HASH_BITS
    return n_windows
