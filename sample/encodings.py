"""Text to the bytes of a page: UTF-8, windows-1252, the Japanese encodings as browsers read them, GBK and EUC-KR."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

__all__ = ["ENCODERS", "encodable", "encode"]

_ESCAPES = {"ascii": b"\x1b(B", "kana": b"\x1b(I", "kanji": b"\x1b$B"}


def jis_pair(character: str) -> bytes:
    """Row and cell (two bytes, 0x21 to 0x7E) of a character in JIS X 0208 with NEC's row 13, found by way of cp932.

    Python's own EUC-JP and ISO-2022-JP codecs lack row 13 (①, ㈱, ㎜), which browsers read. IBM's extensions (髙, 﨑)
    raise UnicodeEncodeError: they stand in rows 89 to 92 (leads 0xED, 0xEE), which many readers know in cp932 alone.

    >>> jis_pair("あ").hex(), jis_pair("①").hex()
    ('2422', '2d21')
    """
    pair = character.encode("cp932")
    if len(pair) != 2 or pair[0] >= 0xED:
        raise UnicodeEncodeError("jis0208", character, 0, 1, "not in JIS X 0208 or NEC row 13")
    lead, trail = pair
    row = (lead - (0x81 if lead < 0xA0 else 0xC1)) * 2
    cell = trail - (0x41 if trail > 0x7F else 0x40)
    return bytes((0x21 + row + cell // 94, 0x21 + cell % 94))


def euc_jp(text: str) -> bytes:
    """EUC-JP with NEC's row 13 (lead byte 0xAD) and half-width kana (0x8E and a byte).

    >>> euc_jp("a①ｱ").hex()
    '61ada18eb1'
    """
    pieces: list[bytes] = []
    for character in text:
        code = ord(character)
        if code < 0x80:
            pieces.append(bytes((code,)))
        elif 0xFF61 <= code <= 0xFF9F:
            pieces.append(bytes((0x8E, code - 0xFF61 + 0xA1)))
        else:
            pieces.append(bytes(byte | 0x80 for byte in jis_pair(character)))
    return b"".join(pieces)


def iso_2022_jp(text: str) -> bytes:
    """ISO-2022-JP with NEC's row 13 and half-width kana (`ESC ( I`), back in ASCII before each line ends.

    >>> iso_2022_jp("あa")
    b'\\x1b$B$"\\x1b(Ba'
    """
    pieces: list[bytes] = []
    state = "ascii"
    for character in text:
        code = ord(character)
        if code < 0x80:
            wanted, written = "ascii", bytes((code,))
        elif 0xFF61 <= code <= 0xFF9F:
            wanted, written = "kana", bytes((code - 0xFF61 + 0x21,))
        else:
            wanted, written = "kanji", jis_pair(character)
        if wanted != state:
            pieces.append(_ESCAPES[wanted])
            state = wanted
        pieces.append(written)
    if state != "ascii":
        pieces.append(_ESCAPES["ascii"])
    return b"".join(pieces)


ENCODERS: Mapping[str, Callable[[str], bytes]] = MappingProxyType(
    {
        "utf-8": lambda text: text.encode("utf-8"),
        "utf-8-sig": lambda text: text.encode("utf-8-sig"),
        "windows-1252": lambda text: text.encode("cp1252"),
        "shift_jis": lambda text: text.encode("cp932"),
        "euc-jp": euc_jp,
        "iso-2022-jp": iso_2022_jp,
        "gbk": lambda text: text.encode("gbk"),
        "euc-kr": lambda text: text.encode("cp949"),
    }
)
"""Encoder by name: shift_jis is Microsoft's cp932, as browsers take it; utf-8-sig begins with a byte order mark."""


def encode(text: str, encoding: str) -> bytes:
    """The bytes of `text`; UnicodeEncodeError when the encoding lacks a character, KeyError when we lack the encoding.

    >>> encode("髙", "shift_jis").hex()
    'eee0'
    """
    return ENCODERS[encoding](text)


def encodable(text: str, encoding: str) -> bool:
    """Whether the encoding has every character of `text`.

    >>> encodable("﨑", "shift_jis"), encodable("﨑", "euc-jp")
    (True, False)
    """
    try:
        encode(text, encoding)
    except UnicodeEncodeError:
        return False
    return True
