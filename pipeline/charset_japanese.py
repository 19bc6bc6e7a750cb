"""Bytes of the three Japanese legacy encodings in, text out, read as browsers read them and with damage kept local.

Python's codecs lack what Japanese pages use. `shift_jis` and `euc_jp` refuse NEC row 13 (①㈱Ⅲ) and the IBM extensions
(髙﨑), `iso2022_jp` refuses those and half-width kana, and all three read six signs as other characters than browsers.
Microsoft's cp932 has the right characters for all of them, so that its table fills the gaps of the other two, and
ISO-2022-JP is rewritten as EUC-JP first.
"""

import codecs
import re
from collections.abc import Callable
from functools import lru_cache

__all__ = ["decode_euc_jp", "decode_iso_2022_jp", "decode_shift_jis"]

BAD = "\ufffd"
HOPELESS_CHARS = 200
HOPELESS_SHARE = 0.2

# What cp932 makes of the bytes 80, A0, FD, FE and FF, which begin no character of Shift_JIS.
_NOT_SHIFT_JIS = "\x80\uf8f0\uf8f1\uf8f2\uf8f3"
# JIS X 0208 as Python's shift_jis and euc_jp have it, and as cp932 and the WHATWG index have it.
_MICROSOFT_SIGNS = (("〜", "～"), ("‖", "∥"), ("−", "－"), ("¢", "￠"), ("£", "￡"), ("¬", "￢"))
_ASCII = re.compile(rb"[\x00-\x7f]")
_HIGH_RUN = re.compile(rb"[\xa1-\xff]+")
_KANA_PAIR = re.compile(rb"[\xa4\xa5][\xa1-\xf6]|\xa1[\xa2\xa3\xbc]")
_RUN_WINDOW = 64  # bytes looked ahead to find the end of a run; a longer run is taken to be whole

# ISO-2022-JP: escapes, and the shifts SO and SI of 7-bit kana.
_SHIFT = re.compile(rb"\x1b\([BJIH]|\x1b\$[@B]|\x1b\$\([@BD]|\x1b&@|[\x0e\x0f]")
_SHIFT_TO_SET = {b"$@": "kanji", b"$B": "kanji", b"$(@": "kanji", b"$(B": "kanji", b"$(D": "supplement", b"(I": "kana"}
# What Python's codec reads otherwise: shifts to kana, JIS-Roman, and a line that ends in kanji.
_ODD_JIS = re.compile(rb"[\x0e\x0f]|\x1b\(J|\x1b\$[@B][^\x1b\r\n]*(?:[\r\n]|\Z)")
_CUT_SHIFT = re.compile(rb"\x1b(?:\(|\$\(?|&)?\Z")
_TO_HIGH = bytes(b | 0x80 if 0x21 <= b <= 0x7E else b if b < 0x80 else 0xFF for b in range(256))
_LINE_END = re.compile(rb"[\r\n]")


def decode_shift_jis(payload: bytes) -> str:
    """Text of Shift_JIS with all of cp932's characters; each thing unreadable becomes one U+FFFD.

    >>> decode_shift_jis("①髙橋㈱ｶﾞ".encode("cp932") + b"\\xff<b>")
    '①髙橋㈱ｶﾞ\\ufffd<b>'
    """
    try:
        text = payload.decode("cp932")
    except UnicodeDecodeError:
        pass
    else:
        if not any(sign in text for sign in _NOT_SHIFT_JIS):
            return text
    return _hopeless(payload, "shift_jis") or _microsoft_signs(payload.decode("shift_jis", "seimai.shift_jis"))


def decode_euc_jp(payload: bytes) -> str:
    """Text of EUC-JP with NEC row 13, the NEC selection of IBM extensions, JIS X 0212 and half-width kana.

    >>> decode_euc_jp(b"\\xad\\xa1\\xad\\xea \\x8e\\xb6\\x8e\\xde \\xfc\\xe2")
    '①㈱ ｶﾞ 髙'
    """
    try:
        return _microsoft_signs(payload.decode("euc_jp"))
    except UnicodeDecodeError:
        if hopeless := _hopeless(payload, "euc_jp"):
            return hopeless
    whole_runs = _HIGH_RUN.sub(_mark_lost_lead, payload)
    return _microsoft_signs(whole_runs.decode("euc_jp", "seimai.euc_jp"))


