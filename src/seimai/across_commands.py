"""The commands that look across corpora: evaluation sets in a corpus."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["add_across_commands"]

Workers = Annotated[int | None, typer.Option(min=0, help="Worker processes; 0 works in this one. Default: all cores.")]


def add_across_commands(app: typer.Typer) -> None:
    """Put the commands of this file into the application."""
    app.command("decontaminate", epilog="Example: seimai decontaminate run --evals 'gsm8k.jsonl#question' --out found")(
        decontaminate
    )


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
