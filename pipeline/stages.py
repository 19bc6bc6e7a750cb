"""The map stages of one part, fused: read, signals and signatures, each with its own fingerprint and marker."""

import atexit
import threading
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .dedup import signatures
from .inputs import Part, open_source
from .language import identify_language
from .measure import signals
from .read import Extractor, read_records
from .sandbox import Sandbox
from .settings import RunConfig
from .state import Marker, commit, read_marker
from .warc import SliceReader

__all__ = ["PartSummary", "PartTask", "finished", "work_part", "work_parts"]


@dataclass(frozen=True, slots=True)
class PartTask:
    """Everything a worker needs for one part; `begin` is the first member's offset where the driver knows it."""

    run: Path
    owner: str
    part: Part
    config: RunConfig
    fingerprints: dict[str, str]
    begin: int | None = None
    check_input: bool = False


@dataclass(frozen=True, slots=True)
class PartSummary:
    """What the driver keeps of a part: its rows, where it began and where the next one begins."""

    part: str
    rows: int
    first_offset: int | None
    next_offset: int | None
    documents: int
    payload_bytes: int
    passed: int


def finished(task: PartTask) -> PartSummary | None:
    """The summary of a part whose stages all stand; None where something is to be done.  Reads markers only."""
    read = _valid_read(task)
    if read is None:
        return None
    source = _documents_digest(read)
    for stage in ("signals", "signatures"):
        marker = read_marker(task.run, stage, task.part.name)
        if marker is None or not _follows(task, marker, source):
            return None
    return _summary(read)


def work_part(task: PartTask) -> PartSummary:
    """Do what is missing of a part and return its summary; what stands already is not computed again."""
    read = _valid_read(task) or _touched(task)
    documents: pa.Table | None = None
    if read is None:
        read, documents = _read(task)
    source = _documents_digest(read)
    for stage, function in (("signals", _signals), ("signatures", _signatures)):
        marker = read_marker(task.run, stage, task.part.name)
        if marker is not None and _follows(task, marker, source):
            continue
        if documents is None and read.rows:
            path = task.run / "documents" / f"{task.part.name}.parquet"
            documents = pq.read_table(path, columns=["id", "text", "lang"])
        tables = {}
        if documents is not None and read.rows:
            tables[f"{stage}/{task.part.name}.parquet"] = function(documents, task.config)
        made = Marker(stage, task.part.name, task.fingerprints[stage], {"documents": source}, read.rows)
        commit(task.run, task.owner, made, tables)
    return _summary(read)


def work_parts(tasks: tuple[PartTask, ...]) -> list[PartSummary]:
    """Do what is missing of several parts, one after the other."""
    return [work_part(task) for task in tasks]


def _summary(read: Marker) -> PartSummary:
    tally = read.tally
    gated = sum(count for name, count in tally.items() if name.startswith("gate."))
    documents = int(tally.get("documents", 0))
    return PartSummary(
        read.part,
        read.rows,
        read.span["first_offset"],
        read.span["next_offset"],
        documents,
        int(tally.get("payload_bytes", 0)),
        documents - gated,
    )


def _documents_digest(read: Marker) -> str:
    return next((f["sha256"] for f in read.files if f["path"].startswith("documents/")), "")


def _follows(task: PartTask, marker: Marker, documents: str) -> bool:
    return marker.vouches(task.run, task.fingerprints[marker.stage]) and marker.input == {"documents": documents}


def _standing_read(task: PartTask) -> Marker | None:
    """The read marker if only the input could speak against it."""
    marker = read_marker(task.run, "read", task.part.name)
    if marker is None or not marker.vouches(task.run, task.fingerprints["read"]):
        return None
    if marker.input["stop"] != task.part.stop or marker.input["key"] != task.part.source.key:
        return None
    first = marker.span["first_offset"]
    if task.begin is not None and first != (task.begin if task.begin < task.part.stop else None):
        return None
    return marker


