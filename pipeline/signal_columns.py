"""The declaration of every signal: name, what is counted above and below the line, unit and meaning, group.

`docs/signals.md` is written from it. A group other than "core" is measured only when a rule asks for one of its columns.
"""

# ruff: noqa: E501 (a column a line reads as the table it is)

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import pyarrow as pa

from seimai.errors import ConfigError

__all__ = ["CORE", "GROUPS", "SIGNALS", "Column", "Signal", "columns_of", "groups_of"]

CORE = "core"
GROUPS = (CORE, "space", "datatrove", "dclm", "sudachi", "unidic", "zstd", "zlib", "bbs", "words")
"""What can be switched on; `words` are the counts of word lists."""

Signal = tuple[pa.DataType, str, str]
"""Arrow type, unit, meaning."""


class Column(NamedTuple):
    """A signal: `above` / `below` (a count itself where `below` is empty), times `scale`."""

    above: str
    below: str
    unit: str
    meaning: str
    group: str = CORE
    scale: float = 1.0

    @property
    def type(self) -> pa.DataType:
        """int64 for counts, float64 for ratios, means and what has no exact number."""
        return pa.float64() if self.below or self.unit in ("bits", "ratio") else pa.int64()


_COUNTS: Mapping[str, tuple[str, str, str]] = {
    "n_chars": ("chars", "characters", "length"),
    "n_bytes": ("bytes", "bytes", "length in UTF-8"),
    "n_lines": ("lines", "lines", "lines of str.splitlines, blank ones included"),
    "n_paragraphs": ("paragraphs", "paragraphs", "stretches between empty lines, as datatrove; 1 without any"),
    "n_sentences": ("full_sentences", "sentences", "sentences; knows closing quotation marks and abbreviations"),
    "n_closed_sentences": ("closed_sentences", "sentences", "10 characters or more (20 with spaces), ending in a mark"),
    "n_words": ("words", "words", "words of UAX #29, punctuation included"),
    "n_plain_words": ("plain_words", "words", "words with a letter, mark or digit (Gopher's non-symbol words)"),
    "n_stop_words": ("stop_words", "words", "distinct ones among the, be, to, of, and, that, have, with"),
    "n_ja_stop_chars": (
        "ja_stop_chars",
        "characters",
        "distinct ones among の に を は た て が と で 年 し ・ 月 れ さ",
    ),
    "n_hiragana": ("hiragana", "characters", "script hiragana, iteration marks included"),
    "n_katakana": ("katakana", "characters", "script katakana, ー, iteration marks and half-width forms included"),
    "n_kanji": ("kanji", "characters", "script Han, iteration marks and characters beyond U+FFFF included"),
    "n_japanese_letters": ("swallow_japanese", "characters", "Swallow's Japanese letters: 、，。．！？ too, ー not"),
    "n_kana_first_50": ("kana_first_50", "characters", "ぁ-ん and ァ-ン among the first 50 characters"),
    "n_curly": ("curlies", "characters", "{"),
    "n_lorem_ipsum": ("lorem_ipsums", "occurrences", "lorem ipsum, in either case"),
    "n_urls": ("urls", "occurrences", "http://…, https://…, www.… up to white space, <, > or an East Asian character"),
    "n_emails": ("emails", "occurrences", "e-mail addresses"),
    "n_phones": ("phones", "occurrences", "numbers grouped like telephone numbers of Japan, North America or with +"),
    "max_sentence_chars": ("max_sentence_chars", "characters", "longest sentence"),
    "max_char_run": ("longest_run", "characters", "longest run of one character"),
}
"""Name: what is counted, unit, meaning."""

