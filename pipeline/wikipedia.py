"""The articles of a Wikipedia dump (pages-articles.xml), page by page, as rows with plain text.

A page stands between a line `<page>` and a line `</page>`, as every dump has had it; its XML is parsed by itself, so
that a damaged page costs one page, and nothing outside of it (a document type, an entity) is ever believed.
"""

from collections.abc import Iterator
from urllib.parse import quote
from xml.etree import ElementTree

from .row_lines import LineReader
from .rows import Row
from .wikitext import plain_text

__all__ = ["wikipedia_rows"]


def wikipedia_rows(lines: LineReader, stop: int, max_bytes: int) -> Iterator[Row]:
    """A row for every page that begins before `stop`; those that are no articles have a fault."""
    page = bytearray()
    first, cut, inside = 0, False, False
    for line in lines:
        word = line.data.strip()
        if word == b"<page>":
            if line.place >= stop:
                return
            page.clear()
            first, cut, inside = line.number, False, True
        elif word == b"</page>" and inside:
            inside = False
            if cut:
                yield Row(first, fault="over input.max_record_bytes")
            else:
                yield _row(first, bytes(page), _address(lines))
        elif inside:
            cut |= line.cut or len(page) + len(line.data) >= max_bytes
            if not cut:
                page += line.data + b"\n"


def _address(lines: LineReader) -> str:
    """What the addresses of a dump's pages begin with: from `<base>` in its head; empty where it has none."""
    head = lines.head.decode("utf-8", "replace")
    base = head.partition("<base>")[2].partition("</base>")[0].strip()
    return base.rpartition("/")[0] + "/" if base.startswith(("http://", "https://")) else ""


def _row(number: int, page: bytes, address: str) -> Row:
    try:
        found = ElementTree.fromstring(b"<page>" + page + b"</page>")
    except ElementTree.ParseError:
        return Row(number, fault="not XML")
    title = (found.findtext("title") or "").strip()
    row = Row(
        number,
        url=address + quote(title.replace(" ", "_"), safe="/:(),!'*;@") if address and title else None,
        date=found.findtext("revision/timestamp"),
        title=title or None,
    )
    namespace = (found.findtext("ns") or "0").strip()
    if namespace != "0":
        return _faulty(row, f"namespace {namespace}"[:40])
    if found.find("redirect") is not None:
        return _faulty(row, "redirect")
    form = (found.findtext("revision/format") or "text/x-wiki").strip()
    if form != "text/x-wiki":
        return _faulty(row, "no wikitext")
    try:
        text = plain_text(found.findtext("revision/text") or "")
    except RecursionError:
        return _faulty(row, "markup too deep")
    return Row(number, text=text, url=row.url, date=row.date, title=row.title)


def _faulty(row: Row, fault: str) -> Row:
    return Row(row.number, url=row.url, date=row.date, title=row.title, fault=fault)
