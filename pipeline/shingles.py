"""Texts to shingle hashes and MinHash signatures, bit for bit those of datasketch's `affine32` scheme.

Folding is NFKC, casefold, NFKC of Unicode 14.0.0 (half-width ｶﾞ becomes ガ, jamo become syllables, e and U+0301 become
é; dakuten stay): single code points by table, then marks in canonical order, composed as in NFC. One rare case differs:
a Greek iota subscript, which case folding makes a letter, with more marks behind it.

Character shingles run over folded code points without punctuation, white space and controls; word shingles over runs of
letters, marks and digits, where apostrophes vanish. `auto` takes characters for ja, zh, ko, th, km, lo and my, words
for other languages; where the language is "auto", characters when at least a tenth of the letters are kana or kanji
(of 5,000 English texts none has more than 5 %, of 5,000 Japanese ones with code between the lines two have less).

A shingle's hash: polynomial of its units modulo 2^64 with base 0x9E3779B97F4A7C15, MurmurHash3's 64-bit finalizer, the
upper 32 bits. A unit is a code point, or for words that same polynomial and finalizer of the word's code points. A text
of fewer units is filled up with zeros to one shingle; a text without any has none.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from unicodedata import combining

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .unicode_table import (
    CATEGORY_MASK,
    CONTROL,
    LETTER,
    MARK,
    NUMBER,
    PUNCTUATION,
    SCRIPT_SHIFT,
    SEPARATOR,
    SPACE_BIT,
    UNKNOWN,
    class_table,
    fold_table,
)

__all__ = [
    "VERSION",
    "Folded",
    "fold",
    "folded",
    "minhash",
    "permutations",
    "role_table",
    "shingle_hashes",
    "shingle_modes",
]

VERSION = 2

SLICE_SHARE = 32
"""Part of a usual slice that is folded at once: what is made of it stays in memory that the next takes again."""

CHARACTER_LANGUAGES = ("ja", "zh", "ko", "th", "km", "lo", "my")
"""Languages whose shingles are characters: written without spaces, or with spaces few agree on."""


class Folded(NamedTuple):
    """Consecutive texts folded: text i of the slice stands at codes[offsets[i]:offsets[i + 1]]."""

    first: int
    last: int
    codes: NDArray[np.int32]
    offsets: NDArray[np.int64]


def fold(text: str) -> str:
    """The text as shingles see it, punctuation and white space still there.

    >>> fold("ＡＢＣ ｶﾞ Straße")
    'abc ガ strasse'
    """
    from .text_kernels import as_strings

    return "".join(part.codes.astype("<u4").tobytes().decode("utf-32-le") for part in folded(as_strings([text])))


def folded(array: pa.Array) -> Iterator[Folded]:
    """The texts of a large_string array folded, in slices; null texts have no code points."""
    from .fold_kernels import fold_utf8
    from .text_kernels import byte_slices

    for part in byte_slices(array, SLICE_SHARE):
        yield Folded(part.first, part.last, *fold_utf8(part.data, part.ends, part.present, *_folding()))


@lru_cache(maxsize=1)
def _folding() -> tuple[Any, ...]:
    """The tables of `fold_kernels`: those of `fold_table`, what composed code points consist of, and marks' classes."""
    from .fold_kernels import MAY_COMPOSE

    table = fold_table()
    order = np.argsort(table.composed)
    parts = np.stack([table.composed[order], table.pairs[order] >> 32, table.pairs[order] & 0xFFFFFFFF], axis=1)
    numbers = np.arange(0x110000)
    second = table.second_blocks[table.second_block_of[numbers >> 8], numbers & 255] != 0
    joins = np.where(second, MAY_COMPOSE, 0).astype(np.uint8)
    block_of, classes = class_table()
    for code in np.flatnonzero(classes[block_of[numbers >> 8], numbers & 255] & CATEGORY_MASK == MARK):
        # Unicode never changes the combining class of a code point, so any Python's is that of the pinned version.
        joins[code] = combining(chr(code)) or joins[code]
    blocks, places = np.unique(joins.reshape(-1, 256), axis=0, return_inverse=True)
    return (*table[:5], parts.astype(np.int32), places.reshape(-1).astype(np.int32) * 256, blocks.reshape(-1))


def shingle_hashes(text: str, *, shingle: str = "auto", size: int = 5, lang: str = "auto") -> NDArray[np.uint32]:
    """The hashes of a text's shingles, uint32, one for each place; empty where nothing counts.

    `shingle` is auto, char or word; `size` counts characters or words; `lang` is ISO 639-1 or auto. Fed to
    `datasketch.MinHash(hashfunc=lambda h: h)` they give the row of `minhash`.

    >>> [hex(int(h)) for h in shingle_hashes("精米は白い", lang="ja")]
    ['0x6ad9b6f0']
    >>> bool((shingle_hashes("ﾊﾟﾝ屋、です") == shingle_hashes("パン屋です")).all())
    True
    """
    from .shingle_kernels import shingle_texts
    from .text_kernels import as_strings

    modes, sizes = shingle_modes(1, shingle, lang), _sizes(size, size)
    result = np.zeros(0, np.uint32)
    for part in folded(as_strings([text])):
        result = shingle_texts(part.codes, part.offsets, modes, sizes, *role_table())[0]
    return result