def decode_iso_2022_jp(payload: bytes) -> str:
    """Text of ISO-2022-JP with NEC row 13, IBM extensions, JIS X 0212 and kana by escape, by SO or as 8-bit bytes.

    A line's end returns to ASCII, as JIS X 0202 demands of writers, so that a lost escape costs one line.

    >>> decode_iso_2022_jp(b"\\x1b$B-!$\\"\\x1b(I6^\\x1b(B.")
    '①あｶﾞ.'
    """
    if not _ODD_JIS.search(payload):
        try:
            return _microsoft_signs(payload.decode("iso2022_jp"))
        except UnicodeDecodeError:
            pass
    cut = _CUT_SHIFT.search(payload)
    return decode_euc_jp(_as_euc_jp(payload[: cut.start()] if cut else payload)) + (BAD if cut else "")


def _hopeless(payload: bytes, codec: str) -> str | None:
    """The plain decoding of bytes that are not in that encoding at all, where reading around each fault costs 1 us."""
    text = payload.decode(codec, "replace")
    return text if text.count(BAD) > HOPELESS_CHARS + HOPELESS_SHARE * len(text) else None


def _microsoft_signs(text: str) -> str:
    for ours, theirs in _MICROSOFT_SIGNS:
        text = text.replace(ours, theirs)
    return text


def _as_euc_jp(payload: bytes) -> bytes:
    pieces: list[bytes] = []
    position, charset = 0, "ascii"
    for shift in _SHIFT.finditer(payload):
        pieces.append(_piece_as_euc_jp(payload[position : shift.start()], charset))
        position = shift.end()
        if shift[0] == b"\x0e":
            charset = "kana"
        elif shift[0] != b"\x1b&@":  # ESC & @ announces a revision of the set that the next escape names
            charset = _SHIFT_TO_SET.get(shift[0][1:], "ascii")
    pieces.append(_piece_as_euc_jp(payload[position:], charset))
    return b"".join(pieces)


def _piece_as_euc_jp(piece: bytes, charset: str) -> bytes:
    if charset == "ascii":
        return piece if piece.isascii() else _eight_bit_kana(piece)
    line_end = _LINE_END.search(piece)
    here, ascii_part = (piece[: line_end.start()], piece[line_end.start() :]) if line_end else (piece, b"")
    high = here.translate(_TO_HIGH)
    if charset == "kana":
        high = re.sub(rb"[\xa1-\xdf]", b"\x8e\\g<0>", high)
    elif charset == "supplement":
        high = re.sub(rb"[\xa1-\xfe]{2}", b"\x8f\\g<0>", high)
    return high + _piece_as_euc_jp(ascii_part, "ascii")


def _eight_bit_kana(piece: bytes) -> bytes:
    """Kana that stand in the upper half, as in Microsoft's 50221; other high bytes are nothing in ISO-2022-JP."""
    return re.sub(rb"[\x80-\xff]", lambda byte: b"\x8e" + byte[0] if b"\xa1" <= byte[0] <= b"\xdf" else b"\xff", piece)


def _mark_lost_lead(run: re.Match[bytes]) -> bytes:
    """An odd run of EUC-JP lost a byte at one of its ends; if it reads better without its first, mark that one bad."""
    found = run[0]
    before = run.string[run.start() - 1 : run.start()]
    if len(found) % 2 == 0 or len(found) < 3 or before in (b"\x8e", b"\x8f") or b"\xff" in found:
        return found
    if len(_KANA_PAIR.findall(found[1:])) > len(_KANA_PAIR.findall(found[:-1])):
        return b"\xff" + found[1:]
    return found


