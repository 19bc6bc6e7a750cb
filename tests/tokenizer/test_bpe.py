"""Merges against the library's own trainer as an oracle, and the character-boundary rule."""

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from seimai.tokenizer.bpe import learn_merges
from seimai.tokenizer.counts import count, merge_counts
from seimai.tokenizer.split import split_pattern
from seimai.tokenizer.vocabulary import Vocabulary, special_names


def _counts(texts: list[str]) -> pa.Table:
    return count([pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.large_string())})], split_pattern())


def _library(texts: list[str], merges: int) -> list[tuple[str, str]]:
    import json

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(split_pattern()), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=256 + merges, initial_alphabet=alphabet, show_progress=False, min_frequency=2
    )
    tokenizer.train_from_iterator(texts, trainer)
    return [tuple(merge) for merge in json.loads(tokenizer.to_str())["model"]["merges"]]


def _named(merges: np.ndarray) -> list[tuple[str, str]]:
    """Merges in the library's alphabet."""
    from seimai.tokenizer.vocabulary import _CHARACTERS

    tokens = Vocabulary(merges, special_names(len(merges)), split_pattern()).token_bytes
    return [
        ("".join(_CHARACTERS[b] for b in tokens[left]), "".join(_CHARACTERS[b] for b in tokens[right]))
        for left, right in merges.tolist()
    ]


@pytest.mark.parametrize("langs", [("ja",), ("en",), ("ja", "en", "zh", "ko", "fr", "de")])
def test_merges_are_the_librarys(texts: dict[str, list[str]], langs: tuple[str, ...]) -> None:
    chosen = [text for lang in langs for text in texts[lang]]
    ours = _named(learn_merges(_counts(chosen), 3000, boundary=False))
    assert ours == _library(chosen, 3000)
    assert len(ours) > 1000


def test_counts_beyond_32_bits_are_counted() -> None:
    """The library wraps pair counts at 2^31 and then never merges the commonest pair."""
    table = pa.table({"pretoken": pa.array([b"ab", b"cd"], pa.large_binary()), "count": [2**31 + 5, 30]})
    assert learn_merges(table, 2).tolist() == [[97, 98], [99, 100]]


def test_no_token_joins_part_of_a_character_with_another(texts: dict[str, list[str]]) -> None:
    merges = learn_merges(_counts(texts["ja"]), 3000, boundary=True)
    tokens = Vocabulary(merges, special_names(len(merges)), split_pattern()).token_bytes
    whole = partial = 0
    for token in tokens[256 : 256 + len(merges)]:
        try:
            token.decode()
            whole += 1
        except UnicodeDecodeError:
            partial += 1
            assert len(token) <= 3, token
            assert token[0] >= 0xC0, token
    assert whole > 10 * partial


def test_the_order_of_the_texts_changes_nothing(texts: dict[str, list[str]]) -> None:
    first = _counts(texts["ja"] + texts["en"])
    second = merge_counts([_counts(texts["en"][::-1]), _counts(texts["ja"])])
    assert first.equals(second)
    assert np.array_equal(learn_merges(first, 500), learn_merges(second, 500))
