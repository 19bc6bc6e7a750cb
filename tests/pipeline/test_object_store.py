"""Objects at a URL: what is tried again, what is told at once, what an answer that was lost on the way leaves."""

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from seimai.errors import RunError
from seimai.pipeline import object_store
from seimai.pipeline.object_store import ObjectStore, StoreError, side_by_side


class _AnswerError(Exception):
    """An error as botocore raises it."""

    def __init__(self, code: str) -> None:
        super().__init__(f"An error occurred ({code})")
        self.response = {"Error": {"Code": code}}


class NoCredentialsError(Exception):
    """Named as botocore's, which is no OSError."""


class Failing(LocalFileSystem):  # type: ignore[misc]
    """A folder whose reading and conditional writing raise what they are told to, so many times."""

    protocol = "failing"
    errors: list[BaseException] = []
    asked = 0

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **more: Any) -> bytes:
        """Read, or fail."""
        Failing.asked += 1
        if Failing.errors:
            raise Failing.errors.pop(0)
        return bytes(super().cat_file(path, start, end, **more))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **more: Any) -> None:
        """Write, and then fail."""
        super().pipe_file(path, value, mode=mode, **more)
        if Failing.errors and mode == "create":
            raise Failing.errors.pop(0)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    monkeypatch.setattr(object_store, "BACKOFF_S", 0.0)
    fsspec.register_implementation("failing", Failing, clobber=True)
    found = ObjectStore(f"failing://{tmp_path}/my-bucket/run")
    found.write("a/b.json", b"{}")
    Failing.errors, Failing.asked = [], 0
    yield found
    Failing.errors = []


def test_a_folder_of_objects(tmp_path: Path) -> None:
    store = ObjectStore(f"file://{tmp_path}/run")
    assert store.folder("") == ({}, [])
    assert list(store.objects()) == []
    for name in ("b/c/d", "b/a", "x"):
        store.write(name, name.encode())
    assert store.folder("b") == ({"a": 3}, ["c"])
    assert list(store.objects()) == [("x", 1), ("b/a", 3), ("b/c/d", 5)]
    assert store.create("new", b"1")
    assert not store.create("new", b"2")
    assert store.read("new") == b"1"
    assert store.digest("x") == (1, "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881")
    store.remove(["x", "not-there"])
    with pytest.raises(FileNotFoundError):
        store.read("x")
    store.get("b/a", tmp_path / "here")
    assert (tmp_path / "here").read_bytes() == b"b/a"


def test_trouble_that_passes_is_tried_again(store: ObjectStore) -> None:
    Failing.errors = [OSError("reset"), _AnswerError("SlowDown"), TimeoutError()]
    assert store.read("a/b.json") == b"{}"
    assert Failing.asked == 4


def test_trouble_that_stays_is_one_line_without_secrets(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something-secret")
    Failing.errors = [OSError("no,\n something-secret") for _ in range(9)]
    with pytest.raises(
        StoreError, match=r"my-bucket/run/a/b.json: OSError: no, \*\*\*, 6 times; type the same command"
    ):
        store.read("a/b.json")
    assert Failing.asked == 6


def test_an_address_that_never_answered_is_told_sooner(store: ObjectStore) -> None:
    other = ObjectStore(store.url)
    Failing.errors = [OSError("no route") for _ in range(9)]
    with pytest.raises(StoreError, match=r"no route; look at the address and the network"):
        other.read("a/b.json")
    assert Failing.asked == 2


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (_AnswerError("NoSuchBucket"), "there is no such bucket; look at the address, or create the bucket"),
        (PermissionError("Forbidden"), "access denied (PermissionError: Forbidden); look at the credentials"),
        (NoCredentialsError("none"), "access denied (NoCredentialsError: none); look at the credentials"),
        (NotImplementedError("ls"), "this kind of address cannot hold a run"),
    ],
)
def test_what_a_user_can_mend_is_told_at_once(store: ObjectStore, error: Exception, said: str) -> None:
    Failing.errors = [error]
    with pytest.raises(RunError) as caught:
        store.read("a/b.json")
    assert str(caught.value).startswith(f"{store.url}: {said}")
    assert Failing.asked == 1


def test_a_missing_object_in_a_bucket_of_that_name_is_no_missing_bucket(store: ObjectStore) -> None:
    with pytest.raises(FileNotFoundError):
        store.read("bucket/none")
    assert Failing.asked == 1


def test_a_full_disk_is_told_as_such(store: ObjectStore) -> None:
    Failing.errors = [OSError(errno.ENOSPC, "No space left on device")]
    with pytest.raises(OSError, match="No space left"):
        store.read("a/b.json")


def test_a_refused_condition_is_an_answer_wherever_it_comes_from(store: ObjectStore) -> None:
    """Amazon's answer says which condition it was, that of other servers only that there was one."""
    refused = OSError(errno.EINVAL, "At least one of the pre-conditions you specified did not hold")
    refused.__cause__ = _AnswerError("PreconditionFailed")
    Failing.errors = [refused]
    assert not store.create("other", b"")


def test_a_lost_answer_to_a_condition_is_looked_up(store: ObjectStore) -> None:
    Failing.errors = [OSError("reset")]
    assert not store.create("mine", b"1")
    assert store.read("mine") == b"1"


@pytest.mark.parametrize("url", ["s3:", "s3://", "s3:///", "s3:/bucket/run"])
def test_an_address_names_a_place(url: str) -> None:
    with pytest.raises(RunError, match=r"names no place; write an address as s3://bucket/folder"):
        ObjectStore(url)


def test_side_by_side_is_in_order_and_raises() -> None:
    assert list(side_by_side(str, range(5000))) == [str(n) for n in range(5000)]
    with pytest.raises(ZeroDivisionError):
        list(side_by_side(lambda n: 1 / n, [1, 0]))
