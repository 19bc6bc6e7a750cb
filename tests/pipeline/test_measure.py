"""Signals against definitions written a second time in plain Python, on real and on made-up texts."""

import os
import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from itertools import groupby, pairwise
from math import log2
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.json
import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seimai.pipeline import sentence_kernels
from seimai.pipeline.measure import SIGNALS, signals

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("SEIMAI_DATA", ROOT.parent / "shared" / "data")) / "text"

HIRAGANA, KATAKANA, HAN = r"\p{Script=Hiragana}", r"\p{Script=Katakana}ーｰﾞﾟ", r"\p{Script=Han}〆"
WORD_CHAR = r"[\p{L}\p{M}\p{N}]"
SETS = tomllib.loads((ROOT / "bench" / "character_sets.toml").read_text(encoding="utf-8"))


def code_points(name: str) -> set[str]:
    """The characters of a set of bench/character_sets.toml."""
    found: set[str] = set()
    for item in SETS[name].split():
        first, _, last = item.partition("-")
        found |= {chr(c) for c in range(int(first, 16), int(last or first, 16) + 1)}
    return found


TERMINAL, PUNCTUATION, SPECIAL = (code_points(name) for name in ("terminal", "punctuation", "special"))
EXTENDING = r"[\p{WB=Extend}\p{WB=Format}\p{WB=ZWJ}]"
RUNS = (
    regex.compile(rf"[\p{{L}}]{EXTENDING}*", regex.V1),
    regex.compile(rf"(?:[\p{{Script=Hiragana}}&&\p{{L}}]{EXTENDING}*)+", regex.V1),
    regex.compile(rf"(?:[\p{{Script=Han}}&&[\p{{L}}\p{{Nl}}]||〆]{EXTENDING}*)+", regex.V1),
    regex.compile(
        rf"(?:[\p{{WB=Other}}&&[\p{{L}}\p{{Nl}}]--\p{{Script=Hiragana}}--\p{{Script=Han}}]{EXTENDING}*)+", regex.V1
    ),
)
JOINING = regex.compile(
    r"[\p{WB=ALetter}\p{WB=Hebrew_Letter}\p{WB=Numeric}\p{WB=Katakana}\p{WB=ExtendNumLet}\p{WB=RI}]"
)


def words_of(text: str) -> list[str]:
    """The boundaries of the `regex` library (UAX #29), then the tailoring of measure.py."""
    plain = "".join("\n" if c.isspace() else c for c in text)
    plain = regex.sub(r"[々〻]", "漢", plain)
    plain = regex.sub(r"(?<=\p{Script=Hiragana}\p{M}*)[ーｰ]+", lambda m: "あ" * len(m.group()), plain)
    # `regex` cuts apostrophes before vowels its own way; a full stop joins the same letters and digits.
    dotted = plain.replace("'", ".").replace("’", ".")
    # Behind a letter with marks it does not look beyond a full stop; the marks might as well be letters.
    dotted = regex.sub(rf"(?<=\p{{WB=ALetter}}{EXTENDING}*){EXTENDING}", "a", dotted)
    # At the very start it takes a mark for a letter, hence the newline before.
    places = (m.start() - 1 for m in regex.finditer(r"(?w)\b", "\n" + dotted))
    cuts = sorted({0, len(plain), *places} - {-1})
    found: list[tuple[int, int]] = []
    for first, last in pairwise(cuts):
        if plain[first] == "\n":
            continue
        if found and found[-1][1] == first:
            begin, both = found[-1][0], plain[found[-1][0] : last]
            runs = any(run.fullmatch(both) for run in RUNS[1:])
            same = len(set(both)) == 1 and not JOINING.match(both) and not RUNS[0].match(both)
            head = plain[begin:first]
            equal = len(set(head)) == 1 and both[len(head)] == head[0] and not JOINING.match(head)
            if runs or same or (equal and not RUNS[0].match(head) and not regex.match(EXTENDING, head)):
                found[-1] = (begin, last)
                continue
        found.append((first, last))
    return [text[first:last] for first, last in found]


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


ENDS, CLOSERS = "!?。．！？", "」』）】〕》〉)]\"'”’»"


