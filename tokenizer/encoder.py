"""Texts in, ids out, and ids back to bytes: one loaded tokenizer with bounded calls of its engine."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .merge_kernels import encode_words, rank_table
from .split import pieces
from .viterbi import best_tokens, trie_of
from .vocabulary import Vocabulary, bytes_name, engine, load
from .word_cache import WordCache

__all__ = ["CALL_CHARS", "KERNEL_BYTES", "Encoder"]

CALL_CHARS = 400_000
"""Most characters in one call of the engine (up to 1.2 MB of Japanese): it needs some 30 bytes of memory a byte."""

KERNEL_BYTES = 512
"""Longest pre-token of our own kernel, whose cost grows with the square; longer ones go to the engine, singly."""


class Encoder:
    """A loaded tokenizer that turns texts into ids and proves that they turn back.

    Texts are split by a kernel, and each pre-token looked up; those not seen before are merged by another, all at once.
    What the kernels are not for (long pre-tokens of a BPE, a pattern that leaves characters out) goes
    through the engine of `tokenizers`, and the ids are the same.
    """

    def __init__(self, directory: Path) -> None:
        self.vocabulary: Vocabulary = load(directory)
        self._engine = engine(directory)
        lengths = np.array([len(token) for token in self.vocabulary.token_bytes], np.int64)
        self._data = np.frombuffer(b"".join(self.vocabulary.token_bytes), np.uint8)
        self._lengths, self._starts = lengths, np.cumsum(lengths) - lengths
        merges = np.asarray(self.vocabulary.merges, np.int32).reshape(-1, 2)
        self._ranks = rank_table(merges, 256, self.vocabulary.joins)
        self._whole = _not_merged(self.vocabulary, self._ranks) if self.vocabulary.whole else {}
        scores, tokens = self.vocabulary.scores, self.vocabulary.tokens[: self.vocabulary.n_ordinary]
        self._trie = None if scores is None else trie_of(tokens, scores)
        self._words = WordCache(self.vocabulary.pattern, self._encode_words, self.dtype)

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint16 for vocabularies of at most 65,536 ids, else uint32."""
        return np.dtype(np.uint16 if self.vocabulary.vocab_size <= 1 << 16 else np.uint32)

    def ids(self, texts: Sequence[str]) -> list[NDArray[Any]]:
        """Ids of each text, without BOS and EOS; a special token's name in a text is plain text."""
        found = self._words.ids(texts)
        missing = [row for row, each in enumerate(found) if each is None]
        by_engine = iter(self.engine_ids([texts[row] for row in missing]))
        return [next(by_engine) if each is None else each for each in found]

    def engine_ids(self, texts: Sequence[str]) -> list[NDArray[Any]]:
        """The same by the engine of `tokenizers` alone, in bounded calls."""
        cut = [list(pieces(text, self.vocabulary.pattern, CALL_CHARS)) for text in texts]
        flat = [piece for each in cut for piece in each]
        encoded: list[NDArray[Any]] = []
        for first, last in _calls([len(piece) for piece in flat]):
            results = self._engine.encode_batch_fast(flat[first:last], add_special_tokens=False)
            encoded += [np.array(result.ids, self.dtype) for result in results]
        ends = np.cumsum([len(each) for each in cut]).tolist()
        return [
            encoded[end - 1] if len(each) == 1 else np.concatenate(encoded[end - len(each) : end])
            for each, end in zip(cut, ends, strict=True)
        ]

    def _encode_words(
        self, data: NDArray[np.uint8], offsets: NDArray[np.int64]
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Ids of pre-tokens end to end, and how many each has."""
        if self._trie is not None:
            return best_tokens(data, offsets, self._trie)
        numbers = self.vocabulary.ids
        by_kernel = np.diff(offsets) <= KERNEL_BYTES
        if self._whole:
            known = [data[a:b].tobytes() in self._whole for a, b in pairwise(offsets.tolist())]
            by_kernel &= ~np.array(known, bool)
        if by_kernel.all():
            ids, counts = encode_words(data, offsets, self._ranks)
            return ids if numbers is None else numbers[ids], counts
        each: list[NDArray[Any]] = []
        for first, last, fits in zip(offsets.tolist(), offsets[1:].tolist(), by_kernel.tolist(), strict=False):
            word = data[first:last]
            if fits:
                ids = encode_words(word, np.array([0, len(word)]), self._ranks)[0]
                each.append(ids if numbers is None else numbers[ids])
            elif whole := self._whole.get(word.tobytes()):
                each.append(np.array([whole], np.uint32))
            else:
                tokens = self._engine.model.tokenize(bytes_name(word.tobytes()))
                each.append(np.array([token.id for token in tokens], np.uint32))
        return np.concatenate(each), np.array([len(ids) for ids in each], np.int64)

    def bytes_of(self, ids: NDArray[Any]) -> NDArray[np.uint8]:
        """The UTF-8 bytes that ids stand for, as an array."""
        lengths = self._lengths[ids]
        shift = self._starts[ids] - (np.cumsum(lengths) - lengths)
        found: NDArray[np.uint8] = self._data[np.repeat(shift, lengths) + np.arange(lengths.sum())]
        return found

    def failures(self, texts: Sequence[str], ids: Sequence[NDArray[Any]]) -> list[int]:
        """Rows whose ids do not stand for their text's bytes; all rows at once, singly only where that fails."""
        if not texts or self.bytes_of(np.concatenate(ids)).tobytes() == "".join(texts).encode():
            return []
        return [row for row, text in enumerate(texts) if self.bytes_of(ids[row]).tobytes() != text.encode()]


def _not_merged(vocabulary: Vocabulary, ranks: tuple[NDArray[np.int64], NDArray[np.int64]]) -> dict[bytes, int]:
    """Tokens that the merges do not make of their own bytes, with their ids."""
    tokens = vocabulary.tokens[: vocabulary.n_ordinary]
    ends = np.cumsum([len(token) for token in tokens])
    offsets = np.concatenate([[0], ends]).astype(np.int64)
    _, counts = encode_words(np.frombuffer(b"".join(tokens), np.uint8), offsets, ranks)
    numbers = np.arange(len(tokens)) if vocabulary.ids is None else vocabulary.ids
    return {tokens[place]: int(numbers[place]) for place in np.flatnonzero(counts != 1).tolist()}


def _calls(n_chars: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ranges of texts, in order, of at most CALL_CHARS characters together or of one text."""
    first, held = 0, 0
    for at, size in enumerate(n_chars):
        if at > first and held + size > CALL_CHARS:
            yield first, at
            first, held = at, 0
        held += size
    if first < len(n_chars):
        yield first, len(n_chars)
