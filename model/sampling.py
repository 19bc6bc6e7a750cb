"""How the next token is chosen: settings, and logits of many rows in, one token of each out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seimai.errors import ConfigError

__all__ = ["Sampling", "choose", "penalised", "pick"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen, and when a continuation ends."""

    max_new_tokens: int = 100
    """Most tokens of a continuation; EOS or a stop string ends it earlier."""
    temperature: float = 0.8
    """Logits are divided by it; 0 takes the best token."""
    top_k: int = 0
    """Only the k best tokens; 0 for all."""
    top_p: float = 0.95
    """Only the best tokens that together pass this probability (arXiv:1904.09751); 1 for all."""
    min_p: float = 0.0
    """Only tokens at least this times as likely as the best (arXiv:2407.01082); 0 for all."""
    repetition_penalty: float = 1.0
    """Logits of tokens that the text holds are divided by it, negative ones multiplied (arXiv:1909.05858)."""
    beams: int = 1
    """Texts searched side by side for the likeliest; above 1 nothing is drawn, and the four before the penalty rest."""
    length_penalty: float = 1.0
    """Beams are compared by log-probability / tokens^this: above 0 favours long texts."""
    stop: tuple[str, ...] = ()
    """Strings that end a continuation; they are not part of it."""
    seed: int = 0
    """Seed of the draws; every prompt has its own stream of them."""
    use_cache: bool = True
    """Keep keys and values of the text so far; without, all of it is computed again for every token."""

    def __post_init__(self) -> None:
        for name in ("max_new_tokens", "beams"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)}: must be at least 1")
        if self.temperature < 0:
            raise ConfigError(f"temperature = {self.temperature}: must be 0 (greedy) or more")
        if self.top_k < 0:
            raise ConfigError(f"top_k = {self.top_k}: must be 0 (all) or more")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p = {self.top_p}: must be above 0 and at most 1")
        if not 0 <= self.min_p <= 1:
            raise ConfigError(f"min_p = {self.min_p}: must be from 0 (all) to 1")
        if self.repetition_penalty <= 0:
            raise ConfigError(f"repetition_penalty = {self.repetition_penalty}: must be above 0; 1 is none")
        if "" in self.stop:
            raise ConfigError("stop = '': an empty string ends every text; give one with a character")


def penalised(scores: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Scores (…, V) with those of seen tokens, bool (…, V), divided by the penalty, or multiplied where negative.

    >>> penalised(torch.tensor([2.0, -2.0, 1.0]), torch.tensor([True, True, False]), 2.0).tolist()
    [1.0, -4.0, 1.0]
    """
    if penalty == 1:
        return scores
    return torch.where(seen, torch.where(scores > 0, scores / penalty, scores * penalty), scores)


def choose(logits: Tensor, sampling: Sampling, generators: Sequence[torch.Generator]) -> Tensor:
    """One token of each row of logits (B, V) fp32, int64 (B); every row draws from its own generator.

    Temperature, then top-k, top-p and min-p; the best token always stays.
    """
    if sampling.temperature == 0:
        return logits.argmax(-1)
    ordered, index = (logits / sampling.temperature).sort(dim=-1, descending=True, stable=True)
    if sampling.top_k:
        ordered, index = ordered[:, : sampling.top_k], index[:, : sampling.top_k]
    probability = ordered.softmax(-1)
    kept = probability >= sampling.min_p * probability[:, :1]
    if sampling.top_p < 1:
        kept &= probability.cumsum(-1) - probability < sampling.top_p
    kept[:, 0] = True
    probability = probability.clamp(min=torch.finfo(torch.float32).tiny).masked_fill(~kept, 0.0)
    drawn = [torch.multinomial(row, 1, generator=one) for row, one in zip(probability, generators, strict=True)]
    return index.gather(-1, torch.stack(drawn))[:, 0]


def pick(logits: Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """One token from logits (V) fp32.

    >>> pick(torch.tensor([0.0, 2.0, 1.0]), Sampling(temperature=0), torch.Generator())
    1
    """
    return int(choose(logits[None], sampling, [generator])[0])
