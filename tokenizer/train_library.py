"""Texts in; merges of the trainer of `tokenizers` out, over our split: an oracle, and `--backend hf`."""

import json
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from seimai.errors import ConfigError

from .vocabulary import name_bytes

__all__ = ["MAX_BYTES", "library_merges"]

MAX_BYTES = 10_000_000_000
"""Most text it may read: it adds pair counts in 32 bits, which wrap without a word from 13 GB of Japanese."""


def library_merges(
    texts: Iterable[str], n_bytes: int, n_merges: int, *, pattern: str, min_count: int = 2
) -> NDArray[np.int32]:
    """Merges as `learn_merges` gives them, without boundary rule. `n_bytes`: how much the texts are.

    Raises ConfigError above MAX_BYTES, where the library counts wrongly.
    """
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    if n_bytes > MAX_BYTES:
        raise ConfigError(
            f"backend hf: {n_bytes:,} bytes of text, and its 32-bit counts wrap; use --sample-bytes {MAX_BYTES} at most"
        )
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    trainer = trainers.BpeTrainer(
        vocab_size=256 + n_merges,
        min_frequency=min_count,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    ids = {bytes([byte]): byte for byte in range(256)}
    merges = []
    for left, right in json.loads(tokenizer.to_str())["model"]["merges"]:
        pair = name_bytes(left), name_bytes(right)
        merges.append([ids[token] for token in pair])
        ids.setdefault(pair[0] + pair[1], 255 + len(merges))
    return np.array(merges, np.int32).reshape(-1, 2)
