"""Clusters of texts in memory against all pairs by sets, and datasketch answering from our signature files."""

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasketch import MinHash, MinHashLSH
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.errors import InputError
from seimai.pipeline import duplicate_clusters, minhash, read_signatures, shingle_hashes, to_datasketch
from seimai.pipeline.dedup import DedupConfig, signatures

ROOT = Path(__file__).resolve().parents[2]


def revisions(seed: int, pages: int = 12, each: int = 5) -> list[str]:
    """Pages of random words, each in some versions with more and more words exchanged."""
    generator, texts = np.random.default_rng(seed), []
    for page in range(pages):
        words = [f"w{page}x{n}" for n in generator.integers(0, 10**6, 120)]
        for version in range(each):
            changed = list(words)
            for place in generator.choice(len(words), 2 * version, replace=False):
                changed[place] = f"n{generator.integers(0, 10**9)}"
            texts.append(" ".join(changed))
    return [texts[k] for k in generator.permutation(len(texts))]


def plain_clusters(texts: list[str], threshold: float) -> list[int]:
    """Components of all pairs of enough exact similarity, by Python's sets."""
    sets = [set(shingle_hashes(text).tolist()) for text in texts]
    parent = list(range(len(texts)))
    for a, b in itertools.combinations(range(len(texts)), 2):
        both = len(sets[a] & sets[b])
        if both and both / (len(sets[a]) + len(sets[b]) - both) >= threshold:
            old, new = max(parent[a], parent[b]), min(parent[a], parent[b])
            parent = [new if p == old else p for p in parent]
    return parent


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threshold", [0.6, 0.8])
def test_clusters_are_those_of_all_pairs(seed: int, threshold: float) -> None:
    texts = revisions(seed)
    found = duplicate_clusters(texts, threshold=threshold)
    assert found.dtype == np.int64
    expected = plain_clusters(texts, threshold)
    assert (found == expected).mean() >= 0.98  # LSH misses one pair in a hundred at the threshold
    for cluster in set(found.tolist()):
        members = np.flatnonzero(found == cluster)
        assert cluster == members[0]
        assert len({expected[n] for n in members}) == 1


def test_many_like_texts_are_one_cluster_each() -> None:
    texts = [f"{'同じ文章をくりかえす。' * 5}番号{'奇数' if n % 2 else '偶数偶数偶数偶数偶数偶数'}" for n in range(200)]
    assert duplicate_clusters(texts).tolist() == [n % 2 for n in range(200)]


def test_texts_without_shingles_are_alone() -> None:
    texts = ["。", None, "", "短い", "。", "短い。", "", "短"]
    assert duplicate_clusters(texts, lang="ja").tolist() == [0, 1, 2, 3, 4, 3, 6, 7]
    assert duplicate_clusters([]).tolist() == []
    assert duplicate_clusters([None]).tolist() == [0]


def test_languages() -> None:
    texts = ["one two three four", "one, two, three: four!", "東京都 one two three"]
    assert duplicate_clusters(texts, lang="en").tolist() == [0, 0, 2]
    assert duplicate_clusters(texts, lang=["en", "en", "ja"]).tolist() == [0, 0, 2]
    # Characters and words never meet, even where the text is the same.
    assert duplicate_clusters(texts[:2], lang=pa.array(["en", "ja"])).tolist() == [0, 1]
    with pytest.raises(ValueError, match="2 languages for 3 texts"):
        duplicate_clusters(texts, lang=["en", "ja"])
    with pytest.raises(ValueError, match=r"threshold = 1\.5"):
        duplicate_clusters(texts, threshold=1.5)


def test_without_verification_candidates_count() -> None:
    texts = revisions(5, pages=20, each=8)
    verified, plain = duplicate_clusters(texts), duplicate_clusters(texts, config=DedupConfig(preset="fineweb"))
    pairs = {(a, b) for a, b in itertools.combinations(range(len(texts)), 2) if plain[a] == plain[b]}
    strict = {(a, b) for a, b in itertools.combinations(range(len(texts)), 2) if verified[a] == verified[b]}
    assert len(pairs) > len(strict) > 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.booleans())
