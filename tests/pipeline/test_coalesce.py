"""Ranges hold every record once and no gap that is too long; what comes back is checked record by record."""

import base64
import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.common_crawl import CommonCrawl, Fault

from seimai.pipeline.coalesce import Member, RangeReader, members_digest, most_of, spans
from seimai.pipeline.fetch_config import Access
from seimai.pipeline.rate import Pace
from seimai.pipeline.run import process_limiter

Make = Callable[..., bytes]
FAST = Access("me@example.org", ("127.0.0.1",), Pace(2000.0, 1, 0.01, 0.05), 8, 0.5, 2000)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50), st.integers(1, 30)), max_size=60),
    st.integers(0, 40),
    st.integers(1, 90),
)
def test_ranges_cover_the_records_and_nothing_too_far(
    rows: list[tuple[int, int, int]], max_gap: int, max_range: int
) -> None:
    placed, ends = [], dict.fromkeys(range(4), 0)
    for number, gap, size in sorted(rows, key=lambda row: row[0]):
        placed.append((number, ends[number] + gap, size))
        ends[number] += gap + size
    numbers, offset, sizes = (np.array([row[at] for row in placed], np.int64) for at in range(3))
    found = spans(numbers, offset, sizes, max_gap_bytes=max_gap, max_range_bytes=max_range)
    assert found.count.sum() == len(placed)
    expected = 0
    for start, stop, first, count in zip(found.start, found.stop, found.first, found.count, strict=True):
        assert first == expected
        expected += count
        inside = placed[first : first + count]
        assert (start, stop) == (inside[0][1], inside[-1][1] + inside[-1][2])
        assert len({row[0] for row in inside}) == 1
        assert stop - start <= max_range or count == 1
        gaps = [b[1] - a[1] - a[2] for a, b in itertools.pairwise(inside)]
        assert all(gap <= max_gap for gap in gaps)
        if expected < len(placed) and placed[expected][0] == inside[0][0]:  # and none is cut without need
            following = placed[expected]
            assert following[1] - stop > max_gap or following[1] + following[2] - start > max_range


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40), st.integers(1, 60)), max_size=40),
    st.integers(0, 40),
    st.integers(1, 120),
    st.randoms(use_true_random=False),
)
def test_no_choice_of_records_takes_more_than_the_most(
    rows: list[tuple[int, int, int]], max_gap: int, max_range: int, random: Random
) -> None:
    placed, ends = [], dict.fromkeys(range(3), 0)
    for number, gap, size in sorted(rows, key=lambda row: row[0]):
        placed.append((number, ends[number] + gap, size))
        ends[number] += gap + size
    limits = {"max_gap_bytes": max_gap, "max_range_bytes": max_range}
    numbers, offset, length = (np.array([row[at] for row in placed], np.int64) for at in range(3))
    most_bytes, most_requests = most_of(numbers, offset, length, **limits)
    for share in (0.0, 0.2, 0.5, 0.8, 1.0):
        chosen = np.array([random.random() < share for _ in placed], bool)
        found = spans(numbers[chosen], offset[chosen], length[chosen], **limits)
        assert found.n_bytes <= most_bytes
        assert len(found.start) <= most_requests <= len(placed)


@pytest.fixture
def archive(warc_record: Make, warc_archive: Make, http_page: Make) -> tuple[bytes, list[Member]]:
    """An archive of twelve pages, and the members of every second one."""
    data, members = b"", []
    for number in range(12):
        page = http_page(number, f"text of page {number} " * 40)
        body = page.partition(b"\r\n\r\n")[2]
        sha1 = base64.b32encode(hashlib.sha1(body).digest()).decode()
        record = warc_archive([warc_record(number, page)])
        if number % 2:
            members.append(Member(len(data), len(record), sha1))
        data += record
    return data, members


def read(place: str, members: list[Member]) -> tuple[list[tuple[int, bytes]], RangeReader]:
    start, stop = members[0].offset, members[-1].offset + members[-1].length
    reader = RangeReader(place, FAST, members, start=start, stop=stop, max_record_bytes=1 << 20)
    return [(record.offset, record.content) for record in reader], reader


def test_the_wanted_records_come_and_no_others(tmp_path: Path, archive: tuple[bytes, list[Member]]) -> None:
    data, members = archive
    (tmp_path / "x.warc.gz").write_bytes(data)
    found, reader = read(str(tmp_path / "x.warc.gz"), members)
    assert [offset for offset, _ in found] == [member.offset for member in members]
    assert [b"page %d " % n in content for n, (_, content) in zip(range(1, 12, 2), found, strict=True)] == [True] * 6
    whole = data[members[0].offset : members[-1].offset + members[-1].length]
    assert reader.digest == hashlib.sha256(whole).hexdigest()
    assert not reader.faults


@pytest.mark.parametrize("kind", ["flip", "wrong", "short", "ignored"])
def test_only_what_is_broken_is_asked_for_again(tmp_path: Path, archive: tuple[bytes, list[Member]], kind: str) -> None:
    data, members = archive
    (tmp_path / "x.warc.gz").write_bytes(data)
    (tmp_path / "local").write_bytes(data)
    expected, _ = read(str(tmp_path / "local"), members)
    process_limiter.cache_clear()
    with CommonCrawl(tmp_path) as server:
        place = members[2].offset + members[2].length // 2
        server.faults = [Fault(kind, times=1, after=place if kind == "flip" else 100)]
        found, reader = read(server.url + "x.warc.gz", members)
    assert found == expected
    if kind == "flip":
        assert reader.faults == {"mended_record": 1}
        assert server.log[1].range == (members[2].offset, members[2].offset + members[2].length)
    assert len(server.log) == 2


def test_what_is_wrong_at_the_origin_is_counted(tmp_path: Path, archive: tuple[bytes, list[Member]]) -> None:
    data, members = archive
    (tmp_path / "x.warc.gz").write_bytes(data)
    members[1] = Member(members[1].offset, members[1].length, "A" * 32)
    found, reader = read(str(tmp_path / "x.warc.gz"), members)
    assert len(found) == 6
    assert reader.faults == {"wrong_digest": 1}


def test_a_choice_of_records_has_a_name() -> None:
    one, two = Member(0, 5, ""), Member(5, 5, "")
    assert members_digest([]) == ""
    assert len({members_digest([one]), members_digest([two]), members_digest([one, two])}) == 3
