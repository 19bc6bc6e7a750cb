"""Japanese words by SudachiPy, as FineWeb-2 cut them: the core dictionary, mode A, pieces of at most 40,000 bytes.

Optional: `pip install sudachipy sudachidict_core`. An order of magnitude slower than everything else together.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seimai.errors import ConfigError

from .text_kernels import Slice

__all__ = ["PIECE_BYTES", "cut_analysed"]

PIECE_BYTES = 40_000
"""Longest piece the analyser is given, in UTF-8 bytes; spaCy's Japanese tokenizer refuses longer ones."""


@lru_cache(maxsize=1)
def _analyser() -> Any:
    try:
        from sudachipy import Dictionary, SplitMode  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError as error:
        raise ConfigError(
            "signals with the prefix sudachi_ need SudachiPy; pip install sudachipy sudachidict_core, or take "
            "fineweb2-ja@chars"
        ) from error
    dictionary = Dictionary(dict="core")
    # `create` became `tokenizer` in SudachiPy 0.7.
    make = dictionary.tokenizer if hasattr(dictionary, "tokenizer") else dictionary.create
    return make(mode=SplitMode.A)


def cut_analysed(part: Slice) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """Words of text i: codes[starts[k]:ends[k]] for k from bounds[i] to bounds[i + 1], stripped, none blank."""
    analyser = _analyser()
    starts: list[int] = []
    ends: list[int] = []
    bounds = np.zeros(len(part.offsets), np.int64)
    for number in range(len(part.offsets) - 1):
        first, last = int(part.offsets[number]), int(part.offsets[number + 1])
        text = part.codes[first:last].tobytes().decode("utf-32-le")
        for begin, end in _pieces(text):
            for word in analyser.tokenize(text[begin:end]):
                surface = word.surface()
                left = len(surface) - len(surface.lstrip())
                size = len(surface.strip())
                if size:
                    starts.append(first + begin + word.begin() + left)
                    ends.append(starts[-1] + size)
        bounds[number + 1] = len(starts)
    return np.array(starts, np.int32), np.array(ends, np.int32), bounds


def _pieces(text: str) -> list[tuple[int, int]]:
    """Stretches of at most PIECE_BYTES, which cut the text in order."""
    if len(text) * 3 <= PIECE_BYTES:
        return [(0, len(text))]
    sizes = np.cumsum([len(char.encode()) for char in text])
    found, begin = [], 0
    while begin < len(text):
        before = int(sizes[begin - 1]) if begin else 0
        end = int(np.searchsorted(sizes, before + PIECE_BYTES, side="right"))
        found.append((begin, max(end, begin + 1)))
        begin = found[-1][1]
    return found
