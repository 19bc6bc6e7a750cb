"""Bytes per token of held-out documents: those alone, within a bound, as encoding the texts whole gives it."""

import json
from pathlib import Path

from seimai.tokenizer.curve import bytes_per_token, curve, held_out_pretokens
from seimai.tokenizer.encoder import Encoder
from seimai.tokenizer.sources import open_sources
from seimai.tokenizer.split import split_pattern


def test_the_tokens_are_those_of_the_texts(source: Path, tokenizer: Path) -> None:
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    pretokens = held_out_pretokens(open_sources(source), split_pattern())
    assert list(pretokens) == ["en", "ja"]
    for lang, counted in pretokens.items():
        texts = [row["text"] for row in rows if row["split"] == "held_out" and row["lang"] == lang]
        n_bytes, n_tokens = bytes_per_token(tokenizer, counted)
        assert n_bytes == sum(len(text.encode()) for text in texts)
        assert n_tokens == sum(len(ids) for ids in Encoder(tokenizer).ids(texts))


def test_no_more_is_read_than_asked_for(source: Path) -> None:
    everything = held_out_pretokens(open_sources(source), split_pattern())["ja"]
    some = held_out_pretokens(open_sources(source), split_pattern(), max_bytes=1)["ja"]
    assert 0 < some.total() < everything.total()


def test_one_row_a_size_and_language(source: Path, tokenizer: Path) -> None:
    pretokens = held_out_pretokens(open_sources(source), split_pattern())
    rows = curve({4096: tokenizer, 2048: tokenizer}, pretokens).to_pylist()
    assert [(row["vocab_size"], row["lang"]) for row in rows] == [
        (2048, "en"),
        (2048, "ja"),
        (4096, "en"),
        (4096, "ja"),
    ]
    assert rows[0]["bytes_per_token"] == rows[0]["n_bytes"] / rows[0]["n_tokens"]
