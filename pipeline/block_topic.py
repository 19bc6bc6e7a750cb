"""What a page is about: words of a block that its title and the rest of its text share, as numbers for the model."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from .html_scan import Scan
from .html_tables import TAG_NAMES
from .text_kernels import jit_in_place

__all__ = ["fill_topic", "log_of", "title_of"]

_TITLE: Final = TAG_NAMES.index("title")
_TABLE: Final = 1 << 13
MIN_LETTERS: Final = 4
"""Letters from which a word tells what a text is about."""
MAX_TITLE_BYTES: Final = 1000

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def title_of(scan: Scan) -> Bytes:
    """Bytes of the first title, at most MAX_TITLE_BYTES.

    >>> from .html_scan import scan_page
    >>> bytes(title_of(scan_page(b"<title>Rice</title><title>Bran</title>")))
    b'Rice'
    """
    titles = np.flatnonzero(scan.marks[:, 0] == _TITLE)
    if not len(titles):
        return scan.data[:0]
    _, start, stop, _ = scan.marks[titles[0]].tolist()
    return scan.data[start : min(stop, start + MAX_TITLE_BYTES)]


def fill_topic(scan: Scan, blocks: Ints, title: Bytes, best: Floats, rows: Floats) -> None:
    """Fill rows[:, :3] by block: share of its words that the text has elsewhere, of the title's in it; log of all.

    The text are the blocks with `best` above 0, those of the element with the most prose.
    """
    n_bytes = len(title) + int((scan.runs[:, 1] - scan.runs[:, 0]).sum())
    words = np.empty(n_bytes + len(scan.runs) + 1, np.int32)  # no byte ends two words, nor does the end of a run
    firsts = np.zeros(len(rows) + 1, np.int64)
    _topic(scan.data, scan.runs, blocks, title, best, np.zeros((3, _TABLE), np.int32), words, firsts, rows)


@jit_in_place
def log_of(number: float) -> float:
    return float(np.log2(1.0 + number))


@jit_in_place
def _topic(
    data: Bytes, runs: Ints, blocks: Ints, title: Bytes, best: Floats, seen: NDArray[np.int32],
    words: NDArray[np.int32], firsts: Ints, rows: Floats,
) -> None:  # fmt: skip
    """How many of a block's words stand in other blocks of the best element, and of the title's words in the block.

    Words are told apart by hash; two that fall together cost a little sharpness.
    """
    in_best, in_title, last = seen[0], seen[1], seen[2]
    n_title = _words(title, 0, len(title), -1, last, words, 0)
    for word in range(n_title):
        in_title[words[word]] = 1
    for block in range(len(rows)):
        n_words = firsts[block]
        for run in range(blocks[block, 0], blocks[block, 1]):
            n_words = _words(data, runs[run, 0], runs[run, 1], block + 1, last, words, n_words)
        firsts[block + 1] = n_words
        if best[block] > 0:
            for word in range(firsts[block], n_words):
                in_best[words[word]] += 1
    for block in range(len(rows)):
        n_words, n_shared, n_titled = firsts[block + 1] - firsts[block], 0, 0
        own = 1 if best[block] > 0 else 0
        for word in range(firsts[block], firsts[block + 1]):
            n_shared += in_best[words[word]] > own
            n_titled += in_title[words[word]]
        rows[block, 0] = n_shared / max(1, n_words)
        rows[block, 1] = n_titled / max(1, n_title)
        rows[block, 2] = log_of(n_words)


@jit_in_place
def _words(
    data: Bytes, start: int, end: int, block: int, last: NDArray[np.int32], words: NDArray[np.int32], n_words: int,
) -> int:  # fmt: skip
    """Put hashes of the words in data[start:end] behind words[:n_words], each once a block; pairs of CJK are words."""
    key, letters, before = 0, 0, 0
    for position in range(start, end + 1):
        byte = data[position] if position < end else 32
        found = -1
        if 97 <= byte | 32 <= 122 or 0xC3 <= byte < 0xE2 or (byte >= 0x80 and byte < 0xC0 and letters > 0):
            key = (key * 31 + (byte | 32)) & 0xFFFFFF
            letters += 1
        else:
            if letters >= MIN_LETTERS:
                found = key
            key = letters = 0
            if 0xE3 <= byte <= 0xED and position + 2 < end:
                wide = (byte << 12) ^ (data[position + 1] << 6) ^ data[position + 2]
                if before:
                    found = before * 31 + wide
                before = wide
            elif byte < 0x80:
                before = 0
        if found >= 0:
            place = (found * 2654435761 >> 11) & (_TABLE - 1)
            if last[place] != block:
                last[place] = block
                words[n_words] = place
                n_words += 1
    return n_words
