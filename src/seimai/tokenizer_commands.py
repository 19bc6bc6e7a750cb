"""The commands `seimai tokenizer`: count, train, judge, explain, extend and export tokenizers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from seimai.errors import ConfigError
from seimai.shared_options import with_options
from seimai.stopping import stoppable

if TYPE_CHECKING:
    from seimai.pipeline.run import Engine
    from seimai.tokenizer.count_sample import CountSettings
    from seimai.tokenizer.report import Text
    from seimai.tokenizer.sources import HeldOut

__all__ = ["tokenizer_app"]

tokenizer_app = typer.Typer(help="Train and judge tokenizers.", no_args_is_help=True, rich_markup_mode=None)

FIGURES = ("bytes_per_token", "chars_per_token", "fertility", "single_byte_share", "partial_char_share")
Balance = Annotated[str, typer.Option("--balance", help="Parts of languages, as ja=0.5,en=0.5.")]
TextField = Annotated[str, typer.Option(help="Text column of plain files.")]


class Reading(NamedTuple):
    """How text is read and counted."""

    counting: "CountSettings"
    text_field: str
    held_out: "HeldOut"
    engine: "Engine"


def _reading(
    sample_bytes: Annotated[
        int, typer.Option(help="UTF-8 bytes to count, all languages together; 0 for everything.")
    ] = 2_000_000_000,
    balance: Balance = "",
    exponent: Annotated[
        str, typer.Option(help="Or parts by a power of each language's bytes: 0 (equal) to 1 (as it is).")
    ] = "",
    host_cap: Annotated[int, typer.Option(help="Most a host adds to the count of one pre-token; 0 for no limit.")] = 10,
    split: Annotated[
        str,
        typer.Option(
            help="ja-en, ja-en-wide, ja-en-superwords, script, lines, none, gpt2, cl100k, o200k, llama3, qwen2, "
            "deepseek-v3."
        ),
    ] = "ja-en",
    digits: Annotated[int, typer.Option(help="Most digits in one pre-token: 1, 2 or 3.")] = 1,
    glue: Annotated[bool, typer.Option(help="Punctuation joins the Japanese phrase behind it.")] = True,
    analyser: Annotated[
        str,
        typer.Option(help="sudachi or mecab: in training no token crosses the end of a Japanese word."),
    ] = "",
    seed: Annotated[int, typer.Option("--seed", help="Seed of the sample.")] = 1,
    text_field: TextField = "text",
    held_out_share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Held-out share of files without a field split.")
    ] = 0.01,
    held_out_seed: Annotated[int, typer.Option(help="Seed that chooses them.")] = 1,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Worker processes; 0 works in this one. Default: all cores.")
    ] = None,
    scheduler: Annotated[
        str, typer.Option(help="Address of a running Dask scheduler, for example tcp://10.0.0.1:8786.")
    ] = "",
) -> Reading:
    from seimai.tokenizer.memory import collect_seldom, leave_pandas_out, leave_scipy_out, return_freed_memory

    return_freed_memory()
    collect_seldom()
    leave_pandas_out()
    leave_scipy_out()
    from seimai.pipeline.run import Engine
    from seimai.tokenizer.count_sample import CountSettings, read_balance
    from seimai.tokenizer.sources import HeldOut

    counting = CountSettings(
        split=split,
        digits=digits,
        glue=glue,
        host_cap=host_cap,
        sample_bytes=sample_bytes,
        seed=seed,
        balance=read_balance(balance, exponent),
        analyser=analyser,
    )
    held_out = HeldOut(held_out_share, held_out_seed)
    return Reading(counting, text_field, held_out, Engine(workers=workers, scheduler=scheduler or None))


@tokenizer_app.command("count", epilog="Example: seimai tokenizer count run --out counts --balance ja=0.5,en=0.5")
@with_options(_reading)
def tokenizer_count(
    reading: Reading,
    source: Annotated[list[Path], typer.Argument(help="Run directory, or .jsonl, .jsonl.zst, .parquet, .txt files.")],
    out: Annotated[Path, typer.Option(help="Folder for counts.parquet.")],
) -> None:
    """Count the pre-tokens of the `train` documents, for any number of trainings; the same command resumes."""
    from seimai.pipeline.progress import Terminal
    from seimai.show import console, print_rows
    from seimai.tokenizer.count_job import count_sources
    from seimai.tokenizer.sources import open_sources

    shards = open_sources(source, field=reading.text_field, held_out=reading.held_out)
    with stoppable(), reading.engine as engine, Terminal(console()) as progress:
        summary = count_sources(shards, out, reading.counting, part_map=engine.results, progress=progress)
    print_rows("Counts", summary)


@tokenizer_app.command("train", epilog="Example: seimai tokenizer train run --out tokenizer --vocab-size 32768")
@with_options(_reading)
def tokenizer_train(
    reading: Reading,
    source: Annotated[list[Path], typer.Argument(help="Folder of counts; or a run or text files, counted first.")],
    out: Annotated[Path, typer.Option(help="Folder for tokenizer.json.")],
    vocab_size: Annotated[int, typer.Option(help="Size with specials; padded to a multiple of 128.")] = 65536,
    vocab_sizes: Annotated[str, typer.Option(help="Several from one training, as 8192,32768: each to OUT/SIZE.")] = "",
    model: Annotated[str, typer.Option(help="bpe, unigram, or fewest (fewest tokens).")] = "bpe",
    backend: Annotated[str, typer.Option(help="seimai, or hf for the trainer of tokenizers (bpe).")] = "seimai",
    boundary: Annotated[bool, typer.Option(help="Parts of characters join only their own character.")] = True,
    max_token_chars: Annotated[int, typer.Option(help="Most characters in a token; 0 for no limit (fewest: 64).")] = 0,
    min_count: Annotated[int, typer.Option(help="Least count of a merged pair.")] = 2,
    superwords: Annotated[
        float, typer.Option(min=0.0, max=0.99, help="Share of merges across phrases, with --split ja-en-superwords.")
    ] = 0.0,
    alphabet: Annotated[
        str, typer.Option(help="bytes; or characters for a SentencePiece .model, with --model unigram.")
    ] = "bytes",
) -> None:
    """Train a tokenizer with the Japanese and English split on the `train` documents, or on counts of them."""
    if _by_characters(alphabet, model, vocab_sizes):
        _train_characters(reading, source, out, vocab_size)
        return
    from seimai.pipeline.progress import Terminal
    from seimai.show import console, print_tokenizer
    from seimai.tokenizer.train import TrainSettings, train_tokenizer

    with stoppable(), reading.engine as engine, Terminal(console()) as progress:
        summary = train_tokenizer(
            source,
            out,
            vocab_size=vocab_size,
            vocab_sizes=_sizes(vocab_sizes),
            settings=TrainSettings(model, backend, boundary, max_token_chars or None, min_count, superwords),
            counting=reading.counting,
            field=reading.text_field,
            held_out=reading.held_out,
            part_map=engine.results,
            progress=progress,
        )
    print_tokenizer(summary)


def _by_characters(alphabet: str, model: str, vocab_sizes: str) -> bool:
    """Whether a character-level Unigram is asked for; ConfigError where the other options do not allow it."""
    if alphabet not in ("bytes", "characters"):
        raise ConfigError(f"--alphabet {alphabet}: there are bytes and characters; use --alphabet bytes")
    if alphabet == "characters" and (model != "unigram" or vocab_sizes):
        raise ConfigError("--alphabet characters is for one size of --model unigram; leave it out, or change those")
    return alphabet == "characters"


def _train_characters(reading: Reading, source: list[Path], out: Path, vocab_size: int) -> None:
    from seimai.pipeline.progress import Terminal
    from seimai.show import console, print_rows
    from seimai.tokenizer.train_characters import train_characters

    with stoppable(), reading.engine as engine, Terminal(console()) as progress:
        summary = train_characters(
            source,
            out,
            vocab_size=vocab_size,
            counting=reading.counting,
            field=reading.text_field,
            held_out=reading.held_out,
            part_map=engine.results,
            progress=progress,
        )
    print_rows("Tokenizer", summary)


def _sizes(words: str) -> list[int]:
    try:
        return [int(word) for word in words.split(",")] if words else []
    except ValueError:
        raise ConfigError(f"--vocab-sizes {words}: not numbers; write 8192,16384,32768") from None


@tokenizer_app.command("eval", epilog="Example: seimai tokenizer eval tokenizer run --baselines all --json eval.json")
def tokenizer_eval(
    paths: Annotated[list[Path], typer.Argument(help="Tokenizers (folders, tokenizer.json, .model), and text.")],
    source: Annotated[
        list[Path] | None, typer.Option(help="Run or text files; `held_out` documents are read; repeatable.")
    ] = None,
    baselines: Annotated[str, typer.Option(help="all, or names such as gpt2,cl100k,o200k,llama3,qwen3.")] = "",
    json_: Annotated[Path | None, typer.Option("--json", help="File for every figure.")] = None,
    plot: Annotated[Path | None, typer.Option(help="SVG file for bytes per token.")] = None,
    split: Annotated[str, typer.Option(help="Documents that are read: held_out or train.")] = "held_out",
    text_field: TextField = "text",
    timed: Annotated[bool, typer.Option("--speed/--no-speed", help="Measure the speed too.")] = True,
) -> None:
    """Judge tokenizers on the same documents: compression with intervals, parity, dead tokens, worst cases, speed."""
    import json

    from seimai.files import write_atomic
    from seimai.tokenizer.baselines import baselines as well_known
    from seimai.tokenizer.judged import is_tokenizer, open_judged
    from seimai.tokenizer.report import judge, read_texts
    from seimai.tokenizer.report_plot import plot as drawn

    chosen = [path for path in paths if is_tokenizer(path)]
    sources = [*(path for path in paths if path not in chosen), *(source or [])]
    if not chosen and not baselines:
        raise ConfigError(f"{', '.join(map(str, paths))}: no tokenizer among them; give a folder with tokenizer.json")
    judged = [open_judged(path) for path in chosen] + well_known(baselines)
    if not sources:
        typer.echo("seimai: no text given; the articles of the sample web are read instead", err=True)
    texts = read_texts(sources, split=split, field=text_field) if sources else _articles()
    with stoppable():
        report = judge(judged, texts, time_it=timed)
    if json_ is not None:
        write_atomic(json_, json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    if plot is not None:
        write_atomic(plot, drawn(report))
    _print_report(report)


def _articles() -> "list[Text]":
    """The articles of the sample web."""
    from seimai.sample.articles import articles
    from seimai.tokenizer.report import Text

    return [Text(str(n), each.lang, "sample", str(n), each.text) for n, each in enumerate(articles()) if each.text]


def _print_report(report: dict[str, Any]) -> None:
    from seimai.show import print_table

    sizes = {row["tokenizer"]: row["vocab_size"] for row in report["tokenizers"]}
    parity = {row["tokenizer"]: row["ja_over_en"] for row in report["parity"]}
    agreement = {row["tokenizer"]: row["f1"] for row in report["boundaries"]}
    dead = {row["tokenizer"]: row["never_reached"] for row in report["vocabulary"]}
    rows = []
    for row in report["rows"]:
        if row["domain"] == "all":
            low, high, name = row["bytes_per_token_low"], row["bytes_per_token_high"], row["tokenizer"]
            shown = [f"{row[key]:.3f}" if row[key] is not None else "" for key in FIGURES]
            between = f"{low:.3f}-{high:.3f}" if low is not None else ""
            rows.append((row["lang"], name, sizes[name], shown[0], between, *shown[1:], row["round_trip_failures"]))
    names = ["", "tokenizer", "ids", "bytes", "95 %", "chars", "a word", "single", "partial", "lost"]
    print_table(
        f"{report['documents']:,} documents", names, sorted(rows, key=lambda row: (row[0], -float(row[3] or 0)))
    )
    facts = [(name, f"{parity[name]:.3f}" if name in parity else "", f"{agreement.get(name, 0):.3f}", dead[name])
             for name in sizes]  # fmt: skip
    print_table("Vocabularies", ["tokenizer", "ja/en tokens", "word cuts (F1)", "never reached"], facts)


@tokenizer_app.command("extend", epilog="Example: seimai tokenizer extend base.json --source run --out extended")
@with_options(_reading)
def tokenizer_extend(
    reading: Reading,
    base: Annotated[Path, typer.Argument(help="tokenizer.json, a tiktoken file, or a tokenizer of ours.")],
    out: Annotated[Path, typer.Option(help="New folder.")],
    tokens: Annotated[int, typer.Option(min=1, help="Tokens to append.")] = 8000,
    source: Annotated[list[Path] | None, typer.Option(help="Run or text files to learn from; repeatable.")] = None,
    counts: Annotated[Path | None, typer.Option(help="Or a folder of counts.")] = None,
    proof: Annotated[
        list[Path] | None, typer.Option(help="More texts for the proof, besides what is held out.")
    ] = None,
    base_split: Annotated[str, typer.Option(help="Split of a tiktoken file: gpt2, cl100k, o200k, llama3, qwen2.")] = "",
    base_pattern: Annotated[Path | None, typer.Option(help="Or a file with its regular expression.")] = None,
    special: Annotated[list[str] | None, typer.Option(help="Its special tokens, as NAME=ID; repeatable.")] = None,
) -> None:
    """Append Japanese tokens to a vocabulary; every old id and every old encoding stays, which is proven first."""
    from seimai.pipeline.progress import Terminal
    from seimai.show import console, print_rows
    from seimai.tokenizer.base import open_base
    from seimai.tokenizer.extend_run import extend_from

    pattern = base_pattern.read_bytes().decode().rstrip("\n") if base_pattern else ""
    found = open_base(base, split=base_split, pattern=pattern, specials=_specials(special) if special else None)
    with stoppable(), reading.engine as engine, Terminal(console()) as progress:
        summary = extend_from(
            found,
            out,
            tokens,
            source=source or [],
            counts=counts,
            proof=proof or [],
            more_proof=[each.text for each in _articles()],
            counting=reading.counting,
            field=reading.text_field,
            held_out=reading.held_out,
            part_map=engine.results,
            progress=progress,
        )
    print_rows("Extended, and proven", summary)


def _specials(words: list[str]) -> dict[str, int]:
    try:
        return {name: int(number) for name, _, number in (word.rpartition("=") for word in words)}
    except ValueError:
        raise ConfigError(f"--special {' '.join(words)}: write NAME=ID, as '<|endoftext|>=50256'") from None


@tokenizer_app.command("why", epilog="Example: seimai tokenizer why 東京 --tokenizer tokenizer --source run")
def tokenizer_why(
    token: Annotated[str, typer.Argument(help="The token's text, or its id as #300.")],
    tokenizer: Annotated[Path, typer.Option(help="Folder with tokenizer.json.")],
    counts: Annotated[Path | None, typer.Option(help="Folder of counts it was trained on.")] = None,
    source: Annotated[list[Path] | None, typer.Option(help="Run or text files, for documents and hosts.")] = None,
    text_field: TextField = "text",
) -> None:
    """What made a token: its merges, its count, the documents, hosts and languages it stands in, examples."""
    from seimai.show import print_rows, print_table
    from seimai.tokenizer.why import why

    found = why(token, tokenizer, counts=counts, source=source or [], field=text_field)
    print_rows(f"Token {found.id}", found.facts)
    for title, names, rows in found.tables:
        print_table(title, names, rows)


@tokenizer_app.command("export", epilog="Example: seimai tokenizer export tokenizer --to tiktoken --out exported")
def tokenizer_export(
    tokenizer: Annotated[Path, typer.Argument(help="Folder with tokenizer.json.")],
    out: Annotated[Path, typer.Option(help="New folder.")],
    to: Annotated[str, typer.Option(help="hf, tiktoken or sentencepiece.")] = "hf",
    chat_template: Annotated[Path | None, typer.Option(help="Jinja file for hf, instead of our own.")] = None,
    evaluation: Annotated[Path | None, typer.Option(help="JSON of `tokenizer eval`, for the model card.")] = None,
) -> None:
    """The same tokenizer for transformers, tiktoken or SentencePiece; refused with the reason where not exact."""
    from seimai.tokenizer.export import CHAT_TEMPLATE, export_tokenizer, format_named

    template = chat_template.read_text(encoding="utf-8") if chat_template else CHAT_TEMPLATE
    for name in export_tokenizer(tokenizer, out, format_named(to), chat_template=template, evaluation=evaluation):
        typer.echo(out / name)
