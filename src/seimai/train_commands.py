"""The commands `seimai train` and `seimai generate`; several processes come from torchrun."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seimai.errors import ConfigError, SeimaiError

if TYPE_CHECKING:
    from seimai.pipeline.run import Engine

__all__ = ["add_train_commands"]


def add_train_commands(app: typer.Typer) -> None:
    """Make them commands of `app`."""
    app.command(epilog="Example: seimai train configs/model_tiny.toml --data tokens --out model --steps 300")(train)
    app.command(epilog='Example: seimai generate model --prompt "今日は" --tokens 60')(generate)


Set = Annotated[list[str] | None, typer.Option("--set", help="Override a key: section.key=value (TOML); repeatable.")]


def train(
    config: Annotated[Path, typer.Argument(help="TOML file of the model, for example configs/model_tiny.toml.")],
    data: Annotated[str, typer.Option(help="Folder or address of token shards; with --tokenizer, folder of a run.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, metrics and the final model.")],
    tokenizer: Annotated[
        Path | None, typer.Option(help="Encode the run with it first, where that is not done.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps in all; wins over the config.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights and order; wins over the config.")] = None,
    set_: Set = None,
) -> None:
    """Train a compact decoder; type the same command again to go on.

    On N devices: torchrun --nproc-per-node N -m seimai train …
    """
    first = os.environ.get("RANK", "0") == "0"
    try:
        _train(config, data, out, tokenizer, steps, seed, set_ or [], first)
    except SeimaiError:
        # One line for all ranks; the others fail by the same mistake or because rank 0 stopped.
        if first:
            raise
        raise typer.Exit(1) from None


def _train(
    config: Path,
    data: str,
    out: Path,
    tokenizer: Path | None,
    steps: int | None,
    seed: int | None,
    overrides: list[str],
    first: bool,
) -> None:
    from seimai.config import load_config
    from seimai.encoding import tokens_for
    from seimai.model.train import train as run_training
    from seimai.model.train_config import TrainConfig
    from seimai.show import console, print_training

    def engine() -> "Engine":
        from seimai.pipeline.run import Engine

        return Engine()

    if tokenizer is not None and os.environ.get("WORLD_SIZE", "1") != "1":
        raise ConfigError(f"--tokenizer {tokenizer}: several processes would encode at once; run `seimai encode` first")
    settings = load_config(config, TrainConfig, overrides)
    tokens = data if "://" in data else tokens_for(Path(data), tokenizer, engine, console())
    summary = run_training(settings, tokens, out, steps=steps, seed=seed, console=console() if first else None)
    if first:
        print_training(summary)


def generate(
    model: Annotated[Path, typer.Argument(help="Folder of a training, a checkpoint or a final model.")],
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