def minhash(
    texts: Sequence[str | None] | pa.Array,
    *,
    num_perm: int = 128,
    shingle: str = "auto",
    size: int = 5,
    lang: str = "auto",
    seed: int = 1,
) -> NDArray[np.uint32]:
    """MinHash signatures, uint32 of shape (texts, num_perm); all ones where a text has no shingle or is null.

    Equal to `datasketch.MinHash(num_perm, seed, scheme="affine32", hashfunc=lambda h: h)` fed with `shingle_hashes`.

    >>> same = minhash(["精米は白い。", "精米は 白い"], lang="ja")
    >>> same.shape, bool((same[0] == same[1]).all())
    ((2, 128), True)
    """
    from .shingle_kernels import minhash_texts, shingle_texts
    from .text_kernels import as_strings

    array = as_strings(texts)
    factors, terms = permutations(num_perm, seed)
    modes, sizes = shingle_modes(len(array), shingle, lang), _sizes(size, size)
    result = np.full((len(array), num_perm), 0xFFFFFFFF, np.uint32)
    for part in folded(array):
        rows = slice(part.first, part.last)
        hashes, ends = shingle_texts(part.codes, part.offsets, modes[rows], sizes, *role_table())
        minhash_texts(hashes, ends, factors, terms, result[rows])
    return result


@lru_cache(maxsize=1)
def role_table() -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """What every code point is to a shingle: c has the role roles[places[c >> 8] + (c & 255)], bits of the kernels.

    >>> places, roles = role_table()
    >>> [int(roles[places[ord(c) >> 8] + (ord(c) & 255)]) for c in "a1’。米"]
    [13, 5, 2, 0, 29]
    """
    from .shingle_kernels import COUNTS_BIT, JAPANESE_BIT, LETTER_BIT, SILENT_BIT, WORD_BIT

    block_of, classes = class_table()
    kind = classes & CATEGORY_MASK
    letter = kind == LETTER
    passed_over = np.isin(kind, (PUNCTUATION, SEPARATOR, CONTROL)) | (classes & SPACE_BIT != 0)
    roles = WORD_BIT * np.isin(kind, (LETTER, MARK, NUMBER, UNKNOWN)) + COUNTS_BIT * ~passed_over
    roles += LETTER_BIT * letter + JAPANESE_BIT * (letter & (classes >> SCRIPT_SHIFT & 3 != 0))
    # Blocks of their own for the apostrophes: others might share theirs.
    roles, places = np.concatenate([roles, roles[block_of[[0x00, 0x20]]]]), block_of.astype(np.int32)
    places[[0x00, 0x20]] = len(classes), len(classes) + 1
    roles[[-2, -1], [0x27, 0x19]] = SILENT_BIT
    return places * 256, roles.astype(np.uint8).reshape(-1)


def permutations(num_perm: int, seed: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Factors (odd) and terms of datasketch's `affine32` permutations; the first of more are not those of fewer."""
    if num_perm < 1:
        raise ValueError(f"num_perm = {num_perm}: must be at least 1")
    # RandomState is frozen by NumPy's compatibility policy, so the numbers do not depend on its version.
    generator = np.random.RandomState(seed)
    factors = generator.randint(0, 1 << 31, num_perm, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return factors, generator.randint(0, 1 << 32, num_perm, dtype=np.uint32)


def shingle_modes(n: int, shingle: str, lang: str | pa.Array) -> NDArray[np.uint8]:
    """For each of n texts whether its shingles are characters (0), words (1), or as its letters say (2).

    >>> shingle_modes(3, "auto", pa.array(["ja", "en", None])).tolist()
    [0, 1, 2]
    """
    from .shingle_kernels import AUTO, CHAR, WORD

    if shingle not in ("auto", "char", "word"):
        raise ValueError(f"shingle = {shingle!r}: must be auto, char or word")
    if shingle != "auto":
        return np.full(n, CHAR if shingle == "char" else WORD, np.uint8)
    if isinstance(lang, str):
        return np.full(n, AUTO if lang == "auto" else CHAR if lang in CHARACTER_LANGUAGES else WORD, np.uint8)
    codes = lang.dictionary_encode()
    codes = codes.combine_chunks() if isinstance(codes, pa.ChunkedArray) else codes
    names = [*codes.dictionary.to_pylist(), "auto"]
    modes = np.array([shingle_modes(1, "auto", name or "auto")[0] for name in names], np.uint8)
    places: NDArray[np.int64] = codes.indices.fill_null(len(names) - 1).to_numpy(zero_copy_only=False)
    return modes[places]


def _sizes(shingle_chars: int, shingle_words: int) -> NDArray[np.int64]:
    """Units of a character and of a word shingle, as the kernels index them."""
    for size in (shingle_chars, shingle_words):
        if size < 1:
            raise ValueError(f"shingle size {size}: must be at least 1")
    return np.array([shingle_chars, shingle_words], np.int64)
