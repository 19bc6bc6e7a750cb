"""Words of a list found in texts by an automaton, at every place the longest one (or the first listed).

A list is a UTF-8 file with one word a line. A match begins where the one before ends at the earliest.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seimai.config import Section
from seimai.errors import ConfigError
from seimai.files import sha256_file

__all__ = ["LIST_KINDS", "ListConfig", "WordList", "count_list", "list_digests", "open_list"]

LIST_KINDS = ("ad", "adult", "discrimination", "ng", "spam", "violence")
"""What a list may be; `ng` is Swallow's, whose characters are counted too."""

NODE_BITS = 21


class ListConfig(Section):
    """A word list: [signals.lists.<kind>]."""

    path: str
    """File with one word a line, UTF-8."""
    order: Literal["longest", "listed"] = "longest"
    """Which word counts where several begin: the longest, or the first in the file (HojiChar, llm-jp)."""
    whole_katakana: bool = False
    """A word of katakana alone counts only without katakana beside it (HojiChar's ignore_confused)."""
    whole_latin: bool = True
    """A word counts only where no Latin letter or digit goes on with one at its ends: "ass" is not in "class"."""
    ignore_case: bool = False
    """a-z and A-Z are the same."""


class WordList(NamedTuple):
    """An automaton: edges by (node << 21 | code point), and of each node the word that ends there (its rank, or -1)."""

    edges: NDArray[np.int64]
    targets: NDArray[np.int32]
    ranks: NDArray[np.int32]
    whole: NDArray[np.bool_]
    begins: NDArray[np.bool_]
    longest: bool
    whole_latin: bool
    ignore_case: bool


def open_list(config: ListConfig) -> WordList:
    """The automaton of a list file; ConfigError where it cannot be read or has no word."""
    try:
        stat = Path(config.path).stat()
    except OSError as error:
        raise ConfigError(f"word list {config.path}: {error.strerror}; give a file with one word a line") from error
    return _opened(config, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=16)
def _opened(config: ListConfig, size: int, mtime_ns: int) -> WordList:
    try:
        text = Path(config.path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"word list {config.path}: {error}; give a UTF-8 file with one word a line") from error
    words = [line.strip() for line in text.splitlines()]
    words = [word.lower() if config.ignore_case and word.isascii() else word for word in words if word]
    if not words:
        raise ConfigError(f"word list {config.path} has no word; give a UTF-8 file with one word a line")
    return _automaton(words, config)


def list_digests(lists: Mapping[str, ListConfig]) -> dict[str, str]:
    """SHA-256 of every list file, for fingerprints; ConfigError for a kind nobody counts or a missing file."""
    digests = {}
    for kind, config in sorted(lists.items()):
        if kind not in LIST_KINDS:
            raise ConfigError(f"signals.lists: unknown kind {kind!r}; known: {', '.join(LIST_KINDS)}")
        open_list(config)
        digests[kind] = sha256_file(Path(config.path))
    return digests


def _automaton(words: Sequence[str], config: ListConfig) -> WordList:
    tree: dict[int, int] = {}
    ranks, whole = [-1], [False]
    for rank, word in enumerate(words):
        node = 0
        for char in word:
            key = node << NODE_BITS | ord(char)
            if key not in tree:
                tree[key] = len(ranks)
                ranks.append(-1)
                whole.append(False)
            node = tree[key]
        if ranks[node] < 0:
            ranks[node] = rank
            whole[node] = config.whole_katakana and all("ァ" <= c <= "ヴ" or c == "ー" for c in word)
    size = 8
    while size < 3 * len(tree):
        size *= 2
    edges, targets = np.full(size, -1, np.int64), np.zeros(size, np.int32)
    for key, target in tree.items():
        place = (key * 0x9E3779B97F4A7C15 >> 24) & (size - 1)
        while edges[place] >= 0:
            place = (place + 1) & (size - 1)
        edges[place], targets[place] = key, target
    begins = np.zeros(0x110000, np.bool_)
    for word in words:
        begins[[ord(word[0]), ord(word[0].upper() if config.ignore_case and word.isascii() else word[0])]] = True
    return WordList(
        *(edges, targets, np.array(ranks, np.int32), np.array(whole, np.bool_), begins),
        config.order == "longest",
        config.whole_latin,
        config.ignore_case,
    )


def count_list(array: pa.Array, words: WordList) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Matches of each text of a large_string array, and their characters; zeros where null."""
    from .list_kernels import find_words
    from .text_kernels import slices

    found = np.zeros((len(array), 2), np.int64)
    for part in slices(array):
        find_words(part.codes, part.offsets, *words, found[part.first : part.last])
    return found[:, 0].copy(), found[:, 1].copy()
