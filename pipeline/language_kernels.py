"""UTF-8 texts in; what a language model needs to see of each, and how many letters of each script that has."""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import int64, jit

__all__ = ["sample_texts"]


@jit
def sample_texts(
    data: NDArray[np.uint8],
    ends: NDArray[np.int64],
    present: NDArray[np.bool_],
    script_of: NDArray[np.uint8],
    n_scripts: int,
    windows: int,
    window_chars: int,
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int32]]:
    """Samples as UTF-8 and where each ends; counts[text]: letters by script in the sample, hiragana in the last column.

    A text is read at the beginnings of `windows` equal stretches of its bytes, `window_chars` characters each; a
    shorter one is read whole. White space and controls become one space, addresses of the web are left out.
    """
    n_texts = len(ends) - 1
    counts = np.zeros((n_texts, n_scripts + 1), np.int32)
    out_ends = np.zeros(n_texts + 1, np.int64)
    total = int64(0)
    for text in range(n_texts):
        total += min(ends[text + 1] - ends[text], 4 * windows * window_chars) + windows
    out = np.empty(total, np.uint8)
    filled = int64(0)
    for text in range(n_texts):
        first, last = ends[text], ends[text + 1] if present[text] else ends[text]
        begin, at = filled, first
        for window in range(windows):
            start = first + (last - first) * window // windows
            stop = first + (last - first) * (window + 1) // windows
            if start > at:  # what lies between was left out: begin with a whole word, and apart
                at = _word_start(data, start, min(stop, start + 32))
                filled = _space(out, filled, begin)
            chars = int64(0)
            while at < stop and chars < window_chars:
                skipped = _behind_address(data, at, first, last)
                if skipped > at:
                    at = skipped
                    filled = _space(out, filled, begin)
                    continue
                code, length = _decode_one(data, at)
                if code <= 0x20 or 0x7F <= code <= 0xA0 or code == 0x3000:
                    filled = _space(out, filled, begin)
                else:
                    for k in range(length):
                        out[filled + k] = data[at + k]
                    filled += length
                    counts[text, script_of[code]] += 1
                    counts[text, n_scripts] += 0x3041 <= code <= 0x3096
                at += length
                chars += 1
        out_ends[text + 1] = filled
    return out[:filled], out_ends, counts


@jit
def _space(out: NDArray[np.uint8], filled: int, begin: int) -> int:
    """One space behind what stands there, none at the beginning or behind another."""
    if filled > begin and out[filled - 1] != 0x20:
        out[filled] = 0x20
        return filled + 1
    return filled


@jit
def _word_start(data: NDArray[np.uint8], at: int, limit: int) -> int:
    """The place behind the next white space before `limit`, else the next beginning of a character."""
    for place in range(at, limit):
        if data[place] <= 0x20:
            return place + 1
    while data[at] & 0xC0 == 0x80:
        at += 1
    return at


@jit
def _decode_one(data: NDArray[np.uint8], at: int) -> tuple[int, int]:
    """Code point and length; Arrow promises valid UTF-8, so the lead byte alone decides."""
    lead = int64(data[at])
    if lead < 0x80:
        return lead, 1
    if lead < 0xE0:
        return (lead & 0x1F) << 6 | (int64(data[at + 1]) & 0x3F), 2
    if lead < 0xF0:
        return (lead & 0x0F) << 12 | (int64(data[at + 1]) & 0x3F) << 6 | (int64(data[at + 2]) & 0x3F), 3
    high = (lead & 0x07) << 18 | (int64(data[at + 1]) & 0x3F) << 12
    return high | (int64(data[at + 2]) & 0x3F) << 6 | (int64(data[at + 3]) & 0x3F), 4


@jit
def _behind_address(data: NDArray[np.uint8], at: int, first: int, last: int) -> int:
    """The end of the http(s)://… or www.… that begins here; `at` itself where none does."""
    lead = data[at] | 0x20
    if lead != 0x68 and lead != 0x77:  # h, w
        return at
    if at > first and (data[at - 1] | 0x20) >= 0x61 and (data[at - 1] | 0x20) <= 0x7A:
        return at
    end = at
    if lead == 0x77:
        if at + 4 <= last and data[at + 1] | 0x20 == 0x77 and data[at + 2] | 0x20 == 0x77 and data[at + 3] == 0x2E:
            end = at + 4
    elif at + 7 <= last and data[at + 1] | 0x20 == 0x74 and data[at + 2] | 0x20 == 0x74 and data[at + 3] | 0x20 == 0x70:
        colon = at + 5 if data[at + 4] | 0x20 == 0x73 else at + 4
        if colon + 3 <= last and data[colon] == 0x3A and data[colon + 1] == 0x2F and data[colon + 2] == 0x2F:
            end = colon + 3
    if end == at:
        return at
    while end < last and 0x20 < data[end] < 0x7F and data[end] != 0x3C and data[end] != 0x3E and data[end] != 0x22:
        end += 1
    return end