_RATIOS: Mapping[str, tuple[str, str, str]] = {
    "letter_ratio": ("letters", "chars", "letters (Unicode L)"),
    "digit_ratio": ("digits", "chars", "digits and other numbers (N)"),
    "punct_ratio": ("punctuation", "chars", "punctuation (P)"),
    "symbol_ratio": ("symbols", "chars", "symbols (S)"),
    "space_ratio": ("spaces", "chars", "white space"),
    "kuten_ratio": ("kutens", "chars", "。"),
    "newline_char_ratio": ("newlines", "chars", "newlines"),
    "special_char_ratio": ("special_chars", "chars", "HojiChar's special characters: ASCII marks, spaces, emoji, listed ones"),
    "mojibake_ratio": ("broken_chars", "chars", "U+FFFD, controls, private, unassigned, 縺繧繝, UTF-8 read as Windows-1252"),
    "url_char_ratio": ("url_chars", "chars", "characters of addresses"),
    "bracket_balance": ("matched_brackets", "brackets", "brackets that have a partner of their kind; 1 where there are none"),
    "japanese_ratio": ("swallow_japanese", "chars", "Swallow's Japanese letters"),
    "hiragana_ratio": ("swallow_hiragana", "swallow_japanese", "hiragana U+3041-3096, over Japanese letters"),
    "katakana_ratio": ("swallow_katakana", "swallow_japanese", "katakana U+30A1-30FA, over Japanese letters"),
    "kanji_ratio": ("swallow_kanji", "swallow_japanese", "kanji, over Japanese letters"),
    "mean_sentence_chars": ("sentence_chars", "sentences", "mean length of sentences"),
    "ellipsis_sentence_ratio": ("ellipsis_sentences", "sentences", "sentences that end in ・ or …"),
    "mean_word_chars": ("plain_word_chars", "plain_words", "mean length of plain words"),
    "alpha_word_ratio": ("alpha_words", "words", "words with a letter"),
    "hash_word_ratio": ("hashes", "words", "# per word"),
    "ellipsis_word_ratio": ("ellipses", "words", "... and … per word"),
    "newline_word_ratio": ("newlines", "words", "newlines per word"),
    "bullet_line_ratio": ("bullet_lines", "lines", "lines that begin with • or -"),
    "ellipsis_line_ratio": ("ellipsis_lines", "lines", "lines that end in ... or …"),
    "ellipsis_newline_ratio": ("ellipsis_newlines", "newlines", "newlines behind ... or …"),
    "tiny_line_ratio": ("tiny_lines", "every_line", "lines of at most 10 characters, blank ones too"),
    "short_line_ratio": ("short_lines", "text_lines", "lines of at most 30 characters among those with text"),
    "terminal_line_ratio": ("terminal_lines", "text_lines", "lines with text whose last character is a terminal mark (datatrove's 159)"),
    "kana_line_ratio": ("kana_lines", "text_lines", "lines with text that have hiragana"),
    "menu_line_ratio": ("menu_lines", "text_lines", "lines like menus: two dividers (| » › > ・ …), or three short lines in a row, without a terminal mark"),
    "date_line_ratio": ("date_lines", "text_lines", "lines of nothing but a date or time"),
    "price_line_ratio": ("price_lines", "text_lines", "lines of at most 60 characters with a currency mark beside a digit"),
    "prose_char_ratio": ("prose_chars", "text_line_chars", "characters of lines of 20 or more (40 with spaces) that end in a terminal mark or …"),
    "dup_line_ratio": ("dup_pieces", "pieces", "copied lines, blank ones left out"),
    "dup_line_char_ratio": ("dup_pieces_chars", "chars", "characters in copied lines"),
    "dup_text_line_char_ratio": ("dup_text_line_chars", "chars_without_newlines", "characters in copied lines with text (FineWeb)"),
    "dup_paragraph_ratio": ("dup_paragraphs", "paragraphs", "copied paragraphs"),
    "dup_paragraph_char_ratio": ("dup_paragraphs_chars", "chars", "characters in copied paragraphs"),
    "dup_sentence_ratio": ("dup_sentences", "sentences", "copied sentences"),
    "dup_sentence_char_ratio": ("dup_sentences_chars", "sentence_chars", "characters in copied sentences"),
    "dup_ja_line_ratio": ("dup_ja_lines", "ja_lines", "copied lines of sentences (Swallow's paragraphs)"),
    "dup_ja_line_char_ratio": ("dup_ja_lines_chars", "sentence_chars", "characters in copied lines of sentences"),
    "star_bullet_line_ratio": ("star_lines", "every_line", "lines that begin with * or - (Dolma)"),
    "ellipsis_char_line_ratio": ("ellipsis_char_lines", "every_line", "lines that end in … (Dolma)"),
    "all_dup_line_ratio": ("all_dup_every_line", "every_line", "lines that stand more than once, the first too (Dolma)"),
    "all_dup_line_char_ratio": ("all_dup_every_line_chars", "word_chars_by_space", "their characters, over those of words (Dolma)"),
    "dclm_bullet_line_ratio": ("dclm_bullet_lines", "text_lines", "stripped lines that begin with ● • * or - (DCLM)"),
    "dclm_ellipsis_line_ratio": ("dclm_ellipsis_lines", "text_lines", "stripped lines that end in ..., . . . or … (DCLM)"),
    "dclm_dup_line_ratio": ("all_dup_stripped_line", "stripped_line", "stripped lines that stand more than once, the first too (DCLM)"),
    "dclm_dup_line_char_ratio": ("all_dup_stripped_line_chars", "stripped_line_chars", "their characters (DCLM)"),
    "dclm_dup_paragraph_ratio": ("all_dup_block", "block", "blocks between pairs of newlines, the same way (DCLM)"),
    "dclm_dup_paragraph_char_ratio": ("all_dup_block_chars", "block_chars", "their characters (DCLM)"),
    "top_sqrt_5gram_ratio": ("frequent_char_5grams", "all_char_5grams", "the most frequent 5-grams of characters, as many as the root of their number (BigScience)"),
    "dup_10gram_cover_ratio": ("covered_chars", "chars", "characters that later copies of 10-grams of characters cover"),
    **{f"top_{n}word_char_ratio": (f"top_word_{n}gram_chars", "chars", f"top {n}-gram of words, in characters") for n in (2, 3, 4)},
    **{f"dup_{n}word_char_ratio": (f"dup_word_{n}gram_chars", "chars", f"copied {n}-grams of words, in characters") for n in range(5, 11)},
    **{f"top_{n}gram_char_ratio": (f"top_char_{n}grams", f"all_char_{n}grams", f"top {n}-gram of characters") for n in range(2, 11)},
    **{
        f"dup_{n}gram_char_ratio": (f"dup_char_{n}grams", f"distinct_char_{n}grams", f"distinct {n}-grams of characters that stand more than once, over distinct ones")
        for n in range(2, 11)
    },
}  # fmt: skip
"""Name: count above, count below the line, meaning; 0 where nothing stands below."""

