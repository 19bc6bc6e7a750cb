"""Folding against NFKC, shingle hashes against a second definition, signatures against datasketch."""

import os
import unicodedata
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq
import pytest
from datasketch import MinHash
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seimai.pipeline import unicode_table
from seimai.pipeline.shingles import fold, minhash, shingle_hashes, shingle_modes

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("SEIMAI_DATA", ROOT.parent / "shared" / "data")) / "text"

MASK, BASE = (1 << 64) - 1, 0x9E3779B97F4A7C15


def full_fold(text: str) -> str:
    """NFKC, casefold, NFKC of the whole text."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


same_unicode = pytest.mark.skipif(
    unicodedata.unidata_version != unicode_table.UNICODE_VERSION, reason="this Python has another Unicode version"
)


@same_unicode
def test_every_code_point_folds_as_nfkc() -> None:
    codes = [c for c in map(chr, range(0x110000)) if not 0xD800 <= ord(c) < 0xE000]
    # A full stop between them stops neighbours from composing.
    assert fold(".".join(codes)) == full_fold(".".join(codes))


@same_unicode
@pytest.mark.parametrize(
    "text",
    [
        "ｶﾞｷﾞｸﾞ ﾊﾟﾋﾟﾌﾟ ｳﾞ ﾞ",
        "か\u3099は\u309aう\u3099",
        "E\u0301 A\u030a o\u0302\u0301 \u1e62\u0307",
        "\u1112\u1161\u11ab\u1100\u1173\u11af 한글 \uac00\u11a8",
        "ＡＢＣ①㈱㍿ﬀ½Å ß ẞ ς Σ İ ŉ",
        "㌀㋿",
        "\u0301a",
        "",
    ],
)
def test_sequences_fold_as_nfkc(text: str) -> None:
    assert fold(text) == full_fold(text)


@same_unicode
@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([*"aＡéがカｶ１①ß한。 　𠮷ﾟㅎ", "ｶﾞ", "e\u0301", "は\u309a", "\u1112\u1161", "\u11ab"])).map(
        "".join
    )
)
def test_made_up_texts_fold_as_nfkc(text: str) -> None:
    assert fold(text) == full_fold(text)


@same_unicode
@pytest.mark.parametrize("form", ["NFD", "NFKD"])
def test_every_form_of_every_code_point_folds_as_nfkc(form: Literal["NFD", "NFKD"]) -> None:
    codes = [c for c in map(chr, range(0x110000)) if not 0xD800 <= ord(c) < 0xE000]
    text = ".".join(unicodedata.normalize(form, c) for c in codes)
    assert fold(text) == full_fold(text)


ASSIGNED = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) not in ("Cn", "Cs", "Co")]
# Case folding makes a letter of the iota subscript, which is documented to differ before further marks.
PLAIN = [c for c in ASSIGNED if "\u0345" not in unicodedata.normalize("NFKD", c)]
MARKS = [c for c in PLAIN if unicodedata.combining(c)]


@same_unicode
@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(PLAIN), st.sampled_from(MARKS)), max_size=30).map("".join))
@example("e\u0302\u0323 \u00ea\u0323")
@example("\u05e9\u05b8\u05c1\u05bc")
@example("\u1025\u102e\u1037\u103a")
@example("\u0323\u0302" * 3000 + "e" + "\u0302\u0323" * 3000)
def test_any_text_folds_as_nfkc(text: str) -> None:
    assert fold(text) == full_fold(text)


def test_every_language_folds_as_nfkc() -> None:
    path = DATA.parent / "lid" / "lid_dev.parquet"
    if not path.exists() or unicodedata.unidata_version != unicode_table.UNICODE_VERSION:
        pytest.skip("the shared sentences are not beside this checkout, or this Python has another Unicode version")
    text = "\n".join(pq.read_table(path, columns=["text"])["text"].to_pylist()[::5])
    assert fold(text) == full_fold(text)


def test_long_expansions_fit() -> None:
    assert fold("ﷺ" * 10_000) == full_fold("ﷺ") * 10_000


def real_texts(name: str, n: int) -> list[str]:
    path = DATA / f"{name}.dev.jsonl.zst"
    if not path.exists():
        pytest.skip("the shared texts are not beside this checkout")
    with pa.input_stream(path, compression="zstd") as stream:
        return [text.as_py()[:20_000] for text in pyarrow.json.read_json(stream)["text"][:n]]


@same_unicode
@pytest.mark.parametrize("name", ["ja_aozora", "ja_wikipedia_kyoto", "en_books", "en_commoncrawl_ccnet"])
def test_real_texts_fold_as_nfkc(name: str) -> None:
    for text in real_texts(name, 300):
        assert fold(text) == full_fold(text)


def finish(value: int) -> int:
    value = (value ^ value >> 33) * 0xFF51AFD7ED558CCD & MASK
    value = (value ^ value >> 33) * 0xC4CEB9FE1A85EC53 & MASK
    return value ^ value >> 33


def polynomial(units: list[int]) -> int:
    value = 0
    for unit in units:
        value = (value * BASE + unit) & MASK
    return value


def plain_hashes(text: str, size: int, chars: bool) -> list[int]:
    """The documented hash, in Python's integers."""
    folded = fold(text)
    if chars:
        units = [ord(c) for c in folded if unicodedata.category(c)[0] not in "PZC" and not c.isspace()]
    else:
        kept = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in folded if c not in "'’")
        units = [finish(polynomial([ord(c) for c in word])) for word in kept.split()]
    if not units:
        return []
    units += [0] * (size - len(units))
    return [finish(polynomial(units[k : k + size])) >> 32 for k in range(len(units) - size + 1)]


