"""What fsspec asks of a limited bucket passes the one limiter as http does: spaced, counted, retried, stopped."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from seimai.errors import RunError
from seimai.pipeline.fetch_config import Access
from seimai.pipeline.fetch_http import FetchError
from seimai.pipeline.fetch_remote import copy_place, look_at, open_remote
from seimai.pipeline.rate import Pace
from seimai.pipeline.run import process_limiter

PLACE = "memory://bucket/x.warc.gz"
DATA = bytes(range(256)) * 4000
ACCESS = Access("me@example.org", ("bucket",), Pace(20.0, 1, 0.01, 0.05), 4, 0.5, 0)


@pytest.fixture(autouse=True)
def bucket() -> Iterator[None]:
    process_limiter.cache_clear()
    MemoryFileSystem().pipe("/bucket/x.warc.gz", DATA)
    yield
    MemoryFileSystem.store.clear()


def counted() -> dict[str, float]:
    return process_limiter().answer({"op": "counts"})


def test_every_request_has_its_start_time() -> None:
    began = time.monotonic()
    size = look_at(PLACE, ACCESS).size
    data = bytearray()
    copy_place(PLACE, data.extend, 10, 5000, ACCESS, size=size)
    with open_remote(PLACE, ACCESS, size) as file:
        file.seek(900_000)
        assert file.read(10) == DATA[900_000:900_010]
        file.seek(100)
        assert file.read(10) == DATA[100:110]
    assert data == DATA[10:5000]
    assert counted()["requests"] == 4
    assert counted()["bytes"] >= len(data) + 20
    assert time.monotonic() - began >= 3 * ACCESS.pace.spacing_s


def test_another_bucket_is_not_limited() -> None:
    MemoryFileSystem().pipe("/mine/x.warc.gz", DATA)
    assert look_at("memory://mine/x.warc.gz", ACCESS).size == len(DATA)
    assert counted()["requests"] == 0


@pytest.mark.parametrize(("times", "found"), [(2, True), (9, False)])
def test_a_busy_store_is_asked_again_after_a_pause(monkeypatch: pytest.MonkeyPatch, times: int, found: bool) -> None:
    left, real = [times], MemoryFileSystem.cat_file

    def busy(self: MemoryFileSystem, path: str, **more: Any) -> bytes:
        left[0] -= 1
        if left[0] >= 0:
            raise OSError("SlowDown: please reduce your request rate")
        return bytes(real(self, path, **more))

    monkeypatch.setattr(MemoryFileSystem, "cat_file", busy)
    data = bytearray()
    if found:
        copy_place(PLACE, data.extend, 0, 100, ACCESS, size=None)
        assert data == DATA[:100]
    else:
        with pytest.raises(FetchError, match=r"SlowDown.*4 times; try again later"):
            copy_place(PLACE, data.extend, 0, 100, ACCESS, size=None)
    assert counted()["failures"] == min(times, 4)
    assert counted()["requests"] == min(times + 1, 4)


def test_a_store_that_refuses_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: MemoryFileSystem, path: str, **more: Any) -> dict[str, Any]:
        raise PermissionError("Forbidden")

    monkeypatch.setattr(MemoryFileSystem, "info", refuse)
    for _ in range(3):
        with pytest.raises(RunError, match=r"access denied.*credentials in the environment"):
            look_at(PLACE, ACCESS)
    assert counted()["requests"] == 1
