"""Ids, specials, fingerprint and files of a vocabulary, and round trips of any text."""

import json
import shutil
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from seimai.errors import RunError, VerifyError
from seimai.tokenizer.encoder import Encoder
from seimai.tokenizer.tokenizer_json import json_text
from seimai.tokenizer.vocabulary import engine, load

HARD = ("", "\x00", "<|eos|> <|bos|><|reserved_0|>", "e\u0301 が ｶﾞ", "👩‍👩‍👧‍👦", " \n\t  \r\n", "\ufffd\u2028")


def _round_trip(encoder: Encoder, text: str) -> None:
    [ids] = encoder.ids([text])
    assert encoder.bytes_of(ids).tobytes().decode() == text
    assert encoder.failures([text], [ids]) == []


def test_hard_texts_come_back(tokenizer: Path) -> None:
    encoder = Encoder(tokenizer)
    for text in (*HARD, "長い" * 60_000, "a" * 100_000, "1" * 100_000):
        _round_trip(encoder, text)


def test_every_assigned_character_comes_back(tokenizer: Path) -> None:
    encoder = Encoder(tokenizer)
    characters = [chr(c) for c in range(sys.maxunicode + 1) if unicodedata.category(chr(c)) not in ("Cs", "Cn", "Co")]
    for at in range(0, len(characters), 5000):
        _round_trip(encoder, "".join(characters[at : at + 5000]))


def test_any_text_comes_back_from_the_library_too(tokenizer: Path) -> None:
    encoder, library = Encoder(tokenizer), engine(tokenizer)

    @given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=80))
    @settings(max_examples=200, deadline=None)
    def check(text: str) -> None:
        _round_trip(encoder, text)
        ids = library.encode(text, add_special_tokens=False).ids
        assert library.decode(ids, skip_special_tokens=False) == text
        assert ids == encoder.ids([text])[0].tolist()

    check()


def test_specials_in_text_are_text_and_bos_is_added_by_the_file(tokenizer: Path) -> None:
    vocabulary = load(tokenizer)
    [ids] = Encoder(tokenizer).ids(["<|eos|>"])
    assert ids.max() < vocabulary.bos_id
    plain = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    found = plain.encode("お茶").ids
    assert found[0] == vocabulary.bos_id
    assert vocabulary.eos_id not in found


def test_ids_are_bytes_merges_specials_up_to_a_multiple(tokenizer: Path) -> None:
    vocabulary = load(tokenizer)
    assert vocabulary.vocab_size == 2048
    assert vocabulary.token_bytes[:256] == tuple(bytes([byte]) for byte in range(256))
    assert vocabulary.specials[:3] == ("<|bos|>", "<|eos|>", "<|pad|>")
    assert vocabulary.bos_id == 256 + len(vocabulary.merges)
    assert Tokenizer.from_file(str(tokenizer / "tokenizer.json")).get_vocab_size() == 2048


def test_the_file_is_what_json_writes(tokenizer: Path) -> None:
    text = (tokenizer / "tokenizer.json").read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), ensure_ascii=False, indent=1) + "\n"
    names = ['"', "\\", '"vocab": {}', '"merges": []', "\x01", "\u2028", "ｶ"]
    content = {"model": {"type": "BPE", "vocab": dict(zip(names, range(7), strict=True)), "merges": [names[:2]] * 3}}
    assert json_text(content) == json.dumps(content, ensure_ascii=False, indent=1)
    without = {"model": {"type": "Unigram", "vocab": [["a", 0.5]]}}
    assert json_text(without) == json.dumps(without, ensure_ascii=False, indent=1)


def test_the_fingerprint_is_of_the_content_and_loading_checks_it(tokenizer: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tokenizer, copy)
    path = copy / "tokenizer.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(data), encoding="utf-8")  # another layout of the same vocabulary
    assert load(copy).fingerprint == load(tokenizer).fingerprint
    merges = data["model"]["merges"]
    merges[-1], merges[-2] = merges[-2], merges[-1]
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(VerifyError, match=r"tokenizer\.json: "):
        load(copy)


def test_no_tokenizer_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="seimai tokenizer train"):
        load(tmp_path)


def test_a_merge_is_made_of_earlier_ids(tokenizer: Path) -> None:
    merges = load(tokenizer).merges
    assert (merges < 256 + np.arange(len(merges))[:, None]).all()
