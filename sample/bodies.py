"""HTTP bodies whose bytes do not depend on the zlib in use: gzip of stored blocks, chunks, a PNG, a PDF."""

import struct
import zlib

__all__ = ["PDF", "PNG", "chunked", "stored_gzip"]

_MAX_BLOCK_BYTES = 65_535

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000f494441547801010400fbff003366990202013381310171000000004945"
    "4e44ae426082"
)
"""One pixel, blue, its data in a stored block."""

PDF = (
    b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
    b"2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n"
    b"3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 72 72] >>\nendobj\n"
    b"trailer\n<< /Root 1 0 R >>\n%%EOF\n"
)
"""An empty page, without a cross-reference table, as many real files have it."""


def stored_gzip(data: bytes) -> bytes:
    """A gzip member of stored (uncompressed) blocks, RFC 1951 section 3.2.4; the same bytes with every zlib.

    >>> import gzip
    >>> gzip.decompress(stored_gzip(b"rice" * 40_000)) == b"rice" * 40_000
    True
    """
    starts = range(0, max(len(data), 1), _MAX_BLOCK_BYTES)
    pieces = [b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"]
    for start in starts:
        block = data[start : start + _MAX_BLOCK_BYTES]
        pieces += [struct.pack("<BHH", start == starts[-1], len(block), len(block) ^ 0xFFFF), block]
    pieces.append(struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF))
    return b"".join(pieces)


def chunked(data: bytes, chunk_bytes: int = 1_000) -> bytes:
    """The body in HTTP/1.1 chunks (RFC 9112 section 7.1); chunks may cut a character in two, as on the wire.

    >>> chunked(b"polished", 5)
    b'5\\r\\npolis\\r\\n3\\r\\nhed\\r\\n0\\r\\n\\r\\n'
    """
    pieces = (data[start : start + chunk_bytes] for start in range(0, len(data), chunk_bytes))
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
