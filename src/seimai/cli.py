"""The command `seimai`: each command reads its options, calls one library function and prints what it returns."""

import atexit
import errno
import gc
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seimai.across_commands import add_across_commands
from seimai.after_commands import add_after_commands
from seimai.dataset_commands import dataset_app
from seimai.decide_commands import add_decide_commands, tell_canaries
from seimai.dedup_commands import dedup_app
from seimai.errors import ConfigError, RunError, SeimaiError
from seimai.export_commands import add_export_commands
from seimai.fetch_commands import Limit, Sample, Yes, add_fetch_commands, fetch_overrides
from seimai.index_commands import add_index_commands
from seimai.judge_commands import add_judge_commands, add_tokenizer_ablate
from seimai.quality_commands import quality_app
from seimai.recipe_commands import add_recipe_commands
from seimai.stopping import stoppable
from seimai.tokenizer_commands import tokenizer_app
from seimai.train_commands import add_train_commands

if TYPE_CHECKING:
    from seimai.pipeline.run_summary import RunSummary

__all__ = ["app", "main"]

app = typer.Typer(
    name="seimai",
    help="Polish raw web crawls into clean Japanese and English corpora, tokenizers and training data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(tokenizer_app, name="tokenizer")
app.add_typer(dataset_app, name="dataset")
app.add_typer(dedup_app, name="dedup")
app.add_typer(quality_app, name="quality")
add_across_commands(app)
add_decide_commands(app)
add_export_commands(app)
add_fetch_commands(app)
add_index_commands(app)
add_recipe_commands(app)
add_train_commands(app)
add_judge_commands(app)
add_after_commands(app)
add_tokenizer_ablate(tokenizer_app)

Set = Annotated[list[str] | None, typer.Option("--set", help="Override a key: section.key=value (TOML); repeatable.")]
Workers = Annotated[int | None, typer.Option(min=0, help="Worker processes; 0 works in this one. Default: all cores.")]
Scheduler = Annotated[str, typer.Option(help="Address of a running Dask scheduler, for example tcp://10.0.0.1:8786.")]


@app.command(epilog="Example: seimai demo --out demo")
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("demo"),
    workers: Workers = None,
) -> None:
    """Do the whole job on a small sample web: crawl, corpus, tokenizer, token shards, model, generated text."""
    from seimai.demo import demo as run_demo

    with stoppable():
        run_demo(out, workers)


@app.command(epilog="Example: seimai init web.toml")
def init(path: Annotated[Path, typer.Argument(help="File to write.")] = Path("seimai.toml")) -> None:
    """Write a commented config to start from; every key is documented there."""
    from importlib.resources import files

    from seimai.files import write_atomic

    if path.exists():
        raise RunError(f"{path}: exists; give another name, or remove it")
    write_atomic(path, (files("seimai.configs") / "web_ja_en.toml").read_bytes())
    typer.echo(f"{path}: written; now: seimai run {path} --input 'crawl/*.warc.gz' --out run")


@app.command(epilog="Example: seimai run configs/web_ja_en.toml --input 'crawl/*.warc.gz' --out run --workers 2")
def run(
    config: Annotated[Path, typer.Argument(help="TOML file; `seimai init` writes one.")],
    out: Annotated[str, typer.Option(help="Run directory, or an fsspec URL (s3://…); the same one resumes.")],
    input: Annotated[
        list[str] | None, typer.Option(help="WARC, JSONL, Parquet, .txt, .xml: path, glob, URL, crawl; repeatable.")
    ] = None,
    set_: Set = None,
    workers: Workers = None,
    scheduler: Scheduler = "",
    memory_limit: Annotated[str, typer.Option(help="Memory of one worker, for example 2GB.")] = "auto",
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Empty a run directory read with other settings.")] = False,
    check_inputs: Annotated[bool, typer.Option("--check-inputs", help="Read every archive's bytes again.")] = False,
    limit: Limit = None,
    sample: Sample = None,
    yes: Yes = False,
    scratch: Annotated[str, typer.Option(help="Folder for temporary files where --out is a URL.")] = "",
    scratch_gb: Annotated[float, typer.Option(help="Copies a worker keeps there.", min=0)] = 20.0,
) -> None:
    """Turn crawl archives into clean text shards; type the same command again to resume."""
    from seimai.config import load_config
    from seimai.pipeline.bands import describe_bands
    from seimai.pipeline.job import polish
    from seimai.pipeline.object_store import is_url
    from seimai.pipeline.progress import Terminal
    from seimai.pipeline.run import Engine
    from seimai.pipeline.settings import RunConfig
    from seimai.pipeline.store_run import polish_at
    from seimai.pipeline.writing import quality_warnings
    from seimai.show import console, print_run

    settings = load_config(config, RunConfig, [*(set_ or []), *fetch_overrides(limit, sample)])
    bands = describe_bands(settings.dedup.shape, settings.dedup.threshold, settings.dedup.verify)
    typer.echo(f"Near-duplicates: {bands}")
    for warning in quality_warnings(settings.quality, settings.cleaning.line_rules):
        typer.echo(f"seimai: warning: {warning}", err=True)
    engine = Engine(workers=workers, scheduler=scheduler or None, memory_limit=memory_limit)
    with stoppable(), Terminal(console()) as progress:
        if scheduler:
            typer.echo(f"Dask dashboard: {engine.dashboard()}")
        far = partial(polish_at, scratch=scratch, scratch_bytes=int(scratch_gb * 1e9))
        work: Callable[..., RunSummary] = partial(far, url=out) if is_url(out) else partial(polish, out=Path(out))
        summary = work(
            settings,
            inputs=input or [],
            engine=engine,
            rebuild=rebuild,
            check_inputs=check_inputs,
            yes=yes,
            progress=progress,
        )
    print_run(summary)
    if summary.failed_parts:
        first = summary.failed_parts[0]
        raise RunError(
            f"{len(summary.failed_parts)} parts failed, the first is {first['part']}: {first['error']}; "
            "the rest is finished, type the same command again for them"
        )
    tell_canaries(summary)


