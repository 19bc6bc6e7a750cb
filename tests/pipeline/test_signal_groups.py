"""Signals beyond the core: words cut otherwise, compression, word lists, and how rules switch them on."""

import re
import statistics
import zlib
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.errors import ConfigError
from seimai.pipeline.measure import signals
from seimai.pipeline.presets import QualityConfig
from seimai.pipeline.settings import RunConfig, stage_fingerprints
from seimai.pipeline.signal_columns import COLUMNS, CORE, GROUPS, SIGNALS, columns_of, groups_of
from seimai.pipeline.signal_config import SignalsConfig, measure_signals, signals_parts
from seimai.pipeline.wordlists import ListConfig, count_list, list_digests, open_list

STOPS = {"the", "be", "to", "of", "and", "that", "have", "with"}


def space_oracle(text: str) -> dict[str, float]:
    """Dolma's and DCLM's readings, by Python's own strings."""
    words = text.split()
    chars = sum(map(len, words))
    symbols = sum(text.count(mark) for mark in ("#", "...", ". . .", "…"))
    result: dict[str, float] = {
        "n_space_words": len(words),
        "mean_space_word_chars": chars / len(words) if words else 0,
        "median_space_word_chars": statistics.median(map(len, words)) if words else 0,
        "symbol_space_word_ratio": sum("#" in w or "…" in w for w in words) / max(len(words), 1),
        "symbol_per_space_word": symbols / max(len(words), 1),
        "alpha_space_word_ratio": sum(any(c.isalpha() for c in w) for w in words) / max(len(words), 1),
        "n_space_stop_words": sum(w in STOPS for w in words),
        "n_space_stop_words_lower": sum(w.lower() in STOPS for w in words),
    }
    for n in (2, 3, 4):
        grams = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
        top, times = grams.most_common(1)[0] if grams else ((), 0)
        result[f"top_{n}space_word_char_ratio"] = sum(map(len, top)) * times / max(chars, 1)
    for n in range(5, 11):
        grams = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
        sizes = {gram: sum(map(len, gram)) * times for gram, times in grams.items()}
        copied = sum(size for gram, size in sizes.items() if grams[gram] > 1)
        result[f"dup_{n}space_word_char_ratio"] = copied / max(sum(sizes.values()), 1)
    return result


TEXTS = st.lists(
    st.sampled_from(["a", "the", "The ", "of", " ", "\n", "#", "…", "...", ". . .", "あ", "é", "x" * 40, " \t"])
)


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXTS.map("".join), min_size=1, max_size=3))
def test_words_between_spaces(texts: list[str]) -> None:
    table = signals([*texts, "a b " * 30], "en", groups=["space"])
    for text, row in zip([*texts, "a b " * 30], table.to_pylist(), strict=True):
        assert {name: row[name] for name in space_oracle(text)} == pytest.approx(space_oracle(text))


def test_very_long_words_have_a_median() -> None:
    text = f"{'x' * 3000} {'y' * 5000} z"
    assert signals([text], "en", groups=["space"])["median_space_word_chars"].to_pylist() == [3000]


def test_words_of_datatrove() -> None:
    row = signals(["I can't and won't, e.g. here."], "en", groups=["datatrove"]).to_pylist()[0]
    assert row["datatrove_n_words"] == 10
    assert row["n_words"] == 9
    japanese = signals(["漢字かなカナ。"], "ja", groups=["datatrove"]).to_pylist()[0]
    assert japanese["datatrove_n_words"] == japanese["n_words"] == 4


def test_words_of_the_analyser() -> None:
    pytest.importorskip("sudachipy", reason="SudachiPy is an extra")
    pytest.importorskip("sudachidict_core", reason="its dictionary too")
    row = signals(["吾輩は猫である。 名前は𠮷田。", "あ" * 30_000], "ja", groups=["sudachi"]).to_pylist()
    assert row[0]["sudachi_n_words"] == 11
    assert row[0]["sudachi_n_ja_stop_words"] == 2
    assert row[1]["sudachi_n_words"] > 0


def test_compression() -> None:
    texts = ["あいうえお" * 100, None, "", "random 8f3a9c"]
    table = signals(texts, "ja", groups=["zstd", "zlib"])
    for text, zlib_ratio, zstd_ratio in zip(texts, table["zlib9_ratio"], table["zstd_ratio"], strict=True):
        data = (text or "").encode()
        assert zlib_ratio.as_py() == (None if text is None else len(zlib.compress(data, 9)) / len(data) if data else 0)
        if data:
            frame = zstandard.ZstdCompressor(level=3, write_content_size=False).compress(data)
            assert zstd_ratio.as_py() == len(frame) / len(data)


def test_marks_of_bulletin_boards() -> None:
    text = "2026年11月21日(土) コメント 第12話 - SOLD OUT 2026/1/2 page"
    assert signals([text, None, "本文"], "ja", groups=["bbs"])["n_bbs_marks"].to_pylist() == [7, None, 0]


