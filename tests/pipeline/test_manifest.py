"""The manifest names every file with its digest, and the check names what is not as it says."""

import json
from pathlib import Path

import pytest

from seimai.errors import RunError, VerifyError
from seimai.pipeline.manifest import (
    FORMAT,
    file_entry,
    manifest_files,
    manifest_head,
    verify,
    withdraw,
    write_manifest,
)

FILES = {"config.toml": b"a = 1\n", "shards/ja-00000.arrow": b"\x00\x01", "state/read/精米-0.json": b"{}", "empty": b""}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    write_manifest(tmp_path, {"totals": {"n": 1}, "name": "精米"}, [file_entry(tmp_path, tmp_path / n) for n in FILES])
    return tmp_path


def test_what_is_written_is_read_and_verified(run: Path) -> None:
    assert manifest_head(run) == {"format": FORMAT, "totals": {"n": 1}, "name": "精米"}
    assert [entry["path"] for entry in manifest_files(run)] == list(FILES)
    assert verify(run) == (len(FILES), sum(map(len, FILES.values())))
    whole = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    assert whole["files"] == list(manifest_files(run))


@pytest.mark.parametrize("name", [name for name, data in FILES.items() if data])
def test_a_changed_byte_is_named(run: Path, name: str) -> None:
    data = bytearray((run / name).read_bytes())
    data[-1] ^= 1
    (run / name).write_bytes(data)
    with pytest.raises(VerifyError, match=f"changed {name}"):
        verify(run)


def test_everything_wrong_is_named_up_to_ten(run: Path) -> None:
    (run / "config.toml").unlink()
    (run / "empty").write_bytes(b"x")
    (run / "extra").write_bytes(b"")
    with pytest.raises(VerifyError, match=r"missing config\.toml; changed empty; unlisted extra; ") as caught:
        verify(run)
    assert "\n" not in str(caught.value)
    for number in range(20):
        (run / f"more{number}").touch()
    with pytest.raises(VerifyError, match="and 13 more"):
        verify(run)


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sha256"])
def test_every_byte_of_the_manifest_counts(run: Path, name: str) -> None:
    whole = (run / name).read_bytes()
    for at in range(0, len(whole), 7):
        (run / name).write_bytes(whole[:at] + bytes([whole[at] ^ 0x80]) + whole[at + 1 :])
        with pytest.raises(VerifyError, match=name):
            verify(run)
    (run / name).write_bytes(whole[:-1])
    with pytest.raises(VerifyError, match=name):
        verify(run)


def test_a_missing_digest_is_no_proof(run: Path) -> None:
    (run / "manifest.sha256").unlink()
    with pytest.raises(VerifyError, match=r"manifest\.sha256"):
        verify(run)


def test_a_withdrawn_manifest(run: Path) -> None:
    withdraw(run)
    withdraw(run)
    with pytest.raises(RunError, match=r"no manifest\.json; the run is not finished"):
        verify(run)


@pytest.mark.parametrize("text", ["", "{}", '{"files": []}\n', 'x,"files":[\n]}\n'])
def test_other_manifests_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(RunError, match=r"manifest\.json"):
        manifest_head(tmp_path)


def test_a_file_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(RunError, match="is not a run directory"):
        manifest_head(tmp_path / "x")
