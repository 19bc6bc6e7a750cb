"""Signals against definitions written a second time in plain Python, on real and on made-up texts."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.json
import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seimai.pipeline import measure_kernels
from seimai.pipeline.measure import SIGNALS, signals

DATA = Path(os.environ.get("SEIMAI_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")) / "text"

HIRAGANA, KATAKANA, HAN = r"\p{Script=Hiragana}", r"\p{Script=Katakana}ーｰﾞﾟ", r"\p{Script=Han}〆"
WORD_CHAR = r"[\p{L}\p{M}\p{N}]"
PLAIN = rf"(?![{HIRAGANA}{KATAKANA}{HAN}])"
WORD = regex.compile(
    r"(?=[\p{L}\p{M}\p{N}])(?:"
    + "|".join(rf"[{script}](?:(?=[\p{{L}}\p{{N}}])[{script}]|\p{{M}}|[ーｰ])*" for script in (HIRAGANA, KATAKANA, HAN))
    + rf"|{PLAIN}{WORD_CHAR}(?:{PLAIN}{WORD_CHAR}|[ーｰ])*"
    rf"(?:(?:['’.]|(?<=\p{{N}}),(?={PLAIN}\p{{N}})){PLAIN}[\p{{L}}\p{{N}}](?:{PLAIN}{WORD_CHAR}|[ーｰ])*)*)"
    r"|(\S)\1*"
)


def copies(items: Sequence[object], sizes: Sequence[int]) -> tuple[int, int]:
    """Items seen before, and their characters."""
    seen: set[object] = set()
    number = chars = 0
    for item, size in zip(items, sizes, strict=True):
        if item in seen:
            number, chars = number + 1, chars + size
        seen.add(item)
    return number, chars


def ratio(above: float, below: float) -> float:
    return above / below if below else 0.0


def sentences_of(line: str, lang: str) -> list[str]:
    if lang in ("ja", "zh"):
        return re.findall(r"[^。．！？!?]+[。．！？!?]?", line)
    end = r"(?:[。．！？!?]|\.(?=\s|\Z))"
    return [m.group() for m in re.finditer(rf"(?!{end})\S(?:(?!{end}).)*{end}?", line, re.S)]


def gopher_words(text: str, words: list[str]) -> dict[str, float]:
    """datatrove's reading of Gopher's repetition of words."""
    result = {}
    for n in range(2, 5):
        grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
        top, times = Counter(grams).most_common(1)[0] if grams else ("", 0)
        result[f"top_{n}word_char_ratio"] = ratio(len(top) * times, len(text))
    for n in range(5, 11):
        seen, at, chars = set(), 0, 0
        while at + n <= len(words):
            gram = tuple(words[at : at + n])
            if gram in seen:
                chars, at = chars + len("".join(gram)), at + n
            else:
                seen.add(gram)
                at += 1
        result[f"dup_{n}word_char_ratio"] = ratio(chars, len(text))
    return result


def char_ngrams(text: str) -> dict[str, float]:
    """Swallow's repetition of characters."""
    result = {}
    for n in range(2, 11):
        grams = Counter(text[i : i + n] for i in range(len(text) - n + 1))
        result[f"top_{n}gram_char_ratio"] = ratio(max(grams.values(), default=0), grams.total())
        result[f"dup_{n}gram_char_ratio"] = ratio(sum(f > 1 for f in grams.values()), len(grams))
    return result


def characters(text: str) -> dict[str, float]:
    """Classes of characters, by the `regex` library."""

    def n(pattern: str) -> int:
        return len(regex.findall(pattern, text))

    hiragana, katakana = n("[\u3041-\u3096]"), n("[\u30a1-\u30fa]")
    kanji = n("[々〇〻\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd]")
    japanese = hiragana + katakana + kanji + n("[\u4dc0-\u4dff、，。．！？]")
    return {
        "n_chars": len(text),
        "n_bytes": len(text.encode()),
        "n_hiragana": n(r"\p{Script=Hiragana}"),
        "n_katakana": n(rf"[{KATAKANA}]"),
        "n_kanji": n(rf"[{HAN}]"),
        "n_japanese_letters": japanese,
        "letter_ratio": ratio(n(r"\p{L}"), len(text)),
        "digit_ratio": ratio(n(r"\p{N}"), len(text)),
        "punct_ratio": ratio(n(r"\p{P}"), len(text)),
        "symbol_ratio": ratio(n(r"\p{S}"), len(text)),
        "space_ratio": ratio(sum(c.isspace() for c in text), len(text)),
        "japanese_ratio": ratio(japanese, len(text)),
        "hiragana_ratio": ratio(hiragana, japanese),
        "katakana_ratio": ratio(katakana, japanese),
        "kanji_ratio": ratio(kanji, japanese),
    }


