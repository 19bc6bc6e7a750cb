"""One archived HTTP message in; status, headers and the body as the page's author wrote it out."""

import io
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["VERSION", "Payload", "http_payload"]

VERSION = 1
"""Part of the fingerprint of every stage that reads bodies."""

MAX_HEADER_BYTES = 256 * 1024  # Apache and nginx refuse beyond 8 to 64 KiB; nothing honest is longer
MAX_CODINGS = 5  # as curl; a longer chain of Content-Encoding is an attack
MAX_GZIP_MEMBERS = 1000  # each costs a copy of up to INPUT_BYTES
INPUT_BYTES = 16 * 1024
OUTPUT_BYTES = 256 * 1024
ZSTD_INPUT_BYTES = 128  # one block of 4 bytes may stand for 128 KiB, and zstandard cannot stop inside one call
ZSTD_WINDOW_BYTES = 8 << 20  # RFC 9659: the largest window a sender may use in Content-Encoding

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?!\d)", re.IGNORECASE)
_NEWLINE = re.compile(rb"\r?\n")
_MIME = re.compile(r"\s*([!#$%&'*+.^_`|~0-9a-z-]+/[!#$%&'*+.^_`|~0-9a-z-]+)\s*(?:$|[;,])")
_CHARSET = re.compile(r"""[;,\s]charset\s*=\s*["']?\s*([^\s"';,]+)""")
_CHUNK_LINE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]{0,1024})?\r?\n")

Decoded = tuple[bytes, str | None]
"""Bytes that came out, and what is wrong with them: None, "bomb", "cut_<coding>" or "bad_<coding>"."""


@dataclass(frozen=True, slots=True)
class Payload:
    """The parts of an HTTP response that the pipeline reads."""

    status: int | None
    """Status code; None where the first line is not a status line."""
    headers: tuple[tuple[str, str], ...]
    """Names in lower case and values, read as Latin-1, in the order they came; lines without a colon are left out."""
    mime: str
    """Type and subtype of the last readable Content-Type in lower case; "" where there is none."""
    charset: str | None
    """The charset parameter of that header in lower case, as written."""
    body: bytes
    """The body without transfer and content codings, at most `max_body_bytes` long."""
    truncated: bool
    """Whether the body's end is missing: cut by the limit, or the message or a compressed stream ends early."""
    fault: str | None
    """The first thing that was wrong with the message: "bad_status_line", "cut_headers", "bad_chunk", "cut_chunk",
    "bad_gzip" (and deflate, br, zstd), "cut_gzip" (likewise), "too_many_codings", "unknown_coding", "bomb"."""


def http_payload(message: bytes, *, max_body_bytes: int) -> Payload:
    """Read an HTTP response as archives hold it, whatever its bytes; never raises.

    A coding that a header names but the body does not have is ignored: crawlers such as Common Crawl's store bodies
    decoded under the headers as sent. A damaged body yields what could be read. Compressed bodies are inflated in
    small steps, so that a bomb takes the memory of `max_body_bytes` and a few megabytes.

    >>> message = b"HTTP/1.1 200 OK\\r\\nContent-Type: text/html; charset=x-sjis\\r\\n\\r\\n<p>"
    >>> page = http_payload(message, max_body_bytes=1 << 20)
    >>> page.status, page.mime, page.charset, page.body
    (200, 'text/html', 'x-sjis', b'<p>')
    """
    status_line = _STATUS_LINE.match(message)
    if status_line is None:
        body = message[:max_body_bytes]
        return Payload(None, (), "", None, body, len(body) < len(message), "bad_status_line")
    blank = _BLANK_LINE.search(message, 0, MAX_HEADER_BYTES)
    headers = _headers(message[: blank.start() if blank else MAX_HEADER_BYTES])
    mime, charset = _content_type(headers)
    status = int(status_line[1])
    if blank is None:
        return Payload(status, headers, mime, charset, b"", True, "cut_headers")
    body, fault = message[blank.end() :], None
    if "chunked" in _tokens(headers, "transfer-encoding"):
        body, fault = _unchunk(body)
    body, coding_fault = _undo_codings(body, _tokens(headers, "content-encoding"), max_body_bytes)
    fault = fault or coding_fault
    ends_early = fault is not None and fault.startswith(("bomb", "bad_", "cut_"))
    truncated = ends_early or len(body) > max_body_bytes
    return Payload(status, headers, mime, charset, body[:max_body_bytes], truncated, fault)


def _headers(block: bytes) -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    for line in _NEWLINE.split(block)[1:]:
        text = line.decode("latin-1")
        if text[:1] in (" ", "\t") and pairs:  # a folded line goes on with the value before it
            pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]} {text.strip()}"[:MAX_HEADER_BYTES])
            continue
        name, colon, value = text.partition(":")
        if colon:
            pairs.append((name.strip().lower(), value.strip()))
    return tuple(pairs)


def _tokens(headers: tuple[tuple[str, str], ...], name: str) -> list[str]:
    return [token for key, value in headers if key == name for token in re.split(r"[,\s]+", value.lower()) if token]


def _content_type(headers: tuple[tuple[str, str], ...]) -> tuple[str, str | None]:
    """MIME type and charset; the last readable header wins, as in the Fetch Standard's "extract a MIME type"."""
    for name, value in reversed(headers):
        lower = value.lower()
        if name == "content-type" and (mime := _MIME.match(lower)):
            charset = _CHARSET.search(lower)
            return mime[1], charset[1] if charset else None
    return "", None


