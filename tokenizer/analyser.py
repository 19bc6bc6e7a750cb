"""Morphemes as cuts while a tokenizer is trained: pieces of a split in, the same cut again between Japanese words, out.

A merge then never crosses the end of a morpheme, so that every Japanese token is a morpheme or a part of one (or two
where they happen to look like one). Only the counts know of it: the tokenizer's own split stays what it was, and
encoding needs no analyser. Outside kana and kanji nothing is cut, so that words keep their blank and phrases their
bracket.

Optional: `pip install 'seimai[analyse]'`. Ten times as slow as counting without.
"""

from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seimai.errors import ConfigError

from .count_split import Cut, is_japanese

__all__ = ["ANALYSERS", "PIECE_CHARS", "cut_by_words", "described"]

Ends = Callable[[str], list[int]]
"""Ends of the words of a text, in characters."""
PIECE_CHARS = 12_000
"""Most characters the analyser is given at a time: Sudachi takes 49,149 bytes."""
ANALYSERS = {"sudachi": ("SudachiPy", "SudachiDict-core"), "mecab": ("fugashi", "unidic-lite")}
"""The packages of each: program and dictionary."""


def described(name: str) -> str:
    """Analyser and versions, which decide the counts; empty for none. ConfigError for an unknown or missing one.

    >>> described("")
    ''
    """
    if not name:
        return ""
    if name not in ANALYSERS:
        raise ConfigError(f"analyser {name!r}: there are {' and '.join(ANALYSERS)}; use sudachi, or leave it out")
    try:
        return f"{name}: " + ", ".join(f"{package} {version(package)}" for package in ANALYSERS[name])
    except PackageNotFoundError as error:
        raise ConfigError(f"analyser {name} needs {error.name}; `pip install 'seimai[analyse]'`") from None


def cut_by_words(cut: Cut, name: str) -> Cut:
    """The cuts of `cut` and, between two characters that are kana or kanji, those between words.

    >>> from .count_split import cutter
    >>> from .split import split_pattern
    >>> data, lengths, ends = cut_by_words(cutter(split_pattern()), "sudachi")(["「完成した」 a book", "白い"])
    >>> lengths.tolist(), ends.tolist()
    ([3, 1, 1, 1, 2, 5, 2], [6, 7])
    """
    words = _sudachi() if name == "sudachi" else _mecab()

    def both(texts: list[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
        data, lengths, _ = cut(texts)
        japanese = is_japanese("".join(texts))
        text_ends = np.cumsum([len(text) for text in texts])
        starts = text_ends - [len(text) for text in texts]
        found = [np.array(_ends(text, words), np.int64) + start for text, start in zip(texts, starts, strict=True)]
        inner = np.concatenate([np.empty(0, np.int64), *found])
        inner = inner[inner < len(japanese)]
        inner = inner[japanese[inner - 1] & japanese[inner]]
        bounds = np.union1d(np.cumsum(lengths), inner)
        return data, np.diff(bounds, prepend=0), np.searchsorted(bounds, text_ends, side="right")

    return both


def _ends(text: str, words: Ends) -> list[int]:
    """Ends of the words of a text of any length, which the analyser is given in pieces."""
    if len(text) <= PIECE_CHARS:
        return words(text)
    starts = range(0, len(text), PIECE_CHARS)
    return [start + end for start in starts for end in words(text[start : start + PIECE_CHARS])]


@cache
def _sudachi() -> Ends:
    """Short words (mode A) of the core dictionary."""
    from sudachipy import Dictionary, SplitMode  # type: ignore[import-untyped,import-not-found,unused-ignore]

    dictionary = Dictionary(dict="core")
    # `create` until 0.6, deprecated since.
    make = dictionary.tokenizer if hasattr(dictionary, "tokenizer") else dictionary.create
    analyse = make(mode=SplitMode.A).tokenize
    return lambda text: [word.end() for word in analyse(text)]


@cache
def _mecab() -> Ends:
    """Words of UniDic."""
    import unidic_lite
    from fugashi import GenericTagger

    # Named, since fugashi takes unidic instead where that is installed too.
    tagger: Any = GenericTagger(f'-r "{unidic_lite.DICDIR}/mecabrc" -d "{unidic_lite.DICDIR}"')

    def ends(text: str) -> list[int]:
        found, at = [], 0
        # MeCab reads up to the first NUL; what stands behind it is text as well.
        for word in tagger(text.replace("\0", " ")):
            at += len(word.white_space) + len(word.surface)
            found.append(at)
        return found

    return ends
