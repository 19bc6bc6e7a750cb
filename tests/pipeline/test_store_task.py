"""A task of a run in a store: what it finds, what of its work is put and in which order, and for whom."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seimai.errors import RunError
from seimai.files import write_atomic
from seimai.pipeline.object_store import ObjectStore, StoreError
from seimai.pipeline.store_lock import LOCK
from seimai.pipeline.store_scratch import forget_copies
from seimai.pipeline.store_task import Call, Done, Given, do_call, pack, told, unpack

OWNER = "me"


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    found = ObjectStore(f"file://{tmp_path}/run")
    found.write(LOCK, json.dumps({"owner": OWNER}).encode())
    return found


@pytest.fixture(autouse=True)
def _tidy() -> Iterator[None]:
    yield
    forget_copies()


def call(
    store: ObjectStore, tmp_path: Path, function: Callable[[Path], Any], *given: Given, owner: str = OWNER
) -> Done:
    root = tmp_path / "picture"
    packed = pack((function, root), root)
    return do_call(Call(store.url, owner, f"{tmp_path}", str(tmp_path / "scratch"), 1000, packed, given))


def _everything(run: Path) -> str:
    for name in ("state/read/a.json", "documents/a.parquet", "work/x.json"):
        write_atomic(run / name, "{}")
    return f"{run}/documents"


def _nothing(run: Path) -> list[str]:
    return sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file())


def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is put and removed from now on, in order."""
    found: list[str] = []
    real_put, real_remove = ObjectStore.put, ObjectStore.remove

    def put(self: ObjectStore, path: Path, name: str) -> None:
        found.append(f"put {name}")
        real_put(self, path, name)

    def remove(self: ObjectStore, names: Iterable[str]) -> None:
        names = sorted(names)
        found.extend(f"remove {name}" for name in names)
        real_remove(self, names)

    monkeypatch.setattr(ObjectStore, "put", put)
    monkeypatch.setattr(ObjectStore, "remove", remove)
    return found


def test_data_come_first_and_markers_last(store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = asked(monkeypatch)
    done = call(store, tmp_path, _everything)
    assert order == ["put documents/a.parquet", "put work/x.json", "put state/read/a.json"]
    assert {made.name: made.content for made in done.made} == {
        "documents/a.parquet": None, "work/x.json": b"{}", "state/read/a.json": b"{}",
    }  # fmt: skip
    assert unpack(done.result, Path("/elsewhere")) == "/elsewhere/documents"


def test_a_marker_goes_before_its_data_are_replaced(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("state/read/a.json", b"[]")
    order = asked(monkeypatch)
    call(store, tmp_path, _everything, Given("state/read/a.json", 2, content=b"[]"))
    assert order[:2] == ["remove state/read/a.json", "put documents/a.parquet"]
    assert order[-1] == "put state/read/a.json"


def test_what_was_laid_is_not_put_again_unless_it_is_written(store: ObjectStore, tmp_path: Path) -> None:
    store.write("documents/a", b"1")
    given = [Given("documents/a", 1), Given("documents/b", 3, content=b"old"), Given("documents/c", 9, whole=False)]
    done = call(store, tmp_path, _renew, *given)
    assert [made.name for made in done.made] == ["documents/b"]
    assert done.gone == ("documents/c",)


def _renew(run: Path) -> None:
    assert (run / "documents" / "c").read_bytes() == bytes(9)
    (run / "documents" / "b").unlink()
    (run / "documents" / "b").write_bytes(b"old")
    (run / "documents" / "c").unlink()


def test_a_task_of_a_former_owner_writes_nothing(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"another run has taken over"):
        call(store, tmp_path, _everything, owner="before me")
    assert [name for name, _ in store.objects()] == [LOCK]


def test_a_lock_lost_between_data_and_marker(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = ObjectStore.put

    def putting(self: ObjectStore, path: Path, name: str) -> None:
        put(self, path, name)
        store.write(LOCK, b'{"owner": "another"}')

    monkeypatch.setattr(ObjectStore, "put", putting)
    with pytest.raises(RunError, match=r"another run has taken over"):
        call(store, tmp_path, _everything)
    assert "state/read/a.json" not in dict(store.objects())


def test_a_torn_note_is_none(store: ObjectStore, tmp_path: Path) -> None:
    torn = Given("work/x.json", 1, content=b"{")
    whole = Given("work/y.json", 2, content=b"{}")
    done = call(store, tmp_path, _nothing, torn, whole)
    assert unpack(done.result, tmp_path) == ["work/y.json"]
    assert done.gone == ()


def test_an_object_cut_on_the_way_is_read_again(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get, cuts = ObjectStore.get, [1]

    def getting(self: ObjectStore, name: str, path: Path) -> None:
        get(self, name, path)
        if cuts:
            cuts.pop()
            path.write_bytes(path.read_bytes()[:-1])

    monkeypatch.setattr(ObjectStore, "get", getting)
    store.write("documents/a", b"12")
    sha256 = "6b51d431df5d7f141cbececcf79edf3dd861c3b4069f0b11661a3eefacbba918"
    call(store, tmp_path, _nothing, Given("documents/a", 2, sha256))
    with pytest.raises(StoreError, match=r"documents/a: is not what its marker says; remove it, type the same"):
        call(store, tmp_path, _nothing, Given("documents/a", 2, "0" * 64))
    with pytest.raises(StoreError, match=r"documents/b: is gone; type the same command again"):
        call(store, tmp_path, _nothing, Given("documents/b", 2))


def test_what_a_task_says_is_said_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_PASSWORD", "something-secret")
    text = "OSError: '/x/seimai-scratch-0123456789abcdef/task-abc_1234/work/a' (something-secret)"
    assert told("s3://b/run", text) == "OSError: 's3://b/run/work/a' (***)"
    assert told("s3://b/run", "/x/seimai-scratch-0123456789abcdef/run: is cut") == "s3://b/run: is cut"
