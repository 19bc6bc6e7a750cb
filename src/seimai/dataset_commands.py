"""The commands `seimai dataset …`: what token shards hold, what two sets share, and other code's formats."""

from pathlib import Path
from typing import Annotated

import typer

from seimai.errors import ConfigError

__all__ = ["dataset_app"]

dataset_app = typer.Typer(help="Look into token shards.", no_args_is_help=True, rich_markup_mode=None)


@dataset_app.command("stats", epilog="Example: seimai dataset stats tokens")
def dataset_stats(
    tokens: Annotated[Path, typer.Argument(help="Folder of token shards.")],
    where: Annotated[str | None, typer.Option(help="Also count what an expression keeps.")] = None,
    hosts: Annotated[int, typer.Option(min=1, help="Largest hosts shown.")] = 20,
    row_tokens: Annotated[int | None, typer.Option(min=2, help="Also pack an epoch into rows and add it up.")] = None,
) -> None:
    """Documents and tokens by split, source, language, quality decile and host."""
    from seimai.model.dataset_stats import dataset_stats as stats_of
    from seimai.model.order import Order
    from seimai.model.shards import open_tokens
    from seimai.model.where import where_mask
    from seimai.show import print_rows, print_stats, print_table

    print_stats(stats_of(tokens, hosts=hosts))
    if row_tokens is not None:
        order = Order(tokens, seed=0, row_tokens=row_tokens, batch_rows=1, where=where)
        print_rows(f"An epoch in rows of {row_tokens:,}", order.budget())
    if where is not None:
        shards = open_tokens(tokens)
        kept = where_mask(shards, where)
        trained = kept & ~shards.held_out
        rows = [(name, int(mask.sum()), int(shards.n_tokens[mask].sum()))
                for name, mask in (("all", kept), ("train", trained))]  # fmt: skip
        print_table(f"Where {where}", ["split", "documents", "n_tokens"], rows)


@dataset_app.command("diff", epilog="Example: seimai dataset diff tokens-a tokens-b")
def dataset_diff(
    first: Annotated[Path, typer.Argument(help="Folder of token shards.")],
    second: Annotated[Path, typer.Argument(help="Folder of token shards.")],
) -> None:
    """What two data sets share, and what stands in one of them alone."""
    from seimai.model.dataset_stats import dataset_diff as diff_of
    from seimai.show import print_diff

    print_diff(diff_of(first, second))


@dataset_app.command("export", epilog="Example: seimai dataset export tokens --format megatron --out megatron")
def dataset_export(
    tokens: Annotated[Path, typer.Argument(help="Folder of token shards.")],
    out: Annotated[Path, typer.Option(help="New folder.")],
    format: Annotated[str, typer.Option(help="megatron, bin (nanoGPT) or hf (datasets).")] = "megatron",
) -> None:
    """Write token shards for other training code."""
    from seimai.model.token_export import FORMATS, export_tokens
    from seimai.show import print_rows

    if format not in FORMATS:
        raise ConfigError(f"--format {format}: is none; use {', '.join(FORMATS)}")
    print_rows("Exported", export_tokens(tokens, out, format))
