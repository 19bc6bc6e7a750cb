"""The commands `seimai train` and `seimai generate`; several processes come from torchrun."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seimai.errors import ConfigError, SeimaiError

if TYPE_CHECKING:
    from seimai.model.train_config import TrainConfig
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
    init_from: Annotated[
        Path | None, typer.Option(help="Hugging Face folder (Llama, Qwen3, GPT-2, MPT) to go on from.")
    ] = None,
    embedding_map: Annotated[
        Path | None, typer.Option(help="embedding_map.json of `tokenizer extend`, where the vocabulary was extended.")
    ] = None,
) -> None:
    """Train a compact decoder; type the same command again to go on.

    On N devices: torchrun --nproc-per-node N -m seimai train …
    """
    first = os.environ.get("RANK", "0") == "0"
    try:
        begun = {"train.init_from": init_from, "train.embedding_map": embedding_map}
        given = [f"{key}={json.dumps(str(path))}" for key, path in begun.items() if path is not None]
        _train(config, data, out, tokenizer, steps, seed, [*(set_ or []), *given], first)
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
    if first:
        _tell_export(settings)
    summary = run_training(settings, tokens, out, steps=steps, seed=seed, console=console() if first else None)
    if first:
        print_training(summary)


def _tell_export(settings: "TrainConfig") -> None:
    """Which class of Transformers will compute the model, or that none will."""
    from seimai.model.config import resolve_body
    from seimai.model.hf_config import CLASSES, family_of
    from seimai.model.init_from import sized_like

    family, reason = family_of(resolve_body(sized_like(settings).model, 1))
    if family is None:
        typer.echo(f"seimai: warning: `seimai export` will write REMOTE CODE: {reason}", err=True)
    else:
        typer.echo(f"Exports to {CLASSES[family]}: {reason}")


def generate(
    model: Annotated[Path, typer.Argument(help="Folder of a training, a checkpoint or a final model.")],
    prompt: Annotated[list[str] | None, typer.Option(help="Text to go on from; repeatable.")] = None,
    tokens: Annotated[int, typer.Option(min=1, help="Most new tokens.")] = 100,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest token.")] = 0.8,
    top_k: Annotated[int, typer.Option(min=0, help="Draw from the k best tokens; 0 for all.")] = 0,
    top_p: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of probability that is drawn from.")] = 0.95,
    min_p: Annotated[float, typer.Option(help="Draw from tokens this times as likely as the best.")] = 0.0,
    repetition_penalty: Annotated[float, typer.Option(help="Above 1: tokens of the text are less likely.")] = 1.0,
    beams: Annotated[int, typer.Option(min=1, help="Above 1: search the likeliest text; nothing is drawn.")] = 1,
    length_penalty: Annotated[float, typer.Option(help="With beams: above 0 favours long texts.")] = 1.0,
    stop: Annotated[list[str] | None, typer.Option(help="String that ends the text; repeatable.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
) -> None:
    """Write text with a trained model; to one prompt as it comes, to several together."""
    from seimai.model.generate import Sampling
    from seimai.model.generate import generate as write

    sampling = Sampling(
        max_new_tokens=tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        beams=beams,
        length_penalty=length_penalty,
        stop=tuple(stop or ()),
        seed=seed,
    )
    prompts = prompt or [""]
    if len(prompts) == 1:
        typer.echo(prompts[0], nl=False)
        write(model, prompts, sampling=sampling, stream=lambda _, piece: typer.echo(piece, nl=False))
        typer.echo()
        return
    for text, found in zip(prompts, write(model, prompts, sampling=sampling), strict=True):
        typer.echo(text + found)
