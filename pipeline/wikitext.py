"""Wikitext in, the words a reader of the article sees out: markup by mwparserfromhell, Japanese and English templates.

Kept: paragraphs, headings that have something below them, list items, cells of a table's row parted by tabs, words of
links, and what templates for ruby, fonts, languages and links show. Gone: readings of ruby, notes, files, categories,
all other templates (information boxes, navigation, citations), and brackets that they leave empty.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["plain_text"]

_FIRST = (
    *("ルビ", "ruby", "読み仮名", "読み仮名_ルビ不使用", "ふりがな", "r", "nowrap", "nobr", "small", "smaller", "big"),
    *("larger", "sub", "sup", "縦書き", "要出典範囲", "quote", "quotation", "blockquote", "cquote", "補助漢字フォント"),
    *("拡張漢字", "jis2004フォント", "jis90フォント", "cp932フォント", "2004", "仮リンク", "ill", "interlanguage_link"),
    *("読点", "em", "strong", "unbulleted_list", "abbr", "visible_anchor", "vanchor", "angbr", "key"),
)
"""Templates that show their first argument (or `label`)."""
_SHOWN = dict.fromkeys(_FIRST, 1) | dict.fromkeys(("lang", "transl", "color", "font_color", "fontcolor", "font"), 2)
_HIDDEN_TAGS = {
    *("ref", "references", "gallery", "imagemap", "timeline", "score", "templatestyles", "style", "script", "rp", "rt"),
    *("rtc", "hiero", "graph", "mapframe", "maplink", "section", "languages", "noinclude", "indicator"),
}
_BLOCK_TAGS = {"p", "div", "blockquote", "center", "poem", "pre", "syntaxhighlight", "source", "dl", "ul", "ol"}
_HIDDEN_LINKS = {"file", "image", "category", "media", "ファイル", "画像", "カテゴリ", "メディア"}
_LANGUAGE_LINK = re.compile(r"[a-z]{2,3}(?:-[a-z]+)*:\S")
_WORD = re.compile(r"__[A-Z]{3,}__")
_LEFT_OVER = re.compile(r"^[ \t]*(?:\{\||\|-|\|\}).*$|'{2,5}|\[\[|\]\]|\{\{|\}\}", re.MULTILINE)
_EMPTY = re.compile(r"[ 　]?[（(][\s、,，;；:：・]*[)）]")
_BEGINNING = re.compile(r"([（(])[\s、,，;；・]+")
_SPACES = re.compile(r"[ \xa0]{2,}|\xa0")
_HEADING = "\x00"
"""Begins the line of a heading until it is known whether something stands below it."""


def plain_text(markup: str) -> str:
    """The text of an article.

    >>> page = "{{ルビ|精米|せいまい}}は[[米|お米]]。<ref>注</ref>\\n== 節 ==\\n* [[稲]]\\n== 脚注 ==\\n{{Reflist}}"
    >>> print(plain_text(page))
    精米はお米。
    節
    - 稲
    """
    from mwparserfromhell import parse

    parsed = parse(markup.replace("\x00", "\ufffd"))
    found: list[str] = []
    _show(parsed.nodes, found)
    return _tidy("".join(found))


def _show(nodes: Iterable[Any], out: list[str]) -> None:
    for node in nodes:
        show = _NODES.get(type(node).__name__)
        if show is not None:
            show(node, out)


def _text(node: Any, out: list[str]) -> None:
    out.append(str(node.value))


def _entity(node: Any, out: list[str]) -> None:
    try:
        out.append(node.normalize().replace("\x00", "\ufffd"))
    except (ValueError, OverflowError):
        out.append("\ufffd")


def _heading(node: Any, out: list[str]) -> None:
    inner: list[str] = []
    _show(node.title.nodes, inner)
    out.append(f"\n{_HEADING}{min(int(node.level), 9)}{' '.join(''.join(inner).split())}\n")


def _link(node: Any, out: list[str]) -> None:
    title = str(node.title).strip()
    if not title.startswith(":"):
        if title.partition(":")[0].strip().lower() in _HIDDEN_LINKS and ":" in title:
            return
        if node.text is None and _LANGUAGE_LINK.match(title):
            return
    if node.text is not None and str(node.text).strip():
        _show(node.text.nodes, out)
    else:
        out.append(title.lstrip(":"))


def _outside(node: Any, out: list[str]) -> None:
    if node.title is not None:
        _show(node.title.nodes, out)
    elif not node.brackets:
        out.append(str(node.url))


def _template(node: Any, out: list[str]) -> None:
    name = str(node.name).strip().lower().replace(" ", "_")
    if name in ("convert", "cvt") and node.has(1) and node.has(2):
        _show(node.get(1).value.nodes, out)
        out.append(f" {str(node.get(2).value).strip()}")
        return
    shown: int | str | None = 1 if name.startswith("lang-") else _SHOWN.get(name)
    if shown is not None and node.has("label"):
        shown = "label"
    if shown is not None and node.has(shown):
        inner: list[str] = []
        _show(node.get(shown).value.nodes, inner)
        out.append("".join(inner).strip())


def _tag(node: Any, out: list[str]) -> None:
    name = str(node.tag).strip().lower()
    if name in _HIDDEN_TAGS:
        return
    if name == "table":
        _table(node, out)
    elif name in ("br", "hr"):
        out.append("\n")
    elif name in ("li", "dd", "dt") and node.wiki_markup:
        if name == "li" and not (out and out[-1] == "- "):
            out.append("- ")
    elif node.contents is not None:
        border = "\n" if name in _BLOCK_TAGS or name in ("li", "tr", "table", "caption") else ""
        out.append(border)
        _show(node.contents.nodes, out)
        out.append(border)


def _table(node: Any, out: list[str]) -> None:
    rows: list[list[str]] = [[]]
    for inner in node.contents.nodes if node.contents is not None else ():
        name = str(inner.tag).strip().lower() if type(inner).__name__ == "Tag" else ""
        if name == "tr":
            rows.append([_cell(cell) for cell in inner.contents.nodes if type(cell).__name__ == "Tag"])
        elif name == "caption" or str(inner).startswith("|+"):
            rows += [[_cell(inner).removeprefix("+").strip()], []]
        elif name in ("td", "th"):
            rows[-1].append(_cell(inner))
    out.append("\n")
    out.extend("\t".join(row) + "\n" for row in rows if any(row))


def _cell(node: Any) -> str:
    inner: list[str] = []
    if node.contents is not None:
        _show(node.contents.nodes, inner)
    return " ".join("".join(inner).replace(_HEADING, "").split())


_NODES: dict[str, Callable[[Any, list[str]], None]] = {
    "Text": _text,
    "HTMLEntity": _entity,
    "Heading": _heading,
    "Wikilink": _link,
    "ExternalLink": _outside,
    "Template": _template,
    "Tag": _tag,
}
"""What shows a node; comments and arguments show nothing."""


def _tidy(text: str) -> str:
    """Lines without the rests of markup, and without headings that nothing stands below."""
    text = _LEFT_OVER.sub("", _WORD.sub("", text))
    text = _SPACES.sub(" ", _BEGINNING.sub(r"\1", _EMPTY.sub("", text)))
    lines: list[str] = []
    waiting: list[tuple[str, str]] = []
    for line in (line.strip(" \r　") for line in text.split("\n")):
        if line.startswith(_HEADING):
            level = line[1:2]
            waiting = [(above, title) for above, title in waiting if above < level] + [(level, line[2:])]
        elif line.strip("-#*:; \t"):
            lines += [title for _, title in waiting if title]
            waiting = []
            lines.append(line)
    return "\n".join(lines).replace(_HEADING, "")
