"""Texts in, one row of numbers per text out: every signal a quality rule may ask for, for every language.

Definitions, where systems disagree:

- a character is a code point; classes are those of Unicode 14.0.0 (`unicode_table.py`), kanji beyond U+FFFF included;
- a word is a run of letters, marks and digits of one script (hiragana, katakana, kanji, all others together; ー goes
  on in either kana), across one ' ’ or . between letters or digits and a comma between digits; anything else that is
  not white space is a word of its own, equal neighbours together. So English comes out close to datatrove's words, and
  Japanese in runs of one script, without an analyser;
- a sentence is what [^。．！？!?]+[。．！？!?]? finds within a line, as in Swallow; outside Japanese and Chinese a full
  stop before white space ends one too, and white space before a sentence is not part of it;
- a line is one of str.splitlines, but repetition counts pieces between newlines, as datatrove does; a paragraph stands
  between blank lines; a "ja_line" is a line as the list of its sentences, Swallow's paragraph, where a line without a
  sentence counts as none (Swallow's own input had no blank lines);
- copies are items seen before, the first not counted; word n-grams as datatrove (top: joined with spaces, over n_chars;
  dup: without spaces, going on behind each hit), character n-grams as Swallow (top: over all n-grams; dup: distinct
  repeated over distinct).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["SIGNALS", "VERSION", "signals"]

VERSION = 1

Signal = tuple[pa.DataType, str, str]
"""Arrow type, unit, meaning."""

_COUNTED: Mapping[str, tuple[str, str, str]] = {
    "n_chars": ("chars", "characters", "length"),
    "n_bytes": ("bytes", "bytes", "length in UTF-8"),
    "n_lines": ("lines", "lines", "lines of str.splitlines, blank ones included"),
    "n_paragraphs": ("paragraphs", "paragraphs", "stretches between blank lines"),
    "n_sentences": ("sentences", "sentences", "sentences"),
    "n_words": ("words", "words", "words, punctuation included"),
    "n_plain_words": ("plain_words", "words", "words with a letter, mark or digit (datatrove's non-symbol words)"),
    "n_stop_words": ("stop_words", "words", "distinct ones among the, be, to, of, and, that, have, with"),
    "n_hiragana": ("hiragana", "characters", "script hiragana, iteration marks included"),
    "n_katakana": ("katakana", "characters", "script katakana, ー, iteration marks and half-width forms included"),
    "n_kanji": ("kanji", "characters", "script Han, iteration marks included"),
    "n_japanese_letters": (
        "swallow_japanese",
        "characters",
        "Swallow's Japanese letters: 、，。．！？ too, ー not",
    ),
    "max_sentence_chars": ("max_sentence_chars", "characters", "longest sentence"),
}
"""Name: what is counted, unit, meaning; int64."""

_SHARES: Mapping[str, tuple[str, str, str]] = {
    "letter_ratio": ("letters", "chars", "letters (Unicode L)"),
    "digit_ratio": ("digits", "chars", "digits and other numbers (N)"),
    "punct_ratio": ("punctuation", "chars", "punctuation (P)"),
    "symbol_ratio": ("symbols", "chars", "symbols (S)"),
    "space_ratio": ("spaces", "chars", "white space"),
    "japanese_ratio": ("swallow_japanese", "chars", "Swallow's Japanese letters"),
    "hiragana_ratio": ("swallow_hiragana", "swallow_japanese", "hiragana U+3041-3096, over Japanese letters"),
    "katakana_ratio": ("swallow_katakana", "swallow_japanese", "katakana U+30A1-30FA, over Japanese letters"),
    "kanji_ratio": ("swallow_kanji", "swallow_japanese", "kanji, over Japanese letters"),
    "mean_sentence_chars": ("sentence_chars", "sentences", "mean length of sentences, in characters"),
    "ellipsis_sentence_ratio": ("ellipsis_sentences", "sentences", "sentences that end in ・ or …"),
    "mean_word_chars": ("plain_word_chars", "plain_words", "mean length of plain words, in characters"),
    "alpha_word_ratio": ("alpha_words", "words", "words with a letter"),
    "hash_word_ratio": ("hashes", "words", "# per word"),
    "ellipsis_word_ratio": ("ellipses", "words", "... and … per word"),
    "bullet_line_ratio": ("bullet_lines", "lines", "lines that begin with • or -"),
    "ellipsis_line_ratio": ("ellipsis_lines", "lines", "lines that end in ... or …"),
    "dup_line_ratio": ("dup_pieces", "pieces", "copied lines"),
    "dup_line_char_ratio": ("dup_piece_chars", "chars", "characters in copied lines"),
    "dup_paragraph_ratio": ("dup_paragraphs", "paragraphs", "copied paragraphs"),
    "dup_paragraph_char_ratio": ("dup_paragraph_chars", "chars", "characters in copied paragraphs"),
    "dup_sentence_ratio": ("dup_sentences", "sentences", "copied sentences"),
    "dup_sentence_char_ratio": ("dup_sentence_chars", "sentence_chars", "characters in copied sentences"),
    "dup_ja_line_ratio": ("dup_ja_lines", "ja_lines", "copied lines of sentences (Swallow's paragraphs)"),
    "dup_ja_line_char_ratio": ("dup_ja_line_chars", "sentence_chars", "characters in copied lines of sentences"),
    **{
        f"top_{n}word_char_ratio": (f"top_word_{n}gram_chars", "chars", f"characters of the top {n}-gram of words")
        for n in (2, 3, 4)
    },
    **{
        f"dup_{n}word_char_ratio": (f"dup_word_{n}gram_chars", "chars", f"characters in copied {n}-grams of words")
        for n in range(5, 11)
    },
    **{
        f"top_{n}gram_char_ratio": (f"top_char_{n}grams", f"all_char_{n}grams", f"top {n}-gram of characters")
        for n in range(2, 11)
    },
    **{
        f"dup_{n}gram_char_ratio": (
            *(f"dup_char_{n}grams", f"distinct_char_{n}grams"),
            f"distinct {n}-grams of characters that stand more than once, over distinct ones",
        )
        for n in range(2, 11)
    },
}
"""Name: count above, count below the line, meaning; float64, 0 where nothing stands below."""

SIGNALS: Mapping[str, Signal] = {
    **{name: (pa.int64(), unit, meaning) for name, (_, unit, meaning) in _COUNTED.items()},
    **{
        name: (pa.float64(), "characters" if name.startswith("mean_") else "ratio", meaning)
        for name, (_, _, meaning) in _SHARES.items()
    },
}
"""Every column of `signals`: Arrow type, unit, meaning."""

_SPACELESS = ("ja", "zh")


def signals(texts: Sequence[str | None] | pa.Array, lang: str) -> pa.Table:
    """The columns of `SIGNALS`, one row per text, null where the text is null; no row depends on another.

    `lang` (ISO 639-1) says only what ends a sentence. Single-threaded, without the GIL, in slices of a few MiB.

    >>> table = signals(["精米は白い。玄米は茶色い。", None], "ja")
    >>> table["n_sentences"].to_pylist(), table["mean_sentence_chars"].to_pylist()
    ([2, None], [6.5, None])
    """
    from .text_kernels import as_strings

    array = as_strings(texts)
    counts = _counts(array, lang)
    null = array.is_null().to_numpy(zero_copy_only=False)
    columns = {name: pa.array(counts[count], mask=null) for name, (count, _, _) in _COUNTED.items()}
    for name, (above, below, _) in _SHARES.items():
        columns[name] = pa.array(counts[above] / np.maximum(counts[below], 1), mask=null)
    return pa.table({name: columns[name] for name in SIGNALS})


def _counts(array: pa.Array, lang: str) -> dict[str, NDArray[np.int64]]:
    """Every raw count of every text; zeros where the text is null."""
    from .measure_kernels import COUNTS, count_text
    from .ngram_kernels import CHAR_COUNTS, STOP_WORDS, WORD_COUNTS, count_ngrams, word_hash
    from .text_kernels import slices

    stops = np.array([word_hash(np.array([ord(c) for c in word], np.int32)) for word in STOP_WORDS], np.uint64)
    text_counts = np.zeros((len(array), len(COUNTS)), np.int64)
    ngram_counts = np.zeros((len(array), len(WORD_COUNTS) + len(CHAR_COUNTS)), np.int64)
    for part in slices(array):
        rows = slice(part.first, part.last)
        count_text(part.codes, part.classes, part.offsets, lang not in _SPACELESS, text_counts[rows])
        count_ngrams(part.codes, part.classes, part.offsets, stops, ngram_counts[rows])
    result = dict(zip(COUNTS, text_counts.T, strict=True))
    result.update(zip((*WORD_COUNTS, *CHAR_COUNTS), ngram_counts.T, strict=True))
    result["bytes"] = pc.binary_length(array).fill_null(0).to_numpy(zero_copy_only=False)
    return result
