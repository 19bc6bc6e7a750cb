"""The manifest of a run: every file with its SHA-256, written last; and the check of a directory against it."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from seimai.errors import RunError, VerifyError
from seimai.files import atomic, canonical_json, sha256_file, write_atomic

__all__ = [
    *("FORMAT", "NAMES", "compare", "file_entry", "manifest_files", "manifest_head", "stands", "verify", "withdraw"),
    "write_manifest",
]

FORMAT = "seimai-run/1"
NAMES = ("manifest.json", "manifest.sha256")
_FILES_LINE = '"files":[\n'


def file_entry(root: Path, path: Path) -> dict[str, Any]:
    """path (relative, with /), bytes and sha256 of a file."""
    return {"path": path.relative_to(root).as_posix(), "bytes": path.stat().st_size, "sha256": sha256_file(path)}


def write_manifest(root: Path, head: dict[str, Any], files: Iterable[dict[str, Any]]) -> None:
    """Write `manifest.json` (one line a file, streamed, so that a million files cost no memory) and its digest."""
    text = canonical_json({"format": FORMAT, **head})
    with atomic(root / "manifest.json") as temporary, temporary.open("w", encoding="utf-8", newline="\n") as out:
        out.write(text[:-1] + "," + _FILES_LINE)
        separator = ""
        for entry in files:
            out.write(separator + canonical_json(entry))
            separator = ",\n"
        out.write("\n]}\n")
    write_atomic(root / "manifest.sha256", f"{sha256_file(root / 'manifest.json')}  manifest.json\n")


def withdraw(root: Path) -> None:
    """Take the manifest away before anything it vouches for changes."""
    for name in NAMES:
        (root / name).unlink(missing_ok=True)


def manifest_head(root: Path) -> dict[str, Any]:
    """Everything in the manifest but the files.  Raises RunError where there is none or it is not ours."""
    try:
        with (root / "manifest.json").open(encoding="utf-8") as file:
            first = file.readline()
    except FileNotFoundError:
        raise RunError(f"{root}: has no manifest.json; the run is not finished, type its command again") from None
    except NotADirectoryError:
        raise RunError(f"{root}: is not a run directory") from None
    except UnicodeDecodeError:
        raise RunError(f"{root}/manifest.json: is damaged; type the run's command again") from None
    if not first.endswith(_FILES_LINE):
        raise RunError(f"{root}/manifest.json: is not a run's manifest, or is damaged; give a run directory")
    try:
        head = json.loads(first[: -len("," + _FILES_LINE)] + "}")
    except json.JSONDecodeError:
        raise RunError(f"{root}/manifest.json: is damaged; type the run's command again") from None
    return dict(head)


def manifest_files(root: Path) -> Iterator[dict[str, Any]]:
    """The manifest's file entries, one line at a time."""
    with (root / "manifest.json").open(encoding="utf-8") as file:
        file.readline()
        for line in file:
            if line.startswith("]"):
                return
            yield json.loads(line.rstrip(",\n"))


def stands(root: Path) -> bool:
    """Whether the manifest is whole and its files are there with their sizes; their bytes are not read."""
    if not (root / "manifest.json").exists() or not _digest_fits(root):
        return False
    return all(_size(root / entry["path"]) == entry["bytes"] for entry in manifest_files(root))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _digest_fits(root: Path) -> bool:
    try:
        stated = (root / "manifest.sha256").read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return False
    return stated == f"{sha256_file(root / 'manifest.json')}  manifest.json\n"


def verify(root: Path) -> tuple[int, int]:
    """Compare every file with the manifest; returns how many files and bytes were read.

    Raises VerifyError that names changed, missing and unlisted files (ten of them), RunError without a manifest.
    """
    names = (path.relative_to(root).as_posix() for path in sorted(root.rglob("*")) if not path.is_dir())
    return compare(root, (_faulty(root, entry) for entry in manifest_files(root)), names)


def _faulty(root: Path, entry: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """A file's entry, and what is wrong with it; empty: nothing."""
    path = root / entry["path"]
    if not path.is_file():
        return entry, "missing"
    same = path.stat().st_size == entry["bytes"] and sha256_file(path) == entry["sha256"]
    return entry, "" if same else "changed"


def compare(root: Path, looked_at: Iterable[tuple[dict[str, Any], str]], names: Iterable[str]) -> tuple[int, int]:
    """How many files and bytes the manifest in `root` names, when all are well: entries and what is wrong with each.

    `names` are the files there are. Raises as `verify`.
    """
    wrong: list[str] = []
    if (root / "manifest.json").exists() and not _digest_fits(root):
        raise VerifyError(f"{root}: manifest.json or manifest.sha256 is changed; type the run's command again")
    manifest_head(root)
    listed: set[bytes] = set()
    files = total = 0
    for entry, fault in looked_at:
        listed.add(_short(entry["path"]))
        files += 1
        if fault:
            wrong.append(f"{fault} {entry['path']}")
        else:
            total += entry["bytes"]
    wrong += [f"unlisted {name}" for name in names if name not in NAMES and _short(name) not in listed]
    if wrong:
        more = f" and {len(wrong) - 10} more" if len(wrong) > 10 else ""
        raise VerifyError(
            f"{root}: {'; '.join(wrong[:10])}{more}; remove what is named, then type the run's command again"
        )
    return files, total


def _short(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=12).digest()
