"""What the English cut of datatrove (spaCy rules for `en`) looks up: kinds of code points, words cut their own way."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .unicode_table import CATEGORY_MASK, LETTER, SYMBOL, class_table

__all__ = [
    "ALPHA",
    "BASE",
    "DASH",
    "DIGIT",
    "ICON",
    "LONGEST_OWN",
    "LOWER",
    "PREFIX",
    "QUOTE",
    "SUFFIX",
    "TABLE_BITS",
    "UPPER",
    "EnglishTables",
    "english_tables",
]

LOWER, UPPER, DIGIT, PREFIX, SUFFIX, QUOTE, DASH, ICON = (1 << bit for bit in range(8))
"""What a code point may be; a letter without case is LOWER and UPPER."""
ALPHA = LOWER | UPPER

_PUNCTUATION = "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪"
_QUOTES = "'\"”“`‘´’‚„»«「」『』（）〔〕【】《》〈〉〈〉⟦⟧"
_CURRENCIES = "$£€¥฿₽﷼₴₠₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳₵₶₷₸₹₺₻₼₾₿"
_NO_ICONS = ((0xA8, 0xA8), (0xAC, 0xAC), (0xAF, 0xAF), (0xB1, 0xB1), (0xB4, 0xB4), (0xB8, 0xB8), (0xD7, 0xD7))
_NO_ICON_BLOCKS = ((0x00, 0x7F), (0xF7, 0xF7), (0x2C2, 0x2FF), (0x2044, 0x208C), (0x20A0, 0x20CF), (0x2190, 0x2194))
_NO_ICON_MATHEMATICS = ((0x2200, 0x22FF), (0x27C0, 0x27EF), (0x2900, 0x2AFF), (0x309B, 0x309C), (0xFF00, 0xFFEF))
"""Symbols that are mathematical, modifiers or currencies (So alone are icons)."""

_UNITS = (
    *("km", "km²", "km³", "m", "m²", "m³", "dm", "cm", "cm²", "cm³", "mm", "mm²", "mm³", "ha", "µm", "nm", "yd", "in"),
    *("ft", "kg", "g", "mg", "µg", "t", "lb", "oz", "kmh", "mph", "hPa", "Pa", "mbar", "mb", "MB", "kb", "KB", "gb"),
    *("GB", "tb", "TB", "T", "G", "M", "K", "%", "m/s", "km/h"),
)
_ABBREVIATIONS = (
    *("Mt.", "Ak.", "Ala.", "Apr.", "Ariz.", "Ark.", "Aug.", "Calif.", "Colo.", "Conn.", "Dec.", "Del.", "Feb."),
    *("Fla.", "Ga.", "Ia.", "Id.", "Ill.", "Ind.", "Jan.", "Jul.", "Jun.", "Kan.", "Kans.", "Ky.", "La.", "Mar."),
    *("Mass.", "Mich.", "Minn.", "Miss.", "Neb.", "Nebr.", "Nev.", "Nov.", "Oct.", "Okla.", "Ore.", "Pa.", "Sep."),
    *("Sept.", "Tenn.", "Va.", "Wash.", "Wis.", "a.m.", "Adm.", "Bros.", "co.", "Co.", "Corp.", "D.C.", "Dr.", "e.g."),
    *("E.g.", "E.G.", "Gen.", "Gov.", "i.e.", "I.e.", "I.E.", "Inc.", "Jr.", "Ltd.", "Md.", "Messrs.", "Mo.", "Mont."),
    *("Mr.", "Mrs.", "Ms.", "p.m.", "Ph.D.", "Prof.", "Rep.", "Rev.", "Sen.", "St.", "vs.", "v.s.", "N.C.", "N.Y."),
    *("N.J.", "N.H.", "N.M.", "N.D.", "S.C.", "and/or", "w/o", "C++", "o'clock", "''", "ma'am"),
    *(f"{letter}." for letter in "abcdefghijklmnopqrstuvwxyzäöü"),
)
_NOT = (
    *("ai", "are", "ca", "could", "dare", "did", "does", "do", "had", "has", "have", "is", "may", "might", "must"),
    *("need", "ought", "sha", "should", "was", "were", "wo", "would"),
)
_BASES = {
    "i": ("m", "ll", "d", "ve"),
    **dict.fromkeys(("you", "we", "they"), ("ll", "d", "ve", "re")),
    **dict.fromkeys(("he", "she", "it"), ("ll", "d", "s")),
    **dict.fromkeys(
        ("who", "what", "when", "where", "why", "how", "there", "that", "this", "these", "those"),
        ("s", "ll", "d", "re", "ve"),
    ),
    **dict.fromkeys(("could", "might", "must", "should", "would"), ("ve",)),
}
_WHOLE = {"ill", "its", "hell", "shell", "shed", "were", "well", "whore"}

TABLE_BITS = 12
LONGEST_OWN = 10
"""Characters of the longest word with a cut of its own."""
BASE = np.uint64(0x9E3779B97F4A7C15)


class EnglishTables(NamedTuple):
    """What the kernel looks up: flags of the first 65,536 code points; words with a cut of their own, by hash."""

    flags: NDArray[np.uint8]
    keys: NDArray[np.uint64]
    cuts: NDArray[np.int8]


@lru_cache(maxsize=1)
def english_tables() -> EnglishTables:
    """The tables of `cut_english`."""
    keys, cuts = np.zeros(1 << TABLE_BITS, np.uint64), np.zeros(1 << TABLE_BITS, np.int8)
    for word, cut in _own_cuts():
        key = _key(word)
        place = int(key) & ((1 << TABLE_BITS) - 1)
        while keys[place] != 0 and keys[place] != key:
            place = (place + 1) & ((1 << TABLE_BITS) - 1)
        keys[place], cuts[place] = key, cut
    return EnglishTables(_flags(), keys, cuts)


def _key(word: str) -> np.uint64:
    value = 0
    for c in word:
        value = (value + ord(c) + 1) * int(BASE) & 0xFFFFFFFFFFFFFFFF
        value ^= value >> 29
    return np.uint64((value ^ len(word)) | 1)


def _own_cuts() -> Iterator[tuple[str, int]]:
    """Words that are cut at a place of their own (0: nowhere; negative: a unit, which counts only behind a digit)."""
    for word in _ABBREVIATIONS:
        yield word, 0
    for unit in _UNITS:
        yield f"0{unit}", -1
    forms = [("can", "not"), ("gon", "na"), ("got", "ta"), ("let", "'s"), ("let", "’s")]
    for base in _NOT:
        forms += [(base, "n't"), (base, "n’t"), (base, "nt")]
    for base, endings in _BASES.items():
        for ending in endings:
            forms += [(base, mark + ending) for mark in ("'", "’", "") if mark or base + ending not in _WHOLE]
    for base, ending in forms:
        yield base + ending, len(base)
        yield base.title() + ending, len(base)


def _flags() -> NDArray[np.uint8]:
    table = class_table()
    codes = np.arange(1 << 16)
    kinds = table.blocks[table.block_of[codes >> 8], codes & 255] & CATEGORY_MASK
    flags = np.where(kinds == LETTER, ALPHA, 0).astype(np.uint8)
    # Case of the old alphabets only: it is the same in every version of Unicode.
    for code in (*range(0x530), *range(0x1E00, 0x2000)):
        if kinds[code] == LETTER and (chr(code).islower() or chr(code).isupper()):
            flags[code] = LOWER if chr(code).islower() else UPPER
    flags[0x30:0x3A] |= DIGIT
    flags[kinds == SYMBOL] |= PREFIX | SUFFIX | ICON
    for first, last in (*_NO_ICONS, *_NO_ICON_BLOCKS, *_NO_ICON_MATHEMATICS):
        flags[first : last + 1] &= ~np.uint8(PREFIX | SUFFIX | ICON)
    for text, bits in (
        (_PUNCTUATION, PREFIX | SUFFIX),
        (_QUOTES, PREFIX | SUFFIX | QUOTE),
        (_CURRENCIES, PREFIX),
        ("§%=", PREFIX),
        ("—–", PREFIX | SUFFIX),
        ("-–—~", DASH),
    ):
        flags[[ord(c) for c in text]] |= bits
    return flags
