"""The split: lossless, capped, and the same pieces in Python's `re`, `regex`, Oniguruma and fancy-regex."""

import re
from typing import Any

import pytest
import regex
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from seimai.errors import ConfigError
from seimai.tokenizer.split import SPLITS, pieces, split_pattern

TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60)
HARD = (
    "コーヒーを飲む。佐々木さんは、「ヴァイオリン」を弾いた……。",
    "ﾊﾝｶｸ ｶﾅ と 全角ＡＢＣ１２３",
    "if x:\n        return 3.14\n\n\n# done",
    "it's WE'LL don’t o'clock rock'n'roll",
    "👩‍👩‍👧‍👦 flags 🇯🇵🇬🇧 e\u0301 が \x00 \u3000\u00a0\u2028",
    "𠮟る 𩸽 々〆ヶヵ ゝゞヽヾ ㇰㇱ",
    "東京2020年12月31日 $1,234.56 50%",
)


@pytest.mark.parametrize("digits", [1, 2, 3])
@given(text=TEXTS)
@settings(max_examples=150, deadline=None)
def test_every_character_is_in_exactly_one_piece(digits: int, text: str) -> None:
    assert "".join(re.findall(split_pattern(digits), text)) == text


def test_four_engines_cut_alike(texts: dict[str, list[str]]) -> None:
    pattern = split_pattern()
    onig = pre_tokenizers.Split(Regex(pattern), "isolated")
    other = regex.compile(pattern)
    for text in [*HARD, *texts["ja"][:12], *texts["en"][:12], *texts["zh"], *texts["ko"], *texts["fr"]]:
        expected = re.findall(pattern, text)
        assert [piece for piece, _ in onig.pre_tokenize_str(text)] == expected
        assert other.findall(text) == expected


def test_fancy_regex_cuts_alike() -> None:
    """tiktoken with single bytes only: joins of the pieces cannot be seen, so every piece is made a special case."""
    pattern = split_pattern()
    for text in HARD:
        expected = [piece.encode() for piece in re.findall(pattern, text)]
        ranks = {bytes([byte]): byte for byte in range(256)}
        for piece in expected:
            for end in range(2, len(piece) + 1):  # every prefix, so that merging left to right reaches the whole piece
                ranks.setdefault(piece[:end], len(ranks))
        encoding = tiktoken.Encoding("test", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
        got = [encoding.decode_single_token_bytes(token) for token in encoding.encode_ordinary(text)]
        assert got == expected


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("コーヒー", ["コーヒー"]),
        ("佐々木", ["佐々木"]),
        ("食べます。そして", ["食べます", "。そして"]),
        ("Web開発", ["Web", "開発"]),
        ("2024年", ["2", "0", "2", "4", "年"]),
        ("    return", ["   ", " return"]),
    ],
)
def test_boundaries(text: str, cut: list[str]) -> None:
    assert re.findall(split_pattern(), text) == cut


@pytest.mark.parametrize("unit", ["あ", "ア", "漢", "a", "1", " ", "\n", "!", "👍"])
def test_long_runs_are_capped(unit: str) -> None:
    """Caps are what keeps time linear: no piece, and so no search for its end, is longer."""
    cut = re.findall(split_pattern(), unit * 100_000)
    assert "".join(cut) == unit * 100_000
    assert max(map(len, cut)) <= 80


@given(text=TEXTS, limit=st.integers(1, 20), name=st.sampled_from(SPLITS))
@settings(max_examples=200, deadline=None)
def test_pieces_of_long_texts_cut_between_pretokens(text: str, limit: int, name: str) -> None:
    pattern = split_pattern(name=name)
    cut = list(pieces(text, pattern, limit))
    assert "".join(cut) == text
    assert [p for piece in cut for p in regex.findall(pattern, piece)] == regex.findall(pattern, text) or not text


def test_punctuation_is_glued_or_not() -> None:
    text = "「東京」は、夏。"
    assert re.findall(split_pattern(), text) == ["「東京", "」", "は", "、夏", "。"]
    assert re.findall(split_pattern(glue=False), text) == ["「", "東京", "」", "は", "、", "夏", "。"]


def test_scripts_apart() -> None:
    assert re.findall(split_pattern(name="script"), "食べるコーヒーは12円") == [
        "食", "べる", "コーヒー", "は", "1", "2", "円"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"digits": 4}, "use --digits 1"),
        ({"name": "cl200k"}, "use ja-en"),
        ({"name": "o200k", "digits": 2}, "leave --digits out"),
        ({"name": "script", "glue": False}, "leave it out"),
    ],
)
def test_options_a_split_has_not_are_refused(options: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ConfigError, match=remedy):
        split_pattern(**options)
