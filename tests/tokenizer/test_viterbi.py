"""The best path through scored tokens: every path tried as the oracle, and the ids of `tokenizers`."""

import json
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from seimai.tokenizer.token_table import bytes_name
from seimai.tokenizer.viterbi import best_tokens, best_without_itself, joined, trie_of

BYTES = tuple(bytes([byte]) for byte in range(256))


def _cut(word: bytes, tokens: tuple[bytes, ...], scores: list[float]) -> list[int]:
    found, counts = best_tokens(*joined((word,)), trie_of(tokens, np.array(scores)))
    assert counts.tolist() == [len(found)]
    return [int(token) for token in found]


def _all_cuts(word: bytes) -> list[list[bytes]]:
    cuts = []
    for bounds in product((False, True), repeat=len(word) - 1):
        ends = [at + 1 for at, bound in enumerate(bounds) if bound] + [len(word)]
        cuts.append([word[a:b] for a, b in zip([0, *ends], ends, strict=False)])
    return cuts


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text(alphabet="ab東京", min_size=2, max_size=4), max_size=8, unique=True),
    st.lists(st.integers(-200, -1), min_size=264, max_size=264),
    st.text(alphabet="ab東京", min_size=1, max_size=4),
)
def test_no_path_is_better(texts: list[str], eighths: list[int], word: str) -> None:
    """Every way to cut a short word, with tokens of whole characters and any scores."""
    tokens = BYTES + tuple(text.encode() for text in texts)
    scores = [n / 8 for n in eighths[: len(tokens)]]
    place = {token: at for at, token in enumerate(tokens)}
    found = _cut(word.encode(), tokens, scores)
    assert b"".join(tokens[at] for at in found) == word.encode()
    sums = [sum(scores[place[t]] for t in cut) for cut in _all_cuts(word.encode()) if all(t in place for t in cut)]
    assert sum(scores[at] for at in found) == max(sums)


def _library(tokens: tuple[bytes, ...], scores: list[float]) -> Any:
    vocab = [[bytes_name(token), score] for token, score in zip(tokens, scores, strict=True)]
    model = {"type": "Unigram", "unk_id": None, "vocab": vocab, "byte_fallback": False}
    empty: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
    }
    return Tokenizer.from_str(
        json.dumps({**empty, "pre_tokenizer": None, "post_processor": None, "decoder": None, "model": model})
    )


@pytest.mark.parametrize("step", [0.0, 0.125, 3.0])
def test_ids_are_those_of_the_library(step: float) -> None:
    """Random tokens, parts of characters and across them, with many equal sums (step 0: all scores are equal)."""
    draw = np.random.default_rng(3)
    letters = "abのは東京".encode()
    drawn = {bytes(draw.choice(list(letters), draw.integers(2, 6)).tolist()) for _ in range(400)}
    starts = draw.integers(0, len(letters) - 6, 60).tolist()
    drawn |= {letters[at : at + int(draw.integers(2, 7))] for at in starts}
    tokens = BYTES + tuple(sorted(drawn))
    scores = [float(-1 - step * n) for n in draw.integers(0, 8, len(tokens))]
    library = _library(tokens, scores)
    words = ["".join(draw.choice(list("abのは東京"), int(n)).tolist()) for n in draw.integers(1, 30, 400)]
    for word in words:
        ours = _cut(word.encode(), tokens, scores)
        assert ours == [token.id for token in library.model.tokenize(bytes_name(word.encode()))]


def test_skipping_inside_of_characters_changes_nothing() -> None:
    """The same words with a token across characters that no word holds, which turns the short way off."""
    tokens = (*BYTES, *(text.encode() for text in ("東", "京", "東京", "は東", "京は")), "東".encode()[:2])
    scores = np.array([-1.0 - (at % 7) / 8 for at in range(len(tokens))])
    odd = "の".encode()[1:] + "の".encode()[:2]
    short, long = trie_of(tokens, scores), trie_of((*tokens, odd), np.append(scores, -1.5))
    assert short.whole
    assert not long.whole
    words = joined(tuple("".join(word).encode() for n in range(1, 6) for word in product("東京は", repeat=n)))
    ours, theirs = best_tokens(*words, short), best_tokens(*words, long)
    assert ours[0].tolist() == theirs[0].tolist()
    assert ours[1].tolist() == theirs[1].tolist()


@pytest.mark.parametrize(
    ("token", "whole"),
    [("東京".encode(), True), ("東".encode()[:2], True), ("東".encode()[1:], True),
     ("東京".encode()[:4], False), ("東京".encode()[1:], False), ("東京".encode()[2:4], False)],
)  # fmt: skip
def test_tokens_across_characters_are_known(token: bytes, whole: bool) -> None:
    assert trie_of((*BYTES, token), -np.ones(257)).whole == whole


def test_scores_too_far_apart_leave_no_short_way() -> None:
    assert not trie_of(BYTES, np.array([-2.5] + [-1.0] * 255)).whole


def test_without_itself() -> None:
    tokens = (*BYTES, b"ab", b"abc", b"abcab")
    found = best_without_itself(tokens, trie_of(tokens, -np.ones(len(tokens))))
    assert found[256:].tolist() == [2, 2, 2]
    assert found[:256].tolist() == [1] * 256


def test_a_long_word_takes_time_by_its_length() -> None:
    tokens = (*BYTES, b"ab", b"abab")
    found, _ = best_tokens(*joined((b"ab" * 500_000,)), trie_of(tokens, -np.ones(258)))
    assert len(found) == 250_000


def test_no_words_and_empty_words() -> None:
    trie = trie_of(BYTES, -np.ones(256))
    assert best_tokens(*joined(()), trie)[1].tolist() == []
    assert best_tokens(*joined((b"", b"a")), trie)[1].tolist() == [0, 1]
