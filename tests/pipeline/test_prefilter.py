"""The prefilter: no Japanese page in any encoding is lost, and other pages are seldom read."""

import gzip
import html
import json
from pathlib import Path

import pytest

from seimai.pipeline.prefilter import may_be_japanese

JA = "精米は玄米から糠層を取り除く工程である。水分と温度を見ながら、少しずつ削っていく。"
PADDING = b"<p class=menu>" + b"ASCII " * 500


@pytest.mark.parametrize(
    "raw",
    [
        JA.encode(),
        JA.encode("cp932"),
        JA.encode("euc_jp"),
        JA.encode("iso2022_jp"),
        JA.encode("utf-16"),
        "".join(f"&#{ord(c)};" for c in JA).encode(),
        "".join(f"&#x{ord(c):x};" for c in JA).encode(),
        b"<html lang=ja><p>ASCII",
        b'<html xml:lang="ja-JP"><p>ASCII',
        b'<meta http-equiv="Content-Language" content="ja"><meta charset=shift_jis>',
    ],
)
def test_japanese_is_read(raw: bytes) -> None:
    assert may_be_japanese(raw, None)
    assert may_be_japanese(raw + PADDING, "iso-8859-1")


@pytest.mark.parametrize("label", ["shift_jis", "x-sjis", "Windows-31J", "euc-jp", "iso-2022-jp"])
def test_a_japanese_label_is_enough(label: str) -> None:
    assert may_be_japanese(b"<p>ASCII", label)
    assert may_be_japanese(f"<meta charset='{label}'>".encode(), None)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        PADDING,
        "今天天气很好，我们一起去公园玩吧。这是一个测试页面。".encode(),
        ("今天天气很好，我们一起去公园玩吧。这是一个测试页面。" * 20).encode("gb18030"),
        ("안녕하세요. 오늘은 날씨가 좋습니다. 반갑습니다." * 20).encode("euc_kr"),
        ("Сегодня хорошая погода, и мы идём гулять." * 20).encode("cp1251"),
        "Café à la crème, naïve façade. ".encode("latin-1") * 30,
        "ヤフー café".encode(),
        html.escape("Ünïcödé").encode(),
    ],
)
def test_others_are_not(raw: bytes) -> None:
    assert not may_be_japanese(raw, None)


def test_recall_on_real_pages(real_warcs: Path) -> None:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    from seimai.pipeline.payload import http_payload

    truth_file = real_warcs / "packed_ja_en.truth.jsonl.gz"
    truth = {row["url"]: row for row in map(json.loads, gzip.open(truth_file, "rt", encoding="utf-8"))}
    n_japanese = n_read = n_others = n_in_vain = 0
    with (real_warcs / "packed_ja_en.warc.gz").open("rb") as file:
        for record in ArchiveIterator(file, record_types=WarcRecordType.response, parse_http=False):
            row = truth[record.headers["WARC-Target-URI"]]
            payload = http_payload(record.reader.read(), max_body_bytes=16 << 20)
            read = may_be_japanese(payload.body, payload.charset)
            n_japanese += row["kana_chars"] >= 50
            n_read += row["kana_chars"] >= 50 and read
            is_other = row["kana_chars"] == 0 and row["lang"] != "ja"
            n_others += is_other
            n_in_vain += is_other and read
    assert n_read >= 0.995 * n_japanese > 1000  # all 1,223 when this was written
    assert n_in_vain <= 0.05 * n_others  # 20 of 959
