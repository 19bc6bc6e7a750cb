"""The whole path from archive to text: `python bench/read.py`, about 3 minutes of one core; 1 when a goal is missed.

One run over `packed_ja_en.warc.gz`: CPU time of reading, decoding and extracting, ours beside warcio and trafilatura,
with F1 against the text that the pages' gold gives (addresses that stand in the development set) and the share of the
Japanese pages whose kana all survive decoding. trafilatura reads every 8th page, for it takes 20 to 40 ms for one.
Peers: `pip install warcio`; datatrove is timed by `--datatrove PYTHON`, an interpreter of an environment that has
`datatrove[processing,io] lxml_html_clean`. Our speed is that of one core without the pipe to the sandbox.
"""

import argparse
import gzip
import html
import json
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from extraction_pages import DATA, gold_pages, score

from seimai.pipeline.charset import decode_html
from seimai.pipeline.extract import ExtractConfig, extract_text, refusal
from seimai.pipeline.gates import GatesConfig, language_prefilter, response_gate
from seimai.pipeline.payload import http_payload
from seimai.pipeline.warc import SliceReader

ARCHIVE = DATA / "warc" / "packed_ja_en.warc.gz"
WHOLE_GOAL = 8.0
JAPANESE_GOAL = 20.0
EVERY = 8
"""Of the pages, every so many-th is read by the slow peers."""
MIN_KANA = 50
"""Kana from which a page counts as Japanese."""
_KANA = re.compile("[ぁ-ゖァ-ヺ]")

DATATROVE = """
import sys, time
from datatrove.pipeline.readers import WarcReader
from datatrove.pipeline.extractors import Trafilatura
if __name__ == "__main__":
    folder, name, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
    start, wall = time.process_time(), time.time()
    n = sum(1 for _ in Trafilatura(timeout=10)(WarcReader(folder, glob_pattern=name, limit=limit)(), 0, 1))
    print(n, time.time() - wall)
"""


class Cost(NamedTuple):
    """What a way of reading took and gave."""

    name: str
    records: int
    megabytes: float
    read_s: float
    decode_s: float
    extract_s: float
    texts: dict[str, str]
    kana: dict[str, int]
    japanese_s: float = 0.0
    """Of all three, what the pages with 50 kana and more took: no filter can save it."""

    def seconds_a_page(self) -> float:
        """CPU time of the whole path."""
        return (self.read_s + self.decode_s + self.extract_s) / self.records


def read_ours(gates: GatesConfig, name: str, truth: dict[str, int]) -> Cost:
    """Our path, gate by gate as the read stage runs it; the better of two runs, as tables are built in the first."""
    runs = [_read_ours(gates, name, truth) for _ in range(2)]
    return min(runs, key=Cost.seconds_a_page)


def _read_ours(gates: GatesConfig, name: str, truth: dict[str, int]) -> Cost:
    limits = ExtractConfig()
    spent = [0.0, 0.0, 0.0]
    texts: dict[str, str] = {}
    kana: dict[str, int] = {}
    n_records = n_bytes = 0
    japanese_s = 0.0
    clock = time.process_time
    with ARCHIVE.open("rb") as file:
        size = ARCHIVE.stat().st_size
        records = iter(SliceReader(file, start=0, stop=size, size=size, begin=0, max_record_bytes=16 << 20))
        while True:
            start = clock()
            record = next(records, None)
            if record is None:
                break
            if record.kind != "response":
                spent[0] += clock() - start
                continue
            payload = http_payload(record.content, max_body_bytes=gates.max_body_bytes)
            n_records += 1
            n_bytes += len(payload.body)
            gate = response_gate(gates, payload.status, payload.mime, payload.body)
            gate = gate or language_prefilter(gates, payload.body, payload.charset)
            read = clock()
            spent[0] += read - start
            if gate or (payload.mime != "text/plain" and refusal(payload.body, limits)):
                continue
            page = decode_html(payload.body, payload.charset).text
            decoded = clock()
            url = record.headers["warc-target-uri"]
            texts[url] = page if payload.mime == "text/plain" else extract_text(page, url=url).text
            spent[1] += decoded - read
            done = clock()
            spent[2] += done - decoded
            japanese_s += (done - start) * (truth[url] >= MIN_KANA)
            kana[url] = len(_KANA.findall(html.unescape(page)))
    return Cost(name, n_records, n_bytes / 1e6, *spent, texts, kana, japanese_s)


def warcio_pages() -> Iterator[tuple[str, bytes, float]]:
    """Address, body and seconds of each response, as warcio's documentation shows it."""
    from warcio.archiveiterator import ArchiveIterator

    with ARCHIVE.open("rb") as file:
        start = time.process_time()
        for record in ArchiveIterator(file):
            if record.rec_type == "response":
                body = record.content_stream().read()
                yield record.rec_headers.get_header("WARC-Target-URI"), body, time.process_time() - start
                start = time.process_time()


