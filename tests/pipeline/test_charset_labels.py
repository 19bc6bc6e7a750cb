"""The label table against what the Encoding Standard says of it."""

import codecs

import pytest

from seimai.pipeline.charset_labels import CODECS, LABELS, encoding_of


def test_the_standard_has_228_labels_for_40_encodings() -> None:
    assert (len(LABELS), len(set(LABELS.values()))) == (228, 40)
    assert set(LABELS.values()) - set(CODECS) == {"replacement"}


@pytest.mark.parametrize("name", CODECS)
def test_every_name_is_a_label_with_a_codec(name: str) -> None:
    assert encoding_of(name) == name
    assert codecs.lookup(CODECS[name]).name


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("x-sjis", "shift_jis"),
        ("Windows-31J", "shift_jis"),
        ("MS_Kanji", "shift_jis"),
        ("\tx-euc-jp\n", "euc-jp"),
        ("csISO2022JP", "iso-2022-jp"),
        ("ISO-8859-1", "windows-1252"),
        ("us-ascii", "windows-1252"),
        ("gb2312", "gbk"),
        ("iso-2022-kr", "replacement"),
        ("utf-16", "utf-16le"),
        ("utf-7", None),
        ("", None),
    ],
)
def test_labels(label: str, name: str | None) -> None:
    assert encoding_of(label) == name
