"""Texts to shingle hashes and MinHash signatures, bit for bit those of datasketch's `affine32` scheme.

Folding is NFKC, casefold, NFKC of Unicode 14.0.0 for single code points, by table; then each code point composes with
the one before it as in NFC (half-width ｶﾞ becomes ガ, jamo become syllables, e and U+0301 become é; dakuten stay). That
is full NFKC but for two rare cases: several marks on one letter in an unusual order, and a mark behind a letter that
is composed already and would have to go in between.

Character shingles run over folded code points without punctuation, white space and controls; word shingles over runs of
letters, marks and digits, where apostrophes vanish. `auto` takes characters for ja, zh, ko, th, km, lo and my, words
for other languages; where the language is "auto", characters when at least 30 % of the letters are kana or kanji.

A shingle's hash: polynomial of its units modulo 2^64 with base 0x9E3779B97F4A7C15, MurmurHash3's 64-bit finalizer, the
upper 32 bits. A unit is a code point, or for words that same polynomial and finalizer of the word's code points. A text
of fewer units is filled up with zeros to one shingle; a text without any has none.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .unicode_table import class_table, fold_table

__all__ = ["VERSION", "fold", "minhash", "permutations", "shingle_hashes", "shingle_modes"]

VERSION = 1

CHARACTER_LANGUAGES = ("ja", "zh", "ko", "th", "km", "lo", "my")
"""Languages whose shingles are characters: written without spaces, or with spaces few agree on."""


def fold(text: str) -> str:
    """The text as shingles see it, punctuation and white space still there.

    >>> fold("ＡＢＣ ｶﾞ Straße")
    'abc ガ strasse'
    """
    from .shingle_kernels import fold_text
    from .text_kernels import as_strings, slices

    parts = [fold_text(part.codes, part.offsets, *fold_table())[0] for part in slices(as_strings([text]))]
    return "".join(part.astype("<u4").tobytes().decode("utf-32-le") for part in parts)


def shingle_hashes(text: str, *, shingle: str = "auto", size: int = 5, lang: str = "auto") -> NDArray[np.uint32]:
    """The hashes of a text's shingles, uint32, one for each place; empty where nothing counts.

    `shingle` is auto, char or word; `size` counts characters or words; `lang` is ISO 639-1 or auto. Fed to
    `datasketch.MinHash(hashfunc=lambda h: h)` they give the row of `minhash`.

    >>> [hex(int(h)) for h in shingle_hashes("精米は白い", lang="ja")]
    ['0x6ad9b6f0']
    >>> bool((shingle_hashes("ﾊﾟﾝ屋、です") == shingle_hashes("パン屋です")).all())
    True
    """
    from .shingle_kernels import fold_text, shingle_texts
    from .text_kernels import as_strings, slices

    modes, sizes = shingle_modes(1, shingle, lang), _sizes(size, size)
    result = np.zeros(0, np.uint32)
    for part in slices(as_strings([text])):
        codes, offsets = fold_text(part.codes, part.offsets, *fold_table())
        result = shingle_texts(codes, offsets, modes, sizes, *class_table())[0]
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
    from .shingle_kernels import fold_text, minhash_texts, shingle_texts
    from .text_kernels import as_strings, slices

    array = as_strings(texts)
    factors, terms = permutations(num_perm, seed)
    modes, sizes = shingle_modes(len(array), shingle, lang), _sizes(size, size)
    result = np.full((len(array), num_perm), 0xFFFFFFFF, np.uint32)
    for part in slices(array):
        codes, offsets = fold_text(part.codes, part.offsets, *fold_table())
        hashes, ends = shingle_texts(codes, offsets, modes[part.first : part.last], sizes, *class_table())
        minhash_texts(hashes, ends, factors, terms, result[part.first : part.last])
    return result


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