_CUTS: Mapping[str, str] = {"datatrove": "datatrove's words of English", "sudachi": "SudachiPy's words, mode A"}
_WORDS: Mapping[str, tuple[str, str, str]] = {
    "n_words": ("words", "", "words"),
    "n_plain_words": ("datatrove_words", "", "words with more than datatrove's punctuation"),
    "n_stop_words": ("stop_words", "", "distinct stop words of Gopher"),
    "n_ja_stop_words": ("ja_stop_words", "", "distinct ones among の に を は た て が と で 年 し ・ 月 れ さ"),
    "mean_word_chars": ("datatrove_word_chars", "datatrove_words", "mean length of plain words"),
    "alpha_word_ratio": ("alpha_words", "words", "words with a letter"),
    "hash_word_ratio": ("hashes", "words", "# per word"),
    "ellipsis_word_ratio": ("ellipses", "words", "... and … per word"),
    "newline_word_ratio": ("newlines", "words", "newlines per word"),
    **{f"top_{n}word_char_ratio": (f"top_word_{n}gram_chars", "chars", f"top {n}-gram") for n in (2, 3, 4)},
    **{f"dup_{n}word_char_ratio": (f"dup_word_{n}gram_chars", "chars", f"copied {n}-grams") for n in range(5, 11)},
}
"""Columns of another cut into words, their names behind its own; counts of the cut are those of WORD_COUNTS."""
_OF_THE_TEXT = ("hashes", "ellipses", "newlines", "chars")

_SPACE: Mapping[str, tuple[str, str, str]] = {
    "n_space_words": ("space_words", "", "words of str.split()"),
    "mean_space_word_chars": ("word_chars_by_space", "space_words", "their mean length"),
    "median_space_word_chars": ("space.median_twice", "", "their median length"),
    "symbol_space_word_ratio": ("space.symbol_words", "space_words", "words with # or … (Dolma)"),
    "symbol_per_space_word": ("space.symbols", "space_words", "#, ..., . . . and … per word (DCLM)"),
    "alpha_space_word_ratio": ("space.alpha_words", "space_words", "words with a letter"),
    "n_space_stop_words": ("space.stops", "", "occurrences of Gopher's stop words (Dolma)"),
    "n_space_stop_words_lower": ("space.lower_stops", "", "the same in either case (DCLM)"),
    **{
        f"top_{n}space_word_char_ratio": (
            *(f"space.top_word_{n}gram_plain_chars", "word_chars_by_space"),
            f"top {n}-gram, in characters of words (Dolma)",
        )
        for n in (2, 3, 4)
    },
    **{
        f"dup_{n}space_word_char_ratio": (
            *(f"space.all_dup_word_{n}gram_chars", f"space.all_word_{n}gram_chars"),
            f"{n}-grams that stand more than once, the first too, by characters (Dolma)",
        )
        for n in range(5, 11)
    },
}