def _valid_read(task: PartTask) -> Marker | None:
    marker = _standing_read(task)
    if marker is None or task.check_input or marker.input["stamp"] != task.part.source.stamp:
        return None
    return marker


def _touched(task: PartTask) -> Marker | None:
    """A part whose archive has another stamp but the same bytes: its marker gets the new stamp."""
    marker = _standing_read(task)
    if marker is None:
        return None
    digest = sha256()
    with open_source(task.part.source) as file:
        file.seek(task.part.start)
        left = marker.input["bytes"]
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
    if left or digest.hexdigest() != marker.input["sha256"]:
        return None
    made = replace(marker, input={**marker.input, "stamp": task.part.source.stamp})
    return commit(task.run, task.owner, made, {})


def _read(task: PartTask) -> tuple[Marker, pa.Table]:
    part, config = task.part, task.config
    with open_source(part.source) as file:
        reader = SliceReader(
            file,
            start=part.start,
            stop=part.stop,
            size=part.source.size,
            begin=task.begin,
            max_record_bytes=config.input.max_record_bytes,
        )
        result = read_records(
            reader,
            source_key=part.source.key,
            name=config.input.name,
            gates=config.gates,
            split=config.held_out,
            extract=_extractor(config),
            identify=partial(identify_language, model=Path(config.language.model) if config.language.model else None),
        )
    tally: dict[str, Any] = dict(sorted(result.tally.items()))
    for gate in result.documents["gate"].value_counts().to_pylist() if len(result.documents) else []:
        if gate["values"] is not None:
            tally[f"gate.{gate['values']}"] = gate["counts"]
    tally |= {f"archive.{name}": count for name, count in sorted(reader.faults.items())}
    tally["archive.skipped_bytes"] = reader.skipped_bytes
    marker = Marker(
        "read",
        part.name,
        task.fingerprints["read"],
        {
            "key": part.source.key,
            "stamp": part.source.stamp,
            "stop": part.stop,
            "bytes": reader.hashed_bytes,
            "sha256": reader.digest,
        },
        len(result.documents),
        tally=tally,
        span={"first_offset": reader.first_offset, "next_offset": reader.next_offset},
    )
    tables = {}
    if len(result.documents):
        tables[f"documents/{part.name}.parquet"] = result.documents
    if len(result.samples):
        tables[f"audit/{part.name}.parquet"] = result.samples
    return commit(task.run, task.owner, marker, tables), result.documents


def _extractor(config: RunConfig) -> Extractor:
    """The calling thread's extractor: one long-lived child each, which leaves when this process does."""
    return _sandbox(config.extract.model_dump_json(), threading.get_ident()).extract


@lru_cache(maxsize=64)
def _sandbox(config: str, thread: int) -> Sandbox:
    from .extract import ExtractConfig

    sandbox = Sandbox(ExtractConfig.model_validate_json(config))
    atexit.register(sandbox.close)
    return sandbox


def _signals(documents: pa.Table, config: RunConfig) -> pa.Table:
    """Signals of every row; Japanese and the rest are measured apart and put back in order."""
    japanese = np.array([lang == "ja" for lang in documents["lang"].to_pylist()], bool)
    text = documents["text"].combine_chunks()
    groups = [np.flatnonzero(japanese), np.flatnonzero(~japanese)]
    tables = [signals(text.take(pa.array(group)), lang) for group, lang in zip(groups, ("ja", "en"), strict=True)]
    back = np.argsort(np.concatenate(groups), kind="stable")
    measured = pa.concat_tables(tables).take(pa.array(back)).combine_chunks()
    return measured.add_column(0, "id", documents["id"])


def _signatures(documents: pa.Table, config: RunConfig) -> pa.Table:
    table = signatures(
        documents["text"].combine_chunks(),
        lang=documents["lang"].combine_chunks(),
        **config.dedup.model_dump(exclude={"bands", "rows"}),
    )
    return table.add_column(0, "id", documents["id"])
