"""Beam search: the likeliest continuation of one prompt among texts that are searched side by side."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .reader import Reader
from .sampling import Sampling, penalised
from .transformer import Transformer

__all__ = ["beam_search"]

Ends = Callable[[list[int]], bool]


class Found(NamedTuple):
    """A finished text."""

    score: float
    """Log-probability / tokens^length_penalty, EOS counted."""
    tokens: list[int]
    """Without EOS."""


@torch.inference_mode()
def beam_search(
    model: Transformer,
    prompt: Sequence[int],
    sampling: Sampling,
    *,
    eos_id: int,
    never: Sequence[int] = (),
    ends: Ends | None = None,
) -> list[int]:
    """New tokens behind `prompt`, EOS not among them; `ends(new tokens)` ends a text as EOS does.

    Of the 2 · beams best continuations those that end are put aside when they are among the first `beams`, and the best
    others go on. The search is over when no running text, at its present length, scores above the worst of `beams`
    finished ones: the rule of Transformers with `early_stopping=False`.
    """
    beams = sampling.beams
    reader = Reader(model, [prompt] * beams, sampling)
    banned = [token for token in never if token != eos_id]
    scores = torch.full((beams,), -1e9)
    scores[0] = 0.0
    running: list[list[int]] = [[] for _ in range(beams)]
    finished: list[Found] = []
    for length in range(1, sampling.max_new_tokens + 1):
        logits = reader.logits()
        logits[:, banned] = -torch.inf
        each = penalised(logits.log_softmax(-1), reader.seen, sampling.repetition_penalty)
        best, places = (each + scores[:, None]).flatten().topk(2 * beams)
        going: list[tuple[float, int, int]] = []
        for rank, (score, place) in enumerate(zip(best.tolist(), places.tolist(), strict=True)):
            beam, token = divmod(place, each.shape[-1])
            text = running[beam] if token == eos_id else [*running[beam], token]
            ended = token == eos_id or length == sampling.max_new_tokens or (ends is not None and ends(text))
            if ended and rank < beams:
                finished.append(Found(score / length**sampling.length_penalty, text))
            elif not ended:
                going.append((score, beam, token))
        finished = sorted(finished, key=lambda one: -one.score)[:beams]
        going = going[:beams]
        full = len(finished) == beams
        if not going or (full and going[0][0] / length**sampling.length_penalty <= finished[-1].score):
            break
        going += [(-1e9, going[0][1], going[0][2])] * (beams - len(going))
        running = [[*running[beam], token] for _, beam, token in going]
        scores = torch.tensor([score for score, _, _ in going])
        reader.add(torch.tensor([token for _, _, token in going]), _rows(going))
    return finished[0].tokens


def _rows(going: list[tuple[float, int, int]]) -> Tensor:
    return torch.tensor([beam for _, beam, _ in going])
