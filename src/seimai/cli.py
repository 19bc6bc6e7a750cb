"""The command `seimai`: each command reads its options, calls one library function and prints what it returns."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seimai.dataset_commands import dataset_app
from seimai.dedup_commands import dedup_app
from seimai.errors import ConfigError, RunError, SeimaiError

if TYPE_CHECKING:
    from seimai.pipeline.run import Engine

__all__ = ["app", "main"]

app = typer.Typer(
    name="seimai",
    help="Polish raw web crawls into clean Japanese and English corpora, tokenizers and training data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
tokenizer_app = typer.Typer(help="Train and judge tokenizers.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(tokenizer_app, name="tokenizer")
app.add_typer(dataset_app, name="dataset")
app.add_typer(dedup_app, name="dedup")

Set = Annotated[list[str] | None, typer.Option("--set", help="Override a key: section.key=value (TOML); repeatable.")]
Workers = Annotated[int | None, typer.Option(min=0, help="Worker processes; 0 works in this one. Default: all cores.")]
Scheduler = Annotated[str, typer.Option(help="Address of a running Dask scheduler, for example tcp://10.0.0.1:8786.")]
SampleBytes = Annotated[int, typer.Option(help="UTF-8 bytes to count, all languages together; 0 for everything.")]
BalanceOption = Annotated[str, typer.Option("--balance", help="Parts of languages, as ja=0.5,en=0.5.")]
Exponent = Annotated[str, typer.Option(help="Or parts by a power of each language's bytes: 0 (equal) to 1 (as it is).")]
HostCap = Annotated[int, typer.Option(help="Most a host adds to the count of one pre-token; 0 for no limit.")]
Split = Annotated[str, typer.Option(help="ja-en, script, none, gpt2, cl100k, o200k, llama3, qwen2, deepseek-v3.")]
Glue = Annotated[bool, typer.Option(help="Punctuation joins the Japanese phrase behind it.")]
Digits = Annotated[int, typer.Option(help="Most digits in one pre-token: 1, 2 or 3.")]
SampleSeed = Annotated[int, typer.Option("--seed", help="Seed of the sample.")]
TextField = Annotated[str, typer.Option(help="Text column of plain files.")]
HeldOutShare = Annotated[float, typer.Option(min=0.0, max=1.0, help="Held-out share of files without a field split.")]
HeldOutSeed = Annotated[int, typer.Option(help="Seed that chooses them.")]


@contextmanager
def _stoppable() -> Iterator[None]:
    """Ctrl-C in long work: one line, exit code 130 as shells expect."""
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write("seimai: stopped; the same command goes on where it was\n")
        raise typer.Exit(130) from None


@app.command(epilog="Example: seimai demo --out demo")
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("demo"),
    workers: Workers = None,
) -> None:
    """Do the whole job on a small sample web: crawl, corpus, tokenizer, token shards, model, generated text."""
    from seimai.demo import demo as run_demo

    with _stoppable():
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
    out: Annotated[Path, typer.Option(help="Run directory; the same one resumes.")],
    input: Annotated[
        list[str] | None, typer.Option(help="WARC or WET: path, glob, fsspec or http URL; repeatable.")
    ] = None,
    set_: Set = None,
    workers: Workers = None,
    scheduler: Scheduler = "",
    memory_limit: Annotated[str, typer.Option(help="Memory of one worker, for example 2GB.")] = "auto",
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Empty a run directory read with other settings.")] = False,
    check_inputs: Annotated[bool, typer.Option("--check-inputs", help="Read every archive's bytes again.")] = False,
) -> None:
    """Turn crawl archives into clean text shards; type the same command again to resume."""
    from seimai.config import load_config
    from seimai.pipeline.bands import describe_bands
    from seimai.pipeline.job import polish
    from seimai.pipeline.progress import Terminal
    from seimai.pipeline.run import Engine
    from seimai.pipeline.settings import RunConfig
    from seimai.pipeline.writing import quality_warnings
    from seimai.show import console, print_run

    settings = load_config(config, RunConfig, set_ or [])
    bands = describe_bands(settings.dedup.shape, settings.dedup.threshold, settings.dedup.verify)
    typer.echo(f"Near-duplicates: {bands}")
    for warning in quality_warnings(settings.quality, settings.cleaning.line_rules):
        typer.echo(f"seimai: warning: {warning}", err=True)
    engine = Engine(workers=workers, scheduler=scheduler or None, memory_limit=memory_limit)
    with _stoppable(), Terminal(console()) as progress:
        if scheduler:
            typer.echo(f"Dask dashboard: {engine.dashboard()}")
        summary = polish(
            settings,
            out,
            inputs=input or [],
            engine=engine,
            rebuild=rebuild,
            check_inputs=check_inputs,
            progress=progress,
        )
    print_run(summary)
    if summary.failed_parts:
        first = summary.failed_parts[0]
        raise RunError(
            f"{len(summary.failed_parts)} parts failed, the first is {first['part']}: {first['error']}; "
            "the rest is finished, type the same command again for them"
        )


@app.command(epilog="Example: seimai verify run")
def verify(path: Annotated[Path, typer.Argument(help="Run directory, or a folder of token shards.")]) -> None:
    """Compare every file with the manifest's SHA-256; name what is changed, missing or unlisted."""
    if not path.is_dir():
        raise RunError(f"{path}: no such folder; give a run directory or a folder of token shards")
    from seimai.verify import verify as check

    files, size = check(path)
    typer.echo(f"{path}: {files:,} files, {size / 1e6:,.1f} MB, all as the manifest says")


