"""Counts equal those of a plain loop; what two data sets share is told by id."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seimai.model.dataset_stats import dataset_diff, dataset_stats, quality_deciles


def test_counts_by_group(small_tokens: Path, documents: list[list[int]]) -> None:
    found = dataset_stats(small_tokens)
    assert (found.documents, found.n_tokens) == (len(documents), sum(map(len, documents)))
    assert found.n_bytes == found.n_tokens - 2 * found.documents
    for name in ("split", "source", "lang", "host", "quality_decile"):
        assert sum(group["documents"] for group in found.groups[name]) == len(documents), name
        assert sum(group["n_tokens"] for group in found.groups[name]) == found.n_tokens, name
    by_lang = {group["lang"]: group["documents"] for group in found.groups["lang"]}
    assert by_lang == {"ja": len(documents[::2]), "en": len(documents[1::2])}
    assert found.groups["quality_decile"][0]["quality_decile"] is None


def test_deciles_are_tenths() -> None:
    scores = pa.chunked_array([pa.array([*(n / 1000 for n in range(1000)), None], pa.float32())])
    found = quality_deciles(scores)
    assert found.null_count == 1
    counts = {row["values"]: row["counts"] for row in found.drop_null().value_counts().to_pylist()}
    assert set(counts) == set(range(1, 11))
    assert all(abs(count - 100) <= 1 for count in counts.values())


def test_what_two_sets_share(documents: list[list[int]], make_tokens: Callable[..., Path]) -> None:
    first = make_tokens(documents[:50], name="first")
    second = make_tokens([*documents[:39], documents[39] + [1, 2]], name="second")
    found = dataset_diff(first, second)
    assert found.counts["both"] == {"documents": 40, "n_tokens": sum(map(len, documents[:40]))}
    assert found.counts["only first"]["documents"] == 10
    assert found.counts["only second"] == {"documents": 0, "n_tokens": 0}
    assert found.retokenized == 1
    assert len(found.samples["only first"]) == 5
    assert found.samples["only second"] == []
    langs = {(row["what"], row["lang"]): row["documents"] for row in found.by_lang}
    assert langs["only first", "ja"] == langs["only first", "en"] == 5


@pytest.mark.parametrize("hosts", [1, 5])
def test_the_largest_hosts(make_tokens: Callable[..., Path], hosts: int) -> None:
    tokens = make_tokens([[256, *([65] * n), 257] for n in range(1, 9)], name="hosts")
    path = tokens / "docs-00000.parquet"
    table = pq.read_table(path)
    names = pa.array([f"h{n % 4}" for n in range(8)])
    # Same size is all that is checked here, so the file is replaced in a data set of its own.
    pq.write_table(table.set_column(table.schema.get_field_index("host"), "host", names), path)
    from tests.model.conftest import seal

    from seimai.files import read_json

    shards = read_json(tokens / "manifest.json")["shards"]
    seal(tokens, shards, ["tokens-00000.arrow", "docs-00000.parquet", "index.arrow", "tokenizer.json"])
    found = dataset_stats(tokens, hosts=hosts).groups["host"]
    assert [group["host"] for group in found] == ["h3", "h2", "h1", "h0"][:hosts]
