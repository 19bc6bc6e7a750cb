"""Records from slices of archives: each found exactly once whatever the cuts, and damage costs only what it hits."""

import gzip
import hashlib
import io
import random
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fastwarc.warc import ArchiveIterator
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seimai.pipeline.warc import UNIT_BYTES, Record, SliceReader, member_start

LIMIT = 16 << 20


def record(
    number: int, body: bytes, kind: str = "response", headers: Sequence[str] = (), length: int | None = None
) -> bytes:
    lines = ["WARC/1.0", f"WARC-Type: {kind}", f"X-Number: {number}", *headers]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body + b"\r\n\r\n"


def archive(records: Sequence[bytes], level: int = 6) -> bytes:
    return b"".join(gzip.compress(one, level, mtime=0) for one in records)


def reader(data: bytes, start: int = 0, stop: int | None = None, begin: int | None = None, **more: Any) -> SliceReader:
    end = len(data) if stop is None else stop
    limit = more.get("max_record_bytes", LIMIT)
    return SliceReader(io.BytesIO(data), start=start, stop=end, size=len(data), begin=begin, max_record_bytes=limit)


def read_parts(data: bytes, part_bytes: int) -> tuple[list[Record], list[SliceReader]]:
    """All parts, each read again from its predecessor's end where the two do not meet, as the driver does."""
    found: list[Record] = []
    readers = []
    expected: int | None = 0
    for start in range(0, len(data), part_bytes):
        stop = min(start + part_bytes, len(data))
        slice_reader = reader(data, start, stop)
        records = list(slice_reader)
        wanted = expected if expected is not None and expected < stop else None
        if expected and slice_reader.first_offset != wanted:
            slice_reader = reader(data, start, stop, begin=expected)
            records = list(slice_reader)
        expected = slice_reader.next_offset if slice_reader.first_offset is not None else expected
        found += records
        readers.append(slice_reader)
    return found, readers


def numbers(records: Sequence[Record]) -> list[int]:
    return [int(one.headers["x-number"]) for one in records]


def places(records: Sequence[Record]) -> list[tuple[int, int, bytes]]:
    return [(one.offset, one.index, one.content) for one in records]


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


BODIES = [noise(40 + 37 * n % 900, n) + b"text " * (n % 40) for n in range(60)]
RECORDS = [record(n, body) for n, body in enumerate(BODIES)]
ARCHIVE = archive(RECORDS)
STARTS = [sum(len(gzip.compress(one, 6, mtime=0)) for one in RECORDS[:n]) for n in range(len(RECORDS) + 1)]


def test_a_record_keeps_its_place_headers_and_content() -> None:
    data = archive([record(0, b"a", kind="WarcInfo"), record(1, b"\x00\r\nb\r\n\r\n", headers=["WARC-Date: 2026"])])
    first, second = reader(data)
    assert (first.offset, first.index, first.kind, first.content) == (0, 0, "warcinfo", b"a")
    assert second.offset == len(archive([record(0, b"a", kind="WarcInfo")]))
    assert (second.content, second.headers["warc-date"], second.truncated) == (b"\x00\r\nb\r\n\r\n", "2026", False)


@pytest.mark.parametrize("part_bytes", [1, 19, 500, 5000, 10**6])
def test_every_record_is_found_once_for_any_part_size(part_bytes: int) -> None:
    data = ARCHIVE if part_bytes > 1 else ARCHIVE[: STARTS[3]]
    records, readers = read_parts(data, part_bytes)
    assert [one.content for one in records] == BODIES[: len(records)]
    assert [one.offset for one in records] == [start for start in STARTS if start < len(data)]
    assert not any(one.skipped_bytes or one.faults for one in readers)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=12), st.integers(1, 2000), st.integers(0, 9))
