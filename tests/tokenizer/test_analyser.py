"""Cuts between words: against the analyser asked directly, in counts and tokens, and what is recorded and refused."""

import json
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.errors import ConfigError, RunError
from seimai.tokenizer import analyser
from seimai.tokenizer.analyser import ANALYSERS, cut_by_words, described
from seimai.tokenizer.count_job import count_sources
from seimai.tokenizer.count_sample import CountSettings
from seimai.tokenizer.count_split import cutter, is_japanese
from seimai.tokenizer.counts import finder
from seimai.tokenizer.sources import open_sources
from seimai.tokenizer.split import split_pattern
from seimai.tokenizer.train import TrainSettings, train_tokenizer
from seimai.tokenizer.vocabulary import load

pytest.importorskip("sudachipy", reason="SudachiPy is in the extra analyse")
pytest.importorskip("sudachidict_core", reason="so is its dictionary")

TEXTS = ["「完成した」 a book", "", "食べられませんでした。\x00東京都に住む 3年ー", "it's\n\n山", "ﾊﾝｶｸ𠮟る"]


@pytest.fixture(scope="module")
def words() -> Callable[[str], list[str]]:
    """Sudachi's short words of a text."""
    from sudachipy import Dictionary, SplitMode  # type: ignore[import-untyped,import-not-found,unused-ignore]

    dictionary = Dictionary(dict="core")
    make = dictionary.tokenizer if hasattr(dictionary, "tokenizer") else dictionary.create
    analyse = make(mode=SplitMode.A).tokenize
    return lambda text: [word.surface() for word in analyse(text)]


def _pieces(texts: list[str], name: str = "sudachi") -> list[list[str]]:
    data, lengths, ends = cut_by_words(cutter(split_pattern()), name)(texts)
    whole, bounds = bytes(data).decode(), [0, *np.cumsum(lengths).tolist()]
    flat = [whole[first:last] for first, last in pairwise(bounds)]
    return [flat[first:last] for first, last in pairwise([0, *ends.tolist()])]


def _expected(text: str, words: Callable[[str], list[str]]) -> list[str]:
    """The ordinary pieces, cut where a word ends between two characters that are kana or kanji."""
    japanese = is_japanese(text).tolist()
    ends = np.cumsum([len(word) for word in words(text)], dtype=int).tolist() if text else []
    cuts = {end for end in ends if end < len(text) and japanese[end - 1] and japanese[end]}
    cuts |= set(np.cumsum([len(piece) for piece in finder(split_pattern())(text)], dtype=int).tolist())
    return [text[first:last] for first, last in pairwise([0, *sorted(cuts)])]


def test_cuts_are_those_of_the_split_and_of_the_analyser(
    texts: dict[str, list[str]], words: Callable[[str], list[str]]
) -> None:
    chosen = [*TEXTS, *texts["ja"][:6], *texts["en"][:2], *texts["zh"][:1]]
    assert _pieces(chosen) == [_expected(text, words) for text in chosen]


def test_words_are_cut_and_phrases_of_other_scripts_are_not() -> None:
    assert _pieces(TEXTS[:1]) == [["「完成", "し", "た", "」", " a", " book"]]
    assert _pieces(["Tokyo Tower's 333 m"]) == [finder(split_pattern())("Tokyo Tower's 333 m")]


@pytest.mark.parametrize("name", ANALYSERS)
def test_any_text_is_cut_finer_and_nothing_is_lost(name: str) -> None:
    if name == "mecab":
        pytest.importorskip("fugashi", reason="fugashi is in the extra analyse")
        pytest.importorskip("unidic_lite", reason="so is its dictionary")

    @given(
        texts=st.lists(
            st.text(st.sampled_from("東京で食べたコーヒー。「 a\n\t\x00１😀か\u3099"), max_size=30), max_size=3
        )
    )
    @settings(max_examples=60, deadline=None)
    def check(texts: list[str]) -> None:
        for text, found in zip(texts, _pieces(texts, name), strict=True):
            assert "".join(found) == text
            ends = set(np.cumsum([len(piece) for piece in found], dtype=int).tolist())
            assert ends >= set(np.cumsum([len(p) for p in finder(split_pattern())(text)], dtype=int).tolist())

    check()


def test_a_long_text_is_given_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "東京都に住む。" * 30
    whole = _pieces([text])
    monkeypatch.setattr(analyser, "PIECE_CHARS", 70)  # ten sentences
    assert _pieces([text]) == whole


def test_no_counted_piece_and_no_token_goes_over_a_word(
    source: Path, tmp_path: Path, words: Callable[[str], list[str]]
) -> None:
    settings = CountSettings(host_cap=0, analyser="sudachi")
    train_tokenizer(source, tmp_path / "words", vocab_size=2048, counting=settings)
    [counts] = tmp_path.glob("words.counts-*")
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    expected = Counter(p for row in rows if row["split"] == "train" for p in _expected(row["text"], words))
    table = pq.read_table(counts / "counts.parquet", columns=["pretoken", "count"])
    assert {p.decode(): n for p, n in zip(*table.to_pydict().values(), strict=True)} == dict(expected)
    vocabulary = load(tmp_path / "words")
    pieces = {piece.encode() for piece in expected}
    learned = [token for token in vocabulary.tokens[256 : vocabulary.n_ordinary] if len(token) >= 6]
    assert all(any(token in piece for piece in pieces) for token in learned)
    # Of encoding it knows nothing.
    assert vocabulary.pattern == split_pattern()


def test_the_versions_are_recorded_and_other_counts_are_not_taken_for_these(source: Path, tmp_path: Path) -> None:
    shards = open_sources(source)
    count_sources(shards, tmp_path / "counts", CountSettings(analyser="sudachi"))
    manifest = json.loads((tmp_path / "counts" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["settings"]["analyser"] == described("sudachi")
    assert "SudachiDict-core 20" in described("sudachi")
    again = count_sources(shards[::-1], tmp_path / "counts", CountSettings(analyser="sudachi"))
    assert again.reused
    with pytest.raises(RunError, match="analyser sudachi"):
        count_sources(shards, tmp_path / "counts")
    count_sources(shards, tmp_path / "plain")
    assert "analyser" not in json.loads((tmp_path / "plain" / "manifest.json").read_text(encoding="utf-8"))["settings"]


def test_an_unknown_or_missing_analyser_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"'jumanpp'.*use sudachi"):
        described("jumanpp")
    monkeypatch.setitem(ANALYSERS, "sudachi", ("no-such-package", "SudachiDict-core"))
    with pytest.raises(ConfigError, match=r"needs no-such-package.*seimai\[analyse\]"):
        described("sudachi")


def test_the_librarys_trainer_reads_text_and_knows_no_analyser(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="analyser sudachi"):
        train_tokenizer(
            source, tmp_path / "out", settings=TrainSettings(backend="hf"), counting=CountSettings(analyser="sudachi")
        )
