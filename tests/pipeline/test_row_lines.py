"""Lines of a slice: every line of a file in exactly one slice, with its number, whatever the packing and the cuts."""

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from hashlib import sha256

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from seimai.pipeline.row_lines import BLOCK_BYTES, Line, LineReader

PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


def read(data: bytes, packing: str, start: int, stop: int, limit: int = 1 << 20) -> tuple[list[Line], LineReader]:
    """The lines that begin in a slice."""
    reader = LineReader(
        io.BytesIO(data), start=start, stop=stop, size=len(data), compression=packing, max_line_bytes=limit
    )
    found = []
    for line in reader:
        if line.place >= stop:
            break
        found.append(line)
    reader.close()
    return found, reader


def split(data: bytes, packing: str, step: int) -> list[Line]:
    return [
        line
        for start in range(0, len(data), step)
        for line in read(data, packing, start, min(start + step, len(data)))[0]
    ]


def expected(text: bytes) -> list[tuple[int, bytes]]:
    lines = text.split(b"\n")
    return list(enumerate(lines if lines[-1] else lines[:-1]))


@given(
    st.binary(max_size=200).map(lambda b: b.replace(b"\x00", b"\n")), st.integers(1, 40), st.sampled_from(list(PACK))
)
def test_every_line_is_in_one_slice(text: bytes, step: int, packing: str) -> None:
    found = split(PACK[packing](text), packing, step)
    assert [(line.number, line.data) for line in found] == expected(text)
    assert not any(line.cut for line in found)


@pytest.mark.parametrize("packing", PACK)
def test_lines_longer_than_a_block_and_many_streams(packing: str) -> None:
    pieces = [b"a" * (BLOCK_BYTES + 7) + b"\nb\n", b"", b"c" * BLOCK_BYTES, b"\n\nd"]
    data = b"".join(PACK[packing](piece) for piece in pieces)
    found = split(data, packing, max(1, len(data) // 3))
    assert [(line.number, line.data) for line in found] == expected(b"".join(pieces))


def test_the_digest_covers_the_file_to_the_end_of_the_slice() -> None:
    data = b"one\ntwo\nthree\nfour\n"
    for start, stop in ((0, 6), (6, 12), (12, len(data))):
        _, reader = read(data, "", start, stop)
        assert (reader.digest, reader.hashed_bytes) == (sha256(data[:stop]).hexdigest(), stop)


def test_a_long_line_is_cut_and_the_next_one_stands() -> None:
    (long, short), _ = read(b"x" * 3_000_000 + b"\nshort\n", "", 0, 4_000_000, limit=1000)
    assert (long.data, long.cut) == (b"x" * 1000, True)
    assert (short.number, short.data, short.cut) == (1, b"short", False)


@pytest.mark.parametrize("packing", [name for name in PACK if name])
def test_a_cut_file_gives_what_is_whole_and_is_counted_once(packing: str) -> None:
    import random

    text = b"\n".join(random.Random(1).randbytes(20).hex().encode() for _ in range(60_000))
    whole = PACK[packing](text)
    data = whole[: len(whole) * 3 // 4]
    step = len(data) // 2 + 1
    halves = [read(data, packing, start, min(start + step, len(data))) for start in (0, step)]
    found = [line.data for lines, _ in halves for line in lines]
    assert 10_000 < len(found) < 60_000
    assert text.split(b"\n")[: len(found) - 1] == found[:-1]
    assert [dict(reader.faults) for _, reader in halves] == [{}, {"cut_stream": 1}]


@pytest.mark.parametrize("packing", [name for name in PACK if name])
def test_damage_is_counted_and_nothing_behind_it_is_believed(packing: str) -> None:
    data = bytearray(PACK[packing](b"\n".join(b"line %d" % k for k in range(50_000))))
    data[len(data) // 2 :] = b"\xff" * 1000
    found, reader = read(bytes(data), packing, 0, len(data))
    # gzip unpacks damage as text until it meets what cannot be, or the checksum.
    good = min(len(found) - 1, 20_000 if packing == ".gz" else len(found))
    assert [(line.number, line.data) for line in found[:good]] == [(k, b"line %d" % k) for k in range(good)]
    assert sum(reader.faults.values()) == 1
