"""Training from sources: only training documents, balanced, the same file again, and refusals."""

import json
from pathlib import Path

import pytest

from seimai.errors import ConfigError, RunError
from seimai.files import sha256_file
from seimai.tokenizer.train import train_tokenizer


def test_held_out_documents_are_not_read(tmp_path: Path) -> None:
    rows = [{"text": "train " * 50, "split": "train"}, {"text": "secret " * 500, "split": "held_out"}]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    summary = train_tokenizer(path, tmp_path / "out", vocab_size=512)
    assert summary.sample == {"und": {"documents": 1, "bytes": 300}}
    assert "secr" not in (tmp_path / "out" / "tokenizer.json").read_text(encoding="utf-8")


def test_the_same_source_gives_the_same_file_in_any_order_of_work(
    source: Path, tokenizer: Path, tmp_path: Path
) -> None:
    def backwards(function, items):  # type: ignore[no-untyped-def]
        return [function(item) for item in reversed(list(items))]

    train_tokenizer(source, tmp_path / "again", vocab_size=2048, part_map=backwards)
    assert sha256_file(tmp_path / "again" / "tokenizer.json") == sha256_file(tokenizer / "tokenizer.json")


def test_a_quota_bounds_each_language(source: Path, tmp_path: Path) -> None:
    summary = train_tokenizer(source, tmp_path / "out", vocab_size=512, sample_bytes_per_language=20_000)
    assert set(summary.sample) == {"en", "ja"}
    assert all(15_000 < entry["bytes"] < 25_000 for entry in summary.sample.values())


def test_the_same_again_does_nothing_and_another_is_refused(source: Path, tokenizer: Path) -> None:
    before = (tokenizer / "tokenizer.json").stat().st_mtime_ns
    assert train_tokenizer(source, tokenizer, vocab_size=2048).reused
    assert (tokenizer / "tokenizer.json").stat().st_mtime_ns == before
    with pytest.raises(RunError, match="vocab_size"):
        train_tokenizer(source, tokenizer, vocab_size=1024)


def test_an_unknown_model_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="use --model bpe"):
        train_tokenizer(source, tmp_path / "out", model="unigram")
