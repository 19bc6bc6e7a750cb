"""An old vocabulary and its extension in; a proof that the old ids and the old encodings stand, or RunError."""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np

from seimai.errors import RunError

from .base import Base
from .counts import finder
from .export import tiktoken_library
from .extend_pattern import is_japanese, japanese_letters, only_japanese
from .token_table import Vocabulary
from .tokenizer_json import tokenizer_json

__all__ = ["prove"]

RANDOM_TEXTS, RANDOM_TOKENS, SEED = 1_000, 30, 1
Encode = Callable[[str], list[int]]


def prove(base: Base, new: Vocabulary, texts: Iterable[str]) -> dict[str, int]:
    """How much was compared without a difference; RunError at the first.

    Old ids keep their bytes. Every new token holds a Japanese character or begins nothing else. Texts without one (of
    `texts`, and of random old tokens) have the ids that the base's own library gives. In the others every cut that is
    new or gone stands beside a kanji or kana, and the text comes back.
    """
    old = base.vocabulary
    if new.token_bytes[: old.vocab_size] != old.token_bytes:
        raise RunError("an old id has other bytes than before; nothing was written")
    _check_tokens(new.token_bytes[old.vocab_size : old.vocab_size + new.n_ordinary - old.n_ordinary])
    encoders = _encoders(base, new)
    found = {"new_tokens": new.n_ordinary - old.n_ordinary, "texts_unchanged": 0, "bytes_unchanged": 0}
    found |= {"japanese_texts": 0, "new_cuts": 0}
    japanese, letters = is_japanese(), japanese_letters()
    cuts = _cuts(old.pattern), _cuts(new.pattern)
    for text in chain(texts, _random_texts(old)):
        codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        if not japanese[codes].any():
            before = base.encode(text)
            for encode in encoders:
                if encode(text) != before:
                    raise RunError(f"the text {text[:40]!r} would be encoded otherwise; nothing was written")
            found["texts_unchanged"] += 1
            found["bytes_unchanged"] += len(text.encode())
        else:
            found["japanese_texts"] += 1
            found["new_cuts"] += _check_cuts(text, letters[codes], cuts)
            ids = [encode(text) for encode in encoders]
            if any(each != ids[0] for each in ids) or b"".join(new.token_bytes[i] for i in ids[0]) != text.encode():
                raise RunError(f"the text {text[:40]!r} does not come back; nothing was written")
    return found


def _check_tokens(tokens: Iterable[bytes]) -> None:
    japanese = is_japanese()
    for token in tokens:
        try:
            holds = any(japanese[ord(character)] for character in token.decode())
        except UnicodeDecodeError as error:
            whole = token[: error.start].decode()
            holds = any(japanese[ord(character)] for character in whole) or only_japanese(token[error.start :])
        if not holds:
            raise RunError(f"the new token {token!r} may stand in text without Japanese; nothing was written")


def _cuts(pattern: str) -> Callable[[str], set[int]]:
    find = finder(pattern)

    def cuts(text: str) -> set[int]:
        return set(np.cumsum([len(piece) for piece in find(text)]).tolist())

    return cuts


def _check_cuts(text: str, japanese: Any, cuts: tuple[Callable[[str], set[int]], Callable[[str], set[int]]]) -> int:
    """How many cuts are new; these and those that are gone stand beside a kanji or kana."""
    old, new = (each(text) for each in cuts)
    for at in old ^ new:
        if not (japanese[at - 1] or japanese[at : at + 1].any()):
            raise RunError(f"a cut in {text[max(0, at - 20) : at + 20]!r} moved beside no kanji or kana")
    return len(new - old)


def _encoders(base: Base, new: Vocabulary) -> list[Encode]:
    """The new vocabulary in the library, and in tiktoken where the old one merges as tiktoken does."""
    from tokenizers import Tokenizer

    library = Tokenizer.from_str(json.dumps(tokenizer_json(new)))
    library.encode_special_tokens = True
    encoders: list[Encode] = [lambda text: list(library.encode(text, add_special_tokens=False).ids)]
    if base.any_pair:
        ids = range(new.n_ordinary) if new.ids is None else new.ids.tolist()
        ranks = dict(zip(new.tokens[: new.n_ordinary], ids, strict=False))
        special = {name: number for name, number in new.special_ids.items()}
        encoding = tiktoken_library().Encoding(
            "new", pat_str=new.pattern, mergeable_ranks=ranks, special_tokens=special
        )
        encoders.append(encoding.encode_ordinary)
    return encoders


def _random_texts(old: Vocabulary) -> Iterator[str]:
    """Old tokens end to end by a seeded draw, and each text once more without its Japanese."""
    draw, japanese = np.random.default_rng(SEED), is_japanese()
    for row in draw.integers(0, old.n_ordinary, (RANDOM_TEXTS, RANDOM_TOKENS)).tolist():
        text = b"".join(old.tokens[place] for place in row).decode("utf-8", "ignore")
        yield text
        yield "".join(character for character in text if not japanese[ord(character)])