@tokenizer_app.command("count", epilog="Example: seimai tokenizer count run --out counts --balance ja=0.5,en=0.5")
def tokenizer_count(
    source: Annotated[list[Path], typer.Argument(help="Run directory, or .jsonl, .jsonl.zst, .parquet, .txt files.")],
    out: Annotated[Path, typer.Option(help="Folder for counts.parquet.")],
    sample_bytes: SampleBytes = 2_000_000_000,
    balance: BalanceOption = "",
    exponent: Exponent = "",
    host_cap: HostCap = 10,
    split: Split = "ja-en",
    digits: Digits = 1,
    glue: Glue = True,
    seed: SampleSeed = 1,
    text_field: TextField = "text",
    held_out_share: HeldOutShare = 0.01,
    held_out_seed: HeldOutSeed = 1,
    workers: Workers = None,
    scheduler: Scheduler = "",
) -> None:
    """Count the pre-tokens of the `train` documents, for any number of trainings; the same command resumes."""
    from seimai.tokenizer.memory import return_freed_memory

    return_freed_memory()
    from seimai.pipeline.progress import Terminal
    from seimai.pipeline.run import Engine
    from seimai.show import console, print_rows
    from seimai.tokenizer.count_job import count_sources
    from seimai.tokenizer.count_sample import CountSettings, read_balance
    from seimai.tokenizer.sources import HeldOut, open_sources

    settings = CountSettings(
        split=split,
        digits=digits,
        glue=glue,
        host_cap=host_cap,
        sample_bytes=sample_bytes,
        seed=seed,
        balance=read_balance(balance, exponent),
    )
    shards = open_sources(source, field=text_field, held_out=HeldOut(held_out_share, held_out_seed))
    with (
        _stoppable(),
        Engine(workers=workers, scheduler=scheduler or None) as engine,
        Terminal(console()) as progress,
    ):
        summary = count_sources(shards, out, settings, part_map=engine.results, progress=progress)
    print_rows("Counts", summary)


@tokenizer_app.command("train", epilog="Example: seimai tokenizer train run --out tokenizer --vocab-size 32768")
def tokenizer_train(
    source: Annotated[list[Path], typer.Argument(help="Folder of counts; or a run or text files, counted first.")],
    out: Annotated[Path, typer.Option(help="Folder for tokenizer.json.")],
    vocab_size: Annotated[int, typer.Option(help="Size with specials; padded to a multiple of 128.")] = 65536,
    vocab_sizes: Annotated[str, typer.Option(help="Several from one training, as 8192,32768: each to OUT/SIZE.")] = "",
    model: Annotated[str, typer.Option(help="bpe or unigram.")] = "bpe",
    backend: Annotated[str, typer.Option(help="seimai, or hf for the trainer of tokenizers (bpe).")] = "seimai",
    boundary: Annotated[bool, typer.Option(help="Parts of characters join only their own character.")] = True,
    max_token_chars: Annotated[int, typer.Option(help="Most characters in a token; 0 for no limit.")] = 0,
    min_count: Annotated[int, typer.Option(help="Least count of a merged pair.")] = 2,
    sample_bytes: SampleBytes = 2_000_000_000,
    balance: BalanceOption = "",
    exponent: Exponent = "",
    host_cap: HostCap = 10,
    split: Split = "ja-en",
    digits: Digits = 1,
    glue: Glue = True,
    seed: SampleSeed = 1,
    text_field: TextField = "text",
    held_out_share: HeldOutShare = 0.01,
    held_out_seed: HeldOutSeed = 1,
    workers: Workers = None,
    scheduler: Scheduler = "",
) -> None:
    """Train a tokenizer with the Japanese and English split on the `train` documents, or on counts of them."""
    from seimai.tokenizer.memory import return_freed_memory

    return_freed_memory()
    from seimai.pipeline.progress import Terminal
    from seimai.pipeline.run import Engine
    from seimai.show import console, print_tokenizer
    from seimai.tokenizer.count_sample import CountSettings, read_balance
    from seimai.tokenizer.sources import HeldOut
    from seimai.tokenizer.train import TrainSettings, train_tokenizer

    with (
        _stoppable(),
        Engine(workers=workers, scheduler=scheduler or None) as engine,
        Terminal(console()) as progress,
    ):
        summary = train_tokenizer(
            source,
            out,
            vocab_size=vocab_size,
            vocab_sizes=_sizes(vocab_sizes),
            settings=TrainSettings(model, backend, boundary, max_token_chars or None, min_count),
            counting=CountSettings(
                split=split,
                digits=digits,
                glue=glue,
                host_cap=host_cap,
                sample_bytes=sample_bytes,
                seed=seed,
                balance=read_balance(balance, exponent),
            ),
            field=text_field,
            held_out=HeldOut(held_out_share, held_out_seed),
            part_map=engine.results,
            progress=progress,
        )
    print_tokenizer(summary)


