"""One run from archives to shards: parts, then clusters, decisions and shards, each resumed from what stands."""

import hashlib
import platform
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from seimai import __version__
from seimai.errors import RunError
from seimai.files import canonical_json, fingerprint

from . import manifest, needs
from .barriers import Job, cluster_run, decide_run, repeated_run, write_run
from .canaries import Canary, CanaryVerdict, canary_errors, canary_warnings, gather_canaries, send_canaries
from .dedup_index import open_index
from .fetch_config import FetchConfig
from .fetch_feed import Feed, remembered
from .finish import PART_STAGES, all_files, remove_leftovers, totals
from .inputs import UNKNOWN, Part, Source, parts_of, wanted_bytes
from .order import write_order
from .plan import save_plan
from .plan_sources import sources_for
from .progress import Progress, Silent
from .report import write_report
from .rows import row_kind
from .run import PAUSE, Engine, Outcome
from .run_folder import load_run_config, prepare, settle_config
from .run_summary import RunSummary
from .settings import MAP_STAGES, RunConfig, package_versions, stage_fingerprints
from .stages import PartSummary, PartTask, finished, work_part, work_parts
from .state import forget, lock, marked_parts, read_marker
from .wet_first import sources_by_extracts

__all__ = ["RunSummary", "load_run_config", "polish", "redecide"]

BUNDLE_BYTES = 1 << 16
BUNDLE_PARTS = 32


def polish(
    config: RunConfig,
    out: Path,
    *,
    inputs: Sequence[str] = (),
    engine: Engine | None = None,
    rebuild: bool = False,
    check_inputs: bool = False,
    yes: bool = False,
    progress: Progress | None = None,
) -> RunSummary:
    """Run or resume: archives to shards in `out`, with a manifest at the end.

    `inputs` win over `config.input.paths`. `rebuild` empties a directory made with other reading settings;
    `check_inputs` reads every archive's bytes again instead of trusting size and time; `yes` fetches for longer than
    `fetch.max_hours`.
    Raises SeimaiError, one line, for what a user did wrong; what the web did wrong is counted in the totals.
    """
    if config.dedup.index:
        open_index(Path(config.dedup.index), config.dedup)  # refused before anything is fetched or read
    sources, plan = sources_for(out, config.input, config.fetch, inputs, languages=config.gates.languages, yes=yes)
    config = _with_paths(config, list(inputs) or config.input.paths)
    canaries = gather_canaries(config)
    prepare(out)
    with lock(out) as owner, engine or Engine() as running:
        settle_config(out, config, rebuild)
        if plan is not None:
            manifest.withdraw(out)
            save_plan(plan, out)
        step = Job(out.absolute(), owner, running, progress or Silent(), lambda: manifest.withdraw(out))
        sources = sources_by_extracts(step, config, sources, yes=yes)
        # Tasks carry the config; they need no list of all archives.
        plain = _with_paths(config, [])
        job = _Job(out.absolute(), owner, plain, sources, running, step.progress, canaries, check_inputs)
        return replace(job.run(), out=out)


def redecide(
    out: Path, config: RunConfig, sources: list[Source], engine: Engine | None, progress: Progress | None
) -> RunSummary:
    """Take a finished run through its stages again under a config that reads no page otherwise.

    The archives are not looked at: `sources` say only which there were.
    """
    with lock(out) as owner, engine or Engine() as running:
        settle_config(out, config, rebuild=False)
        # Nothing is fetched, whatever the run's own [fetch] says: its archives are not looked at.
        local = _with_paths(config, []).model_copy(update={"fetch": FetchConfig()})
        job = _Job(out.absolute(), owner, local, sources, running, progress or Silent(), gather_canaries(config))
        return replace(job.run(), out=out)


def _with_paths(config: RunConfig, paths: list[str]) -> RunConfig:
    return config.model_copy(update={"input": config.input.model_copy(update={"paths": paths})})