def is_abbreviation(line: str, at: int) -> bool:
    """The full stop line[at] belongs to the word before it."""
    found = re.search(r"(?<![A-Za-z.])[A-Za-z.]{1,6}\Z", line[:at])
    if not found:
        return False
    word = found.group()
    if len(word) == 1 and word.isupper():
        return word != "I"
    if word in sentence_kernels.NEVER:
        return True
    if word not in sentence_kernels.SOMETIMES:
        if "." not in word:
            return False
        if word[0] <= "Z" and word[-1] <= "Z":
            return True
    follower = re.sub(rf"^[\s({re.escape(CLOSERS)}]+", "", line[at + 1 :])[:1]
    return bool(re.match("[a-z0-9,]", follower))


def sentences_of(line: str, lang: str) -> list[str]:
    """Swallow's expression for Japanese, the reading with abbreviations elsewhere."""
    if lang in ("ja", "zh"):
        return re.findall(r"[^。．！？!?]+[。．！？!?]?", line)
    found, begin = [], 0
    for m in re.finditer(rf"(?=[.{ENDS}])", line):
        at = m.start()
        if at < begin:
            continue
        marks = re.compile(rf"[.{ENDS}]+").match(line, at)
        assert marks
        closers = re.compile(f"[{re.escape(CLOSERS)}]*").match(line, marks.end())
        assert closers
        end = closers.end()
        if line[at] < "\x80" and end < len(line) and not line[end].isspace():
            continue
        if line[at] == "." and end == at + 1 and is_abbreviation(line[begin:], at - begin):
            continue
        found.append(line[begin:end])
        begin = end
    found.append(line[begin:])
    stripped = (re.sub(rf"^[\s{ENDS}]+", "", item).rstrip() for item in found)
    return [item for item in stripped if item]


def full_sentences(line: str) -> int:
    """Sentences of a Japanese line where brackets belong to what they close."""
    n, begin = 0, 0
    for m in re.finditer(rf"[{ENDS}]+([{re.escape(CLOSERS)}]*)", line):
        if m.group(1) and line[m.end() : m.end() + 1] in [*"とっのをにがもへや、，"]:
            continue
        n += bool(re.search(rf"[^\s{ENDS}]", line[begin : m.end()]))
        begin = m.end()
    return n + bool(re.search(rf"[^\s{ENDS}]", line[begin:]))


def is_closed(sentence: str, lang: str) -> bool:
    end = sentence.rstrip().rstrip(CLOSERS)[-1:]
    return (end in TERMINAL or end == "…") and end != "" and len(sentence) >= (10 if lang == "ja" else 20)


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
        if n == 5:
            most = sorted(grams.values(), reverse=True)
            k = min(int(len(grams) ** 0.5), sum(f > 1 for f in most))
            result["top_sqrt_5gram_ratio"] = ratio(sum(most[:k]), grams.total())
    seen, covered = set(), set()
    for at in range(len(text) - 9):
        if text[at : at + 10] in seen:
            covered |= set(range(at, at + 10))
        seen.add(text[at : at + 10])
    result["dup_10gram_cover_ratio"] = ratio(len(covered), len(text))
    times = Counter(text)
    result["char_entropy"] = sum(f * (log2(len(text)) - log2(f)) for f in times.values()) / max(len(text), 1)
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
        "n_katakana": n(rf"[{KATAKANA}]") - n("[㋐-㋾㌀-㍗]"),
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
        "kuten_ratio": ratio(text.count("。"), len(text)),
        "newline_char_ratio": ratio(text.count("\n"), len(text)),
        "special_char_ratio": ratio(sum(c in SPECIAL for c in text), len(text)),
        "mojibake_ratio": ratio(broken(text), len(text)),
        "n_kana_first_50": len(re.findall("[ぁ-んァ-ン]", text[:50])),
        "n_ja_stop_chars": len(set(text) & set("のにをはたてがとで年し・月れさ")),
        "n_curly": text.count("{"),
        "n_lorem_ipsum": len(re.findall("lorem ipsum", text, re.I | re.A)),
        "max_char_run": max((len(list(group)) for _, group in groupby(text)), default=0),
    }


