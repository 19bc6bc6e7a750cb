"""Bits per UTF-8 byte on whole held-out documents, by language."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seimai.errors import ConfigError

from .checkpoint import load_model
from .loss import IGNORE, bits_per_byte, token_nll
from .permutation import permute
from .shards import TokenShards, open_tokens
from .transformer import Transformer

__all__ = [
    "HeldOut",
    "LanguageScore",
    "bits_per_byte_by_language",
    "document_nll",
    "evaluate_model",
    "held_out_documents",
    "open_with_model",
    "windows",
]

BATCH_TOKENS = 8192


@dataclass(frozen=True)
class LanguageScore:
    """What one language's held-out documents cost."""

    bits_per_byte: float
    """Σ nats of all targets, EOS included / (ln 2 · n_bytes)."""
    nats_per_token: float
    """The same sum by target."""
    documents: int
    """Documents scored."""
    targets: int
    """Tokens predicted."""
    n_bytes: int
    """UTF-8 bytes of their text."""


@dataclass(frozen=True)
class HeldOut:
    """The documents that an evaluation reads, in order of their number."""

    documents: NDArray[np.int64]
    """Numbers in the data set."""
    n_bytes: NDArray[np.int64]
    """UTF-8 bytes of each."""
    hosts: tuple[str, ...]
    """Host of each; its id where it has none."""
    ids: tuple[str, ...]
    """Id of each."""
    langs: tuple[str, ...]
    """Language of each."""

    @property
    def units(self) -> tuple[str, ...]:
        """What is drawn in a bootstrap: hosts, or single documents where all come from one host."""
        return self.hosts if len(set(self.hosts)) > 1 else self.ids

    def take(self, chosen: NDArray[Any]) -> "HeldOut":
        """Those at the places or under the mask given."""
        places = np.arange(len(self.documents))[chosen].tolist()
        texts = ([column[place] for place in places] for column in (self.hosts, self.ids, self.langs))
        return HeldOut(self.documents[places], self.n_bytes[places], *map(tuple, texts))


@dataclass(frozen=True)
class Window:
    """Inputs [start, start + length) of a document, of which those from `scored` on are counted."""

    document: int
    start: int
    length: int
    scored: int


def evaluate_model(
    model_dir: Path, tokens_dir: Path, *, max_documents: int | None = None, device: str = "cpu"
) -> dict[str, LanguageScore]:
    """`bits_per_byte_by_language` of a model or training directory; ConfigError where the tokenizers differ."""
    model, shards = open_with_model(model_dir, tokens_dir, device)
    return bits_per_byte_by_language(model, shards, max_documents=max_documents)


def open_with_model(model_dir: Path, tokens_dir: Path, device: str = "cpu") -> tuple[Transformer, TokenShards]:
    """A model and token shards that belong together; ConfigError where the tokenizers differ."""
    model, config = load_model(model_dir, device)
    shards = open_tokens(tokens_dir)
    if config["tokenizer"]["fingerprint"] != shards.tokenizer["fingerprint"]:
        raise ConfigError(f"{tokens_dir}: encoded with another tokenizer than {model_dir}; encode with the model's own")
    return model, shards


def bits_per_byte_by_language(
    model: Transformer, tokens: Path | TokenShards, *, row_tokens: int | None = None, max_documents: int | None = None
) -> dict[str, LanguageScore]:
    """Score the held-out documents of every language, and `all` together; empty where none is held out.

    Windows of `row_tokens` (the trained length if not given) move by half of it; each target is scored once, with the
    longest context its window gives. Documents without a known n_bytes are left out. `max_documents` takes so many of
    each language, drawn by a fixed key.
    """
    shards = open_tokens(tokens) if isinstance(tokens, Path) else tokens
    held = held_out_documents(shards, max_documents)
    if not len(held.documents):
        return {}
    nll = document_nll(model, shards, held.documents, row_tokens or model.body.row_tokens)
    targets = shards.n_tokens[held.documents].astype(np.int64) - 1
    langs = np.array(held.langs)
    groups = {str(name): langs == name for name in np.unique(langs)} | {"all": np.ones(len(langs), bool)}
    return {name: _score(nll[mask], targets[mask], held.n_bytes[mask]) for name, mask in groups.items()}