@dataclass(slots=True)
class _Job:
    """A run in progress; each method is one step of it."""

    out: Path
    owner: str
    config: RunConfig
    sources: list[Source]
    engine: Engine
    progress: Progress
    canaries: list[Canary]
    check_inputs: bool = False
    failed: dict[str, str] = field(default_factory=dict)
    changed: bool = False
    feed: Feed | None = None

    def run(self) -> RunSummary:
        fingerprints = stage_fingerprints(self.config)
        if not self.check_inputs:
            self.sources = remembered(self.out, self.sources)
        self._forget_absent_parts()
        job = Job(self.out, self.owner, self.engine, self.progress, self._change)
        # Repeated lines need all texts; without them, a part goes through all map stages at once.
        wanted = self.config.cleaning.repeated
        before = MAP_STAGES[1:2] if wanted else MAP_STAGES[1:]
        self._read_parts(fingerprints, before)
        self._mend_chain(fingerprints, before)
        digest, rows = self._write_order(("read", *before))
        repeated = ""
        if wanted:
            lines = fingerprint([digest["read"], digest["line_rules"]])
            repeated = repeated_run(job, config=self.config, rows=rows, lines=lines)
            living = (part for part in self._parts() if part.name not in self.failed)
            self._map_parts("measure", living, fingerprints, MAP_STAGES[2:])
            digest, rows = self._write_order(MAP_STAGES)
        columns = fingerprint([digest["signals"], digest["read"]])
        clusters = cluster_run(job, config=self.config, rows=rows, signatures=digest["signatures"], columns=columns)
        columns = fingerprint([digest["signals"], digest["read"], digest["line_rules"], repeated, clusters])
        decide_run(job, config=self.config, rows=rows, columns=columns)
        write_run(job, config=self.config)
        verdicts = send_canaries(self.out, self.config, self.canaries, self.engine.run_one, self._change)
        strict = self.config.canaries.strict
        return replace(
            self._finish(verdicts),
            canary_errors=canary_errors(verdicts, strict=strict),
            canary_warnings=[] if strict else canary_warnings(verdicts),
        )

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
                gone = source is None or (source.size != UNKNOWN and int(start) >= source.size)
                if gone or unwanted:
                    self._change()
                    forget(self.out, stage, name)
        for key_hash in marked_parts(self.out, "fetch"):
            if key_hash not in known:
                self._change()
                forget(self.out, "fetch", key_hash)

    def _tasks(
        self, name: str, parts: Iterator[Any], fingerprints: dict[str, str], stages: tuple[str, ...]
    ) -> Iterator[Any]:
        """The parts that are not finished; the finished ones are told to the progress bar."""
        for part in parts:
            if part is PAUSE:
                yield PAUSE
                continue
            task = self._task(name, part, fingerprints, stages)
            summary = finished(task)
            if summary is None:
                self._change()
                yield task
            else:
                self._tell(name, task, summary)

    def _task(self, name: str, part: Part, fingerprints: dict[str, str], stages: tuple[str, ...]) -> PartTask:
        check = self.check_inputs and name == "read"
        return PartTask(self.out, self.owner, part, self.config, fingerprints, stages, check_input=check)

    def _tell(self, name: str, task: PartTask, summary: PartSummary | None) -> None:
        read = task.part.stop - task.part.start
        if name == "read" and self.feed is not None:
            self.feed.done(task.part)
        if summary is None:
            self.progress.advance(name, read)
        else:
            self.progress.advance(name, read, documents=summary.documents, kept=summary.passed)

    def _read_parts(self, fingerprints: dict[str, str], stages: tuple[str, ...]) -> None:
        """Take every archive through the first stages as soon as it is here; `sources` are then those that came."""
        settings = self.config.fetch, self.config.input.part_bytes
        feed = self.feed = Feed(self.out, self.owner, self.engine, *settings, self.progress, self._change)

        def is_done(part: Part) -> bool:
            return finished(self._task("read", part, fingerprints, stages)) is not None

        with feed.noted(self.sources):
            self._map_parts("read", feed.parts(self.sources, is_done), fingerprints, stages)
        for source, error in feed.failed:
            self._fail(Part(source, 0, 0), error)
        self.sources = feed.sources()
        self._forget_absent_parts()

    def _map_parts(
        self, name: str, parts: Iterator[Any], fingerprints: dict[str, str], stages: tuple[str, ...]
    ) -> None:
        """Take parts through map stages; `name` is what the progress bar calls them."""
        sizes = [wanted_bytes(source) for source in self.sources]
        self.progress.begin(name, 0 if UNKNOWN in sizes else sum(sizes))
        bundles = _bundles(self._tasks(name, parts, fingerprints, stages))
        for outcome in self.engine.map(work_parts, bundles, needs=needs.of_parts):
            if outcome.result is None:
                self._map_singly(name, outcome.item, outcome.error)
            else:
                for task, summary in zip(outcome.item, outcome.result, strict=True):
                    self._tell(name, task, summary)
        self.progress.end(name)

    def _map_singly(self, name: str, tasks: tuple[PartTask, ...], error: str | None) -> None:
        """Find the part that failed among those it was bundled with."""
        single = len(tasks) == 1
        alone = [Outcome(tasks[0], None, error)] if single else self.engine.map(work_part, tasks, needs=needs.of_part)
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
            if source.ranges is not None or row_kind(source.key):
                continue  # the index says where each record begins, and rows begin where the ones before them end
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
                    summary = self.engine.run_one(work_part, task, needs.of_part)
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

    def _finish(self, verdicts: Sequence[CanaryVerdict]) -> RunSummary:
        failed = [{"part": part, "error": self.failed[part]} for part in sorted(self.failed)]
        if not self.changed and manifest.stands(self.out):
            head = manifest.manifest_head(self.out)
            return RunSummary(self.out, head["totals"], head["failed_parts"], changed=False)
        self._change()
        found, quarantined = totals(self.out, self._names, self.engine.bring)
        self.progress.begin("manifest", 1)
        head = {
            "seimai": __version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "packages": package_versions(),
            "config_sha256": hashlib.sha256((self.out / "config.toml").read_bytes()).hexdigest(),
            "inputs": [{"key": source.key, "bytes": source.size} for source in self.sources],
            **({"index": open_index(Path(self.config.dedup.index)).digest} if self.config.dedup.index else {}),
            "totals": found,
            "failed_parts": failed,
            "not_reproducible": quarantined,
        }
        shutil.rmtree(self.out / "work", ignore_errors=True)
        write_report(self.out, head, self.config.dedup, verdicts)
        remove_leftovers(self.out)
        manifest.write_manifest(self.out, head, all_files(self.out, self._names, self.engine.bring))
        self.progress.end("manifest")
        return RunSummary(self.out, found, failed)


def _bundles(tasks: Iterator[Any]) -> Iterator[Any]:
    """Tiny parts together: what Dask does for a task takes 4 ms, 10 times as long as a part without a page."""
    bundle: list[PartTask] = []
    size = 0
    for task in tasks:
        if task is PAUSE:
            if bundle:
                yield tuple(bundle)
                bundle, size = [], 0
            yield PAUSE
            continue
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
