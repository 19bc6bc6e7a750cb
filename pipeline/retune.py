"""Retuning: a finished run and changed settings in; what they would keep, or the decisions and shards made again, out.

Only columns are read. What a change needs beyond them is told before anything is done: a change of the texts or of what
is measured is left to `seimai run`, a gate to reading the archives again, and where clusters follow from the change
(another threshold, or any rule under `dedup.scope = "after"`) they are found again, for the look in a folder aside.
"""

import os
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from seimai.config import apply_overrides, parse_config
from seimai.errors import RunError

from .barriers import Job, cluster_run
from .gates import loosened
from .inputs import Part, Source, parts_of
from .job import redecide
from .judge import asked_columns
from .manifest import manifest_head
from .order import read_entries
from .plan_sources import planned_sources
from .presets import rules
from .progress import Progress, Silent
from .retune_look import Look, look
from .run import Engine
from .run_summary import RunSummary
from .settings import READING, RunConfig, reading_differences, stage_fingerprints
from .signal_config import signals_parts
from .state import lock, read_marker
from .wet_first import chosen_plan

__all__ = ["PAGES_PER_CORE_S", "Retuned", "apply_retune", "changed_config", "retune"]

PAGES_PER_CORE_S = 400
"""Pages that a core reads in a second, for estimates: 476 on the real archives (bench/read.py), on a quiet machine."""
TEXTS_PER_CORE_S = 1500
"""Texts whose lines, signals and signatures a core makes in a second, for estimates."""

_NOT_MEASURED = (*READING, "fetch", "quality", "cleaning", "dedup", "output", "canaries")
"""Sections that no signal is made by."""
_CLUSTERING = ("threshold", "verify", "bands", "rows", "preset", "same_url", "within", "scope", "index")


@dataclass(frozen=True, slots=True)
class Retuned:
    """The look at a changed config, and what to know about it."""

    look: Look
    config: RunConfig
    notes: list[str]


def changed_config(run: Path, overrides: Sequence[str]) -> tuple[RunConfig, RunConfig]:
    """The config of a run directory, and the same with `section.key=value` overrides.

    Raises ConfigError for an override that is wrong, RunError where there is no run.
    """
    path = run / "config.toml"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{run}: is no run directory (it has no config.toml)") from None
    next(read_entries(run / "state" / "order.arrow"), None)  # says so where there are shards alone
    return parse_config(data, RunConfig, str(path)), parse_config(apply_overrides(data, overrides), RunConfig, "--set")


def retune(
    run: Path, overrides: Sequence[str], *, engine: Callable[[], Engine] = Engine, progress: Progress | None = None
) -> Retuned:
    """What a finished run would keep under other settings; nothing of it is changed.

    `engine` is called only where clusters must be found again. Raises RunError, with what it would cost, for settings
    that columns cannot answer.
    """
    old, new = changed_config(run, overrides)
    _refuse(run, old, new)
    notes = _notes(old, new)
    if not _clusters_again(old, new):
        return Retuned(look(run, new.quality, new.dedup.keep), new, notes)
    with tempfile.TemporaryDirectory(prefix="seimai-retune-") as folder:
        aside = _beside(run, Path(folder))
        rows = sum(entry.rows for entry in read_entries(aside / "state" / "order.arrow"))
        with lock(aside) as owner, engine() as running:
            job = Job(aside, owner, running, progress or Silent(), lambda: None)
            cluster_run(job, config=new, rows=rows, signatures="", columns="")
        return Retuned(look(run, new.quality, new.dedup.keep, clusters=aside), new, notes)


def apply_retune(
    run: Path, overrides: Sequence[str], *, engine: Engine | None = None, progress: Progress | None = None
) -> RunSummary:
    """Make decisions and shards of a finished run again under other settings, as a fresh run with them would.

    The archives are not read and may be gone. Raises RunError as `retune`.
    """
    old, new = changed_config(run, overrides)
    _refuse(run, old, new)
    return redecide(run, new, _finished_sources(run, new), engine, progress)


def _refuse(run: Path, old: RunConfig, new: RunConfig) -> None:
    """Raise RunError for a change that columns cannot answer."""
    head = manifest_head(run)
    differing = reading_differences(old, new)
    if differing:
        raise RunError(_reading_again(run, head, old, new, differing))
    before, after = stage_fingerprints(old), stage_fingerprints(new)
    texts = int(head["totals"]["read"].get("documents", 0))
    cost = f"about {_minutes(texts / TEXTS_PER_CORE_S)} for {texts:,} documents"
    kind, what = "", ""
    if before["line_rules"] != after["line_rules"] or _repeated(old) != _repeated(new):
        kind, what = "cleaning", "cuts the texts otherwise"
    elif before["signatures"] != after["signatures"]:
        kind, what = "dedup", "needs other signatures"
    elif missing := _unmeasured(run, old, new):
        kind, what = ", ".join(missing), "asks for numbers that this run has not measured"
    if kind:
        raise RunError(
            f"{run}: {kind}: {what}; `seimai run` with this config and --out {run} makes them from the texts it holds, "
            f"without reading the archives ({cost})"
        )