def write_list(folder: Path, words: str) -> str:
    path = folder / "words.txt"
    path.write_text(words, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("options", "words", "text", "found"),
    [
        ({"whole_latin": False}, "ab\nabc\nc", "abcc", ["abc", "c"]),
        ({"order": "listed", "whole_latin": False}, "ab\nabc\nc", "ab ccabc", ["ab", "c", "c", "ab", "c"]),
        ({}, "ass", "class pass ass assist", ["ass"]),
        ({"whole_latin": False}, "ass", "class ass", ["ass", "ass"]),
        ({"whole_latin": False, "ignore_case": True}, "Ass", "aSS ASS", ["aSS", "ASS"]),
        ({}, "ヌード", "ヌードルとヌード", ["ヌード", "ヌード"]),
        ({"whole_katakana": True}, "ヌード\n裸", "ヌードルとヌード裸", ["ヌード", "裸"]),
        ({}, "𠮷野家\n\n 裸 \r\n", "𠮷野家で裸", ["𠮷野家", "裸"]),
        ({"whole_latin": False}, "aab\nab", "aaab", ["aab"]),
    ],
)
def test_matches(tmp_path: Path, options: dict[str, object], words: str, text: str, found: list[str]) -> None:
    config = ListConfig.model_validate({"path": write_list(tmp_path, words), **options})
    hits, chars = count_list(pa.array([text, None, ""], pa.large_string()), open_list(config))
    assert hits.tolist() == [len(found), 0, 0]
    assert chars.tolist() == [sum(map(len, found)), 0, 0]


WORDS = st.lists(st.text("abあ", min_size=1, max_size=4), min_size=1, max_size=6, unique=True)


@settings(max_examples=60, deadline=None)
@given(WORDS, st.text("abあ", max_size=30), st.booleans())
def test_matches_are_those_of_an_alternation(
    tmp_path_factory: pytest.TempPathFactory, words: list[str], text: str, longest: bool
) -> None:
    path = write_list(tmp_path_factory.mktemp("list"), "\n".join(words))
    config = ListConfig(path=path, order="longest" if longest else "listed", whole_latin=False)
    ordered = sorted(words, key=len, reverse=True) if longest else words
    found = re.findall("|".join(map(re.escape, ordered)), text)
    hits, chars = count_list(pa.array([text], pa.large_string()), open_list(config))
    assert (hits[0], chars[0]) == (len(found), sum(map(len, found)))


def test_lists_become_columns(tmp_path: Path) -> None:
    lists = {
        "adult": open_list(ListConfig(path=write_list(tmp_path, "裸"))),
        "ng": open_list(ListConfig(path=write_list(tmp_path, "裸"))),
    }
    row = signals(["裸の王様、裸だ。"], "ja", groups=["words"], lists=lists).to_pylist()[0]
    assert (row["n_adult_words"], row["ng_char_ratio"], row["n_spam_words"]) == (2, 2 / 8, None)


def test_list_mistakes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one word a line"):
        open_list(ListConfig(path=str(tmp_path / "none.txt")))
    with pytest.raises(ConfigError, match="has no word"):
        open_list(ListConfig(path=write_list(tmp_path, "\n \n")))
    with pytest.raises(ConfigError, match="unknown kind 'adlut'"):
        list_digests({"adlut": ListConfig(path=write_list(tmp_path, "a"))})


def test_unknown_group() -> None:
    with pytest.raises(ConfigError, match="unknown group 'zip'"):
        signals(["a"], "en", groups=["zip"])


def test_groups_cover_the_columns() -> None:
    assert {column.group for column in COLUMNS.values()} == set(GROUPS)
    assert set(SIGNALS) == set(columns_of([])) == {name for name, column in COLUMNS.items() if column.group == CORE}
    assert groups_of(COLUMNS) == GROUPS[1:]


def test_rules_switch_groups_on(tmp_path: Path) -> None:
    add = [{"reason": "packs", "column": "zlib9_ratio", "keep": ">=", "threshold": 0.3}]
    quality = {"ja": QualityConfig(preset="none", add=add), "en": QualityConfig(preset="none")}  # type: ignore[arg-type]
    config = SignalsConfig(groups=["space"])
    japanese = measure_signals(pa.array(["米" * 50], pa.large_string()), True, config, quality)
    other = measure_signals(pa.array(["rice " * 50], pa.large_string()), False, config, quality)
    assert japanese.schema == other.schema
    assert japanese["zlib9_ratio"].null_count == 0
    assert other["zlib9_ratio"].null_count == 1
    assert other["n_space_words"].to_pylist() == [50]
    plain = {"ja": QualityConfig(preset="none"), "en": QualityConfig(preset="none")}
    assert "zlib9_ratio" not in measure_signals(pa.array(["米"], pa.large_string()), True, config, plain).schema.names


def test_fingerprints_know_lists_and_groups(tmp_path: Path) -> None:
    quality = {"ja": QualityConfig(preset="none"), "en": QualityConfig(preset="none")}
    lists = {"ad": ListConfig(path=write_list(tmp_path, "広告"))}
    plain = RunConfig(quality=quality)
    listed = plain.model_copy(update={"signals": SignalsConfig(groups=["words"], lists=lists)})
    prints = {stage_fingerprints(config)["signals"] for config in (plain, listed)}
    assert len(prints) == 2
    before = signals_parts(listed.signals, quality)
    write_list(tmp_path, "広告\n宣伝")
    assert signals_parts(listed.signals, quality) != before
    # A list that nothing counts changes nothing.
    unused = plain.model_copy(update={"signals": SignalsConfig(lists=lists)})
    assert stage_fingerprints(unused)["signals"] == stage_fingerprints(plain)["signals"]
    assert stage_fingerprints(unused)["read"] == stage_fingerprints(plain)["read"]
