"""Removal on finished work: runs and token shards alike."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from seimai.errors import RunError
from seimai.files import read_json, write_atomic
from seimai.pipeline.derived import derive_run
from seimai.pipeline.removal import Removal, to_remove
from seimai.tokenizer.remove_tokens import remove_documents

__all__ = ["remove_from"]


def remove_from(work: Path, out: Path, what: Removal) -> tuple[int, int]:
    """Write a run or token shards without some documents into `out`; how many went, how many are left.

    `removed.txt` there names them, one id a line; the manifest has the parent's name and what was asked for.
    """
    asked = {"what": "remove", "urls": sorted(what.urls), "domains": sorted(what.domains), "ids": len(what.ids)}
    if (work / "index.arrow").is_file():
        removed = remove_documents(work, out, lambda rows: to_remove(rows, what), asked)
        shards = read_json(out / "manifest.json")["shards"]
        return len(removed), sum(shard["documents"] for shard in shards)
    if not (work / "shards").is_dir():
        raise RunError(f"{work}: neither a run nor token shards; give one of them")
    gone: list[str] = []

    def change(_: str, rows: pa.Table) -> pa.Table:
        goes = to_remove(rows, what)
        gone.extend(rows["id"].filter(goes).to_pylist())
        return rows.filter(pc.invert(goes))

    def name_them() -> None:
        write_atomic(out / "removed.txt", "".join(f"{name}\n" for name in gone))

    left = derive_run(work, out, change, asked, finish=name_them)["documents"]
    return len(gone), left