def broken(text: str) -> int:
    """Characters that tell of a wrong encoding, each counted once."""
    places = {
        m.start()
        for m in regex.finditer(r"[\p{Co}\p{Cn}\ufffd縺繧繝]|[\x00-\x1f\x7f-\x9f--\t\n\v\f\r]", text, regex.V1)
    }
    for m in re.finditer("[ÃÂãâ](?=[\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹Œ‘’“”•–—˜™š›œ])", text):
        places |= {m.start(), m.start() + 1}
    return len(places)


PAIRS = dict(zip("([{「『（【〈《〔｛［｢", ")]}」』）】〉》〕｝］｣", strict=True))
DATE_MARKS = "年月日時分秒頃週曜火水木金土祝令和平成昭/.\\-:：()（）\\[\\]【】,、~〜"


def patterns(text: str, lang: str) -> dict[str, float]:
    """Addresses, brackets, and lines that look like menus, dates and prices."""
    urls = regex.findall(
        r'(?i:https?://|(?<![a-z0-9０-９])www\.(?=[a-z0-9０-９]))[^\s<>"\x1c-\x1f\u2e80-\U0010ffff]*', text
    )
    depth: Counter[str] = Counter()
    brackets = unmatched = 0
    for c in text:
        if c in PAIRS:
            depth[PAIRS[c]] += 1
            brackets += 1
        elif c in PAIRS.values():
            brackets += 1
            unmatched += depth[c] == 0
            depth[c] = max(depth[c] - 1, 0)
    unmatched += depth.total()
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    menus = row = dates = prices = 0
    for line in lines:
        if line[-1] in TERMINAL or len(line) > 60:
            row = 0
            continue
        if len(re.findall("[|｜»›>＞／・•]", line)) >= 2:
            menus, row = menus + 1, 0
        elif len(line) <= (12 if lang == "ja" else 24):
            row += 1
            menus += 3 if row == 3 else row > 3
        else:
            row = 0
        rest = re.sub(rf"[\s0-9０-９{DATE_MARKS}]", "", line)
        n_digits = len(re.findall("[0-9０-９]", line))
        month = re.search("(?<![A-Za-z])(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)", line, re.I)
        named = re.fullmatch("[A-Za-z]{1,11}", rest) and month
        dates += len(line) <= 40 and 3 <= n_digits < len(line) and bool(not rest or named)
        prices += bool(re.search("[0-9０-９][¥￥$＄€£₩円元]|[¥￥$＄€£₩円元][0-9０-９]", line))
    return {
        "n_urls": len(urls),
        "url_char_ratio": ratio(sum(map(len, urls)), len(text)),
        "n_emails": len(re.findall(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}", text)),
        "n_phones": sum(map(is_phone, re.finditer("[0-9０-９]+(?:[-‐－−.()（） ]{1,2}[0-9０-９]+){0,4}", text))),
        "bracket_balance": 1 - unmatched / brackets if brackets else 1.0,
        "menu_line_ratio": ratio(menus, len(lines)),
        "date_line_ratio": ratio(dates, len(lines)),
        "price_line_ratio": ratio(prices, len(lines)),
    }


def is_phone(match: re.Match[str]) -> bool:
    groups = re.findall("[0-9０-９]+", match.group())
    sizes = [len(group) for group in groups]
    if len(groups) < 2:
        return False
    home = groups[0][0] in "0０" and sizes[-1] == 4 and 10 <= sum(sizes) <= 11
    plus = match.string[: match.start()].endswith(("+", "＋")) and 8 <= sum(sizes) <= 15
    return home or plus or sizes in ([3, 3, 4], [1, 3, 3, 4])


def all_copies(items: Sequence[str]) -> tuple[int, int]:
    """Items that stand more than once, the first too, and their characters."""
    times = Counter(items)
    return sum(n for n in times.values() if n > 1), sum(n * len(item) for item, n in times.items() if n > 1)


def newline_lines(text: str, lang: str) -> dict[str, float]:
    """What is asked of lines between newlines."""
    lines = text.split("\n")
    filled = [line for line in lines if line.strip()]
    stripped = [line.strip() for line in filled]
    blocks = [block.strip() for block in text.split("\n\n") if block.strip()]
    chars, least = sum(map(len, filled)), 20 if lang == "ja" else 40

    def closed(line: str) -> bool:
        end = line.rstrip().rstrip(CLOSERS)[-1:]
        return end != "" and (end in TERMINAL or end == "…")

    n_lines, n_line_chars = all_copies(lines)
    n_stripped, n_stripped_chars = all_copies(stripped)
    n_blocks, n_block_chars = all_copies(blocks)
    ellipses = ("...", ". . .", "…")
    return {
        "ellipsis_newline_ratio": ratio(len(re.findall(r"(\.{3}|…)\n", text)), max(text.count("\n"), 1)),
        "tiny_line_ratio": ratio(sum(len(x) <= 10 for x in lines), len(lines)),
        "short_line_ratio": ratio(sum(len(x) <= 30 for x in filled), len(filled)),
        "terminal_line_ratio": ratio(sum(x[-1] in TERMINAL for x in filled), len(filled)),
        "kana_line_ratio": ratio(sum(bool(regex.search(r"\p{Script=Hiragana}", x)) for x in filled), len(filled)),
        "prose_char_ratio": ratio(sum(len(x) for x in filled if closed(x) and len(x) >= least), chars),
        "dup_text_line_char_ratio": ratio(copies(filled, [*map(len, filled)])[1], len(text) - text.count("\n")),
        "star_bullet_line_ratio": ratio(sum(x.startswith(("*", "-")) for x in lines), len(lines)),
        "ellipsis_char_line_ratio": ratio(sum(x.endswith("…") for x in lines), len(lines)),
        "all_dup_line_ratio": ratio(n_lines, len(lines)),
        "all_dup_line_char_ratio": ratio(n_line_chars, sum(not c.isspace() for c in text)),
        "dclm_bullet_line_ratio": ratio(sum(x.startswith(tuple("●•*-")) for x in stripped), len(stripped)),
        "dclm_ellipsis_line_ratio": ratio(sum(x.endswith(ellipses) for x in stripped), len(stripped)),
        "dclm_dup_line_ratio": ratio(n_stripped, len(stripped)),
        "dclm_dup_line_char_ratio": ratio(n_stripped_chars, sum(map(len, stripped))),
        "dclm_dup_paragraph_ratio": ratio(n_blocks, len(blocks)),
        "dclm_dup_paragraph_char_ratio": ratio(n_block_chars, sum(map(len, blocks))),
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
        "n_sentences": sum(map(full_sentences, text.split("\n"))) if lang == "ja" else len(sentences),
        "n_closed_sentences": sum(is_closed(s, lang) for s in sentences),
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
    words = words_of(text)
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
        "newline_word_ratio": ratio(text.count("\n"), len(words)),
        **newline_lines(text, lang),
        **patterns(text, lang),
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
        # The order of a sum of logarithms is not part of the definition.
        wrong = {
            name: (row[name], value)
            for name, value in expected.items()
            if row[name] != value
            and not (name in ("char_entropy", "bracket_balance") and abs(row[name] - value) < 1e-9)
        }
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


@settings(max_examples=200, deadline=None)
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


def test_ratios_are_ratios() -> None:
    table = signals(["ああああ" * 50, "a b c " * 100, "....", "。。。"], "ja")
    for name, (_, unit, _) in SIGNALS.items():
        values = table[name].to_numpy()
        assert (values >= 0).all()
        # Joined with spaces, a top n-gram of words may count more characters than the text has.
        if unit == "ratio" and not name.startswith(("top_2word", "top_3word", "top_4word", "hash_", "ellipsis_word")):
            assert np.all(values <= 1), name


@pytest.mark.parametrize("lang", ["ja", "en"])
def test_every_kind_of_array(lang: str) -> None:
    texts = ["一つ目。", None, "", "two words. 𠮷\r\nｶﾞ　\x00 end", "長" * 30]
    whole = signals(texts, lang)
    large, view = pa.array(texts, pa.large_string()), pa.array(texts, pa.string()).cast(pa.string_view())
    for array in (
        large,
        pa.array(["x", *texts, "y"], pa.large_string())[1:6],
        pa.chunked_array([large[:2], large[2:2], large[2:]]),
        pa.chunked_array([], pa.string()),
        view,
        pa.array(texts).dictionary_encode(),
    ):
        assert signals(array, lang).equals(whole.slice(0, len(array)))


@pytest.mark.parametrize(
    ("text", "dup", "cover"),
    [("あ" * 100_000, 1.0, 1.0), ("ab" * 100_000, 1.0, 1.0), ("0123456789" * 20_000, 1.0, 1.0)],
)
def test_one_line_without_end(text: str, dup: float, cover: float) -> None:
    row = signals([text], "ja").to_pylist()[0]
    assert row["dup_10gram_char_ratio"] == dup
    assert row["dup_10gram_cover_ratio"] == pytest.approx(cover, abs=1e-3)
    assert row["n_chars"] == len(text)


def test_many_different_characters() -> None:
    text = "".join(chr(0x4E00 + n % 20_000) for n in range(60_000))
    assert_conforms([text[:3000], text[:3000] + text[:200]], "ja")
    assert signals([text], "ja")["dup_10gram_char_ratio"].to_pylist() == [1.0]


def test_long_documents_of_few_pairs() -> None:
    text = " ".join(f"word{n * n % 97} and {n % 13}" for n in range(900))
    assert_conforms([text, text[:4100], text[:5000] * 2], "en")


@pytest.mark.parametrize(
    ("text", "lang", "n"),
    [
        ("彼は「行く。」と言った。", "ja", 1),
        ("「行く。」彼は言った。", "ja", 2),
        ("本当！？そう。", "ja", 2),
        ("Dr. Smith of the U.S. Army met Mr. J. Doe, e.g. at 5 p.m. today. He left.", "en", 2),
        ("He said “Go.” Then he went.", "en", 2),
        ("Made by Acme Inc. The firm closed.", "en", 2),
        ("It costs 3.50 now! Really?! Yes", "en", 3),
    ],
)
def test_sentences_know_quotations_and_abbreviations(text: str, lang: str, n: int) -> None:
    assert signals([text], lang)["n_sentences"].to_pylist() == [n]


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        ("n_urls", "見てhttps://a.example/b?c=1を。www.x.jp/ http://", 3),
        ("n_emails", "a.b@c.example, x@y @z q@r.s1 (m@n.org)", 2),
        ("n_phones", "03-1234-5678, 0120(12)3456, +81 90 1234 5678, 2026-11-21, (800) 555-1234, 1234-5678", 4),
        ("bracket_balance", "(a) 「b」 (c [d", 2 / 3),
        ("menu_line_ratio", "ホーム\n会社概要\n採用\nこれは文です。", 3 / 4),
        (
            "menu_line_ratio",
            "Home | About | Contact\nThis is a line of prose, long enough not to be a menu item",
            1 / 2,
        ),
        ("date_line_ratio", "2026年11月21日(土)\nNovember 21, 2026\n21 reasons to go", 2 / 3),
        ("price_line_ratio", "特価 1,980円\n$5 off\n五円", 2 / 3),
        ("char_entropy", "abab", 1.0),
        ("mojibake_ratio", "ã\x81\x82�a", 3 / 5),
        ("n_words", "二〇二六年", 1),
        ("n_words", "らーメン", 2),
        ("n_words", "１２３ＡＢＣ", 1),
        ("n_words", "....!!", 2),
    ],
)
def test_known_patterns(column: str, text: str, value: float) -> None:
    assert signals([text], "ja" if not text.isascii() else "en")[column].to_pylist() == [pytest.approx(value)]


def test_texts_inside_the_repository() -> None:
    paragraphs = [
        paragraph
        for name in ("articles_ja_a", "articles_ja_b", "articles_en")
        for paragraph in (ROOT / "sample" / f"{name}.md").read_text(encoding="utf-8").split("\n# ")
    ]
    japanese = [text[:2000] for text in paragraphs if re.search("[ぁ-ん]", text)][:15]
    english = [text[:3000] for text in paragraphs if not re.search("[ぁ-ん]", text)][:15]
    assert japanese
    assert english
    assert_conforms(japanese, "ja")
    assert_conforms(english, "en")
