"""The map stages of one part, fused: read, line rules, signals and signatures, each with its fingerprint and marker.

Line rules see the texts as they were read; signals and signatures see what the edits of all cleaning steps leave.
"""

import atexit
import threading
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .coalesce import RangeReader, members_digest
from .dedup import signatures
from .edits import STEPS, cut_signals, edit_path, edited_texts, read_edits
from .inputs import Part, open_source
from .language import identify_language
from .line_rules import cut_tally, line_edits, rules_of
from .pii import count_pii
from .quality_columns import model_columns
from .read import Classifier, Extractor, Identifier, ReadResult, read_records, read_rows
from .rows import row_kind
from .rows_source import ParquetReader, TextReader, row_reader
from .sandbox import Sandbox
from .settings import RunConfig
from .signal_config import measure_signals
from .state import Marker, commit, read_marker
from .url_lists import open_url_lists, url_categories
from .warc import SliceReader

__all__ = ["PartSummary", "PartTask", "finished", "identifier", "measured", "texts_of", "work_part", "work_parts"]


@dataclass(frozen=True, slots=True)
class PartTask:
    """Everything a worker needs for one part; `begin` is the first member's offset where the driver knows it.

    `stages` are the stages to be done behind read, in running order.
    """

    run: Path
    owner: str
    part: Part
    config: RunConfig
    fingerprints: dict[str, str]
    stages: tuple[str, ...]
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
    for stage in task.stages:
        marker = read_marker(task.run, stage, task.part.name)
        if marker is None or not _follows(task, marker, _sources(task, stage, read)):
            return None
    return _summary(read)


def work_part(task: PartTask) -> PartSummary:
    """Do what is missing of a part and return its summary; what stands already is not computed again."""
    read = _valid_read(task) or _touched(task)
    documents: pa.Table | None = None
    if read is None:
        read, documents = _read(task)
    texts = _Texts(task, documents)
    for stage in task.stages:
        sources = _sources(task, stage, read)
        marker = read_marker(task.run, stage, task.part.name)
        if marker is not None and _follows(task, marker, sources):
            continue
        tables, tally = _STAGES[stage](texts) if read.rows else ({}, {})
        made = Marker(stage, task.part.name, task.fingerprints[stage], sources, read.rows, tally=tally)
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


def _sources(task: PartTask, stage: str, read: Marker) -> dict[str, Any]:
    """What a stage of the part is made from: the documents, and the edits where it looks at the edited texts."""
    documents = {"documents": _documents_digest(read)}
    if stage in STEPS:
        return documents
    markers = [read_marker(task.run, step, task.part.name) for step in STEPS]
    return {**documents, "edits": [[f["sha256"] for f in marker.files] if marker else [] for marker in markers]}


def _follows(task: PartTask, marker: Marker, sources: dict[str, Any]) -> bool:
    return marker.vouches(task.run, task.fingerprints[marker.stage]) and marker.input == sources


def _standing_read(task: PartTask) -> Marker | None:
    """The read marker if only the input could speak against it."""
    marker = read_marker(task.run, "read", task.part.name)
    if marker is None or not marker.vouches(task.run, task.fingerprints["read"]):
        return None
    if marker.input["stop"] != task.part.stop or marker.input["key"] != task.part.source.key:
        return None
    if marker.input.get("members", "") != members_digest(task.part.members):
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
    with open_source(task.part.source, (task.part.start, task.part.stop)) as file:
        file.seek(marker.input.get("from", task.part.start))
        left = marker.input["bytes"]
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
    if left or digest.hexdigest() != marker.input["sha256"]:
        return None
    made = replace(marker, input={**marker.input, "stamp": task.part.source.stamp})
    return commit(task.run, task.owner, made, {})


@contextmanager
def _reader(task: PartTask) -> Iterator[SliceReader | RangeReader | TextReader | ParquetReader]:
    """The records or rows of a part: all of a slice, or those that a plan wants of a range."""
    part, limit = task.part, task.config.input.max_record_bytes
    if part.members:
        place, access = part.source.place, part.source.access
        yield RangeReader(place, access, part.members, start=part.start, stop=part.stop, max_record_bytes=limit)
        return
    span = {"start": part.start, "stop": part.stop, "size": part.source.size, "max_record_bytes": limit}
    if kind := row_kind(part.source.key):
        sure = None if kind == "parquet" else (0, part.stop)
        with open_source(part.source, sure) as file:
            yield row_reader(file, part.source.key, fields=task.config.input.fields, **span)
        return
    with open_source(part.source, (part.start, part.stop)) as file:
        yield SliceReader(file, begin=task.begin, **span)


def _results(reader: SliceReader | RangeReader | TextReader | ParquetReader, task: PartTask) -> ReadResult:
    """Documents and samples of a part."""
    config, key = task.config, task.part.source.key
    settings: dict[str, Any] = {"source_key": key, "name": config.input.name, "gates": config.gates}
    settings |= {"split": config.held_out, "identify": identifier(config), "classify": _classifier(config)}
    if isinstance(reader, TextReader | ParquetReader):
        return read_rows(reader, **settings)
    return read_records(reader, extract=_extractor(config), **settings)


def _read(task: PartTask) -> tuple[Marker, pa.Table]:
    part = task.part
    with _reader(task) as reader:
        result = _results(reader, task)
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
            **({"from": 0} if isinstance(reader, TextReader) else {}),
            **({"members": members_digest(part.members)} if part.members else {}),
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


