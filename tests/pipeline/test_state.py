"""Markers vouch for files, and a lock has one owner: dead ones are replaced, live ones are left alone."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seimai.errors import RunError
from seimai.files import sha256_file
from seimai.pipeline import state
from seimai.pipeline.state import Marker, commit, lock, owned_by, read_marker, remove_marker, still_owned

TABLE = pa.table({"id": ["a", "b"]})


def marker(fingerprint: str = "f1", **more: Any) -> Marker:
    return Marker("read", "p-0", fingerprint, {"bytes": 3}, 2, **more)


def marker_file(run: Path) -> Path:
    return run / "state" / "read" / "p-0.json"


def test_a_committed_stage_is_vouched_for(tmp_path: Path) -> None:
    with lock(tmp_path) as owner:
        made = commit(tmp_path, owner, marker(tally={"n": 1}), {"documents/p-0.parquet": TABLE})
    path = tmp_path / "documents" / "p-0.parquet"
    assert pq.read_table(path).equals(TABLE)
    assert made.files == [{"path": "documents/p-0.parquet", "bytes": path.stat().st_size, "sha256": sha256_file(path)}]
    assert read_marker(tmp_path, "read", "p-0") == made
    assert made.vouches(tmp_path, "f1")
    assert not made.vouches(tmp_path, "f2")
    path.write_bytes(path.read_bytes() + b"x")
    assert not made.vouches(tmp_path, "f1")
    path.unlink()
    assert not made.vouches(tmp_path, "f1")


def test_nothing_temporary_stays(tmp_path: Path) -> None:
    with lock(tmp_path) as owner:
        commit(tmp_path, owner, marker(), {"documents/p-0.parquet": TABLE})
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert names == ["documents/p-0.parquet", "state/read/p-0.json"]


def test_a_new_result_removes_files_it_no_longer_has(tmp_path: Path) -> None:
    with lock(tmp_path) as owner:
        commit(tmp_path, owner, marker(), {"documents/p-0.parquet": TABLE, "audit/p-0.parquet": TABLE})
        commit(tmp_path, owner, marker("f2"), {"documents/p-0.parquet": TABLE})
        assert not (tmp_path / "audit" / "p-0.parquet").exists()
        found = read_marker(tmp_path, "read", "p-0")
        assert found is not None
        assert found.vouches(tmp_path, "f2")
        remove_marker(tmp_path, found)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "torn",
    [b"", b"\x00" * 200, b'{"stage": "read", "pa', b"\xff\xfe\x00", b"[1, 2]", b"3", b"null", b"{}", b'{"other": 1}'],
)
def test_a_torn_marker_is_no_marker(tmp_path: Path, torn: bytes) -> None:
    path = marker_file(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(torn)
    assert read_marker(tmp_path, "read", "p-0") is None
    with lock(tmp_path) as owner:
        commit(tmp_path, owner, marker(), {})
    assert read_marker(tmp_path, "read", "p-0") == marker()


def test_a_task_of_a_former_owner_writes_nothing(tmp_path: Path) -> None:
    with lock(tmp_path) as owner:
        kept = commit(tmp_path, owner, marker(), {"documents/p-0.parquet": TABLE})
        for other in ("somebody else", ""):
            with pytest.raises(RunError, match="another run has taken over"):
                commit(tmp_path, other, marker("f2"), {"documents/p-0.parquet": pa.table({"id": ["c"]})})
    assert read_marker(tmp_path, "read", "p-0") == kept
    assert pq.read_table(tmp_path / "documents" / "p-0.parquet").equals(TABLE)
    with pytest.raises(RunError, match="another run has taken over"):
        commit(tmp_path, owner, marker("f2"), {})
    assert [path.name for path in tmp_path.rglob(".*")] == []


def test_ownership_lost_between_the_files_and_the_marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def lose(run: Path, owner: str) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            (run / "lock.json").write_text('{"owner": "another"}')
        still_owned(run, owner)

    monkeypatch.setattr(state, "still_owned", lose)
    with lock(tmp_path) as owner, pytest.raises(RunError):
        commit(tmp_path, owner, marker(), {"documents/p-0.parquet": TABLE})
    assert read_marker(tmp_path, "read", "p-0") is None
    assert (tmp_path / "lock.json").exists(), "the other owner's lock stays"


def test_a_lock_has_one_owner(tmp_path: Path) -> None:
    with lock(tmp_path) as owner:
        assert owned_by(tmp_path, owner)
        assert not owned_by(tmp_path, "another")
        with (
            pytest.raises(RunError, match=rf"another run works here \(process {os.getpid()} on .*--out"),
            lock(tmp_path),
        ):
            pass
        assert owned_by(tmp_path, owner)
    assert list(tmp_path.iterdir()) == []
    with lock(tmp_path):
        pass


def put_lock(run: Path, age_s: float = 0.0, **more: Any) -> None:
    held = {"owner": "o", "host": socket.gethostname(), "pid": os.getpid(), "started": "0", **more}
    path = run / "lock.json"
    path.write_text(json.dumps(held))
    os.utime(path, (time.time() - age_s,) * 2)


@pytest.mark.parametrize(
    ("age_s", "held", "free"),
    [
        (0, {"pid": 2**22 + 1, "started": "12"}, True),
        (0, {"started": "another start of the same number"}, True),
        (0, {"pid": -1, "started": ""}, True),
        (1000, {"started": None}, False),
        (59, {"host": "elsewhere"}, False),
        (61, {"host": "elsewhere"}, True),
    ],
)
def test_who_may_be_replaced(tmp_path: Path, age_s: float, held: dict[str, Any], free: bool) -> None:
    if held.get("started", "") is None:
        held = {**held, "started": state.process_start(os.getpid())}
    put_lock(tmp_path, age_s, **held)
    if free:
        with lock(tmp_path) as owner:
            assert owned_by(tmp_path, owner)
        assert list(tmp_path.iterdir()) == []
    else:
        with pytest.raises(RunError, match="another run works here"), lock(tmp_path):
            pass
        assert json.loads((tmp_path / "lock.json").read_text())["owner"] == "o"
        assert [path.name for path in tmp_path.iterdir()] == ["lock.json"]


@pytest.mark.parametrize("torn", [b"", b"\x00" * 50, b'{"owner": "a', b"\xff\xff", b"[]", b"7"])
def test_a_torn_lock_is_free(tmp_path: Path, torn: bytes) -> None:
    (tmp_path / "lock.json").write_bytes(torn)
    with lock(tmp_path) as owner:
        assert owned_by(tmp_path, owner)


HOLD = """
import sys, time
from pathlib import Path
from seimai.pipeline.state import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_another_process_holds_and_dies(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"process {holder.pid}"), lock(tmp_path):
            pass
        holder.kill()
        holder.wait()
        with lock(tmp_path) as owner:
            assert owned_by(tmp_path, owner)


def test_the_heart_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "HEARTBEAT_S", 0.01)
    with lock(tmp_path):
        path = tmp_path / "lock.json"
        os.utime(path, (1, 1))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert time.time() - path.stat().st_mtime < 30
