"""The commands `seimai dedup`: how good the duplicates are, and what bands find."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seimai.errors import ConfigError

if TYPE_CHECKING:
    from seimai.pipeline.dedup import DedupConfig
    from seimai.pipeline.pair_quality import Share

__all__ = ["dedup_app"]

dedup_app = typer.Typer(help="Judge near-duplicates.", no_args_is_help=True, rich_markup_mode=None)

Config = Annotated[Path | None, typer.Option(help="TOML file of a run; its section [dedup] is read.")]
Keys = Annotated[list[str] | None, typer.Option("--set", help="Override a key: dedup.threshold=0.7; repeatable.")]


@dedup_app.command("eval", epilog="Example: seimai dedup eval run --sample 1000")
def dedup_eval(
    run: Annotated[
        Path | None, typer.Argument(help="Run directory: a sample of it is compared with all of it.")
    ] = None,
    documents: Annotated[Path | None, typer.Option(help="JSON lines with id, text, lang; instead of a run.")] = None,
    pairs: Annotated[Path | None, typer.Option(help="JSON lines with a, b and jaccard, or duplicate.")] = None,
    config: Config = None,
    set_: Keys = None,
    sample: Annotated[int, typer.Option(min=1, help="Documents of the run that are drawn, about.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 1,
) -> None:
    """Precision, recall and F1 of duplicates with 95 % intervals, against labelled pairs or a run's own documents."""
    from seimai.pipeline.dedup_eval import judge_files, judge_run
    from seimai.show import print_table

    if run is not None and (documents or pairs or config or set_):
        raise ConfigError("a run is judged with its own config; give either RUN, or --documents and --pairs")
    if run is not None:
        of_run = judge_run(run, documents=sample, seed=seed)
        figures = [
            ("documents drawn", *(q.documents for q in of_run)),
            ("like pairs", *(q.recall.pairs for q in of_run)),
            ("recall", *(_share(q.recall) for q in of_run)),
            ("pairs in clusters", *(q.precision.pairs for q in of_run)),
            ("precision", *(_share(q.precision) for q in of_run)),
            ("precision, 0.1 less like", *(_share(q.nearly) for q in of_run)),
            ("F1", *(q.f1 for q in of_run)),
        ]
        print_table("Sampled documents against the whole run", ["", *(q.lang for q in of_run)], figures)
        return
    if documents is None or pairs is None:
        raise ConfigError("nothing to judge; give a run directory, or --documents and --pairs")
    of_files = judge_files(documents, pairs, _settings(config, set_ or []))
    figures = [
        ("documents", *(q.documents for q in of_files)),
        ("recall", *(_share(q.recall) for q in of_files)),
        ("precision", *(_share(q.precision) for q in of_files)),
        ("F1", *(q.f1 for q in of_files)),
        ("strict recall", *(_share(q.strict_recall) for q in of_files)),
        ("strict precision", *(_share(q.strict_precision) for q in of_files)),
        ("ceiling of that", *(q.ceiling for q in of_files)),
    ]
    print_table("Clusters against labelled pairs", ["", *(q.lang for q in of_files)], figures)


@dedup_app.command("bands", epilog="Example: seimai dedup bands --set dedup.threshold=0.7")
def dedup_bands(
    config: Config = None,
    set_: Keys = None,
    picture: Annotated[Path | None, typer.Option(help="SVG file for the S-curve.")] = None,
) -> None:
    """The bands and rows that follow from a config, what they find and what they miss."""
    from seimai.files import write_atomic
    from seimai.pipeline.bands import curve_svg, describe_bands

    settings = _settings(config, set_ or [])
    typer.echo(describe_bands(settings.shape, settings.threshold, settings.verify))
    if picture is not None:
        write_atomic(picture, curve_svg({settings.preset or "chosen": settings.shape}, settings.threshold))


def _settings(config: Path | None, overrides: Sequence[str]) -> "DedupConfig":
    from seimai.config import apply_overrides, load_config, parse_config
    from seimai.pipeline.settings import RunConfig

    if config is not None:
        return load_config(config, RunConfig, overrides).dedup
    return parse_config(apply_overrides({}, overrides), RunConfig, "--set").dedup


def _share(share: "Share") -> str:
    return f"{share.value:.3f} ({share.low:.3f}-{share.high:.3f})" if share.pairs else "no pairs"
