"""The sample crawl: every page of the sample web as a WARC like Common Crawl's, and the truth about each."""

import base64
import gzip
import hashlib
import json
import sys
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from seimai.files import write_atomic

from .pages import Page, Truth, pages

__all__ = ["Record", "build_warc", "main", "records", "truth_lines"]

START = datetime(2026, 5, 2, 3, 0, 0, tzinfo=UTC)
STEP = timedelta(seconds=7)
"""Time between two fetches; times are counted up, no clock is read."""
GZIP_LEVEL = 9
_REVISIT_PROFILE = "http://netpreserve.org/warc/1.0/revisit/identical-payload-digest"


@dataclass(frozen=True, slots=True)
class Record:
    """One WARC record before it is compressed."""

    headers: tuple[tuple[str, str], ...]
    block: bytes

    def to_bytes(self) -> bytes:
        """The record as it stands in an uncompressed WARC file, with the two empty lines that end it."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers)
        return f"WARC/1.0\r\n{lines}\r\n".encode() + self.block + b"\r\n\r\n"


def _sha1(data: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


def _id(kind: str, url: str) -> str:
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{kind} {url}')}>"


def _record(kind: str, url: str, when: datetime, block: bytes, content_type: str, *more: tuple[str, str]) -> Record:
    headers = (
        ("WARC-Type", kind),
        ("WARC-Date", f"{when:%Y-%m-%dT%H:%M:%SZ}"),
        ("WARC-Record-ID", _id(kind, url)),
        ("Content-Length", str(len(block))),
        ("Content-Type", content_type),
        *more,
        ("WARC-Block-Digest", _sha1(block)),
    )
    return Record(headers, block)


def _warcinfo() -> Record:
    fields = {
        "isPartOf": "SEIMAI-SAMPLE",
        "description": "The embedded sample crawl of Seimai: a small web written for this project",
        "software": "seimai.sample",
        "format": "WARC File Format 1.0",
        "conformsTo": "https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.0/",
    }
    block = "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode() + b"\r\n"
    filename = ("WARC-Filename", "seimai-sample.warc.gz")
    return _record("warcinfo", "seimai-sample", START, block, "application/warc-fields", filename)


def _request(page: Page, when: datetime, common: tuple[tuple[str, str], ...]) -> Record:
    parts = urlsplit(page.url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    head = (
        f"GET {target} HTTP/1.1\r\nUser-Agent: SeimaiSample/1.0\r\nAccept: text/html,*/*;q=0.8\r\n"
        f"Accept-Language: ja,en;q=0.5\r\nAccept-Encoding: gzip\r\nHost: {page.host}\r\nConnection: Keep-Alive\r\n\r\n"
    )
    empty = ("WARC-Payload-Digest", _sha1(b""))
    return _record("request", page.url, when, head.encode(), "application/http; msgtype=request", *common, empty)


def _http_head(page: Page, when: datetime) -> bytes:
    status = HTTPStatus(page.status)
    headers = (("Date", format_datetime(when, usegmt=True)), *page.headers, ("Connection", "close"))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{lines}\r\n".encode()


def _response(page: Page, when: datetime, common: tuple[tuple[str, str], ...]) -> Record:
    """The answer; as in Common Crawl the payload digest is over the body as stored, its chunks included."""
    more = [*common, ("WARC-Concurrent-To", _id("request", page.url)), ("WARC-Payload-Digest", _sha1(page.body))]
    media_type = dict(page.headers)["Content-Type"].partition(";")[0]
    more.append(("WARC-Identified-Payload-Type", media_type))
    if page.cut:
        more.append(("WARC-Truncated", "length"))
    block = _http_head(page, when) + page.body
    return _record("response", page.url, when, block, "application/http; msgtype=response", *more)


def _revisit(page: Page, when: datetime, common: tuple[tuple[str, str], ...], order: list[str]) -> Record:
    original = next(one for one in pages() if one.url == page.same_as)
    seen = START + STEP * (1 + order.index(page.same_as))
    more = (
        *common,
        ("WARC-Profile", _REVISIT_PROFILE),
        ("WARC-Refers-To-Target-URI", page.same_as),
        ("WARC-Refers-To-Date", f"{seen:%Y-%m-%dT%H:%M:%SZ}"),
        ("WARC-Payload-Digest", _sha1(original.body)),
    )
    return _record("revisit", page.url, when, _http_head(page, when), "application/http; msgtype=response", *more)


def _metadata(page: Page, when: datetime, common: tuple[tuple[str, str], ...]) -> Record:
    block = f"fetchTimeMs: {100 + len(page.body) % 400}\r\n\r\n".encode()
    concurrent = ("WARC-Concurrent-To", _id("response", page.url))
    return _record("metadata", page.url, when, block, "application/warc-fields", *common, concurrent)


def records() -> Iterator[Record]:
    """Every record in the archive's order: warcinfo, then request, response and metadata of each page.

    The records are the same on every machine. The revisit has a request and no metadata record.
    """
    info = _warcinfo()
    yield info
    order = [page.url for page in pages()]
    for number, page in enumerate(pages(), 1):
        when = START + STEP * number
        address = ("WARC-IP-Address", f"192.0.2.{1 + sum(page.host.encode()) % 254}")
        common = (("WARC-Warcinfo-ID", dict(info.headers)["WARC-Record-ID"]), address, ("WARC-Target-URI", page.url))
        yield _request(page, when, common)
        if page.same_as:
            yield _revisit(page, when, common, order)
        else:
            yield _response(page, when, common)
            yield _metadata(page, when, common)


def build_warc(path: Path) -> list[Truth]:
    """Write the sample crawl to `path` (.warc.gz, one gzip member a record) and return the truth, a line a page.

    The same bytes on every call. Another build of zlib may compress to other bytes; the records inside are the same.
    Truth stands in the order of the archive.
    """
    members = (gzip.compress(record.to_bytes(), GZIP_LEVEL, mtime=0) for record in records())
    # The tenth byte names the operating system; Python versions disagree on it, 255 means unknown.
    write_atomic(path, b"".join(member[:9] + b"\xff" + member[10:] for member in members))
    return [page.truth for page in pages()]


def truth_lines(truths: list[Truth]) -> str:
    """JSON lines, one object a page with the fields of `Truth`.

    >>> truth_lines([]), truth_lines([pages()[0].truth]).count(chr(10))
    ('', 1)
    """
    return "".join(json.dumps(asdict(truth), ensure_ascii=False) + "\n" for truth in truths)


def main(arguments: list[str]) -> int:
    """Write the archive at the path given and truth.jsonl beside it; 2 when the path is missing."""
    if len(arguments) != 1 or not arguments[0].endswith(".warc.gz"):
        print("usage: python -m seimai.sample.build OUT.warc.gz", file=sys.stderr)
        return 2
    out = Path(arguments[0])
    truths = build_warc(out)
    write_atomic(out.with_name("truth.jsonl"), truth_lines(truths))
    print(f"{out}: {len(truths)} pages, {out.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
