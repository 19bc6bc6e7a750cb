"""A tokenizer's fixed cases (digits, indentation), its cuts beside those of a morphological analyser, its speed."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .judged import Judged

__all__ = ["CASES", "boundaries", "cases", "speed"]

CASES = {
    "year": "1958",
    "decimal": "3.14159",
    "money": "$1,234,567.89",
    "date": "2026年11月21日",
    "full-width": "１２３４５",
    "phone": "03-1234-5678",
    "4 spaces": "\n    return x",
    "8 spaces": "\n        return x",
    "tabs": "\n\t\treturn x",
    "blank lines": "a\n\n\nb",
    "emoji": "👩‍👩‍👧‍👦🇯🇵",
    "half-width kana": "ﾊﾝｶｸｶﾅ",
    "long mark": "コーヒーサーバー",
    "rare kanji": "𠮟る鬱金香",
    "address": "https://example.org/a/b?c=1",
}
"""What numbers, indentation and rare characters cost."""
MAX_CHARS = 100_000
"""Most Japanese text that the analyser reads."""
SPEED_BYTES = 500_000


def cases(tokenizer: Judged) -> list[dict[str, Any]]:
    """Tokens of every case, and where they cut."""
    rows = []
    for (name, text), ids in zip(CASES.items(), tokenizer.encode([*CASES.values()]), strict=True):
        pieces = [tokenizer.token_bytes[number].decode(errors="replace") for number in ids.tolist()]
        rows.append({"case": name, "text": text, "n_tokens": len(ids), "pieces": pieces})
    return rows


def boundaries(tokenizer: Judged, texts: Sequence[str]) -> list[dict[str, Any]]:
    """How the cuts of Japanese text agree with Sudachi's short words (mode A); nothing where it is not installed.

    precision: share of the tokenizer's cuts that are cuts between words; recall: share of those that it makes.
    """
    try:
        from sudachipy import Dictionary, SplitMode  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ModuleNotFoundError:
        return []
    dictionary = Dictionary(dict="core")
    # `create` until 0.6, deprecated since.
    make = dictionary.tokenizer if hasattr(dictionary, "tokenizer") else dictionary.create
    analyse = make(mode=SplitMode.A).tokenize
    ours = words = both = read = 0
    for text in texts:
        for line in filter(None, text.split("\n")):
            if read > MAX_CHARS:
                break
            read += len(line)
            known = {morpheme.end() for morpheme in analyse(line)} - {len(line)}
            cuts = _cuts(tokenizer, line)
            ours, words, both = ours + len(cuts), words + len(known), both + len(cuts & known)
    if not ours or not words:
        return []
    precision, recall = both / ours, both / words
    f1 = 2 * precision * recall / (precision + recall) if both else 0.0
    return [{"analyser": "sudachi A", "characters": read, "precision": precision, "recall": recall, "f1": f1}]


def _cuts(tokenizer: Judged, line: str) -> set[int]:
    """Between which characters tokens end; an end inside a character is none."""
    [ids] = tokenizer.encode([line])
    starts = np.cumsum([0, *(len(character.encode()) for character in line)])
    ends = np.cumsum(tokenizer.lengths[ids])
    if ends.size and ends[-1] > starts[-1]:  # a prefix that is not in the text
        ends -= ends[-1] - starts[-1]
    return {int(at) for at in np.flatnonzero(np.isin(starts, ends)) if 0 < at < len(line)}


def speed(tokenizer: Judged, texts: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Megabytes a second of CPU, one thread, of each language: first texts, then the same again."""
    rows = []
    for lang, of_lang in sorted(texts.items()):
        chosen, held = [], 0
        for text in of_lang:
            if held < SPEED_BYTES:
                chosen.append(text)
                held += len(text.encode())
        ids, first = _timed(partial(tokenizer.encode, chosen))
        _, again = _timed(partial(tokenizer.encode, chosen))
        _, back = _timed(partial(_decoded, tokenizer, ids))
        rates = {"encode_mb_s": first, "encode_again_mb_s": again, "decode_mb_s": back}
        rows.append({"lang": lang, "n_bytes": held, **{name: held / 1e6 / max(s, 1e-9) for name, s in rates.items()}})
    return rows


def _decoded(tokenizer: Judged, ids: Sequence[NDArray[Any]]) -> list[str]:
    return [tokenizer.decode(row) for row in ids]


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    begun = time.process_time()
    return call(), time.process_time() - begun
