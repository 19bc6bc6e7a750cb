"""Spans of code points over UTF-8: joined, found in bytes, cut out, and mapped back; linear in what is edited."""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import jit

__all__ = ["byte_places", "original_places", "splice", "unite"]


@jit
def unite(rows: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Join overlapping spans in place; returns the places of those that stay.  Sorted by row, start, longest first."""
    kept = np.empty(len(rows), np.int64)
    n = 0
    for k in range(len(rows)):
        if n and rows[kept[n - 1]] == rows[k] and starts[k] < ends[kept[n - 1]]:
            ends[kept[n - 1]] = max(ends[kept[n - 1]], ends[k])
        else:
            kept[n] = k
            n += 1
    return kept[:n]


@jit
def byte_places(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    rows: NDArray[np.int64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Byte positions of spans; an end of -1 where a span overlaps the one before or leaves its text."""
    begins, stops = np.empty(len(rows), np.int64), np.full(len(rows), -1, np.int64)
    row, at, count = np.int64(-1), np.int64(0), np.int64(0)
    for k in range(len(rows)):
        if rows[k] != row:
            row = rows[k]
            at, count = offsets[row], np.int64(0)
        stop = offsets[row + 1]
        begins[k] = at
        if starts[k] < count:
            continue
        while at < stop and count < starts[k]:
            at += 1
            while at < stop and data[at] & 0xC0 == 0x80:
                at += 1
            count += 1
        begins[k] = at
        while at < stop and count < ends[k]:
            at += 1
            while at < stop and data[at] & 0xC0 == 0x80:
                at += 1
            count += 1
        if count == ends[k]:
            stops[k] = at
    return begins, stops


@jit
def splice(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    rows: NDArray[np.int64],
    begins: NDArray[np.int64],
    stops: NDArray[np.int64],
    pieces: NDArray[np.uint8],
    piece_offsets: NDArray[np.int64],
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The bytes and offsets of all texts, spans [begins, stops) of bytes replaced by the pieces."""
    total = offsets[-1] - offsets[0] + piece_offsets[-1] - piece_offsets[0]
    for k in range(len(rows)):
        total -= stops[k] - begins[k]
    out, out_offsets = np.empty(total, np.uint8), np.zeros(len(offsets), np.int64)
    n, k = np.int64(0), 0
    for text in range(len(offsets) - 1):
        at = offsets[text]
        while k < len(rows) and rows[k] == text:
            out[n : n + begins[k] - at] = data[at : begins[k]]
            n += begins[k] - at
            piece = piece_offsets[k + 1] - piece_offsets[k]
            out[n : n + piece] = pieces[piece_offsets[k] : piece_offsets[k + 1]]
            n += piece
            at = stops[k]
            k += 1
        out[n : n + offsets[text + 1] - at] = data[at : offsets[text + 1]]
        n += offsets[text + 1] - at
        out_offsets[text + 1] = n
    return out, out_offsets


@jit
def original_places(
    rows: NDArray[np.int64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    lengths: NDArray[np.int64],
    found_rows: NDArray[np.int64],
    found_starts: NDArray[np.int64],
    found_ends: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Spans of edited texts as spans of the original ones; edit k put lengths[k] code points in."""
    begins, stops = np.empty(len(found_rows), np.int64), np.empty(len(found_rows), np.int64)
    k, row, shift = 0, np.int64(-1), np.int64(0)
    for f in range(len(found_rows)):
        if found_rows[f] != row:
            row, shift = found_rows[f], np.int64(0)
            while k < len(rows) and rows[k] < row:
                k += 1
        # Behind every edit that ends before the first code point of the span.
        while k < len(rows) and rows[k] == row and starts[k] - shift + lengths[k] <= found_starts[f]:
            shift += ends[k] - starts[k] - lengths[k]
            k += 1
        inside = k < len(rows) and rows[k] == row and starts[k] - shift < found_starts[f]
        begins[f] = starts[k] if inside else found_starts[f] + shift
        # The end is one behind the last code point; edits up to there are passed without being left behind.
        last, ahead, moved = found_ends[f] - 1, k, shift
        while ahead < len(rows) and rows[ahead] == row and starts[ahead] - moved + lengths[ahead] <= last:
            moved += ends[ahead] - starts[ahead] - lengths[ahead]
            ahead += 1
        inside = ahead < len(rows) and rows[ahead] == row and starts[ahead] - moved <= last
        stops[f] = ends[ahead] if inside else last + moved + 1
    return begins, stops
