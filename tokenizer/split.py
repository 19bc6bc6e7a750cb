"""Where a text may be cut before BPE: the `ja-en` phrase split as one regular expression that every engine reads alike.

Left to right, the first that matches (measured choices and their price: research/tokenizer.md 4.1):

1. Japanese phrase: an optional opening bracket, ideographic comma, full stop or ellipsis, then kanji with their
   hiragana tail, or hiragana, or katakana with their hiragana tail
2. English contraction ('s 't 're 've 'm 'll 'd), straight or curly
3. word: an optional space or symbol, then letters and marks of any other script
4. digits, 1 (default) to 3
5. symbols, with an optional space before and newlines behind
6. newlines with the blanks before them
7. white space, the last one left to the word behind it

Every character falls in exactly one piece, every run is capped (so 100,000 equal characters cost linear time), and all
classes are literal code point ranges: `\\p{L}` means other letters in Oniguruma, fancy-regex and Python.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from seimai.errors import ConfigError

from . import split_ranges as ranges
from .split_presets import PRESETS

__all__ = ["DIGITS", "SPLITS", "character_class", "pieces", "split_pattern", "word_pattern"]

SPLITS = ("ja-en", "ja-en-wide", "ja-en-superwords", "script", "lines", "none", *PRESETS)
"""Names of splits: ours; with longer pieces; with several of those in one; with every script apart; lines; nothing but
a cap; and those of other tokenizers."""
OURS = ("ja-en", "ja-en-wide", "ja-en-superwords", "script")

DIGITS = (1, 2, 3)
"""Allowed numbers of digits in one piece."""

PHRASE_RUN = 16
"""Most kanji or katakana in a phrase, and most hiragana in its tail; a longer run goes on in the next piece."""
WORD_RUN = 64
SYMBOL_RUN = 32
SPACE_RUN = 16
NEWLINES_AFTER_SYMBOLS = 4
SUPERWORD = 4
"""Most phrases or words in one piece of `ja-en-superwords`."""
UNCUT_RUN = 1024
"""Most characters of a piece where nothing is to be cut: trainers and encoders need some end."""

NEWLINES = "A D"
BLANKS = ranges.SPACES.replace("9-D", "9 B-C")
"""White space without the two newlines."""

BRACKETS = "3008 300A 300C 300E 3010 3014 3016 3018 301A FF08 FF3B FF5B FF62"
STOPS = (
    "3001-3002 3009 300B 300D 300F 3011 3015 3017 3019 301B FF09 FF0C FF0E FF3D FF5D FF61 FF63-FF64 2026 FF01 FF1F 30FB"
)

CONTRACTIONS = "[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD]"


def split_pattern(digits: int = 1, *, name: str = "ja-en", glue: bool = True) -> str:
    """The split of that name, for Oniguruma, fancy-regex and Python `regex`; ours for Python `re` too.

    `digits`: most digits in a piece, and `glue`: whether punctuation joins the phrase behind it, are options of `ja-en`
    (its wider forms and `script` have the first). Raises ConfigError for an unknown name, other digits than 1, 2 or 3,
    or an option that the split does not have.

    >>> re.findall(split_pattern(), "東京タワーは、1958年に完成した。It's 333 m.")
    ['東京', 'タワーは', '、', '1', '9', '5', '8', '年に', '完成した', '。It', "'s", ' ', '3', '3', '3', ' m', '.']
    """
    if digits not in DIGITS:
        raise ConfigError(f"digits {digits}: a piece holds 1, 2 or 3 digits; use --digits 1")
    if name not in SPLITS:
        raise ConfigError(f"split {name!r} is none of {', '.join(SPLITS)}; use ja-en")
    if digits != 1 and name not in OURS:
        raise ConfigError(f"digits {digits}: split {name} has its own rule for digits; leave --digits out")
    if not glue and name != "ja-en":
        raise ConfigError(f"glue false: only split ja-en joins punctuation to a phrase; leave it out for {name}")
    if name in PRESETS:
        return PRESETS[name].pattern
    if name == "lines":
        return r"[^\n]*\n|[^\n]+"
    if name == "none":
        return rf"[\s\S]{{1,{UNCUT_RUN}}}"
    if name == "script":
        return _pattern(digits, _scripts_apart())
    if name in ("ja-en-wide", "ja-en-superwords"):
        return _wide(digits, 1 if name == "ja-en-wide" else SUPERWORD)
    return _pattern(digits, _phrase() if glue else _japanese())


@cache
def _pattern(digits: int, japanese: str) -> str:
    """All alternatives in order, around the one for Japanese."""
    letters, spaces, newlines = (
        character_class(ranges.LETTERS, ranges.MARKS),
        character_class(ranges.SPACES),
        character_class(NEWLINES),
    )
    blanks = character_class(BLANKS)
    alternatives = [
        # What alternative 3 would find; a second writing of it because Python's `re` passes 200 ranges beyond U+FFFF
        # in a row to learn that a blank is no letter (English 4 -> 11 MB/s).
        f" ?[A-Za-z]{{1,{WORD_RUN}}}(?=[ ,.])",
        japanese,
        f"['’](?:{CONTRACTIONS})(?!{letters})",
        f"{_symbols(NEWLINES)}?{character_class(ranges.LETTERS)}{letters}{{0,{WORD_RUN - 1}}}",
        f"{character_class(ranges.DIGITS)}{{1,{digits}}}",
        f" ?{_symbols(ranges.SPACES)}{{1,{SYMBOL_RUN}}}{newlines}{{0,{NEWLINES_AFTER_SYMBOLS}}}",
        f"{blanks}{{0,{SPACE_RUN}}}{newlines}{{1,{SPACE_RUN}}}",
        f"{spaces}{{1,{SPACE_RUN}}}(?!{character_class(ranges.SPACES, negated=True)})",
        f"{spaces}{{1,{SPACE_RUN}}}",
    ]
    return "|".join(alternatives)


@cache
def _wide(digits: int, most: int) -> str:
    """Longer pieces: whole runs of kanji and kana with brackets, stops and digits on them, words with their stops."""
    japanese = character_class(ranges.KANJI, ranges.HIRAGANA, ranges.KATAKANA)
    letters, spaces, newlines = (
        character_class(*tables) for tables in ((ranges.LETTERS, ranges.MARKS), (ranges.SPACES,), (NEWLINES,))
    )
    blanks, number = character_class(BLANKS), f"{character_class(ranges.DIGITS)}{{1,{digits}}}"
    before = f"(?: ?{_symbols(ranges.SPACES)}|{blanks})?"
    suffix = f"(?:['’]{letters}{{1,3}}(?!{letters}))?[,.;:!?]?['\"’”)]?"
    phrase = f"(?:{number}|{character_class(BRACKETS)})?{japanese}{{1,{2 * PHRASE_RUN}}}{character_class(STOPS)}{{0,2}}"
    word = f"{before}{character_class(ranges.LETTERS)}{letters}{{0,{WORD_RUN - 1}}}{suffix}"
    if most > 1:
        phrase, word = (f"(?:{each}){{1,{most}}}" for each in (phrase, word))
    alternatives = [
        phrase,
        word,
        number,
        f" ?{_symbols(ranges.SPACES)}{{1,{SYMBOL_RUN}}}{newlines}{{0,{NEWLINES_AFTER_SYMBOLS}}}",
        f"{blanks}{{0,{SPACE_RUN}}}{newlines}{{1,{SPACE_RUN}}}",
        f"{spaces}{{1,{SPACE_RUN}}}(?!{character_class(ranges.SPACES, negated=True)})",
        f"{spaces}{{1,{SPACE_RUN}}}",
    ]
    return "|".join(alternatives)


@cache
def word_pattern() -> str:
    """Pieces that are words: Japanese phrases and runs of letters, without what may stand before them.

    The unit of `fertility` in evaluate.py; the same for every tokenizer, so that figures can be compared.

    >>> re.findall(word_pattern(), "「東京タワーは」 It's 333 m.")
    ['東京', 'タワーは', 'It', 's', 'm']
    """
    return f"{_japanese()}|{character_class(ranges.LETTERS)}{character_class(ranges.LETTERS, ranges.MARKS)}*"


def pieces(text: str, pattern: str, max_chars: int) -> Iterator[str]:
    """Cut a long text between pre-tokens into pieces of at most `max_chars` characters, or of one longer pre-token.

    Tokens of the pieces in order are the tokens of the text, since the pattern never looks behind.

    >>> list(pieces("ab cd ef", split_pattern(), 5))
    ['ab cd', ' ef']
    """
    if len(text) <= max_chars:
        yield text
        return
    compiled, start = _compiled(pattern), 0
    while len(text) - start > max_chars:
        end = start
        for match in compiled.finditer(text, start):
            if end > start and match.end() - start > max_chars:
                break
            end = match.end()
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]


@cache
def _compiled(pattern: str) -> Any:
    """For Python: `re`, several times as fast on our literal ranges, else `regex`, which knows `\\p{…}`."""
    if "\\p{" not in pattern:
        return re.compile(pattern)
    import regex

    return regex.compile(pattern)


def _phrase() -> str:
    return f"{character_class(ranges.OPENERS)}?(?:{_japanese()})"


def _japanese() -> str:
    kanji, hiragana, katakana = (
        character_class(ranges.KANJI),
        character_class(ranges.HIRAGANA),
        character_class(ranges.KATAKANA),
    )
    tail = f"{hiragana}{{0,{PHRASE_RUN}}}"
    return f"{kanji}{{1,{PHRASE_RUN}}}{tail}|{hiragana}{{1,{2 * PHRASE_RUN}}}|{katakana}{{1,{PHRASE_RUN}}}{tail}"


def _scripts_apart() -> str:
    kanji, hiragana, katakana = (
        character_class(ranges.KANJI),
        character_class(ranges.HIRAGANA),
        character_class(ranges.KATAKANA),
    )
    return f"{kanji}{{1,{PHRASE_RUN}}}|{hiragana}{{1,{2 * PHRASE_RUN}}}|{katakana}{{1,{PHRASE_RUN}}}"


def _symbols(*without: str) -> str:
    """What is no letter, digit, kana or kanji and in no table of `without`; marks count, for emoji's sake."""
    words = (ranges.LETTERS, ranges.DIGITS, ranges.KANJI, ranges.HIRAGANA, ranges.KATAKANA)
    return character_class(*words, *without, negated=True)


def character_class(*tables: str, negated: bool = False) -> str:
    """A bracket expression over tables of hexadecimal ranges, merged and in order, ASCII first.

    >>> character_class("41-43 61", negated=True)
    '[^A-Ca]'
    """
    bounds = sorted(tuple(int(end, 16) for end in item.split("-")) for table in tables for item in table.split())
    merged: list[tuple[int, int]] = []
    for bound in bounds:
        first, last = bound[0], bound[-1]
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return f"[{'^' if negated else ''}{''.join(_range(first, last) for first, last in merged)}]"


def _range(first: int, last: int) -> str:
    ends = [re.escape(chr(code)) for code in (first, last)]
    return ends[0] if first == last else f"{ends[0]}-{ends[1]}"
