"""The driver's picture of a run in a store: what tasks under way put is left alone, what the driver takes away goes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from seimai.errors import RunError
from seimai.pipeline import store_lock, store_picture
from seimai.pipeline.object_store import ObjectStore
from seimai.pipeline.run import Needs
from seimai.pipeline.store_lock import LOCK, lease
from seimai.pipeline.store_picture import Picture
from seimai.pipeline.store_task import Done, Made, pack

PARTS = {
    "config.toml": b"a = 1\n",
    "state/read/a.json": b"""{"stage": "read", "part": "a", "fingerprint": "", "input": {}, "rows": 1,
        "files": [{"path": "documents/a.parquet", "bytes": 3, "sha256": "00"}]}""",
    "documents/a.parquet": b"abc",
    "work/clusters/one": b"1",
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_lock, "SETTLE_S", 0.0)
    monkeypatch.setattr(store_picture, "SETTLE_EVERY_S", 0.0)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    found = ObjectStore(f"file://{tmp_path}/store")
    for name, data in PARTS.items():
        found.write(name, data)
    return found


@pytest.fixture
def picture(store: ObjectStore, tmp_path: Path) -> Iterator[Picture]:
    with lease(store) as held:
        found = Picture(store, tmp_path / "picture", held, str(tmp_path), 1000)
        found.pull()
        yield found


def names(store: ObjectStore) -> set[str]:
    return {name for name, _ in store.objects() if name != LOCK}


def test_small_files_are_there_and_of_large_ones_the_size(picture: Picture) -> None:
    root = picture.root
    assert (root / "config.toml").read_bytes() == PARTS["config.toml"]
    assert (root / "state/read/a.json").read_bytes() == PARTS["state/read/a.json"]
    assert (root / "documents/a.parquet").read_bytes() == bytes(3)
    picture.bring([root / "documents" / "*.parquet"])
    assert (root / "documents/a.parquet").read_bytes() == b"abc"


def test_work_of_tasks_under_way_stays_until_the_driver_takes_it_away(picture: Picture, store: ObjectStore) -> None:
    store.write("work/clusters/two", b"2")  # its task has not ended
    picture.settle()
    assert "work/clusters/two" in names(store)
    picture.take(Done(pack(None, picture.root), (Made("work/clusters/two", 1, None),), ()))
    picture.settle()
    assert "work/clusters/two" in names(store)
    for path in (picture.root / "work" / "clusters").iterdir():
        path.unlink()
    picture.settle()
    assert names(store) == set(PARTS) - {"work/clusters/one"}


def test_what_the_driver_writes_is_put_once_and_each_time_it_changes(picture: Picture, store: ObjectStore) -> None:
    (picture.root / "config.toml").write_bytes(b"a = 2\n")
    picture.settle()
    assert store.read("config.toml") == b"a = 2\n"
    store.write("config.toml", b"left alone")
    picture.settle()
    assert store.read("config.toml") == b"left alone"
    (picture.root / "config.toml").write_bytes(b"a = 3\n")
    picture.settle()
    assert store.read("config.toml") == b"a = 3\n"


def test_a_new_marker_takes_away_what_only_the_former_one_named(picture: Picture) -> None:
    made = Made("state/read/a.json", 13, b'{"files": []}')
    picture.take(Done(pack(None, picture.root), (made,), ()))
    assert not (picture.root / "documents/a.parquet").exists()


def test_a_task_gets_what_it_needs_and_no_file_of_elsewhere(picture: Picture, tmp_path: Path) -> None:
    (tmp_path / "copy").write_bytes(b"of a folder all workers share")
    (picture.root / LOCK).write_bytes(b"{}")
    needs = Needs([picture.root / "work" / "clusters" / "*", tmp_path / "copy"], [picture.root / "documents/a.parquet"])
    given = {file.name: file for file in picture.call(str, "x", needs).given}
    assert set(given) - {LOCK} == {"work/clusters/one", "documents/a.parquet"}
    assert given["work/clusters/one"].whole
    assert not given["documents/a.parquet"].whole


def test_pushed_is_what_the_picture_has(picture: Picture, store: ObjectStore) -> None:
    for name in ("manifest.json", "manifest.sha256", "report.html"):
        (picture.root / name).write_bytes(b"new")
    store.write("shards/stray", b"")
    picture.push()
    assert names(store) == {*PARTS, "manifest.json", "manifest.sha256", "report.html"}
    (picture.root / "documents" / "a.parquet").unlink()
    picture.push()
    assert "documents/a.parquet" not in names(store)


def test_an_object_lost_meanwhile_leaves_no_manifest(picture: Picture, store: ObjectStore) -> None:
    for name in ("manifest.json", "manifest.sha256"):
        (picture.root / name).write_bytes(b"new")
    store.write("documents/a.parquet", b"ab")
    with pytest.raises(RunError, match=r"documents/a.parquet: was changed or lost; type the same command again"):
        picture.push()
    assert not any(name.startswith("manifest") for name in names(store))
