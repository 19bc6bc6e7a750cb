"""Verdicts on WET texts: a page is left out for a sure no only, whatever may speak for a wanted language lets it in."""

import io
import re
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
from tests.conftest import make_archive, make_record

from seimai.pipeline.language import identify_language
from seimai.pipeline.warc import SliceReader
from seimai.pipeline.wet import EXTRACT_COLUMNS, names_language, read_extracts, verdicts, wet_name
from seimai.sample.articles import articles

GERMAN = "Der Müller mahlt das Korn am Bach, und die Leute aus dem Dorf holen jeden Morgen ihr Mehl bei ihm ab. " * 4
ENGLISH = "The mill grinds rice by the stream, and people from the village fetch their flour every morning. " * 4


def verdict(text: str, *languages: str, declared: str = "") -> str:
    texts = pa.array([text], pa.large_string())
    return str(verdicts(texts, pa.array([declared]), languages, identify_language)["verdict"][0])


@pytest.mark.parametrize(
    ("text", "declared", "languages", "expected"),
    [
        (GERMAN, "", ["ja"], "left_out"),
        (GERMAN, "deu,eng", ["ja", "fr"], "left_out"),
        (GERMAN, "", ["de"], "language"),
        (GERMAN, "deu,jpn", ["ja"], "declared"),
        (GERMAN + "これは精米の話です", "", ["ja"], "kana"),
        (GERMAN + "精米の話です", "", ["fr"], "left_out"),
        (GERMAN + ENGLISH.join("\n\n\n"), "", ["en"], "second_language"),
        (GERMAN[:150], "", ["ja"], "short"),
        ("", "", ["ja"], "short"),
        ("12345 67890 " * 40, "", ["ja"], "unsure"),
        (GERMAN.replace("e", "\ufffd"), "", ["ja"], "damaged"),
    ],
)
def test_a_verdict_names_what_speaks_for_the_page(
    text: str, declared: str, languages: list[str], expected: str
) -> None:
    found = verdict(text, *languages, declared=declared)
    assert found == expected


@pytest.mark.parametrize(
    "charset", ["cp1252", "latin-1", "cp1251", "gb18030", "big5", "euc_kr", "euc_jp", "cp932", "utf-8"]
)
@pytest.mark.parametrize("written", ["cp932", "euc_jp", "utf-8"])
def test_a_japanese_page_in_a_wrong_charset_is_read(charset: str, written: str) -> None:
    texts = ["\n".join(article.paragraphs) for article in articles() if article.lang == "ja"][:40]
    misread = [text.encode(written, "ignore").decode(charset, "replace") for text in texts]
    table = verdicts(pa.array(misread, pa.large_string()), pa.array([""] * len(misread)), ["ja"], identify_language)
    assert "left_out" not in table["verdict"].to_pylist()


def test_the_samples_other_languages_are_left_out() -> None:
    """And none of the wanted: of the sample's articles those in another language, nearly all."""
    everything = articles()
    texts = pa.array(["\n".join(article.paragraphs) for article in everything], pa.large_string())
    none = pa.array([""] * len(everything))
    for lang in ("ja", "en", "zh", "ko", "de", "fr"):
        out = [found == "left_out" for found in verdicts(texts, none, [lang], identify_language)["verdict"].to_pylist()]
        assert not any(left for left, article in zip(out, everything, strict=True) if article.lang == lang)
        others = [left for left, article in zip(out, everything, strict=True) if article.lang != lang]
        assert sum(others) > 0.7 * len(others), lang


def read(data: bytes, *languages: str) -> pa.Table:
    size = len(data)
    reader = SliceReader(io.BytesIO(data), start=0, stop=size, size=size, begin=0, max_record_bytes=1 << 20)
    return read_extracts(reader, languages, partial(identify_language, kana=True))


def test_conversion_records_become_rows() -> None:
    records = [
        make_record(0, b"isPartOf: x", kind="warcinfo"),
        make_record(1, GERMAN.encode(), kind="conversion", headers=["WARC-Identified-Content-Language: deu, eng"]),
        make_record(2, ENGLISH.encode() + b"\xff", kind="conversion"),
    ]
    table = read(make_archive(records), "en")
    assert table.schema == EXTRACT_COLUMNS
    assert table["url"].to_pylist() == ["https://site1.example/page/1", "https://site2.example/page/2"]
    assert table["verdict"].to_pylist() == ["declared", "language"]
    assert table["lang_declared"].to_pylist() == ["deu,eng", ""]
    assert len(read(make_archive(records[:1]), "en")) == 0
    wrong = make_record(3, GERMAN.encode(), kind="conversion", headers=[f"WARC-Block-Digest: sha1:{'A' * 32}"])
    assert len(read(make_archive([*records, wrong]), "en")) == 2


def test_a_real_wet_file_meets_its_archive(real_warcs: Path) -> None:
    """The address of the text is that of the response; Common Crawl declares Spanish for this Aragonese page."""
    data = (real_warcs / "cc_whirlwind_2024-22.warc.wet.gz").read_bytes()
    (row,) = read(data, "ja").to_pylist()
    with (real_warcs / "cc_whirlwind_2024-22.warc.gz").open("rb") as file:
        size = (real_warcs / "cc_whirlwind_2024-22.warc.gz").stat().st_size
        reader = SliceReader(file, start=0, stop=size, size=size, begin=0, max_record_bytes=1 << 20)
        urls = [record.headers["warc-target-uri"] for record in reader if record.kind == "response"]
    assert urls == [row["url"]]
    assert row["lang_declared"] == "spa"
    assert read(data, "es").to_pylist()[0]["verdict"] != "left_out"


def test_names_and_codes() -> None:
    assert (
        wet_name("crawl-data/C/segments/1.2/warc/a-00001.warc.gz")
        == "crawl-data/C/segments/1.2/wet/a-00001.warc.wet.gz"
    )
    expression = names_language(["zh", "gsw"])
    for text, expected in (("zho", True), ("eng,cmn", True), ("gsw,deu", True), ("zhoo", False), ("", False)):
        assert bool(re.search(expression, text)) == expected
