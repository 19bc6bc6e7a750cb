"""A server that lays its files out as Common Crawl does, answers ranges as it does, and misbehaves when told to.

A tool for tests and benches: `with CommonCrawl(folder) as server` serves the folder at `server.url` from a thread of
its own, on aiohttp. `server.faults` says what goes wrong with which requests; `server.log` has every request.
"""

import asyncio
import gzip
import random
import re
import threading
import time
from base64 import b32encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha1
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq
from aiohttp import web
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding

from seimai.pipeline.charset_labels import encoding_of
from seimai.pipeline.payload import http_payload

SNAPSHOT = "CC-MAIN-2024-51"
KINDS = ("busy", "reset", "short", "ignored", "wrong", "drip", "elsewhere")
"""What another request mends: 503, a broken connection, fewer bytes than stated, 200 for a range, other bytes than
asked for, a few bytes a second, a redirect to another host. There are also `moved` (a redirect to the same file),
`forbidden` (403), `flip` (a byte at `after` is not the file's) and `stall` (an answer that stops for a minute)."""


@dataclass(slots=True)
class Fault:
    """Something that goes wrong: with `share` of the requests whose path matches, `times` times (None: for ever)."""

    kind: str
    path: str = ""
    share: float = 1.0
    times: int | None = None
    retry_after: str = ""
    after: int = 0
    """Bytes of the body that still come; the place of the byte that is flipped."""
    seed: int = 1
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def strikes(self, method: str, path: str) -> bool:
        """Whether this request is hit; counts down.  What goes wrong with a body does not hit a HEAD."""
        if method == "HEAD" and self.kind in ("reset", "short", "stall", "drip", "flip", "ignored", "wrong"):
            return False
        if self.times == 0 or not re.search(self.path, path) or self._random.random() >= self.share:
            return False
        self.times = None if self.times is None else self.times - 1
        return True


@dataclass(slots=True)
class Entry:
    """One request as the server saw it: seconds of its clock, and what it answered with how many bytes of body."""

    time_s: float
    method: str
    path: str
    range: tuple[int, int] | None
    agent: str
    status: int = 0
    sent: int = 0
    fault: str = ""


class CommonCrawl:
    """The server; use it as a context manager."""

    def __init__(self, folder: Path, faults: Iterable[Fault] = ()) -> None:
        self.folder, self.faults, self.log = folder, list(faults), list[Entry]()
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None

    def __enter__(self) -> "CommonCrawl":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def good(self) -> list[Entry]:
        """The requests for bytes that were answered as asked."""
        return [e for e in self.log if e.method == "GET" and e.status in (200, 206) and not e.fault]

    async def _serve(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
        span = (int(asked[1]), int(asked[2]) + 1) if asked else None
        entry = Entry(time.monotonic(), request.method, path, span, request.headers.get("User-Agent", ""))
        self.log.append(entry)
        fault = next((fault for fault in self.faults if fault.strikes(request.method, path)), None)
        entry.fault = fault.kind if fault else ""
        file = self.folder / path
        if fault is not None and fault.kind in ("busy", "forbidden", "elsewhere", "moved"):
            entry.status = {"busy": 503, "forbidden": 403, "elsewhere": 302, "moved": 302}[fault.kind]
            target = {"elsewhere": "http://elsewhere.example/", "moved": f"/{path}?moved"}.get(fault.kind)
            headers = {"Location": target} if target else {}
            if fault.retry_after:
                headers["Retry-After"] = fault.retry_after
            return web.Response(status=entry.status, headers=headers)
        if not file.resolve().is_relative_to(self.folder.resolve()) or not file.is_file():
            entry.status = 404
            return web.Response(status=404)
        return await self._send(request, file, entry, fault)

    async def _send(self, request: web.Request, file: Path, entry: Entry, fault: Fault | None) -> web.StreamResponse:
        size, kind = file.stat().st_size, fault.kind if fault else ""
        start, stop = entry.range or (0, size)
        stop = min(stop, size)
        if start >= size and size:
            entry.status = 416
            return web.Response(status=416)
        ranged = entry.range is not None and kind != "ignored"
        if kind == "wrong":
            start, stop = min(start + 7, size - 1), min(stop + 7, size)
        if not ranged:
            start, stop = 0, size
        headers = {"Accept-Ranges": "bytes", "ETag": f'"{size}-{file.stat().st_mtime_ns}"'}
        if ranged:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        entry.status = 206 if ranged else 200
        response = web.StreamResponse(status=entry.status, headers=headers)
        response.content_length = stop - start
        response.content_type = "application/octet-stream"
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        try:
            await self._body(request, response, file, start, stop, entry, fault)
        except (ConnectionError, asyncio.CancelledError):
            entry.fault = entry.fault or "left"
        return response

    async def _body(
        self, request: web.Request, response: web.StreamResponse, file: Path, start: int, stop: int, entry: Entry,
        fault: Fault | None,
    ) -> None:  # fmt: skip
        kind = fault.kind if fault else ""
        step = 64 << 10
        if fault is not None and kind in ("reset", "short", "stall"):
            stop, step = min(stop - 1, start + fault.after), 4 << 10
        with file.open("rb") as source:
            source.seek(start)
            while start < stop:
                data = source.read(min(1 if kind == "drip" else step, stop - start))
                if fault is not None and kind == "flip" and start <= fault.after < start + len(data):
                    at = fault.after - start
                    data = data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :]
                await response.write(data)
                start += len(data)
                entry.sent += len(data)
                if kind == "drip":
                    await asyncio.sleep(0.05)
        if kind == "stall":
            await asyncio.sleep(60)
        if kind == "reset" and request.transport is not None:
            await asyncio.sleep(0.02)
            request.transport.abort()
        elif kind == "short" and request.transport is not None:
            await asyncio.sleep(0.02)
            request.transport.close()


