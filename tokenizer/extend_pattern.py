"""A split pattern in; the same with Japanese phrases cut out of it, for all text without Japanese unchanged.

Japanese phrases are tried first, and what the old pattern wrote can no longer enter a kana or kanji: a class that could
match one is narrowed, look-aheads see what they saw. All these are letters, which old patterns take in runs of any
length; so the rest of a run ends where it ended, and no cut is new that does not stand beside one, its marks included.
(A cut of o200k between a letter without case and a capital may be gone behind a phrase, for it depends on how the run
began.) Punctuation stays with the old pattern, which counts and joins it in many ways. No look-behind and no set
subtraction, so that Oniguruma, fancy-regex and Python read it alike.
"""

from functools import cache
from typing import Any

import numpy as np

from seimai.errors import ConfigError

from .split import PHRASE_RUN, character_class

__all__ = ["combined_pattern", "is_japanese", "japanese_letters", "only_japanese"]

KANJI = (
    "3005-3006 303B 3400-4DBF 4E00-9FFF F900-FA6D FA70-FAD9 20000-2A6DF 2A700-2B739 2B740-2B81D 2B820-2CEA1 "
    "2CEB0-2EBE0 2EBF0-2EE5D 2F800-2FA1D 30000-3134A 31350-323AF 30F5-30F6"
)
HIRAGANA = "3041-3096 309D-309F 30FC"
KATAKANA = "30A1-30F4 30F7-30FA 30FC-30FF 31F0-31FF FF66-FF9F"
LETTERS = (KANJI, HIRAGANA, KATAKANA)
"""Kanji and kana that are letters in any Unicode version at hand."""
OPENERS = "3001-3002 3008 300A 300C 300E 3010 3014 3016 3018 301A FF62"
BLOCKS = "2E80-2FDF 3001-303F 3040-30FF 31F0-31FF 3400-4DBF 4E00-9FFF F900-FAFF FF61-FF9F 1AFF0-1B16F 20000-3FFFF"
"""Kanji, kana and CJK punctuation by block, with marks and unassigned places, without the ideographic space."""


@cache
def is_japanese() -> np.ndarray[Any, np.dtype[np.bool_]]:
    """For every code point whether it is kanji, kana or CJK punctuation.

    >>> [bool(is_japanese()[ord(c)]) for c in "あ漢、a　"]
    [True, True, True, False, False]
    """
    return _table(BLOCKS)


@cache
def japanese_letters() -> np.ndarray[Any, np.dtype[np.bool_]]:
    """For every code point whether it is a kanji or kana that the combined pattern cuts out.

    >>> [bool(japanese_letters()[ord(c)]) for c in "ア々ー、〇"]
    [True, True, True, False, False]
    """
    return _table(*LETTERS)


def only_japanese(prefix: bytes) -> bool:
    """Whether every character that begins with these bytes is one of those.

    >>> only_japanese(b"\\xe3\\x81"), only_japanese(b"\\xe3\\x80")
    (True, False)
    """
    lead = prefix[0]
    n_bytes = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    code = lead & (0x7F >> n_bytes)
    for byte in prefix[1:]:
        code = code << 6 | byte & 0x3F
    bits = 6 * (n_bytes - len(prefix))
    first, last = code << bits, min((code + 1) << bits, 0x110000)
    return bool(first < last and is_japanese()[first:last].all())


def combined_pattern(old: str) -> str:
    """The old pattern behind alternatives for Japanese phrases, a mark that opens one included.

    Raises ConfigError where the old one cannot be read, or looks behind.

    >>> import regex
    >>> regex.findall(combined_pattern(r" ?\\p{L}+| ?[^\\s\\p{L}]+|\\s+"), "the 東京タワーは、tower")
    ['the', ' ', '東京', 'タワーは', '、', 'tower']
    """
    kanji, hiragana, katakana = (character_class(table) for table in LETTERS)
    tail = f"{hiragana}{{0,{PHRASE_RUN}}}"
    phrase = f"{kanji}{{1,{PHRASE_RUN}}}{tail}|{hiragana}{{1,{2 * PHRASE_RUN}}}|{katakana}{{1,{PHRASE_RUN}}}{tail}"
    return f"{character_class(OPENERS)}?(?:{phrase}){_ending(old)}|{_narrowed(old)}"


