"""Sources of good and bad texts in, one table of labelled texts out: files, runs, samples by decision of a run.

A source is a path, or `RUN:which` for documents of a run by decision: `kept`, `dropped`, or a reason that dropped them.
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seimai.errors import ConfigError, InputError, RunError
from seimai.pipeline.quality_train import LABELLED

__all__ = ["labelled_texts", "texts_of"]


def labelled_texts(
    good: Sequence[str],
    bad: Sequence[str],
    *,
    languages: Sequence[str] = (),
    max_documents: int = 0,
    seed: int = 1,
    field: str = "text",
    model: Path | None = None,
) -> pa.Table:
    """The texts of all sources, columns LABELLED; of each source at most `max_documents` (0: all), drawn by their ids.

    Texts without a language are identified; `languages` (ISO 639-1; empty: all) says which are taken. Raises
    SeimaiError for a source that is none, and InputError where a source has no text of these languages.
    """
    if not good or not bad:
        raise ConfigError("a classifier needs both sides; give at least one --good and one --bad")
    tables = []
    for side, sources in ((True, good), (False, bad)):
        for source in sources:
            table = texts_of(
                source, languages=languages, max_documents=max_documents, seed=seed, field=field, model=model
            )
            named = {"set": pa.array([source] * len(table)), "good": pa.array([side] * len(table))}
            tables.append(pa.table({**{n: table[n] for n in table.column_names}, **named}).select(LABELLED.names))
    return pa.concat_tables([table.cast(LABELLED) for table in tables])


def texts_of(
    source: str,
    *,
    languages: Sequence[str] = (),
    max_documents: int = 0,
    seed: int = 1,
    field: str = "text",
    model: Path | None = None,
) -> pa.Table:
    """The texts of one source: columns id, host, lang, split, text; options and errors as in `labelled_texts`."""
    table = _with_languages(_read(source, field), model)
    if languages:
        table = table.filter(pc.is_in(table["lang"], pa.array(list(languages), pa.string())))
    table = _sample(table.filter(pc.greater(pc.utf8_length(table["text"]), 0)), max_documents, seed)
    if not len(table):
        raise InputError(f"{source}: no text{' in ' + ', '.join(languages) if languages else ''} to take")
    return table


def _read(source: str, field: str) -> pa.Table:
    """Columns id, host, lang, split and text of one source."""
    run, colon, which = source.rpartition(":")
    if colon and Path(run).is_dir() and not Path(source).exists():
        return _of_run(Path(run), which)
    from seimai.tokenizer.sources import batches, open_sources

    names = ["id", "host", "lang", "split", "text"]
    read = [
        batch for shard in open_sources(Path(source), field=field, held_out=_none()) for batch in batches(shard, names)
    ]
    return pa.Table.from_batches(read)


def _none() -> Any:
    """No split of plain files of its own: the training makes one."""
    from seimai.tokenizer.sources import HeldOut

    return HeldOut(0.0)


def _of_run(run: Path, which: str) -> pa.Table:
    """Documents of a run by decision, with the texts the rules saw."""
    found = list(_decided(run, which))
    if not found:
        known = sorted(
            {reason for part in _decisions(run) for reason in pc.unique(part["reason"]).to_pylist() if reason}
        )
        raise InputError(f"{run}: no document is {which!r}; known: kept, dropped, {', '.join(known)}")
    return pa.concat_tables(found)


def _decisions(run: Path) -> Iterator[pa.Table]:
    for path in sorted((run / "decisions").glob("*.parquet")):
        yield pq.read_table(path, columns=["kept", "reason"])


def _decided(run: Path, which: str) -> Iterator[pa.Table]:
    from seimai.pipeline.edits import edited_texts, read_edits

    if not (run / "manifest.json").is_file():
        raise RunError(f"{run}: no manifest.json, so not a finished run; type the same `seimai run` command again")
    for path in sorted((run / "decisions").glob("*.parquet")):
        decisions = pq.read_table(path, columns=["kept", "reason"])
        kept = decisions["kept"]
        chosen = {"kept": kept, "dropped": pc.invert(kept)}.get(which, pc.equal(decisions["reason"], which))
        if not pc.any(chosen).as_py():
            continue
        documents = pq.read_table(run / "documents" / path.name, columns=["id", "host", "lang", "split", "text"])
        texts = edited_texts(documents, read_edits(run, path.stem))
        chosen = pc.and_(pc.fill_null(chosen, False), pc.is_valid(documents["text"]))
        if pc.any(chosen).as_py():
            yield documents.set_column(documents.column_names.index("text"), "text", texts).filter(chosen)


def _with_languages(table: pa.Table, model: Path | None) -> pa.Table:
    """The table with languages identified where it tells none."""
    absent = pc.is_null(table["lang"])
    if not pc.any(absent).as_py():
        return table
    from seimai.pipeline.language import identify_language

    found = identify_language(table["text"], model=model)["lang"]
    lang = pc.if_else(absent, found, table["lang"])
    return table.set_column(table.column_names.index("lang"), "lang", lang)


def _sample(table: pa.Table, most: int, seed: int) -> pa.Table:
    if not most or len(table) <= most:
        return table
    keys = [blake2b(f"{seed}\n{name}".encode(), digest_size=8).digest() for name in table["id"].to_pylist()]
    chosen = sorted(sorted(range(len(keys)), key=keys.__getitem__)[:most])
    return table.take(pa.array(chosen))