def _reading_again(run: Path, head: dict[str, Any], old: RunConfig, new: RunConfig, differing: list[str]) -> str:
    """The refusal of other reading settings, with the cost."""
    parts = sum(-(-entry["bytes"] // old.input.part_bytes) for entry in head["inputs"])
    size = sum(entry["bytes"] for entry in head["inputs"])
    pages = int(head["totals"]["read"].get("documents", 0))
    cost = (
        f"{parts:,} parts, {size:,} bytes, {pages:,} pages, about {_minutes(pages / PAGES_PER_CORE_S)}; "
        "use `seimai run` with another --out, or with --rebuild"
    )
    loose = loosened(old.gates, new.gates)
    if loose:
        return (
            f"{run}: {', '.join(loose)} would be looser, and the pages it dropped have no text here: read again {cost}"
        )
    if differing == ["gates.min_lang_score"]:
        score = new.gates.min_lang_score
        return (
            f"{run}: gates.min_lang_score is a gate; ask it as a rule, as --set quality.ja.min_lang_score={score}, "
            f"or read again {cost}"
        )
    return f"{run}: {', '.join(differing)} decides how pages are read: read again {cost}"


def _minutes(core_seconds: float) -> str:
    cores = os.cpu_count() or 1
    seconds = core_seconds / cores
    time = (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )
    return f"{time} on {cores} cores"


def _repeated(config: RunConfig) -> dict[str, Any]:
    return config.cleaning.model_dump(exclude={"line_rules", "memory_mb"})


def _unmeasured(run: Path, old: RunConfig, new: RunConfig) -> list[str]:
    """What the new config asks for and the signals of the run lack: settings, or rules as language.reason."""
    same_rules = new.model_copy(update={"quality": old.quality})
    if stage_fingerprints(same_rules)["signals"] != stage_fingerprints(old)["signals"]:
        # A section of its own may be measured by (a list, a model): whichever differs and is none of the others.
        names = [name for name in RunConfig.model_fields if getattr(old, name) != getattr(new, name)]
        return [name for name in names if name not in _NOT_MEASURED] or ["signals"]
    was, now = (signals_parts(config.signals, config.quality)["groups"] for config in (old, new))
    extra = {kind: set(now[kind]) - set(was[kind]) for kind in now}
    known = _measured_columns(run)
    return [
        f"quality.{lang}.{rule.reason} ({rule.column})"
        for lang, section in sorted(new.quality.items())
        for rule in rules(section)
        if (known and rule.column not in known) or _group(rule.column) in extra["ja" if lang == "ja" else "other"]
    ]


def _group(column: str) -> str:
    from .signal_columns import COLUMNS

    return COLUMNS[column].group if column in COLUMNS else ""


def _measured_columns(run: Path) -> set[str]:
    """Every column of the first part; empty for a run without documents."""
    entry = next(read_entries(run / "state" / "order.arrow"), None)
    if entry is None:
        return set()
    folders = ("documents", "signals", "clusters")
    return {name for folder in folders for name in pq.read_schema(run / folder / f"{entry.part}.parquet").names}


def _clusters_again(old: RunConfig, new: RunConfig) -> bool:
    """Whether clusters follow from what differs."""
    if any(getattr(old.dedup, key) != getattr(new.dedup, key) for key in _CLUSTERING):
        return True
    return new.dedup.scope == "after" and old.quality != new.quality


def _notes(old: RunConfig, new: RunConfig) -> list[str]:
    """What to know beside the tables."""
    notes = []
    if new.dedup.scope == "after" and old.quality != new.quality:
        notes.append('dedup.scope = "after": clusters hold what the rules let pass, so they are found again')
    elif _clusters_again(old, new):
        notes.append("clusters follow from [dedup], so they are found again")
    if stage_fingerprints(old)["signals"] != stage_fingerprints(new)["signals"]:
        unused = sorted(set(asked_columns(old.quality)) - set(asked_columns(new.quality)))
        notes.append(f"--apply measures the texts again, to leave out what no rule asks for now ({', '.join(unused)})")
    return notes


def _beside(run: Path, folder: Path) -> Path:
    """A run directory that shares everything with another but its clusters."""
    (folder / "state").mkdir()
    for name in ("documents", "edits", "signals", "signatures", "decisions"):
        if (run / name).exists():
            (folder / name).symlink_to((run / name).absolute())
    for path in (run / "state").iterdir():
        if path.name != "clusters":
            (folder / "state" / path.name).symlink_to(path.absolute())
    return folder


def _finished_sources(out: Path, config: RunConfig) -> list[Source]:
    """The archives of a finished run as its markers know them; where they lie is not known."""
    head = manifest_head(out)
    if head["failed_parts"]:
        raise RunError(f"{out}: {len(head['failed_parts'])} parts failed; type the run's command again first")
    wanted = stage_fingerprints(config)["read"]
    ranged = _ranged_sources(out, config)
    sources = []
    for entry in head["inputs"]:
        source = ranged.get(entry["key"]) or Source(entry["key"], "", entry["bytes"], "")
        first = next(parts_of(source, config.input.part_bytes)) if source.ranges else Part(source, 0, entry["bytes"])
        marker = read_marker(out, "read", first.name)
        if marker is None or marker.fingerprint != wanted:
            raise RunError(f"{out}: was read by other versions of Seimai or its packages; `seimai run` reads again")
        sources.append(replace(source, stamp=marker.input["stamp"]))
    return sources


def _ranged_sources(out: Path, config: RunConfig) -> dict[str, Source]:
    """The archives of which only ranges were read, as the run's plan has them, by key."""
    plan = chosen_plan(out, config)
    if plan is None:
        return {}
    return {source.key: source for source in planned_sources(plan, config.input, config.fetch)}