def stretches(text: str, lang: str) -> dict[str, float]:
    """Lines, paragraphs and sentences."""
    lines, pieces, paragraphs = text.splitlines(), re.split("\n+", text), re.split("\n{2,}", text.strip())
    ja_lines = [tuple(found) for line in text.split("\n") if (found := sentences_of(line, lang))]
    sentences = [s for line in ja_lines for s in line]
    chars = sum(map(len, sentences))
    result: dict[str, float] = {
        "n_lines": len(lines),
        "n_paragraphs": len(paragraphs),
        "n_sentences": len(sentences),
        "max_sentence_chars": max(map(len, sentences), default=0),
        "mean_sentence_chars": ratio(chars, len(sentences)),
        "ellipsis_sentence_ratio": ratio(sum(s.strip().endswith(("・", "…")) for s in sentences), len(sentences)),
        "bullet_line_ratio": ratio(sum(x.lstrip().startswith(("•", "-")) for x in lines), len(lines)),
        "ellipsis_line_ratio": ratio(sum(x.rstrip().endswith(("...", "…")) for x in lines), len(lines)),
    }
    for name, items, below in (
        ("line", pieces, len(text)),
        ("paragraph", paragraphs, len(text)),
        ("sentence", sentences, chars),
        ("ja_line", ja_lines, chars),
    ):
        sizes = [sum(map(len, item)) if isinstance(item, tuple) else len(item) for item in items]
        number, copied = copies(items, sizes)
        result[f"dup_{name}_ratio"] = ratio(number, len(items))
        result[f"dup_{name}_char_ratio"] = ratio(copied, below)
    return result


def oracle(text: str, lang: str) -> dict[str, float]:
    """Every signal of one text."""
    words = [m.group() for m in WORD.finditer("".join("\n" if c.isspace() else c for c in text))]
    plain = [word for word in words if regex.search(WORD_CHAR, word)]
    stops = set(words) & {"the", "be", "to", "of", "and", "that", "have", "with"}
    return {
        "n_words": len(words),
        "n_plain_words": len(plain),
        "n_stop_words": len(stops),
        "mean_word_chars": ratio(sum(map(len, plain)), len(plain)),
        "alpha_word_ratio": ratio(sum(any(c.isalpha() for c in word) for word in words), len(words)),
        "hash_word_ratio": ratio(text.count("#"), len(words)),
        "ellipsis_word_ratio": ratio(text.count("...") + text.count("…"), len(words)),
        **characters(text),
        **stretches(text, lang),
        **gopher_words(text, words),
        **char_ngrams(text),
    }


def assert_conforms(texts: list[str], lang: str) -> None:
    rows = signals(texts, lang).to_pylist()
    for text, row in zip(texts, rows, strict=True):
        expected = oracle(text, lang)
        assert expected.keys() == row.keys()
        wrong = {name: (row[name], value) for name, value in expected.items() if row[name] != value}
        assert not wrong, f"{text[:200]!r}: {wrong}"


def real_texts(name: str, n: int) -> list[str]:
    """The first characters of the first documents of a file of running text."""
    path = DATA / f"{name}.dev.jsonl.zst"
    if not path.exists():
        pytest.skip("the shared texts are not beside this checkout")
    with pa.input_stream(path, compression="zstd") as stream:
        texts = pyarrow.json.read_json(stream)["text"]
    return [text.as_py()[:2500] for text in texts[:n]]


