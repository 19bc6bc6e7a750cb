"""Vocabularies for GGUF: which split is taken, how far it is, and what is refused."""

import json
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from seimai.errors import ConfigError
from seimai.sample.articles import articles
from seimai.tokenizer.gguf_splits import GGUF_SPLITS
from seimai.tokenizer.gguf_tokenizer import CONTROL, NORMAL, UNUSED, gguf_tokenizer, with_gguf_split
from seimai.tokenizer.split import split_pattern

PARAGRAPHS = [each for article in articles() for each in article.paragraphs]


def trained(split: str, vocab_size: int = 500) -> dict[str, Any]:
    """A tokenizer.json made from a part of the sample web."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split_pattern(name=split)), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([each.text for each in articles()[::8]], trainer)
    tokenizer.add_special_tokens(["<|bos|>", "<|eos|>"])
    found: dict[str, Any] = json.loads(tokenizer.to_str())
    return found


@pytest.mark.parametrize(("split", "name"), [("gpt2", "gpt-2"), ("llama3", "dbrx"), ("qwen2", "qwen2")])
def test_splits_that_llama_cpp_has(split: str, name: str) -> None:
    found = gguf_tokenizer(trained(split), 502, PARAGRAPHS)
    assert (found.pre, found.exact, found.other_texts) == (name, True, 0)


def test_the_same_names_are_not_always_the_same_split() -> None:
    """llama.cpp cuts deepseek-v3 in three steps, our preset in one: 8 of 518 longer texts differ, none of these."""
    found = gguf_tokenizer(trained("deepseek-v3"), 502, PARAGRAPHS)
    assert (found.exact, found.other_texts) == (False, 0)


def test_our_split_is_near_to_one_of_theirs() -> None:
    """No token of ours crosses the border of a phrase, so a coarser split changes long runs only."""
    data = trained("ja-en", 2_000)
    found = gguf_tokenizer(data, 2_010, PARAGRAPHS)
    assert not found.exact
    ours, theirs = (
        Tokenizer.from_str(json.dumps(each)) for each in (data, with_gguf_split(data, GGUF_SPLITS[found.pre]))
    )
    other = sum(ours.encode(text).ids != theirs.encode(text).ids for text in PARAGRAPHS)
    assert (found.other_texts, found.texts) == (other, len(PARAGRAPHS))
    assert found.other_texts <= 0.02 * found.texts
    assert len(found.merges) == 2_000 - 256
    assert found.tokens[2_000:2_003] == ["<|bos|>", "<|eos|>", "[UNUSED_2002]"]
    assert [found.types[place] for place in (0, 2_000, 2_009)] == [NORMAL, CONTROL, UNUSED]


def test_a_rule_for_whole_tokens_wants_its_own_name() -> None:
    data = trained("llama3")
    data["model"]["ignore_merges"] = True
    assert gguf_tokenizer(data, 502, PARAGRAPHS).pre == "llama-bpe"


def test_what_llama_cpp_cannot_hold() -> None:
    data = trained("gpt2")
    twice = json.loads(json.dumps(data))
    twice["model"]["vocab"]["<|bos|>"] = twice["model"]["vocab"].pop(
        " ".join(data["model"]["merges"][-1]).replace(" ", "")
    )
    twice["model"]["merges"].pop()
    with pytest.raises(ConfigError, match=r"two tokens are written '<\|bos\|>'"):
        gguf_tokenizer(twice, 502, PARAGRAPHS)
    with pytest.raises(ConfigError, match="has none; give --ids-only"):
        gguf_tokenizer({**data, "model": {**data["model"], "merges": []}}, 502, PARAGRAPHS)
    with pytest.raises(ConfigError, match="the tokenizer is Unigram; give --ids-only"):
        gguf_tokenizer({**data, "model": {"type": "Unigram", "vocab": []}}, 502, PARAGRAPHS)
    data["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "."
    with pytest.raises(ConfigError, match=r"no split near this tokenizer's: .* --ids-only"):
        gguf_tokenizer(data, 502, PARAGRAPHS)
