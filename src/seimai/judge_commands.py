"""The commands that judge trainings: evaluate, compare-positions, ablate, and plan-training before them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seimai.errors import ConfigError
from seimai.stopping import stoppable

if TYPE_CHECKING:
    from seimai.model.paired import Comparison

__all__ = ["add_judge_commands", "add_tokenizer_ablate"]


def add_judge_commands(app: typer.Typer) -> None:
    """Make them commands of `app`."""
    app.command(epilog="Example: seimai evaluate model --data tokens")(evaluate)
    example = "Example: seimai compare-positions configs/compare_positions.toml --data tokens --out positions"
    app.command("compare-positions", epilog=example)(compare_positions)
    example = "Example: seimai ablate tokens-a tokens-b --config configs/model_tiny.toml --out ablation --seeds 3"
    app.command(epilog=example)(ablate)
    app.command("plan-training", epilog="Example: seimai plan-training --hours 8 --device H200 --data tokens")(
        plan_training
    )


def add_tokenizer_ablate(tokenizer_app: typer.Typer) -> None:
    """Make `ablate` a command of `seimai tokenizer`."""
    example = "Example: seimai tokenizer ablate tok-a tok-b run --config configs/model_tiny.toml --out ablation"
    tokenizer_app.command("ablate", epilog=example)(ablate_tokenizers)


Data = Annotated[Path, typer.Option(help="Folder of token shards.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Override a key: section.key=value (TOML); repeatable.")]
Seeds = Annotated[int, typer.Option(min=2, help="Trainings of each side, alike but for their seed.")]
Lengths = Annotated[str, typer.Option(help="Multiples of the trained length, from 1 on.")]
MaxDocuments = Annotated[int, typer.Option(min=0, help="Most held-out documents of each language; 0 for all.")]


def evaluate(
    model: Annotated[Path, typer.Argument(help="Folder of a training or of a final model.")],
    data: Data,
    lengths: Lengths = "1,2,4,8",
    scaling: Annotated[str, typer.Option(help="none, linear, ntk, dynamic, yarn or llama3 beyond 1.")] = "none",
    max_documents: MaxDocuments = 0,
) -> None:
    """Bits per byte by language on held-out documents, and the loss of longer texts than were trained."""
    from seimai.model.evaluate import bits_per_byte_by_language, open_with_model
    from seimai.model.extrapolation import loss_by_length
    from seimai.model.training_series import keep_lengths
    from seimai.show import print_table

    asked = _lengths(lengths)
    trained, shards = open_with_model(model, data)
    scores = bits_per_byte_by_language(trained, shards, max_documents=max_documents or None)
    names = ["language", "bits per byte", "nats a token", "documents", "bytes"]
    rows = [(lang, s.bits_per_byte, s.nats_per_token, s.documents, s.n_bytes) for lang, s in scores.items()]
    print_table("Held-out documents", names, rows)
    by_length = loss_by_length(trained, shards, asked, scaling)  # type: ignore[arg-type]  # checked there
    keep_lengths(model, scaling, by_length)
    if by_length:
        title = "The same targets behind more context, nats a token"
        print_table(title, ["tokens", "loss"], [(n, "n/a" if nats is None else nats) for n, nats in by_length.items()])
    else:
        typer.echo(f"no held-out document is {max(asked)} times as long as the trained rows; give smaller --lengths")


def compare_positions(
    config: Annotated[Path, typer.Argument(help="TOML file of a training; model.positions is set by the command.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the trainings, the table and the plot.")],
    seeds: Seeds = 3,
    lengths: Lengths = "1,2,4,8",
    kinds: Annotated[str, typer.Option(help="Some kinds only, as rope,alibi. Default: all seven.")] = "",
    max_documents: MaxDocuments = 64,
    set_: Set = None,
) -> None:
    """Train every kind of positions alike and judge each within and beyond the trained length; resumes."""
    from seimai.config import load_config
    from seimai.model.compare_positions import KINDS
    from seimai.model.compare_positions import compare_positions as compare
    from seimai.model.runtime import leave_on_signal
    from seimai.model.train_config import TrainConfig
    from seimai.show import console

    chosen = tuple(kinds.split(",")) if kinds else KINDS
    with stoppable(), leave_on_signal() as asked:
        found = compare(
            load_config(config, TrainConfig, set_ or []),
            data,
            out,
            seeds=seeds,
            lengths=_lengths(lengths),
            kinds=chosen,  # type: ignore[arg-type]  # names are checked there
            max_documents=max_documents or None,
            console=console(),
            stop=asked.is_set,
        )
    if not found.finished:
        typer.echo(f"{out}: not finished; the same command goes on")
        raise typer.Exit(130)
    typer.echo(found.table.read_text(encoding="utf-8"))
    typer.echo(f"{found.table}  {found.plot or 'no plot: pip install seimai[plot], then the same command draws it'}")


def ablate(
    a: Annotated[Path, typer.Argument(help="Folder of token shards: side A.")],
    config: Annotated[Path, typer.Option(help="TOML file of the training, the same for both sides.")],
    out: Annotated[Path, typer.Option(help="Folder for the trainings and the verdict.")],
    b: Annotated[Path | None, typer.Argument(help="Side B; A's own folder if not given.")] = None,
    where_a: Annotated[str | None, typer.Option(help="Condition on A's documents, as quality > 0.5.")] = None,
    where_b: Annotated[str | None, typer.Option(help="Condition on B's documents.")] = None,
    held_out: Annotated[Path | None, typer.Option(help="Token shards to judge by. Default: A's and B's own.")] = None,
    seeds: Seeds = 3,
    margin: Annotated[float, typer.Option(min=0.0, help="Least difference that counts, as a share.")] = 0.005,
    max_documents: MaxDocuments = 0,
    set_: Set = None,
) -> None:
    """Is B better than A to train on? Equal trainings, paired bits per byte, an interval and a verdict; resumes."""
    from seimai.config import load_config
    from seimai.model.ablate import Side
    from seimai.model.ablate import ablate as compare
    from seimai.model.runtime import leave_on_signal
    from seimai.model.train_config import TrainConfig
    from seimai.show import console, print_table

    if b is None and where_a == where_b:
        raise ConfigError("A and B are the same; give a second folder, or --where-a and --where-b")
    sides = Side(a, where_a), Side(b or a, where_b)
    settings = load_config(config, TrainConfig, set_ or [])
    with stoppable(), leave_on_signal() as asked:
        found = compare(
            settings,
            *sides,
            out,
            held_out=held_out,
            seeds=seeds,
            margin=margin,
            max_documents=max_documents or None,
            console=console(),
            stop=asked.is_set,
        )
    if found.comparison is None:
        typer.echo(f"{out}: not finished; the same command goes on")
        raise typer.Exit(130)
    names = ["held-out text", "A", "B", "B / A - 1", "95 % interval", "documents", "hosts"]
    rows = [_row(name, each) for name, each in {"all": found.comparison, **found.parts}.items()]
    print_table("Bits per byte", names, rows)
    typer.echo(f"B is {_said(found.comparison)} (margin {margin:.2%}, {seeds} seeds)")
    for note in found.notes:
        typer.echo(note)


def ablate_tokenizers(
    a: Annotated[Path, typer.Argument(help="Folder with tokenizer.json: A.")],
    b: Annotated[Path, typer.Argument(help="Folder with tokenizer.json: B.")],
    source: Annotated[list[Path], typer.Argument(help="The text: a run, or .jsonl, .jsonl.zst, .parquet, .txt files.")],
    config: Annotated[Path, typer.Option(help="TOML file of a training; its steps are A's.")],
    out: Annotated[Path, typer.Option(help="Folder for token shards, trainings and the verdict.")],
    seeds: Seeds = 3,
    margin: Annotated[float, typer.Option(min=0.0, help="Least difference that counts, as a share.")] = 0.005,
    max_documents: MaxDocuments = 0,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Worker processes that encode; 0 works in this one. Default: all cores.")
    ] = None,
    set_: Set = None,
) -> None:
    """Is tokenizer B better than A? Trained at equal bytes and equal operations, judged by bits per byte; resumes."""
    from seimai.config import load_config
    from seimai.encoding import encode_source
    from seimai.model.ablate_tokenizers import ablate_tokenizers as compare
    from seimai.model.runtime import leave_on_signal
    from seimai.model.train_config import TrainConfig
    from seimai.pipeline.run import Engine
    from seimai.show import console, print_table

    settings = load_config(config, TrainConfig, set_ or [])
    tokens = out / "tokens-a", out / "tokens-b"
    with stoppable(), Engine(workers=workers) as engine:
        for tokenizer, folder in zip((a, b), tokens, strict=True):
            encode_source(source, tokenizer, folder, engine, console())
    with stoppable(), leave_on_signal() as asked:
        found = compare(
            settings,
            *tokens,
            out,
            seeds=seeds,
            margin=margin,
            max_documents=max_documents or None,
            console=console(),
            stop=asked.is_set,
        )
    if not found.finished:
        typer.echo(f"{out}: not finished; the same command goes on")
        raise typer.Exit(130)
    spent = [(n, each.steps, f"{each.n_bytes / 1e6:,.2f} MB", f"{each.flops:.3g}") for n, each in found.budgets.items()]
    print_table("Trained", ["", "steps", "text", "operations"], spent)
    names = ["B at", "A", "B", "B / A - 1", "95 % interval", "documents", "hosts"]
    print_table("Bits per byte", names, [_row(name, each) for name, each in found.comparisons.items()])
    for name, each in found.comparisons.items():
        typer.echo(f"at {name} B is {_said(each)}")
    typer.echo(f"verdict: {found.verdict} (margin {margin:.2%}, {seeds} seeds; only what both comparisons say)")


def plan_training(
    config: Annotated[
        Path | None, typer.Argument(help="TOML file of a training; without it the depth is found.")
    ] = None,
    hours: Annotated[float | None, typer.Option(help="Budget in hours.")] = None,
    flops: Annotated[float | None, typer.Option(help="Budget in operations, as 1e19.")] = None,
    tokens: Annotated[float | None, typer.Option(help="Tokens to train on, as 2.5e9.")] = None,
    device: Annotated[str, typer.Option(help="here, or a listed device as H200, H100, A100.")] = "here",
    devices: Annotated[int, typer.Option(min=1, help="How many of them.")] = 1,
    mfu: Annotated[float, typer.Option(help="Share of the peak that is reached.")] = 0.4,
    like: Annotated[Path | None, typer.Option(help="Folder of a training whose speed is taken instead.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Token shards: their vocabulary, and whether they are enough.")
    ] = None,
    vocab_size: Annotated[int, typer.Option(min=1, help="Vocabulary where no --data is given.")] = 65_536,
    tokens_per_parameter: Annotated[float, typer.Option(help="Tokens for each parameter; Chinchilla's 20.")] = 20.0,
    set_: Set = None,
) -> None:
    """Parameters, tokens and hours that fit a budget, or what a model and its tokens cost; says what it assumes."""
    from seimai.config import load_config
    from seimai.model import plan_training as planning
    from seimai.model.shards import open_tokens
    from seimai.model.train_config import TrainConfig
    from seimai.show import print_table

    if set_ and config is None:
        raise ConfigError(f"--set {set_[0]} needs a config to change; give one")
    settings = None if config is None else load_config(config, TrainConfig, set_ or [])
    shards = None if data is None else open_tokens(data)
    available = None if shards is None else int(shards.n_tokens[~shards.held_out].sum())
    speed = planning.speed_of_training(like) if like else planning.speed_of(device, mfu=mfu, devices=devices)
    found = planning.plan_training(
        settings,
        speed,
        vocab_size=vocab_size if shards is None else shards.tokenizer["vocab_size"],
        flops=flops,
        hours=hours,
        tokens=tokens,
        tokens_per_parameter=tokens_per_parameter,
        available_tokens=available,
    )
    shown = sorted((found.best, *found.around), key=lambda plan: plan.depth)
    figures = [
        ("best", *("here" if plan is found.best else "" for plan in shown)),
        ("parameters", *(plan.parameters for plan in shown)),
        ("  in matrices (N)", *(plan.matrices for plan in shown)),
        ("tokens (D)", *(round(plan.tokens) for plan in shown)),
        ("tokens a parameter", *(round(plan.tokens_per_parameter, 1) for plan in shown)),
        ("steps", *(plan.steps for plan in shown)),
        ("operations, 6ND", *(f"{plan.flops:.3g}" for plan in shown)),
        ("  with attention", *(f"{plan.flops_attention:.3g}" for plan in shown)),
        ("hours", *(f"{plan.hours:.3g}" for plan in shown)),
    ]
    if available is not None:
        figures.append(("epochs of the data", *(f"{plan.epochs:.2g}" for plan in shown)))
    rows = [figure for figure in figures if len(shown) > 1 or figure[0] != "best"]
    print_table("Training", ["", *(f"depth {plan.depth}, width {plan.d_model:,}" for plan in shown)], rows)
    for line in found.assumptions:
        typer.echo(f"assumed: {line}")
    for line in found.warnings:
        typer.echo(f"seimai: warning: {line}", err=True)


def _lengths(words: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in words.split(","))
    except ValueError:
        raise ConfigError(f"--lengths {words}: not numbers; write 1,2,4,8") from None


def _row(name: str, each: "Comparison") -> tuple[str, float, float, str, str, int, int]:
    interval = f"{each.low:+.2%} to {each.high:+.2%}"
    return (
        name,
        each.bits_per_byte_a,
        each.bits_per_byte_b,
        f"{each.difference:+.2%}",
        interval,
        each.documents,
        each.hosts,
    )


def _said(each: "Comparison") -> str:
    if each.verdict != "cannot be told apart":
        return f"{each.verdict} than A"
    return "as good as A, within the margin" if each.within_margin else "not to be told apart from A"
