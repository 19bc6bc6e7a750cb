"""What tests of several folders share: the sample crawl, archives made by hand, and real ones where there are any."""

import gzip
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import settings

# A kernel's first call compiles it; and the machine is busy.
settings.register_profile("seimai", deadline=None)
settings.load_profile("seimai")

ROOT = Path(__file__).resolve().parents[1]
MakeRecord = Callable[..., bytes]


@pytest.fixture(scope="session")
def real_warcs() -> Path:
    """The folder of real archives: `warc` under SEIMAI_DATA, else under ../shared/data."""
    folder = Path(os.environ.get("SEIMAI_DATA", ROOT.parent / "shared" / "data")) / "warc"
    if not folder.is_dir():
        pytest.skip(f"no real archives in {folder}; set SEIMAI_DATA to the folder that holds warc/")
    return folder


@pytest.fixture(scope="session")
def sample_warc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample crawl as an archive, with its modification time set back so that a change is seen."""
    from seimai.sample.build import build_warc

    path = tmp_path_factory.mktemp("sample") / "sample.warc.gz"
    build_warc(path)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


def make_record(
    number: int, body: bytes, *, kind: str = "response", headers: Sequence[str] = (), length: int | None = None
) -> bytes:
    """One WARC record, uncompressed; `length` states another Content-Length than the true one."""
    lines = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        f"WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{number:012d}>",
        "WARC-Date: 2026-01-02T03:04:05Z",
        f"WARC-Target-URI: https://site{number % 7}.example/page/{number}",
        *headers,
        f"Content-Length: {len(body) if length is None else length}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body + b"\r\n\r\n"


def make_archive(records: Sequence[bytes], level: int = 6) -> bytes:
    """A gzip member for each record."""
    return b"".join(gzip.compress(record, level, mtime=0) for record in records)


def make_page(number: int, text: str, status: str = "200 OK", mime: str = "text/html") -> bytes:
    """An HTTP response with a small page around a text."""
    html = f"<html><head><title>page {number}</title></head><body><article><p>{text}</p></article></body></html>"
    return f"HTTP/1.1 {status}\r\nContent-Type: {mime}; charset=utf-8\r\n\r\n{html}".encode()


@pytest.fixture(scope="session")
def warc_record() -> MakeRecord:
    """`make_record` for tests of other files."""
    return make_record


@pytest.fixture(scope="session")
def warc_archive() -> MakeRecord:
    """`make_archive` for tests of other files."""
    return make_archive


@pytest.fixture(scope="session")
def http_page() -> MakeRecord:
    """`make_page` for tests of other files."""
    return make_page
