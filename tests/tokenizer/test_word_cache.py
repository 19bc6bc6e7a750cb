"""Our ids are the engine's: every text, whatever was seen before, and the merges in the order they were learned."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from seimai.tokenizer import encoder as encoder_module
from seimai.tokenizer import word_cache
from seimai.tokenizer.encoder import Encoder
from seimai.tokenizer.merge_kernels import encode_words, rank_table
from seimai.tokenizer.vocabulary import bytes_name

HARD = [
    "",
    "精米は玄米から糠を取り除く。" * 50,
    "aaaaaaaaaaaaaaaaaaaaaaaaa" * 40,
    "\x00\x01\x7f\u0085\ufeff\u200b",
    "ｶﾀｶﾅ ﾊﾟﾝ 髙﨑 ①㈱Ⅲ 👩‍👩‍👧‍👦🇯🇵",
    "<|bos|> <|reserved_3|>",
    "  \n\n\t  x   \r\n",
    "か\u3099 e\u0301\u0301\u0301",
    "\U00020000\U0002a6d6\U0010ffff",
]


@pytest.fixture(scope="module")
def encoder(tokenizer: Path) -> Encoder:
    return Encoder(tokenizer)


def same(encoder: Encoder, texts: list[str]) -> bool:
    ours, theirs = encoder.ids(texts), encoder.engine_ids(texts)
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(ours, theirs, strict=True))


def test_hard_texts(encoder: Encoder) -> None:
    assert same(encoder, HARD)
    assert same(encoder, HARD[::-1])


def test_all_articles(encoder: Encoder, texts: dict[str, list[str]]) -> None:
    for each in texts.values():
        assert same(encoder, each)


@given(st.lists(st.one_of(st.text(max_size=80), st.text("aａアあ亜 .。1\n'", max_size=60)), max_size=5))
@settings(max_examples=200, deadline=None)
def test_any_texts(encoder: Encoder, found: list[str]) -> None:
    assert same(encoder, found)


def test_a_full_cache_begins_anew(
    tokenizer: Path, texts: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_cache, "CACHED_WORDS", 100)
    small = Encoder(tokenizer)
    for text in texts["ja"][:20]:
        assert same(small, [text])


def test_long_pieces_go_to_the_engine(
    tokenizer: Path, texts: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder_module, "KERNEL_BYTES", 7)
    assert same(Encoder(tokenizer), [*texts["ja"][:5], *texts["en"][:5]])


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12),
    st.lists(st.text("abcde", min_size=1, max_size=12), min_size=1, max_size=8),
)
@settings(max_examples=200, deadline=None)
def test_any_merges(drawn: list[tuple[int, int]], words: list[str]) -> None:
    """Random merges over a few letters and over what they make: the library's BPE is the oracle."""
    tokens = [bytes([each]) for each in b"abcde"]
    ids, merges, seen = list(b"abcde"), list[tuple[int, int]](), {bytes([i]) for i in range(256)}
    for a, b in drawn:
        a, b = a % len(tokens), b % len(tokens)
        if tokens[a] + tokens[b] not in seen:
            merges.append((ids[a], ids[b]))
            ids.append(256 + len(merges) - 1)
            tokens.append(tokens[a] + tokens[b])
            seen.add(tokens[-1])
    table = rank_table(np.array(merges, np.int32).reshape(-1, 2), 256)
    data = b"".join(word.encode() for word in words)
    offsets = np.concatenate([[0], np.cumsum([len(word) for word in words])])
    found, counts = encode_words(np.frombuffer(data, np.uint8), offsets, table)
    names = {bytes_name(bytes([i])): i for i in range(256)}
    names |= {bytes_name(token): number for token, number in zip(tokens[5:], ids[5:], strict=True)}
    by_id = {number: name for name, number in names.items()}
    oracle = Tokenizer(models.BPE(vocab=names, merges=[(by_id[a], by_id[b]) for a, b in merges]))
    ends = np.cumsum(counts).tolist()
    for word, first, last in zip(words, [0, *ends[:-1]], ends, strict=True):
        assert found[first:last].tolist() == oracle.encode(word).ids
