"""A recipe and the archives in; the shards of the run it was made of out, byte for byte, or what kept them from it.

Only the pages that the corpus holds are read again; languages, signals, duplicates and decisions are the recipe's.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seimai.config import apply_overrides, parse_config
from seimai.errors import ConfigError, InputError, RunError, VerifyError
from seimai.files import atomic, read_json, sha256_file

from .document import DOCUMENT_COLUMNS, schema
from .inputs import Part, Source, find_sources
from .progress import Progress, Silent
from .recipe import FORMAT
from .run import Engine
from .settings import RunConfig, package_versions
from .stages import texts_of
from .state import lock
from .write import ShardPlan, plan_shards, write_shard

__all__ = ["RebuildSummary", "rebuild"]

_COPIED = ("signals", "clusters", "decisions", "edits")


@dataclass(frozen=True, slots=True)
class RebuildSummary:
    """What was rebuilt: documents read again, and shards, all with the bytes the recipe states."""

    documents: int
    shards: int


@dataclass(frozen=True, slots=True)
class _Task:
    """One slice of a source to be read again."""

    recipe: Path
    work: Path
    part: Part
    name: str
    begin: int | None


def rebuild(
    recipe: Path,
    out: Path,
    *,
    inputs: Sequence[str] = (),
    overrides: Sequence[str] = (),
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> RebuildSummary:
    """Rebuild the shards of a recipe in `out`; the same call resumes.

    `inputs` name the sources (paths, globs, URLs); without them, sources of a crawl are taken from `fetch.base`.
    Raises InputError for a source that is not there, VerifyError where pages or shards are not what they were.
    """
    told = _read(recipe)
    config = _config(recipe, told, overrides)
    parts = pq.read_table(recipe / "parts.parquet").to_pylist()
    sources = _sources({part["key"] for part in parts}, config, inputs)
    work = out.absolute() / "work"
    _prepare(recipe, out, work)
    bar = progress or Silent()
    with lock(work) as owner, engine or Engine() as running:
        for folder in _COPIED:
            if (recipe / folder).is_dir():
                shutil.copytree(recipe / folder, work / folder, dirs_exist_ok=True)
        tasks = (_Task(recipe.absolute(), work, _slice(sources, p), p["part"], p["first_offset"]) for p in parts)
        bar.begin("read", 0)
        documents = 0
        for count in running.results(partial(_read_again, config=config), tasks):
            bar.advance("read", 1, documents=count, kept=count)
            documents += count
        bar.end("read")
        kept = ((part["part"], _kept_bytes(recipe, part["part"])) for part in parts)
        plans = plan_shards(kept, config.output.shard_bytes)
        bar.begin("write", 0)
        for rows in running.results(partial(_write, work=work, owner=owner, config=config), plans):
            bar.advance("write", 1, documents=rows)
        bar.end("write")
    _compare(work, told)
    shutil.rmtree(out / "shards", ignore_errors=True)
    (work / "shards").replace(out / "shards")
    shutil.rmtree(work)
    return RebuildSummary(documents, len(told["shards"]))


def _read(recipe: Path) -> dict[str, Any]:
    try:
        told = read_json(recipe / "recipe.json")
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{recipe}: has no recipe.json; give a folder that `seimai recipe` wrote") from None
    except ValueError:
        raise RunError(f"{recipe}/recipe.json: is damaged; copy the recipe again") from None
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise RunError(f"{recipe}/recipe.json: is no {FORMAT}; make the recipe again with this version")
    return told


def _config(recipe: Path, told: dict[str, Any], overrides: Sequence[str]) -> RunConfig:
    """The recipe's config; only where sources are and how they come may be another."""
    import tomllib

    for override in overrides:
        if not override.startswith(("fetch.", "input.root", "input.contact")):
            raise ConfigError(f"--set {override}: a recipe is rebuilt as it was made; only fetch.*, input.root and "
                              "input.contact may change")  # fmt: skip
    data = apply_overrides(tomllib.loads(told["config"]), overrides)
    return parse_config(data, RunConfig, str(recipe / "recipe.json"))


def _sources(keys: set[str], config: RunConfig, inputs: Sequence[str]) -> dict[str, Source]:
    """The source of every key, from what the user names or from the crawl's own address."""
    base = config.fetch.base if config.fetch.base.endswith("/") else config.fetch.base + "/"
    if not inputs:
        homeless = sorted(key for key in keys if not key.startswith("crawl-data/"))
        if homeless:
            raise InputError(f"{homeless[0]}: is no archive of a crawl; give it by --input")
    whole = config.fetch.model_copy(update={"limit": 0, "sample": 0})
    names = list(inputs) or [base + key for key in sorted(keys)]
    found = {source.key: source for source in find_sources(config.input, names, whole)}
    missing = sorted(keys - found.keys())
    if missing:
        raise InputError(
            f"{len(missing)} sources of the recipe are not among the inputs, the first is {missing[0]}; name them by "
            "--input, and the folder above them by --set input.root"
        )
    return found


