"""A BPE as a SentencePiece model, where that gives the same ids; else the reason why it cannot.

A `.model` carries no split pattern and merges whole characters, with bytes for characters that it has no piece for. So
the text must be cut only behind newlines (`--split lines`), which no token crosses, and no token may be a part of a
character.
"""

from collections.abc import Iterator

import numpy as np

from seimai.errors import ConfigError

from .encoder import Encoder
from .sentencepiece_file import BYTE, CONTROL, NORMAL, UNKNOWN, Piece, byte_name, model_file
from .split import split_pattern
from .token_table import Vocabulary

__all__ = ["sentencepiece_model", "why_not_sentencepiece"]

PROOF_TEXTS, PROOF_TOKENS, PROOF_SEED = 2_000, 30, 1


def why_not_sentencepiece(vocabulary: Vocabulary) -> str:
    """Why no SentencePiece model gives the same ids; empty where one may.

    >>> why_not_sentencepiece(Vocabulary(np.empty((0, 2), np.int32), ("<|bos|>",), split_pattern()))[:45]
    'it carries no split pattern, and this one cut'
    """
    if vocabulary.scores is not None:
        return "this Unigram scores bytes behind a split, and it scores characters without one"
    if vocabulary.pattern != split_pattern(name="lines"):
        return "it carries no split pattern, and this one cuts inside lines; train with --split lines"
    if vocabulary.ids is not None:
        return "this vocabulary continues another one, whose ids it would have to keep"
    parts = [token for token in vocabulary.tokens[256 : vocabulary.n_ordinary] if not _whole(token)]
    if parts:
        return f"it merges whole characters, and {len(parts):,} tokens are parts of one, such as {parts[0].hex(' ')}"
    return ""


def sentencepiece_model(encoder: Encoder) -> bytes:
    """The serialized model, proven on random texts; ConfigError with the reason where it would give other ids."""
    if reason := why_not_sentencepiece(encoder.vocabulary):
        raise ConfigError(f"SentencePiece cannot give the same ids: {reason}; or use --to hf")
    try:
        import sentencepiece
    except ImportError:
        raise ConfigError("no export goes unproven; `pip install 'seimai[unigram]'` for SentencePiece") from None
    model = _model(encoder.vocabulary)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    for text in _random_texts(encoder.vocabulary):
        [ids] = encoder.ids([text])
        if processor.encode(text) != ids.tolist() or processor.decode(ids.tolist()) != text:
            raise ConfigError(f"SentencePiece gives other ids or another text on {text[:40]!r}; use --to hf")
    return model


def _whole(token: bytes) -> bool:
    try:
        token.decode()
    except UnicodeDecodeError:
        return False
    return True


def _random_texts(vocabulary: Vocabulary) -> Iterator[str]:
    draw = np.random.default_rng(PROOF_SEED)
    for row in draw.integers(0, vocabulary.n_ordinary, (PROOF_TEXTS, PROOF_TOKENS)).tolist():
        yield b"".join(vocabulary.tokens[place] for place in row).decode("utf-8", "ignore")


def _model(vocabulary: Vocabulary) -> bytes:
    """The model with the ids of the vocabulary."""
    tokens, last = vocabulary.tokens, vocabulary.vocab_size - 1
    pieces: list[Piece] = [(byte_name(byte), 0.0, BYTE) for byte in range(256)]
    # The best score is merged first; 32-bit floats tell whole numbers apart up to 16 million.
    pieces += [(tokens[i].decode(), float(256 - i), NORMAL) for i in range(256, vocabulary.n_ordinary)]
    # One piece must be the unknown; no text ever needs it, for every byte has a piece.
    pieces += [
        (tokens[i].decode(), 0.0, UNKNOWN if i == last else CONTROL)
        for i in range(vocabulary.n_ordinary, vocabulary.vocab_size)
    ]
    ids = {"unk": last, "bos": vocabulary.bos_id, "eos": vocabulary.eos_id, "pad": vocabulary.pad_id}
    # Blanks as themselves, so that a text with U+2581 comes back too.
    return model_file(pieces, "bpe", ids, escape=False)
