"""Mutated records, bodies and pages for as long as is wanted: `python bench/fuzz.py --minutes 20`; 1 at a finding.

Real pages are cut, spliced, repeated and given odd bytes. A finding is an exception, a text with surrogates or NUL, a
case that takes over a second, or growing memory; its input is written to --out. Seeded: the same seed tries the same.
"""

import argparse
import random
import resource
import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType

from seimai.pipeline.charset import decode_html
from seimai.pipeline.extract import ExtractConfig, extract_text, refusal
from seimai.pipeline.payload import http_payload
from seimai.pipeline.prefilter import may_be_japanese
from seimai.pipeline.warc import SliceReader
from seimai.sample.build import build_warc

CASE_S = 1.0
MAX_GROWTH_MB = 512
MAX_FINDINGS = 20
ODD = [
    b"\x00",
    b"\xff",
    b"\x1b$B",
    b"\x1b(I",
    b"\x0e",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\x8f\xff",
    b"\x82",
    b"\xa4",
    b"&#x",
]
ODD += [
    b"<",
    b"</",
    b">",
    b"<!--",
    b"<script>",
    b"<table>",
    b"<pre>",
    b'="',
    b"'",
    b"\r\n\r\n",
    b"\r\n",
    b"WARC/1.0\r\n",
]
ODD += [
    b"Content-Length: 99999999999\r\n",
    b"Content-Encoding: gzip\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"\x1f\x8b\x08",
]
LABELS = [None, "utf-8", "shift_jis", "euc-jp", "iso-2022-jp", "gb18030", "big5", "utf-16", "windows-1252", "x"]


def mutated(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """A few cuts, splices, repeats and odd bytes at places of chance."""
    for _ in range(chance.randint(1, 8)):
        start = chance.randrange(len(data) + 1)
        end = min(len(data), start + chance.choice([0, 1, 2, 16, 1000]))
        kind = chance.randrange(5)
        if kind == 0:
            data = data[:start] + data[end:]
        elif kind == 1:
            data = data[:start] + chance.choice(ODD) * chance.choice([1, 1, 1, 100, 3000]) + data[start:]
        elif kind == 2:
            other = chance.choice(others)
            place = chance.randrange(len(other) + 1)
            data = data[:start] + other[place : place + 2000] + data[end:]
        elif kind == 3:
            data = data[:start] + data[start:end] * chance.choice([2, 50]) + data[end:]
        elif start < len(data):
            data = data[:start] + bytes([chance.randrange(256)]) + data[start + 1 :]
    return data[: 1 << 20]


def check_page(body: bytes, chance: random.Random) -> None:
    """Decode and extract as the child process does."""
    label = chance.choice(LABELS)
    may_be_japanese(body, label)
    decoded = decode_html(body, label)
    decoded.text.encode()
    assert "\0" not in decoded.text
    if refusal(body, ExtractConfig()) is None:
        found = extract_text(decoded.text)
        (found.text + (found.title or "")).encode()
        assert "\0" not in found.text


def check_message(body: bytes, chance: random.Random) -> None:
    """Read an HTTP message."""
    payload = http_payload(body, max_body_bytes=1 << 20)
    assert len(payload.body) <= 1 << 20


def check_archive(body: bytes, chance: random.Random) -> None:
    """Read an archive from its start and from somewhere inside."""
    for start in (0, chance.randrange(len(body) + 1)):
        size = len(body)
        reader = SliceReader(BytesIO(body), start=start, stop=size, size=size, begin=None, max_record_bytes=1 << 20)
        for record in reader:
            assert len(record.content) <= 1 << 20


def seeds(folder: Path) -> dict[str, list[bytes]]:
    """The sample crawl: its archive, its messages and its pages."""
    path = folder / "sample.warc.gz"
    build_warc(path)
    messages = []
    with path.open("rb") as file:
        for record in ArchiveIterator(file, record_types=WarcRecordType.response, parse_http=False):
            messages.append(record.reader.read())
    pages = [http_payload(message, max_body_bytes=1 << 20).body for message in messages]
    whole = path.read_bytes()
    parts = [whole[start : start + 60_000] for start in range(0, len(whole), 50_000)]
    return {"page": [page for page in pages if page], "message": messages, "archive": parts}


def main() -> int:
    """Try until the time is up; print what was tried."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=20.0)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--out", type=Path, default=Path("build/fuzz"))
    given = options.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    chance = random.Random(given.seed)
    corpus = seeds(given.out)
    checks: dict[str, Callable[[bytes, random.Random], None]] = {
        "page": check_page,
        "message": check_message,
        "archive": check_archive,
    }
    check_page(b"<p>compiled", chance)
    deadline = time.monotonic() + 60 * given.minutes
    tried = dict.fromkeys(checks, 0)
    slowest = dict.fromkeys(checks, 0.0)
    findings = 0
    memory_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while time.monotonic() < deadline and findings < MAX_FINDINGS:
        kind = chance.choice(["page", "page", "page", "message", "archive"])
        data = mutated(chance.choice(corpus[kind]), corpus[kind], chance)
        start = time.process_time()
        try:
            checks[kind](data, chance)
            problem = ""
        except Exception as error:  # any exception is what this program looks for
            problem = f"{type(error).__name__}: {error}"
        seconds = time.process_time() - start
        tried[kind] += 1
        slowest[kind] = max(slowest[kind], seconds)
        if problem or seconds > CASE_S:
            findings += 1
            path = given.out / f"finding-{findings:03d}-{kind}.bin"
            path.write_bytes(data)
            print(f"{path}: {problem or f'{seconds:.1f} s'}", flush=True)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_kb) / 1024
    print(f"tried {tried}, slowest {slowest}, {findings} findings, memory grew by {grown_mb:.0f} MB")
    return int(findings > 0 or grown_mb > MAX_GROWTH_MB)


if __name__ == "__main__":
    sys.exit(main())