_DCLM: Mapping[str, tuple[str, str, str]] = {
    "dclm_n_words": ("dclm.words", "", "words of UAX #29 that begin with a letter or a digit (DCLM)"),
    **{
        f"dclm_top_{n}word_char_ratio": (f"dclm.top_{n}gram_chars", "dclm.word_chars", f"top {n}-gram, the longest of equals (DCLM)")
        for n in (2, 3, 4)
    },
    **{
        f"dclm_dup_{n}word_char_ratio": (f"dclm.covered_{n}gram_chars", "dclm.word_chars", f"words covered by {n}-grams that stand more than once (DCLM)")
        for n in range(5, 11)
    },
}  # fmt: skip

_UNIDIC: Mapping[str, tuple[str, str, str]] = {
    "unidic_n_words": ("unidic.words", "", "words of MeCab with UniDic"),
    "unidic_noun_ratio": ("unidic.nouns", "unidic.unmarked_words", "nouns (名詞), over words that are no mark (補助記号)"),
    "unidic_all_dup_7word_ratio": ("unidic.repeated_ngrams", "unidic.ngrams", "7-grams of words that stand more than once, the first too (HojiChar)"),
}  # fmt: skip

_LISTS: Mapping[str, str] = {
    "ad": "advertisement",
    "adult": "adult",
    "discrimination": "discrimination",
    "violence": "violence",
    "spam": "spam",
}


def _declared() -> dict[str, Column]:
    found = {name: Column(above, "", unit, meaning) for name, (above, unit, meaning) in _COUNTS.items()}
    found["char_entropy"] = Column("entropy", "", "bits", "entropy of single characters, bits each")
    for name, (above, below, meaning) in _RATIOS.items():
        found[name] = Column(above, below, "characters" if name.startswith("mean_") else "ratio", meaning)
    for name, (above, below, meaning) in _SPACE.items():
        unit = "words" if name.startswith("n_") else "characters" if name.endswith("_chars") else "ratio"
        half = name.startswith("median_")
        found[name] = Column(above, "one" if half else below, unit, meaning, "space", 0.5 if half else 1.0)
    for cut, words in _CUTS.items():
        for name, (above, below, meaning) in _WORDS.items():
            above, below = (c if c in _OF_THE_TEXT or not c else f"{cut}.{c}" for c in (above, below))
            unit = "words" if name.startswith("n_") else "characters" if name.startswith("mean_") else "ratio"
            found[f"{cut}_{name}"] = Column(above, below, unit, f"{words}: {meaning}", cut)
    for name, (above, below, meaning) in _DCLM.items():
        found[name] = Column(above, below, "ratio" if below else "words", meaning, "dclm")
    for name, (above, below, meaning) in _UNIDIC.items():
        found[name] = Column(above, below, "ratio" if below else "words", meaning, "unidic")
    found["zstd_ratio"] = Column("zstd_bytes", "bytes", "ratio", "bytes after zstd at level 3, over bytes", "zstd")
    found["zlib9_ratio"] = Column("zlib_bytes", "bytes", "ratio", "bytes after zlib at level 9, over bytes", "zlib")
    found["n_bbs_marks"] = Column(
        "bbs_marks", "", "occurrences", "HojiChar's marks of bulletin boards and shops", "bbs"
    )
    for kind, word in _LISTS.items():
        found[f"n_{kind}_words"] = Column(f"list.{kind}", "", "occurrences", f"{word} words of a list", "words")
    found["ng_char_ratio"] = Column(
        "list.ng_chars", "swallow_japanese", "ratio", "characters of NG words, over Japanese letters", "words"
    )
    return found  # fmt: skip


COLUMNS: Mapping[str, Column] = _declared()
"""Every column by name, in the order of the table."""

SIGNALS: Mapping[str, Signal] = {name: (c.type, c.unit, c.meaning) for name, c in COLUMNS.items() if c.group == CORE}
"""The columns that are always measured: Arrow type, unit, meaning."""


def columns_of(groups: Iterable[str]) -> dict[str, Column]:
    """The columns of the core and of some groups, in the order of the table; ConfigError for an unknown group.

    >>> [name for name in columns_of(["zstd"]) if name not in SIGNALS]
    ['zstd_ratio']
    """
    wanted = {CORE, *groups}
    for group in sorted(wanted - set(GROUPS)):
        raise ConfigError(f"signals: unknown group {group!r}; known: {', '.join(GROUPS)}")
    return {name: column for name, column in COLUMNS.items() if column.group in wanted}


def groups_of(columns: Iterable[str]) -> tuple[str, ...]:
    """The groups besides the core that some columns belong to, in order; other names are left alone.

    >>> groups_of(["n_chars", "zlib9_ratio", "lang_score"])
    ('zlib',)
    """
    asked = {COLUMNS[name].group for name in columns if name in COLUMNS} - {CORE}
    return tuple(group for group in GROUPS if group in asked)
