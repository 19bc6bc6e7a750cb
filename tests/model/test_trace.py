"""A step leads back to the pages it was made of, by order.json and the shards alone."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seimai.errors import RunError, VerifyError
from seimai.model.loader import batches
from seimai.model.order import Order
from seimai.model.trace import trace
from seimai.model.train import train
from seimai.model.train_config import TrainConfig


@pytest.fixture
def trained(tmp_path: Path, tiny_config: TrainConfig, small_tokens: Path) -> Path:
    data = shutil.copytree(small_tokens, tmp_path / "tokens")
    train(tiny_config, data, tmp_path / "model", steps=2)
    return tmp_path / "model"


def test_trace_names_the_documents_the_loop_saw(trained: Path, documents: list[list[int]]) -> None:
    order = Order(trained.parent / "tokens", seed=0, row_tokens=32, batch_rows=4)
    (batch,) = batches(order, 1, 2)
    found = trace(trained, 1)
    seen = np.concatenate([batch.inputs.numpy(), np.zeros((4, 1), np.int64)], 1)
    for piece in found:
        assert piece.url == f"https://example.org/{piece.document}"
        assert (piece.warc_file, piece.warc_offset) == ("crawl-data/a.warc.gz", 1000 * piece.document)
        expected = documents[piece.document][piece.offset : piece.offset + piece.length]
        cells = seen[piece.number - 4, piece.start : piece.start + piece.length]
        # The last place of a row is a target only.
        assert cells.tolist()[: 32 - piece.start] == expected[: 32 - piece.start]
    assert {piece.number for piece in found} == {4, 5, 6, 7}
    assert [p for rank in range(2) for p in trace(trained, 1, rank=rank, ranks=2)] == found


def test_folders_may_move_together_or_apart(trained: Path, tmp_path: Path) -> None:
    expected = trace(trained, 0)
    (tmp_path / "else").mkdir()
    for name in ("tokens", "model"):
        (tmp_path / name).rename(tmp_path / "else" / name)
    assert trace(tmp_path / "else" / "model", 0) == expected
    (tmp_path / "else" / "tokens").rename(tmp_path / "far")
    assert trace(tmp_path / "else" / "model", 0, data=tmp_path / "far") == expected


def test_other_shards_are_refused(trained: Path, make_tokens: Callable[..., Path]) -> None:
    with pytest.raises(VerifyError, match="not the token shards this model saw"):
        trace(trained, 0, data=make_tokens([[256, 65, 257]], name="other"))


def test_no_training_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"order.json: missing"):
        trace(tmp_path, 0)