def _resume_shift_jis(error: UnicodeError) -> tuple[str, int]:
    """Codec error handler: read what cp932 has, else give up one byte, or two where the second is a lost trail."""
    assert isinstance(error, UnicodeDecodeError)
    payload, start = error.object, error.start
    character = _only_in_cp932("shift_jis").get(payload[start : start + 2])
    if character is not None:
        return character, start + 2
    trail = payload[start + 1] if start + 1 < len(payload) else 0
    after = payload[start + 2] if start + 2 < len(payload) else 0
    if trail < 0x40:
        return BAD, start + 1
    if 0x81 <= payload[start] <= 0x9F or 0xE0 <= payload[start] <= 0xFC:  # a lead whose pair stands for nothing
        return BAD, start + (2 if trail >= 0x7F else 1)
    # No lead: a byte too much, or a lead that was overwritten. 81 to 83 lead kana and punctuation, most of all text.
    if trail in (0x81, 0x82, 0x83) or (trail < 0x80 and after < 0x80):
        return BAD, start + 1
    return BAD, start + (2 if after in (0x81, 0x82, 0x83) or trail >= 0x80 else 1)


def _resume_euc_jp(error: UnicodeError) -> tuple[str, int]:
    """Codec error handler: read what cp932 has, else give up as many bytes as leave the run with whole pairs."""
    assert isinstance(error, UnicodeDecodeError)
    payload, start = error.object, error.start
    character = _only_in_cp932("euc_jp").get(payload[start : start + 2])
    if character is not None:
        return character, start + 2
    if start + 1 >= len(payload) or payload[start + 1] < 0x80:
        return BAD, start + 1
    end_of_run = _ASCII.search(payload, start, start + _RUN_WINDOW)
    run_bytes = (end_of_run.start() if end_of_run else min(len(payload), start + _RUN_WINDOW)) - start
    return BAD, start + (2 if run_bytes % 2 == 0 else 1)


@lru_cache(maxsize=2)
def _only_in_cp932(codec: str) -> dict[bytes, str]:
    """The byte pairs of `codec` that cp932 can read and Python's codec of that name cannot."""
    pairs: dict[bytes, str] = {}
    to_codec: Callable[[int, int], bytes] = bytes_of_euc_jp if codec == "euc_jp" else bytes_of_shift_jis
    for row in range(1, 121):
        for cell in range(1, 95):
            microsoft, ours = bytes_of_shift_jis(row, cell), to_codec(row, cell)
            if _reads(microsoft, "cp932") and len(ours) == 2 and not _reads(ours, codec):
                pairs[ours] = microsoft.decode("cp932")
    return pairs


def _reads(pair: bytes, codec: str) -> bool:
    try:
        return len(pair.decode(codec)) == 1
    except UnicodeDecodeError:
        return False


def bytes_of_shift_jis(row: int, cell: int) -> bytes:
    """The two bytes of a JIS row (1 to 120, above 94 the user's and IBM's) and cell (1 to 94) in Shift_JIS.

    >>> bytes_of_shift_jis(4, 2).decode("cp932"), bytes_of_shift_jis(13, 1).decode("cp932")
    ('あ', '①')
    """
    lead = (row + 257) >> 1 if row <= 62 else (row + 385) >> 1
    if row % 2 == 0:
        return bytes((lead, cell + 0x9E))
    return bytes((lead, cell + (0x3F if cell < 64 else 0x40)))


def bytes_of_euc_jp(row: int, cell: int) -> bytes:
    """The two bytes of a JIS row (1 to 94) and cell (1 to 94) in EUC-JP; nothing for a row EUC-JP cannot hold.

    >>> bytes_of_euc_jp(4, 2).decode("euc_jp"), bytes_of_euc_jp(95, 1)
    ('あ', b'')
    """
    return bytes((row + 0xA0, cell + 0xA0)) if row <= 94 else b""


codecs.register_error("seimai.shift_jis", _resume_shift_jis)
codecs.register_error("seimai.euc_jp", _resume_euc_jp)
