"""Text sources in; a directory with a counts table out: survey, sample, runs by slice, ranges, one sorted file."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from seimai.errors import ConfigError, InputError, RunError
from seimai.files import fingerprint, merkle_root, sha256_file, write_atomic
from seimai.pipeline.progress import Progress, Silent
from seimai.pipeline.state import lock, read_marker, remove_temporaries

from .analyser import described
from .count_map import OTHER
from .count_merge import cut_ranges
from .count_sample import DEFAULTS, Amount, CountSettings, amounts, thresholds, weights
from .count_table import weighted, write_table
from .count_tasks import Plan, Slice, Span, Whole, count_slice, count_whole, done, merge_span, survey_slice
from .counts import FILE, FORMAT, is_counts, load_counts_manifest
from .sources import PartMap, Shard, slices

__all__ = ["CountSummary", "count_fingerprint", "count_sources"]

VERSION = 1
"""Raised when the same settings and text would give another table."""
MAX_LANGS = 15
"""Languages with a column of their own, those with the most bytes; the rest is counted together as `other`."""
MAX_HOST_CAP = 1 << 20
IN_MEMORY_BYTES = 1 << 25
"""Text up to which a source is counted in one go, its runs in memory (1.4 bytes a byte of Japanese, 3 where each
document has a host of its own): what was lost by a kill is counted again in seconds."""
RANGES = "arrow"
"""Kind of the files of merged ranges, part of their fingerprints."""
WORK_FOLDERS = ("survey", "runs", "merged", "state")


@dataclass(frozen=True)
class CountSummary:
    """What was counted."""

    fingerprint: str
    n_pretokens: int
    """Distinct ones."""
    sample: dict[str, dict[str, int]]
    """Documents and UTF-8 bytes counted, by language (`und` where unknown)."""
    reused: bool
    """The directory held these counts already, and nothing was done."""


def count_fingerprint(shards: Sequence[Shard], settings: CountSettings) -> str:
    """SHA-256 (hex) of all that decides a counts table: settings, split and the files' digests in any order."""
    return fingerprint(_origin(shards, settings))


def count_sources(
    shards: Sequence[Shard],
    out: Path,
    settings: CountSettings = DEFAULTS,
    *,
    part_map: PartMap = map,
    progress: Progress | None = None,
    in_memory_bytes: int = IN_MEMORY_BYTES,
) -> CountSummary:
    """Count the pre-tokens of the training documents into `out/counts.parquet`, with `out/manifest.json`.

    The table depends on text and settings alone: not on the order of files, their slices, `part_map` or kills. Called
    again it goes on where it was. `part_map` may run in other processes that share the file system.

    Raises ConfigError, InputError, or RunError where `out` holds something else or is in use.
    """
    _check(settings)
    origin = _origin(shards, settings)
    existing = _existing(out, origin)
    if existing is not None:
        _clean(out)
        return existing
    _prepare(out)
    with lock(out) as owner:
        (out / "manifest.json").unlink(missing_ok=True)
        job = _Job(out.absolute(), owner, sorted(shards, key=_place), settings, part_map, progress or Silent())
        job.run(origin, in_memory_bytes)
    return replace(_summary(load_counts_manifest(out)), reused=False)