def as_plain(scores: dict[str, LanguageScore]) -> dict[str, dict[str, Any]]:
    """Scores as plain JSON values."""
    return {name: asdict(score) for name, score in scores.items()}


def document_nll(
    model: Transformer, shards: TokenShards, documents: NDArray[np.int64], row_tokens: int
) -> NDArray[np.float64]:
    """Nats of each document's targets summed over its windows, in the order given."""
    found = [
        window
        for place, n_tokens in enumerate(shards.n_tokens[documents].tolist())
        for window in windows(place, n_tokens, row_tokens)
    ]
    # Windows of a length stand together, so that hardly anything is padded.
    found.sort(key=lambda window: (window.length, window.document, window.start))
    total = np.zeros(len(documents), np.float64)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for batch in _batched(found):
            sums = _window_sums(model, shards, documents, batch)
            np.add.at(total, [window.document for window in batch], sums.double().cpu().numpy())
    model.train(was_training)
    return total


def windows(document: int, n_tokens: int, row_tokens: int) -> list[Window]:
    """Windows over the n_tokens − 1 inputs of a document, half overlapping, every input scored exactly once.

    >>> [(window.start, window.length, window.scored) for window in windows(0, 11, 4)]
    [(0, 4, 0), (2, 4, 4), (4, 4, 6), (6, 4, 8)]
    """
    inputs, stride = n_tokens - 1, max(1, row_tokens // 2)
    found, start, done = [], 0, 0
    while done < inputs:
        end = min(start + row_tokens, inputs)
        found.append(Window(document, start, end - start, done))
        start, done = start + stride, end
    return found


def _window_sums(
    model: Transformer, shards: TokenShards, documents: NDArray[np.int64], batch: Sequence[Window]
) -> Tensor:
    width = max(window.length for window in batch)
    inputs = np.full((len(batch), width), shards.tokenizer["pad_id"], np.int64)
    targets = np.full((len(batch), width), IGNORE, np.int64)
    for row, window in enumerate(batch):
        tokens = shards.tokens(int(documents[window.document]), window.start, window.length + 1)
        inputs[row, : window.length] = tokens[:-1]
        first = window.scored - window.start
        targets[row, first : window.length] = tokens[first + 1 :]
    device = next(model.parameters()).device
    # What pads a row stands behind every scored token, where causal attention does not look.
    hidden = model(torch.from_numpy(inputs).to(device))
    nll = token_nll(hidden.flatten(0, 1), model.head_weight(), torch.from_numpy(targets).to(device).flatten())
    return nll.view(targets.shape).double().sum(1)


def _batched(found: Sequence[Window]) -> Iterator[Sequence[Window]]:
    first = 0
    while first < len(found):
        last = first + 1
        while last < len(found) and (last + 1 - first) * found[last].length <= BATCH_TOKENS:
            last += 1
        yield found[first:last]
        first = last


def held_out_documents(shards: TokenShards, max_documents: int | None = None) -> HeldOut:
    """The held-out documents whose bytes are known; `max_documents` draws so many of each language by a fixed key."""
    documents = np.flatnonzero(shards.held_out & (shards.n_tokens >= 2))
    rows = shards.documents(documents, ["n_bytes", "host", "id"])
    names: list[str] = shards.manifest["langs"]
    held = HeldOut(
        documents,
        np.array([row["n_bytes"] or 0 for row in rows], np.int64),
        tuple(row["host"] or row["id"] for row in rows),
        tuple(row["id"] for row in rows),
        tuple(names[code] for code in shards.lang[documents].tolist()),
    )
    held = held.take(held.n_bytes > 0)
    if max_documents is None or not len(held.documents):
        return held
    count = len(held.documents)
    drawn = permute(np.arange(count, dtype=np.uint64), count, bytes(range(48))).astype(np.int64)
    langs = np.array(held.langs)[drawn]
    chosen = np.concatenate([drawn[langs == lang][:max_documents] for lang in np.unique(langs)])
    return held.take(np.sort(chosen))


def _score(nll: NDArray[np.float64], targets: NDArray[np.int64], n_bytes: NDArray[np.int64]) -> LanguageScore:
    nats, n_targets, total_bytes = float(nll.sum()), int(targets.sum()), int(n_bytes.sum())
    return LanguageScore(bits_per_byte(nats, total_bytes), nats / n_targets, len(nll), n_targets, total_bytes)
