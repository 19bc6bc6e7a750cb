"""Unicode properties as compact tables of one pinned version, so that no number depends on the Python that runs.

`unicode_14_0_0.npz` is written by `bench/make_tables.py`. Code points are looked up in two steps of 256: the block's
number, then the value in the block. The class of a code point is one byte:

    bits 0-2  category: CONTROL, LETTER, MARK, NUMBER, PUNCTUATION, SYMBOL, SEPARATOR, UNKNOWN (unassigned or private)
    bits 3-4  script: OTHER, HIRAGANA, KATAKANA (half-width too), HAN; ー and the kana iteration marks go with the kana
    bit 5     white space, as str.isspace
    bit 6     line break, as str.splitlines
    bit 7     letter of Swallow's Japanese count (hiragana U+3041-3096, katakana U+30A1-30FA, kanji, 、，。．！？)
"""

from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["UNICODE_VERSION", "ClassTable", "FoldTable", "class_table", "fold_table"]

UNICODE_VERSION = "14.0.0"

CONTROL, LETTER, MARK, NUMBER, PUNCTUATION, SYMBOL, SEPARATOR, UNKNOWN = range(8)
OTHER, HIRAGANA, KATAKANA, HAN = range(4)
CATEGORY_MASK, SCRIPT_SHIFT, SPACE_BIT, BREAK_BIT, JAPANESE_BIT = 7, 3, 32, 64, 128

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


@lru_cache(maxsize=1)
def _arrays() -> dict[str, NDArray[np.generic]]:
    name = f"unicode_{UNICODE_VERSION.replace('.', '_')}.npz"
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
