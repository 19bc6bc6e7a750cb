"""Signature tables, band keys, and the [dedup] section."""

import hashlib
import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.config import parse_config
from seimai.errors import ConfigError
from seimai.pipeline.dedup import SIGNATURE_KEY, DedupConfig, band_keys, signature_settings, signatures
from seimai.pipeline.shingles import fold, minhash
from seimai.pipeline.unicode_table import UNICODE_VERSION

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


def test_section() -> None:
    assert parse_config({}, DedupConfig, "x").shape == (16, 6)
    assert parse_config({"threshold": 0.9}, DedupConfig, "x").shape == (11, 10)
    assert parse_config({"verify": False}, DedupConfig, "x").shape == (9, 13)
    assert parse_config({"bands": 20, "rows": 5}, DedupConfig, "x").shape == (20, 5)
    assert parse_config({"rows": 8}, DedupConfig, "x").shape == (16, 8)


@pytest.mark.parametrize(
    ("preset", "num_perm", "shape", "verify"),
    [
        ("fineweb", 112, (14, 8), False),
        ("llmjp", 200, (20, 10), False),
        ("olmo3", 286, (26, 11), True),
        ("swallow", 800, (40, 20), False),
    ],
)
def test_presets(preset: str, num_perm: int, shape: tuple[int, int], verify: bool) -> None:
    config = parse_config({"preset": preset}, DedupConfig, "x")
    assert (config.num_perm, config.shape, config.verify) == (num_perm, shape, verify)
    assert DedupConfig(**config.model_dump()) == config


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"bands": 20, "rows": 8}, r"bands 20 x rows 8 = 160 is more than num_perm 128"),
        ({"bands": 129}, r"bands 129 is more than num_perm 128"),
        ({"rows": 200}, r"rows 200 is more than num_perm 128"),
        ({"rows": 0}, r"dedup.rows|rows = 0"),
        ({"threshold": 0}, "threshold"),
        ({"threshold": 1.01}, "threshold"),
        ({"preset": "fineweb", "num_perm": 128}, r"num_perm = 128 but preset 'fineweb' has 112"),
        ({"preset": "swallow", "verify": True}, r"verify = True but preset 'swallow' has False"),
        ({"preset": "finweb"}, "preset"),
    ],
)
def test_mistakes(keys: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_config(keys, DedupConfig, "web.toml")


def test_only_what_makes_signatures_counts_for_them() -> None:
    assert set(DedupConfig().signing()) == {"num_perm", "seed", "shingle_chars", "shingle_words"}
    table = signatures(pa.array(["精米"]), num_perm=64, seed=3)
    made = json.loads(table.schema.metadata[SIGNATURE_KEY])
    assert (made["num_perm"], made["seed"], made["unicode"]) == (64, 3, UNICODE_VERSION)
    assert made == signature_settings(num_perm=64, shingle_chars=5, shingle_words=5, seed=3)
