"""Text in which no evaluation item was planted: real documents, their sentences mixed anew, and chains of chance."""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from decontamination import DATA, read_texts
from fastwarc.warc import ArchiveIterator, WarcRecordType
from numba import njit
from numpy.typing import NDArray

from seimai.pipeline.extract import extract_text

__all__ = ["Chain", "Document", "Mixture", "is_japanese", "read_documents"]

ARCHIVES = ("packed_ja_en", "hplt_sample_cc", "hplt_sample_wide", "cc_main_2020-34_16pages", "wget_dolma_sample-0000")
LEAST_CHARS = 200
BATCH_BYTES = 40_000_000
SENTENCE = re.compile(r"[^。．！？!?.\n]*(?:[。．！？!?]+[」』）\"”']*|\.+[\"”')]*(?=\s|$)|\.(?!\s)|\n+|$)\s*")
NAME = re.compile(r"([ァ-ヴー]{3,}|[一-鿿]{3,}|(?<=[a-z,] )[A-Z][A-Za-z]{2,})")
JAPANESE = re.compile("[぀-ヿ一-鿿]")
MOST_ORDER = 5


class Document(NamedTuple):
    """A real document: where it comes from, whether it is Japanese, its text."""

    collection: str
    japanese: bool
    text: str


def read_documents() -> list[Document]:
    """All documents of data/text, and the extracted text of the archives' pages without copies."""
    found = [Document(name, is_japanese(text), text) for name, texts in read_texts() for text in texts]
    with gzip.open(DATA / "warc" / "packed_ja_en.truth.jsonl.gz", "rt", encoding="utf-8") as lines:
        source = {row["url"]: row["source"] for row in map(json.loads, lines)}
    pages: dict[str, str] = {}
    for archive in ARCHIVES:
        for url, payload in _responses(DATA / "warc" / f"{archive}.warc.gz"):
            text = extract_text(payload, engine="fast").text
            if len(text) >= LEAST_CHARS:
                # The archives have works of Aozora too, and those are also in data/text.
                aozora = source.get(url or "") == "aozora-txt" or "青空文庫" in text
                pages.setdefault(text, "ja_aozora" if aozora else "web")
    return found + [Document(name, is_japanese(text), text) for text, name in pages.items()]


def is_japanese(text: str) -> bool:
    """Whether a tenth of the first characters are kana or kanji."""
    return len(JAPANESE.findall(text[:2000])) > 0.1 * len(text[:2000])


def _responses(path: Path) -> Iterator[tuple[str | None, bytes]]:
    with path.open("rb") as file:
        kinds = WarcRecordType.response
        for record in ArchiveIterator(file, record_types=kinds, parse_http=True, auto_decode="all"):
            yield record.headers.get("WARC-Target-URI"), record.reader.read(4 << 20)


class Mixture:
    """Documents of real sentences drawn across documents, with other numbers and names."""

    def __init__(self, texts: list[str]) -> None:
        pieces: list[str] = []
        starts = []
        for text in texts:
            for sentence in SENTENCE.findall(text):
                if sentence:
                    starts.append(len(pieces))
                    pieces += NAME.split(sentence)
        self.pieces = pa.array(pieces, pa.large_string())
        self.starts = np.append(starts, len(pieces))
        # What NAME.split returns alternates: every second piece of a sentence is a name.
        place = np.arange(len(pieces)) - np.repeat(self.starts[:-1], np.diff(self.starts))
        self.is_name = place % 2 == 1
        self.names = np.flatnonzero(self.is_name)
        self.sizes = np.array([len(text.encode()) for text in texts])
        self.sentence_bytes = float(self.sizes.sum()) / len(starts)

    def draw(self, random: np.random.Generator) -> pa.Array:
        """About BATCH_BYTES of documents of the sizes of real ones."""
        sizes = random.choice(self.sizes, int(BATCH_BYTES / self.sizes.mean()))
        counts = np.maximum(1, np.rint(sizes / self.sentence_bytes)).astype(np.int64)
        sentences = random.integers(0, len(self.starts) - 1, counts.sum())
        lengths = self.starts[sentences + 1] - self.starts[sentences]
        ends = np.append(0, np.cumsum(lengths))
        chosen = np.repeat(self.starts[sentences] - ends[:-1], lengths) + np.arange(ends[-1])
        named = self.is_name[chosen]
        chosen[named] = random.choice(self.names, int(named.sum()))
        drawn = self.pieces.take(pa.array(chosen))
        _, offsets, data = drawn.buffers()
        bytes_ = np.frombuffer(data, np.uint8).copy()
        _other_digits(bytes_, random)
        bounds = np.append(0, ends[np.cumsum(counts)])
        return _texts(bytes_, np.frombuffer(offsets, np.int64)[bounds].copy())


