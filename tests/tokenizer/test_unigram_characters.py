"""A Unigram of characters: SentencePiece and `tokenizers` give the same ids, and what does not come back is named."""

import json
from typing import Any

import pyarrow as pa
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from seimai.errors import ConfigError
from seimai.tokenizer.counts import count
from seimai.tokenizer.split import split_pattern
from seimai.tokenizer.unigram_characters import (
    PROBES,
    CharacterUnigram,
    learn_characters,
    library_json,
    not_round_trip,
)

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
LIKELY = st.lists(st.sampled_from([*"東京のはコーヒー、。「 \n\t▁<|>0x41a", "<0x41>", "<unk>", "<|bos|>", "  "])).map(
    "".join
)


def _counts(texts: list[str]) -> pa.Table:
    return count([pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.large_string())})], split_pattern())


@pytest.fixture(scope="module")
def unigram(texts: dict[str, list[str]]) -> CharacterUnigram:
    """4,000 pieces of the Japanese and English articles, and of some code."""
    return learn_characters(_counts([*texts["ja"], *texts["en"], "if a <b:\n\treturn <|x|>\n\n" * 50]), 4000)


@pytest.fixture(scope="module")
def model(unigram: CharacterUnigram) -> Any:
    """SentencePiece's own reading of the model."""
    return sentencepiece.SentencePieceProcessor(model_proto=unigram.model)


@pytest.fixture(scope="module")
def library(unigram: CharacterUnigram) -> Any:
    """The conversion, names of specials in text being text."""
    tokenizer = Tokenizer.from_str(json.dumps(library_json(unigram)))
    tokenizer.encode_special_tokens = True
    return tokenizer


def _ids(library: Any, text: str) -> list[int]:
    return list(library.encode(text, add_special_tokens=False).ids)


def test_the_library_encodes_as_sentencepiece(model: Any, library: Any, texts: dict[str, list[str]]) -> None:
    repeated = [unit * n for unit in ("ハ", "の", "ab", " ", "\n", "<", "ー", "\x00") for n in range(1, 40)]
    chosen = [*(text for lang in texts for text in texts[lang]), *PROBES.values(), *repeated]
    assert [_ids(library, text) for text in chosen] == model.encode(chosen)


@given(text=st.one_of(ANY_TEXT, LIKELY))
@settings(max_examples=300, deadline=None)
def test_any_text_gives_the_same_ids_and_only_one_character_is_lost(text: str, model: Any, library: Any) -> None:
    ids = model.encode(text)
    assert _ids(library, text) == ids
    expected = text.replace("▁", " ")
    assert model.decode(ids) == expected
    assert library.decode(ids, skip_special_tokens=False) == expected


def test_every_character_but_one_comes_back(model: Any) -> None:
    characters = [
        chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000 and (code < 0x3000 or code % 7 == 0)
    ]
    lost = [character for character in characters if model.decode(model.encode(character)) != character]
    assert lost == ["▁"]


def test_what_does_not_come_back_is_found_by_trying(unigram: CharacterUnigram) -> None:
    assert not_round_trip(unigram) == ["U+2581 (▁)"]


def test_ids_stand_where_both_expect_them(unigram: CharacterUnigram, model: Any, library: Any) -> None:
    assert model.vocab_size() == library.get_vocab_size() == len(unigram.pieces)
    assert len(unigram.pieces) % 128 == 0
    for name, number in (("<|bos|>", model.bos_id()), ("<|eos|>", model.eos_id()), ("<|pad|>", model.pad_id())):
        assert library.token_to_id(name) == number
    assert library.encode("a").ids == [model.bos_id(), *model.encode("a")]
    assert [model.id_to_piece(i) for i in (0, 255, unigram.unknown_id)] == ["<0x00>", "<0xFF>", "<unk>"]
    assert model.is_unknown(unigram.unknown_id)


def test_pieces_stay_inside_pretokens_and_never_go_on_behind_a_bracket(
    unigram: CharacterUnigram, texts: dict[str, list[str]]
) -> None:
    learned = [name for name, _, _ in unigram.pieces[256 : unigram.unknown_id]]
    assert not [name for name in learned if "<" in name[:-1]]
    everything = "\x01".join(
        p.decode() for p in _counts([*texts["ja"], *texts["en"], "\n\n", "\n\t", "<|x|>"])["pretoken"].to_pylist()
    )
    inside = [name for name in learned if name.replace("▁", " ") in everything]
    assert len(inside) > 0.99 * len(learned)
    assert any("\n" in name for name in learned)


def test_the_same_counts_give_the_same_model(unigram: CharacterUnigram, texts: dict[str, list[str]]) -> None:
    code = "if a <b:\n\treturn <|x|>\n\n" * 50
    assert learn_characters(_counts([code, *texts["en"][::-1], *texts["ja"]]), 4000).model == unigram.model


def test_few_pieces_leave_rare_characters_to_bytes(texts: dict[str, list[str]]) -> None:
    small = learn_characters(_counts(texts["ja"]), 300)
    assert small.n_learned <= 300
    processor = sentencepiece.SentencePieceProcessor(model_proto=small.model)
    assert processor.decode(processor.encode(texts["ja"][0])) == texts["ja"][0]


def test_nothing_to_learn_from_is_one_line() -> None:
    empty = pa.table({"pretoken": pa.array([], pa.large_binary()), "count": pa.array([], pa.int64())})
    with pytest.raises(ConfigError, match="count more text"):
        learn_characters(empty, 10)