def most_in(log: Sequence[Entry], seconds: float) -> int:
    """Most requests of a log that any stretch of so many seconds holds."""
    times = sorted(entry.time_s for entry in log)
    return max((sum(1 for t in times[at:] if t < begin + seconds) for at, begin in enumerate(times)), default=0)


def lay_out(folder: Path, archives: Sequence[bytes], *, languages: str = "jpn", files_of_index: int = 2) -> list[str]:
    """Write archives as a snapshot: segments, lists of paths and the columnar index; returns the archives' paths."""
    paths = []
    for number, data in enumerate(archives):
        segment = f"crawl-data/{SNAPSHOT}/segments/17330660351{number % 3:02d}.1/warc"
        path = f"{segment}/CC-MAIN-20241201000000-20241201030000-{number:05d}.warc.gz"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        paths.append(path)
    base = folder / "crawl-data" / SNAPSHOT
    (base / "warc.paths.gz").write_bytes(gzip.compress("".join(f"{p}\n" for p in paths).encode(), mtime=0))
    rows = [row for path in paths for row in index_rows(folder, path, languages)]
    rows.sort(key=lambda row: str(row["url_surtkey"]))
    names = []
    for number in range(files_of_index):
        name = f"cc-index/table/cc-main/warc/crawl={SNAPSHOT}/subset=warc/part-{number:05d}.c000.gz.parquet"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        part = rows[number * len(rows) // files_of_index : (number + 1) * len(rows) // files_of_index]
        pq.write_table(pa.Table.from_pylist(part, schema=INDEX_SCHEMA), folder / name, compression="gzip")
        names.append(name)
    (base / "cc-index-table.paths.gz").write_bytes(gzip.compress("".join(f"{n}\n" for n in names).encode(), mtime=0))
    return paths


_TEXT = (
    *("url_surtkey", "url", "url_host_name", "url_host_tld", "url_host_2nd_last_part", "url_host_3rd_last_part"),
    *("url_host_4th_last_part", "url_host_5th_last_part", "url_host_registry_suffix", "url_host_registered_domain"),
    *("url_host_private_suffix", "url_host_private_domain", "url_host_name_reversed", "url_protocol"),
)
INDEX_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in _TEXT),
        ("url_port", pa.int32()),
        ("url_path", pa.string()),
        ("url_query", pa.string()),
        ("fetch_time", pa.timestamp("ms")),
        ("fetch_status", pa.int16()),
        *((name, pa.string()) for name in ("fetch_redirect", "content_digest", "content_mime_type")),
        *((name, pa.string()) for name in ("content_mime_detected", "content_charset", "content_languages")),
        *((name, pa.string()) for name in ("content_truncated", "warc_filename")),
        ("warc_record_offset", pa.int32()),
        ("warc_record_length", pa.int32()),
        ("warc_segment", pa.string()),
    ]
)
"""Columns of Common Crawl's columnar index inside a file (cc-index-table, cc-index-schema-flat.json)."""


