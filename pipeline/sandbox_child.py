"""The process that reads untrusted pages: Arrow batches of bodies in on stdin, batches of texts out on stdout.

Started by `sandbox.Sandbox` only. It limits its own memory, is the first the kernel kills when memory runs out, and
ends when its stdin closes. A page that kills it costs that page: the parent starts another.
"""

import argparse
import importlib
import os
import signal
import struct
import sys
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

import pyarrow as pa

from .charset import Decoded, decode_html
from .extract import ExtractConfig, Extracted, extract_text, plain_text, refusal
from .optout import PageNotes

__all__ = [
    *("EXIT_MEMORY", "HEADER", "INPUT_SCHEMA", "MAGIC", "NOTES", "OUTPUT_SCHEMA"),
    *("Kind", "frame", "from_ipc", "to_ipc"),
]

HEADER = struct.Struct("<4scQ")
MAGIC = b"SMI1"
EXIT_MEMORY = 77


class Kind:
    """What a frame says."""

    READY = b"R"
    PAGE_DONE = b"P"
    BATCH = b"B"


NOTES = tuple(field.name for field in fields(PageNotes))
"""Columns that hold what a page says about itself."""
INPUT_SCHEMA = pa.schema(
    [
        ("payload", pa.large_binary()),
        ("mime", pa.string()),
        ("http_charset", pa.string()),
        ("url", pa.string()),
    ]
)
OUTPUT_SCHEMA = pa.schema(
    [
        ("title", pa.string()),
        ("text", pa.large_string()),
        ("lang_declared", pa.string()),
        *((name, pa.bool_() if name in ("tdm_reserved", "no_reuse") else pa.string()) for name in NOTES),
        ("charset_declared", pa.string()),
        ("charset_used", pa.string()),
        ("charset_source", pa.string()),
        ("n_replaced", pa.int64()),
        ("cut", pa.bool_()),
        ("fault", pa.string()),
        ("quarantine", pa.string()),
    ]
)

Reader = Callable[..., Extracted]
"""An engine: `reader(html, url=...)`."""


def frame(kind: bytes, body: bytes = b"") -> bytes:
    """A message of either direction: magic, kind, length of the body, body."""
    return HEADER.pack(MAGIC, kind, len(body)) + body


def to_ipc(batch: pa.RecordBatch) -> bytes:
    """One batch as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def from_ipc(body: bytes) -> pa.RecordBatch:
    """The one batch of an Arrow IPC stream; raises pyarrow.ArrowInvalid for anything else."""
    with pa.ipc.open_stream(body) as reader:
        batch = reader.read_next_batch()
    batch.validate(full=True)
    return batch


def main() -> None:
    """Read pages until stdin closes."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--config", required=True)
    arguments.add_argument("--engine", default="")
    options = arguments.parse_args()
    limits = ExtractConfig.model_validate_json(options.config)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    out = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not get between the frames
    reader = _reader(options.engine or limits.engine)
    # pyarrow loads pandas for its first rows where it is installed: a second that no page's time should pay.
    to_ipc(pa.RecordBatch.from_pylist([{"cut": False}], schema=OUTPUT_SCHEMA))
    _limit_memory(limits.memory_mb)
    _write(out, frame(Kind.READY))
    try:
        while (request := _read_frame()) is not None:
            _write(out, frame(Kind.BATCH, to_ipc(_read_pages(from_ipc(request), reader, limits, out))))
    except MemoryError:
        os._exit(EXIT_MEMORY)
    except BrokenPipeError:
        os._exit(0)


def _reader(engine: str) -> Reader:
    """The engine of that name, or `module:function`; its library is loaded now, not within the first page's time."""
    module, colon, function = engine.partition(":")
    if colon:
        found: Reader = getattr(importlib.import_module(module), function)
        return found
    extract_text("<p>warm</p>", engine=engine)
    return lambda html, *, url: extract_text(html, url=url, engine=engine)


def _limit_memory(memory_mb: int) -> None:
    import resource

    try:
        resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    except (ValueError, OSError) as error:  # macOS knows the limit but refuses to set it
        print(f"no memory limit: {error}", file=sys.stderr)
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError as error:
        print(f"no oom_score_adj: {error}", file=sys.stderr)


def _read_pages(batch: pa.RecordBatch, reader: Reader, limits: ExtractConfig, out: int) -> pa.RecordBatch:
    rows: list[dict[str, Any]] = []
    for page in batch.to_pylist():
        # Kills this process where the parser hangs and the parent, itself dead, no longer watches.
        signal.setitimer(signal.ITIMER_REAL, 2 * limits.timeout_s)
        rows.append(_read_page(page, reader, limits))
        signal.setitimer(signal.ITIMER_REAL, 0)
        _write(out, frame(Kind.PAGE_DONE))
    return pa.RecordBatch.from_pylist(rows, schema=OUTPUT_SCHEMA)


def _read_page(page: dict[str, Any], reader: Reader, limits: ExtractConfig) -> dict[str, Any]:
    payload: bytes = page["payload"]
    cut = len(payload) > limits.max_page_bytes
    payload = payload[: limits.max_page_bytes]
    decoded = decode_html(payload, page["http_charset"])
    row: dict[str, Any] = {
        "title": None,
        "text": None,
        "lang_declared": None,
        **asdict(PageNotes()),
        "charset_declared": decoded.declared,
        "charset_used": decoded.charset,
        "charset_source": decoded.source,
        "n_replaced": decoded.n_replaced,
        "cut": cut or decoded.truncated,
        "fault": None,
        "quarantine": None,
    }
    if page["mime"] == "text/plain":
        extracted = plain_text(decoded.text)
    else:
        row["fault"] = refusal(_scannable(payload, decoded), limits)
        if row["fault"] is not None:
            return row
        try:
            extracted = reader(decoded.text, url=page["url"])
            (extracted.text + (extracted.title or "")).encode()  # a lone surrogate would break the whole batch
        except MemoryError:
            raise
        except Exception as error:  # whatever a parser raises is a fact about the page
            print(f"{type(error).__name__}: {error}"[:500], file=sys.stderr)
            return row | {"fault": "parser_error"}
    row["cut"] = row["cut"] or len(extracted.text) > limits.max_text_chars
    text = extracted.text[: limits.max_text_chars]
    return (
        row
        | {"title": extracted.title, "text": text, "lang_declared": extracted.lang_declared}
        | asdict(extracted.notes)
    )


def _scannable(payload: bytes, decoded: Decoded) -> bytes:
    return decoded.text.encode() if decoded.charset.startswith("utf-16") else payload


def _read_frame() -> bytes | None:
    header = _read_exactly(HEADER.size)
    if header is None:
        return None
    _, _, body_bytes = HEADER.unpack(header)
    return _read_exactly(body_bytes)


def _read_exactly(n_bytes: int) -> bytes | None:
    body = sys.stdin.buffer.read(n_bytes)
    return body if len(body) == n_bytes else None


def _write(out: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(out, view) :]


if __name__ == "__main__":
    main()
