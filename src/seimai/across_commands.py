"""The commands that look across corpora and change finished ones: evaluation sets, passages, removal."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["add_across_commands"]


class Action(StrEnum):
    """What becomes of passages."""

    report = "report"
    mask = "mask"
    cut = "cut"


Workers = Annotated[int | None, typer.Option(min=0, help="Worker processes; 0 works in this one. Default: all cores.")]


def add_across_commands(app: typer.Typer) -> None:
    """Put the commands of this file into the application."""
    app.command("decontaminate", epilog="Example: seimai decontaminate run --evals 'gsm8k.jsonl#question' --out found")(
        decontaminate
    )
    app.command("substrings", epilog="Example: seimai substrings run --min-chars 200 --out passages")(substrings)
    app.command("remove", epilog="Example: seimai remove run --domain example.org --out run-without")(remove)


def decontaminate(
    source: Annotated[list[Path], typer.Argument(help="Run directory, or .jsonl, .jsonl.zst, .parquet, .txt files.")],
    evals: Annotated[
        list[str],
        typer.Option(help="FILE or FILE#FIELD,FIELD: JSON, JSONL, CSV, TSV, Parquet (also .gz, .zst); repeatable."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for spans.parquet, ids.txt and summary.json.")],
    text_field: Annotated[str, typer.Option(help="Text column of plain files.")] = "text",
    workers: Workers = None,
) -> None:
    """Find evaluation items in a corpus, edited, re-spaced or in other widths too; `seimai remove` takes them out."""
    from seimai.decontaminate import decontaminate as look
    from seimai.pipeline.eval_items import parse_eval_set
    from seimai.pipeline.run import Engine
    from seimai.show import print_table

    with Engine(workers=workers) as engine:
        found = look(source, [parse_eval_set(given) for given in evals], out, engine, field=text_field)
    rows = [(name, documents, items) for name, (documents, items) in found.by_set.items()]
    print_table("Evaluation items found", ["set", "documents", "items"], rows)
    typer.echo(
        f"{found.contaminated:,} of {found.documents:,} documents hold {found.spans:,} spans of {found.items:,} items; "
        f"{found.too_short:,} items are too short to be told from ordinary language and were not looked for"
    )
    typer.echo(f"{out}: spans.parquet says where, ids.txt which documents")


def substrings(
    source: Annotated[list[Path], typer.Argument(help="Run directory, or .jsonl, .jsonl.zst, .parquet, .txt files.")],
    out: Annotated[Path, typer.Option(help="Folder for spans.parquet, and the run that mask and cut write.")],
    min_chars: Annotated[int, typer.Option(help="Least characters of a passage (20 or more).")] = 200,
    action: Annotated[
        Action, typer.Option(help="report, mask (〓 for each passage) or cut; the first place stays.")
    ] = Action.report,
    memory_mb: Annotated[int, typer.Option(min=1, help="Memory of a worker for sorting.")] = 256,
    text_field: Annotated[str, typer.Option(help="Text column of plain files.")] = "text",
    workers: Workers = None,
) -> None:
    """Find passages that stand more than once in a corpus, word for word; mask or cut all but the first."""
    from seimai.pipeline.run import Engine
    from seimai.repeats import look_for_repeats

    with Engine(workers=workers) as engine:
        found = look_for_repeats(
            source, out, engine, min_chars=min_chars, action=action.value, memory_mb=memory_mb, field=text_field
        )
    typer.echo(
        f"{found.passages:,} passages of {min_chars:,} characters or more stand more than once, "
        f"{found.repeated_chars:,} characters in all; {found.cut_chars:,} could go so that each stands once; "
        f"{out}/spans.parquet says where"
    )
    if action is not Action.report:
        typer.echo(f"{out}: a run of {found.documents:,} documents, made of {source[0]}")


def remove(
    work: Annotated[Path, typer.Argument(help="Finished run, or folder of token shards.")],
    out: Annotated[Path, typer.Option(help="Folder for what is left, of the same kind.")],
    url: Annotated[list[str] | None, typer.Option(help="Page, any of its spellings; repeatable.")] = None,
    domain: Annotated[list[str] | None, typer.Option(help="Domain with all below it; repeatable.")] = None,
    id: Annotated[list[str] | None, typer.Option(help="Document; repeatable.")] = None,
    id_file: Annotated[list[Path] | None, typer.Option(help="File with one id a line; repeatable.")] = None,
) -> None:
    """Make new shards without some documents, from finished ones; a manifest names the parent and what was removed."""
    from seimai.pipeline.removal import read_ids, removal
    from seimai.remove import remove_from

    ids = [*(id or []), *(name for path in id_file or [] for name in read_ids(path))]
    removed, left = remove_from(work, out, removal(ids, url or [], domain or []))
    typer.echo(f"{out}: {left:,} documents, {removed:,} removed (removed.txt), made of {work}")
    if not removed:
        typer.echo("seimai: warning: nothing named was there", err=True)
