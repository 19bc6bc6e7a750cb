"""Prompts in, continuations out: greedy or sampled with temperature, top-k and top-p, seeded, with a KV cache."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from seimai.errors import ConfigError, RunError

from .attention import Cache
from .checkpoint import load_model, model_directory
from .transformer import Transformer

__all__ = ["Sampling", "continue_tokens", "generate", "pick"]

Stream = Callable[[int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen."""

    max_new_tokens: int = 100
    """Most tokens of a continuation; EOS ends it earlier."""
    temperature: float = 0.8
    """Logits are divided by it; 0 takes the best token."""
    top_k: int = 0
    """Only the k best tokens; 0 for all."""
    top_p: float = 0.95
    """Only the best tokens that together pass this probability (arXiv:1904.09751); 1 for all."""
    seed: int = 0
    """Seed of the draws; every prompt has its own stream of them."""

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens = {self.max_new_tokens}: must be at least 1")
        if self.temperature < 0:
            raise ConfigError(f"temperature = {self.temperature}: must be 0 (greedy) or more")
        if self.top_k < 0:
            raise ConfigError(f"top_k = {self.top_k}: must be 0 (all) or more")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p = {self.top_p}: must be above 0 and at most 1")


def generate(
    model_dir: Path,
    prompts: Sequence[str],
    *,
    sampling: Sampling | None = None,
    stream: Stream | None = None,
    device: str = "cpu",
) -> list[str]:
    """The continuation of every prompt, without the prompt itself.

    A prompt is BOS and its text; special-token strings inside it stay text. `stream(prompt number, piece)` is called as
    text comes, in pieces of whole characters that join to the continuation.
    """
    sampling = sampling or Sampling()
    directory = model_directory(model_dir)
    model, config = load_model(directory, device)
    tokenizer = _tokenizer(directory / "tokenizer.json")
    special = config["tokenizer"]
    found = []
    for number, prompt in enumerate(prompts):
        tokens = [special["bos_id"], *tokenizer.encode(prompt, add_special_tokens=False).ids]
        text = _Text(tokenizer, None if stream is None else partial(stream, number))
        never = [special["bos_id"], special["pad_id"]]
        seed = _prompt_seed(sampling.seed, number)
        continue_tokens(model, tokens, sampling, seed=seed, eos_id=special["eos_id"], never=never, on_token=text.add)
        found.append(text.finish())
    return found


@torch.inference_mode()
def continue_tokens(
    model: Transformer,
    tokens: Sequence[int],
    sampling: Sampling,
    *,
    seed: int,
    eos_id: int,
    never: Sequence[int] = (),
    on_token: Callable[[int], None] | None = None,
) -> list[int]:
    """New tokens behind `tokens`, EOS not among them; `never` are ids that are not chosen unless they are EOS."""
    limit = model.body.row_tokens
    if model.body.positions == "learned" and len(tokens) + sampling.max_new_tokens - 1 > limit:
        raise ConfigError(
            f"prompt of {len(tokens)} tokens and max_new_tokens = {sampling.max_new_tokens} pass the learned table of "
            f"{limit} positions; lower max_new_tokens or shorten the prompt"
        )
    weight = next(model.parameters())
    cache = Cache(model.body, 1, len(tokens) + sampling.max_new_tokens, like=weight)
    generator = torch.Generator().manual_seed(seed)
    banned = torch.tensor([token for token in never if token != eos_id], dtype=torch.int64)
    new: list[int] = []
    coming = torch.tensor([list(tokens)], dtype=torch.int64, device=weight.device)
    while len(new) < sampling.max_new_tokens:
        hidden = model(coming, cache=cache)
        logits = model.logits(hidden[0, -1]).float().cpu()
        logits[banned] = -torch.inf
        token = pick(logits, sampling, generator)
        if token == eos_id:
            break
        new.append(token)
        if on_token is not None:
            on_token(token)
        coming = torch.tensor([[token]], dtype=torch.int64, device=weight.device)
    return new


def pick(logits: Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """One token from logits (V) fp32: temperature, then top-k, then top-p; the best token always stays.

    >>> pick(torch.tensor([0.0, 2.0, 1.0]), Sampling(temperature=0), torch.Generator())
    1
    """
    if sampling.temperature == 0:
        return int(logits.argmax())
    ordered, index = (logits / sampling.temperature).sort(descending=True, stable=True)
    if sampling.top_k:
        ordered, index = ordered[: sampling.top_k], index[: sampling.top_k]
    probability = ordered.softmax(0)
    if sampling.top_p < 1:
        before = probability.cumsum(0) - probability
        probability = probability.masked_fill(before >= sampling.top_p, 0.0)
        probability[0] = probability[0].clamp(min=torch.finfo(torch.float32).tiny)
    return int(index[torch.multinomial(probability, 1, generator=generator)])


class _Text:
    """Tokens to text in whole characters: what ends inside a character waits for the tokens that complete it."""

    def __init__(self, tokenizer: Tokenizer, stream: Callable[[str], None] | None) -> None:
        self._tokenizer, self._stream = tokenizer, stream
        self._waiting: list[int] = []
        self._pieces: list[str] = []

    def add(self, token: int) -> None:
        self._waiting.append(token)
        text = self._decode()
        if not text.endswith("\ufffd"):
            self._emit(text)

    def finish(self) -> str:
        self._emit(self._decode())
        return "".join(self._pieces)

    def _decode(self) -> str:
        return str(self._tokenizer.decode(self._waiting, skip_special_tokens=True))

    def _emit(self, text: str) -> None:
        self._waiting.clear()
        self._pieces.append(text)
        if text and self._stream is not None:
            self._stream(text)


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
