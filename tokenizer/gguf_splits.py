"""The splits that llama.cpp has under names of its own: the patterns it applies one after the other.

A file of GGUF holds no split, only the name of one that is compiled into the program, so a tokenizer with another split
gets other ids there on some texts. Read off llama.cpp's src/llama-vocab.cpp (ggml 0.25); of equal ones one stands here.
"""

from typing import NamedTuple

from .split_presets import PRESETS

__all__ = ["GGUF_SPLITS", "GgufSplit", "names_of"]

CONTRACTIONS = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
ENDING = r"\s*[\r\n]+|\s+(?!\S)|\s+"
SYMBOLS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
LLAMA3 = rf"{CONTRACTIONS}|{WORD}|\p{{N}}{{1,3}}|{SYMBOLS}|{ENDING}"
QWEN2 = rf"{CONTRACTIONS}|{WORD}|\p{{N}}|{SYMBOLS}|{ENDING}"
UPPER, LOWER = r"((?=[\p{L}])([^a-z]))", r"((?=[\p{L}])([^A-Z]))"
PREFIX = r"[^\r\n\p{L}\p{N}]?"
GPT4O = (
    rf"{PREFIX}{UPPER}*{LOWER}+{CONTRACTIONS}?|{PREFIX}{UPPER}+{LOWER}*{CONTRACTIONS}?"
    rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{ENDING}"
)
TEKKEN = rf"{PREFIX}{UPPER}*{LOWER}+|{PREFIX}{UPPER}+{LOWER}*|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{ENDING}"
CJK = "[一-龥぀-ゟ゠-ヿ]+"
ASCII_PUNCTUATION = r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"
DEEPSEEK3 = (
    rf"{ASCII_PUNCTUATION}[A-Za-z]+|[^\r\n\p{{L}}\p{{P}}\p{{S}}]?[\p{{L}}\p{{M}}]+| ?[\p{{P}}\p{{S}}]+[\r\n]*|{ENDING}"
)


class GgufSplit(NamedTuple):
    """What llama.cpp does under one name."""

    patterns: tuple[str, ...]
    """Each cuts the pieces of the one before; what no pattern matches is a piece too."""
    whole: bool = False
    """A piece that is a token is that token, whatever the merges say."""
    same_as: str | None = None
    """The preset whose pieces these are."""


GGUF_SPLITS: dict[str, GgufSplit] = {
    "qwen2": GgufSplit((QWEN2,), same_as="qwen2"),
    "gpt-2": GgufSplit((GPT2,), same_as="gpt2"),
    "llama-bpe": GgufSplit((LLAMA3,), whole=True, same_as="llama3"),
    "dbrx": GgufSplit((LLAMA3,), same_as="llama3"),
    "deepseek-v3": GgufSplit((r"\p{N}{1,3}", CJK, DEEPSEEK3)),
    "gpt-4o": GgufSplit((GPT4O,)),
    "tekken": GgufSplit((TEKKEN,), whole=True),
    "starcoder": GgufSplit((r"\p{N}", GPT2)),
    "deepseek-coder": GgufSplit(("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}")),
    "bloom": GgufSplit((r" ?[^(\s|.,!?…。，、।۔،)]+",)),
    "viking": GgufSplit((r" ?[^(\s|.,!?…。，、।۔،)]+", r"\p{N}")),
    "superbpe": GgufSplit((r"\p{N}+", r"(?=(\d{3})+(?!\d))")),
}
"""By the name in `tokenizer.ggml.pre`; of equally near ones the first is taken."""


def names_of(pattern: str, *, whole: bool) -> list[str]:
    """Names under which llama.cpp cuts as the pattern does and has the same rule for whole tokens.

    >>> names_of(PRESETS["llama3"].pattern, whole=False), names_of("[a-z]+", whole=False)
    (['dbrx'], [])
    """
    presets = {name for name, preset in PRESETS.items() if preset.pattern == pattern}
    return [name for name, split in GGUF_SPLITS.items() if split.same_as in presets and split.whole == whole]
