"""Prompts of several lengths in; the logits of each row's next token out, step by step, with a KV cache or without."""

from collections.abc import Sequence

import torch
from torch import Tensor

from seimai.errors import ConfigError

from .attention import Cache
from .sampling import Sampling
from .transformer import Transformer

__all__ = ["Reader"]


class Reader:
    """Rows of tokens that grow together; shorter prompts are padded at their beginning and never see it.

    Without a cache every row is computed again from its first token. `seen` (B, V) marks the tokens a row holds.
    """

    def __init__(self, model: Transformer, prompts: Sequence[Sequence[int]], sampling: Sampling) -> None:
        longest = max(len(prompt) for prompt in prompts)
        limit, new = model.body.row_tokens, sampling.max_new_tokens
        if model.body.positions == "learned" and longest + new - 1 > limit:
            raise ConfigError(
                f"prompt of {longest} tokens and max_new_tokens = {new} pass the learned table of "
                f"{limit} positions; lower max_new_tokens or shorten the prompt"
            )
        self.model, self.cached, self.max_tokens = model, sampling.use_cache, longest + new
        self.like = next(model.parameters())
        self.seen = torch.zeros(len(prompts), model.body.vocab_size, dtype=torch.bool)
        for row, prompt in enumerate(prompts):
            self.seen[row, list(prompt)] = True
        rows = [[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
        self.tokens = torch.tensor(rows, dtype=torch.int64, device=self.like.device)
        padding = torch.tensor([longest - len(prompt) for prompt in prompts], device=self.like.device)
        self.padding = padding if bool(padding.any()) else None
        self.cache = self._new_cache()

    def logits(self) -> Tensor:
        """(B, V) fp32 on the CPU, of the token behind each row."""
        if not self.cached:
            self.cache = self._new_cache()
        hidden = self.model(self.tokens[:, self.cache.length :], cache=self.cache)
        return self.model.logits(hidden[:, -1]).float().cpu()

    def add(self, tokens: Tensor, rows: Tensor | None = None) -> None:
        """Put a token (B) behind each row; behind these rows (B) of them where some are left and others doubled."""
        if rows is not None:
            self.cache.select(rows.to(self.like.device))
            self.tokens = self.tokens[rows.to(self.like.device)]
            self.seen = self.seen[rows]
        self.tokens = torch.cat([self.tokens, tokens[:, None].to(self.like.device)], 1)
        self.seen.scatter_(1, tokens[:, None], True)

    def _new_cache(self) -> Cache:
        return Cache(self.model.body, len(self.tokens), self.max_tokens, self.like, self.padding)
