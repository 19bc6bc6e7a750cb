"""Pages in, texts out, read by a child process that a page may kill: the page is quarantined, the batch goes on."""

import os
import selectors
import subprocess
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Self

import pyarrow as pa

from seimai.errors import RunError

from .extract import ExtractConfig
from .sandbox_child import EXIT_MEMORY, HEADER, INPUT_SCHEMA, MAGIC, OUTPUT_SCHEMA, Kind, frame, from_ipc, to_ipc

__all__ = ["VERSION", "Sandbox"]

VERSION = 2
"""Part of the fingerprint of every stage that reads pages; covers sandbox_child too."""

START_S = 120.0  # importing pyarrow and a parser takes 1 s, on a machine short of memory many times that
REQUEST_PAGES = 256
REQUEST_BYTES = 16 << 20  # the child holds a request, its copy in Python objects and the texts at once
MAX_REPLY_BYTES = 1 << 32
LAST_WORDS_BYTES = 4096
TRIES = 2
PIPE_BYTES = 1 << 16
_NO_MEMORY = (b"memory allocation of", b"bad_alloc", b"MemoryError", b"Cannot allocate memory", b"out of memory")

_Range = tuple[int, int]
"""First row and the row after the last."""


@dataclass(slots=True)
class _Child:
    """A running process and what it has said so far."""

    process: subprocess.Popen[bytes]
    selector: selectors.BaseSelector
    unread: bytearray = field(default_factory=bytearray)
    last_words: bytes = b""


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why no reply came, and how many pages of the request the child had done by then."""

    cause: str
    pages_done: int


class Sandbox:
    """Reads pages in a child process; keeps it warm between batches and replaces it when a page kills it.

    One per worker thread: a Sandbox is not shared, two of them do not meet. `engine` may name an engine of one's own
    as `module:function`, called as `function(html, url=...)` and returning `Extracted`; empty takes the config's.

    >>> with Sandbox(ExtractConfig(engine="fast")) as sandbox:
    ...     page = {"payload": "<p>精米".encode("cp932"), "mime": "text/html", "http_charset": "x-sjis", "url": None}
    ...     sandbox.extract(pa.RecordBatch.from_pylist([page], schema=INPUT_SCHEMA))["text"].to_pylist()
    ['精米']
    """

    def __init__(self, limits: ExtractConfig, *, engine: str = "") -> None:
        self._limits = limits
        self._engine = engine
        self._child: _Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child; a later `extract` starts another."""
        if self._child is not None:
            self._end(self._child)

    def extract(self, pages: pa.RecordBatch) -> pa.RecordBatch:
        """Titles and texts of `pages`, row by row.

        In: `payload` (large_binary, content coding undone), `mime`, `http_charset` and `url` (strings, null where
        unknown). Out: `title`, `text` (null where there is a fault or a quarantine), `lang_declared`, the fields of
        PageNotes, `charset_declared`, `charset_used`, `charset_source`, `n_replaced`, `cut`, `fault` (a limit or
        "parser_error": the same on every machine) and `quarantine` ("timeout", "memory" or "crash": not reproducible;
        the page was tried twice, the second time alone in a fresh process). Raises RunError where the
        child cannot be started at all.
        """
        pages = pages.select(INPUT_SCHEMA.names).cast(INPUT_SCHEMA)
        done: dict[int, pa.RecordBatch] = {}
        failures: Counter[int] = Counter()
        waiting = deque(_requests(pages))
        while waiting:
            start, end = waiting.popleft()
            reply = self._ask(pages.slice(start, end - start))
            if isinstance(reply, pa.RecordBatch):
                done[start] = reply
                continue
            culprit = start + min(reply.pages_done, end - start - 1)
            failures[culprit] += 1
            if failures[culprit] >= TRIES and end - start == 1:
                done[culprit] = _quarantined(reply.cause)
                continue
            parts = [(culprit, culprit + 1), (start, culprit), (culprit + 1, end)]  # the culprit in a fresh child
            waiting.extendleft(part for part in reversed(parts) if part[0] < part[1])
        if not done:
            return pa.RecordBatch.from_pylist([], schema=OUTPUT_SCHEMA)
        return pa.concat_batches([done[start] for start in sorted(done)])

    def _ask(self, pages: pa.RecordBatch) -> pa.RecordBatch | _Failure:
        """Send one request and wait for its reply; on any failure the child is gone afterwards."""
        child = self._child or self._start()
        request = memoryview(frame(Kind.BATCH, to_ipc(pages)))
        pages_done = 0
        self._watch_stdin(child, True)
        deadline = time.monotonic() + self._limits.timeout_s
        while True:
            sent, broken = self._exchange(child, request, deadline)
            request = request[sent:]
            if not request:
                self._watch_stdin(child, False)
            try:
                while (message := _next_frame(child.unread)) is not None:
                    kind, body = message
                    if kind == Kind.PAGE_DONE:
                        pages_done += 1
                        deadline = time.monotonic() + self._limits.timeout_s
                    else:
                        return _checked(from_ipc(body), pages.num_rows)
            except (ValueError, pa.ArrowException):  # ArrowInvalid is a ValueError too
                self._end(child)
                return _Failure("crash", pages_done)
            if broken:
                return _Failure(self._end(child), pages_done)
            if time.monotonic() >= deadline:
                self._end(child)
                return _Failure("timeout", pages_done)

    def _exchange(self, child: _Child, request: memoryview, deadline: float) -> tuple[int, bool]:
        """Wait until a pipe is ready or the deadline; bytes sent, and whether the child closed its pipe."""
        sent, broken = 0, False
        for key, _ in child.selector.select(max(0.0, deadline - time.monotonic())):
            if key.data == "stdin":
                try:
                    sent = os.write(key.fd, request[:PIPE_BYTES])
                except BlockingIOError:
                    continue
                except BrokenPipeError:
                    broken = True
                continue
            data = os.read(key.fd, PIPE_BYTES)
            if key.data == "stdout":
                child.unread += data
                broken = broken or not data
            elif data:
                child.last_words = (child.last_words + data)[-LAST_WORDS_BYTES:]
            else:
                child.selector.unregister(key.fileobj)
        return sent, broken

    def _start(self) -> _Child:
        command = [sys.executable, "-P", "-m", "seimai.pipeline.sandbox_child", "--engine", self._engine]
        # One thread each: their stacks and arenas count as address space, and the worker owns one core.
        threads = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
        process = subprocess.Popen(
            [*command, "--config", self._limits.model_dump_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, **threads, "ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"},
        )
        child = _Child(process, selectors.DefaultSelector())
        self._child = child
        os.set_blocking(_pipe(process.stdin).fileno(), False)
        child.selector.register(_pipe(process.stdout), selectors.EVENT_READ, "stdout")
        child.selector.register(_pipe(process.stderr), selectors.EVENT_READ, "stderr")
        deadline = time.monotonic() + START_S
        try:
            while (message := _next_frame(child.unread)) is None:
                _, broken = self._exchange(child, memoryview(b""), deadline)
                if broken or time.monotonic() >= deadline:
                    break
        except ValueError:
            message = None
        if message is None or message[0] != Kind.READY:
            self._end(child)
            words = child.last_words.decode("utf-8", "replace").strip().splitlines()
            raise RunError(
                f"the process that reads pages does not start ({words[-1] if words else 'it says nothing'}); "
                f"try a larger extract.memory_mb than {self._limits.memory_mb}, or check the installation"
            )
        return child

    def _end(self, child: _Child) -> str:
        """Kill and reap the child; why it had died, where it had."""
        self._child = None
        try:
            returncode: int | None = child.process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            returncode = None
            child.process.kill()
            child.process.wait()
        child.selector.close()
        if child.process.stderr is not None:
            os.set_blocking(child.process.stderr.fileno(), False)
            child.last_words = (child.last_words + (child.process.stderr.read() or b""))[-LAST_WORDS_BYTES:]
        for pipe in (child.process.stdin, child.process.stdout, child.process.stderr):
            if pipe is not None:
                pipe.close()
        # The kernel's out-of-memory killer sends SIGKILL, and nobody else does before a timeout.
        if returncode in (EXIT_MEMORY, -9) or any(sign in child.last_words for sign in _NO_MEMORY):
            return "memory"
        return "crash"

    def _watch_stdin(self, child: _Child, wanted: bool) -> None:
        pipe = _pipe(child.process.stdin)
        watched = pipe in child.selector.get_map()
        if wanted and not watched:
            child.selector.register(pipe, selectors.EVENT_WRITE, "stdin")
        elif watched and not wanted:
            child.selector.unregister(pipe)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def _requests(pages: pa.RecordBatch) -> list[_Range]:
    """Cut a batch into requests the child has the memory for; a larger page is a request of its own."""
    sizes = pa.compute.binary_length(pages["payload"]).to_pylist()
    ranges: list[_Range] = []
    start = total = 0
    for row, size in enumerate(sizes):
        if row > start and (total + size > REQUEST_BYTES or row - start == REQUEST_PAGES):
            ranges.append((start, row))
            start, total = row, 0
        total += size
    return [*ranges, (start, len(sizes))] if sizes else []


def _next_frame(unread: bytearray) -> tuple[bytes, bytes] | None:
    """Take one whole frame off what was read; None until there is one; ValueError where it is no frame of ours."""
    if len(unread) < HEADER.size:
        return None
    magic, kind, body_bytes = HEADER.unpack_from(unread)
    if magic != MAGIC or body_bytes > MAX_REPLY_BYTES:
        raise ValueError(f"no frame: {bytes(unread[:16])!r}")
    end = HEADER.size + body_bytes
    if len(unread) < end:
        return None
    body = bytes(memoryview(unread)[HEADER.size : end])
    del unread[:end]
    return kind, body


def _checked(reply: pa.RecordBatch, n_pages: int) -> pa.RecordBatch:
    if reply.num_rows != n_pages or reply.schema != OUTPUT_SCHEMA:
        raise ValueError(f"{reply.num_rows} rows of {reply.schema.names} for {n_pages} pages")
    return reply


def _quarantined(cause: str) -> pa.RecordBatch:
    row = {"n_replaced": 0, "cut": False, "quarantine": cause}
    return pa.RecordBatch.from_pylist([row], schema=OUTPUT_SCHEMA)
