"""The automaton of a word list over code points."""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import int64, jit

__all__ = ["find_words"]

NODE_BITS = 21
BASE = np.uint64(0x9E3779B97F4A7C15)


@jit
def find_words(
    codes: NDArray[np.int32],
    offsets: NDArray[np.int64],
    edges: NDArray[np.int64],
    targets: NDArray[np.int32],
    ranks: NDArray[np.int32],
    whole: NDArray[np.bool_],
    begins: NDArray[np.bool_],
    longest: bool,
    whole_latin: bool,
    ignore_case: bool,
    counts: NDArray[np.int64],
) -> None:
    """counts[text]: matches, and their characters; the arrays are those of wordlists.WordList."""
    mask = len(edges) - 1
    for text in range(len(offsets) - 1):
        first, last = offsets[text], offsets[text + 1]
        at = first
        while at < last:
            if not begins[codes[at]]:
                at += 1
                continue
            node, end, best, rank = int64(0), at, int64(-1), int64(-1)
            while end < last:
                code = codes[end]
                code = code | 0x20 if ignore_case and 0x41 <= code <= 0x5A else code
                key = node << NODE_BITS | int64(code)
                place = int64((np.uint64(key) * BASE) >> np.uint64(24)) & mask
                while edges[place] >= 0 and edges[place] != key:
                    place = (place + 1) & mask
                if edges[place] < 0:
                    break
                node, end = int64(targets[place]), end + 1
                if ranks[node] >= 0 and (longest or rank < 0 or ranks[node] < rank):
                    if _stands_alone(codes, first, at, end, last, whole[node], whole_latin):
                        best, rank = end, int64(ranks[node])
            if best > at:
                counts[text, 0] += 1
                counts[text, 1] += best - at
                at = best
            else:
                at += 1


@jit
def _is_katakana(code: int) -> bool:
    """ァ to ヴ, and ー."""
    return 0x30A1 <= code <= 0x30F4 or code == 0x30FC


@jit
def _is_latin(code: int) -> bool:
    """A letter or digit of ASCII, or a letter of Latin-1."""
    if code < 0x80:
        return 0x30 <= code <= 0x39 or 0x41 <= code <= 0x5A or 0x61 <= code <= 0x7A
    return 0xC0 <= code <= 0x24F and code != 0xD7 and code != 0xF7


@jit
def _stands_alone(
    codes: NDArray[np.int32], first: int, begin: int, end: int, last: int, katakana: bool, latin: bool
) -> bool:
    """No katakana beside a word that must not have it, no Latin letter that goes on with one."""
    if katakana:
        if (begin > first and _is_katakana(codes[begin - 1])) or (end < last and _is_katakana(codes[end])):
            return False
    if latin:
        if begin > first and _is_latin(codes[begin]) and _is_latin(codes[begin - 1]):
            return False
        if end < last and _is_latin(codes[end - 1]) and _is_latin(codes[end]):
            return False
    return True
