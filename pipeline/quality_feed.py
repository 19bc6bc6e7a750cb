"""Texts in, the lines a fastText quality model is trained on and asked: lower case, digits as 0, cut into tokens.

Japanese has no spaces to cut at; two ways of feeding it are known here. `chars`: every kana and kanji is a token, so
that fastText's n-grams of words are n-grams of characters. `pieces`: a run of one script is a token. Other scripts come
in words in both, punctuation one by one.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["FEEDS", "Feed", "feed"]

Feed = Literal["chars", "pieces"]
FEEDS: tuple[Feed, ...] = get_args(Feed)


def feed(
    texts: Sequence[str | None] | pa.Array | pa.ChunkedArray, how: Feed, *, max_chars: int = 4000
) -> pa.LargeStringArray:
    """One line for each text, without line end, of its first `max_chars` characters; empty where it is null.

    Underscores stand alone, so that no text can hold a label of fastText's.

    >>> feed(["精米する。 3.5kg の米", None], "pieces").to_pylist()
    ['精米 する 。 0 . 0 kg の 米', '']
    >>> feed(["精米する3.5kg"], "chars").to_pylist()
    ['精 米 す る 0 . 0 kg']
    """
    from .quality_kernels import write_tokens
    from .text_kernels import as_strings, slices

    array = pc.utf8_lower(pc.utf8_slice_codeunits(as_strings(texts), 0, max_chars))
    lines = []
    for part in slices(array):
        out = np.empty(5 * len(part.codes), np.uint8)
        ends = np.zeros(len(part.offsets), np.int64)
        write_tokens(part.codes, part.classes, part.offsets, how == "chars", out, ends)
        buffers = [None, pa.py_buffer(ends), pa.py_buffer(out[: ends[-1]])]
        lines.append(pa.LargeStringArray.from_buffers(len(ends) - 1, *buffers[1:]))
    return pa.concat_arrays(lines) if lines else pa.array([], pa.large_string())
