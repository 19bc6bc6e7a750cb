"""Counts in memory and on disk: patterns of both engines, hashes, and files that are no counts."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seimai.errors import RunError, VerifyError
from seimai.tokenizer.counts import FILE, count, counts_hash, finder, is_counts, load_counts_manifest, read_counts


def _batch(texts: list[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.large_string())})


@pytest.mark.parametrize("pattern", [r"\S+|\s+", r"\p{L}+|\P{L}+"])
def test_both_kinds_of_patterns_cut(pattern: str) -> None:
    assert finder(pattern)("東京 x") == ["東京", " ", "x"]


def test_batches_and_their_order_change_nothing() -> None:
    texts = ["b a", "a", "", "米 a"]
    one = count([_batch(texts)], r"\S+|\s")
    other = count([_batch([text]) for text in reversed(texts)], r"\S+|\s")
    assert one.equals(other)
    assert one.to_pydict() == {"pretoken": [b" ", b"a", b"b", "米".encode()], "count": [2, 3, 1, 1]}
    assert counts_hash(one) == counts_hash(other) != counts_hash(count([_batch(texts[:2])], r"\S+|\s"))


def test_the_hash_is_of_every_boundary() -> None:
    tables = [count([_batch([text])], r"\w+") for text in ("ab c", "a bc", "abc", "")]
    assert len({counts_hash(table) for table in tables}) == 4


def test_what_is_no_counts_is_one_line(tmp_path: Path) -> None:
    assert not is_counts(tmp_path)
    (tmp_path / "manifest.json").write_text("[1]")
    assert not is_counts(tmp_path)
    with pytest.raises(RunError, match="seimai tokenizer count"):
        load_counts_manifest(tmp_path)
    with pytest.raises(VerifyError, match=FILE):
        read_counts(tmp_path)
    pq.write_table(pa.table({"pretoken": [b"a"]}), tmp_path / FILE)
    with pytest.raises(VerifyError, match=FILE) as caught:
        read_counts(tmp_path)
    assert "\n" not in str(caught.value)