def test_cuts_change_nothing(bodies: list[bytes], part_bytes: int, level: int) -> None:
    data = archive([record(n, body) for n, body in enumerate(bodies)], level)
    records, readers = read_parts(data, max(part_bytes, len(data) // 50))
    assert numbers(records) == list(range(len(bodies)))
    assert [one.content for one in records] == bodies
    filled = [one for one in readers if one.first_offset is not None]
    assert [one.first_offset for one in filled[1:]] == [one.next_offset for one in filled[:-1]]
    assert (filled[0].first_offset, filled[-1].next_offset) == (0, len(data))


@pytest.mark.parametrize("beyond", [0, 1, 1 << 40])
@pytest.mark.parametrize("start", [0, 300])
def test_a_stop_behind_the_end_is_the_end(beyond: int, start: int) -> None:
    data = archive([record(n, b"x" * 500) for n in range(8)])
    whole, over = reader(data, start), reader(data, start, len(data) + beyond)
    assert list(whole) == list(over)
    assert (whole.digest, whole.hashed_bytes, whole.first_offset, whole.next_offset) == (
        *(over.digest, over.hashed_bytes, over.first_offset, over.next_offset),
    )
    assert not over.faults
    shorter = SliceReader(  # a file that lost its end since its size was asked for
        io.BytesIO(data[:-40]), start=0, stop=len(data), size=len(data), begin=0, max_record_bytes=LIMIT
    )
    assert len(list(shorter)) >= 7
    assert sum(shorter.faults.values())


def headed(data: bytes, flags: int, fields: bytes, time: int = 0, level: int = 0, system: int = 255) -> bytes:
    """A gzip member whose head is written by hand (RFC 1952)."""
    head = b"\x1f\x8b\x08" + bytes([flags]) + time.to_bytes(4, "little") + bytes([level, system]) + fields
    if flags & 2:
        head += (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little")
    deflate = zlib.compressobj(wbits=-15)
    body = deflate.compress(data) + deflate.flush()
    return head + body + zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little")


@pytest.mark.parametrize("part_bytes", [100, 10**6])
@pytest.mark.parametrize(
    ("flags", "fields"),
    [
        (0, b""),
        (1, b""),
        (2, b""),
        (4, b"\x08\x00sl\x04\x00abcd"),
        (4, b"\xff\xff" + b"x" * 65535),
        (8, b"a-name.warc\x00"),
        (8, b"n" * 9000 + b"\x00"),
        (16, b"a comment\x00"),
        (31, b"\x04\x00abcdname\x00comment\x00"),
    ],
)
def test_a_members_head_may_hold_all_that_gzip_knows(flags: int, fields: bytes, part_bytes: int) -> None:
    made = [record(n, b"x" * 300) for n in range(4)]
    data = b"".join(headed(one, flags, fields, time=n * 1000, level=n, system=n) for n, one in enumerate(made))
    assert b"".join(gzip.decompress(headed(one, flags, fields)) for one in made) == b"".join(made)
    records, readers = read_parts(data, part_bytes)
    assert numbers(records) == [0, 1, 2, 3]
    assert not any(one.faults or one.skipped_bytes for one in readers)


@pytest.mark.parametrize("flag", [32, 64, 128])
def test_a_reserved_flag_makes_it_no_member(flag: int) -> None:
    """A decompressor must refuse what it does not know (RFC 1952, 2.3.1.2): the record is lost, and counted."""
    made = [record(n, b"x" * 300) for n in range(3)]
    data = headed(made[0], 0, b"") + headed(made[1], flag, b"") + headed(made[2], 0, b"")
    one = reader(data, begin=0)
    assert numbers(list(one)) == [0, 2]
    assert one.skipped_bytes == len(headed(made[1], flag, b""))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6000), st.integers(0, 5))
def test_the_digest_covers_the_slice(part_bytes: int, number: int) -> None:
    start = min(number * part_bytes, len(ARCHIVE) - 1)
    stop = min(start + part_bytes, len(ARCHIVE))
    slice_reader = reader(ARCHIVE, start, stop)
    list(slice_reader)
    assert slice_reader.hashed_bytes >= stop - start
    assert slice_reader.digest == hashlib.sha256(ARCHIVE[start : start + slice_reader.hashed_bytes]).hexdigest()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, len(ARCHIVE) - 50), st.sampled_from([b"\x00" * 50, b"\x55" * 50, noise(50)]), st.integers(50, 9000)
)
@example(STARTS[20] - 25, b"\x55" * 50, 1000)
def test_fifty_overwritten_bytes_cost_a_record_or_two(at: int, damage: bytes, part_bytes: int) -> None:
    data = ARCHIVE[:at] + damage + ARCHIVE[at + 50 :]
    records, _ = read_parts(data, part_bytes)
    hit = {n for n in range(len(RECORDS)) if STARTS[n] < at + 50 and STARTS[n + 1] > at}
    whole = [(STARTS[n], 0, body) for n, body in enumerate(BODIES) if n not in hit]
    assert [place for place in places(records) if place[0] not in {STARTS[n] for n in hit}] == whole
    assert len(hit) <= 2


