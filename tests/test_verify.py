"""One command checks every directory that has a manifest, and says what to do where there is none."""

from pathlib import Path

import pytest

from seimai.errors import RunError, VerifyError
from seimai.files import canonical_json, sha256_file
from seimai.pipeline.manifest import write_manifest
from seimai.verify import verify


def put_tokens(folder: Path) -> Path:
    """A folder with a manifest as token shards have it."""
    folder.mkdir()
    (folder / "tokens-00000.arrow").write_bytes(b"tokens")
    files = [{"path": "tokens-00000.arrow", "bytes": 6, "sha256": sha256_file(folder / "tokens-00000.arrow")}]
    (folder / "manifest.json").write_text(canonical_json({"files": files}))
    return folder


def test_token_shards(tmp_path: Path) -> None:
    folder = put_tokens(tmp_path / "tokens")
    assert verify(folder) == (1, 6)
    (folder / "extra").touch()
    with pytest.raises(VerifyError, match="unlisted extra"):
        verify(folder)
    (folder / "extra").unlink()
    (folder / "tokens-00000.arrow").write_bytes(b"tokenz")
    with pytest.raises(VerifyError, match=r"changed tokens-00000\.arrow"):
        verify(folder)
    (folder / "tokens-00000.arrow").unlink()
    with pytest.raises(VerifyError, match=r"tokens-00000\.arrow"):
        verify(folder)


def test_runs(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "config.toml").touch()
    with pytest.raises(RunError, match="not finished"):
        verify(tmp_path)
    write_manifest(tmp_path, {}, [{"path": "config.toml", "bytes": 0, "sha256": sha256_file(tmp_path / "config.toml")}])
    assert verify(tmp_path) == (1, 0)
    (tmp_path / "config.toml").write_text("x")
    with pytest.raises(VerifyError, match=r"changed config\.toml"):
        verify(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"files": 3}'])
def test_a_damaged_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(VerifyError, match=r"manifest\.json is damaged"):
        verify(tmp_path)


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has no manifest\.json"):
        verify(tmp_path)