@pytest.mark.parametrize(
    ("name", "n"),
    [
        ("ja_aozora", 60),
        ("ja_wikipedia_kyoto", 80),
        ("ja_tanaka_sentences", 10),
        ("en_books", 60),
        ("en_wikipedia_kyoto", 80),
        ("en_commoncrawl_ccnet", 16),
        ("en_wikitext2", 10),
    ],
)
def test_real_texts(name: str, n: int) -> None:
    assert_conforms(real_texts(name, n), name.partition("_")[0])


PIECES = st.sampled_from(
    [
        *"ab,.'’!?#•-…・。．！？、 \n\t\r\u2028\u3000あいアィー漢字々ｱﾊﾞ１２12é𠮷😀_（）",
        "e\u0301",
        "...",
        "the",
        "of ",
        "\r\n",
        "\n\n",
    ]
)
TEXTS = st.lists(PIECES, max_size=60).map("".join)


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4), st.sampled_from(["ja", "en"]))
@example(["", "\n", "。", "\n\n", " ", ". ", "..", "a\n\na\n\na\n"], "ja")
@example(["A. B. A. B.\nA. B.", "3,000.5 U.S.A. don't 1,a a,1", "- a\n• b\n -", "a b a b a b a b a b a b a b"], "en")
def test_made_up_texts(texts: list[str], lang: str) -> None:
    assert_conforms(texts, lang)


@pytest.mark.parametrize(
    ("text", "lang", "column", "value"),
    [
        ("精米は白い。玄米は茶色い。", "ja", "mean_sentence_chars", 6.5),
        ("It is white. It is not.", "en", "n_sentences", 2),
        ("It is v1.2 now", "en", "n_sentences", 1),
        ("𠮷野家", "ja", "n_kanji", 3),
        ("ラーメン", "ja", "n_katakana", 4),
        ("ｶﾞﾗｽ", "ja", "n_katakana", 4),
        ("人々", "ja", "n_kanji", 2),
        ("漢字かなカナabc", "ja", "n_words", 4),
        ("らーめん", "ja", "n_words", 1),
        ("well-known, don't", "en", "n_words", 5),
        ("１２３", "ja", "digit_ratio", 1.0),
        ("同じ文。同じ文。同じ文。", "ja", "dup_sentence_ratio", 2 / 3),
        ("あいあいあい", "ja", "top_2gram_char_ratio", 3 / 5),
    ],
)
def test_known_values(text: str, lang: str, column: str, value: float) -> None:
    assert signals([text], lang)[column][0].as_py() == value


def test_every_column_has_type_unit_and_meaning() -> None:
    table = signals(["a"], "en")
    assert table.column_names == list(SIGNALS)
    for name, (kind, unit, meaning) in SIGNALS.items():
        assert table.schema.field(name).type == kind
        assert unit
        assert meaning
    assert signals([], "ja").schema == table.schema
    assert signals(["あ"], "ja").schema == table.schema


def test_null_rows_and_arrow_slices() -> None:
    texts = ["一つ目。", None, "", "two words", None]
    whole = signals(texts, "ja")
    for array in (pa.array(texts), pa.chunked_array([texts[:2], texts[2:]]), pa.array(["x", *texts])[1:]):
        assert signals(array, "ja").equals(whole)
    for name in SIGNALS:
        assert whole[name].is_null().to_pylist() == [False, True, False, False, True]


def test_rows_do_not_depend_on_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"text number {n} " * n for n in range(40)]
    whole = signals(texts, "en")
    monkeypatch.setattr("seimai.pipeline.text_kernels.SLICE_BYTES", 100)
    assert signals(texts, "en").equals(whole)


def test_constants_stand_for_their_counts() -> None:
    for number, name in enumerate(measure_kernels.COUNTS):
        constant = {"punctuation": "PUNCTUATIONS", "chars": "CHARS"}.get(name, name.upper())
        assert getattr(measure_kernels, constant) == number


def test_ratios_are_ratios() -> None:
    table = signals(["ああああ" * 50, "a b c " * 100, "....", "。。。"], "ja")
    for name, (_, unit, _) in SIGNALS.items():
        values = table[name].to_numpy()
        assert (values >= 0).all()
        # Joined with spaces, a top n-gram of words may count more characters than the text has.
        if unit == "ratio" and not name.startswith(("top_2word", "top_3word", "top_4word", "hash_", "ellipsis_word")):
            assert np.all(values <= 1), name
