"""A small dump, written for these tests: articles as a reader sees them, and what is no article with its reason."""

import bz2
import io
from collections.abc import Sequence

import pytest

from seimai.pipeline.rows import FieldsConfig, Row
from seimai.pipeline.rows_source import row_reader
from seimai.pipeline.wikitext import plain_text

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="ja">
  <siteinfo>
    <sitename>Wikipedia</sitename>
    <base>https://ja.wikipedia.org/wiki/%E3%83%A1%E3%82%A4%E3%83%B3%E3%83%9A%E3%83%BC%E3%82%B8</base>
  </siteinfo>
"""


def page(title: str, text: str, ns: int = 0, more: str = "", form: str = "text/x-wiki") -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"""  <page>
    <title>{title}</title>
    <ns>{ns}</ns>
    <id>1</id>{more}
    <revision>
      <id>2</id>
      <timestamp>2026-01-02T03:04:05Z</timestamp>
      <format>{form}</format>
      <text bytes="9" xml:space="preserve">{escaped}</text>
    </revision>
  </page>
"""


def dump(pages: Sequence[str]) -> bytes:
    return (HEAD + "".join(pages) + "</mediawiki>\n").encode()


def rows(data: bytes, name: str = "jawiki.xml", step: int = 0, limit: int = 1 << 20) -> list[Row]:
    found: list[Row] = []
    for start in range(0, len(data), step or len(data)):
        span = {"start": start, "stop": min(start + (step or len(data)), len(data)), "size": len(data)}
        found += row_reader(io.BytesIO(data), name, fields=FieldsConfig(), max_record_bytes=limit, **span)
    return found


PAGES = [
    page("精米", "'''精米'''は[[米]]を削ること。\n\n次の段落。"),
    page("AT&amp;T (会社)", "A &amp; B"),
    page("転送", "#REDIRECT [[精米]]", more='\n    <redirect title="精米" />'),
    page("ノート:精米", "議論", ns=1),
    page("空", "{{Stub}}"),
    page("JSON", "{}", form="application/json"),
    "  <page>\n    <title>壊れた</ti\n  </page>\n",
    page("最後", "終わり。"),
]


def test_every_page_is_a_row_and_what_is_no_article_says_why() -> None:
    found = rows(dump(PAGES))
    assert [row.fault for row in found] == ["", "", "redirect", "namespace 1", "", "no wikitext", "not XML", ""]
    assert found[0].text == "精米は米を削ること。\n次の段落。"
    assert (found[0].url, found[0].date) == ("https://ja.wikipedia.org/wiki/%E7%B2%BE%E7%B1%B3", "2026-01-02T03:04:05Z")
    assert (found[1].title, found[1].url) == (
        "AT&T (会社)",
        "https://ja.wikipedia.org/wiki/AT%26T_(%E4%BC%9A%E7%A4%BE)",
    )
    assert [row.number for row in found] == sorted({row.number for row in found})
    assert found[-1].text == "終わり。"


def test_slices_and_packing_do_not_change_the_rows() -> None:
    data = dump(PAGES)
    whole = rows(data)
    for step in (100, 333, 1000):
        assert rows(data, step=step) == whole
    assert rows(bz2.compress(data[:700]) + bz2.compress(data[700:]), "jawiki.xml.bz2", step=200) == whole


def test_a_page_over_the_limit_and_a_document_type_cost_only_themselves() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]>\n'
    pages = [page("長い", "あ" * 9000), page("実体", "x").replace(">x<", ">&a;<"), PAGES[-1]]
    found = rows(bomb.encode() + dump(pages), limit=8000)
    assert [row.fault for row in found] == ["over input.max_record_bytes", "not XML", ""]


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        # Ruby: the readings go, as everywhere else.
        ("{{ルビ|精米|せいまい}}と{{読み仮名|玄米|げんまい}}", "精米と玄米"),
        ("<ruby>漢字<rp>(</rp><rt>かんじ</rt><rp>)</rp></ruby>を読む", "漢字を読む"),
        ("<ruby><rb>漢</rb><rt>かん</rt></ruby>", "漢"),
        # Templates.
        ("{{Infobox 米|名前=[[コシヒカリ]]|画像={{small|x}}}}コシヒカリは米である。", "コシヒカリは米である。"),
        ("'''米'''（{{lang-en|Rice}}、{{Lang|la|''Oryza''}}）", "米（Rice、Oryza）"),
        ("米（{{IPA|x}}、{{要出典|date=2020年}}）は", "米は"),
        ("米（{{IPA|x}}、こめ）は", "米（こめ）は"),
        ("{{仮リンク|精米機|en|Rice polisher}}と{{仮リンク|甲|en|A|label=乙}}", "精米機と乙"),
        ("It is {{convert|5|km|mi}} long{{citation needed|date=May 2020}}.", "It is 5 km long."),
        ("a {{nowrap|b {{small|c}}}} d", "a b c d"),
        # Links.
        ("[[東京都|東京]]の[[米|お米]]屋、[[:Category:米]]", "東京のお米屋、Category:米"),
        ("前[[ファイル:a.jpg|thumb|[[米]]の写真]][[File:b.png]][[Category:米]][[カテゴリ:稲]]後", "前後"),
        ("[https://a.example/ 公式サイト]と[https://b.example/]", "公式サイトと"),
        ("[[en:Rice]]本文[[zh-min-nan:Bí]]", "本文"),
        # Notes, comments, entities, switches.
        ("文<ref name=a>注</ref>。<ref name=a/><!-- 隠 -->終__NOTOC__", "文。終"),
        ("a&nbsp;b &lt;c&gt; &#x7C73;", "a b <c> 米"),
        # Lists and headings; a heading with nothing below it goes.
        (
            "== 一 ==\n* 甲\n** 乙\n# 丙\n: 丁\n== 空 ==\n{{Reflist}}\n== 二 ==\n=== 三 ===\n本文",
            "一\n- 甲\n- 乙\n- 丙\n丁\n二\n三\n本文",
        ),
        ("本文\n== 脚注 ==\n<references/>\n== 外部リンク ==\n[[Category:米]]", "本文"),
        # Tables.
        (
            '{| class="wikitable"\n|+ 収量\n! 年 !! 量\n|-\n| 2020 || [[米|七百万]]トン\n'
            '|-\n| style="x" | 2021\n| 八<br>百\n|}\n後',
            "収量\n年\t量\n2020\t七百万トン\n2021\t八 百\n後",
        ),
        ("{|\n| a || b\n|}", "a\tb"),
        # What is broken shows no markup.
        ("前{{Infobox\n後", "前Infobox\n後"),
        ("'''太字[[米", "太字米"),
        ("", ""),
    ],
)
def test_markup(markup: str, text: str) -> None:
    assert plain_text(markup) == text


def test_markup_of_any_depth_ends() -> None:
    for unit, end in (("{{a|", "}}"), ("[[", "]]"), ("<div>", "</div>"), ("{|\n|\n", "|}\n"), ("'''", "''")):
        plain_text(unit * 3000 + "x" + end * 3000)
