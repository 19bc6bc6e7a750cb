"""Pieces in; a serialized SentencePiece model out (sentencepiece_model.proto), with bytes as they are named there."""

import struct
from collections.abc import Mapping

__all__ = ["BYTE", "CONTROL", "NORMAL", "UNKNOWN", "Piece", "byte_name", "model_file"]

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
"""Kinds of pieces."""
MODEL_TYPES = {"unigram": 1, "bpe": 2}
SPECIAL_FIELDS = {"unk": (40, 45), "bos": (41, 46), "eos": (42, 47), "pad": (43, 48)}
"""Fields of TrainerSpec with the id and the name of each."""

Piece = tuple[str, float, int]
"""Text, score, kind."""


def byte_name(byte: int) -> str:
    """The name of a byte's piece.

    >>> byte_name(10)
    '<0x0A>'
    """
    return f"<0x{byte:02X}>"


def model_file(pieces: list[Piece], model: str, specials: Mapping[str, int], *, escape: bool) -> bytes:
    """The model: identity normalizer, no prefix, no blank taken away.

    `model`: bpe or unigram. `specials`: ids of unk, bos, eos and pad. `escape`: blanks are written as U+2581 inside, so
    that a U+2581 of a text comes back as a blank.
    """
    trainer = _number(3, MODEL_TYPES[model]) + _number(4, len(pieces)) + _number(24, 0) + _number(35, 1)
    trainer += b"".join(_number(SPECIAL_FIELDS[name][0], number) for name, number in specials.items())
    trainer += b"".join(_bytes(SPECIAL_FIELDS[name][1], pieces[i][0].encode()) for name, i in specials.items())
    normalizer = _bytes(1, b"identity") + _number(3, 0) + _number(4, 0) + _number(5, int(escape))
    return b"".join(_bytes(1, _piece(*piece)) for piece in pieces) + _bytes(2, trainer) + _bytes(3, normalizer)


def _piece(text: str, score: float, kind: int) -> bytes:
    return _bytes(1, text.encode()) + b"\x15" + struct.pack("<f", score) + _number(3, kind)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    """A number in groups of seven bits, the lowest first."""
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
