"""The file of counts: its bytes do not follow the tables it is made of; weights are rounded, never lost."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seimai.files import sha256_file
from seimai.tokenizer import count_table
from seimai.tokenizer.count_table import weighted, write_table


def _table(first: int, last: int) -> pa.Table:
    rows = [{"pretoken": f"{n:05d}".encode(), "count_en": n % 5, "count_ja": n % 3} for n in range(first, last)]
    return pa.Table.from_pylist(rows)


@pytest.mark.parametrize("step", [1, 7, 100, 1000])
def test_bytes_do_not_follow_the_ranges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    monkeypatch.setattr(count_table, "ROW_GROUP", 64)
    for name, width in (("whole", 1000), ("cut", step)):
        tables = (weighted(_table(at, min(1000, at + width)), {"en": 1, "ja": 1}, 0) for at in range(0, 1000, width))
        assert write_table(tmp_path / name, tables) == 1000 - 67  # 67 multiples of 15 have no count in either
    assert sha256_file(tmp_path / "whole") == sha256_file(tmp_path / "cut")
    file = pq.ParquetFile(tmp_path / "cut")
    assert [file.metadata.row_group(n).num_rows for n in range(3)] == [64, 64, 64]
    file.close()


def test_weights_round_to_the_nearest() -> None:
    table = pa.table({"pretoken": [b"a", b"b", b"c"], "count_en": [1, 0, 3], "count_ja": [0, 1, 2]})
    found = weighted(table, {"en": 4, "ja": 7}, 2)
    # In quarters: 4, 7, 12 + 14.
    assert found["count"].to_pylist() == [1, 2, 7]
    assert found.column_names == ["pretoken", "count", "count_en", "count_ja"]
