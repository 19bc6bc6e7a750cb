"""Scorecard and speed of decoding: `python bench/charset.py`, about 1 minute of one core; 1 when a goal is missed.

Peers are imported where they are installed: `pip install --target DIR charset-normalizer faust-cchardet`, then DIR in
PYTHONPATH; what is missing is named. A peer that only names an encoding decodes with it, bad bytes replaced.
A case is right when the whole text comes back (one character of it may be lost where one byte was damaged).
"""

import gzip
import html
import json
import os
import platform
import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType

from seimai.pipeline.charset import decode_html
from seimai.pipeline.charset_japanese import bytes_of_euc_jp, bytes_of_shift_jis
from seimai.pipeline.payload import http_payload

DATA = Path(os.environ.get("SEIMAI_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
PLAIN = "本日は晴天なり。吾輩は猫である。名前はまだ無い。"
TEXTS = {
    "plain": PLAIN,
    "①㈱Ⅲ": "第①章 ㈱精米 Ⅲ型の説明について、№5は㎜で測る",
    "髙﨑": "髙橋さんと山﨑さんの対談です",
    "ｶﾅ": "ﾊﾝｶｸｶﾅのﾃｽﾄです。ｶﾞｷﾞｸﾞ",
    "bad byte": PLAIN,
    "cut": PLAIN,
}
LABELS = {"utf-8": "utf-8", "shift_jis": "shift_jis", "euc-jp": "euc-jp", "iso-2022-jp": "iso-2022-jp"}
LIES = {"utf-8": "shift_jis", "shift_jis": "utf-8", "euc-jp": "shift_jis", "iso-2022-jp": "iso-8859-1"}
REFERENCES = {"utf-8": "utf-8", "shift_jis": "cp932"}
GOALS = {"declared right": 1.0, "all": 0.95, "real pages": 0.995, "UTF-8 MB/s": 200.0, "legacy MB/s": 30.0}

Decoder = Callable[[bytes, str | None], str]


def euc_jp_table() -> dict[str, bytes]:
    """Characters to EUC-JP by way of cp932's table, with NEC row 13 and the NEC selection of IBM's characters."""
    pairs: dict[str, bytes] = {}
    for row in (*range(1, 9), 13, *range(16, 85), *range(89, 93)):
        for cell in range(1, 95):
            try:
                pairs.setdefault(bytes_of_shift_jis(row, cell).decode("cp932"), bytes_of_euc_jp(row, cell))
            except UnicodeDecodeError:
                continue
    return pairs


EUC_JP = euc_jp_table()


def to_euc_jp(text: str) -> bytes:
    """EUC-JP as Microsoft writes it."""
    return b"".join(EUC_JP.get(character) or character.encode("euc_jp") for character in text)


def to_iso_2022_jp(text: str) -> bytes:
    """ISO-2022-JP with an escape for each change of set."""
    out, state = b"", b"\x1b(B"
    for character in text:
        raw = to_euc_jp(character)
        wanted = b"\x1b(B" if len(raw) == 1 else b"\x1b(I" if raw[0] == 0x8E else b"\x1b$B"
        out += (b"" if wanted == state else wanted) + bytes(byte & 0x7F for byte in raw.removeprefix(b"\x8e"))
        state = wanted
    return out + (b"" if state == b"\x1b(B" else b"\x1b(B")


ENCODERS: dict[str, Callable[[str], bytes]] = {
    "utf-8": str.encode,
    "shift_jis": lambda text: text.encode("cp932"),
    "euc-jp": to_euc_jp,
    "iso-2022-jp": to_iso_2022_jp,
}


def damaged(raw: bytes, kind: str, charset: str) -> bytes:
    """One byte in the middle overwritten, or the last character cut in half."""
    if kind == "bad byte":
        middle = len(ENCODERS[charset](PLAIN[:6]).removesuffix(b"\x1b(B"))
        return raw[:middle] + b"\xff" + raw[middle + 1 :]
    return raw.removesuffix(b"\x1b(B")[:-1] if kind == "cut" else raw


def is_right(text: str, wanted: str, kind: str) -> bool:
    """Whether the text came back, but for the damaged character."""
    found = re.sub("\ufffd+", "\ufffd", text.partition("<p>")[2].removesuffix("</p></body>"))
    if kind == "bad byte":
        return found == f"{wanted[:6]}\ufffd{wanted[7:]}"
    return found.rstrip("\ufffd") == (wanted[:-1] if kind == "cut" else wanted)


def scorecard(decode: Decoder) -> dict[str, tuple[int, int]]:
    """Right cases and cases, by how the encoding was declared."""
    right: dict[str, list[bool]] = defaultdict(list)
    for charset, encode in ENCODERS.items():
        for how in ("right", "wrong", "undeclared"):
            label = {"right": LABELS, "wrong": LIES}.get(how, {}).get(charset)
            for kind, text in TEXTS.items():
                meta = f'<meta charset="{label}">' if label else ""
                raw = f"<html><head>{meta}<title>x</title></head><body><p>".encode()
                raw += damaged(encode(text), kind, charset) + (b"" if kind == "cut" else b"</p></body>")
                try:
                    found = decode(raw, None)
                except (UnicodeDecodeError, LookupError):
                    found = ""
                right[how].append(is_right(found, text, kind))
    return {how: (sum(cases), len(cases)) for how, cases in right.items()}


def ours(raw: bytes, http_charset: str | None) -> str:
    """decode_html."""
    return decode_html(raw, http_charset).text


def peers() -> dict[str, Decoder]:
    """Usual toolkits, each as its documentation shows it; those that are not installed are left out."""
    found: dict[str, Decoder] = {}
    if find_spec("charset_normalizer"):
        module = import_module("charset_normalizer")
        found["charset-normalizer"] = lambda raw, _: str(module.from_bytes(raw).best() or "")
    if find_spec("cchardet"):
        cchardet = import_module("cchardet")
        found["faust-cchardet"] = lambda raw, _: raw.decode(cchardet.detect(raw)["encoding"] or "utf-8", "replace")
    encoding = import_module("resiliparse.parse.encoding")
    found["resiliparse"] = lambda raw, _: str(
        encoding.bytes_to_str(raw, encoding.detect_encoding(raw, from_html_meta=True))
    )
    return found


Page = tuple[bytes, str | None, str, int]
"""Body, charset of the header, true encoding, true number of kana."""


def real_pages() -> list[Page]:
    """All pages of packed_ja_en."""
    truth_file = DATA / "warc" / "packed_ja_en.truth.jsonl.gz"
    truth = {row["url"]: row for row in map(json.loads, gzip.open(truth_file, "rt", encoding="utf-8"))}
    pages = []
    with (DATA / "warc" / "packed_ja_en.warc.gz").open("rb") as file:
        for record in ArchiveIterator(file, record_types=WarcRecordType.response, parse_http=False):
            row = truth[record.headers["WARC-Target-URI"]]
            payload = http_payload(record.reader.read(), max_body_bytes=16 << 20)
            pages.append((payload.body, payload.charset, row["encoding"], row["kana_chars"]))
    return pages


def share_right(pages: list[Page], decode: Decoder) -> float:
    """Share of the Japanese pages whose kana all come back."""
    kana = re.compile("[ぁ-ゖァ-ヺ]")
    japanese = [page for page in pages if page[3] >= 50]
    right = 0
    for body, http_charset, _, n_kana in japanese:
        try:
            right += len(kana.findall(html.unescape(decode(body, http_charset)))) == n_kana
        except (UnicodeDecodeError, LookupError):
            continue
    return right / len(japanese)


def share_whole(pages: list[Page], decode: Decoder) -> float:
    """Share of the Japanese UTF-8 and Shift_JIS pages whose whole text is what Python's utf-8 or cp932 codec reads."""
    japanese = [page for page in pages if page[3] >= 50 and page[2] in REFERENCES]
    right = 0
    for body, http_charset, encoding, _ in japanese:
        try:
            found = decode(body, http_charset)
        except (UnicodeDecodeError, LookupError):
            continue
        wanted = body.decode(REFERENCES[encoding], "replace")
        right += _comparable(found) == _comparable(wanted)
    return right / len(japanese)


def _comparable(text: str) -> str:
    return text.removeprefix("\ufeff").replace("\0", "")


def megabytes_a_second(pages: list[Page], decode: Decoder) -> float:
    """Speed in CPU time, best of three."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        for body, http_charset, *_ in pages:
            try:
                decode(body, http_charset)
            except (UnicodeDecodeError, LookupError):
                continue
        best = min(best, time.process_time() - start)
    return sum(len(page[0]) for page in pages) / 1e6 / best


def main() -> int:
    """Print the table; 1 when one of our goals is missed."""
    names = {"charset_normalizer": "charset-normalizer", "cchardet": "faust-cchardet", "resiliparse": "resiliparse"}
    found = [f"{name} {version(name) if find_spec(module) else 'missing'}" for module, name in names.items()]
    print(f"{platform.platform()}, Python {platform.python_version()}, {', '.join(found)}")
    pages = real_pages()
    legacy = [page for page in pages if page[2] in ("shift_jis", "euc-jp", "iso-2022-jp")]
    utf8 = [page for page in pages if page[2] == "utf-8"]
    heads = ("real pages", "whole text", "UTF-8 MB/s", "legacy MB/s")
    print(f"{'decoder':20}{'right':>8}{'wrong':>8}{'undecl.':>8}{''.join(f'{head:>12}' for head in heads)}")
    figures: dict[str, float] = {}
    for name, decode in {"seimai": ours, **peers()}.items():
        card = scorecard(decode)
        slow = name == "charset-normalizer"  # 20 ms a page; every tenth page will do
        chosen = pages[::10] if slow else pages
        real = share_right(chosen, decode)
        whole = share_whole(chosen, decode)
        fast = megabytes_a_second(utf8[:: 20 if slow else 1], decode)
        old = megabytes_a_second(legacy[:: 20 if slow else 1], decode)
        cells = "".join(f"{f'{right}/{cases}':>8}" for right, cases in card.values())
        print(f"{name:20}{cells}{real:12.1%}{whole:12.1%}{fast:12.0f}{old:12.1f}", flush=True)
        if name == "seimai":
            right, cases = (sum(column) for column in zip(*card.values(), strict=True))
            figures = {"declared right": card["right"][0] / card["right"][1], "all": right / cases}
            figures |= {"real pages": real, "UTF-8 MB/s": fast, "legacy MB/s": old}
    missed = [name for name, goal in GOALS.items() if figures[name] < goal]
    print(f"missed: {', '.join(missed)}" if missed else "every goal is met")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