def _sizes(words: str) -> list[int]:
    try:
        return [int(word) for word in words.split(",")] if words else []
    except ValueError:
        raise ConfigError(f"--vocab-sizes {words}: not numbers; write 8192,16384,32768") from None


@tokenizer_app.command("eval", epilog="Example: seimai tokenizer eval tokenizer run")
def tokenizer_eval(
    tokenizer: Annotated[Path, typer.Argument(help="Folder with tokenizer.json.")],
    source: Annotated[list[Path], typer.Argument(help="Run directory or text files; `held_out` documents are read.")],
) -> None:
    """Compression, fertility and round trips by language, on held-out documents."""
    from seimai.show import print_evaluation
    from seimai.tokenizer.evaluate import evaluate

    print_evaluation(evaluate(tokenizer, source))


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

    with _stoppable(), Engine(workers=workers, scheduler=scheduler or None) as engine:
        print_rows("Token shards", encode_source(source, tokenizer, out, engine, console()))


@app.command(epilog="Example: seimai train configs/model_tiny.toml --data tokens --out model --steps 300")
def train(
    config: Annotated[Path, typer.Argument(help="TOML file of the model, for example configs/model_tiny.toml.")],
    data: Annotated[str, typer.Option(help="Folder or address of token shards; with --tokenizer, folder of a run.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, metrics and the final model.")],
    tokenizer: Annotated[
        Path | None, typer.Option(help="Encode the run with it first, where that is not done.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps in all; wins over the config.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights and order; wins over the config.")] = None,
) -> None:
    """Train a compact decoder; type the same command again to go on."""
    from seimai.encoding import tokens_for
    from seimai.model.train import train as run_training
    from seimai.show import console, print_training

    def engine() -> "Engine":
        from seimai.pipeline.run import Engine

        return Engine()

    tokens = data if "://" in data else tokens_for(Path(data), tokenizer, engine, console())
    print_training(run_training(config, tokens, out, steps=steps, seed=seed, console=console()))


@app.command(epilog='Example: seimai generate model --prompt "今日は" --tokens 60')
def generate(
    model: Annotated[Path, typer.Argument(help="Folder of a training or of a final model.")],
    prompt: Annotated[list[str] | None, typer.Option(help="Text to go on from; repeatable.")] = None,
    tokens: Annotated[int, typer.Option(min=1, help="Most new tokens.")] = 100,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest token.")] = 0.8,
    top_p: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of probability that is drawn from.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
) -> None:
    """Write text with a trained model, as it comes."""
    from seimai.model.generate import Sampling
    from seimai.model.generate import generate as write

    sampling = Sampling(max_new_tokens=tokens, temperature=temperature, top_p=top_p, seed=seed)
    for text in prompt or [""]:
        typer.echo(text, nl=False)
        write(model, [text], sampling=sampling, stream=lambda _, piece: typer.echo(piece, nl=False))
        typer.echo()


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
    if step is not None:
        print_trace(documents_of(model, step, data=data, rank=rank, ranks=ranks, text=text))
    else:
        print_exposures(exposures(model, urls=url or (), domains=domain or (), ids=document or (), data=data))


def main() -> None:
    """Run the command line: a user's mistake is one line and exit code 1, a wrong usage exit code 2."""
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
