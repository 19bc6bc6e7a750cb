"""Texts in, one row of numbers per text out: every signal a quality rule may ask for, for every language.

Definitions, where systems disagree (docs/signals.md lists every column):

- a character is a code point; classes are those of Unicode 14.0.0 (`unicode_table.py`), kanji beyond U+FFFF included;
- a word is what stands between word boundaries of UAX #29 (Unicode 14.0.0), white space left out, tailored thus: a run
  of one and the same symbol is one word (`...`, `----`); hiragana, katakana and kanji are cut where the script changes
  (ー goes on in either kana), so Japanese comes in runs of one script, without an analyser; letters that want a
  dictionary (Thai) come in runs too. Other cuts into words are groups of their own, with a prefix;
- a sentence is what [^。．！？!?]+[。．！？!?]? finds within a line, as in Swallow; `n_sentences` alone knows that
  closing brackets belong to it and that 「…。」と goes on. Outside Japanese and Chinese marks end a sentence before
  white space only, closing quotation marks belong to it, abbreviations end none, white space around it does not count;
- a line is one of str.splitlines, but repetition counts pieces between newlines, as datatrove does; a paragraph stands
  between blank lines; a "ja_line" is a line as the list of its sentences, Swallow's paragraph, where a line without a
  sentence counts as none (Swallow's own input had no blank lines);
- copies are items seen before, the first not counted, told apart by 64-bit hashes; word n-grams as datatrove (top:
  joined with spaces, over n_chars; dup: without spaces, going on behind each hit), character n-grams as Swallow (top:
  over all n-grams; dup: distinct repeated over distinct).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .signal_columns import SIGNALS, Column, columns_of
from .wordlists import WordList

__all__ = ["SIGNALS", "VERSION", "signals"]

VERSION = 2

Counts = dict[str, NDArray[np.int64]]

SLICE_SHARE = 8
"""Slices are an eighth of the usual ones: every kernel goes over a slice again, which should stay near the cache."""
SPACELESS = ("ja", "zh")
"""Languages written without spaces: their sentences end without white space, their words come in runs."""


def signals(
    texts: Sequence[str | None] | pa.Array | pa.ChunkedArray,
    lang: str,
    *,
    groups: Sequence[str] = (),
    lists: Mapping[str, WordList] | None = None,
) -> pa.Table:
    """The columns of `SIGNALS` and of `groups`, a row for each text, null where it is null; no row depends on another.

    `lang` (ISO 639-1) says what ends a sentence and how long prose is. `groups`: what else to measure (GROUPS of
    signal_columns.py); group `words` counts the `lists` by their kind, a kind without a list is null. Single-threaded,
    without the GIL, in slices; the longest text needs some 120 bytes of memory for each of its characters.

    >>> table = signals(["精米は白い。玄米は茶色い。", None], "ja")
    >>> table["n_sentences"].to_pylist(), table["mean_sentence_chars"].to_pylist()
    ([2, None], [6.5, None])
    """
    from .text_kernels import as_strings

    columns = columns_of(groups)
    array = as_strings(texts)
    null = array.is_null().to_numpy(zero_copy_only=False)
    counts, entropy = _core_counts(array, lang, tuple(groups))
    _add_optional(counts, array, groups, lists or {})
    result = {}
    for name, column in columns.items():
        if column.above == "entropy":
            result[name] = pa.array(entropy, mask=null)
        elif column.above.startswith("list.") and column.above not in counts:
            result[name] = pa.nulls(len(array), column.type)
        else:
            result[name] = pa.array(_values(counts, column), mask=null)
    return pa.table(result)


def _values(counts: Counts, column: Column) -> NDArray[np.int64] | NDArray[np.float64]:
    """The numbers of a column; 0 where nothing stands below the line."""
    above = counts[column.above]
    if not column.below:
        return above
    below = counts[column.below]
    return np.where(below > 0, above, 0) / np.maximum(below, 1) * column.scale


def _core_counts(array: pa.Array, lang: str, groups: tuple[str, ...]) -> tuple[Counts, NDArray[np.float64]]:
    """Every raw count of every text that comes from its characters, zeros where the text is null; and the entropy."""
    from .slice_counts import CUT_GROUPS, GROUP_COUNTS, count_slice, work_for
    from .text_kernels import slices

    cuts = tuple(group for group in CUT_GROUPS if group in groups)
    names = [name for group in ("core", *cuts) for name in GROUP_COUNTS[group]]
    table = np.zeros((len(names), len(array)), np.int64)
    entropy = np.zeros(len(array), np.float64)
    work = work_for(0, 0)
    for part in slices(array, SLICE_SHARE):
        n_chars, n_texts = len(part.codes), part.last - part.first
        if n_chars > len(work.marks) or n_chars + n_texts >= len(work.lines):
            work = work_for(max(n_chars, len(work.marks)), max(n_texts, len(work.lines) - len(work.marks)))
        rows = slice(part.first, part.last)
        table[:, rows] = count_slice(part, lang, lang not in SPACELESS, cuts, work, entropy[rows]).T
    counts = dict(zip(names, table, strict=True))
    counts["bytes"] = pc.binary_length(array).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    counts["one"] = np.ones(len(array), np.int64)
    counts["chars_without_newlines"] = counts["chars"] - counts["newlines"]
    counts["word_chars_by_space"] = counts["chars"] - counts["spaces"]
    alone = counts["brackets"] == 0
    counts["matched_brackets"] = counts["brackets"] - counts["unmatched_brackets"] + alone
    counts["brackets"] = counts["brackets"] + alone
    if "space" in groups:
        counts["space.symbols"] = counts["hashes"] + counts["ellipses"] + counts["space.spaced_ellipses"]
        counts["space_words"] = counts["space.space_words"]
    return counts, entropy


def _add_optional(counts: Counts, array: pa.Array, groups: Sequence[str], lists: Mapping[str, WordList]) -> None:
    """Counts that other libraries make, or that need lists."""
    if "zstd" in groups or "zlib" in groups:
        from .compression import zlib_bytes, zstd_bytes

        if "zstd" in groups:
            counts["zstd_bytes"] = zstd_bytes(array)
        if "zlib" in groups:
            counts["zlib_bytes"] = zlib_bytes(array)
    if "unidic" in groups:
        from .unidic import UNIDIC_COUNTS, count_unidic

        counts |= {f"unidic.{name}": row for name, row in zip(UNIDIC_COUNTS, count_unidic(array).T, strict=True)}
    if "bbs" in groups:
        found = pc.count_substring_regex(array, BBS_MARKS).fill_null(0)
        counts["bbs_marks"] = found.to_numpy(zero_copy_only=False).astype(np.int64)
    if "words" in groups:
        from .wordlists import count_list

        for kind in sorted(lists):
            hits, chars = count_list(array, lists[kind])
            counts[f"list.{'ng_chars' if kind == 'ng' else kind}"] = chars if kind == "ng" else hits


BBS_MARKS = (
    r"\p{Nd}{4}[年.\-/][ ]*\p{Nd}{1,2}[月.\-/][ ]*\p{Nd}{1,2}日*|コメント|SOLD OUT|レビュー|投稿|ページ"
    r"|\([月火水木金土日]\)|質問|\p{Nd}+話|楽天市場|-"
)
"""HojiChar's DiscardBBSComments, with its bare hyphen."""
