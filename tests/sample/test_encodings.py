"""Our encoders against Python's codecs, which know row 13 under other names (JIS X 0213 has it where NEC had)."""

import re

import pytest

from seimai.sample.encodings import encodable, encode

MICROSOFT = str.maketrans("〜−—‖", "～－―∥")
"""Signs for which Python's JIS codecs and cp932 name different code points."""

PLAIN = "Rice 精米の話、カタカナとABC。ｶﾅ"
ROW_13 = "①②③Ⅰ㌔㎜㈱㍉㎏"


def decode_iso_2022_jp(data: bytes) -> str:
    pieces = re.split(rb"\x1b(\(B|\(I|\$B)", b"(B" + data)
    texts = [pieces[0][2:].decode("ascii")]
    for escape, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        if escape == b"(B":
            texts.append(piece.decode("ascii"))
        elif escape == b"(I":
            texts.append("".join(chr(byte - 0x21 + 0xFF61) for byte in piece))
        else:
            texts.append(bytes(byte | 0x80 for byte in piece).decode("euc_jis_2004").translate(MICROSOFT))
    return "".join(texts)


@pytest.mark.parametrize("text", [PLAIN, ROW_13, PLAIN + ROW_13 + "\n" + PLAIN, "～－―∥", ""])
def test_japanese_encodings_are_read_by_an_independent_decoder(text: str) -> None:
    assert encode(text, "shift_jis").decode("cp932") == text
    assert encode(text, "euc-jp").decode("euc_jis_2004").translate(MICROSOFT) == text
    assert decode_iso_2022_jp(encode(text, "iso-2022-jp")) == text


def test_every_character_of_jis_x_0208_agrees_with_python() -> None:
    pairs = [bytes((row, cell)) for row in range(0xA1, 0xF5) for cell in range(0xA1, 0xFF)]
    known = [pair for pair in pairs if encodable(pair.decode("euc_jp", "replace").translate(MICROSOFT), "euc-jp")]

    assert len(known) > 6_800
    for pair in known:
        assert encode(pair.decode("euc_jp").translate(MICROSOFT), "euc-jp") == pair


@pytest.mark.parametrize("encoding", ["euc-jp", "iso-2022-jp"])
@pytest.mark.parametrize("character", ["髙", "﨑", "😀", "é"])
def test_what_an_encoding_lacks_is_refused(encoding: str, character: str) -> None:
    assert not encodable(character, encoding)
    with pytest.raises(UnicodeEncodeError):
        encode(character, encoding)


def test_iso_2022_jp_is_seven_bits_and_ends_each_line_in_ascii() -> None:
    data = encode("精米\n<b>ｶﾅ</b>", "iso-2022-jp")

    assert max(data) < 0x80
    assert all(line.rfind(b"\x1b(B") == line.rfind(b"\x1b") for line in data.split(b"\n"))
