"""A trained model and long held-out documents in; loss by length of context and by position out.

T is the trained length. A window is a piece of (longest multiple) · T inputs of one document. Every length scores the
same targets, those of the window's last T/2 inputs, and shows the model the last T, 2T, 4T … inputs of the window: what
differs is the context alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from seimai.errors import ConfigError

from .config import RopeScaling
from .evaluate import held_out_documents
from .loss import token_nll
from .permutation import permute
from .shards import TokenShards
from .transformer import Transformer, with_scaling

__all__ = [
    "LENGTHS",
    "SCALINGS",
    "LongWindows",
    "at_length",
    "last_part_nll",
    "long_windows",
    "loss_by_length",
    "nll_by_position",
]

LENGTHS = (1, 2, 4, 8)
"""Multiples of the trained length."""
SCALINGS: tuple[RopeScaling, ...] = ("linear", "ntk", "dynamic", "yarn", "llama3")
"""Stretchings of rotary angles that need no training."""
DYNAMIC_FACTOR = 2.0
BATCH_SCORES = 1 << 22


@dataclass(frozen=True)
class LongWindows:
    """Pieces of held-out documents, (W, longest · T + 1) tokens."""

    tokens: NDArray[np.int64]
    """Token ids; the last of a row is a target only."""
    langs: tuple[str, ...]
    """Language of each."""
    hosts: tuple[str, ...]
    """Host of each, or the document's id."""
    row_tokens: int
    """T."""

    @property
    def longest(self) -> int:
        """Multiple of T that a window is long."""
        return int(self.tokens.shape[1] - 1) // self.row_tokens


def long_windows(shards: TokenShards, row_tokens: int, longest: int, *, max_per_lang: int = 64) -> LongWindows:
    """Windows that do not overlap, drawn by a fixed key, at most `max_per_lang` of a language; none where no text fits.

    The draw is over windows, so that long documents give more of them.
    """
    held = held_out_documents(shards)
    length = longest * row_tokens
    fitting = (shards.n_tokens[held.documents].astype(np.int64) - 1) // length
    place = np.repeat(np.arange(len(fitting)), fitting)
    piece = np.arange(len(place)) - np.repeat(np.cumsum(fitting) - fitting, fitting)
    drawn = permute(np.arange(len(place), dtype=np.uint64), max(1, len(place)), bytes(range(48))).astype(np.int64)
    langs = np.array(held.langs)[place]
    chosen = [number for lang in np.unique(langs) for number in drawn[langs[drawn] == lang][:max_per_lang].tolist()]
    rows = [
        shards.tokens(int(held.documents[place[number]]), int(piece[number]) * length, length + 1) for number in chosen
    ]
    return LongWindows(
        np.array(rows, np.int64).reshape(-1, length + 1),
        tuple(str(langs[number]) for number in chosen),
        tuple(held.hosts[place[number]] for number in chosen),
        row_tokens,
    )


def at_length(model: Transformer, multiple: int, scaling: RopeScaling = "none") -> Transformer | None:
    """The model as it reads texts of `multiple` · T tokens; None where it knows no such positions.

    A scaling's factor is the multiple; `dynamic` follows the length of a text by itself and has the factor 2. At the
    trained length no scaling changes anything. A learned table knows nothing beyond its rows.
    """
    if multiple < 1:
        raise ConfigError(f"a length of {multiple} times the trained one is none; give 1 or more")
    if model.body.positions == "learned" and multiple > 1:
        return None
    if scaling == "none" or multiple == 1:
        return model
    return with_scaling(model, scaling, DYNAMIC_FACTOR if scaling == "dynamic" else float(multiple))


def last_part_nll(model: Transformer, windows: LongWindows, multiple: int) -> NDArray[np.float64]:
    """Mean nats (W) of the targets of each window's last T/2 inputs, the model seeing the last `multiple` · T."""
    scored = max(1, windows.row_tokens // 2)
    found: NDArray[np.float64] = _nll(model, windows, multiple * windows.row_tokens)[:, -scored:].mean(1)
    return found


def nll_by_position(model: Transformer, windows: LongWindows, bins: int) -> NDArray[np.float64]:
    """Mean nats a token over all windows, in `bins` equal parts of the window from its first position to its last."""
    nll = _nll(model, windows, windows.tokens.shape[1] - 1)
    return np.array([part.mean() for part in np.array_split(nll, bins, axis=1)])


def loss_by_length(
    model: Transformer, shards: TokenShards, multiples: Sequence[int] = LENGTHS, scaling: RopeScaling = "none"
) -> dict[int, float | None]:
    """Mean nats a token by tokens of context, None where the model knows no such positions.

    Empty where no held-out document is as long as the longest. ConfigError for a scaling that does not fit the model.
    """
    if scaling not in ("none", *SCALINGS):
        raise ConfigError(f"--scaling {scaling} is none; use none, {', '.join(SCALINGS)}")
    windows = long_windows(shards, model.body.row_tokens, max(multiples))
    if not len(windows.tokens):
        return {}
    found: dict[int, float | None] = {}
    for multiple in multiples:
        view = at_length(model, multiple, scaling)
        nats = None if view is None else float(last_part_nll(view, windows, multiple).mean())
        found[multiple * windows.row_tokens] = nats
    return found


@torch.no_grad()
def _nll(model: Transformer, windows: LongWindows, length: int) -> NDArray[np.float64]:
    """Nats (W, length) of every target of the windows' last `length` inputs."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    found = []
    # Scores of all heads are the largest tensor of the dense path.
    rows = max(1, BATCH_SCORES // (length * length * model.body.n_heads))
    for first in range(0, len(windows.tokens), rows):
        tokens = torch.from_numpy(windows.tokens[first : first + rows, -length - 1 :]).to(device)
        hidden = model(tokens[:, :-1])
        nll = token_nll(hidden.flatten(0, 1), model.head_weight(), tokens[:, 1:].flatten())
        found.append(nll.view(len(tokens), length).double().cpu().numpy())
    model.train(was_training)
    return np.concatenate(found) if found else np.empty((0, length))
