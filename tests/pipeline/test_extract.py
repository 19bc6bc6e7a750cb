"""Extraction: what every engine keeps, drops and cleans, and which pages never reach a parser."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seimai.config import dump_toml, parse_config
from seimai.errors import ConfigError
from seimai.pipeline.extract import ExtractConfig, clean_text, extract_text, plain_text, refusal

PROSE = "精米は玄米から糠層を取り除く工程である。水分と温度を見ながら、少しずつ削っていく。"
PAGE = f"""<!DOCTYPE html><html xml:lang="ja" lang="ja-JP"><head><title>米の
 話 &amp; 糠</title><script>var x = "話";</script></head><body>
<nav><a href="/">ホーム</a> <a href="/b">一覧</a></nav>
<article><h1>見出し</h1><p>{PROSE}</p><p><ruby>精米<rp>(</rp><rt>せいまい</rt><rp>)</rp></ruby>の<b>歴史</b>。<br>次の行。</p>
<p>{PROSE * 3}</p></article><footer>Copyright</footer></body></html>"""


@pytest.mark.parametrize("engine", ["fast", "precise", "auto"])
def test_engines_find_the_article(engine: str) -> None:
    found = extract_text(PAGE, engine=engine)

    assert found.title == "米の 話 & 糠"
    assert found.lang_declared in ("ja", "ja-JP")
    assert PROSE in found.text
    assert "精米の歴史。\n次の行。" in found.text
    assert not any(word in found.text for word in ("せいまい", "ホーム", "Copyright", "var x"))


@pytest.mark.parametrize("engine", ["fast", "precise"])
def test_a_text_does_not_depend_on_the_pages_before_it(engine: str) -> None:
    first = extract_text(PAGE, engine=engine)
    others = [extract_text(PAGE.replace("糠", other), engine=engine) for other in "芽粉粒"]

    assert len({other.text for other in others}) == 3
    assert extract_text(PAGE, engine=engine) == first


@pytest.mark.parametrize("engine", ["fast", "precise"])
def test_threads_agree(engine: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lambda _: extract_text(PAGE, engine=engine), range(12)))) == 1


@pytest.mark.parametrize("lone", ["の", "と", "米", "。", "「", "ー", "ｱ", "가", "&#x306e;", "&#12392;"])
def test_a_lone_character_between_tags_is_kept(lone: str) -> None:
    found = extract_text(PAGE.replace("<b>歴史</b>。", f"<b>歴史</b>{lone}<i>{lone}</i> を語る。"))

    assert f"歴史{unescape(lone) * 2} を語る。" in found.text
    assert "\u2060" not in found.text


def test_bytes_are_decoded() -> None:
    assert PROSE in extract_text(PAGE.encode("cp932")).text


def test_an_unknown_engine_is_named() -> None:
    with pytest.raises(ValueError, match="engine 'best' is none of fast, precise, auto"):
        extract_text("", engine="best")


@pytest.mark.parametrize("engine", ["fast", "precise"])
@pytest.mark.parametrize("page", ["", " ", "<", "<html>", "text only", "<p>&#xD800;&#0;&#x1F;x</p>", "<title></title>"])
def test_odd_pages(engine: str, page: str) -> None:
    found = extract_text(page, engine=engine)

    assert found.text.encode()[:0] == b""
    assert found.title is None


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("a\r\nb\rc", "a\nb\nc"),
        ("a \t\u3000\nb\u00a0", "a\nb"),
        ("a\n\n\n\nb", "a\n\nb"),
        ("a\n \n\t\n\u3000\nb", "a\n\nb"),
        ("\n\na\n", "a"),
        ("  indented\tcode", "  indented\tcode"),
        ("a\x00\x07\x1b\x7f\x9fb", "ab"),
        ("a\u2028b\u2029c\x0cd", "a\nb\nc\nd"),
        ("", ""),
    ],
)
def test_clean_text(raw: str, clean: str) -> None:
    assert clean_text(raw) == clean
    assert plain_text(raw).text == clean


@given(st.text(st.sampled_from("a米 \t\u3000\n\r\x00\x1f\x85\u2028"), max_size=60))
def test_clean_text_once_is_enough(raw: str) -> None:
    clean = clean_text(raw)

    assert clean_text(clean) == clean
    assert "\n\n\n" not in clean
    assert all(character in "a米\u3000 \n\t" for character in clean)


@given(st.text(st.sampled_from("<>/ab=\"'! -&;#x米\n"), max_size=80))
def test_the_fast_engine_never_raises(page: str) -> None:
    assert extract_text(page).text.encode() is not None


LIMITS = ExtractConfig(max_nodes=1000, max_depth=60, max_attributes=100)


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (b"<p>x</p>" * 500, None),
        (b"<p>x</p>" * 501, "too_many_nodes"),
        (b"<div>" * 60, None),
        (b"<div>" * 61, "too_deep"),
        (b"<p><li><td><br>" * 100, None),
        (b"<div><br/><img><hr></div>" * 100, None),
        (b"<DIV class='a'>" * 61, "too_deep"),
        (b"<p " + b"a=1 " * 100 + b">", None),
        (b"<p " + b"a=1 " * 101 + b">", "too_many_attributes"),
        (b"<p " + b"a " * 101 + b">", "too_many_attributes"),
        (b"<p style='" + b"a b c " * 500 + b"'>", None),
        (b"1 < 2 " * 400, None),
        (PAGE.encode(), None),
    ],
)
def test_refusal(page: bytes, reason: str | None) -> None:
    assert refusal(page, LIMITS) == reason


@pytest.mark.parametrize(
    "page",
    [
        b"<a " * 900_000,
        b"<a " + b"x" * 4_000_000,
        b"<a " + b"\"'" * 2_000_000,
        (b"<a" + b" " * 99 + b"<") * 40_000,
        b"<a " + b"/" * 1_000_000 + b"=",
        b"<" + b"a" * 1_000_000,
        b"<a '" * 300_000,
    ],
)
def test_refusal_takes_linear_time(page: bytes) -> None:
    refusal(page, ExtractConfig(max_nodes=10**9))


def test_config_refuses_what_it_does_not_know() -> None:
    assert parse_config({}, ExtractConfig, "test") == ExtractConfig()
    assert 'engine = "auto"' in dump_toml(ExtractConfig())
    with pytest.raises(ConfigError, match="did you mean 'timeout_s'"):
        parse_config({"timeout": 5}, ExtractConfig, "test")


def test_every_field_is_documented() -> None:
    assert all(field.description for field in ExtractConfig.model_fields.values())


@pytest.mark.parametrize(
    "build", [lambda: "<b>" * 1900 + "<p>x</b>" * 900, lambda: "<table>" * 1900, lambda: "<p><a>" * 900]
)
def test_pages_within_the_limits_end(build: Callable[[], str]) -> None:
    extract_text("<html><body>" + build())
