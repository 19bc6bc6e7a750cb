"""Scratch: copies within a budget, the longest unused go first; folders go with their process, at the latest later."""

import json
import os
import socket
from pathlib import Path

import pytest

from seimai.errors import RunError
from seimai.pipeline.object_store import ObjectStore
from seimai.pipeline.store_scratch import Copies, new_scratch, sweep


@pytest.mark.parametrize("links", [True, False])
def test_copies_are_reused_until_there_is_no_room(tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, other: Path) -> None:
        raise OSError("no hard links here")

    if not links:
        monkeypatch.setattr(os, "link", refused)
    store = ObjectStore(f"file://{tmp_path}/store")
    for name in "abc":
        store.write(name, b"12")
    (tmp_path / "copies").mkdir()
    copies = Copies(tmp_path / "copies", max_bytes=4)
    for number, name in enumerate("abac"):  # b is the longest unused when c comes
        copies.place(store, name, 2, "", tmp_path / f"{number}{name}")
        assert (tmp_path / f"{number}{name}").read_bytes() == b"12"
    assert len(list((tmp_path / "copies").iterdir())) == 2
    store.remove("abc")
    for name in "ac":
        copies.place(store, name, 2, "", tmp_path / f"again-{name}")
    with pytest.raises(RunError, match=r"/b: is gone; type the same command again"):
        copies.place(store, "b", 2, "", tmp_path / "again-b")


def test_what_a_dead_process_left_goes(tmp_path: Path) -> None:
    mine = new_scratch(str(tmp_path))
    owners = {
        "dead": {"host": socket.gethostname(), "pid": 2**22 + 1, "started": "1"},
        "elsewhere": {"host": "another-machine", "pid": 2**22 + 1, "started": "1"},
    }
    for name, owner in owners.items():
        folder = tmp_path / f"seimai-scratch-{name}"
        folder.mkdir()
        (folder / ".owner.json").write_text(json.dumps(owner))
    (tmp_path / "seimai-scratch-begun").mkdir()
    (tmp_path / "of-another-program").mkdir()
    sweep(str(tmp_path))
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {mine.name, "seimai-scratch-elsewhere", "seimai-scratch-begun", "of-another-program"}


def test_scratch_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"file: cannot be written \(.*\); give another --scratch"):
        new_scratch(str(tmp_path / "file"))