def _table(*tables: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    found = np.zeros(0x110000, bool)
    for item in " ".join(tables).split():
        first, _, last = item.partition("-")
        found[int(first, 16) : int(last or first, 16) + 1] = True
    return found


def _narrowed(pattern: str) -> str:
    """The pattern with every class that might match a Japanese letter kept from it, but for look-aheads."""
    found: list[str] = []
    at, depth, ahead = 0, 0, 0
    while at < len(pattern):
        if pattern.startswith(("(?<=", "(?<!"), at):
            raise ConfigError("the old split pattern looks behind, which no combined pattern can keep; give another")
        if pattern[at] == "(":
            depth += 1
            if pattern.startswith(("(?=", "(?!"), at) and not ahead:
                ahead = depth
        elif pattern[at] == ")":
            ahead = 0 if ahead == depth else ahead
            depth -= 1
        end = _atom_end(pattern, at)
        atom = pattern[at:end]
        narrow = atom if ahead else _without_japanese(atom)
        if narrow != atom and pattern.startswith("+", end):
            # A run that would have begun with a Japanese letter is there, and empty: "한B" before "の" is one piece in
            # o200k, whose last class takes no B. No match is empty: where such a letter stands a phrase is tried first.
            last = _run_end(pattern, end)
            found.append(f"(?:{narrow}{pattern[end:last]}|(?={character_class(*LETTERS)}))")
            end = last
        else:
            found.append(narrow)
        at = end
    return "".join(found)


def _ending(pattern: str) -> str:
    """What the old pattern lets a run of letters end with: in o200k the marks on a kana and "'s" are of its piece."""
    import regex

    marks, endings = "", []
    at, depth, begins = 0, 0, -1
    while at <= len(pattern):
        if begins >= 0 and depth == 0 and pattern[at : at + 1] in ("", "|"):
            endings.append(pattern[begins:at])
            begins = -1
        if at == len(pattern):
            break
        depth += (pattern[at] == "(") - (pattern[at] == ")")
        end = _atom_end(pattern, at)
        atom = pattern[at:end]
        if depth == 0 and pattern.startswith("+", end) and _without_japanese(atom) != atom:
            marks = marks or (r"\p{M}*" if regex.fullmatch(atom, "\u0301") else "")
            begins = end = _run_end(pattern, end)
        at = end
    # What goes on with letters is left to the old pattern: a phrase ends where kana and kanji do.
    plain = [ending for ending in dict.fromkeys(endings) if ending and _narrowed(ending) == ending]
    return marks + (f"(?:{'|'.join(plain)})?" if plain else "")


def _run_end(pattern: str, at: int) -> int:
    """Behind a `+` and what makes it possessive or lazy."""
    return at + 1 + pattern.startswith(("+", "?"), at + 1)


def _atom_end(pattern: str, at: int) -> int:
    """Behind one character, escape, property or class."""
    if pattern[at] == "\\":
        if pattern[at + 1 : at + 2] in ("p", "P") and pattern[at + 2 : at + 3] == "{":
            return pattern.index("}", at) + 1
        return at + 2
    if pattern[at] != "[":
        return at + 1
    at += 2 if pattern.startswith("[^", at) else 1
    first = True
    while first or pattern[at] != "]":
        if pattern[at] == "[" or pattern.startswith(("&&", "--"), at):
            raise ConfigError("the old split pattern has sets of sets, which engines read differently; give another")
        at, first = (at + 2 if pattern[at] == "\\" else at + 1), False
    return at + 1


def _without_japanese(atom: str) -> str:
    if atom[0] not in "\\[." and atom.isascii():
        return atom
    if not _may_match(atom):
        return atom
    inside = character_class(*LETTERS)[1:-1]
    if atom.startswith("[^"):
        return f"{atom[:-1]}{inside}]"
    if atom.startswith("\\p{"):
        return f"[^\\P{atom[2:]}{inside}]"
    return f"(?:(?![{inside}]){atom})"


def _may_match(atom: str) -> bool:
    import regex

    try:
        compiled = regex.compile(atom)
    except regex.error as error:
        raise ConfigError(f"the old split pattern cannot be read at {atom!r} ({error})") from None
    return compiled.search(_all_letters()) is not None


@cache
def _all_letters() -> str:
    return "".join(map(chr, np.flatnonzero(_table(*LETTERS)).tolist()))
