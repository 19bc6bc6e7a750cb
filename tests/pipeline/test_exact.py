"""Exact duplicates: text hashes against hashlib over Python's own folding, and the rules for URLs one by one."""

import hashlib
import random
import unicodedata
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.pipeline import unicode_table
from seimai.pipeline.dedup import signatures
from seimai.pipeline.exact import normalise_url, text_hashes, url_hashes

same_unicode = pytest.mark.skipif(
    unicodedata.unidata_version != unicode_table.UNICODE_VERSION, reason="this Python has another Unicode version"
)


def blake(text: str) -> list[int]:
    return list(hashlib.blake2b(text.encode(), digest_size=16).digest())


@same_unicode
@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.sampled_from([*"abcＡﾊﾟガ。、 \n　É𠮷😀"]), max_size=30), max_size=8))
def test_text_hashes_are_blake2b_of_the_folded_text(texts: list[str]) -> None:
    found = text_hashes(texts)
    assert found.shape == (len(texts), 16)
    assert found.dtype == np.uint8
    for text, row in zip(texts, found, strict=True):
        twice = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        plain = "".join(twice.split())
        assert row.tolist() == (blake(plain) if plain else [0] * 16)


def test_text_hashes_stand_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [None, "", "。", *(f"第{n}章 {'あいう' * n}" for n in range(40)), " \n"]
    whole = text_hashes(texts)
    assert (whole[[0, 1, -1]] == 0).all()
    assert len(np.unique(whole, axis=0)) == 42
    monkeypatch.setattr("seimai.pipeline.text_kernels.SLICE_BYTES", 50)
    assert (text_hashes(pa.array(texts)) == whole).all()
    assert (text_hashes(pa.array(texts)[7:9]) == whole[7:9]).all()


def test_the_column_of_a_run_holds_the_same_hashes() -> None:
    texts = ["精米。", None, "", "Clean rice"]
    column = signatures(pa.array(texts))["content_hash"].to_pylist()
    assert [list(value) if value else [0] * 16 for value in column] == text_hashes(texts).tolist()


@pytest.mark.parametrize(
    ("url", "form"),
    [
        ("http://example.org", "http://example.org/"),
        ("HTTP://Example.ORG/", "http://example.org/"),
        ("https://example.org/", "http://example.org/"),
        ("http://example.org:80/a", "http://example.org/a"),
        ("https://example.org:443/a", "http://example.org/a"),
        ("https://example.org:8443/a", "http://example.org:8443/a"),
        ("http://user:secret@example.org/a", "http://example.org/a"),
        ("http://example.org./a", "http://example.org/a"),
        ("http://www.example.org/a", "http://example.org/a"),
        ("http://www.com/a", "http://www.com/a"),
        ("http://m.example.org/a", "http://m.example.org/a"),
        ("http://[2001:DB8::1]:8080/a", "http://[2001:db8::1]:8080/a"),
        ("http://日本語.example/", "http://xn--wgv71a119e.example/"),
        ("http://example.org/a#top", "http://example.org/a"),
        (" http://example.org/a\n", "http://example.org/a"),
        ("http:\\\\example.org\\a", "http://example.org/a"),
        ("http://example.org/A", "http://example.org/A"),
        ("http://example.org/a/", "http://example.org/a"),
        ("http://example.org/a/./b/../c", "http://example.org/a/c"),
        ("http://example.org/../../a", "http://example.org/a"),
        ("http://example.org/%7euser/%e7%B1%b3", "http://example.org/~user/%E7%B1%B3"),
        ("http://example.org/米", "http://example.org/%E7%B1%B3"),
        ("http://example.org/%83e%83X%83g", "http://example.org/%83e%83X%83g"),
        ("http://example.org/100%", "http://example.org/100%25"),
        ("http://example.org/a;jsessionid=0A1B?x=1", "http://example.org/a?x=1"),
        ("http://example.org/?", "http://example.org/"),
        ("http://example.org/?b=2&a=1", "http://example.org/?a=1&b=2"),
        ("http://example.org/?id=1&utm_source=x&UTM_Medium=y", "http://example.org/?id=1"),
        ("http://example.org/?gclid=x&fbclid=y", "http://example.org/"),
        ("http://example.org/?PHPSESSID=1&p=2", "http://example.org/?p=2"),
        ("http://example.org/?a=1&&a=1", "http://example.org/?a=1&a=1"),
        ("ftp://example.org:21/a", "ftp://example.org/a"),
        ("mailto:a@example.org", "mailto:a@example.org"),
        ("not a url", "notaurl"),
        ("", ""),
    ],
)
def test_one_form_of_a_url(url: str, form: str) -> None:
    assert normalise_url(url) == form
    assert normalise_url(form) == form


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_a_second_time_changes_nothing(host: str, path: str, query: str) -> None:
    for url in (host, f"http://{host}/{path}?{query}", f"https://www.example.org/{quote(path)}?a={quote(query)}"):
        once = normalise_url(url)
        assert normalise_url(once) == once


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["a", "b%20c", "米", "..", "x.html", "~u"]), max_size=5), st.integers(0, 2**32))
def test_ways_to_write_one_address(segments: list[str], seed: int) -> None:
    generator = random.Random(seed)
    plain = "http://example.org/" + "/".join(segments)
    written = plain.replace("http:", generator.choice(["HTTP:", "https:", "http:"]))
    written = written.replace("example", generator.choice(["www.eXample", "EXAMPLE", "u@example"]))
    written = written.replace("米", generator.choice(["%e7%b1%b3", "%E7%B1%B3"])).replace("~", "%7E")
    written += generator.choice(["", "#x", "?utm_id=1", "?"])
    assert normalise_url(written) == normalise_url(plain)


def test_url_hashes() -> None:
    found = url_hashes(["http://example.org/a", None, "", "https://www.example.org/a/#x", "http://example.org/b"])
    assert found.shape == (5, 16)
    assert found[0].tolist() == found[3].tolist() == blake("http://example.org/a")
    assert (found[1:3] == 0).all()
    assert (found[0] != found[4]).any()
    assert (url_hashes(pa.array(["http://example.org/a"]))[0] == found[0]).all()
