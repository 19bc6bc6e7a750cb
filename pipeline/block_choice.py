"""Scores of a page's blocks in, the blocks that are its text out: whole stretches of them, and no second copy."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from .html_blocks import Blocks
from .html_scan import Scan
from .text_kernels import jit

__all__ = ["choose", "drop_copies"]

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
    _drop(scan.data, scan.runs, blocks.blocks, scan.nodes, is_long, table, without)
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
def _drop(data: Bytes, runs: Ints, blocks: Ints, nodes: Ints, is_long: Bools, table: Ints, kept: Bools) -> None:
    """Unset the copies; the table holds hashes of windows and signatures of the first element each stood in."""
    hashes = np.zeros(len(table), np.int64)
    for block in range(len(blocks)):
        if not kept[block]:
            continue
        signature = nodes[blocks[block, 2], 6]
        n_windows = _windows(data, runs, blocks[block, 0], blocks[block, 1], hashes)
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


@jit
def _place(table: Ints, window: int) -> int:
    """Where a window stands in the table, or would."""
    mask = len(table) - 1
    place = (window >> 16 ^ window) & mask
    while table[place, 0] != 0 and table[place, 0] != window:
        place = place + 1 & mask
    return place


@jit
def _windows(data: Bytes, runs: Ints, first: int, last: int, hashes: Ints) -> int:
    """Hashes of the windows of words in some runs of text, none of them 0; their number."""
    words = np.zeros(WINDOW, np.int64)
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
