"""Ranges of pre-tokens: whole, in order, of bounded size; shares of a capped host; damaged runs."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.errors import InputError
from seimai.tokenizer.count_kernels import capped_sums
from seimai.tokenizer.count_map import RUN
from seimai.tokenizer.count_merge import cut_ranges, merge_range

LANGS = ("en", "ja")


def _write(path: Path, first: int) -> Path:
    """A run of every third of 3,000 pre-tokens, each from four hosts."""
    entry = [{"host": host, "lang": host % 2, "count": host + 1, "documents": 1} for host in range(1, 5)]
    rows = [{"pretoken": f"{n:04d}".encode(), "entries": entry} for n in range(first, 3000, 3)]
    with pa.ipc.new_file(str(path), RUN) as file:
        file.write_table(pa.Table.from_pylist(rows, RUN))
    return path


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    return [_write(tmp_path / f"{first}.arrow", first) for first in range(3)]


@pytest.mark.parametrize("target", [10, 50, 1000, 10**6])
def test_ranges_meet_and_together_hold_everything(runs: list[Path], target: int) -> None:
    ranges = cut_ranges(runs, target)
    assert ranges[0][0] == b""
    assert ranges[-1][1] is None
    assert all(left[1] == right[0] for left, right in pairwise(ranges))
    tables = [merge_range(runs, bounds, LANGS, 3) for bounds in ranges]
    assert pa.concat_tables(tables)["pretoken"].to_pylist() == [f"{n:04d}".encode() for n in range(3000)]
    assert max(4 * table.num_rows for table in tables) <= 1.2 * target + 12
    for table in tables:
        # Hosts 1 to 4 wrote 2 to 5 each, of which 3 count.
        assert set(table["n_hosts"].to_pylist()) == {4}
        assert set(table["count_en"].to_pylist()) == {3 + 3}
        assert set(table["count_ja"].to_pylist()) == {2 + 3}


def test_a_truncated_run_is_one_line_that_names_it(runs: list[Path]) -> None:
    runs[1].write_bytes(runs[1].read_bytes()[:5000])
    with pytest.raises(InputError, match=r"1\.arrow: damaged .*; delete it") as caught:
        merge_range(runs, (b"", None), LANGS, 3)
    assert "\n" not in str(caught.value)


ENTRY = st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2), st.integers(1, 9))


@given(entries=st.lists(ENTRY, max_size=40), cap=st.integers(1, 12))
@settings(deadline=None)
def test_a_host_gives_at_most_its_cap_in_proportion(entries: list[tuple[int, int, int, int]], cap: int) -> None:
    entries = sorted(entries)
    columns = [np.array(column, np.int64) for column in zip(*entries, strict=True)] or [np.zeros(0, np.int64)] * 4
    types, hosts, langs, counts = columns
    ones = np.ones(len(entries), np.int64)
    documents, n_hosts, sums = capped_sums(
        types, hosts.astype(np.uint64), langs.astype(np.uint16), counts, ones, cap, 4, 3
    )
    for kind in range(4):
        own = [entry for entry in entries if entry[0] == kind]
        assert documents[kind] == len(own)
        named = {host for _, host, _, _ in own if host}
        assert n_hosts[kind] == len(named) + sum(host == 0 for _, host, _, _ in own)
        free = sum(count for _, host, _, count in own if host == 0)
        capped = sum(min(cap, sum(count for _, h, _, count in own if h == host)) for host in named)
        assert sums[kind].sum() == free + capped
        for lang in range(3):
            exact = float(sum(count for _, host, code, count in own if code == lang and host == 0))
            for host in named:
                total = sum(count for _, h, _, count in own if h == host)
                part = sum(count for _, h, code, count in own if h == host and code == lang)
                exact += part * min(cap, total) / total
            assert abs(sums[kind, lang] - exact) < max(1, len(named))


def test_little_is_one_range_without_being_told(runs: list[Path]) -> None:
    assert cut_ranges(runs) == [(b"", None)]
    assert cut_ranges([]) == [(b"", None)]