def _other_digits(data: NDArray[np.uint8], random: np.random.Generator) -> None:
    """Every digit drawn anew, full-width ones too."""
    digits = np.flatnonzero((data >= 48) & (data <= 57))
    data[digits] = 48 + random.integers(0, 10, len(digits), np.uint8)
    wide = np.flatnonzero((data[:-2] == 0xEF) & (data[1:-1] == 0xBC)) + 2
    wide = wide[(data[wide] >= 0x90) & (data[wide] <= 0x99)]
    data[wide] = 0x90 + random.integers(0, 10, len(wide), np.uint8)


def _texts(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> pa.Array:
    return pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))


class Chain:
    """A Markov chain over characters or words of training texts, of orders 1 to MOST_ORDER.

    A step goes to a random place of the training text that has the same last units, as many as the document's order;
    where those stand only once, a shorter context is taken one time in four, so that no chain copies for long.
    """

    def __init__(self, texts: list[str], japanese: bool, sizes: NDArray[np.int64]) -> None:
        self.sizes = sizes
        whole = "\n".join(texts)
        units = list(whole) if japanese else re.findall(r"\S+\s*", whole)
        lengths = np.array([len(unit.encode()) for unit in units])
        self.data = np.frombuffer("".join(units).encode(), np.uint8)
        tokens = np.unique(np.array(units if japanese else [u.strip() for u in units]), return_inverse=True)[1]
        self.pieces = np.stack([np.cumsum(lengths) - lengths, lengths], axis=1).astype(np.int32)
        self.runs = np.empty((MOST_ORDER, len(units), 2), np.int32)
        self.order = np.empty((MOST_ORDER, len(units)), np.int32)
        grams = tokens.astype(np.int64)
        for k in range(MOST_ORDER):
            order = np.argsort(grams, kind="stable")
            ids = grams[order]
            first = np.flatnonzero(np.append(True, ids[1:] != ids[:-1]))
            counts = np.diff(np.append(first, len(ids)))
            self.runs[k, order, 0], self.runs[k, order, 1] = np.repeat(first, counts), np.repeat(counts, counts)
            self.order[k] = order
            rank = np.empty(len(ids), np.int64)
            rank[order] = np.repeat(np.arange(len(first)), counts)
            # The gram ending here with one more unit in front: the one that ends a place before, and this unit.
            grams = np.append(-1, rank[:-1]) * (tokens.max() + 1) + tokens

    def draw(self, random: np.random.Generator) -> pa.Array:
        """About BATCH_BYTES of documents, their orders 1 to MOST_ORDER in equal shares."""
        sizes = random.choice(self.sizes, int(BATCH_BYTES / self.sizes.mean()))
        out = np.empty(int(sizes.sum()) + len(sizes) * int(self.pieces[:, 1].max()), np.uint8)
        offsets = _run_chain(
            self.data, self.pieces, self.runs, self.order, sizes, int(random.integers(1, 1 << 62)), out
        )
        return _texts(out, offsets)


@njit(cache=True)
def _run_chain(
    data: NDArray[np.uint8],
    pieces: NDArray[np.int32],
    runs: NDArray[np.int32],
    order: NDArray[np.int32],
    sizes: NDArray[np.int64],
    seed: int,
    out: NDArray[np.uint8],
) -> Any:
    """out: a chain for each size, in bytes; where each begins and ends."""
    state, n = np.uint64(seed), len(order[0])
    low = np.uint64((1 << 32) - 1)
    offsets = np.zeros(len(sizes) + 1, np.int64)
    at = 0
    for document in range(len(sizes)):
        place, deepest = np.int64(n), document % len(order)
        while at - offsets[document] < sizes[document]:
            state ^= state << np.uint64(13)
            state ^= state >> np.uint64(7)
            state ^= state << np.uint64(17)
            chance = state & low
            if place >= n:
                place = np.int64((chance * np.uint64(n)) >> np.uint64(32))
            k = deepest
            if state >> np.uint64(62) == 0:
                while k > 0 and runs[k, place, 1] == 1:
                    k -= 1
            among = np.int64((chance * np.uint64(runs[k, place, 1])) >> np.uint64(32))
            place = np.int64(order[k, runs[k, place, 0] + among]) + 1
            if place < n:
                for j in range(pieces[place, 1]):
                    out[at + j] = data[pieces[place, 0] + j]
                at += pieces[place, 1]
        offsets[document + 1] = at
    return offsets
