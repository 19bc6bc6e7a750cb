"""The command `seimai train-report`: a page about a training."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["add_after_commands"]


def add_after_commands(app: typer.Typer) -> None:
    """Make it a command of `app`."""
    app.command("train-report", epilog='Example: seimai train-report model --prompt "今日は"')(train_report)


def train_report(
    folder: Annotated[Path, typer.Argument(help="Folder of a training, or of a comparison of positions.")],
    out: Annotated[Path | None, typer.Option(help="File to write. Default: report.html in that folder.")] = None,
    prompt: Annotated[
        list[str] | None, typer.Option(help="Let every checkpoint kept go on from it; repeatable.")
    ] = None,
    positions: Annotated[Path | None, typer.Option(help="Folder of a comparison of positions to show too.")] = None,
) -> None:
    """Write one offline HTML page: losses, rates, spikes with their documents, samples, positions and lengths."""
    from seimai.model.train_report import write_train_report

    path = write_train_report(folder, out, prompts=prompt or (), positions=positions)
    typer.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB, opens without a network")
