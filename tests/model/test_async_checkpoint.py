"""Writing in the background: what is written is the moment of the snapshot, one at a time, and errors come out."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from seimai.model import async_checkpoint
from seimai.model.async_checkpoint import CheckpointWriter
from seimai.model.checkpoint import Snapshot, take_snapshot, write_checkpoint
from seimai.model.config import ModelConfig, resolve_body
from seimai.model.transformer import Transformer, build


@pytest.fixture
def model() -> Transformer:
    return build(resolve_body(ModelConfig(depth=1, d_model=16, n_heads=2, row_tokens=8), 20), 0)


def test_training_goes_on_while_it_is_written(
    model: Transformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_write, order = threading.Event(), list[str]()

    def slow(directory: Path, snapshot: Snapshot, **options: int) -> Path:
        assert may_write.wait(20)
        order.append(f"written {snapshot.step}")
        return write_checkpoint(directory, snapshot, keep_last=options["keep_last"])

    monkeypatch.setattr(async_checkpoint, "write_checkpoint", slow)
    before = model.embedding.weight.detach().clone()
    with CheckpointWriter(tmp_path, keep_last=2) as writer:
        writer.save(take_snapshot(1, model, [], {}))
        with torch.no_grad():
            model.embedding.weight.zero_()
        order.append("changed")
        may_write.set()
        writer.save(take_snapshot(2, model, [], {}))
        order.append("second asked")
    assert order.index("changed") < order.index("written 1") < order.index("second asked")
    assert order[-1] in ("written 2", "second asked")
    assert torch.equal(load_file(tmp_path / "step-00000001" / "model.safetensors")["embedding.weight"], before)
    assert not load_file(tmp_path / "step-00000002" / "model.safetensors")["embedding.weight"].any()


def write_and_leave(directory: Path, snapshot: Snapshot, then: Callable[[CheckpointWriter], None]) -> None:
    with CheckpointWriter(directory, keep_last=1) as writer:
        writer.save(snapshot)
        then(writer)


def test_a_failed_write_is_raised(model: Transformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*arguments: object, **options: object) -> None:
        raise OSError("disk gone")

    def again(writer: CheckpointWriter) -> None:
        writer.save(snapshot)
        raise AssertionError("the first error is due here")

    monkeypatch.setattr(async_checkpoint, "write_checkpoint", failing)
    snapshot = take_snapshot(1, model, [], {})
    for then in (again, lambda writer: None):
        with pytest.raises(OSError, match="disk gone"):
            write_and_leave(tmp_path, snapshot, then)


def test_another_error_is_not_hidden(model: Transformer, tmp_path: Path) -> None:
    def fail(writer: CheckpointWriter) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_leave(tmp_path, take_snapshot(1, model, [], {}), fail)
    assert (tmp_path / "step-00000001" / "checkpoint.json").is_file()