def test_damage_at_the_start_of_a_member_leaves_the_one_before() -> None:
    """The damaged bytes inflate to something that looks like the rest of a record."""
    at = STARTS[2] + 11
    data = ARCHIVE[:at] + b"\x55" * 50 + ARCHIVE[at + 50 :]
    assert numbers(list(reader(data))) == [n for n in range(60) if n != 2]


def test_damage_is_counted_and_leaves_the_chain_open() -> None:
    at = (STARTS[20] + STARTS[21]) // 2
    data = ARCHIVE[:at] + b"\x55" * 20 + ARCHIVE[at + 20 :]
    slice_reader = reader(data)
    assert numbers(list(slice_reader)) == [n for n in range(60) if n != 20]
    assert slice_reader.faults == {"broken_member": 1}
    assert slice_reader.skipped_bytes == STARTS[21] - STARTS[20] - 1
    slice_reader = reader(data, 0, at)
    list(slice_reader)
    assert (slice_reader.first_offset, slice_reader.next_offset) == (0, None)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, len(ARCHIVE) - 1))
@example(STARTS[5])
@example(STARTS[5] + 3)
@example(68)
def test_a_clipped_archive_keeps_what_is_before_the_cut(cut: int) -> None:
    slice_reader = reader(ARCHIVE[:cut])
    records = list(slice_reader)
    whole = sum(1 for end in STARTS[1:] if end <= cut)
    assert places(records)[:whole] == [(STARTS[n], 0, BODIES[n]) for n in range(whole)]
    assert len(records) <= whole + 1
    for one in records[whole:]:
        assert BODIES[whole].startswith(one.content)
        assert one.truncated or one.content == BODIES[whole]


def test_a_record_cut_by_the_end_of_the_archive_is_marked() -> None:
    body = noise(5000)
    data = archive([record(0, b"whole"), record(1, body)])
    slice_reader = reader(data[:-2000])
    first, last = slice_reader
    assert (first.truncated, last.truncated) == (False, True)
    assert body.startswith(last.content)
    assert len(last.content) > 2000
    assert slice_reader.faults == {"cut_member": 1, "record_cut_short": 1}


@pytest.mark.parametrize("part_bytes", [100, 3000, 10**6])
def test_an_archive_that_is_one_member_belongs_to_its_first_part(part_bytes: int) -> None:
    data = gzip.compress(b"".join(RECORDS), mtime=0)
    records, _ = read_parts(data, part_bytes)
    assert places(records) == [(0, n, body) for n, body in enumerate(BODIES)]


def test_a_record_may_go_on_in_the_next_member() -> None:
    whole = b"".join(RECORDS[:5])
    cuts = [0, 100, 700, len(RECORDS[0]), len(whole)]
    members = [gzip.compress(whole[a:b], mtime=0) for a, b in zip(sorted(cuts), sorted(cuts)[1:], strict=False)]
    records, _ = read_parts(b"".join(members), 10**6)
    assert [one.content for one in records] == BODIES[:5]


INNER = archive([record(1000 + n, noise(200, n)) for n in range(80)])


