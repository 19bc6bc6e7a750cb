"""Merges against the library's trainer and a plain one as oracles; the boundary rule, length limit, cut and guess."""

import json
from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from seimai.tokenizer.bpe import learn_merges
from seimai.tokenizer.counts import count, flat_counts, merge_counts
from seimai.tokenizer.cut import cut_words
from seimai.tokenizer.split import split_pattern
from seimai.tokenizer.vocabulary import BYTE_ORDER, Vocabulary, bytes_name, special_names


def _counts(texts: list[str]) -> pa.Table:
    return count([pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.large_string())})], split_pattern())


def _library(texts: list[str], merges: int) -> list[tuple[str, str]]:
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
    tokens = Vocabulary(merges, special_names(len(merges)), split_pattern()).token_bytes
    return [(bytes_name(tokens[left]), bytes_name(tokens[right])) for left, right in merges.tolist()]


def _table(words: dict[bytes, int]) -> pa.Table:
    return pa.table({"pretoken": pa.array(words, pa.large_binary()), "count": pa.array(words.values(), pa.int64())})


def _joins(left: bytes, right: bytes, boundary: bool, max_chars: int) -> bool:
    """Whether the rules let two tokens join, said over their bytes."""
    whole = left + right
    if sum(not 0x80 <= byte < 0xC0 for byte in whole) > max_chars:
        return False
    if not boundary:
        return True
    if 0x80 <= left[0] < 0xC0:
        return False
    lead = next(byte for byte in reversed(left) if not 0x80 <= byte < 0xC0)
    have = len(left) - left.rindex(lead)
    need = 1 + (lead >= 0xC0) + (lead >= 0xE0) + (lead >= 0xF0)
    if have < need:
        return len(right) == 1 and 0x80 <= right[0] < 0xC0
    # The right part may not begin inside a character, nor end inside one unless it is the first of its own.
    return not 0x80 <= right[0] < 0xC0 and _is_whole(right)


def _is_whole(token: bytes) -> bool:
    try:
        token.decode()
    except UnicodeDecodeError:
        return False
    return True


def _plain(words: dict[bytes, int], n_merges: int, boundary: bool, max_chars: int) -> list[list[int]]:
    """BPE as in a textbook: count all pairs, merge the commonest everywhere, count again."""
    rank = {int(byte): i for i, byte in enumerate(BYTE_ORDER)}
    token = {i: bytes([byte]) for byte, i in rank.items()}
    texts = [([rank[byte] for byte in word], weight) for word, weight in words.items()]
    merges: list[list[int]] = []
    while len(merges) < n_merges:
        pairs: Counter[tuple[int, int]] = Counter()
        for ids, weight in texts:
            for pair in pairwise(ids):
                if _joins(token[pair[0]], token[pair[1]], boundary, max_chars):
                    pairs[pair] += weight
        best = max(pairs, key=lambda pair: (pairs[pair], -pair[0], -pair[1]), default=None)
        if best is None or pairs[best] < 2:
            break
        new = 256 + len(merges)
        token[new] = token[best[0]] + token[best[1]]
        for ids, _ in texts:
            at = 0
            while at < len(ids) - 1:
                if (ids[at], ids[at + 1]) == best:
                    ids[at : at + 2] = [new]
                at += 1
        merges.append([int(BYTE_ORDER[i]) if i < 256 else i for i in best])
    return merges


WORDS = st.dictionaries(
    st.text(alphabet="abあいの漢é𠮟", min_size=1, max_size=14).map(str.encode),
    st.integers(1, 60),
    min_size=1,
    max_size=30,
)


@given(words=WORDS, boundary=st.booleans(), guess=st.integers(0, 90), max_chars=st.sampled_from([2, 3, 99]))
@settings(max_examples=80, deadline=None)
def test_merges_are_those_of_plain_bpe(words: dict[bytes, int], boundary: bool, guess: int, max_chars: int) -> None:
    found = learn_merges(_table(words), 60, boundary=boundary, guess=guess, max_token_chars=max_chars, cut_bytes=0)
    assert found.tolist() == _plain(words, 60, boundary, max_chars)


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


@pytest.mark.parametrize("boundary", [True, False])
@pytest.mark.parametrize("guess", [1, 3, 10, 100, 10**9])
def test_the_guess_changes_no_merge(texts: dict[str, list[str]], boundary: bool, guess: int) -> None:
    """Too high, it is lowered until all merges are found; the bigram cut and the lists left out change nothing."""
    table = _counts(texts["ja"] + texts["en"])
    usual = learn_merges(table, 2000, boundary=boundary)
    assert len(usual) == 2000
    assert np.array_equal(learn_merges(table, 2000, boundary=boundary, guess=guess, cut_bytes=0), usual)


def test_ids_beyond_16_bits_change_no_merge(texts: dict[str, list[str]]) -> None:
    """Above 65,534 ids symbols take 32 bits; the first merges do not depend on how many are asked for."""
    table = _counts(texts["ja"])
    assert np.array_equal(learn_merges(table, 70_000)[:1000], learn_merges(table, 1000))


def test_many_pairs_make_the_lists_grow() -> None:
    """50,000 kinds of pairs: slots and places are compacted and moved several times on the way."""
    random = np.random.default_rng(3)
    letters = [chr(code) for code in range(0x4E00, 0x4E00 + 300)]
    lines = [" ".join("".join(random.choice(letters, 4)) for _ in range(40)) for _ in range(500)]
    ours = _named(learn_merges(_counts(lines), 2500, boundary=False, guess=0))
    assert ours == _library(lines, 2500)


def test_no_token_is_longer_than_the_limit(texts: dict[str, list[str]]) -> None:
    table = _counts(texts["ja"] + texts["en"])
    merges = learn_merges(table, 3000, max_token_chars=4)
    tokens = Vocabulary(merges, special_names(len(merges)), split_pattern()).token_bytes[256 : 256 + len(merges)]
    lengths = Counter(len(token.decode(errors="ignore")) for token in tokens)
    assert max(lengths) == 4
    assert lengths[4] > 100
    free = learn_merges(table, 3000)
    assert max(len(token) for token in Vocabulary(free, special_names(3000), "").token_bytes) > 12


def test_the_cut_takes_nothing_that_is_common() -> None:
    words = {"山川山海".encode(): 5, "山海".encode(): 4, "山".encode(): 9, b"a": 7, b"": 3}
    data, offsets, counts = flat_counts(_table(words))
    pieces = cut_words(data, offsets, counts, 6)
    found = {
        data.tobytes()[start : start + size].decode(): count
        for start, size, count in zip(pieces.starts, pieces.sizes, pieces.counts, strict=True)
    }
    # 山川 and 川山 are seen 5 times, 山海 9 times; what has no pair of bytes is dropped.
    assert found == {"山": 14, "川": 5, "山海": 9}


def test_too_little_text_gives_fewer_merges_and_none_gives_none() -> None:
    assert len(learn_merges(_table({b"abc": 2, b"x": 9}), 100)) == 2
    assert learn_merges(_table({}), 5).shape == (0, 2)
    assert learn_merges(_table({b"abc": 1}), 5).shape == (0, 2)
    assert learn_merges(_table({b"abc": 1}), 5, min_count=1).tolist() == [[97, 98], [256, 99]]
