"""One check for every directory of ours that has a manifest: runs and token shards."""

from pathlib import Path

from seimai.errors import RunError, VerifyError
from seimai.files import read_json, sha256_file

__all__ = ["verify", "verify_place"]


def verify_place(place: str) -> tuple[int, int]:
    """`verify` of a directory, or of a run at an fsspec URL."""
    from seimai.pipeline.object_store import is_url

    if is_url(place):
        from seimai.pipeline.store_verify import verify_at

        return verify_at(place)
    if not Path(place).is_dir():
        raise RunError(f"{place}: no such folder; give a run directory or a folder of token shards")
    return verify(Path(place))


def verify(path: Path) -> tuple[int, int]:
    """Compare a directory with its manifest; returns files and bytes read.  Raises VerifyError that names the files."""
    manifest = path / "manifest.json"
    if ((path / "state").is_dir() and (path / "config.toml").exists()) or (path / "manifest.sha256").exists():
        from seimai.pipeline.manifest import verify as verify_run

        return verify_run(path)
    if not manifest.exists():
        raise RunError(f"{path}: has no manifest.json; it is not finished, type its command again")
    try:
        entries = read_json(manifest)["files"]
        wrong = [f"changed {e['path']}" for e in entries if not _same(path / e["path"], e)]
        names = {entry["path"] for entry in entries} | {"manifest.json"}
    except (ValueError, KeyError, TypeError):
        raise VerifyError(f"{path}: manifest.json is damaged; make the directory again") from None
    present = {p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()}
    wrong += [f"unlisted {name}" for name in sorted(present - names)]
    if wrong:
        raise VerifyError(f"{path}: {'; '.join(wrong[:10])}; make the directory again")
    return len(entries), sum(entry["bytes"] for entry in entries)


def _same(path: Path, entry: dict[str, object]) -> bool:
    return path.is_file() and path.stat().st_size == entry["bytes"] and sha256_file(path) == entry["sha256"]