def _slice(sources: dict[str, Source], part: dict[str, Any]) -> Part:
    """A slice of the source as it is now, which may be shorter than it was."""
    source = sources[part["key"]]
    return Part(source, part["start"], min(part["stop"], source.size))


def _prepare(recipe: Path, out: Path, work: Path) -> None:
    if out.exists() and not out.is_dir():
        raise RunError(f"{out}: is a file; give a folder to --out")
    work.mkdir(parents=True, exist_ok=True)
    mark, digest = work / "recipe.sha256", sha256_file(recipe / "recipe.json")
    if mark.exists() and mark.read_text(encoding="utf-8") != digest:
        raise RunError(f"{out}: another recipe is being rebuilt here; give another --out")
    mark.write_text(digest, encoding="utf-8")


def _kept_bytes(recipe: Path, part: str) -> dict[str, int]:
    """UTF-8 bytes of a part's kept documents by language."""
    lang = pq.read_table(recipe / "documents" / f"{part}.parquet", columns=["lang"])["lang"]
    size = pq.read_table(recipe / "signals" / f"{part}.parquet", columns=["n_bytes"])["n_bytes"]
    kept = pq.read_table(recipe / "decisions" / f"{part}.parquet", columns=["kept"])["kept"]
    table = pa.table({"lang": lang, "n_bytes": size}).filter(kept.combine_chunks())
    sums = table.group_by("lang").aggregate([("n_bytes", "sum")])
    return dict(zip(sums["lang"].to_pylist(), sums["n_bytes_sum"].to_pylist(), strict=True))


def _read_again(task: _Task, config: RunConfig) -> int:
    """Read the kept documents of a slice; returns their number.  Raises VerifyError for a page that is another now."""
    name = f"{task.name}.parquet"
    documents = pq.read_table(task.recipe / "documents" / name)
    kept = pq.read_table(task.recipe / "decisions" / name, columns=["kept"])["kept"].combine_chunks()
    wanted = documents.filter(kept)
    path = task.work / "documents" / name
    if path.exists():  # written whole, by an earlier call
        return len(wanted)
    places = set(zip(wanted["warc_offset"].to_pylist(), wanted["record_index"].to_pylist(), strict=True))
    found = texts_of(task.part, config, places, task.begin)
    at = pc.index_in(wanted["id"].combine_chunks(), value_set=found["id"].combine_chunks())
    same = pc.equal(found["payload_sha1"].combine_chunks().take(at).fill_null(""), wanted["payload_sha1"].fill_null(""))
    good = pc.and_(pc.is_valid(found["text"].combine_chunks().take(at)), same).fill_null(False)
    if not pc.all(good, min_count=0).as_py():
        row = wanted.filter(pc.invert(good)).slice(0, 1).to_pylist()[0]
        raise VerifyError(
            f"{row['warc_file']}: {row['url']} at {row['warc_offset']} is not the page that it was; fetch it again"
        )
    # Row-aligned with decisions: rows of dropped documents have no text.
    place = pc.index_in(documents["id"].combine_chunks(), value_set=found["id"].combine_chunks())
    columns = {n: documents[n] for n in documents.column_names}
    columns |= {n: found[n].combine_chunks().take(place) for n in ("text", "title")}
    table = pa.table({n: columns[n] for n, _, _ in DOCUMENT_COLUMNS}).cast(schema(DOCUMENT_COLUMNS))
    with atomic(path, flush=False) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    return len(wanted)


def _write(plan: ShardPlan, work: Path, owner: str, config: RunConfig) -> int:
    return sum(entry["rows"] for entry in write_shard(work, plan, config.output, owner, config.pii))


def _compare(work: Path, told: dict[str, Any]) -> None:
    """Raise VerifyError unless the shards are those of the recipe."""
    stated = {Path(file["path"]).name: file["sha256"] for file in told["shards"]}
    made = {name: sha256_file(work / "shards" / name) for name in _names(work / "shards")}
    wrong = sorted(name for name in stated.keys() | made.keys() if stated.get(name) != made.get(name))
    if not wrong:
        return
    here = package_versions()
    others = [f"{name} {version} (here {here.get(name)})" for name, version in told["packages"].items()
              if here.get(name) != version]  # fmt: skip
    why = f"it was made with {', '.join(others)}" if others else "the versions are the same; was a source changed?"
    raise VerifyError(f"{work}: {len(wrong)} shards are not the recipe's, the first is {wrong[0]}; {why}")


def _names(folder: Path) -> Iterator[str]:
    return (name for name in (sorted(os.listdir(folder)) if folder.is_dir() else ()) if not name.startswith("."))
