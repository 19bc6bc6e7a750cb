"""One run from archives to shards: parts, then clusters, decisions and shards, each resumed from what stands."""

import hashlib
import platform
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from seimai import __version__
from seimai.config import dump_toml, load_config
from seimai.errors import ConfigError, RunError
from seimai.files import canonical_json, fingerprint, write_atomic

from . import manifest
from .barriers import Job, cluster_run, decide_run, repeated_run, write_run
from .finish import PART_STAGES, all_files, remove_leftovers, totals
from .inputs import Part, Source, find_sources, parts_of
from .order import write_order
from .progress import Progress, Silent
from .report import write_report
from .run import Engine, Outcome
from .settings import MAP_STAGES, RunConfig, package_versions, reading_differences, stage_fingerprints
from .stages import PartSummary, PartTask, finished, work_part, work_parts
from .state import forget, lock, marked_parts, read_marker

__all__ = ["RunSummary", "polish"]

BUNDLE_BYTES = 1 << 16
BUNDLE_PARTS = 32


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a finished run tells: its totals, and the parts that failed with their errors."""

    out: Path
    totals: dict[str, Any]
    failed_parts: list[dict[str, str]] = field(default_factory=list)
    changed: bool = True


def polish(
    config: RunConfig,
    out: Path,
    *,
    inputs: Sequence[str] = (),
    engine: Engine | None = None,
    rebuild: bool = False,
    check_inputs: bool = False,
    progress: Progress | None = None,
) -> RunSummary:
    """Run or resume: archives to shards in `out`, with a manifest at the end.

    `inputs` win over `config.input.paths`. `rebuild` empties a directory made with other reading settings;
    `check_inputs` reads every archive's bytes again instead of trusting size and time.
    Raises SeimaiError, one line, for what a user did wrong; what the web did wrong is counted in the totals.
    """
    sources = find_sources(config.input, inputs)
    config = _with_paths(config, list(inputs) or config.input.paths)
    _prepare(out)
    with lock(out) as owner, engine or Engine() as running:
        _settle_config(out, config, rebuild)
        # Tasks carry the config; they need no list of all archives.
        job = _Job(out.absolute(), owner, _with_paths(config, []), sources, running, progress or Silent(), check_inputs)
        return replace(job.run(), out=out)


def _with_paths(config: RunConfig, paths: list[str]) -> RunConfig:
    return config.model_copy(update={"input": config.input.model_copy(update={"paths": paths})})


def _prepare(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.touch()
        probe.unlink()
    except FileExistsError:
        raise RunError(f"{out}: is a file; give a folder to --out") from None
    except OSError as error:
        raise RunError(f"{out}: cannot be written ({error.strerror}); give another --out") from None
    ours = {"config.toml", "state", "lock.json", "manifest.json"}
    names = {path.name for path in out.iterdir()}
    if names and not names & ours and not all(name.startswith(".") for name in names):
        raise RunError(f"{out}: holds files that are no run's; give an empty or new folder to --out")


def _settle_config(out: Path, config: RunConfig, rebuild: bool) -> None:
    """Keep the resolved config in the run directory; refuse one that reads pages otherwise than the directory did."""
    path = out / "config.toml"
    if path.exists():
        try:
            differences = reading_differences(load_config(path, RunConfig), config)
        except ConfigError as error:
            differences = [] if rebuild else [str(error)]
        if rebuild and differences:
            _empty(out)
        elif differences:
            raise RunError(
                f"{out}: was read with another {', '.join(differences)}; use another --out, or --rebuild to read again"
            )
    text = dump_toml(config)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        manifest.withdraw(out)
        write_atomic(path, text)


def _empty(out: Path) -> None:
    manifest.withdraw(out)
    for path in out.iterdir():
        if path.name != "lock.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@dataclass(slots=True)
class _Job:
    """A run in progress; each method is one step of it."""

    out: Path
    owner: str
    config: RunConfig
    sources: list[Source]
    engine: Engine
    progress: Progress
    check_inputs: bool
    failed: dict[str, str] = field(default_factory=dict)
    changed: bool = False

    def run(self) -> RunSummary:
        fingerprints = stage_fingerprints(self.config)
        self._forget_absent_parts()
        job = Job(self.out, self.owner, self.engine, self.progress, self._change)
        # Repeated lines need all texts; without them, a part goes through all map stages at once.
        wanted = self.config.cleaning.repeated
        before = MAP_STAGES[1:2] if wanted else MAP_STAGES[1:]
        self._map_parts("read", fingerprints, before)
        self._mend_chain(fingerprints, before)
        digest, rows = self._write_order(("read", *before))
        repeated = ""
        if wanted:
            lines = fingerprint([digest["read"], digest["line_rules"]])
            repeated = repeated_run(job, config=self.config, rows=rows, lines=lines)
            self._map_parts("measure", fingerprints, MAP_STAGES[2:])
            digest, rows = self._write_order(MAP_STAGES)
        columns = fingerprint([digest["signals"], digest["read"]])
        clusters = cluster_run(job, config=self.config, rows=rows, signatures=digest["signatures"], columns=columns)
        columns = fingerprint([digest["signals"], digest["read"], digest["line_rules"], repeated, clusters])
        decide_run(job, config=self.config, rows=rows, columns=columns)
        write_run(job, config=self.config)
        return self._finish()

    def _change(self) -> None:
        """Called before anything the manifest vouches for changes."""
        if not self.changed:
            manifest.withdraw(self.out)
            self.changed = True

    def _parts(self) -> Iterator[Part]:
        for source in self.sources:
            yield from parts_of(source, self.config.input.part_bytes)

    def _names(self) -> Iterator[str]:
        return (part.name for part in self._parts())

    def _forget_absent_parts(self) -> None:
        """Remove what belongs to archives no longer among the inputs, to their former lengths, or to no step."""
        known = {source.key_hash: source for source in self.sources}
        for stage in PART_STAGES:
            for name in marked_parts(self.out, stage):
                key_hash, _, start = name.partition("-")
                source = known.get(key_hash)
                unwanted = stage == "repeated_lines" and not self.config.cleaning.repeated
                if source is None or int(start) >= source.size or unwanted:
                    self._change()
                    forget(self.out, stage, name)

    def _tasks(self, name: str, fingerprints: dict[str, str], stages: tuple[str, ...]) -> Iterator[PartTask]:
        """The parts that are not finished; the finished ones are told to the progress bar."""
        check = self.check_inputs and name == "read"
        for part in self._parts():
            if part.name in self.failed:
                continue
            task = PartTask(self.out, self.owner, part, self.config, fingerprints, stages, check_input=check)
            summary = finished(task)
            if summary is None:
                self._change()
                yield task
            else:
                self._tell(name, task, summary)

    def _tell(self, name: str, task: PartTask, summary: PartSummary | None) -> None:
        read = task.part.stop - task.part.start
        if summary is None:
            self.progress.advance(name, read)
        else:
            self.progress.advance(name, read, documents=summary.documents, kept=summary.passed)

    def _map_parts(self, name: str, fingerprints: dict[str, str], stages: tuple[str, ...]) -> None:
        """Take all parts through map stages; `name` is what the progress bar calls them."""
        self.progress.begin(name, sum(source.size for source in self.sources))
        for outcome in self.engine.map(work_parts, _bundles(self._tasks(name, fingerprints, stages))):
            if outcome.result is None:
                self._map_singly(name, outcome.item, outcome.error)
            else:
                for task, summary in zip(outcome.item, outcome.result, strict=True):
                    self._tell(name, task, summary)
        self.progress.end(name)

    def _map_singly(self, name: str, tasks: tuple[PartTask, ...], error: str | None) -> None:
        """Find the part that failed among those it was bundled with."""
        alone = [Outcome(tasks[0], None, error)] if len(tasks) == 1 else self.engine.map(work_part, tasks)
        for outcome in alone:
            if outcome.error is not None:
                self._fail(outcome.item.part, outcome.error)
            self._tell(name, outcome.item, outcome.result)

    def _fail(self, part: Part, error: str) -> None:
        """List a part that failed for good, and take away what an earlier config may have left of it."""
        self.failed[part.name] = error
        for stage in PART_STAGES:
            forget(self.out, stage, part.name)

    def _mend_chain(self, fingerprints: dict[str, str], stages: tuple[str, ...]) -> None:
        """Read a part again whose first member is not where its predecessor ended (an archive inside a payload)."""
        for source in self.sources:
            expected: int | None = 0
            for part in parts_of(source, self.config.input.part_bytes):
                if part.name in self.failed:
                    expected = None
                    continue
                marker = read_marker(self.out, "read", part.name)
                if marker is None:
                    raise _gone(self.out, "read", part)
                first, after = marker.span["first_offset"], marker.span["next_offset"]
                wanted = expected if expected is not None and expected < part.stop else None
                if expected is not None and expected > 0 and first != wanted:
                    self._change()
                    task = PartTask(self.out, self.owner, part, self.config, fingerprints, stages, expected)
                    summary = self.engine.run_one(work_part, task)
                    first, after = summary.first_offset, summary.next_offset
                expected = after if first is not None else expected

    def _write_order(self, stages: tuple[str, ...]) -> tuple[dict[str, str], int]:
        """Write the order of the parts; returns a digest of each stage's results and the number of documents."""
        digests = {stage: hashlib.sha256() for stage in stages}

        def entries() -> Iterator[tuple[str, int]]:
            for part in self._parts():
                if part.name in self.failed:
                    continue
                rows = 0
                for stage in stages:
                    marker = read_marker(self.out, stage, part.name)
                    if marker is None:
                        raise _gone(self.out, stage, part)
                    rows = marker.rows
                    if rows:
                        text = canonical_json([part.name, [f["sha256"] for f in marker.files if _is_data(f["path"])]])
                        digests[stage].update(text.encode())
                if rows:
                    yield part.name, rows

        path = self.out / "state" / "order.arrow"
        total = write_order(path, entries())
        return {stage: digest.hexdigest() for stage, digest in digests.items()}, total

    def _finish(self) -> RunSummary:
        failed = [{"part": part, "error": self.failed[part]} for part in sorted(self.failed)]
        if not self.changed and manifest.stands(self.out):
            head = manifest.manifest_head(self.out)
            return RunSummary(self.out, head["totals"], head["failed_parts"], changed=False)
        self._change()
        found, quarantined = totals(self.out, self._names)
        self.progress.begin("manifest", 1)
        head = {
            "seimai": __version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "packages": package_versions(),
            "config_sha256": hashlib.sha256((self.out / "config.toml").read_bytes()).hexdigest(),
            "inputs": [{"key": source.key, "bytes": source.size} for source in self.sources],
            "totals": found,
            "failed_parts": failed,
            "not_reproducible": quarantined,
        }
        shutil.rmtree(self.out / "work", ignore_errors=True)
        write_report(self.out, head, self.config.dedup)
        remove_leftovers(self.out)
        manifest.write_manifest(self.out, head, all_files(self.out, self._names))
        self.progress.end("manifest")
        return RunSummary(self.out, found, failed)


def _bundles(tasks: Iterator[PartTask]) -> Iterator[tuple[PartTask, ...]]:
    """Tiny parts together: what Dask does for a task takes 4 ms, 10 times as long as a part without a page."""
    bundle: list[PartTask] = []
    size = 0
    for task in tasks:
        bundle.append(task)
        size += task.part.stop - task.part.start
        if size >= BUNDLE_BYTES or len(bundle) == BUNDLE_PARTS:
            yield tuple(bundle)
            bundle, size = [], 0
    if bundle:
        yield tuple(bundle)


def _gone(out: Path, stage: str, part: Part) -> RunError:
    return RunError(f"{out}: state/{stage}/{part.name}.json is gone; type the same command again")


def _is_data(path: str) -> bool:
    return not path.startswith("audit/")


def load_run_config(out: Path) -> RunConfig:
    """The config a run directory was made with."""
    return load_config(out / "config.toml", RunConfig)