@pytest.mark.parametrize("part_bytes", [64, 333, 1000, 4096, 20_000, 10**7])
@pytest.mark.parametrize("level", [0, 9])
def test_an_archive_inside_a_payload_stays_a_payload(part_bytes: int, level: int) -> None:
    bodies = [b"before", b"head" + INNER + b"tail", b"after", INNER, b"end"]
    data = archive([record(n, body) for n, body in enumerate(bodies)], level)
    if level == 0:
        assert INNER[:200] in data, "the inner members must be visible in the compressed bytes"
    records, _ = read_parts(data, part_bytes)
    assert numbers(records) == [0, 1, 2, 3, 4]
    assert [one.content for one in records] == bodies


def test_an_uncompressed_archive_is_one_part() -> None:
    data = b"".join(RECORDS)
    slice_reader = reader(data)
    records = list(slice_reader)
    starts = [sum(map(len, RECORDS[:n])) for n in range(len(RECORDS))]
    assert places(records) == [(start, 0, body) for start, body in zip(starts, BODIES, strict=True)]
    assert (slice_reader.first_offset, slice_reader.next_offset) == (0, len(data))
    assert slice_reader.digest == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("wrong", [-30, -1, 1, 30, 400, 10**9])
def test_a_wrong_content_length_costs_its_own_record(plain: bool, wrong: int) -> None:
    bodies = [b"line of text\n" * 20 for _ in range(6)]
    records = [record(n, body) for n, body in enumerate(bodies)]
    records[2] = record(2, bodies[2], length=len(bodies[2]) + wrong)
    data = b"".join(records)
    found = list(reader(data if plain else gzip.compress(data, mtime=0)))
    assert numbers(found) == list(range(6))
    starts = [sum(map(len, records[:n])) for n in range(6)]
    assert [(one.offset, one.index) for one in found] == [(starts[n], 0) if plain else (0, n) for n in range(6)]
    assert [one.content for one in found if one.headers["x-number"] != "2"] == [
        b for n, b in enumerate(bodies) if n != 2
    ]


@pytest.mark.parametrize("plain", [True, False])
def test_many_wrong_lengths_in_one_stream(plain: bool) -> None:
    wrong = {2: 40, 3: -40, 7: 300, 11: 10**9}
    bodies = [b"line of text\n" * 20 for _ in range(14)]
    records = [record(n, body, length=len(body) + wrong.get(n, 0)) for n, body in enumerate(bodies)]
    data = b"".join(records)
    found = list(reader(data if plain else gzip.compress(data, mtime=0)))
    assert numbers(found) == list(range(14))
    assert {int(one.headers["x-number"]) for one in found if one.content != bodies[0]} == set(wrong)
    if plain:
        assert [one.offset for one in found] == [sum(map(len, records[:n])) for n in range(14)]


@pytest.mark.parametrize("zeros", [1, 64, 100_000])
def test_zero_bytes_between_records_are_skipped(zeros: int) -> None:
    members = [gzip.compress(one, mtime=0) for one in RECORDS[:6]]
    slice_reader = reader(b"".join(members[:3]) + bytes(zeros) + b"".join(members[3:]))
    assert numbers(list(slice_reader)) == list(range(6))
    assert slice_reader.skipped_bytes == zeros
    plain = b"".join(RECORDS[:3]) + bytes(zeros) + b"".join(RECORDS[3:6])
    assert set(numbers(list(reader(plain)))) >= {0, 1, 2, 4, 5}


def test_a_record_over_the_limit_is_cut_and_marked() -> None:
    data = archive([record(0, b"x" * 5000), record(1, b"y" * 1000)])
    slice_reader = reader(data, max_record_bytes=2000)
    first, second = slice_reader
    assert (first.content, first.truncated) == (b"x" * 2000, True)
    assert (second.content, second.truncated) == (b"y" * 1000, False)
    assert slice_reader.faults == {"record_over_limit": 1}


def test_truncation_by_the_crawler_is_kept() -> None:
    (one,) = reader(archive([record(0, b"x", headers=["WARC-Truncated: length"])]))
    assert one.truncated


