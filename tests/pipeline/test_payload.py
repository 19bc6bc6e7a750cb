"""HTTP messages as archives hold them: codings undone, damage kept small, bombs cut, nothing raised."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from functools import partial

import brotli
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from seimai.pipeline.payload import MAX_GZIP_MEMBERS, Payload, http_payload

PAGE = "<html><p>精米する。</p></html>".encode() * 40
LIMIT = 1 << 20


def message(body: bytes, *headers: str, status: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join([status, *headers, "", ""]).encode("latin-1") + body


def read(body: bytes, *headers: str) -> Payload:
    return http_payload(message(body, *headers), max_body_bytes=LIMIT)


def chunked(body: bytes, chunk_bytes: int = 100) -> bytes:
    pieces = [body[i : i + chunk_bytes] for i in range(0, len(body), chunk_bytes)]
    return b"".join(f"{len(piece):x};name=value\r\n".encode() + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": partial(brotli.compress, quality=5),
    "zstd": zstandard.compress,
}


@pytest.mark.parametrize(
    ("header", "mime", "charset"),
    [
        ("Content-Type: text/html; charset=UTF-8", "text/html", "utf-8"),
        ("content-type:TEXT/HTML;charset='Shift_JIS'", "text/html", "shift_jis"),
        ('Content-Type: text/html; version=1; Charset = "x-euc-jp"', "text/html", "x-euc-jp"),
        ("Content-Type: text/html", "text/html", None),
        ("Content-Type: garbage", "", None),
        ("Content-Type: ; charset=utf-8", "", None),
        ("Content-Typ\xe9: text/html", "", None),
        ("X: 1", "", None),
    ],
)
def test_content_type(header: str, mime: str, charset: str | None) -> None:
    page = read(b"x", header)

    assert (page.status, page.mime, page.charset, page.body, page.fault) == (200, mime, charset, b"x", None)


def test_headers_keep_order_repeats_and_folded_lines() -> None:
    page = read(b"", "A: 1", "no colon", "b: 2", "  folded", "A: é")

    assert page.headers == (("a", "1"), ("b", "2 folded"), ("a", "é"))


@pytest.mark.parametrize("coding", ENCODERS)
def test_codings(coding: str) -> None:
    page = read(ENCODERS[coding](PAGE), f"Content-Encoding: {coding.upper()}")

    assert (page.body, page.truncated, page.fault) == (PAGE, False, None)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (raw_deflate(PAGE), ["Content-Encoding: deflate"]),
        (zlib.compress(PAGE), ["Content-Encoding: gzip"]),
        (gzip.compress(PAGE[:99], mtime=0) + gzip.compress(PAGE[99:], mtime=0), ["Content-Encoding: gzip"]),
        (gzip.compress(PAGE, mtime=0) + b"\0" * 9, ["Content-Encoding: gzip"]),
        (gzip.compress(brotli.compress(PAGE), mtime=0), ["Content-Encoding: br, gzip"]),
        (gzip.compress(brotli.compress(PAGE), mtime=0), ["Content-Encoding: br", "Content-Encoding: gzip"]),
        (chunked(gzip.compress(PAGE, mtime=0)), ["Content-Encoding: gzip", "Transfer-Encoding: chunked"]),
        (chunked(PAGE), ["Transfer-Encoding: chunked"]),
    ],
)
def test_layers(body: bytes, headers: list[str]) -> None:
    page = read(body, *headers)

    assert (page.body, page.truncated, page.fault) == (PAGE, False, None)


@pytest.mark.parametrize(
    "header", ["Transfer-Encoding: chunked", *(f"Content-Encoding: {coding}" for coding in ENCODERS)]
)
@pytest.mark.parametrize("body", [PAGE, b"", b"plain words", b"abc\nnot a chunk of 2748 bytes but a text" * 90])
def test_a_body_stored_decoded_is_kept(header: str, body: bytes) -> None:
    page = read(body, header)

    assert (page.body, page.truncated, page.fault) == (body, False, None)


@pytest.mark.parametrize("coding", ENCODERS)
def test_a_cut_stream_yields_what_inflates(coding: str) -> None:
    data = bytes(range(32, 127)) * 9000
    noisy = bytes((byte + i // 95) % 95 + 32 for i, byte in enumerate(data[:300_000]))
    page = read(ENCODERS[coding](noisy)[:-20], f"Content-Encoding: {coding}")

    assert page.truncated
    assert page.fault == {"gzip": "cut_gzip", "x-gzip": "cut_gzip", "deflate": "cut_deflate"}.get(
        coding, f"cut_{coding}"
    )
    assert noisy.startswith(page.body)


def test_a_damaged_gzip_body_yields_what_inflates() -> None:
    damaged = bytearray(gzip.compress(bytes(i * i % 251 for i in range(100_000)), compresslevel=0))
    damaged[70_000:70_100] = b"\xff" * 100
    page = read(bytes(damaged), "Content-Encoding: gzip")

    assert page.fault == "bad_gzip"
    assert len(page.body) >= 60_000


@pytest.mark.parametrize(
    ("body", "fault", "kept"),
    [
        (b"4\r\nabcd\r\n8\r\nef", "cut_chunk", b"abcdef"),
        (b"4\r\nabcd\r\n", "cut_chunk", b"abcd"),
        (b"4\r\nabcd\r\nzz\r\nef", "bad_chunk", b"abcd"),
        (b"2\r\nab\r\n2\r\ncdefgh", "bad_chunk", b"abcd"),
    ],
)
def test_damaged_chunks(body: bytes, fault: str, kept: bytes) -> None:
    page = read(body, "Transfer-Encoding: chunked")

    assert (page.fault, page.body, page.truncated) == (fault, kept, True)


@pytest.mark.parametrize(
    ("whole", "status", "fault"),
    [
        (b"", None, "bad_status_line"),
        (b"<html>no headers at all", None, "bad_status_line"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", 200, "cut_headers"),
        (b"HTTP/2 404\n\nnot found", 404, None),
        (message(b"x", "Content-Encoding: pack200-gzip"), 200, "unknown_coding"),
        (message(b"x", "Content-Encoding: " + "gzip," * 9), 200, "too_many_codings"),
    ],
)
def test_odd_messages(whole: bytes, status: int | None, fault: str | None) -> None:
    page = http_payload(whole, max_body_bytes=LIMIT)

    assert (page.status, page.fault) == (status, fault)


def test_the_limit_cuts_plain_bodies() -> None:
    page = http_payload(message(b"x" * 11), max_body_bytes=10)

    assert (page.body, page.truncated, page.fault) == (b"x" * 10, True, None)
    assert not http_payload(message(b"x" * 10), max_body_bytes=10).truncated


@pytest.mark.parametrize("coding", ENCODERS)
def test_bombs_are_cut(coding: str) -> None:
    bomb = ENCODERS[coding](b"\0" * (64 << 20))
    tracemalloc.start()
    page = read(bomb, f"Content-Encoding: {coding}")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (page.fault, page.truncated, len(page.body)) == ("bomb", True, LIMIT)
    assert peak_bytes < 4 * LIMIT + (8 << 20)


def test_nested_bombs_are_cut_at_each_layer() -> None:
    nested = gzip.compress(gzip.compress(b"\0" * (64 << 20)) + b"\0" * (64 << 20))

    assert read(nested, "Content-Encoding: gzip, gzip").fault == "bomb"


def test_many_tiny_members_end() -> None:
    page = read(gzip.compress(b"") * (50 * MAX_GZIP_MEMBERS), "Content-Encoding: gzip")

    assert page.body == b""


@given(
    start=st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 301\n"]),
    headers=st.lists(
        st.sampled_from(
            [
                *(f"Content-Encoding: {coding}".encode() for coding in ENCODERS),
                *(b"Transfer-Encoding: chunked", b"Content-Type: text/html; charset=", b"\xff\x00: \x80", b" "),
            ]
        ),
        max_size=4,
    ),
    prefix=st.sampled_from(
        [b"", b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd", b"\x78\x9c", b"5\r\n", gzip.compress(PAGE, mtime=0)[:40]]
    ),
    noise=st.binary(max_size=200),
)
@example(start=b"HTTP/1.1 200\n", headers=[b"Transfer-Encoding: chunked"], prefix=b"", noise=b"f" * 15 + b"\n")
def test_never_raises(start: bytes, headers: list[bytes], prefix: bytes, noise: bytes) -> None:
    whole = start + b"".join(header + b"\r\n" for header in headers) + b"\r\n" + prefix + noise
    page = http_payload(whole, max_body_bytes=100)

    assert len(page.body) <= 100


@given(body=st.binary(max_size=300), chunk_bytes=st.integers(1, 50), coding=st.sampled_from(sorted(ENCODERS)))
def test_what_is_encoded_comes_back(body: bytes, chunk_bytes: int, coding: str) -> None:
    page = read(
        chunked(ENCODERS[coding](body), chunk_bytes), "Transfer-Encoding: chunked", f"Content-Encoding: {coding}"
    )

    assert (page.body, page.fault) == (body, None)
