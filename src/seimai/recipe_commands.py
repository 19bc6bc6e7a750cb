"""The commands that publish a corpus without its text: the recipe of a run, and the shards made again from one."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["add_recipe_commands"]


def add_recipe_commands(app: typer.Typer) -> None:
    """Put the commands of this file into the application."""
    app.command("recipe", epilog="Example: seimai recipe run --out recipe")(recipe)
    app.command("rebuild", epilog="Example: seimai rebuild recipe --input 'crawl/*.warc.gz' --out again")(rebuild)


def recipe(
    run: Annotated[Path, typer.Argument(help="Finished run directory.")],
    out: Annotated[Path, typer.Option(help="New folder for the recipe.")],
) -> None:
    """Write where each document of a run stands, what was decided and what was cut, without a word of any page."""
    from seimai.pipeline.recipe import write_recipe

    made = write_recipe(run, out)
    typer.echo(
        f"{out}: {made.kept:,} of {made.documents:,} documents, {made.shards} shards, {made.n_bytes / 1e6:,.1f} MB"
    )


def rebuild(
    recipe: Annotated[Path, typer.Argument(help="Folder of a recipe.")],
    out: Annotated[Path, typer.Option(help="Folder for the shards; the same one resumes.")],
    input: Annotated[
        list[str] | None, typer.Option(help="Sources: path, glob or URL; repeatable. Default: the crawl's own address.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override fetch.*, input.root or input.contact; repeatable.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Worker processes; 0 works in this one. Default: all cores.")
    ] = None,
    scheduler: Annotated[str, typer.Option(help="Address of a running Dask scheduler.")] = "",
) -> None:
    """Read the pages of a recipe again and make its shards, byte for byte; type the same command again to resume."""
    from seimai.pipeline.progress import Terminal
    from seimai.pipeline.rebuild import rebuild as remake
    from seimai.pipeline.run import Engine
    from seimai.show import console
    from seimai.stopping import stoppable

    engine = Engine(workers=workers, scheduler=scheduler or None)
    with stoppable(), Terminal(console()) as progress:
        made = remake(recipe, out, inputs=input or [], overrides=set_ or [], engine=engine, progress=progress)
    typer.echo(f"{out}: {made.documents:,} documents read again, {made.shards} shards as the recipe states them")