@pytest.fixture(scope="module")
def long_archive() -> tuple[bytes, bytes]:
    body = noise(1 << 20) * (2 + UNIT_BYTES // (1 << 20))
    return body, archive([record(0, b"first"), record(1, body), record(2, b"last")], level=1)


def test_a_long_member_is_streamed(long_archive: tuple[bytes, bytes]) -> None:
    body, data = long_archive
    records, readers = read_parts(data, 3 << 20)
    assert [one.content for one in records] == [b"first", body, b"last"]
    assert not any(one.faults for one in readers)


def test_a_long_member_that_breaks_costs_itself(long_archive: tuple[bytes, bytes]) -> None:
    _, data = long_archive
    at = len(data) * 9 // 10
    slice_reader = reader(data[:at] + bytes(50) + data[at + 50 :])
    assert numbers(list(slice_reader)) == [0, 2]
    assert slice_reader.faults["broken_member"] == 1


class FailingFile(io.BytesIO):
    """A file on a disk or server that fails once, behind `good_bytes`."""

    good_bytes = 0

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= self.good_bytes:
            self.good_bytes = len(self.getvalue())
            raise OSError(5, "input/output error")
        return super().read(size)


@pytest.mark.parametrize("kind", ["members", "one member", "plain", "long member"])
def test_a_failing_disk_is_no_damage_of_the_archive(kind: str, long_archive: tuple[bytes, bytes]) -> None:
    records = [record(n, noise(100_000, n)) for n in range(20)]
    data = {
        "members": archive(records),
        "one member": gzip.compress(b"".join(records), 1, mtime=0),
        "plain": b"".join(records),
        "long member": long_archive[1],
    }[kind]
    file = FailingFile(data)
    file.good_bytes = len(data) * 3 // 4
    slice_reader = SliceReader(file, start=0, stop=len(data), size=len(data), begin=None, max_record_bytes=LIMIT)
    with pytest.raises(OSError, match="input/output"):
        list(slice_reader)


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=2000), st.sampled_from([b"", b"WARC/", b"WARC/1.0\r\n", b"\x1f\x8b\x08", ARCHIVE[: STARTS[2]]])
)
def test_any_bytes_are_read_without_an_error(data: bytes, head: bytes) -> None:
    for one in reader(head + data):
        assert isinstance(one, Record)


@settings(max_examples=150, deadline=None)
@given(
    st.booleans(),
    st.lists(
        st.tuples(st.integers(0, STARTS[8]), st.integers(0, 400), st.binary(max_size=60)),
        min_size=1,
        max_size=4,
    ),
    st.integers(200, 5000),
)
def test_any_mutation_is_read_without_an_error(
    plain: bool, edits: list[tuple[int, int, bytes]], part_bytes: int
) -> None:
    data = b"".join(RECORDS[:8]) if plain else ARCHIVE[: STARTS[8]]
    for at, removed, added in edits:
        data = data[:at] + added + data[at + removed :]
    step = len(data) + 1 if plain else part_bytes
    for start in range(0, len(data), step):
        stop = min(start + step, len(data))
        slice_reader = reader(data, start, stop)
        for one in slice_reader:
            assert start <= one.offset < stop
            assert len(one.content) <= LIMIT
        assert slice_reader.next_offset is None or slice_reader.next_offset <= len(data)
        assert 0 <= slice_reader.skipped_bytes <= len(data)


@pytest.mark.parametrize(
    ("data", "start", "stop", "found"),
    [
        (b"", 0, 0, None),
        (ARCHIVE, 0, len(ARCHIVE), 0),
        (ARCHIVE, 1, len(ARCHIVE), STARTS[1]),
        (ARCHIVE, 1, STARTS[1], None),
        (ARCHIVE, STARTS[1], STARTS[1] + 1, STARTS[1]),
        (gzip.compress(b"no archive", mtime=0), 0, 100, None),
        (bytes((1 << 15) - 2) + ARCHIVE, 0, 1 << 17, (1 << 15) - 2),
    ],
)
def test_member_start(data: bytes, start: int, stop: int, found: int | None) -> None:
    assert member_start(io.BufferedReader(io.BytesIO(data)), start, stop) == found


