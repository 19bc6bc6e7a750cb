"""Unigram pieces: SentencePiece's own encoding as the oracle of what `tokenizers` makes of them, and their order."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from seimai.errors import ConfigError
from seimai.tokenizer import unigram
from seimai.tokenizer.counts import count
from seimai.tokenizer.split import split_pattern
from seimai.tokenizer.unigram import UnigramPieces, learn_pieces, model_json
from seimai.tokenizer.vocabulary import bytes_name


def _counts(texts: list[str]) -> pa.Table:
    return count([pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.large_string())})], split_pattern())


@pytest.fixture(scope="module")
def pieces(texts: dict[str, list[str]]) -> UnigramPieces:
    """800 pieces of the Japanese and English articles."""
    return learn_pieces(_counts(texts["ja"][:25] + texts["en"][:25]), 800)


@pytest.fixture(scope="module")
def library(pieces: UnigramPieces) -> Any:
    """The pieces as a whole tokenizer of `tokenizers`."""
    split = {"type": "Split", "pattern": {"Regex": split_pattern()}, "behavior": "Isolated", "invert": False}
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    data: dict[str, Any] = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, bytes_]}, "post_processor": None,
        "decoder": bytes_, "model": model_json(pieces),
    }  # fmt: skip
    return Tokenizer.from_str(json.dumps(data))


def _by_sentencepiece(pieces: UnigramPieces, names: list[str]) -> list[list[int]]:
    processor = sentencepiece.SentencePieceProcessor(model_proto=pieces.model_file)
    ids = {bytes_name(token): i for i, token in enumerate(pieces.tokens)}
    # What SentencePiece never saw comes out as one unknown piece; here its bytes are tokens.
    return [
        [i for piece in found for i in ([ids[piece]] if piece in ids else [ids[byte] for byte in piece])]
        for found in processor.encode(names, out_type=str)
    ]


def test_the_library_encodes_as_sentencepiece(pieces: UnigramPieces, library: Any, texts: dict[str, list[str]]) -> None:
    pretokens = {p.decode() for all_texts in texts.values() for p in _counts(all_texts)["pretoken"].to_pylist()}
    repeated = {unit * n for unit in ("ハ", "の", "ab", "ー", "\x00") for n in range(1, 17)}
    names = [bytes_name(pretoken.encode()) for pretoken in sorted(pretokens | repeated)]
    assert len(names) > 10_000
    ours = [[token.id for token in library.model.tokenize(name)] for name in names]
    assert ours == _by_sentencepiece(pieces, names)


def test_the_same_counts_give_the_same_pieces(pieces: UnigramPieces, texts: dict[str, list[str]]) -> None:
    again = learn_pieces(_counts(texts["en"][:25][::-1] + texts["ja"][:25]), 800)
    assert again.tokens == pieces.tokens
    assert np.array_equal(again.scores, pieces.scores)


def test_bytes_come_first_and_pieces_by_score(pieces: UnigramPieces) -> None:
    assert pieces.tokens[:256] == tuple(bytes([byte]) for byte in range(256))
    assert len(pieces.tokens) == len(set(pieces.tokens)) == 256 + 800
    assert (np.diff(pieces.scores[256:]) <= 0).all()
    assert pieces.scores[0xFF] == pieces.scores.min()  # no UTF-8 text holds this byte
    assert (pieces.scores * 1024 == np.round(pieces.scores * 1024)).all()


def test_counts_are_what_is_learned_from() -> None:
    """The same pre-tokens with other counts: the commonest has the best score."""
    words = pa.array([b"abab", b"cdcd", b"efef"], pa.large_binary())
    for best in range(3):
        table = pa.table({"pretoken": words, "count": [1000 if i == best else 5 for i in range(3)]})
        found = learn_pieces(table, 6)
        top = found.tokens[256:][int(np.argmax(found.scores[256:]))]
        assert top in words[best].as_py()


def test_any_text_comes_back(library: Any) -> None:
    @given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
    @settings(max_examples=200, deadline=None)
    def check(text: str) -> None:
        assert library.decode(library.encode(text).ids, skip_special_tokens=False) == text

    check()


@pytest.mark.parametrize("pretoken", ["a\tb", "▁", "▁a▁", "<s>", "<unk>", "\n\t", "▅"])
def test_marks_of_the_trainer_are_plain_bytes(pretoken: str) -> None:
    """Tab, newline and ▁ would break a line of its TSV or become a blank."""
    table = pa.table({"pretoken": pa.array([pretoken.encode(), b"zz"], pa.large_binary()), "count": [50, 50]})
    found = learn_pieces(table, 20)
    assert set(pretoken.encode()) <= {token[0] for token in found.tokens[:256]}
    assert all(token in pretoken.encode() or token in b"zz" for token in found.tokens[256:])


def test_long_pretokens_are_left_out() -> None:
    table = pa.table({"pretoken": pa.array([b"x" * 5000, b"abab"], pa.large_binary()), "count": [9, 9]})
    assert not any(b"x" in token for token in learn_pieces(table, 5).tokens[256:])


def test_nothing_to_learn_from_is_one_line() -> None:
    table = pa.table({"pretoken": pa.array([], pa.large_binary()), "count": pa.array([], pa.int64())})
    with pytest.raises(ConfigError, match="count more text"):
        learn_pieces(table, 5)


def test_without_sentencepiece_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sentencepiece", None)
    with pytest.raises(ConfigError, match=r"seimai\[unigram\]"):
        unigram.sentencepiece_library()
