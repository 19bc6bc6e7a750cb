"""Unicode properties as compact tables of one pinned version, so that no number depends on the Python that runs.

`unicode_14_0_0.npz` is written by `bench/make_tables.py`. Code points are looked up in two steps of 256: the block's
number, then the value in the block. The class of a code point is one byte:

    bits 0-2  category: CONTROL, LETTER, MARK, NUMBER, PUNCTUATION, SYMBOL, SEPARATOR, UNKNOWN (unassigned or private)
    bits 3-4  script: OTHER, HIRAGANA, KATAKANA (half-width too), HAN; ー and the kana iteration marks go with the kana
    bit 5     white space, as str.isspace
    bit 6     line break, as str.splitlines
    bit 7     letter of Swallow's Japanese count (hiragana U+3041-3096, katakana U+30A1-30FA, kanji, 、，。．！？)

What only signals ask stands in a file of its own, `marks_14_0_0.npz`, two bytes a code point:

    bits 0-4  word class: the Word_Break property (UAX #29) without what is told below, SYMBOL for all that breaks
    bits 5-9  sets: TERMINAL, SPECIAL, BROKEN, NOT_PUNCTUATION, EVENT (what measure_kernels.py stops at)
    bit 10    letter (L); bit 11: letter, mark or number

Tailored as UAX #29 allows: hiragana and Han have classes of their own, ー and ｰ one (LONG), letters without a
Word_Break class (Thai and others that want a dictionary) count as OTHER_LETTER, white space is SPACE throughout.
"""

from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["UNICODE_VERSION", "ClassTable", "FoldTable", "class_table", "fold_table", "mark_table"]

UNICODE_VERSION = "14.0.0"

CONTROL, LETTER, MARK, NUMBER, PUNCTUATION, SYMBOL, SEPARATOR, UNKNOWN = range(8)
OTHER, HIRAGANA, KATAKANA, HAN = range(4)
CATEGORY_MASK, SCRIPT_SHIFT, SPACE_BIT, BREAK_BIT, JAPANESE_BIT = 7, 3, 32, 64, 128

WORD_CLASSES = (
    *("SYMBOL", "SPACE", "LETTER", "HEBREW", "NUMERIC", "EXTEND_NUM_LET", "KATAKANA_WORD", "LONG", "HIRAGANA_WORD"),
    *("HAN_WORD", "OTHER_LETTER", "EXTEND", "ZWJ", "MID_LETTER", "MID_NUM", "MID_NUM_LET", "SINGLE_QUOTE"),
    *("DOUBLE_QUOTE", "REGIONAL", "PICTURE"),
)
WORD_CLASS_MASK = 31
TERMINAL_BIT, SPECIAL_BIT, BROKEN_BIT, NOT_PUNCTUATION_BIT = 1 << 5, 1 << 6, 1 << 7, 1 << 8
EVENT_BIT, LETTER_BIT, PLAIN_BIT = 1 << 9, 1 << 10, 1 << 11

SEQUENCE = 1 << 21
"""Values of a fold table from here on are not offsets to add but places in `sequences`."""


class ClassTable(NamedTuple):
    """Class byte of code point c: `blocks[block_of[c >> 8], c & 255]`."""

    block_of: NDArray[np.uint8]
    blocks: NDArray[np.uint8]


class FoldTable(NamedTuple):
    """Folding, NFKC then casefold then NFKC, of single code points, and the pairs that compose afterwards.

    v = blocks[block_of[c >> 8], c & 255]: below SEQUENCE the folded code point is c + v; from SEQUENCE on, v - SEQUENCE
    is place * 32 + length in `sequences`. `pairs` holds first << 32 | second in ascending order, `composed` what they
    become; `second_block_of` and `second_blocks` mark code points that may stand second (precise for all but Hangul).
    """

    block_of: NDArray[np.uint8]
    blocks: NDArray[np.int32]
    sequences: NDArray[np.int32]
    pairs: NDArray[np.int64]
    composed: NDArray[np.int32]
    second_block_of: NDArray[np.uint8]
    second_blocks: NDArray[np.uint8]


@lru_cache(maxsize=2)
def _arrays(kind: str = "unicode") -> dict[str, NDArray[np.generic]]:
    name = f"{kind}_{UNICODE_VERSION.replace('.', '_')}.npz"
    with (files("seimai.pipeline") / name).open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


@lru_cache(maxsize=1)
def class_table() -> ClassTable:
    """The class of every code point.

    >>> table = class_table()
    >>> [int(table.blocks[table.block_of[ord(c) >> 8], ord(c) & 255]) & CATEGORY_MASK for c in "a1。 "]
    [1, 3, 4, 6]
    """
    return ClassTable(**{name: _arrays()[f"class_{name}"] for name in ClassTable._fields})  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def fold_table() -> FoldTable:
    """The folding of every code point.

    >>> table = fold_table()
    >>> chr(ord("Ａ") + int(table.blocks[table.block_of[ord("Ａ") >> 8], ord("Ａ") & 255]))
    'a'
    """
    return FoldTable(**{name: _arrays()[f"fold_{name}"] for name in FoldTable._fields})  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def mark_table() -> NDArray[np.uint16]:
    """The two bytes of every code point at its place: 2.2 MB, of which a text touches few.

    >>> WORD_CLASSES[mark_table()[ord("_")] & WORD_CLASS_MASK]
    'EXTEND_NUM_LET'
    """
    arrays = _arrays("marks")
    table = np.ascontiguousarray(arrays["blocks"][arrays["block_of"]].reshape(-1)).astype(np.uint16)
    table.setflags(write=False)
    return table
