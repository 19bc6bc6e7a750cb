"""The end of a run: its totals and its list of files, read off the markers one at a time; leftovers removed."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from seimai.files import read_json

from .edits import STEPS
from .manifest import file_entry
from .plan import CHOSEN
from .settings import MAP_STAGES
from .state import Marker, marked_parts, read_marker, remove_temporaries

__all__ = ["DATA_STAGES", "PART_STAGES", "all_files", "remove_leftovers", "totals"]

PART_STAGES = (*MAP_STAGES, "repeated_lines", "clusters", "decisions")

DATA_STAGES = {
    "documents": "read",
    "audit": "read",
    "extracts": "wet",
    "edits/line_rules": "line_rules",
    "edits/repeated_lines": "repeated_lines",
    "signals": "signals",
    "signatures": "signatures",
    "clusters": "clusters",
    "decisions": "decisions",
    "shards": "write",
}
"""Folders and the stage whose markers name their files."""

UNMARKED = ("config.toml", "canaries.json", "report.html", "audit/dropped.parquet", "state/order.arrow")
"""Files of a run, apart from its plan's, that no marker names."""


def totals(
    run: Path, parts: Callable[[], Iterable[str]], bring: Callable[[Iterable[Path]], None]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Sums over the markers' tallies, and the pages whose fate may differ on another machine.

    `bring` makes files readable here (`Engine.bring`).
    """
    read: Counter[str] = Counter()
    reasons: Counter[tuple[str, str]] = Counter()
    alone: Counter[tuple[str, str]] = Counter()
    kept: dict[str, Counter[str]] = {}
    quarantined: list[dict[str, Any]] = []
    for marker in _markers(run, "read", parts()):
        read.update(marker.tally)
        if marker.tally.get("quarantined"):
            bring([run / "audit" / f"{marker.part}.parquet"])
            quarantined += _quarantined(run, marker.part)
    clusters: Counter[str] = Counter()
    for marker in _markers(run, "clusters", parts()):
        clusters.update(marker.tally)
    for marker in _markers(run, "decisions", parts()):
        for lang, reason, count in marker.tally["reasons"]:
            reasons[lang, reason] += count
        for lang, reason, count in marker.tally["alone"]:
            alone[lang, reason] += count
        for lang, sums in marker.tally["kept"].items():
            kept.setdefault(lang, Counter()).update(sums)
    cut: Counter[tuple[str, str, str]] = Counter()
    for step in STEPS:
        for marker in _markers(run, step, parts()):
            for reason, edits, chars in marker.tally.get("cut", []):
                cut[step, reason, "edits"] += edits
                cut[step, reason, "chars"] += chars
    written = [f for marker in _markers(run, "write", _shards(run)) for f in marker.files if _in(f["path"], "shards")]
    masked: Counter[str] = Counter()
    for file in written:
        masked.update(file.get("masked", {}))
    found = {
        "read": dict(sorted(read.items())),
        "reasons": [[lang, reason, reasons[lang, reason]] for lang, reason in sorted(reasons)],
        "alone": [[lang, reason, alone[lang, reason]] for lang, reason in sorted(alone)],
        "kept": {lang: dict(kept[lang]) for lang in sorted(kept)},
        "cut": [
            [step, reason, count, cut[step, reason, "chars"]]
            for (step, reason, what), count in sorted(cut.items())
            if what == "edits"
        ],
        "clusters": dict(sorted(clusters.items())),
        "masked": dict(sorted(masked.items())),
        "shards": len(written),
    }
    fetched: Counter[str] = Counter()
    for name in marked_parts(run, "fetch"):
        if (fetch := read_marker(run, "fetch", name)) is not None:
            fetched.update(fetch.tally)
    if fetched:
        found["fetch"] = dict(sorted(fetched.items()))
    judged: Counter[str] = Counter()
    for marker in _markers(run, "wet", marked_parts(run, "wet")):
        judged.update(marker.tally)
    if (run / "state" / "plan" / CHOSEN).exists():
        found["wet"] = {"texts": dict(sorted(judged.items())), **read_json(run / "state" / "plan" / CHOSEN)["tally"]}
    return found, quarantined


def all_files(
    run: Path, parts: Callable[[], Iterable[str]], bring: Callable[[Iterable[Path]], None]
) -> Iterator[dict[str, Any]]:
    """Entries of every file of the run but the manifest: those of the markers as they state them, the rest hashed."""
    bring(run / name for name in UNMARKED)
    for name in UNMARKED:
        if (run / name).exists():
            yield file_entry(run, run / name)
    for stage in (*PART_STAGES, "write"):
        for marker in _markers(run, stage, _shards(run) if stage == "write" else parts()):
            yield from ({key: f[key] for key in ("path", "bytes", "sha256")} for f in marker.files)
            yield file_entry(run, run / "state" / stage / f"{marker.part}.json")
    for marker in _markers(run, "wet", sorted(marked_parts(run, "wet"))):
        yield from marker.files
        yield file_entry(run, run / "state" / "wet" / f"{marker.part}.json")
    for name in sorted(_names(run / "state" / "plan")):
        if not name.startswith("."):
            yield file_entry(run, run / "state" / "plan" / name)
    for name in sorted(marked_parts(run, "fetch")):
        yield file_entry(run, run / "state" / "fetch" / f"{name}.json")


def remove_leftovers(run: Path) -> None:
    """Remove temporary files, and data files that no marker names."""
    remove_temporaries(run)
    for folder in _names(run / "state"):
        for name in _names(run / "state" / folder):
            if name.startswith("."):
                (run / "state" / folder / name).unlink()
    for folder, stage in DATA_STAGES.items():
        for name in _names(run / folder):
            path = f"{folder}/{name}"
            marker = None if name.startswith(".") else read_marker(run, stage, name.rpartition(".")[0])
            if path != "audit/dropped.parquet" and (marker is None or all(f["path"] != path for f in marker.files)):
                (run / path).unlink()


def _markers(run: Path, stage: str, names: Iterable[str]) -> Iterator[Marker]:
    return (marker for name in names if (marker := read_marker(run, stage, name)) is not None)


def _shards(run: Path) -> list[str]:
    return sorted(marked_parts(run, "write"))


def _in(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/")


def _names(folder: Path) -> Iterator[str]:
    """Names in a folder, in no order; none where it is no folder."""
    try:
        with os.scandir(folder) as entries:
            yield from (entry.name for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return


def _quarantined(run: Path, part: str) -> list[dict[str, Any]]:
    rows = pq.read_table(run / "audit" / f"{part}.parquet", columns=["id", "url", "reason", "value"]).to_pylist()
    return [{"id": r["id"], "url": r["url"], "why": r["value"]} for r in rows if r["reason"] == "quarantine"]
