"""Pre-token counts in; the pieces and scores of a Unigram model out, trained by SentencePiece.

SentencePiece learns from the same counts as BPE, over the same split and alphabet: it sees every byte as the character
that stands for it in `tokenizer.json`, so no tab, newline, blank or ▁ is left that its trainer would take apart. Its
own options that cut, normalise or add a prefix are off.

SentencePiece adds scores in 32 bits, `tokenizers` in 64, so equal paths (ハハハ as ハ|ハハ, ハハ|ハ) were told apart by
rounding in 7 of 1,166,832 pre-tokens. Scores are therefore rounded to 2^-10: sums are then exact in both, and both take
the first of the best. `model_file` is SentencePiece's own model with these scores, the oracle of the tests.
"""

import io
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seimai.errors import ConfigError

from .vocabulary import bytes_name

__all__ = ["UnigramPieces", "commonest", "learn_pieces", "model_json", "sentencepiece_library"]

MAX_PRETOKENS = 1_000_000
"""Most distinct pre-tokens that are read, the commonest: the trainer's suffix array needs some 25 bytes a byte."""
MAX_PRETOKEN_BYTES = 4096
MAX_PIECE_BYTES = 48
THREADS = 8
"""Threads of SentencePiece on any machine: it adds floats thread by thread, so their number decides last digits."""
SCORE_STEP = 2.0**-10
UNSEEN_PENALTY = 10.0
"""What SentencePiece takes from the least score for a character that it never saw."""
UNKNOWN = "▅"
"""The trainer's own piece, outside the alphabet of bytes."""

PIECES_TAG, SCORE_TAG = 0x0A, 0x15
"""sentencepiece_model.proto: `repeated SentencePiece pieces = 1`, in it `optional float score = 2`."""


class UnigramPieces(NamedTuple):
    """Tokens by id: the 256 bytes, then the learned pieces by falling score."""

    tokens: tuple[bytes, ...]
    scores: NDArray[np.float32]
    """Log-probability of each, a multiple of 2^-10."""
    model_file: bytes
    """The same as a SentencePiece model over the characters that stand for bytes; it lacks bytes never seen."""


def learn_pieces(
    counts: pa.Table, n_pieces: int, *, max_piece_bytes: int = MAX_PIECE_BYTES, max_pretokens: int = MAX_PRETOKENS
) -> UnigramPieces:
    """At most `n_pieces` pieces beside the bytes, from columns `pretoken` and `count` of a counts table.

    Reads the `max_pretokens` commonest pre-tokens of at most 4,096 bytes. The same table gives the same pieces, for any
    number of cores. Raises ConfigError where SentencePiece is not installed or there is no pre-token to learn from.
    """
    chosen = commonest(counts, max_pretokens)
    seen = {byte for pretoken in chosen["pretoken"].to_pylist() for byte in pretoken}
    if not seen:
        raise ConfigError(f"no pre-token of at most {MAX_PRETOKEN_BYTES} bytes to learn from; count more text")
    model = _rounded(_train(chosen, 1 + len(seen) + n_pieces, max_piece_bytes))
    processor = sentencepiece_library().SentencePieceProcessor(model_proto=model)
    # Id 0 is the trainer's own piece for the unknown.
    learned = {processor.id_to_piece(i): processor.get_score(i) for i in range(1, processor.vocab_size())}
    unseen = min(learned.values()) - UNSEEN_PENALTY
    scores = {bytes([byte]): learned.pop(bytes_name(bytes([byte])), unseen) for byte in range(256)}
    byte_of = {bytes_name(bytes([byte])): byte for byte in range(256)}
    scores |= {bytes(map(byte_of.__getitem__, name)): score for name, score in learned.items()}
    return UnigramPieces(tuple(scores), np.array([*scores.values()], np.float32), model)


def model_json(pieces: UnigramPieces) -> dict[str, Any]:
    """The `model` entry of a `tokenizer.json`, behind the pre-tokenizers `Split` and `ByteLevel`.

    >>> model_json(UnigramPieces((b"a", b" a"), np.array([-2, -1.5], np.float32), b""))["vocab"]
    [['a', -2.0], ['Ġa', -1.5]]
    """
    vocab = [[bytes_name(token), score] for token, score in zip(pieces.tokens, pieces.scores.tolist(), strict=True)]
    return {"type": "Unigram", "unk_id": None, "vocab": vocab, "byte_fallback": False}


def commonest(counts: pa.Table, most: int) -> pa.Table:
    """The rows of the `most` commonest pre-tokens of at most 4,096 bytes, sorted by bytes."""
    import pyarrow.compute as pc

    short = counts.filter(pc.less_equal(pc.binary_length(counts["pretoken"]), MAX_PRETOKEN_BYTES))
    order = [("count", "descending"), ("pretoken", "ascending")]
    return short.sort_by(order).slice(0, most).sort_by("pretoken")


def _lines(table: pa.Table) -> Iterator[str]:
    for pretoken, count in zip(table["pretoken"].to_pylist(), table["count"].to_pylist(), strict=True):
        yield f"{bytes_name(pretoken)}\t{count}"


def _train(table: pa.Table, vocab_size: int, max_piece_bytes: int) -> bytes:
    model = io.BytesIO()
    sentencepiece_library().SentencePieceTrainer.train(
        sentence_iterator=_lines(table),
        model_writer=model,
        input_format="tsv",
        model_type="unigram",
        vocab_size=vocab_size,
        hard_vocab_limit=False,
        character_coverage=1.0,
        max_sentence_length=2 * MAX_PRETOKEN_BYTES + 32,
        max_sentencepiece_length=max_piece_bytes,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        split_by_unicode_script=False,
        split_by_whitespace=False,
        split_by_number=False,
        unk_id=0,
        unk_piece=UNKNOWN,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        num_threads=THREADS,
        minloglevel=1,
    )
    return model.getvalue()


def _rounded(model: bytes) -> bytes:
    """The serialized model with every score rounded to a multiple of SCORE_STEP."""
    data, at = bytearray(model), 0
    while at < len(data):
        tag, (size, body) = data[at], _varint(data, at + 1)
        if tag & 7 != 2:
            raise ValueError(f"field {tag >> 3} of a SentencePiece model is no message")
        if tag == PIECES_TAG:
            name_size, name = _varint(data, body + 1)
            score = name + name_size
            if score < body + size and data[score] == SCORE_TAG:
                (value,) = struct.unpack_from("<f", data, score + 1)
                struct.pack_into("<f", data, score + 1, round(value / SCORE_STEP) * SCORE_STEP)
        at = body + size
    return bytes(data)


def _varint(data: bytearray, at: int) -> tuple[int, int]:
    """A protobuf number and where it ends."""
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at


def sentencepiece_library() -> Any:
    """The module; ConfigError where it is not installed."""
    try:
        import sentencepiece
    except ImportError:
        raise ConfigError("model unigram needs SentencePiece; `pip install 'seimai[unigram]'`") from None
    return sentencepiece