def lay_out_wet(folder: Path, paths: Iterable[str], *, skip: Iterable[str] = ()) -> list[str]:
    """Write the WET file of every archive: all text of each HTML page but those of `skip`; returns their paths.

    Headers are those of Common Crawl's files. Texts are made as its own are: by the declared charset, menus and all.
    """
    left_out, names = set(skip), []
    for path in paths:
        name = path.replace("/warc/", "/wet/").replace(".warc.gz", ".warc.wet.gz")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        members = [b"WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 2\r\n\r\n\r\n\r\n\r\n"]
        with (folder / path).open("rb") as file:
            for record in ArchiveIterator(file, parse_http=False):
                url = str(record.headers.get("WARC-Target-URI"))
                if record.record_type != WarcRecordType.response or url in left_out:
                    continue
                page = http_payload(record.reader.read(), max_body_bytes=1 << 24)
                charset = encoding_of(page.charset or "") or detect_encoding(page.body) or "utf-8"
                text = extract_plain_text(page.body.decode(charset, "replace"), main_content=False).encode()
                head = {
                    "WARC-Type": "conversion",
                    "WARC-Target-URI": url,
                    "WARC-Date": str(record.headers.get("WARC-Date")),
                    "WARC-Refers-To": str(record.headers.get("WARC-Record-ID")),
                    "WARC-Block-Digest": f"sha1:{b32encode(sha1(text).digest()).decode()}",
                    "Content-Type": "text/plain",
                    "Content-Length": str(len(text)),
                }
                lines = "".join(f"{key}: {value}\r\n" for key, value in head.items())
                members.append(f"WARC/1.0\r\n{lines}\r\n".encode() + text + b"\r\n\r\n")
        (folder / name).write_bytes(b"".join(gzip.compress(member, mtime=0) for member in members))
        names.append(name)
    return names


def index_rows(folder: Path, path: str, languages: str) -> list[dict[str, object]]:
    """What the index says of an archive's responses."""
    rows: list[dict[str, object]] = []
    data = (folder / path).read_bytes()
    offsets: list[tuple[int, dict[str, object] | None]] = []
    with (folder / path).open("rb") as file:
        for record in ArchiveIterator(file, parse_http=True):
            row: dict[str, object] | None = None
            if record.record_type == WarcRecordType.response:
                url = str(record.headers.get("WARC-Target-URI"))
                host = url.split("/")[2].split(":")[0]
                http = record.http_headers
                row = {
                    "url_surtkey": ",".join(reversed(host.split("."))) + ")" + url.split(host, 1)[1],
                    "url": url,
                    "url_host_name": host,
                    "url_host_registered_domain": ".".join(host.split(".")[-2:]),
                    "url_protocol": url.split(":")[0],
                    "fetch_time": record.record_date,
                    "fetch_status": http.status_code if http is not None else 0,
                    "content_digest": str(record.headers.get("WARC-Payload-Digest", "")).removeprefix("sha1:"),
                    "content_mime_detected": "text/html",
                    "content_languages": languages,
                    "warc_filename": path,
                    "warc_segment": path.split("/")[3],
                }
            offsets.append((record.stream_pos, row))
    for (offset, row), (following, _) in zip(offsets, [*offsets[1:], (len(data), None)], strict=True):
        if row is not None:
            rows.append(row | {"warc_record_offset": offset, "warc_record_length": following - offset})
    return rows
