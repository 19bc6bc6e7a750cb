"""Which files of a run directory the tasks of each stage read: what `Engine.map` is told, for workers without a disk
in common."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .cluster_steps import Clustering
from .edits import STEPS
from .order import Batch
from .repeated_lines import Search
from .run import Needs
from .settings import MAP_STAGES
from .stages import PartTask
from .write import ShardPlan

__all__ = [
    *("of_assigning", "of_candidates", "of_cluster_step", "of_cutting", "of_deciding", "of_part", "of_parts"),
    *("of_range", "of_shard", "of_texts"),
]

_EDITS = tuple(f"edits/{step}" for step in STEPS)
_COLUMNS = ("documents", "signals", "clusters")


def _files(run: Path, part: str, *folders: str) -> list[Path]:
    return [run / folder / f"{part}.parquet" for folder in folders]


def _of_batch(run: Path, batch: Batch, *folders: str) -> list[Path]:
    return [path for entry in batch.entries for path in _files(run, entry.part, *folders)]


def of_parts(tasks: tuple[PartTask, ...]) -> Needs:
    """The map stages of some parts."""
    found = [of_part(task) for task in tasks]
    return Needs([path for each in found for path in each.files], [path for each in found for path in each.sizes])


def of_part(task: PartTask) -> Needs:
    """The map stages of a part: its markers, what later stages read of former ones, the size of the rest."""
    part = task.part.name
    markers = [task.run / "state" / stage / f"{part}.json" for stage in dict.fromkeys((*MAP_STAGES, *STEPS))]
    copy = [Path(task.part.source.copy)] if task.part.source.copy else []
    files = [*markers, *copy, *_files(task.run, part, "documents", *_EDITS)]
    return Needs(files, _files(task.run, part, "audit", "signals", "signatures"))


def of_texts(batch: Batch, search: Search) -> Needs:
    """Counting the lines of a batch."""
    return Needs(_of_batch(search.run, batch, "documents", "edits/line_rules"))


def of_range(work: Path, *patterns: str) -> Callable[[int], Needs]:
    """A range of keys: the files of these patterns, whatever its number."""
    return lambda number: Needs([work / pattern.format(number) for pattern in patterns])


def of_cutting(batch: Batch, search: Search) -> Needs:
    """Cutting the repeated lines of a batch."""
    number = f"{batch.number:06d}"
    counted = [search.work / name for name in (f"parts-{number}.json", f"lines-{number}-*", f"copies-{number}-*")]
    return Needs([*of_texts(batch, search).files, *counted, search.work / "cut-*"])


def of_cluster_step(job: Clustering, run: Path, name: str) -> Callable[[Any], Needs]:
    """An item of a step of clustering: its result, if it stands, and the files of former steps."""
    of_documents = {
        "hashes": ("signatures", "documents", "signals"),
        "bands": ("signatures", "documents"),
        "sets": ("documents", "signatures", *_EDITS),
    }
    of_steps = {
        "same_text": ("hashes/text-*",),
        "same_url": ("hashes/url-*",),
        "bands": ("same_text/edges-*",),
        "near": ("bands/keys-*",),
        "sets": ("near/edges-*",),
        "held": ("sets/sets-*",),
        "components": ("same_text/edges-*", "same_url/edges-*", "near/edges-*", "held/held-*", "hashes/members-*"),
    }

    def needs(item: tuple[int, object]) -> Needs:
        number, what = item
        files = [job.work / name / f"{number:06d}.json", *(job.work / pattern for pattern in of_steps.get(name, ()))]
        if isinstance(what, Batch):
            files += [job.work / "hashes" / f"members-{number:06d}", *_of_batch(run, what, *of_documents[name])]
        return Needs(files)

    return needs


def of_assigning(batch: Batch, job: Clustering) -> Needs:
    """Cluster, size and former members of a batch's documents."""
    return Needs([job.work / "hashes" / "members-*", job.work / "components" / "*", job.work / "former-*"])


def of_candidates(batch: Batch, run: Path) -> Needs:
    """Judging a batch's documents that share a cluster."""
    return Needs(_of_batch(run, batch, *_COLUMNS))


def of_deciding(batch: Batch, run: Path, work: Path) -> Needs:
    """Deciding on a batch's documents, and the audit's sample of them."""
    return Needs([*_of_batch(run, batch, *_COLUMNS, *_EDITS), work / "ranks-*"])


def of_shard(item: tuple[ShardPlan, str], run: Path) -> Needs:
    """Writing a shard."""
    parts = [part for part, _ in item[0].parts]
    return Needs([path for part in parts for path in _files(run, part, *_COLUMNS, "decisions", *_EDITS)])