def read_usual(gold: dict[str, str]) -> Cost:
    """warcio, then trafilatura on the bytes: it decodes by itself."""
    import trafilatura

    trafilatura.extract("<p>warm</p>")
    read_s = extract_s = 0.0
    texts: dict[str, str] = {}
    kana: dict[str, int] = {}
    n_records = n_bytes = n_read = 0
    for url, body, seconds in warcio_pages():
        n_records += 1
        read_s += seconds
        if n_records % EVERY:
            if url in gold:  # not timed
                texts[url] = trafilatura.extract(body, url=url) or ""
            continue
        n_read += 1
        n_bytes += len(body)
        start = time.process_time()
        texts[url] = trafilatura.extract(body, url=url) or ""
        extract_s += time.process_time() - start
        kana[url] = len(_KANA.findall(html.unescape(trafilatura.utils.decode_file(body))))
    share = n_read / n_records
    return Cost("warcio + trafilatura", n_read, n_bytes / 1e6, read_s * share, 0.0, extract_s, texts, kana)


def row(cost: Cost, truth: dict[str, int], gold: dict[str, str]) -> str:
    """One line of the table."""
    japanese = [url for url in cost.kana if truth.get(url, 0) >= MIN_KANA]
    wanted = [url for url in cost.texts if url in gold]
    recovered = sum(cost.kana[url] == truth[url] for url in japanese) / max(1, len(japanese))
    f1 = sum(score(cost.texts[url], gold[url])[2] for url in wanted) / max(1, len(wanted))
    steps = "".join(
        f"{cost.records / seconds:9.0f}{cost.megabytes / seconds:8.1f}" if seconds else f"{'-':>9}{'-':>8}"
        for seconds in (cost.read_s, cost.decode_s, cost.extract_s, cost.records * cost.seconds_a_page())
    )
    return f"{cost.name:24}{cost.records:7}{steps}{recovered:11.1%}{f1:8.3f} ({len(wanted)})"


def datatrove(python: str) -> str:
    """Pages a second of datatrove's reader and extractor in its own environment, wall time of one process."""
    arguments = [python, "-c", DATATROVE, str(ARCHIVE.parent), ARCHIVE.name, "400"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=600)
    pages, seconds = done.stdout.split()[-2:]
    return f"datatrove reader + extractor: {400 / float(seconds):.0f} pages/s ({pages} of 400 pages gave a text)"


def main() -> int:
    """Print the table and the ratios; 1 when a goal is missed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--datatrove", metavar="PYTHON", default="")
    python = options.parse_args().datatrove
    peers = ", ".join(f"{name} {version(name)}" for name in ("warcio", "trafilatura") if find_spec(name))
    print(f"{platform.platform()}, Python {platform.python_version()}, {peers}")
    lines = gzip.open(Path(ARCHIVE).with_name("packed_ja_en.truth.jsonl.gz"), "rt", encoding="utf-8")
    truth: dict[str, Any] = {entry["url"]: entry["kana_chars"] for entry in map(json.loads, lines)}
    gold = {page.url: page.gold for page in gold_pages() if page.url}
    extract_text("<p>compiled")
    steps = "".join(f"{f'{step}/s':>9}{'MB/s':>8}" for step in ("read", "decode", "extract", "all"))
    print(f"{'':24}{'pages':>7}{steps}{'recovered':>11}{'F1':>8} (pages)")
    everything = read_ours(GatesConfig(), "seimai", truth)
    print(row(everything, truth, gold), flush=True)
    japanese = read_ours(GatesConfig(languages=["ja"]), "seimai, Japanese only", truth)
    print(row(japanese, truth, gold), flush=True)
    if python:
        print(datatrove(python))
    if not find_spec("warcio"):
        print("warcio is not installed: no ratios")
        return 1
    usual = read_usual(gold)
    print(row(usual, truth, gold))
    whole = usual.seconds_a_page() / everything.seconds_a_page()
    only = usual.seconds_a_page() / japanese.seconds_a_page()
    print(f"as fast as the usual: {whole:.1f} times (goal {WHOLE_GOAL}); Japanese only {only:.1f} ({JAPANESE_GOAL})")
    alone = japanese.japanese_s / (japanese.records * japanese.seconds_a_page())
    spent = f"{alone:.0%} of the Japanese-only run's time is spent on Japanese pages"
    print(f"{spent}: were all others free, it would be {only / alone:.1f} times as fast as the usual")
    return int(whole < WHOLE_GOAL or only < JAPANESE_GOAL)


if __name__ == "__main__":
    sys.exit(main())
