"""Runs of documents: sums by host and language however they are cut, caps without a host, long texts."""

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.tokenizer import count_map
from seimai.tokenizer.count_kernels import STEP
from seimai.tokenizer.count_map import choose, count_runs
from seimai.tokenizer.count_sample import ALL
from seimai.tokenizer.counts import finder
from seimai.tokenizer.split import split_pattern

LANGS = ("en", "ja", "other")
SCHEMA = pa.schema([("text", pa.large_string()), ("lang", pa.string()), ("host", pa.string())])
Sums = dict[tuple[bytes, int, int], tuple[int, int]]


def _sums(rows: list[dict[str, Any]], **options: Any) -> Sums:
    """(count, documents) by pre-token, host key and language over all runs, each of which must be sorted."""
    batches = [pa.RecordBatch.from_pylist(rows[at : at + 3], SCHEMA) for at in range(0, len(rows), 3)]
    found: Sums = {}
    for run in count_runs(batches, pattern=split_pattern(), langs=LANGS, **{"cap": 0} | options):
        pretokens = run["pretoken"].to_pylist()
        assert pretokens == sorted(set(pretokens))
        for pretoken, entries in zip(pretokens, run["entries"].to_pylist(), strict=True):
            for entry in entries:
                key = (pretoken, entry["host"], entry["lang"])
                count, documents = found.get(key, (0, 0))
                found[key] = (count + entry["count"], documents + entry["documents"])
    return found


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "text": st.text(st.sampled_from("東京タワーはです。 abc1\n\x00\u0301👩"), max_size=40),
            "lang": st.sampled_from(["en", "ja", "ko", None]),
            "host": st.sampled_from(["a.example", "b.example", "", None]),
        }
    ),
    max_size=12,
)


@given(rows=ROWS, flush=st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_sums_are_those_of_a_counter_wherever_runs_end(rows: list[dict[str, Any]], flush: int) -> None:
    expected: Counter[tuple[bytes, bool, int]] = Counter()
    documents: Counter[tuple[bytes, bool, int]] = Counter()
    for row in rows:
        tokens = Counter(finder(split_pattern())(row["text"]))
        lang = LANGS.index(row["lang"]) if row["lang"] in LANGS else 2
        for word, n in tokens.items():
            expected[word.encode(), bool(row["host"]), lang] += n
            documents[word.encode(), bool(row["host"]), lang] += 1
    found: Counter[tuple[bytes, bool, int]] = Counter()
    held: Counter[tuple[bytes, bool, int]] = Counter()
    for (token, host, lang), (count, n_documents) in _sums(rows, flush_pairs=flush).items():
        found[token, host != 0, lang] += count
        held[token, host != 0, lang] += n_documents
    assert (found, held) == (expected, documents)
    assert _sums(rows, flush_pairs=flush) == _sums(rows)


def test_without_a_host_each_document_is_capped_alone() -> None:
    rows = [{"text": "a a a a a", "lang": "en", "host": host} for host in (None, None, "x", "x")]
    found = _sums(rows, cap=3)
    by_host = {host != 0: sums for (token, host, _), sums in found.items() if token == b" a"}
    assert by_host == {False: (6, 2), True: (8, 2)}


@pytest.mark.parametrize("host", [None, "a.example"])
def test_a_long_text_is_one_document(host: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "東京タワーは333 mです。It's tall. " * 50
    whole = _sums([{"text": text, "lang": "ja", "host": host}], cap=7)
    monkeypatch.setattr(count_map, "CALL_CHARS", 64)
    assert _sums([{"text": text, "lang": "ja", "host": host}], cap=7) == whole
    assert {documents for _, documents in whole.values()} == {1}


def test_many_pretokens_grow_the_tables() -> None:
    words = [f"{n:b}".replace("0", "a").replace("1", "b") for n in range(1 << 17)]
    found = _sums([{"text": " ".join(words), "lang": "en", "host": None}])
    assert len(found) == 1 << 17
    assert set(found.values()) == {(1, 1)}


def test_only_training_documents_below_the_threshold_are_chosen() -> None:
    rows = [{"id": str(n), "split": "held_out" if n % 4 == 0 else "train", "lang": "ja"} for n in range(400)]
    batch = pa.RecordBatch.from_pylist(rows)
    everything = choose(batch, {"ja": ALL}, 1)
    assert set(everything.column("split").to_pylist()) == {"train"}
    assert everything.num_rows == 300
    half = choose(batch, {"ja": ALL // 2}, 1).column("id").to_pylist()
    assert 100 < len(half) < 200
    assert choose(batch, {"ja": 0}, 1).num_rows == choose(batch, {"en": ALL}, 1).num_rows == 0
    backwards = choose(batch.take(pa.array(range(399, -1, -1))), {"ja": ALL // 2}, 1).column("id").to_pylist()
    assert backwards == half[::-1]


@pytest.mark.parametrize("cap", [0, 3])
def test_a_text_of_more_pretokens_than_room_is_made_for_at_a_time(cap: int) -> None:
    words = [f"w{'abcdefghij'[n % 10]}{n % 7 * 'x'} " for n in range(3 * STEP)]
    text = "".join(words)
    counts = Counter(finder(split_pattern())(text))
    found = _sums([{"text": text, "lang": "en", "host": None}], cap=cap)
    assert {key[0].decode(): value for key, value in found.items()} == {
        word: (min(n, cap or n), 1) for word, n in counts.items()
    }


def test_later_runs_are_longer() -> None:
    rows = [{"text": f"a{n:05d} b", "lang": "en", "host": "x"} for n in range(3000)]
    batches = [pa.RecordBatch.from_pylist(rows[at : at + 3], SCHEMA) for at in range(0, len(rows), 3)]
    runs = count_runs(batches, pattern=split_pattern(3), langs=LANGS, cap=0, flush_pairs=20)
    sizes = [run.num_rows for run in runs][:-1]
    assert max(sizes[:8]) < 40 <= min(sizes[8:16]) <= max(sizes[8:16]) < 80 <= min(sizes[16:])
