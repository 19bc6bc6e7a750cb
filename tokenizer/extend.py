"""A vocabulary of others and counts in; the same with Japanese tokens appended, proven to leave all else as it was.

New tokens are learned from Japanese phrases as the old vocabulary encodes them, so they merge after everything old.
Each holds a Japanese character, or is the beginning of one that can begin nothing else; so no text without such a
character can meet them. `prove` tries that on texts before anything is written.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seimai.errors import ConfigError, RunError
from seimai.files import fingerprint, write_atomic

from .base import Base
from .bpe_more import NEVER, alphabet_of, learn_more, token_words
from .counts import finder
from .extend_pattern import combined_pattern, is_japanese, only_japanese
from .extend_proof import prove
from .token_table import BOS, EOS, MULTIPLE, PAD, Vocabulary
from .vocabulary import save

__all__ = ["EMBEDDING_MAP", "embedding_rows", "extend", "extended"]

VERSION = 1
"""Raised when the same base and counts would give other tokens."""
EMBEDDING_MAP = "seimai-embedding-map/1"
MOST_BYTES = 511
"""Of a word that is learned from; phrases are shorter."""


def extend(
    base: Base,
    counts: pa.Table,
    out: Path,
    n_tokens: int,
    *,
    texts: Iterable[str],
    facts: dict[str, Any],
    min_count: int = 2,
) -> dict[str, Any]:
    """Append up to `n_tokens` learned tokens and write a tokenizer directory; what was proven, by name.

    `counts`: a counts table of any split, cut again by the combined pattern. `texts`: held-out texts for the proof.
    `facts` go to the manifest. `embedding_map.json` says for every new id of which old rows its embedding is the mean;
    an empty list stands for the mean of all old rows. RunError where `out` holds something or the proof fails.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out}: holds something; give a new folder to --out")
    if n_tokens < 1:
        raise ConfigError(f"--tokens {n_tokens}: at least 1; try 8000")
    vocabulary = extended(base, counts, n_tokens, min_count=min_count)
    proof = prove(base, vocabulary, texts)
    settings = {"tokens": n_tokens, "min_count": min_count, "version": VERSION}
    split = {"name": "japanese before the old one", "fingerprint": fingerprint(vocabulary.pattern)}
    save(vocabulary, out, {"settings": settings, "split": split, "base": base.facts, "proof": proof, **facts})
    rows = embedding_rows(base.vocabulary, vocabulary)
    about = {
        "format": EMBEDDING_MAP,
        "base_vocab_size": base.vocabulary.vocab_size,
        "vocab_size": vocabulary.vocab_size,
        "fingerprint": vocabulary.fingerprint,
        "rows": rows,
    }
    write_atomic(out / "embedding_map.json", json.dumps(about) + "\n")
    return {"vocab_size": vocabulary.vocab_size, "fingerprint": vocabulary.fingerprint, **proof}


def extended(base: Base, counts: pa.Table, n_tokens: int, *, min_count: int = 2) -> Vocabulary:
    """The vocabulary with the tokens learned from the Japanese phrases of a counts table."""
    old, pattern = base.vocabulary, combined_pattern(base.vocabulary.pattern)
    words = _japanese_words(counts, pattern)
    if not words:
        raise ConfigError("the counts hold no Japanese phrase to learn from; count Japanese text")
    data = np.frombuffer(b"".join(words), np.uint8)
    offsets = np.concatenate([[0], np.cumsum([len(word) for word in words])]).astype(np.int64)
    tokens, sizes = token_words(data, offsets, old)
    alphabet = alphabet_of(old.tokens[: old.n_ordinary])
    weights = np.fromiter(words.values(), np.int64, len(words))
    barred = _barred(old.tokens[: old.n_ordinary], alphabet.missing)
    pairs = learn_more(tokens, sizes, weights, alphabet, n_tokens, min_count=min_count, barred=barred)
    return _appended(old, pairs, pattern, any_pair=base.any_pair)


def embedding_rows(old: Vocabulary, new: Vocabulary) -> list[list[int]]:
    """For every new id, in order, the old ids of its bytes; of a new special an old end of text, or none."""
    added = new.token_bytes[old.vocab_size :]
    data = np.frombuffer(b"".join(added), np.uint8)
    offsets = np.concatenate([[0], np.cumsum([len(token) for token in added])]).astype(np.int64)
    tokens, sizes = token_words(data, offsets, old)
    ids = tokens if old.ids is None else old.ids[tokens]
    rows = [each.tolist() for each in np.split(ids, np.cumsum(sizes)[:-1])]
    ends = [old.special_ids[name] for name in ("<|endoftext|>", "<|end_of_text|>", "</s>") if name in old.special_ids]
    for name, number in new.special_ids.items():
        if number >= old.vocab_size:
            rows[number - old.vocab_size] = ends[:1] if name in (BOS, EOS) else []
    return rows


