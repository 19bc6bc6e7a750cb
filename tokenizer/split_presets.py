"""Splits that other tokenizers use, each as one regular expression, to compare with and to continue vocabularies.

They write `\\p{…}`, which every engine takes from its own Unicode version: text is cut alike as far as its code points
were assigned in Unicode 16, the oldest of the engines at hand, which the parity tests hold.
"""

from typing import NamedTuple

__all__ = ["PRESETS", "Preset"]

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
ENDING = r"\s*[\r\n]+|\s+(?!\S)|\s+"
SYMBOLS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
UPPER, LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
O200K_PREFIX = r"[^\r\n\p{L}\p{N}]?"

CJK = "一-龥぀-ゟ゠-ヿ"
PUNCTUATION = r"!\"#$%&'()*+,\-./:;<=>?@\[\\\]\^_`{|}\~"
DEEPSEEK_LETTER = rf"(?:(?![{CJK}])[\p{{L}}\p{{M}}])"


class Preset(NamedTuple):
    """A pattern and where it comes from."""

    pattern: str
    source: str


PRESETS = {
    "gpt2": Preset(
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        "openai/gpt-2 src/encoder.py",
    ),
    "cl100k": Preset(
        rf"{CONTRACTIONS}|{WORD}|\p{{N}}{{1,3}}|{SYMBOLS}|{ENDING}",
        "openai/tiktoken tiktoken_ext/openai_public.py, cl100k_base, without its possessive quantifiers",
    ),
    "o200k": Preset(
        rf"{O200K_PREFIX}[{UPPER}]*[{LOWER}]+{CONTRACTIONS}?|{O200K_PREFIX}[{UPPER}]+[{LOWER}]*{CONTRACTIONS}?"
        rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{ENDING}",
        "openai/tiktoken tiktoken_ext/openai_public.py, o200k_base",
    ),
    "llama3": Preset(
        rf"{CONTRACTIONS}|{WORD}|\p{{N}}{{1,3}}|{SYMBOLS}|{ENDING}",
        "meta-llama/llama3 llama/tokenizer.py, the same as cl100k",
    ),
    "qwen2": Preset(
        rf"{CONTRACTIONS}|{WORD}|\p{{N}}|{SYMBOLS}|{ENDING}",
        "Qwen/Qwen2 tokenizer.json",
    ),
    # Three splits one after the other in the original: numbers, kanji and kana, then the rest. One expression finds the
    # same pieces if the third never enters what the first two took and ends where they begin; what none of them
    # matches (control characters) is a piece there, and would be lost in engines that only list matches.
    "deepseek-v3": Preset(
        rf"\p{{N}}{{1,3}}|[{CJK}]+|[{PUNCTUATION}][A-Za-z]+"
        rf"|[^\r\n\p{{L}}\p{{P}}\p{{S}}\p{{N}}{CJK}]?{DEEPSEEK_LETTER}+| ?(?:(?![{CJK}])[\p{{P}}\p{{S}}])+[\r\n]*"
        rf"|\s*[\r\n]+|\s+(?![^\s\p{{N}}{CJK}])|\s+|[^\s\p{{L}}\p{{M}}\p{{P}}\p{{S}}\p{{N}}]+(?!{DEEPSEEK_LETTER})",
        "deepseek-ai/DeepSeek-V3 tokenizer.json, its three splits as one",
    ),
}
"""By name; in tokenizers of that name the same pieces."""
