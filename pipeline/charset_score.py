"""How much a decoded text looks like writing: the judge between encodings that could all read the same bytes."""

from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Family", "plausibility"]

Family = Literal["japanese", "japanese_euc", "chinese_simplified", "chinese_traditional", "korean", "any"]
"""Whose writing an encoding is for: the same kana are ordinary in EUC-JP and suspicious in GBK, and half-width ones,
which EUC-JP spells with a prefix, are ordinary there and what most mistakes look like in Shift_JIS."""

# The commonest characters of each writing; mistaken encodings hit the middle of the tables, not these.
_COMMON = {
    "chinese_simplified": (
        "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里"
        "用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实"
        "日月网"
    ),
    "chinese_traditional": (
        "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作裡"
        "用道行所然家種事成方多經麼去法學如都同現當沒動面起看定天分還進好小部其些主樣理心她本前開但因只從想實"
        "日月網"
    ),
    "korean": (
        "이다는을에의가고하지로한도를은서사기어나아인으대그리시자수들있정만일라보전해주장상부구제원여스게조비유오세위"
    ),
    "japanese": ("日人年大本国中一月事出行会社見者時地方上生学前分用部内間下手今水新場高自気小金動"),
}
_KANA = ((0x3041, 0x3097), (0x30A1, 0x30FB), (0x30FC, 0x30FD))
_CJK_SIGNS = (
    (0x2100, 0x2190),
    (0x3200, 0x3400),
    (0x3001, 0x3003),
    (0x3008, 0x3012),
    (0x301C, 0x301E),
    (0xFF01, 0xFF5F),
    (0x2460, 0x2474),
    (0x2500, 0x2580),
)
_WEB_SIGNS = "\u00a0©®«»·•–—‘’“”…°²³½€£§™¿¡→←↑↓★☆●○■□▲▼◆◇※×÷±"
_LETTERS = (
    *((0xC0, 0x180), (0x386, 0x400), (0x401, 0x460), (0x490, 0x492), (0x5D0, 0x5EB), (0x620, 0x653), (0x66E, 0x700)),
    *((0x900, 0xE5C), (0x10A0, 0x1100), (0x1E00, 0x2000)),
)
_BAD = 0xFFFD
BAD_COST = 3.0
"""What a text of nothing but U+FFFD is worth, negative; damage in one character of thirty costs 0.1."""


def plausibility(text: str, family: Family) -> float:
    """Mean weight of the non-ASCII characters, about -3 (mojibake) to 1 (writing of that family); 0 for none.

    >>> plausibility("精米する", "japanese") > plausibility("精米する".encode().decode("cp932", "replace"), "japanese")
    True
    """
    codes = np.frombuffer(text.encode("utf-32-le", "replace"), dtype=np.uint32)
    high = codes >= 0x80
    shown = codes[high]
    if shown.size == 0:
        return 0.0
    weights = _weights(family).take(shown, mode="clip")
    if family == "any":
        weights[_in_foreign_run(codes, high)] = -0.8
    return float(weights.mean())


def _in_foreign_run(codes: npt.NDArray[np.uint32], high: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Of the high characters: accented Latin letters between two other high characters, as only mojibake has them."""
    padded = np.concatenate(([False], high, [False]))
    between = (padded[:-2] & padded[2:])[high]
    shown = codes[high]
    latin: npt.NDArray[np.bool_] = (shown < 0x180) & (shown >= 0xC0)
    return latin & between


@cache
def _weights(family: Family) -> npt.NDArray[np.float32]:
    """Weight of each code point of the first plane; the last entry stands for all planes above it."""
    table = np.full(0x10000, -0.5, dtype=np.float32)
    table[0xE000:0xF900] = -2.0
    table[0x80:0xA0] = -2.0
    table[0xAC00:0xD7A4] = -0.4
    if family == "any":
        for start, end in _LETTERS:
            table[start:end] = 0.5
        table[0x430:0x460] = 0.7
        table[0xC0:0x180] = 0.45
    _put_cjk(table, family)
    table[[ord(sign) for sign in _WEB_SIGNS]] = 0.35
    table[_BAD] = -BAD_COST
    return table


def _put_cjk(table: npt.NDArray[np.float32], family: Family) -> None:
    if family != "any":
        table[0x391:0x452] = 0.0  # Greek and Cyrillic stand in all four writings' sets
    for start, end in _CJK_SIGNS:
        table[start:end] = 0.4
    reads_japanese = family in ("japanese", "japanese_euc", "any")
    kana = 1.0 if reads_japanese else -0.3
    for start, end in _KANA:
        table[start:end] = kana
    if reads_japanese:
        table[0xFF66:0xFFA0] = 0.7 if family == "japanese_euc" else 0.05
        _put(table, "euc_jp", range(0xD0, 0xF5), -0.3)
        _put(table, "euc_jp", range(0xB0, 0xD0), 0.6)
    if family in ("chinese_traditional", "any"):
        _put(table, "big5", range(0xC9, 0xFA), 0.0)
        _put(table, "big5", range(0xA4, 0xC7), 0.5)
    if family in ("chinese_simplified", "any"):
        _put(table, "gb2312", range(0xD8, 0xF8), 0.0)
        _put(table, "gb2312", range(0xB0, 0xD8), 0.5)
    if family in ("korean", "any"):
        _put(table, "euc_kr", range(0xB0, 0xC9), 0.6)
    if family == "korean":
        table[0x3131:0x318F] = -0.4
        _put(table, "euc_kr", range(0xCA, 0xFE), -0.3)
    for writing, characters in _COMMON.items():
        if family in (writing, "any") or (reads_japanese and writing == "japanese"):
            table[[ord(character) for character in characters]] = 1.0


def _put(table: npt.NDArray[np.float32], codec: str, leads: range, weight: float) -> None:
    for lead in leads:
        row = b"".join(bytes((lead, trail)) + b" " for trail in (*range(0x40, 0x7F), *range(0xA1, 0xFF)))
        codes = [ord(character) for character in row.decode(codec, "ignore") if character > "\x7f"]
        table[codes] = weight
