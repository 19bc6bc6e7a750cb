"""Two tokenizers on one text: steps at equal bytes and equal operations, the same documents, one verdict of two."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seimai.config import parse_config
from seimai.errors import ConfigError, InputError
from seimai.files import canonical_json, read_json
from seimai.model import ablate_tokenizers as module
from seimai.model.ablate_tokenizers import ablate_tokenizers, equal_steps
from seimai.model.shards import open_tokens
from seimai.model.train_config import TrainConfig


def renamed(directory: Path, **tokenizer: Any) -> Path:
    """The shards as if encoded by another tokenizer."""
    manifest = read_json(directory / "manifest.json")
    manifest["tokenizer"] |= {"fingerprint": "cd" * 32, **tokenizer}
    (directory / "manifest.json").write_text(canonical_json(manifest), encoding="utf-8")
    return directory


def with_bytes(directory: Path, factor: int) -> Path:
    """The shards as if every token stood for `factor` bytes."""
    manifest = read_json(directory / "manifest.json")
    for shard in manifest["shards"]:
        shard["n_bytes"] *= factor
    (directory / "manifest.json").write_text(canonical_json(manifest), encoding="utf-8")
    return directory


@pytest.fixture(scope="module")
def config() -> TrainConfig:
    return parse_config(
        {
            "model": {"depth": 1, "d_model": 16, "n_heads": 2, "row_tokens": 16, "tied": True},
            "data": {"batch_rows": 4},
            "train": {"steps": 100, "device": "cpu", "evaluate": False},
        },
        TrainConfig,
        place="test",
    )


def test_steps(make_tokens: Callable[..., Path], documents: list[list[int]], config: TrainConfig) -> None:
    a = open_tokens(make_tokens(documents[:40], "a"))
    twice = open_tokens(with_bytes(make_tokens(documents[:40], "b"), 2))
    assert equal_steps(config, a, twice) == {"b-bytes": 50, "b-flops": 100}
    larger = open_tokens(renamed(make_tokens(documents[:40], "c"), vocab_size=264 + 1000))
    inner = 4 * 16 * 16 + 3 * 16 * 64
    attention = 2 * 16 * 16  # 12 of it for every 6 of a number in a matrix
    ratio = (inner + 264 * 16 + attention) / (inner + 1264 * 16 + attention)
    assert equal_steps(config, a, larger) == {"b-bytes": 100, "b-flops": round(100 * ratio)}


@pytest.mark.parametrize(
    ("at_bytes", "at_flops", "verdict"),
    [(0.9, 0.9, "better"), (1.1, 1.1, "worse"), (0.9, 1.1, "cannot be told apart"), (0.9, 1.0, "cannot be told apart")],
)
def test_a_verdict_needs_both(
    make_tokens: Callable[..., Path],
    documents: list[list[int]],
    config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at_bytes: float,
    at_flops: float,
    verdict: str,
) -> None:
    cost = {"a": 1.0, "b-bytes": at_bytes, "b-flops": at_flops}

    def made(folder: Path, pieces: list[Any]) -> Any:
        return pieces[0].held.n_bytes * cost[folder.parent.name] * (1 + 0.001 * int(folder.name[-1]))

    monkeypatch.setattr(module, "scored", made)
    a = make_tokens(documents[:60], "a", held_out_every=5)
    b = renamed(make_tokens(documents[:60], "b", held_out_every=5))
    short = parse_config({**config.model_dump(), "train": {"steps": 1, "evaluate": False}}, TrainConfig, "test")
    found = ablate_tokenizers(short, a, b, tmp_path / "out", seeds=2)
    assert (found.finished, found.trained, found.verdict) == (True, 6, verdict)
    assert read_json(tmp_path / "out" / "tokenizers.json")["verdict"] == verdict


def test_trained_scored_and_read_again(
    make_tokens: Callable[..., Path], documents: list[list[int]], config: TrainConfig, tmp_path: Path
) -> None:
    a = make_tokens(documents[:60], "a", held_out_every=5)
    b = renamed(make_tokens(documents[:60], "b", held_out_every=5))
    short = parse_config({**config.model_dump(), "train": {"steps": 2, "evaluate": False}}, TrainConfig, "test")
    found = ablate_tokenizers(short, a, b, tmp_path / "out", seeds=2)
    again = ablate_tokenizers(short, a, b, tmp_path / "out", seeds=2)
    assert again.trained == 0
    assert again.comparisons == found.comparisons
    # The same tokens under another name: the same trainings, and no difference at all.
    assert {each.difference for each in found.comparisons.values()} == {0.0}
    assert found.budgets["A"].steps == found.budgets["equal bytes"].steps == 2
    shards = open_tokens(a)
    targets = int(shards.n_tokens.astype(np.int64).sum()) - 60
    n_bytes = sum(shard["n_bytes"] for shard in shards.manifest["shards"])
    assert found.budgets["A"].n_bytes == pytest.approx(2 * 4 * 16 * n_bytes / targets)


def test_what_cannot_be_compared(
    make_tokens: Callable[..., Path], documents: list[list[int]], config: TrainConfig, tmp_path: Path
) -> None:
    a = make_tokens(documents[:40], "a", held_out_every=5)
    with pytest.raises(ConfigError, match="to compare texts use `seimai ablate`"):
        ablate_tokenizers(config, a, a, tmp_path)
    other = renamed(make_tokens(documents[:60], "other", held_out_every=5))
    with pytest.raises(InputError, match="do not hold out the same documents"):
        ablate_tokenizers(config, a, other, tmp_path)
    with pytest.raises(ConfigError, match="--seeds 1"):
        ablate_tokenizers(config, a, other, tmp_path, seeds=1)
    none = [make_tokens(documents[:20], "none"), renamed(make_tokens(documents[:20], "neither"))]
    with pytest.raises(InputError, match="fewer than two held-out documents"):
        ablate_tokenizers(config, none[0], none[1], tmp_path)