def texts_of(part: Part, config: RunConfig, places: Set[tuple[int, int]], begin: int | None) -> pa.Table:
    """The documents of a slice that stand at some (offset, index), read without asking for their language.

    They passed their gates when the run was made: what they are now is for the caller to judge.
    """
    task = PartTask(Path(), "", part, config, {}, (), begin)
    settings: dict[str, Any] = {"source_key": part.source.key, "name": config.input.name, "gates": config.gates}
    settings |= {"split": config.held_out, "identify": partial(_any_language, config.gates.languages[0])}
    with _reader(task) as reader:
        if isinstance(reader, TextReader | ParquetReader):
            return read_rows((row for row in reader if (row.number, 0) in places), **settings).documents
        records = (record for record in reader if (record.offset, record.index) in places)
        return read_records(records, extract=_extractor(config), **settings).documents


def _any_language(lang: str, texts: pa.Array) -> pa.Table:
    """A language that the gates let pass, for texts whose language is known elsewhere."""
    return pa.table({"lang": pa.array([lang] * len(texts), pa.string()), "lang_score": [1.0] * len(texts)})


def identifier(config: RunConfig) -> Identifier:
    """Language identification as a config asks for it."""
    return partial(
        identify_language,
        model=Path(config.language.model) if config.language.model else None,
        kana=config.language.kana,
        per=config.language.per,
    )


def _classifier(config: RunConfig) -> Classifier | None:
    """Look-up in the URL lists, which a worker loads once; None without any."""
    return partial(url_categories, lists=open_url_lists(config.gates.urls)) if config.gates.urls.given else None


def _extractor(config: RunConfig) -> Extractor:
    """The calling thread's extractor: one long-lived child each, which leaves when this process does."""
    return _sandbox(config.extract.model_dump_json(), threading.get_ident()).extract


@lru_cache(maxsize=64)
def _sandbox(config: str, thread: int) -> Sandbox:
    from .extract import ExtractConfig

    sandbox = Sandbox(ExtractConfig.model_validate_json(config))
    atexit.register(sandbox.close)
    return sandbox


@dataclass(slots=True)
class _Texts:
    """The texts of a part, as read and as the edits on disk leave them; loaded when a stage asks for them."""

    task: PartTask
    documents: pa.Table | None
    edited: pa.Table | None = None
    edits: list[pa.Table] = field(default_factory=list)

    def as_read(self) -> pa.Table:
        """Columns id, text and lang."""
        if self.documents is None:
            path = self.task.run / "documents" / f"{self.task.part.name}.parquet"
            self.documents = pq.read_table(path, columns=["id", "text", "lang"])
        return self.documents

    def as_edited(self) -> pa.Table:
        """The same, with the edited texts."""
        if self.edited is None:
            documents = self.as_read().select(["id", "text", "lang"])
            self.edits = read_edits(self.task.run, self.task.part.name)
            self.edited = documents.set_column(1, "text", edited_texts(documents, self.edits))
        return self.edited


Made = tuple[dict[str, pa.Table], dict[str, Any]]
"""Tables by run-relative path, and a tally."""


def _line_rules(texts: _Texts) -> Made:
    """The line rules' edits; no file where nothing is cut."""
    task = texts.task
    rules = {lang: rules_of(names) for lang, names in task.config.cleaning.line_rules.items()}
    edits = line_edits(texts.as_read(), rules)
    return ({edit_path("line_rules", task.part.name): edits} if len(edits) else {}), cut_tally(edits)


def _measured(texts: _Texts) -> Made:
    """Signals of the edited texts, and what was cut from each."""
    table = measured(texts.as_edited(), texts.task.config)
    cut = cut_signals(texts.as_read(), texts.edits, table["n_chars"].fill_null(0).to_numpy())
    for name in cut.column_names:
        table = table.append_column(name, cut[name])
    return {f"signals/{texts.task.part.name}.parquet": table}, {}


def _signed(texts: _Texts) -> Made:
    """Signatures of the edited texts."""
    return {f"signatures/{texts.task.part.name}.parquet": _signatures(texts.as_edited(), texts.task.config)}, {}


_STAGES: Mapping[str, Callable[[_Texts], Made]] = {
    "line_rules": _line_rules,
    "signals": _measured,
    "signatures": _signed,
}


def measured(documents: pa.Table, config: RunConfig) -> pa.Table:
    """Signals of every row; Japanese and the rest are measured apart and put back in order."""
    japanese = np.array([lang == "ja" for lang in documents["lang"].to_pylist()], bool)
    text = documents["text"].combine_chunks()
    groups = [np.flatnonzero(japanese), np.flatnonzero(~japanese)]
    tables = [
        measure_signals(text.take(pa.array(group)), is_japanese, config.signals, config.quality)
        for group, is_japanese in zip(groups, (True, False), strict=True)
    ]
    back = np.argsort(np.concatenate(groups), kind="stable")
    measured = pa.concat_tables(tables).take(pa.array(back)).combine_chunks()
    personal = count_pii(text, config.pii.count)
    for name in personal.column_names:
        measured = measured.append_column(name, personal[name])
    scores = model_columns(documents, config.quality_model, config.perplexity)
    for name in scores.column_names:
        measured = measured.append_column(name, scores[name])
    return measured.add_column(0, "id", documents["id"])


def _signatures(documents: pa.Table, config: RunConfig) -> pa.Table:
    table = signatures(
        documents["text"].combine_chunks(),
        lang=documents["lang"].combine_chunks(),
        **config.dedup.signing(),
    )
    return table.add_column(0, "id", documents["id"])