COUNTS = {
    "bad_redirections.warc.gz": {"response": 42},
    "cc_2019_1page.warc.gz": {"response": 1},
    "cc_main_2015-35_sample.warc.wet.gz": {"warcinfo": 1, "conversion": 2},
    "cc_main_2020-34_16pages.warc.gz": {"response": 16, "request": 17, "metadata": 16},
    "cc_whirlwind_2024-22.warc.gz": {"response": 1},
    "cc_whirlwind_2024-22.warc.wet.gz": {"conversion": 1},
    "wget_dolma_sample-0000.warc.gz": {"response": 22},
}


@pytest.mark.parametrize("name", sorted(COUNTS))
@pytest.mark.parametrize("part_bytes", [20_000, 1 << 30])
def test_real_archives(real_warcs: Path, name: str, part_bytes: int) -> None:
    records, readers = read_parts((real_warcs / name).read_bytes(), part_bytes)
    kinds = Counter(one.kind for one in records)
    assert {kind: kinds[kind] for kind in COUNTS[name]} == COUNTS[name]
    assert not any(one.faults for one in readers)


LINES = [
    *("X-A: one", "X-A: two words", "X-A:none", "X-A:  two", "X-A: end ", "X-A:", "X-A: ", "X-A: a: b", "X-A\t: tab"),
    *("x_a: b", "X-A: é", " folded", "no colon", "WARC-Truncated: length", "Content-Length: 3", "content-length: 03"),
]


@given(st.lists(st.sampled_from(LINES), max_size=4), st.binary(max_size=9), st.sampled_from(["1.0", "1.1", "0.18"]))
def test_headers_are_read_as_fastwarc_reads_them(lines: list[str], body: bytes, written_as: str) -> None:
    data = record(1, body, headers=lines).replace(b"WARC/1.0", f"WARC/{written_as}".encode(), 1)
    peer = []
    try:
        for one in ArchiveIterator(io.BytesIO(data), parse_http=False):
            peer.append(({name.lower(): value for name, value in one.headers}, one.reader.read()))
    except OSError:
        return
    found = list(reader(archive([data])))
    if len(peer) == 1 and written_as != "0.18":
        assert [(one.headers, one.content) for one in found] == peer


@pytest.mark.parametrize(
    "name", ["cc_main_2020-34_16pages.warc.gz", "damaged_nonchunked.warc.gz", "warcio_chunked.warc"]
)
def test_real_archives_as_fastwarc_reads_them(real_warcs: Path, name: str) -> None:
    data = (real_warcs / name).read_bytes()
    peer = [(r.record_id, r.reader.read()) for r in ArchiveIterator(io.BytesIO(data), parse_http=False)]
    assert [(one.headers["warc-record-id"], one.content) for one in reader(data)] == peer


def test_real_damaged_archives(real_warcs: Path) -> None:
    clipped = list(reader((real_warcs / "damaged_clipped.warc.gz").read_bytes()))
    assert [one.truncated for one in clipped if one.kind == "response"] == [True]
    wrong = reader((real_warcs / "damaged_trunc.warc").read_bytes())
    assert [(one.kind, one.offset) for one in wrong] == [
        ("warcinfo", 0),
        ("warcinfo", 488),
        ("response", 1197),
        ("request", 2566),
    ]


def test_fifty_bytes_in_the_middle_of_a_real_archive(real_warcs: Path) -> None:
    data = bytearray((real_warcs / "packed_ja_en.warc.gz").read_bytes())
    middle = len(data) // 2
    whole = {one.offset for one in reader(bytes(data), middle - 1_000_000, middle + 1_000_000)}
    data[middle : middle + 50] = b"\x55" * 50
    slice_reader = reader(bytes(data), middle - 1_000_000, middle + 1_000_000)
    left = {one.offset for one in slice_reader}
    assert len(whole) > 300
    assert len(whole - left) in (1, 2)
    assert left < whole
    assert slice_reader.faults.total() >= 1
