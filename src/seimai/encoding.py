"""Token shards on the engine: what needs both the tokenizer and Dask is put together here."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from seimai.errors import RunError

if TYPE_CHECKING:
    from seimai.pipeline.run import Engine

__all__ = ["encode_source"]

T = TypeVar("T")
R = TypeVar("R")


def encode_source(source: list[Path], tokenizer: Path, out: Path, engine: "Engine") -> Any:
    """Encode a run or text files into token shards at `out`, one task a shard; returns the encoder's summary."""
    # Workers inherit it: the library's own threads would fight with ours, and a fork after use would hang.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from seimai.tokenizer.encode import encode

    def part_map(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        for outcome in engine.map(function, items):
            if outcome.error is not None:
                raise RunError(f"{outcome.error}; type the same command again to go on from here")
            yield outcome.result  # type: ignore[misc]

    return encode(source, tokenizer, out, part_map=part_map)