@dataclass(slots=True)
class _Job:
    """A counting in progress; each method is one step of it."""

    out: Path
    owner: str
    shards: list[Shard]
    settings: CountSettings
    part_map: PartMap
    progress: Progress

    def run(self, origin: dict[str, Any], in_memory_bytes: int) -> None:
        pattern = self.settings.pattern
        plan = Plan(self.out, self.owner, pattern, self.settings.seed, self.settings.host_cap, self.settings.analyser)
        items = self._slices()
        self._do("survey", survey_slice, items, plan)
        found = amounts(pa.concat_tables([_read(self.out / f"survey/{item.part}.parquet") for item in items]))
        self._check_found(found)
        below = thresholds(found, self.settings.sample_bytes, self.settings.balance)
        plan = replace(plan, langs=_named(found), below=tuple(below.items()))
        analyser = described(plan.analyser)
        mark = fingerprint(
            [VERSION, pattern, plan.seed, plan.host_cap, plan.langs, plan.below, *([analyser] if analyser else [])]
        )
        items = [replace(item, mark=fingerprint([item.mark, mark])) for item in items]
        # An analyser of words takes minutes for what else takes a second: too long to be lost by a kill.
        if not plan.analyser and sum(amount.bytes for amount in found.values()) <= in_memory_bytes:
            whole = Whole("whole", tuple(items), fingerprint([mark, RANGES, *(item.mark for item in items)]))
            self._do("count", count_whole, [whole], plan)
            marker = self._marker("count", whole.part)
            self._finish(plan, [marker.tally["counted"]], {whole.part: marker.tally}, found, origin)
            return
        self._do("count", count_slice, items, plan)
        spans = self._spans(items, mark)
        self._do("merge", merge_span, spans, plan)
        counted = [self._marker("count", item.part).tally for item in items]
        self._finish(plan, counted, {s.part: self._marker("merge", s.part).tally for s in spans}, found, origin)

    def _slices(self) -> list[Slice]:
        """Slices of all sources, named by the order of the files' digests."""
        return [
            Slice(f"{number:05d}-{(piece.units or (0,))[0]:06d}", piece, fingerprint(_facts(piece, self.settings)))
            for number, shard in enumerate(self.shards)
            for piece in slices(shard)
        ]

    def _do(self, stage: str, work: Callable[..., str], items: Sequence[Slice | Span | Whole], plan: Plan) -> None:
        """Whatever of a stage is not there yet."""
        missing = [item for item in items if done(plan, stage, item.part, item.mark) is None]
        self.progress.begin(stage, len(items))
        self.progress.advance(stage, len(items) - len(missing))
        for _ in self.part_map(partial(work, plan=plan), missing):
            self.progress.advance(stage, 1)
        self.progress.end(stage)

    def _check_found(self, found: Mapping[str, Amount]) -> None:
        if not found:
            raise InputError(
                "the sources hold no document with split 'train', and counting reads no other; "
                "give others, or --held-out-share 0 for files without a field split"
            )
        absent = sorted(self.settings.balance.shares.keys() - found.keys())
        if absent:
            raise ConfigError(f"balance: no training document in {absent[0]!r}; there are {', '.join(found)}")

    def _spans(self, items: Sequence[Slice], mark: str) -> list[Span]:
        names = tuple(str(file["path"]) for item in items for file in self._marker("count", item.part).files)
        runs = [self._marker("count", item.part).fingerprint for item in items]
        ranges = cut_ranges([self.out / name for name in names])
        return [
            Span(f"{number:05d}", bounds, names, fingerprint([mark, RANGES, runs, [repr(bound) for bound in bounds]]))
            for number, bounds in enumerate(ranges)
        ]

    def _marker(self, stage: str, part: str) -> Any:
        marker = read_marker(self.out, stage, part)
        if marker is None:
            raise RunError(f"{self.out}: state/{stage}/{part}.json is gone; type the same command again")
        return marker

    def _finish(
        self,
        plan: Plan,
        counted: Sequence[dict[str, Any]],
        merged: Mapping[str, dict[str, Any]],
        found: Mapping[str, Amount],
        origin: dict[str, Any],
    ) -> None:
        """Write the table and the manifest, then remove what led to them.

        `counted`: what was counted, in parts; `merged`: what is said of the files of merged ranges, by their names.
        """
        mass = {lang: sum(tally["mass"][lang] for tally in merged.values()) for lang in plan.langs}
        largest = max(tally["largest"] for tally in merged.values())
        of_each, bits = dict.fromkeys(plan.langs, 1), 0
        if not self.settings.balance.natural:
            of_each, bits = weights(mass, self._parts(found, plan.langs), largest)
        path = self.out / FILE
        tables = chain.from_iterable(_range_read(self.out / f"merged/{name}.arrow") for name in merged)
        n_pretokens = write_table(path, (weighted(table, of_each, bits) for table in tables))
        manifest = {
            "format": FORMAT,
            "fingerprint": fingerprint(origin),
            **origin,
            "n_pretokens": n_pretokens,
            "sources": {lang: {"documents": of.documents, "bytes": of.bytes} for lang, of in found.items()},
            "sample": {lang: _added([tally[lang] for tally in counted]) for lang in plan.langs},
            "thresholds": {lang: f"{below:017x}" for lang, below in plan.below},
            "weights": {lang: weight / (1 << bits) for lang, weight in of_each.items()},
            "files": [{"path": FILE, "bytes": path.stat().st_size, "sha256": sha256_file(path)}],
        }
        manifest["merkle_root"] = merkle_root([file["sha256"] for file in manifest["files"]])
        write_atomic(self.out / "manifest.json", json.dumps(manifest, ensure_ascii=False, indent=2) + "\n")
        _clean(self.out)

    def _parts(self, found: Mapping[str, Amount], langs: Sequence[str]) -> dict[str, int]:
        parts = self.settings.balance.parts({lang: amount.bytes for lang, amount in found.items()})
        named = {lang: parts.get(lang, 0) for lang in langs}
        if OTHER in named:
            named[OTHER] = sum(part for lang, part in parts.items() if lang not in named or lang == OTHER)
        return named


