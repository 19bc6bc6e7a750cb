"""Code points of texts in, the UTF-8 lines a fastText classifier reads out: tokens with a space between."""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import jit
from .unicode_table import CATEGORY_MASK, LETTER, MARK, NUMBER, OTHER, SCRIPT_SHIFT, SPACE_BIT

__all__ = ["write_tokens"]

GAP, WORD, DIGITS, ALONE, SCRIPT = range(5)
"""Kinds of characters; the scripts HIRAGANA, KATAKANA and HAN are SCRIPT + 1 to SCRIPT + 3."""


@jit
def write_tokens(
    codes: NDArray[np.int32],
    classes: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    single: bool,
    out: NDArray[np.uint8],
    ends: NDArray[np.int64],
) -> None:
    """Write the tokens of text i to out[ends[i]:ends[i + 1]]; `single` makes every kana and kanji a token.

    `out` needs five bytes a code point. A token is a run of letters and marks, of digits (written 0), or of one script
    of hiragana, katakana and kanji; any other character stands alone; white space and control characters only cut.
    """
    at = 0
    for text in range(len(offsets) - 1):
        begin = at
        before = GAP
        for k in range(offsets[text], offsets[text + 1]):
            code, of = codes[k], classes[k]
            category, script = of & CATEGORY_MASK, (of >> SCRIPT_SHIFT) & 3
            if code < 33 or of & SPACE_BIT or (127 <= code < 160):
                before = GAP
                continue
            if category == NUMBER:
                kind, code = DIGITS, np.int32(48)
            elif script != OTHER:
                kind = SCRIPT + script
            elif category == LETTER or category == MARK:
                kind = WORD
            else:
                kind = ALONE
            if at > begin and (kind != before or kind == ALONE or (single and kind > SCRIPT)):
                out[at] = 32
                at += 1
            before = kind
            if code < 0x80:
                out[at] = code
                at += 1
            elif code < 0x800:
                out[at], out[at + 1] = 0xC0 | code >> 6, 0x80 | code & 63
                at += 2
            elif code < 0x10000:
                out[at], out[at + 1], out[at + 2] = 0xE0 | code >> 12, 0x80 | code >> 6 & 63, 0x80 | code & 63
                at += 3
            else:
                out[at], out[at + 1] = 0xF0 | code >> 18, 0x80 | code >> 12 & 63
                out[at + 2], out[at + 3] = 0x80 | code >> 6 & 63, 0x80 | code & 63
                at += 4
        ends[text + 1] = at
