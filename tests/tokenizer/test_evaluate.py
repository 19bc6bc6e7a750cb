"""Figures of a tokenizer by language, against sums made by hand."""

import re
from pathlib import Path

import pytest

from seimai.errors import InputError
from seimai.tokenizer.encoder import Encoder
from seimai.tokenizer.evaluate import EVALUATION, evaluate
from seimai.tokenizer.split import word_pattern


def test_figures_are_what_a_loop_over_the_texts_gives(
    tokenizer: Path, source: Path, texts: dict[str, list[str]]
) -> None:
    table = evaluate(tokenizer, source)
    assert table.schema.names == EVALUATION.names
    held_out = [text for n, text in enumerate(texts["ja"] + texts["en"]) if n % 10 == 0]
    japanese = [text for text in held_out if text in texts["ja"]]
    row = table.to_pylist()[table["lang"].to_pylist().index("ja")]
    n_tokens = sum(len(ids) for ids in Encoder(tokenizer).ids(japanese))
    n_words = sum(len(re.findall(word_pattern(), text)) for text in japanese)
    assert row["documents"] == len(japanese)
    assert row["n_tokens"] == n_tokens
    assert row["bytes_per_token"] == pytest.approx(sum(len(t.encode()) for t in japanese) / n_tokens)
    assert row["fertility"] == pytest.approx(n_tokens / n_words)
    assert row["round_trip_failures"] == 0


def test_nothing_held_out_is_one_line(tokenizer: Path, tmp_path: Path) -> None:
    path = tmp_path / "all.txt"
    path.write_text("only training text\n", encoding="utf-8")
    with pytest.raises(InputError, match="held_out"):
        evaluate(tokenizer, path)
