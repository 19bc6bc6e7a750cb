"""Signature tables, band keys, the S-curve against simulation, and the [dedup] section."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash, MinHashLSH
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.config import parse_config
from seimai.errors import ConfigError
from seimai.pipeline.dedup import DedupConfig, band_keys, s_curve, signatures
from seimai.pipeline.shingles import fold, minhash, shingle_hashes

TEXTS = [
    "精米は白い。玄米は茶色い。",
    None,
    "",
    " \n",
    "。。",
    "One two three four five six.",
    "短い",
    "Ｏne TWO three four five six",
]


def test_signature_table() -> None:
    table = signatures(pa.array(TEXTS), lang="auto", num_perm=64, seed=3)
    assert table.schema.types == [pa.binary(16), pa.int32(), pa.binary(256)]
    assert table["n_shingles"].to_pylist() == [7, None, None, None, None, 2, 1, 2]
    assert table["signature"].is_null().to_pylist() == table["n_shingles"].is_null().to_pylist()
    assert table["content_hash"].is_null().to_pylist() == [False, True, True, True, False, False, False, False]
    rows = minhash(TEXTS, num_perm=64, seed=3)
    for text, row, packed, content in zip(TEXTS, rows, table["signature"], table["content_hash"], strict=True):
        if packed.is_valid:
            assert np.frombuffer(packed.as_py(), "<u4").tolist() == row.tolist()
        if content.is_valid:
            folded = "".join(fold(text or "").split())
            assert content.as_py() == hashlib.blake2b(folded.encode(), digest_size=16).digest()


def test_content_hash_sees_punctuation_but_not_width_case_or_space() -> None:
    texts = ["ＡＢＣ ｶﾞﾗｽ。", "abc\nガラス。", "abcガラス", "𠮷é😀", "𠮷 e\u0301 😀"]
    found = signatures(pa.array(texts))["content_hash"].to_pylist()
    assert found[0] == found[1] != found[2]
    assert found[3] == found[4]


def test_language_and_sizes_by_row() -> None:
    texts = pa.array(["一二三四五六七", "a b c d e f g", "a b c d e f g"])
    table = signatures(texts, lang=pa.array(["ja", "en", None]), shingle_chars=3, shingle_words=6)
    assert table["n_shingles"].to_pylist() == [5, 2, 2]
    assert table["signature"][1].as_py() == minhash(["a b c d e f g"], size=6)[0].tobytes()


def test_same_bytes_whatever_the_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pa.array([*TEXTS, *(f"第{n}章 {'あいう' * n}" for n in range(50))], pa.string())
    whole = signatures(texts)
    assert signatures(pa.concat_arrays([texts, texts])[len(texts) :]).equals(whole)
    monkeypatch.setattr("seimai.pipeline.text_kernels.SLICE_BYTES", 50)
    assert signatures(texts).equals(whole)
    assert signatures(texts[:0]).schema == whole.schema


def test_datasketch_answers_queries_from_our_rows() -> None:
    base = "白い米をよく磨き、水で洗い、静かに炊いてから食卓に運ぶ。" + "".join(
        chr(0x4E00 + 37 * k) for k in range(200)
    )
    table = signatures(pa.array([base, base[:-8] + "まったく同じ文", "".join(reversed(base))]), lang="ja")
    rows = [np.frombuffer(row.as_py(), "<u4") for row in table["signature"]]
    index = MinHashLSH(num_perm=128, params=(16, 8))
    models = [MinHash(hashvalues=row, scheme="affine32", seed=1) for row in rows]
    for name, model in enumerate(models):
        index.insert(name, model)
    query = MinHash(128, scheme="affine32", hashfunc=lambda value: value)
    query.update_batch(shingle_hashes(base, lang="ja").tolist())
    assert sorted(index.query(query)) == [0, 1]
    keys = band_keys(np.array(rows), 16, 8)
    assert (keys[0] == keys[1]).any()
    assert not (keys[0] == keys[2]).any()


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 10), st.integers(0, 2**32 - 1))
def test_band_keys(bands: int, rows: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    matrix = generator.integers(0, 1 << 32, (30, bands * rows + 3), dtype=np.uint32)
    matrix[1] = matrix[0]
    matrix[2, : rows - 1] = matrix[0, : rows - 1]
    # Equal rows in every band, the hardest case for keys that must not meet.
    matrix[3] = 7
    keys = band_keys(matrix, bands, rows)
    assert keys.dtype == np.uint64
    assert keys.shape == (30, bands)
    assert (keys[0] == keys[1]).all()
    assert len(np.unique(keys)) == 29 * bands
    assert (band_keys(matrix[5:6], bands, rows) == keys[5]).all()
    for band in range(bands - 1):
        assert not np.isin(keys[:, band], keys[:, band + 1 :]).any()


def test_known_band_keys_do_not_move() -> None:
    keys = band_keys(np.arange(256, dtype=np.uint32).reshape(2, 128), 16, 8)
    assert [int(keys[0, 0]), int(keys[1, 15])] == [9487874213455063825, 17422937626036905990]


def test_band_keys_are_well_mixed() -> None:
    matrix = np.arange(8 * 4000, dtype=np.uint32).reshape(4000, 8)
    bits = np.unpackbits(band_keys(matrix, 1, 8).view(np.uint8)).reshape(-1, 64)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 0.04


def test_bands_must_fit() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        band_keys(np.zeros((1, 128), np.uint32), 20, 8)


@pytest.mark.parametrize(
    ("bands", "rows", "jaccard", "published"),
    [(14, 8, 0.6, 0.21), (14, 8, 0.7, 0.57), (26, 11, 0.8, 0.90), (20, 10, 0.7, 0.44), (40, 20, 0.8, 0.37)],
)
def test_s_curve_as_published(bands: int, rows: int, jaccard: float, published: float) -> None:
    assert s_curve(bands, rows, jaccard) == pytest.approx(published, abs=0.006)


@pytest.mark.parametrize("jaccard", [0.5, 0.7, 0.8])
def test_s_curve_as_simulated(jaccard: float) -> None:
    # Pairs of random shingle sets of known similarity, through permutations of our own signatures.
    generator, n, pairs = np.random.default_rng(5), 60, 400
    shared = round(2 * n * jaccard / (1 + jaccard))
    texts = []
    for _ in range(pairs):
        words = [f"w{number}" for number in generator.choice(10**9, 2 * n - shared, replace=False)]
        texts += [" ".join(words[:n]), " ".join(words[n - shared :])]
    keys = band_keys(minhash(texts, shingle="word", size=1), 16, 8)
    found = (keys[0::2] == keys[1::2]).any(axis=1).mean()
    exact = shared / (2 * n - shared)
    deviation = (s_curve(16, 8, exact) * (1 - s_curve(16, 8, exact)) / pairs) ** 0.5
    assert found == pytest.approx(s_curve(16, 8, exact), abs=4 * deviation + 0.01)


def test_section() -> None:
    assert parse_config({}, DedupConfig, "x") == DedupConfig(num_perm=128, bands=16, rows=8)
    with pytest.raises(ConfigError, match=r"bands 20 x rows 8 = 160 is more than num_perm 128"):
        parse_config({"bands": 20}, DedupConfig, "web.toml")
    with pytest.raises(ConfigError, match="rows"):
        parse_config({"rows": 0}, DedupConfig, "web.toml")