@app.command(epilog="Example: seimai verify run")
def verify(path: Annotated[str, typer.Argument(help="Run directory or its URL, or a folder of token shards.")]) -> None:
    """Compare every file with the manifest's SHA-256; name what is changed, missing or unlisted."""
    from seimai.verify import verify_place

    files, size = verify_place(path)
    typer.echo(f"{path}: {files:,} files, {size / 1e6:,.1f} MB, all as the manifest says")


@app.command(epilog="Example: seimai encode run --tokenizer tokenizer --out tokens")
def encode(
    source: Annotated[list[Path], typer.Argument(help="Run directory, or .jsonl, .jsonl.zst, .parquet, .txt files.")],
    tokenizer: Annotated[Path, typer.Option(help="Folder with tokenizer.json.")],
    out: Annotated[Path, typer.Option(help="Folder for the token shards.")],
    workers: Workers = None,
    scheduler: Scheduler = "",
) -> None:
    """Turn text shards into token shards with provenance; type the same command again to resume."""
    from seimai.encoding import encode_source
    from seimai.pipeline.run import Engine
    from seimai.show import console, print_rows

    with stoppable(), Engine(workers=workers, scheduler=scheduler or None) as engine:
        print_rows("Token shards", encode_source(source, tokenizer, out, engine, console()))


@app.command(epilog="Example: seimai trace model --step 100")
def trace(
    model: Annotated[Path, typer.Argument(help="Folder of a training.")],
    step: Annotated[int | None, typer.Option(min=0, help="Step of the training, from 0.")] = None,
    url: Annotated[list[str] | None, typer.Option(help="Address of a page; repeatable.")] = None,
    domain: Annotated[list[str] | None, typer.Option(help="Domain with its subdomains; repeatable.")] = None,
    document: Annotated[list[str] | None, typer.Option("--id", help="Id of a document; repeatable.")] = None,
    rank: Annotated[int, typer.Option(min=0, help="Only this rank's rows of the step.")] = 0,
    ranks: Annotated[int, typer.Option(min=1, help="Ranks of the training.")] = 1,
    data: Annotated[Path | None, typer.Option(help="Folder of token shards, if it was moved.")] = None,
    text: Annotated[bool, typer.Option("--text", help="Also what the segments say.")] = False,
) -> None:
    """The documents a training step saw (--step), or the steps that saw a page (--url, --domain, --id)."""
    from seimai.model.exposure import exposures
    from seimai.model.trace import trace as documents_of
    from seimai.show import print_exposures, print_trace

    asked = bool(url or domain or document)
    if (step is not None) == asked:
        raise ConfigError("trace: give either --step, or one of --url, --domain and --id")
    if rank >= ranks:
        raise ConfigError(f"--rank {rank}: of how many ranks? Give --ranks, the processes of the training")
    if step is not None:
        print_trace(documents_of(model, step, data=data, rank=rank, ranks=ranks, text=text))
    else:
        print_exposures(exposures(model, urls=url or (), domains=domain or (), ids=document or (), data=data))


def main() -> None:
    """Run the command line: a user's mistake is one line and exit code 1, a wrong usage exit code 2."""
    # At its end Python looks for cycles among all objects: 0.3 s once numba has run, for memory that goes back anyway.
    atexit.register(gc.freeze)
    try:
        app()
    except SeimaiError as error:
        sys.stderr.write(f"seimai: {error}\n")
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        place = error.filename or "the disk"
        sys.stderr.write(f"seimai: {place}: no space left; free some, then type the same command again\n")
        raise SystemExit(1) from None
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("seimai"):
            raise
        sys.stderr.write(f"seimai: {error.name} is not installed; pip install 'seimai[all]'\n")
        raise SystemExit(1) from None
