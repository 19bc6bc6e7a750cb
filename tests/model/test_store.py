"""Shards read by address give the rows of the directory, in a cache that never outgrows its bound."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.errors import ConfigError, InputError, VerifyError
from seimai.model.order import Order
from seimai.model.store import RemoteStore, open_store
from seimai.model.stream import Epochs
from seimai.model.trace import trace
from seimai.model.train import train
from seimai.model.train_config import TrainConfig

OPTIONS: dict[str, Any] = {"seed": 1, "row_tokens": 32, "batch_rows": 8}


@pytest.fixture
def address(small_tokens: Path) -> Iterator[str]:
    """The same files in fsspec's file system in memory."""
    memory = fsspec.filesystem("memory")
    for path in small_tokens.iterdir():
        memory.pipe(f"/tokens/{path.name}", path.read_bytes())
    yield "memory://tokens"
    memory.rm("/tokens", recursive=True)


def test_rows_are_those_of_the_directory(address: str, small_tokens: Path, tmp_path: Path) -> None:
    here = Order(small_tokens, **OPTIONS, where="warc_offset >= 3000")
    there = Order(address, **OPTIONS, where="warc_offset >= 3000", cache_dir=tmp_path / "cache")
    for step in (0, 7, 30):
        assert np.array_equal(here.rows(step).tokens, there.rows(step).tokens)
    assert here.describe() == there.describe()


def test_the_cache_is_bounded_and_used_again(address: str, small_tokens: Path, tmp_path: Path) -> None:
    largest = max(path.stat().st_size for path in small_tokens.glob("tokens-*"))
    order = Order(address, **OPTIONS, cache_dir=tmp_path / "cache", cache_bytes=largest)
    here = Order(small_tokens, **OPTIONS)
    for step in range(40):
        assert np.array_equal(order.rows(step).tokens, here.rows(step).tokens)
        held = [path for path in (tmp_path / "cache").iterdir() if path.name != "of"]
        assert sum(path.stat().st_size for path in held) <= 2 * largest
    roomy = Order(address, **OPTIONS, cache_dir=tmp_path / "cache")
    roomy.rows(0)
    memory = fsspec.filesystem("memory")
    for path in memory.ls("/tokens", detail=False):
        if "tokens-" in path:
            memory.rm(path)
    assert np.array_equal(Order(address, **OPTIONS, cache_dir=tmp_path / "cache").rows(0).tokens, here.rows(0).tokens)


def test_a_lying_server_is_one_line(address: str, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    content = memory.cat("/tokens/tokens-00000.arrow")
    memory.pipe("/tokens/tokens-00000.arrow", content[:-8])
    order = Order(address, **OPTIONS, cache_dir=tmp_path / "short")
    with pytest.raises(VerifyError, match=r"tokens-00000.arrow: \d+ bytes came, the manifest says \d+"):
        [order.rows(step) for step in range(5)]
    memory.pipe("/tokens/tokens-00000.arrow", content[:-1] + bytes([content[-1] ^ 1]))
    order = Order(address, **OPTIONS, cache_dir=tmp_path / "wrong")
    with pytest.raises(VerifyError, match=r"tokens-00000.arrow: its SHA-256 is not the manifest's"):
        [order.rows(step) for step in range(5)]
    assert not list((tmp_path / "wrong").glob("*tokens-00000*"))
    memory.rm("/tokens/tokens-00000.arrow")
    order = Order(address, **OPTIONS, cache_dir=tmp_path / "gone")
    with pytest.raises(InputError, match=r"tokens-00000.arrow: not found"):
        [order.rows(step) for step in range(5)]


def test_a_data_set_written_anew_never_meets_old_files(address: str, tmp_path: Path) -> None:
    store = RemoteStore("memory://tokens", tmp_path, 1 << 30)
    memory = fsspec.filesystem("memory")
    memory.pipe("/tokens/x", b"one")
    digests = ["7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
               "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"]  # fmt: skip
    assert store.path("x", bytes=3, digest=digests[0]).read_bytes() == b"one"
    memory.pipe("/tokens/x", b"two")
    assert store.path("x", bytes=3, digest=digests[1]).read_bytes() == b"two"


def test_what_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data.cache_dir is missing"):
        Order(address, **OPTIONS)
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(ConfigError, match=r"holds something else"):
        open_store(address, cache_dir=tmp_path)
    assert (tmp_path / "mine").exists()
    with pytest.raises(InputError, match=r"manifest.json: not found"):
        Order("memory://nowhere", **OPTIONS, cache_dir=tmp_path / "cache")


def test_a_training_by_address_is_that_of_the_directory(
    address: str, small_tokens: Path, tmp_path: Path, tiny_config: TrainConfig
) -> None:
    far = tiny_config.model_copy(
        update={"data": tiny_config.data.model_copy(update={"cache_dir": str(tmp_path / "cache")})}
    )
    local = train(tiny_config, shutil.copytree(small_tokens, tmp_path / "tokens"), tmp_path / "a", steps=2)
    remote = train(far, address, tmp_path / "b", steps=2)
    assert remote.last_loss == local.last_loss
    assert remote.evaluation == local.evaluation
    assert trace(tmp_path / "a", 1) == trace(tmp_path / "b", 1)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12), st.integers(1, 6), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_windows_hold_every_document_once_and_few_shards(sizes: list[int], window: int, epoch: int) -> None:
    first = np.concatenate([[0], np.cumsum(sizes)])
    epochs = Epochs(7, first, window)
    chunks, number = [], 0
    while len(chunk := epochs.chunk(epoch, number)):
        shards = np.unique(np.searchsorted(first, chunk.astype(np.int64), "right") - 1)
        assert len(shards) <= window
        chunks.append(chunk)
        number += 1
    found = np.concatenate([np.empty(0, np.uint32), *chunks])
    assert np.array_equal(np.sort(found), np.arange(sum(sizes)))


def test_a_window_is_a_setting_of_the_order(small_tokens: Path) -> None:
    plain, windowed = Order(small_tokens, **OPTIONS), Order(small_tokens, **OPTIONS, shuffle_window=1)
    assert plain.describe() != windowed.describe()
    assert windowed.describe()["shuffle_window"] == 1
    assert not np.array_equal(plain.rows(0).tokens, windowed.rows(0).tokens)
