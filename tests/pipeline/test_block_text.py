"""Text of chosen blocks: white space, lines, lists, tables, code and vertical writing, as a reader would see them."""

import html

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seimai.pipeline.block_text import text_of
from seimai.pipeline.html_blocks import blocks_of
from seimai.pipeline.html_scan import scan_page


def whole_text(page: str, dropped: tuple[int, ...] = ()) -> str:
    scan = scan_page(page.encode())
    blocks = blocks_of(scan)
    kept = np.ones(len(blocks.blocks), np.bool_)
    kept[list(dropped)] = False
    return text_of(scan, blocks, kept)


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>a  b\n c\t</p>\n<p> d</p>", "a b c\n\nd"),
        ("<p><b>a</b> <i>b</i><b>c</b>\n</p>", "a bc"),
        ("<p><b>a </b> b", "a b"),
        ("<p>米を\n  炊く、\r\nそして<b>食べる</b>\n。", "米を炊く、そして食べる。"),
        ("<p>米 を\nrice\n米", "米 を rice 米"),
        ("<p>한국\n어", "한국 어"),
        ("<p>「米」\n（糠）", "「米」（糠）"),
        ("<div>a<br>b<br><br>c</div>", "a\nb\n\nc"),
        ("<div>a</div><div>b</div><section>c</section>", "a\nb\n\nc"),
        ("<ul><li>a<li>b<ul><li>c</ul></ul>", "- a\n- b\n\n- c"),
        ("<ol><li>a<p>b</p><li>c</ol>" * 2, "1. a\n\nb\n\n2. c\n\n1. a\n\nb\n\n2. c"),
        ("<ol>" + "<li>x" * 11 + "</ol>", "\n".join(f"{n}. x" for n in range(1, 12))),
        ("<table><tr><th>a<th>b<tr><td>1<td>2</table>", "a\tb\n1\t2"),
        ("<table><tr><td>a</td><td>" + "long " * 40, "a\n" + ("long " * 40).strip()),
        ("<table><tr><td><p>a</p><td><p>b</p></tr><tr><td><p>1</p><td><p>2</p></table>", "a\tb\n1\t2"),
        ("<table><tr><td>a<table><tr><td>b<td>c</table></table>", "a\n\nb\tc"),
        ("<h2>a<a href=#a>¶</a></h2><p>b ¶ c", "a\n\nb ¶ c"),
        ("<pre>def f():\n    return  1\n</pre>x", "def f():\n    return  1\n\n\nx"),
        ("<pre><span>a</span>\n <span>b</span></pre>", "a\n b"),
        ("<p>&lt;b&gt; &amp;amp; &#x7c73; a&nbsp;b &#xD800;", "<b> &amp; 米 a b \ufffd"),
        ("<p>縦<br>書<br>き<br>の<br>本</p><p>次", "縦書きの本\n\n次"),
        ("<p>一<br>二<br>三", "一\n二\n三"),
        ("<p>︑︒﹁米﹂︵糠︶", "、。「米」（糠）"),
        ("", ""),
    ],
)
def test_as_a_reader_sees_it(page: str, text: str) -> None:
    assert whole_text(page) == text


def test_a_dropped_block_leaves_its_gap() -> None:
    assert whole_text("<div>a</div><p>menu</p><div>b</div>", dropped=(1,)) == "a\n\nb"
    assert whole_text("<table><tr><td>a<td>b<td>c</table>", dropped=(1,)) == "a\nc"
    assert whole_text("<ol><li>a<li>b<li>c</ol>", dropped=(1,)) == "1. a\n3. c"
    assert whole_text("<p>a<p>b", dropped=(0, 1)) == ""


@given(st.lists(st.sampled_from(["a", "米", " ", "\n", "<br>", "<p>", "<b>", "</b>", "&amp;", "<li>", "<td>"])))
def test_no_character_is_lost_or_made_up(pieces: list[str]) -> None:
    page = "".join(pieces)
    letters = [character for character in whole_text(page) if character in "a米&"]
    wanted = [piece[0] for piece in pieces if piece in ("a", "米", "&amp;")]
    assert letters == wanted


@given(st.lists(st.sampled_from(["&", "#", "x", "3042", ";", "amp", "lt", "not", "in", "gt", ".", "あ", "a" * 33])))
def test_references_are_those_of_html(pieces: list[str]) -> None:
    written = "x" + "".join(pieces) + "x"
    assert whole_text(f"<p>{written}") == html.unescape(written)


def test_vertical_forms_may_come_as_references() -> None:
    assert whole_text("<p>&#xFE41;米&#65090;&#x3042;") == "「米」あ"
    assert whole_text("<p>﹀と︶") == "〉と）"
