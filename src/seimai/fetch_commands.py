"""The command `seimai plan`: what fetching from a crawl would cost by each way, before any archive is asked for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from seimai.pipeline.plan import Plan
    from seimai.pipeline.plan_costs import Cost

__all__ = ["Limit", "Sample", "Yes", "add_fetch_commands", "fetch_overrides"]

Limit = Annotated[int | None, typer.Option(min=0, help="Most archives of a crawl, from the beginning; 0 for all.")]
Sample = Annotated[int | None, typer.Option(min=0, help="Archives drawn from a crawl (fetch.seed); 0 for all.")]
Yes = Annotated[bool, typer.Option("--yes", help="Fetch for longer than fetch.max_hours.")]


def fetch_overrides(limit: int | None, sample: int | None) -> list[str]:
    """The options of a command as overrides of the config.

    >>> fetch_overrides(2, None)
    ['fetch.limit=2']
    """
    return [f"fetch.{name}={value}" for name, value in (("limit", limit), ("sample", sample)) if value is not None]


def add_fetch_commands(app: typer.Typer) -> None:
    """Put the command into the command line."""
    app.command("plan", epilog="Example: seimai plan web.toml --input CC-MAIN-2024-51 --set input.contact=you@x.org")(
        plan
    )


def plan(
    config: Annotated[Path, typer.Argument(help="TOML file; [fetch] and [fetch.select] are read.")],
    input: Annotated[list[str] | None, typer.Option(help="The crawl: CC-MAIN-2024-51, or months of news.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run directory that the plan is kept in, for seimai run.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a key: fetch.limit=10; repeatable.")] = None,
    limit: Limit = None,
    sample: Sample = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Ask for the size of every archive, one request each.")
    ] = False,
    index_sample: Annotated[
        int | None,
        typer.Option(min=0, help="Files of the index to read; 0 for all. Default: all on disk, 3 on a server."),
    ] = None,
) -> None:
    """Tell what whole archives, ranges or WET files first cost: bytes, requests, hours, disk; fetch nothing."""
    from seimai.config import load_config
    from seimai.pipeline.fetch_config import access_of
    from seimai.pipeline.inputs import ask_for_contact
    from seimai.pipeline.plan import make_plan, save_plan
    from seimai.pipeline.plan_whole import goes_whole, whole_plan
    from seimai.pipeline.settings import RunConfig

    settings = load_config(config, RunConfig, [*(set_ or []), *fetch_overrides(limit, sample)])
    fetch, names = settings.fetch, input or settings.input.paths
    access = access_of(fetch, settings.input.contact)
    far = "://" in (fetch.index or fetch.base)
    if far or exact:
        ask_for_contact(fetch.base, access)
    if goes_whole(fetch, names):
        _show(whole_plan(fetch, names, access, exact=exact))
        return
    count = index_sample if index_sample is not None else (3 if far and out is None else 0)
    if count:
        typer.echo(f"Reads {count} files of the index, about one request in {1 / fetch.requests_per_s:g} s.")
    languages = settings.gates.languages
    made = make_plan(fetch, names, access, languages=languages, exact=exact, index_sample=count)
    _show(made)
    if out is not None:
        save_plan(made, out)
        typer.echo(f"{out}: the plan is kept there; `seimai run` with the same config and --out takes it")


def _show(made: "Plan") -> None:
    from seimai.show import print_table

    note = "" if made.scale == 1 else f", scaled up {made.scale:.1f} times from a part of the index"
    records = f"{made.n_records:,} records in " if made.n_records else ""
    title = f"{made.snapshot}: {records}{made.n_files:,} archives{note}"
    print_table(title, ["", "GB", "requests", "hours", "GB on disk", ""], [_row(cost) for cost in made.costs])
    typer.echo(f"Takes {made.strategy}: {made.why}.")


def _row(cost: "Cost") -> list[str]:
    def between(at: int, unit: float, digits: int) -> str:
        low, high = (f"{figures[at] / unit:,.{digits}f}" for figures in (cost.low, cost.high))
        return low if low == high else f"{low} to {high}"

    figures = [between(0, 1e9, 3), between(1, 1, 0), between(2, 1, 2), between(3, 1e9, 1)]
    sure = "exact" if cost.exact else "estimated"
    return [cost.strategy, *figures, sure if cost.low == cost.high else f"likely {cost.likely[2]:,.2f} h"]