def _japanese_words(counts: pa.Table, pattern: str) -> dict[bytes, int]:
    """Pieces that the pattern cuts and that are Japanese to the last character, with their counts, sorted by bytes."""
    find, japanese = finder(pattern), is_japanese()
    found: Counter[str] = Counter()
    for pretoken, count in zip(counts["pretoken"].to_pylist(), counts["count"].to_pylist(), strict=True):
        for piece in find(pretoken.decode()):
            if all(japanese[ord(character)] for character in piece):
                found[piece] += count
    words = {piece.encode(): count for piece, count in found.items()}
    return {word: words[word] for word in sorted(words) if len(word) <= MOST_BYTES}


def _barred(tokens: Sequence[bytes], missing: NDArray[np.int8]) -> NDArray[np.int64]:
    """Pairs that would make the beginning of a character that need not be Japanese, as a << 32 | b, sorted."""
    after = [(place, tokens[place]) for place in np.flatnonzero((missing < 0) & (missing != NEVER)).tolist()]
    found = []
    for place in np.flatnonzero(missing > 1).tolist():
        begun = tokens[place][_begins(tokens[place]) :]
        for other, more in after:
            if len(more) < missing[place] and not only_japanese(begun + more):
                found.append(place << 32 | other)
    return np.array(sorted(found), np.int64)


def _begins(token: bytes) -> int:
    """Where the last character of a token begins."""
    return max(at for at, byte in enumerate(token) if byte & 0xC0 != 0x80)


def _appended(old: Vocabulary, pairs: NDArray[np.int32], pattern: str, *, any_pair: bool) -> Vocabulary:
    """The old tokens with their ids, then the new ones, then specials up to a multiple of 128."""
    first, tokens = old.n_ordinary, list(old.tokens[: old.n_ordinary])
    for left, right in pairs.tolist():
        tokens.append(tokens[left] + tokens[right])
    place = {token: at for at, token in enumerate(tokens)}
    if len(place) != len(tokens):
        raise RunError("a new token has the bytes of another; the base vocabulary cannot be continued exactly")
    merges, joins = pairs.tolist(), list(range(first, len(tokens)))
    if any_pair:
        merges, joins = _any_pairs(tokens, first, place)
    added = _new_specials(old, len(pairs))
    old_joins = np.arange(256, first) if old.joins is None else old.joins
    old_ids = np.arange(old.vocab_size) if old.ids is None else old.ids
    n_new = len(pairs)
    ids = np.concatenate([
        old_ids[:first],
        old.vocab_size + np.arange(n_new),
        old_ids[first:],
        old.vocab_size + n_new + np.arange(len(added)),
    ])  # fmt: skip
    return Vocabulary(
        np.concatenate([old.merges.reshape(-1, 2), np.array(merges, np.int32).reshape(-1, 2)]).astype(np.int32),
        (*old.specials, *added),
        pattern,
        tuple(tokens[256:]),
        None,
        np.concatenate([old_joins, joins]).astype(np.int32),
        ids.astype(np.int32),
        old.whole,
    )


def _any_pairs(tokens: Sequence[bytes], first: int, place: dict[bytes, int]) -> tuple[list[list[int]], list[int]]:
    """All pairs whose bytes are a new token, as tiktoken merges them."""
    merges, joins = [], []
    for made in range(first, len(tokens)):
        token = tokens[made]
        halves = [(place.get(token[:at]), place.get(token[at:])) for at in range(1, len(token))]
        known = sorted((left, right) for left, right in halves if left is not None and right is not None)
        merges += [list(pair) for pair in known]
        joins += [made] * len(known)
    return merges, joins


def _new_specials(old: Vocabulary, n_new: int) -> tuple[str, ...]:
    """The named specials that are missing, then reserved ones up to a multiple of 128 ids."""
    names = [name for name in (BOS, EOS, PAD) if name not in old.special_ids]
    size, number = old.vocab_size + n_new + len(names), 0
    while size % MULTIPLE:
        if f"<|reserved_{number}|>" not in old.special_ids:
            names.append(f"<|reserved_{number}|>")
            size += 1
        number += 1
    return tuple(names)