TEXTS = st.text(st.sampled_from([*"abc xyzÉ’'-,.\n12１あいうえおカキ漢字ー。、…（）😀"]), max_size=80)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.integers(1, 8), st.booleans())
@example("don’t rock-and-roll", 2, False)
@example("。、", 5, True)
def test_hashes_are_the_documented_ones(text: str, size: int, chars: bool) -> None:
    hashes = shingle_hashes(text, shingle="char" if chars else "word", size=size)
    assert hashes.dtype == np.uint32
    assert hashes.tolist() == plain_hashes(text, size, chars)


@pytest.mark.parametrize(
    ("one", "other", "lang"),
    [
        ("ﾊﾟｿｺﾝとｶﾞﾗｽの店", "パソコンとガラスの店", "ja"),
        ("ＡＢＣ１２３の使い方", "abc123の使い方", "ja"),
        ("「精米」は、白い。", "精米は 白い", "ja"),
        ("Clean Rice is white!", "clean rice is: WHITE", "en"),
        ("don't go there", "dont go there", "en"),
    ],
)
def test_equivalent_texts(one: str, other: str, lang: str) -> None:
    assert shingle_hashes(one, lang=lang).tolist() == shingle_hashes(other, lang=lang).tolist()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ハハハハハ", "パパパパパ"),
        ("かきくけこ", "がきくけこ"),
        ("ビル", "ビール"),
        ("a b c", "a b d"),
        ("短い", "短いよ"),
    ],
)
def test_different_texts(one: str, other: str) -> None:
    assert shingle_hashes(one).tolist() != shingle_hashes(other).tolist()


@pytest.mark.parametrize(
    ("text", "lang", "n"),
    [
        ("精米は白いです", "ja", 3),
        ("精米は白いです", "auto", 3),
        ("one two three four five six", "auto", 2),
        ("one two three four five six", "ja", 18),
        ("한국어 문장입니다", "ko", 4),
        ("ภาษาไทยยาว", "th", 6),
        ("短い", "ja", 1),
        ("two words", "en", 1),
        ("", "ja", 0),
        ("。。。", "ja", 0),
        ("- - -", "en", 0),
    ],
)
def test_what_a_shingle_is_made_of(text: str, lang: str, n: int) -> None:
    assert len(shingle_hashes(text, lang=lang)) == n


def datasketch_row(hashes: np.ndarray[tuple[int], np.dtype[np.uint32]], num_perm: int, seed: int) -> list[int]:
    model = MinHash(num_perm, seed=seed, scheme="affine32", hashfunc=lambda value: value)
    model.update_batch(hashes.tolist())
    return list(model.hashvalues)


@pytest.mark.parametrize(
    ("name", "n"), [("ja_aozora", 100), ("ja_wikipedia_kyoto", 1500), ("en_books", 200), ("en_wikipedia_kyoto", 1500)]
)
def test_real_signatures_are_datasketchs(name: str, n: int) -> None:
    texts, lang = real_texts(name, n), name.partition("_")[0]
    rows = minhash(texts, lang=lang)
    assert rows.shape == (len(texts), 128)
    for text, row in zip(texts, rows, strict=True):
        assert row.tolist() == datasketch_row(shingle_hashes(text, lang=lang), 128, 1)


@pytest.mark.parametrize(("num_perm", "seed", "size"), [(128, 1, 5), (112, 1, 5), (200, 42, 7), (1, 0, 1), (33, 7, 3)])
def test_own_texts_have_datasketchs_signatures(num_perm: int, seed: int, size: int) -> None:
    articles = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "sample").glob("*.md"))]
    sources = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "pipeline").glob("*.py"))]
    texts = [*(part for text in articles for part in text.split("\n\n")[:40]), *(text[:3000] for text in sources)]
    rows = minhash(texts, num_perm=num_perm, seed=seed, size=size)
    for text, row in zip(texts, rows, strict=True):
        assert row.tolist() == datasketch_row(shingle_hashes(text, size=size), num_perm, seed)


def test_rows_stand_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["", None, *(f"文書{n}は{n * n}番目の文章です。" * n for n in range(40)), "x " * 10_000]
    whole = minhash(texts)
    assert (whole[:2] == 0xFFFFFFFF).all()
    monkeypatch.setattr("seimai.pipeline.text_kernels.SLICE_BYTES", 64)
    assert (minhash(texts) == whole).all()
    assert (minhash(pa.array(texts)[5:9]) == whole[5:9]).all()
    assert (minhash(texts[7:8]) == whole[7:8]).all()


def test_known_hashes_do_not_move() -> None:
    assert shingle_hashes("精米は白い", lang="ja").tolist() == [0x6AD9B6F0]
    assert minhash(["精米は白い"], lang="ja")[0, :3].tolist() == [3312194782, 3369601083, 1213682031]


def test_modes_and_mistakes() -> None:
    assert shingle_modes(4, "auto", pa.array(["ja", "de", "auto", None])).tolist() == [0, 1, 2, 2]
    assert shingle_modes(2, "auto", pa.chunked_array([["zh"], ["en"]])).tolist() == [0, 1]
    assert shingle_modes(2, "char", "en").tolist() == [0, 0]
    with pytest.raises(ValueError, match="must be auto, char or word"):
        shingle_hashes("a", shingle="chars")
    with pytest.raises(ValueError, match="at least 1"):
        shingle_hashes("a", size=0)
    with pytest.raises(ValueError, match="at least 1"):
        minhash(["a"], num_perm=0)
