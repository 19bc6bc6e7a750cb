"""Identity, split and declared columns of documents."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seimai.pipeline import document
from seimai.pipeline.document import document_id, held_out, host_of, schema, source_name

TABLES = [
    document.DOCUMENT_COLUMNS,
    document.CLUSTER_COLUMNS,
    document.DECISION_COLUMNS,
    document.SHARD_COLUMNS,
]


@pytest.mark.parametrize("columns", TABLES)
def test_columns_are_declared_once_with_a_meaning(columns: tuple[document.Column, ...]) -> None:
    names = [name for name, _, _ in columns]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and name.islower() and len(meaning) > 5 for name, _, meaning in columns)
    assert schema(columns).names == names


def test_a_column_means_the_same_in_every_table() -> None:
    types: dict[str, set[str]] = {}
    for columns in TABLES:
        for name, kind, _ in columns:
            types.setdefault(name, set()).add(str(kind))
    assert {name: kinds for name, kinds in types.items() if len(kinds) > 1} == {}


def test_the_columns_of_the_corpus() -> None:
    assert [name for name, _, _ in document.SHARD_COLUMNS] == [
        *("id", "split", "url", "host", "date", "title", "text", "source", "lang", "lang_score", "quality"),
        *("cluster", "cluster_size", "cluster_rank", "n_chars", "n_bytes", "licence", "warc_file", "warc_offset"),
    ]


def test_ids_do_not_move() -> None:
    key = "crawl-data/CC-MAIN-2024-51/x.warc.gz"
    assert document_id(key, 123, 4) == hashlib.blake2b(f"{key}\n123\n4".encode(), digest_size=16).hexdigest()
    assert document_id("精米.warc.gz", 0, 0) == "0973dd051810d4ccc0bd7771d22bd5b7"


@given(
    st.tuples(st.text(max_size=5), st.integers(0, 30), st.integers(0, 30)),
    st.tuples(st.text(max_size=5), st.integers(0, 30), st.integers(0, 30)),
)
def test_ids_differ_where_the_place_differs(a: tuple[str, int, int], b: tuple[str, int, int]) -> None:
    assert (document_id(*a) == document_id(*b)) == (a == b)


@given(st.text(min_size=1, max_size=20), st.floats(0, 1), st.floats(0, 1), st.integers(0, 99))
def test_a_larger_share_holds_out_the_same_and_more(host: str, a: float, b: float, seed: int) -> None:
    low, high = sorted((a, b))
    assert held_out(host, "x", share=low, seed=seed) <= held_out(host, "y", share=high, seed=seed)


def test_the_share_is_met_and_the_seed_matters() -> None:
    hosts = [f"host{n}.example" for n in range(4000)]
    first = [held_out(host, "", share=0.1, seed=1) for host in hosts]
    second = [held_out(host, "", share=0.1, seed=2) for host in hosts]
    assert 320 < sum(first) < 480
    assert 20 < sum(a and b for a, b in zip(first, second, strict=True)) < 60


def test_documents_without_a_host_are_split_by_their_id() -> None:
    ids = [document_id("x", n, 0) for n in range(2000)]
    assert 120 < sum(held_out(None, identity, share=0.1, seed=1) for identity in ids) < 280
    assert len({held_out("h.example", identity, share=0.5, seed=1) for identity in ids}) == 1


@pytest.mark.parametrize(
    ("url", "host"),
    [
        (None, None),
        ("", None),
        ("http://www.Example.org/", "www.example.org"),
        ("<http://example.org/a>", "example.org"),
        ("https://user:pass@example.org:8443/x?y#z", "example.org"),
        ("http://[2001:DB8::1]:80/", "2001:db8::1"),
        ("http://例え.テスト/", "例え.テスト"),
        ("http://[::1", None),
        ("http://ex\u2100mple.org/", None),
        ("http://example.org:99999999/", "example.org"),
        ("dns:example.org", None),
        ("urn:uuid:1", None),
        ("example.org/path", None),
        ("http:///path", None),
        ("  http://example.org/  ", "example.org"),
    ],
)
def test_hosts(url: str | None, host: str | None) -> None:
    assert host_of(url) == host


@given(st.text())
def test_any_text_is_a_url_with_or_without_a_host(url: str) -> None:
    assert host_of(url) is None or host_of(url)


@pytest.mark.parametrize(
    ("key", "name", "expected"),
    [
        ("x.warc.gz", "", "crawl"),
        ("x.warc.gz", "mine", "mine"),
        ("crawl-data/CC-MAIN-2024-51/segments/1/warc/x.warc.gz", "", "CC-MAIN-2024-51"),
        ("crawl-data/CC-MAIN-2024-51/x.warc.gz", "mine", "mine"),
        ("crawl-data/CC-NEWS/2024/05/CC-NEWS-20240501.warc.gz", "", "CC-NEWS"),
    ],
)
def test_names_of_sources(key: str, name: str, expected: str) -> None:
    assert source_name(key, name) == expected