def test_order_changes_only_the_numbers(seed: int, verify: bool) -> None:
    texts = revisions(seed, pages=4)
    order = np.random.default_rng(seed).permutation(len(texts))
    one = duplicate_clusters(texts, verify=verify)
    other = duplicate_clusters([texts[n] for n in order], verify=verify)
    assert [{int(order[k]) for k in np.flatnonzero(other == c)} for c in other] == [
        set(np.flatnonzero(one == one[n]).tolist()) for n in order
    ]


def our_sources() -> list[str]:
    """Texts that are in every checkout: our own files, each cut where another begins to differ."""
    found = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "pipeline").glob("*.py"))[:30]]
    return found + [text + "\n# one more line of a comment that others have not" for text in found]


def signature_file(path: Path, texts: list[str], config: DedupConfig) -> list[str]:
    ids = [f"{n:032x}" for n in range(len(texts))]
    table = signatures(pa.array(texts, pa.large_string()), lang="en", **config.signing())
    pq.write_table(table.add_column(0, "id", pa.array(ids)), path)
    return ids


@pytest.mark.parametrize("num_perm", [128, 112])
def test_datasketch_answers_queries_from_our_files(tmp_path: Path, num_perm: int) -> None:
    texts, config = [*our_sources(), "", "。"], DedupConfig(num_perm=num_perm, seed=9)
    ids = signature_file(tmp_path / "a.parquet", texts, config)
    names, rows = read_signatures(tmp_path / "a.parquet", config)
    assert names == ids[:-2]
    assert rows.shape == (60, num_perm)
    index = MinHashLSH(num_perm=num_perm, params=(14, 8))
    for name, model in zip(names, to_datasketch(rows, 9), strict=True):
        index.insert(name, model)
    for n, text in enumerate(texts[:30]):
        query = MinHash(num_perm, seed=9, scheme="affine32", hashfunc=lambda value: value)
        query.update_batch(shingle_hashes(text, lang="en").tolist())
        assert {ids[n], ids[n + 30]} <= set(index.query(query))


def test_datasketch_objects_can_go_on() -> None:
    one = to_datasketch(minhash(["a b c d e f"], lang="en"))[0]
    one.update_batch(shingle_hashes("u v w x y z", lang="en").tolist())
    whole = np.minimum(*minhash(["a b c d e f", "u v w x y z"], lang="en"))
    assert one.hashvalues.tolist() == whole.tolist()


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (DedupConfig(num_perm=112), "num_perm = 128, not 112"),
        (DedupConfig(seed=2), "seed = 1, not 2"),
        (DedupConfig(shingle_chars=7), "shingle_chars = 5, not 7"),
    ],
)
def test_other_settings_are_refused(tmp_path: Path, other: DedupConfig, words: str) -> None:
    signature_file(tmp_path / "a.parquet", ["some text"], DedupConfig())
    with pytest.raises(InputError, match=words):
        read_signatures(tmp_path / "a.parquet", other)


def test_another_unicode_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signature_file(tmp_path / "a.parquet", ["some text"], DedupConfig())
    monkeypatch.setattr("seimai.pipeline.dedup.UNICODE_VERSION", "16.0.0")
    with pytest.raises(InputError, match=r"unicode = 14\.0\.0, not 16\.0\.0"):
        read_signatures(tmp_path / "a.parquet")


def test_what_is_no_signature_file_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["0"], "signature": pa.array([b"x" * 512], pa.binary(512))}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="does not say"):
        read_signatures(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    for name in ("b.parquet", "absent.parquet"):
        with pytest.raises(InputError, match="not a file of signatures"):
            read_signatures(tmp_path / name)
