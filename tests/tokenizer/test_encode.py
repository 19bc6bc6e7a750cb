"""Token shards: every document BOS, text, EOS, with its provenance; the same bytes again; resumed and verified."""

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seimai.errors import RunError, VerifyError
from seimai.files import merkle_root, read_json, sha256_file
from seimai.tokenizer.encode import encode
from seimai.tokenizer.encoder import Encoder
from seimai.tokenizer.train import train_tokenizer
from seimai.tokenizer.vocabulary import load
from seimai.verify import verify


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory, source: Path, tokenizer: Path) -> Path:
    out = tmp_path_factory.mktemp("tokens") / "out"
    encode(source, tokenizer, out)
    return out


def _lists(tokens: Path, name: str) -> pa.ChunkedArray:
    return pa.ipc.open_file(pa.memory_map(str(tokens / name))).read_all()["tokens"]


def test_every_document_stands_between_bos_and_eos(tokens: Path, tokenizer: Path, texts: dict[str, list[str]]) -> None:
    manifest, vocabulary, encoder = read_json(tokens / "manifest.json"), load(tokenizer), Encoder(tokenizer)
    lists = _lists(tokens, manifest["shards"][0]["tokens"])
    assert lists.type == pa.large_list(pa.uint16())
    written = texts["ja"] + texts["en"]
    assert len(lists) == len(written)
    for ids, text in zip(lists.to_pylist(), written, strict=True):
        assert (ids[0], ids[-1]) == (vocabulary.bos_id, vocabulary.eos_id)
        assert encoder.bytes_of(np.array(ids[1:-1])).tobytes().decode() == text


def test_counts_index_and_merkle_root_agree(tokens: Path, tokenizer: Path) -> None:
    manifest = read_json(tokens / "manifest.json")
    [shard] = manifest["shards"]
    docs = pq.read_table(tokens / shard["docs"])
    index = pa.ipc.open_file(tokens / "index.arrow").read_all()
    lengths = [len(ids) for ids in _lists(tokens, shard["tokens"]).to_pylist()]
    assert docs["n_tokens"].to_pylist() == lengths == index["n_tokens"].to_pylist()
    assert sum(lengths) == shard["n_tokens"]
    assert sum(docs["n_bytes"].to_pylist()) == shard["n_bytes"]
    assert [manifest["langs"][code] for code in index["lang"].to_pylist()] == docs["lang"].to_pylist()
    assert [("train", "held_out")[code] for code in index["split"].to_pylist()] == docs["split"].to_pylist()
    assert manifest["merkle_root"] == merkle_root([entry["sha256"] for entry in manifest["files"]])
    assert manifest["tokenizer"]["fingerprint"] == load(tokenizer).fingerprint
    assert manifest["round_trip_failures"] == []


def test_the_same_again_is_the_same_bytes_in_any_order_of_work(source: Path, tokenizer: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.jsonl"
    half.write_text("".join(source.read_text(encoding="utf-8").splitlines(keepends=True)[:40]), encoding="utf-8")

    def backwards(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[Any]:
        return [function(item) for item in reversed(list(items))]

    roots = [encode([source, half], tokenizer, tmp_path / name, part_map=how).merkle_root
             for name, how in (("a", map), ("b", backwards))]  # fmt: skip
    assert roots[0] == roots[1]
    assert encode([source, half], tokenizer, tmp_path / "a").shards_done == 0


def test_a_lost_shard_is_made_again(source: Path, tokenizer: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    root = encode(source, tokenizer, out).merkle_root
    (out / "tokens-00000.arrow").unlink()
    again = encode(source, tokenizer, out)
    assert (again.shards_done, again.merkle_root) == (1, root)


def test_a_run_killed_before_its_first_marker_goes_on(source: Path, tokenizer: Path, tmp_path: Path) -> None:
    def killed(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[Any]:
        (tmp_path / "out" / ".tokens-00000.arrow.0.tmp").write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode(source, tokenizer, tmp_path / "out", part_map=killed)
    assert encode(source, tokenizer, tmp_path / "out").shards_done == 1
    assert not list((tmp_path / "out").glob(".*"))


def test_a_folder_of_other_things_is_refused(source: Path, tokenizer: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(RunError, match="something else"):
        encode(source, tokenizer, tmp_path)


def test_verify_names_a_changed_file(tokens: Path, source: Path, tokenizer: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    encode(source, tokenizer, out)
    verify(out)
    path = out / "docs-00000.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(VerifyError, match=r"changed docs-00000\.parquet"):
        verify(out)


def test_another_tokenizer_is_refused(source: Path, tokenizer: Path, tokens: Path, tmp_path: Path) -> None:
    train_tokenizer(source, tmp_path / "other", vocab_size=1024)
    before = sha256_file(tokens / "manifest.json")
    with pytest.raises(RunError, match=r"give another --out"):
        encode(source, tmp_path / "other", tokens)
    assert sha256_file(tokens / "manifest.json") == before


def test_an_unfinished_run_is_refused(tokenizer: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(RunError, match=r"no manifest\.json"):
        encode(tmp_path / "run", tokenizer, tmp_path / "out")


@pytest.mark.parametrize("name", ["manifest.json", "state/encode/00000.json"])
def test_a_torn_state_file_is_mended(source: Path, tokenizer: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    root = encode(source, tokenizer, out).merkle_root
    (out / name).write_text('{"format": ', encoding="utf-8")
    assert encode(source, tokenizer, out).merkle_root == root
    verify(out)


def test_names_of_specials_in_web_text_are_text(tokenizer: Path, tmp_path: Path) -> None:
    vocabulary = load(tokenizer)
    text = "".join(vocabulary.specials) + "<|endoftext|></s><0x41>"
    path = tmp_path / "web.jsonl"
    path.write_text(json.dumps({"text": text}) + "\n", encoding="utf-8")
    encode(path, tokenizer, tmp_path / "out")
    manifest = read_json(tmp_path / "out" / "manifest.json")
    [ids] = _lists(tmp_path / "out", manifest["shards"][0]["tokens"]).to_pylist()
    specials = set(vocabulary.special_ids.values())
    assert [number for number in ids if number in specials] == [vocabulary.bos_id, vocabulary.eos_id]
    assert Encoder(tokenizer).bytes_of(np.array(ids[1:-1])).tobytes().decode() == text


@pytest.mark.parametrize("unit", ["あ", "漢", "a", "1", " ", "\n", "!", "👍"])
def test_equal_characters_take_linear_time(tokenizer: Path, unit: str) -> None:
    """Ten times the characters take far less than a hundred times the time."""
    encoder, times = Encoder(tokenizer), {}
    for n in (10_000, 100_000):
        began = time.process_time()
        [ids] = encoder.ids([unit * n])
        times[n] = time.process_time() - began
        assert len(ids) <= n * len(unit.encode())
    assert times[100_000] < 40 * max(times[10_000], 0.002)
