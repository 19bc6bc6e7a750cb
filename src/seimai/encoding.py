"""Token shards on the engine: what needs both the tokenizer and Dask is put together here."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from seimai.errors import InputError, RunError
from seimai.files import fingerprint, sha256_file

if TYPE_CHECKING:
    from seimai.pipeline.run import Engine

__all__ = ["encode_source", "tokens_for"]

T = TypeVar("T")
R = TypeVar("R")


def encode_source(
    source: list[Path], tokenizer: Path, out: Path, engine: "Engine", screen: Console | None = None
) -> Any:
    """Encode a run or text files into token shards at `out`, one task a shard; returns the encoder's summary.

    With a `screen` a bar shows shards, tokens a second and the time left.
    """
    # Workers inherit it: the library's own threads would fight with ours, and a fork after use would hang.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from seimai.tokenizer.encode import encode

    def part_map(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        for outcome in engine.map(function, items):
            if outcome.error is not None:
                raise RunError(f"{outcome.error}; type the same command again to go on from here")
            yield outcome.result  # type: ignore[misc]

    if screen is None:
        return encode(source, tokenizer, out, part_map=part_map)
    speed = TextColumn("{task.fields[speed]}")
    columns = (TextColumn("encode"), BarColumn(), MofNCompleteColumn(), speed, TimeRemainingColumn())
    with Progress(*columns, console=screen) as progress:
        task = progress.add_task("encode", total=None, speed="")
        encoded = 0

        def told(done: int, shards: int, n_tokens: int) -> None:
            nonlocal encoded
            encoded += n_tokens
            elapsed_s = progress.tasks[0].elapsed or 0.0
            rate = f"{encoded / elapsed_s:,.0f} tokens/s" if elapsed_s > 0 else ""
            progress.update(task, completed=done, total=shards, speed=rate)

        return encode(source, tokenizer, out, part_map=part_map, told=told)


def tokens_for(data: Path, tokenizer: Path | None, engine: "Callable[[], Engine]", screen: Console | None) -> Path:
    """The token shards of `data`: itself, or those of a run, encoded by `tokenizer` beside it when they are not there.

    They stand in `<run>.tokens-<12 hex digits>`, one folder for each state of the run and each tokenizer, so that
    several trainings share them. InputError where a run is given without a tokenizer.
    """
    if tokenizer is None:
        if (data / "shards").is_dir():
            raise InputError(f"{data}: is a run, not token shards; add --tokenizer DIR to have it encoded")
        return data
    from seimai.tokenizer.vocabulary import load

    manifest = data / "manifest.json"
    if not (data / "shards").is_dir() or not manifest.is_file():
        raise InputError(f"{data}: no finished run; give one, or token shards without --tokenizer")
    made_of = fingerprint({"run": sha256_file(manifest), "tokenizer": load(tokenizer).fingerprint})
    out = data.parent / f"{data.name}.tokens-{made_of[:12]}"
    if not (out / "manifest.json").is_file():
        with engine() as running:
            encode_source([data], tokenizer, out, running, screen)
    return out
