"""Texts in, ids out, and ids back to bytes: one loaded tokenizer with bounded calls of its engine."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .split import pieces
from .vocabulary import Vocabulary, engine, load

__all__ = ["CALL_CHARS", "Encoder"]

CALL_CHARS = 400_000
"""Most characters in one call of the engine (up to 1.2 MB of Japanese): it needs some 30 bytes of memory a byte."""


class Encoder:
    """A loaded tokenizer that turns texts into ids and proves that they turn back."""

    def __init__(self, directory: Path) -> None:
        self.vocabulary: Vocabulary = load(directory)
        self._engine = engine(directory)
        lengths = np.array([len(token) for token in self.vocabulary.token_bytes], np.int64)
        self._data = np.frombuffer(b"".join(self.vocabulary.token_bytes), np.uint8)
        self._lengths, self._starts = lengths, np.cumsum(lengths) - lengths

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint16 for vocabularies of at most 65,536 ids, else uint32."""
        return np.dtype(np.uint16 if self.vocabulary.vocab_size <= 1 << 16 else np.uint32)

    def ids(self, texts: Sequence[str]) -> list[NDArray[Any]]:
        """Ids of each text, without BOS and EOS; a special token's name in a text is plain text."""
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
