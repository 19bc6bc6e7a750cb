"""Prompts in, continuations out: greedy, drawn or searched with beams, in batches, seeded, with a KV cache."""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from tokenizers import Tokenizer

from seimai.errors import RunError

from .beam import beam_search
from .checkpoint import load_model, model_directory
from .reader import Reader
from .sampling import Sampling, choose, penalised, pick
from .text_stream import TextStream
from .transformer import Transformer

__all__ = ["Sampling", "continue_batch", "continue_tokens", "generate", "pick"]

Stream = Callable[[int, str], None]
Taken = Callable[[int, int], object]

BATCH_ROWS = 16
"""Prompts computed together."""


def generate(
    model_dir: Path,
    prompts: Sequence[str],
    *,
    sampling: Sampling | None = None,
    stream: Stream | None = None,
    device: str = "cpu",
) -> list[str]:
    """The continuation of every prompt, without the prompt itself, up to EOS or a stop string.

    A prompt is BOS and its text; special-token strings inside it stay text. `stream(prompt number, piece)` is called as
    text comes (with beams at the end), in pieces of whole characters that join to the continuation.
    """
    sampling = sampling or Sampling()
    directory = model_directory(model_dir)
    model, config = load_model(directory, device)
    tokenizer = _tokenizer(directory / "tokenizer.json")
    special = config["tokenizer"]
    eos_id, never = special["eos_id"], [special["bos_id"], special["pad_id"]]
    tokens = [[special["bos_id"], *tokenizer.encode(text, add_special_tokens=False).ids] for text in prompts]
    emits = [None if stream is None else partial(stream, number) for number in range(len(prompts))]
    texts = [TextStream(tokenizer, emit, sampling.stop) for emit in emits]
    for first in range(0, len(prompts), 1 if sampling.beams > 1 else BATCH_ROWS):
        last = first + (1 if sampling.beams > 1 else BATCH_ROWS)
        if sampling.beams > 1:
            ends = partial(_ends, tokenizer, sampling.stop) if sampling.stop else None
            for token in beam_search(model, tokens[first], sampling, eos_id=eos_id, never=never, ends=ends):
                if texts[first].add(token):
                    break
            continue
        seeds = [_prompt_seed(sampling.seed, number) for number in range(len(prompts))][first:last]

        def taken(row: int, token: int, first: int = first) -> bool:
            return texts[first + row].add(token)

        continue_batch(model, tokens[first:last], sampling, seeds=seeds, eos_id=eos_id, never=never, on_token=taken)
    return [text.finish() for text in texts]


def continue_tokens(
    model: Transformer,
    tokens: Sequence[int],
    sampling: Sampling,
    *,
    seed: int,
    eos_id: int,
    never: Sequence[int] = (),
) -> list[int]:
    """New tokens behind `tokens`, EOS not among them; `never` are ids that are not chosen unless they are EOS."""
    if sampling.beams > 1:
        return beam_search(model, tokens, sampling, eos_id=eos_id, never=never)
    return continue_batch(model, [tokens], sampling, seeds=[seed], eos_id=eos_id, never=never)[0]


@torch.inference_mode()
def continue_batch(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    *,
    seeds: Sequence[int],
    eos_id: int,
    never: Sequence[int] = (),
    on_token: Taken | None = None,
) -> list[list[int]]:
    """New tokens behind prompts of any lengths, computed together; no beams.

    `on_token(row, token)` may end a row by being true. A row's tokens depend on its prompt and seed alone, but for the
    rounding of matrix products of other sizes.
    """
    reader = Reader(model, prompts, sampling)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    banned = [token for token in never if token != eos_id]
    new: list[list[int]] = [[] for _ in prompts]
    going = set(range(len(prompts)))
    for _ in range(sampling.max_new_tokens):
        logits = reader.logits()
        logits[:, banned] = -torch.inf
        tokens = choose(penalised(logits, reader.seen, sampling.repetition_penalty), sampling, generators)
        for row, token in enumerate(tokens.tolist()):
            if row in going and token == eos_id:
                going.discard(row)
            elif row in going:
                new[row].append(token)
                if on_token is not None and on_token(row, token):
                    going.discard(row)
        if not going:
            break
        reader.add(tokens)
    return new


def _ends(tokenizer: Tokenizer, stop: Sequence[str], tokens: list[int]) -> bool:
    text = tokenizer.decode(tokens, skip_special_tokens=True)
    return any(each in text for each in stop)


def _tokenizer(path: Path) -> Tokenizer:
    if not path.is_file():
        raise RunError(f"{path}: missing; copy the tokenizer.json of the token shards there")
    tokenizer = Tokenizer.from_file(str(path))
    # Without it the text "<|endoftext|>" in a prompt would become the special token.
    tokenizer.encode_special_tokens = True
    return tokenizer


def _prompt_seed(seed: int, number: int) -> int:
    digest = hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
