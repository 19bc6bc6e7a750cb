"""The wheel holds every tracked file of the folders that are shipped, and nothing else."""

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("configs", "model", "pipeline", "sample", "tokenizer")


def tracked() -> list[str]:
    """Files of the working tree that git knows, or would know."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("no git checkout, so nothing says which files are tracked")
    command = [git, "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    return sorted({name for name in names if name and (ROOT / name).exists()})


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the tracked files, links as they are."""
    if importlib.util.find_spec("build") is None or importlib.util.find_spec("setuptools") is None:
        pytest.skip("needs build and setuptools: pip install 'seimai[dev]' setuptools")
    tree = tmp_path_factory.mktemp("tree")
    for name in tracked():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name, follow_symlinks=False)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tree / "dist"), str(tree)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    (path,) = (tree / "dist").glob("*.whl")
    return path


def test_the_wheel_holds_what_is_tracked(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    shell = [name.removeprefix("src/") for name in tracked() if name.startswith("src/seimai/")]
    expected = {name for name in shell if not (ROOT / "src" / name).is_symlink()}
    expected |= {f"seimai/{name}" for name in tracked() if name.split("/")[0] in FOLDERS}
    assert packed == expected


def test_the_wheel_carries_bytes_not_links(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in ("seimai/pipeline/job.py", "seimai/configs/web_ja_en.toml", "seimai/pipeline/presets.toml"):
            assert archive.read(name) == (ROOT / name.removeprefix("seimai/")).read_bytes()


def test_the_wheel_says_who_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(next(n for n in archive.namelist() if n.endswith("METADATA"))).decode()
        scripts = archive.read(next(n for n in archive.namelist() if n.endswith("entry_points.txt"))).decode()
        assert any(name.endswith("licenses/LICENSE") for name in archive.namelist())
    assert "License-Expression: Apache-2.0" in metadata
    for extra in ("pipeline", "train", "all", "dev"):
        assert f"Provides-Extra: {extra}" in metadata
    assert "seimai = seimai.cli:main" in scripts


def test_the_links_are_relative() -> None:
    for name in FOLDERS:
        link = ROOT / "src" / "seimai" / name
        assert link.is_symlink()
        assert str(link.readlink()) == f"../../{name}"
