"""Merges across phrases: only the last ones, of phrases that stand together, the same however pieces are cut."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from seimai.errors import ConfigError
from seimai.tokenizer import superword
from seimai.tokenizer.count_sample import CountSettings
from seimai.tokenizer.counts import count
from seimai.tokenizer.encoder import Encoder
from seimai.tokenizer.split import split_pattern
from seimai.tokenizer.superword import inner_counts, learn_superwords
from seimai.tokenizer.train import TrainSettings, train_tokenizer
from seimai.tokenizer.vocabulary import engine, load_manifest

COARSE, FINE = split_pattern(3, name="ja-en-superwords"), split_pattern(3, name="ja-en-wide")


@pytest.fixture(scope="module")
def counts(texts: dict[str, list[str]]) -> pa.Table:
    """Coarse pieces of the articles."""
    return count([pa.RecordBatch.from_pydict({"text": texts["ja"] + texts["en"]})], COARSE)


def test_pieces_are_whole_runs_of_phrases(texts: dict[str, list[str]]) -> None:
    """The coarse cuts are among the fine ones, so inner counts are those of the fine split."""
    for text in (*texts["ja"][:20], *texts["en"][:20], "it's  a “test”, 1958年に「東京」で、 ok"):
        coarse, fine = (
            set(np.cumsum([len(piece) for piece in re.findall(pattern, text)]).tolist()) for pattern in (COARSE, FINE)
        )
        assert coarse <= fine
        assert "".join(re.findall(COARSE, text)) == text


def test_inner_counts_are_those_of_the_fine_split(counts: pa.Table, texts: dict[str, list[str]]) -> None:
    fine = count([pa.RecordBatch.from_pydict({"text": texts["ja"] + texts["en"]})], FINE)
    assert inner_counts(counts, FINE).equals(fine)


def test_the_last_merges_cross_phrases_and_the_first_do_not(counts: pa.Table) -> None:
    merges = learn_superwords(counts, 1000, 0.2, fine=FINE)
    tokens = [bytes([byte]) for byte in range(256)]
    for left, right in merges.tolist():
        tokens.append(tokens[left] + tokens[right])
    crossing = [len(re.findall(FINE, token.decode())) > 1 for token in tokens[256:] if _whole(token)]
    assert not any(crossing[:600])
    assert sum(crossing[-200:]) > 20


def test_cutting_pieces_changes_memory_alone(counts: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = learn_superwords(counts, 800, 0.2, fine=FINE)
    monkeypatch.setattr(superword, "_last_count", lambda *_: 0)
    assert learn_superwords(counts, 800, 0.2, fine=FINE).tolist() == expected.tolist()
    monkeypatch.setattr(superword, "_last_count", lambda *_: 10_000)
    assert learn_superwords(counts, 800, 0.2, fine=FINE).tolist() == expected.tolist()


def test_a_tokenizer_with_superwords_encodes_with_fewer_tokens(
    source: Path, texts: dict[str, list[str]], tmp_path: Path
) -> None:
    wide = CountSettings(split="ja-en-wide", digits=3)
    whole = CountSettings(split="ja-en-superwords", digits=3)
    train_tokenizer(source, tmp_path / "wide", vocab_size=2048, counting=wide)
    train_tokenizer(source, tmp_path / "super", vocab_size=2048, counting=whole, settings=TrainSettings(superwords=0.3))
    assert load_manifest(tmp_path / "super")["settings"]["superwords"] == 0.3
    assert "superwords" not in load_manifest(tmp_path / "wide")["settings"]
    chosen = texts["ja"][:30] + texts["en"][:30]
    fewer, more = (sum(map(len, Encoder(tmp_path / name).ids(chosen))) for name in ("super", "wide"))
    assert fewer < more
    encoder, library = Encoder(tmp_path / "super"), engine(tmp_path / "super")
    for text, ids in zip(chosen, encoder.ids(chosen), strict=True):
        assert ids.tolist() == library.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize(
    ("split", "settings", "said"),
    [
        ("ja-en", TrainSettings(superwords=0.2), "ja-en-superwords"),
        ("ja-en-superwords", TrainSettings(), "ja-en-superwords"),
        ("ja-en-superwords", TrainSettings(superwords=1.5), "0 to 1"),
        ("ja-en-superwords", TrainSettings(superwords=0.2, boundary=False), "boundary"),
    ],
)
def test_what_does_not_go_together_is_said(
    source: Path, tmp_path: Path, split: str, settings: TrainSettings, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        train_tokenizer(source, tmp_path / "t", vocab_size=640, settings=settings, counting=CountSettings(split=split))


def _whole(token: bytes) -> bool:
    try:
        token.decode()
    except UnicodeDecodeError:
        return False
    return True