def _unchunk(body: bytes) -> Decoded:
    """Take chunked transfer coding off; a body that does not begin as chunks do comes back as it is."""
    pieces: list[bytes] = []
    position = 0
    while (line := _CHUNK_LINE.match(body, position)) is not None:
        size = int(line[1], 16)
        if size == 0:
            return b"".join(pieces), None
        start, end = line.end(), line.end() + size
        if end > len(body):
            pieces.append(body[start:])
            return b"".join(pieces), "cut_chunk"
        after = _NEWLINE.match(body, end)
        if after is None and end < len(body):
            return (b"".join([*pieces, body[start:end]]), "bad_chunk") if pieces else (body, None)
        pieces.append(body[start:end])
        position = after.end() if after else end
    if not pieces:
        return body, None
    return b"".join(pieces), "cut_chunk" if position >= len(body) else "bad_chunk"


def _undo_codings(body: bytes, codings: list[str], limit: int) -> Decoded:
    """Undo Content-Encoding, last coding first; `limit` holds for each step."""
    if len(codings) > MAX_CODINGS:
        return body, "too_many_codings"
    first_fault: str | None = None
    for coding in reversed(codings):
        if coding in ("identity", "none", "utf-8"):
            continue
        undo = _UNDO.get(coding)
        if undo is None:
            return body, first_fault or "unknown_coding"
        body, fault = undo(body, limit)
        first_fault = first_fault or fault
    return body, first_fault


def _undo_gzip(body: bytes, limit: int) -> Decoded:
    if body[:2] == b"\x1f\x8b":
        return _inflate(body, 31, limit, "gzip")
    return _inflate(body, 15, limit, "gzip") if _has_zlib_header(body) else (body, None)


def _undo_deflate(body: bytes, limit: int) -> Decoded:
    if body[:2] == b"\x1f\x8b":
        return _inflate(body, 31, limit, "deflate")
    if _has_zlib_header(body):
        out, fault = _inflate(body, 15, limit, "deflate")
        if out or fault is None:
            return out, fault
    if not body:
        return body, None
    return _unless_plain(body, _inflate(body, -15, limit, "deflate"))


def _has_zlib_header(body: bytes) -> bool:
    return len(body) >= 2 and body[0] & 0x8F == 8 and (body[0] << 8 | body[1]) % 31 == 0


def _unless_plain(body: bytes, decoded: Decoded) -> Decoded:
    """`decoded`, unless it failed on a body that reads as text: raw deflate and brotli have no magic number."""
    _, fault = decoded
    head = body[:256]
    plain = fault not in (None, "bomb") and not any(byte < 9 or 13 < byte < 27 or 27 < byte < 32 for byte in head)
    return (body, None) if plain else decoded


def _inflate(body: bytes, wbits: int, limit: int, name: str, input_bytes: int = INPUT_BYTES) -> Decoded:
    """Inflate gzip (with several members), zlib or raw deflate; stops one byte above `limit`."""
    out = io.BytesIO()
    stream = zlib.decompressobj(wbits)
    position, members = 0, 1
    while position < len(body):
        pending = body[position : position + input_bytes]
        position += len(pending)
        while pending and not stream.eof:
            try:
                out.write(stream.decompress(pending, min(OUTPUT_BYTES, limit + 1 - out.tell())))
            except zlib.error:
                if input_bytes > 64:  # the failing call's output is lost; small steps lose less of it
                    return _inflate(body, wbits, limit, name, 64)
                return out.getvalue(), f"bad_{name}"
            if out.tell() > limit:
                return out.getvalue(), "bomb"
            pending = stream.unconsumed_tail
        if stream.eof:
            position -= len(stream.unused_data)
            if wbits != 31 or members == MAX_GZIP_MEMBERS or body[position : position + 2] != b"\x1f\x8b":
                return out.getvalue(), None  # what stands behind the stream is padding, as browsers see it
            stream, members = zlib.decompressobj(wbits), members + 1
    return out.getvalue(), f"cut_{name}"


def _undo_brotli(body: bytes, limit: int) -> Decoded:
    import brotli

    if not body:
        return body, None
    out = io.BytesIO()
    stream = brotli.Decompressor()
    pending = body
    try:
        while out.tell() <= limit and not stream.is_finished() and (pending or not stream.can_accept_more_data()):
            out.write(stream.process(pending, output_buffer_limit=OUTPUT_BYTES))
            pending = b""
    except brotli.error:
        return _unless_plain(body, (out.getvalue(), "bad_br"))
    if out.tell() > limit:
        return out.getvalue(), "bomb"
    return _unless_plain(body, (out.getvalue(), None if stream.is_finished() else "cut_br"))


def _undo_zstd(body: bytes, limit: int) -> Decoded:
    import zstandard

    if body[:4] != b"\x28\xb5\x2f\xfd":
        return body, None
    out = io.BytesIO()
    stream = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES).decompressobj()
    try:
        for start in range(0, len(body), ZSTD_INPUT_BYTES):
            out.write(stream.decompress(body[start : start + ZSTD_INPUT_BYTES]))
            if out.tell() > limit:
                return out.getvalue(), "bomb"
            if stream.eof:
                return out.getvalue(), None
    except zstandard.ZstdError:
        return out.getvalue(), "bad_zstd"
    return out.getvalue(), "cut_zstd"


_UNDO: dict[str, Callable[[bytes, int], Decoded]] = {
    "gzip": _undo_gzip,
    "x-gzip": _undo_gzip,
    "deflate": _undo_deflate,
    "br": _undo_brotli,
    "zstd": _undo_zstd,
}