def _read(path: Path) -> pa.Table:
    with pq.ParquetFile(path) as file:
        return file.read()


def _range_read(path: Path) -> Iterator[pa.Table]:
    with pa.OSFile(str(path)) as file:
        reader = pa.ipc.open_file(file)
        for number in range(reader.num_record_batches):
            yield pa.Table.from_batches([reader.get_batch(number)])


def _check(settings: CountSettings) -> None:
    if settings.sample_bytes < 0:
        raise ConfigError(f"sample_bytes {settings.sample_bytes}: at least 1, or 0 for everything; try 2000000000")
    if not 0 <= settings.host_cap <= MAX_HOST_CAP:
        raise ConfigError(f"host_cap {settings.host_cap}: from 1 to {MAX_HOST_CAP:,}, or 0 for no limit; try 10")


def _origin(shards: Sequence[Shard], settings: CountSettings) -> dict[str, Any]:
    """All that decides the table."""
    shown = {
        "version": VERSION, "split": settings.split, "digits": settings.digits, "glue": settings.glue,
        "host_cap": settings.host_cap, "sample_bytes": settings.sample_bytes, "seed": settings.seed,
        "exponent": str(settings.balance.exponent),
        "balance": {lang: str(share) for lang, share in sorted(settings.balance.shares.items())},
    }  # fmt: skip
    if settings.analyser:
        shown["analyser"] = described(settings.analyser)
    split = {"name": settings.split, "pattern": settings.pattern, "fingerprint": fingerprint(settings.pattern)}
    return {"settings": shown, "split": split, "inputs": [_facts(shard, None) for shard in sorted(shards, key=_place)]}


def _facts(shard: Shard, settings: CountSettings | None) -> dict[str, Any]:
    """What decides the documents of a shard and their ids: a run's files name them, of plain ones the name does."""
    facts: dict[str, Any] = {"sha256": shard.sha256}
    if shard.path.suffix != ".arrow":
        facts |= {"name": shard.path.name, "field": shard.field, "held_out": vars(shard.held_out)}
    if settings is not None:
        facts |= {"version": VERSION, "units": shard.units, "seed": settings.seed}
    return facts


def _place(shard: Shard) -> tuple[str, str]:
    """Order of the sources, whatever the order they were given in."""
    return shard.sha256, shard.path.name


def _existing(out: Path, origin: dict[str, Any]) -> CountSummary | None:
    """The summary of the counts in `out` if they were made like this, None where there are none."""
    if not is_counts(out):
        return None
    manifest = load_counts_manifest(out)
    if manifest["fingerprint"] != fingerprint(origin):
        old, new = manifest["settings"], origin["settings"]
        names = [f"{n} {old.get(n)} there, {new.get(n)} asked" for n in {**new, **old} if old.get(n) != new.get(n)]
        what = f"other settings ({', '.join(names)})" if names else "other text"
        raise RunError(f"{out}: holds counts made from {what}; give another --out or delete it first")
    whole = all(
        (out / e["path"]).is_file() and (out / e["path"]).stat().st_size == e["bytes"] for e in manifest["files"]
    )
    return _summary(manifest) if whole else None


def _summary(manifest: dict[str, Any]) -> CountSummary:
    sample = {lang: sums for lang, sums in manifest["sample"].items() if sums["documents"]}
    return CountSummary(manifest["fingerprint"], manifest["n_pretokens"], sample, True)


def _clean(out: Path) -> None:
    """Remove what led to finished counts, and what a killed process left half written."""
    remove_temporaries(out)
    for name in WORK_FOLDERS:
        shutil.rmtree(out / name, ignore_errors=True)


def _prepare(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in out.iterdir() if not path.name.startswith(".")}
    except FileExistsError:
        raise RunError(f"{out}: is a file; give a folder to --out") from None
    except OSError as error:
        raise RunError(f"{out}: cannot be written ({error.strerror}); give another --out") from None
    strange = sorted(names - {*WORK_FOLDERS, "lock.json", "manifest.json", FILE})
    if strange or ("manifest.json" in names and not is_counts(out)):
        raise RunError(
            f"{out}: holds something else than counts ({(strange or ['manifest.json'])[0]}); give another --out"
        )


def _named(found: Mapping[str, Amount]) -> tuple[str, ...]:
    """Languages with a column of their own, by name, and `other` last where there are too many."""
    most = sorted(found, key=lambda lang: (-found[lang].bytes, lang))[:MAX_LANGS]
    return (*sorted(most), *([OTHER] if len(found) > MAX_LANGS else []))


def _added(tallies: Sequence[dict[str, int]]) -> dict[str, int]:
    return {name: sum(tally[name] for tally in tallies) for name in ("documents", "bytes")}
