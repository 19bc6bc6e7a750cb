"""The check of a run in an object store against its manifest: every object read once, in pieces, nothing kept."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from seimai.errors import SeimaiError

from .manifest import NAMES, compare, manifest_files
from .object_store import ObjectStore, side_by_side

__all__ = ["verify_at"]


def verify_at(url: str) -> tuple[int, int]:
    """Compare every object below a URL with the run's manifest there; returns how many and their bytes.

    Raises as `manifest.verify`.
    """
    store = ObjectStore(url)
    with tempfile.TemporaryDirectory(prefix="seimai-") as folder:
        root = Path(folder)
        try:
            for name in NAMES:
                _get(store, name, root / name)
            faults = side_by_side(partial(_faulty, store), manifest_files(root))
            return compare(root, faults, sorted(name for name, _ in store.objects()))
        except SeimaiError as error:
            raise type(error)(str(error).replace(str(root), store.url)) from None


def _get(store: ObjectStore, name: str, path: Path) -> None:
    try:
        store.get(name, path)
    except FileNotFoundError:
        path.unlink(missing_ok=True)


def _faulty(store: ObjectStore, entry: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """An object's entry, and what is wrong with it; empty: nothing."""
    try:
        return entry, "" if store.digest(entry["path"]) == (entry["bytes"], entry["sha256"]) else "changed"
    except FileNotFoundError:
        return entry, "missing"
