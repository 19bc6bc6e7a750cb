"""Vocabularies continued with Japanese: what was stays, in the libraries that the old ones come from."""

import json
import unicodedata
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import regex
import tiktoken
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from seimai.errors import ConfigError, RunError
from seimai.tokenizer.base import Base, open_base
from seimai.tokenizer.bpe_more import NEVER, Alphabet, alphabet_of, learn_more
from seimai.tokenizer.counts import count
from seimai.tokenizer.encoder import Encoder
from seimai.tokenizer.export import export_tokenizer, tiktoken_encoding
from seimai.tokenizer.extend import embedding_rows, extend, extended
from seimai.tokenizer.extend_pattern import combined_pattern, is_japanese, japanese_letters
from seimai.tokenizer.extend_proof import prove
from seimai.tokenizer.split import split_pattern
from seimai.tokenizer.split_presets import PRESETS
from seimai.tokenizer.vocabulary import load, load_manifest, save

HARD = (
    'It\'s 東京 2020年、"Tower"は333m。　全角  space「」(test)!!、??\n\n 終わり',
    "〇二〇一二三四五 a　b ﾊﾝｶｸ｡｢x｣ コーヒー々〆 🗼東 e\u0301が\x00",
)
CUT_TEXT = st.text(st.sampled_from("aBS\u0301ß1 2\n\t'st.,!?()“é한東京のタワー、。「」・　〇ｱ々１"), max_size=40)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, texts: dict[str, list[str]]) -> Path:
    """A small vocabulary as GPT-2's is stored, its special token in the middle of the ids."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([*texts["en"], *texts["ja"][:3]], trainer)
    path = tmp_path_factory.mktemp("library") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> Path:
    """A tiktoken file: bytes in another order, and a rank that nothing has."""
    out = tmp_path_factory.mktemp("ranks") / "out"
    export_tokenizer(tokenizer, out, "tiktoken")
    lines = (out / "tokenizer.tiktoken").read_text(encoding="utf-8").splitlines()
    moved = [line.split()[0] for line in lines[:256][::-1] + lines[256:700]]
    path = out / "moved.tiktoken"
    path.write_text("".join(f"{token} {rank + (rank > 600)}\n" for rank, token in enumerate(moved)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def bases(tokenizer: Path, library: Path, ranks: Path) -> dict[str, Base]:
    """One of each kind."""
    return {
        "seimai": open_base(tokenizer),
        "tokenizers": open_base(library),
        "tiktoken": open_base(ranks, split="cl100k", specials={"<|endoftext|>": 702}),
    }


@pytest.fixture(scope="module")
def counts(texts: dict[str, list[str]]) -> pa.Table:
    """Japanese and English pre-tokens of the usual split."""
    return count([pa.RecordBatch.from_pydict({"text": texts["ja"] + texts["en"]})], split_pattern())


@pytest.mark.parametrize("kind", ["seimai", "tokenizers", "tiktoken"])
def test_the_old_stays_and_japanese_takes_fewer_tokens(
    bases: dict[str, Base], counts: pa.Table, texts: dict[str, list[str]], tmp_path: Path, kind: str
) -> None:
    base = bases[kind]
    everything = [*HARD, *texts["en"][:20], *texts["ja"][:20]]
    summary = extend(base, counts, tmp_path / "new", 300, texts=everything, facts={})
    assert summary["new_tokens"] == 300
    assert summary["texts_unchanged"] > 900
    assert load_manifest(tmp_path / "new")["proof"]["new_cuts"] == summary["new_cuts"]
    encoder, old = Encoder(tmp_path / "new"), base.vocabulary
    assert encoder.vocabulary.token_bytes[: old.vocab_size] == old.token_bytes
    assert encoder.vocabulary.vocab_size % 128 == 0
    file = Tokenizer.from_file(str(tmp_path / "new" / "tokenizer.json"))
    file.encode_special_tokens = True
    fewer = 0
    for text, ids in zip(everything, encoder.ids(everything), strict=True):
        assert ids.tolist() == file.encode(text, add_special_tokens=False).ids
        assert encoder.bytes_of(ids).tobytes() == text.encode()
        before = base.encode(text)
        if not any(is_japanese()[ord(character)] for character in text):
            assert ids.tolist() == before
        fewer += len(before) - len(ids)
    assert fewer > 500


def test_tiktoken_carries_it(
    bases: dict[str, Base], counts: pa.Table, texts: dict[str, list[str]], tmp_path: Path
) -> None:
    extend(bases["tiktoken"], counts, tmp_path / "new", 200, texts=[], facts={})
    export_tokenizer(tmp_path / "new", tmp_path / "out", "tiktoken")
    encoding, encoder = tiktoken_encoding(tmp_path / "out"), Encoder(tmp_path / "new")
    for text in (*HARD, *texts["ja"][:10], *texts["en"][:5]):
        assert encoding.encode_ordinary(text) == encoder.ids([text])[0].tolist()


def test_the_map_names_the_old_rows_of_every_new_id(bases: dict[str, Base], counts: pa.Table, tmp_path: Path) -> None:
    extend(bases["tokenizers"], counts, tmp_path / "new", 100, texts=[], facts={})
    old, new = bases["tokenizers"].vocabulary, load(tmp_path / "new")
    about = json.loads((tmp_path / "new" / "embedding_map.json").read_text(encoding="utf-8"))
    assert (about["base_vocab_size"], about["vocab_size"]) == (old.vocab_size, new.vocab_size)
    assert about["rows"] == embedding_rows(old, new)
    for number, row in enumerate(about["rows"], start=old.vocab_size):
        if number in new.special_ids.values():
            assert row == ([old.special_ids["<|endoftext|>"]] if number in (new.bos_id, new.eos_id) else [])
        else:
            assert b"".join(old.token_bytes[each] for each in row) == new.token_bytes[number]


def test_the_same_counts_give_the_same_bytes(bases: dict[str, Base], counts: pa.Table) -> None:
    shuffled = counts.take(np.random.default_rng(3).permutation(len(counts)))
    one, two = (extended(bases["seimai"], table, 50) for table in (counts, shuffled))
    assert one.fingerprint == two.fingerprint
    assert one.bos_id == bases["seimai"].vocabulary.bos_id


@pytest.mark.parametrize("name", ["gpt2", "cl100k", "o200k", "qwen2"])
@settings(max_examples=100, deadline=None)
@example(text="한Bの")
@example(text="の'sa")
@example(text="s々\u0301Bs")
@example(text="  の!の\t東")
@given(text=CUT_TEXT)
def test_new_cuts_stand_beside_japanese_only(name: str, text: str) -> None:
    old, new = (_cuts(pattern, text) for pattern in (PRESETS[name].pattern, _combined(name)))
    japanese = [bool(japanese_letters()[ord(character)]) for character in text]
    for at, character in enumerate(text):  # a mark belongs to the kana it stands on
        japanese[at] |= bool(unicodedata.combining(character)) and at > 0 and japanese[at - 1]
    assert max(new, default=0) == len(text)
    # o200k tells upper from lower case by what the run began with: behind a phrase an old cut may be missing.
    for at in new - old if name == "o200k" else new ^ old:
        assert any(japanese[max(0, at - 1) : at + 1])
    assert any(japanese) or new == old


@pytest.mark.parametrize("name", ["gpt2", "cl100k", "o200k", "qwen2"])
def test_three_engines_cut_alike_by_the_combined_pattern(name: str, texts: dict[str, list[str]]) -> None:
    from tokenizers import Regex

    pattern = _combined(name)
    cut = pre_tokenizers.Split(Regex(pattern), "isolated")
    single = {bytes([byte]): byte for byte in range(256)}
    for text in (*HARD, *texts["ja"][:5], *texts["en"][:5]):
        pieces = regex.findall(pattern, text)
        assert [piece for piece, _ in cut.pre_tokenize_str(text)] == pieces
        known = {piece.encode(): 256 + at for at, piece in enumerate(sorted(set(pieces))) if len(piece.encode()) > 1}
        encoding = tiktoken.Encoding("x", pat_str=pattern, mergeable_ranks=single | known, special_tokens={})
        assert [encoding.decode([each]) for each in encoding.encode_ordinary(text)] == pieces


def test_an_old_encoding_that_changes_is_found(
    bases: dict[str, Base], counts: pa.Table, texts: dict[str, list[str]]
) -> None:
    base = bases["tokenizers"]
    good = extended(base, counts, 20)
    with pytest.raises(RunError, match="moved beside no"):
        prove(base, replace(good, pattern=good.pattern.replace(r"\s+(?!\S)|", "")), texts["en"])
    with pytest.raises(RunError, match="other bytes"):
        prove(base, replace(good, ids=good.ids[::-1].copy()), [])  # type: ignore[index]
    ascii_token = (*good.pieces[:-1], b"zz")
    with pytest.raises(RunError, match="without Japanese"):
        prove(base, replace(good, pieces=ascii_token), [])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"normalizer": {"type": "NFC"}}, "changes text"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "prefix space"),
        ({"model": {"type": "WordPiece", "vocab": {}}}, "WordPiece"),
        ({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}, "bytes have no token"),
    ],
)
def test_what_cannot_be_carried_on_is_refused(
    library: Path, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    data = json.loads(library.read_text(encoding="utf-8"))
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({**data, **change}), encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        open_base(path)


def test_a_tiktoken_file_needs_its_split(ranks: Path) -> None:
    with pytest.raises(ConfigError, match="--base-split"):
        open_base(ranks)


def test_more_merges_of_tokens_are_what_counting_by_hand_gives() -> None:
    """Words of four symbols: 0 1 | 1 2 ..., the commonest pair first, among equals the smallest."""
    draw = np.random.default_rng(5)
    words = [draw.integers(0, 300, draw.integers(1, 9)).tolist() for _ in range(400)]
    weights = draw.integers(1, 20, len(words))
    tokens = np.concatenate([np.array(word, np.uint32) for word in words])
    sizes = np.array([len(word) for word in words])
    alphabet = Alphabet(np.zeros(300, np.int8), np.ones(300, np.int32))
    banned = (words[0][0], words[0][1]) if len(words[0]) > 1 else (0, 0)
    barred = np.array([banned[0] << 32 | banned[1]], np.int64)
    found = learn_more(tokens, sizes, weights, alphabet, 60, barred=barred)
    expected = []
    for new in range(300, 360):
        pairs: dict[tuple[int, int], int] = {}
        for word, weight in zip(words, weights.tolist(), strict=True):
            for pair in pairwise(word):
                pairs[pair] = pairs.get(pair, 0) + weight
        best = min((pair for pair in pairs if pair != banned), key=lambda pair: (-pairs[pair], pair))
        expected.append(list(best))
        for word in words:
            at = 0
            while at < len(word) - 1:
                if (word[at], word[at + 1]) == best:
                    word[at : at + 2] = [new]
                at += 1
    assert found.tolist() == expected


def test_fragments_know_what_they_lack() -> None:
    tokens = (b"a", "あ".encode(), b"\xe3", b"a\xe3\x81", b"\x81\x82", b"\x82a", b"\xf0\x9f", b"\xff", b"\xe0")
    assert alphabet_of(tokens).missing.tolist() == [0, 0, 2, 1, -2, NEVER, 2, NEVER, 2]


def test_a_vocabulary_with_other_ids_comes_back_from_its_file(bases: dict[str, Base], tmp_path: Path) -> None:
    for kind in ("tokenizers", "tiktoken"):
        vocabulary = extended(bases[kind], count([pa.RecordBatch.from_pydict({"text": ["東京都"] * 9})], "東京都"), 2)
        save(vocabulary, tmp_path / kind, {})
        again = load(tmp_path / kind)
        assert again.fingerprint == vocabulary.fingerprint
        assert again.special_ids == vocabulary.special_ids


@cache
def _combined(name: str) -> str:
    return combined_pattern(PRESETS[name].pattern)


def _cuts(pattern: str, text: str) -> set[int]:
    return set(np.cumsum([len(piece) for piece in regex.findall(pattern, text)]).tolist())
