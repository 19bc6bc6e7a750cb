"""Nouns and repeated words by MeCab's UniDic, as HojiChar counts them: fugashi and the dictionary unidic-lite.

Optional: `pip install fugashi unidic-lite`. What is counted is HojiChar 0.18.1's, filters/document_filters.py.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seimai.errors import ConfigError

__all__ = ["CHUNK_CHARS", "NGRAM", "UNIDIC_COUNTS", "count_unidic"]

UNIDIC_COUNTS = ("words", "unmarked_words", "nouns", "ngrams", "repeated_ngrams")
"""Words; those that are no mark (補助記号); nouns (名詞); word 7-grams; those of them that stand more than once."""
CHUNK_CHARS = 100_000
"""Longest text the analyser is given, in characters; longer ones are cut there, and no n-gram goes over a cut."""
NGRAM = 7
"""Words in an n-gram."""
_BASE = 0x9E3779B97F4A7C15
# A word and its part of speech on lines of their own: one string from MeCab, where a node a word costs twice the time.
_FORMAT = r'-O "" -F "%m\n%f[0]\n" -U "%m\n%f[0]\n" -E ""'


@lru_cache(maxsize=1)
def _tagger() -> Any:
    try:
        import unidic_lite
        from fugashi import GenericTagger
    except ImportError as error:
        raise ConfigError(
            "signals with the prefix unidic_ need fugashi; pip install fugashi unidic-lite, or take hojichar-ja@chars"
        ) from error
    # The dictionary is named: fugashi would take unidic instead, where that is installed too.
    return GenericTagger(f'-r "{unidic_lite.DICDIR}/mecabrc" -d "{unidic_lite.DICDIR}" {_FORMAT}')


def count_unidic(texts: pa.Array) -> NDArray[np.int64]:
    """UNIDIC_COUNTS of every text, one row each, zeros where it is null.

    >>> count_unidic(pa.array(["リンゴ・オレンジ・ミカン", None])).tolist()
    [[5, 3, 3, 0, 0], [0, 0, 0, 0, 0]]
    """
    counts = np.zeros((len(texts), len(UNIDIC_COUNTS)), np.int64)
    for row, text in enumerate(texts.to_pylist()):
        if text:
            counts[row] = _count(text)
    return counts


def _count(text: str) -> tuple[int, int, int, int, int]:
    words: list[str] = []
    chunks: list[int] = []
    n_marks = n_nouns = 0
    for found, kinds in _chunks(text):
        words += found
        chunks.append(len(found))
        n_marks += kinds.count("補助記号")
        n_nouns += kinds.count("名詞")
    return len(words), len(words) - n_marks, n_nouns, *_ngrams(words, chunks)


def _chunks(text: str) -> Iterator[tuple[list[str], list[str]]]:
    """Words of each chunk, and their parts of speech."""
    tagger = _tagger()
    # MeCab reads up to the first NUL; what stands behind it is text as well.
    text = text.replace("\0", " ")
    for begin in range(0, len(text), CHUNK_CHARS):
        lines = tagger.parse(text[begin : begin + CHUNK_CHARS]).split("\n")
        yield lines[: len(lines) // 2 * 2 : 2], lines[1::2]


def _ngrams(words: list[str], chunks: Iterable[int]) -> tuple[int, int]:
    """7-grams of words, and how many of them stand more than once, the first too; told apart by 64-bit hashes."""
    number = pa.array(words, pa.string()).dictionary_encode().indices.to_numpy().astype(np.uint64)
    hashes = []
    begin = 0
    for size in chunks:
        part = number[begin : begin + size]
        begin += size
        n = size - NGRAM + 1
        if n > 0:
            value = np.zeros(n, np.uint64)
            for at in range(NGRAM):
                value = (value + part[at : at + n] + np.uint64(1)) * np.uint64(_BASE)
                value ^= value >> np.uint64(29)
            hashes.append(value)
    if not hashes:
        return 0, 0
    times = np.unique(np.concatenate(hashes), return_counts=True)[1]
    return int(times.sum()), int(times[times > 1].sum())
