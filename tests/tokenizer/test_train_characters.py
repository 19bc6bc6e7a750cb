"""A character-level Unigram from text: files, what is recorded, the same command again, refusals."""

import json
from pathlib import Path

import pytest
import sentencepiece
from tokenizers import Tokenizer
from typer.testing import CliRunner

from seimai.cli import app
from seimai.errors import ConfigError, RunError
from seimai.files import sha256_file
from seimai.tokenizer.train_characters import train_characters
from seimai.tokenizer.vocabulary import load_manifest


def test_what_is_written_and_recorded(source: Path, tmp_path: Path) -> None:
    summary = train_characters(source, tmp_path / "out", vocab_size=1024)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert summary.not_round_trip == tuple(manifest["not_round_trip"]) == ("U+2581 (▁)",)
    assert manifest["settings"]["alphabet"] == "characters"
    assert {file["path"] for file in manifest["files"]} == {"tokenizer.model", "tokenizer.json"}
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "out" / "tokenizer.model"))
    library = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    assert library.encode("白い雲", add_special_tokens=False).ids == processor.encode("白い雲")
    assert summary.vocab_size == 1024
    again = train_characters(source, tmp_path / "out", vocab_size=1024)
    assert again.reused
    with pytest.raises(RunError, match="another tokenizer"):
        train_characters(source, tmp_path / "out", vocab_size=2048)


def test_any_order_of_work_gives_the_same_file(source: Path, tmp_path: Path) -> None:
    def backwards(function, items):  # type: ignore[no-untyped-def]
        return [function(item) for item in reversed(list(items))]

    train_characters(source, tmp_path / "one", vocab_size=1024)
    train_characters(source, tmp_path / "two", vocab_size=1024, part_map=backwards)
    assert sha256_file(tmp_path / "one" / "tokenizer.model") == sha256_file(tmp_path / "two" / "tokenizer.model")


def test_the_command_names_what_is_lost_and_other_commands_refuse_the_folder(source: Path, tmp_path: Path) -> None:
    options = ["--out", str(tmp_path / "out"), "--vocab-size", "512", "--workers", "0", "--model", "unigram"]
    result = CliRunner().invoke(app, ["tokenizer", "train", str(source), *options, "--alphabet", "characters"])
    assert result.exit_code == 0, result.output
    assert "U+2581" in result.output
    with pytest.raises(Exception, match="not the manifest of a tokenizer"):
        load_manifest(tmp_path / "out")


@pytest.mark.parametrize(
    "options", [["--alphabet", "letters"], ["--alphabet", "characters"],
                ["--alphabet", "characters", "--model", "unigram", "--vocab-sizes", "512,1024"]],
)  # fmt: skip
def test_refusals(source: Path, tmp_path: Path, options: list[str]) -> None:
    result = CliRunner().invoke(app, ["tokenizer", "train", str(source), "--out", str(tmp_path / "out"), *options])
    assert isinstance(result.exception, ConfigError)


def test_a_size_without_room_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leaves no room"):
        train_characters(source, tmp_path / "out", vocab_size=320)
