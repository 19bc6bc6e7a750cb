"""Bodies against the standard library's readers."""

import gzip
import struct
import zlib

import pytest

from seimai.sample.bodies import PNG, chunked, stored_gzip


@pytest.mark.parametrize("size", [0, 1, 65_534, 65_535, 65_536, 131_070, 200_000])
def test_stored_gzip_is_read_back(size: int) -> None:
    data = bytes(number % 251 for number in range(size))

    assert gzip.decompress(stored_gzip(data)) == data


def test_chunks_join_to_the_body() -> None:
    rest, body = chunked("米".encode() * 500, 7), b""
    while (size := int(rest[: rest.index(b"\r\n")], 16)) > 0:
        start = rest.index(b"\r\n") + 2
        body, rest = body + rest[start : start + size], rest[start + size + 2 :]

    assert body == "米".encode() * 500
    assert rest == b"0\r\n\r\n"


def test_the_picture_is_whole() -> None:
    at, kinds = 8, []
    while at < len(PNG):
        (length,) = struct.unpack_from(">I", PNG, at)
        chunk = PNG[at + 4 : at + 8 + length]
        assert zlib.crc32(chunk) == struct.unpack_from(">I", PNG, at + 8 + length)[0]
        kinds.append(chunk[:4])
        at += 12 + length

    assert kinds == [b"IHDR", b"IDAT", b"IEND"]
