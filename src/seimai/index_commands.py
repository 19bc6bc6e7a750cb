"""The commands `seimai index`, which keep one dump's duplicates out of the next, and `seimai diff` of two runs."""

import json
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seimai.errors import InputError

if TYPE_CHECKING:
    from seimai.pipeline.dedup_index import DedupIndex
    from seimai.pipeline.run_diff import RunDiff

__all__ = ["add_index_commands"]

index_app = typer.Typer(help="Former dumps, for deduplicating the next.", no_args_is_help=True, rich_markup_mode=None)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Workers = Annotated[int | None, typer.Option(min=0, help="Worker processes; 0 works in this one. Default: all cores.")]


class Sets(StrEnum):
    """What the index verifies candidates by."""

    exact = "exact"
    estimated = "estimated"


def add_index_commands(app: typer.Typer) -> None:
    """Put the commands of this file into the application."""
    app.add_typer(index_app, name="index")
    app.command("diff", epilog="Example: seimai diff run run-strict --samples 5")(diff)


@index_app.command("build", epilog="Example: seimai index build run --out index")
def build(
    run: Annotated[Path, typer.Argument(help="Finished run.")],
    out: Annotated[Path, typer.Option(help="Folder for the index.")],
    verification: Annotated[
        Sets | None, typer.Option(help="Shingle sets (exact) or signatures (estimated). Default: as the run verifies.")
    ] = None,
    workers: Workers = None,
) -> None:
    """Index a run's documents; a later run with dedup.index drops what they have already."""
    from seimai.pipeline.index_build import build_index
    from seimai.pipeline.run import Engine

    with Engine(workers=workers) as engine:
        _tell(build_index(run, out, engine=engine, verification=verification.value if verification else ""))


@index_app.command("merge", epilog="Example: seimai index merge index-46 index-51 --out index")
def merge(
    indexes: Annotated[list[Path], typer.Argument(help="Indexes, the oldest dump first.")],
    out: Annotated[Path, typer.Option(help="Folder for the index of all.")],
) -> None:
    """One index of several; they must be made with the same settings."""
    from seimai.pipeline.index_build import merge_indexes

    _tell(merge_indexes(indexes, out))


@index_app.command("query", epilog="Example: seimai index query index page.txt --lang ja")
def query(
    index: Annotated[Path, typer.Argument(help="Folder of the index.")],
    text: Annotated[Path, typer.Argument(help="UTF-8 file with one document's text; - reads standard input.")],
    lang: Annotated[str, typer.Option(help="Language of the text, ISO 639-1, or auto.")] = "auto",
    dump: Annotated[str, typer.Option(help="Name of its crawl, where the index keeps dumps apart.")] = "",
    as_json: Json = False,
) -> None:
    """The indexed documents that are candidates for a likeness of one document, the most similar first."""
    from seimai.pipeline.dedup_index import open_index
    from seimai.pipeline.index_query import query_index
    from seimai.show import print_table

    opened = open_index(index)
    found = query_index(opened, _read(text), lang=lang, dump=dump)
    if as_json:
        typer.echo(json.dumps([one._asdict() for one in found]))
        return
    threshold = opened.head["made_with"]["threshold"]
    title = f"Documents that share a band ({opened.verification} Jaccard; near-duplicates from {threshold:g})"
    rows = [(one.id, one.jaccard, "yes" if one.same_text else "", "yes" if one.passed else "") for one in found]
    print_table(title, ["id", "jaccard", "same text", "passed its rules"], rows)


def _read(path: Path) -> str:
    try:
        return sys.stdin.buffer.read().decode() if str(path) == "-" else path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give a text file, or - for standard input") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8; convert it first") from None


def _tell(index: "DedupIndex") -> None:
    pieces = index.head["pieces"]
    size = sum(entry["bytes"] for entry in index.head["files"])
    documents = sum(piece["documents"] for piece in pieces)
    typer.echo(
        f"{index.root}: {documents:,} documents of {len(index.head['runs'])} runs, {size / 1e6:,.1f} MB "
        f"({size / max(1, documents):,.0f} bytes a document), {index.verification} verification"
    )
    typer.echo(f"now: seimai run CONFIG --set dedup.index={index.root} --input … --out …")


def diff(
    run_a: Annotated[Path, typer.Argument(help="Finished run.")],
    run_b: Annotated[Path, typer.Argument(help="Another.")],
    samples: Annotated[int, typer.Option(min=0, help="Documents shown of each kind of difference.")] = 3,
    as_json: Json = False,
) -> None:
    """What two runs do otherwise: documents only in one, other verdicts with number and thresholds, other texts."""
    from seimai.pipeline.run_diff import diff_runs

    found = diff_runs(run_a, run_b, samples=samples)
    if as_json:
        told = {**asdict(found), "changes": [change._asdict() for change in found.changes]}
        typer.echo(json.dumps(told, ensure_ascii=False))
    else:
        _print_diff(found, run_a, run_b)


def _print_diff(found: "RunDiff", run_a: Path, run_b: Path) -> None:
    from seimai.show import print_table

    n = found.documents
    rows = [
        ("in both", n["both"]),
        (f"only in A, {run_a}", n["only_a"]),
        (f"only in B, {run_b}", n["only_b"]),
        ("of both: decided otherwise", n["decided"]),
        ("of these: kept in A alone", n["kept_only_a"]),
        ("of these: kept in B alone", n["kept_only_b"]),
        ("of both: with another text", n["text"]),
    ]
    print_table("Documents", ["", "documents"], rows)
    if found.config:
        told = [
            (key, json.dumps(a, ensure_ascii=False), json.dumps(b, ensure_ascii=False)) for key, a, b in found.config
        ]
        print_table("Settings that differ", ["key", "A", "B"], told)
    if found.only:
        print_table("Only in one", ["run", "verdict", "documents"], [(s.upper(), v, k) for s, v, k in found.only])
    if found.changes:
        names = ["lang", "in A", "in B", "by", "why", "column", "asked", "A", "B", "documents"]
        changed = [
            (c.lang, c.before, c.after, c.reason, c.why, c.column, c.keep, c.threshold_a, c.threshold_b, c.documents)
            for c in found.changes
        ]
        print_table("Decided otherwise", names, changed)
    if found.samples:
        typer.echo("Samples")
        for sample in found.samples:
            typer.echo("  " + "  ".join(f"{name}={value}" for name, value in sample.items() if value is not None))
