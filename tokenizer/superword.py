"""Counts of neighbouring phrases in; merges inside phrases, then merges across them, out.

The pieces of `ja-en-superwords` are up to four phrases or words. The first merges are learned inside those, as for
`ja-en-wide`; the last ones on the whole pieces, written in the tokens of the first, so that ` of the` may become one
token (Liu et al. 2025, SuperBPE). Encoding needs the coarse split alone: merges inside are older.

Memory: pieces are cut where two characters stand together less often than any merge that is still to come, and equal
pieces added up, so that what is kept grows with what repeats and not with the text.
"""

from collections import Counter

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .bpe import learn_merges
from .bpe_more import alphabet_of
from .counts import COUNTS, finder, flat_counts, merge_counts
from .cut import cut_words
from .merge_kernels import encode_words, rank_table
from .merge_loop import NO_PAIRS, merge_loop
from .words import words_of

__all__ = ["inner_counts", "learn_superwords"]

MIN_COUNT = 2
RETRY_DIVISOR = 4


def inner_counts(counts: pa.Table, fine: str) -> pa.Table:
    """The counts of the phrases inside the pieces, cut by the pattern `fine`.

    >>> table = pa.table({"pretoken": pa.array([b" of the"], pa.large_binary()), "count": [3]})
    >>> inner_counts(table, r" ?\\w+").to_pydict()
    {'pretoken': [b' of', b' the'], 'count': [3, 3]}
    """
    find = finder(fine)
    found: Counter[str] = Counter()
    for piece, count in zip(counts["pretoken"].to_pylist(), counts["count"].to_pylist(), strict=True):
        for phrase in find(piece.decode()):
            found[phrase] += count
    phrases = pa.array(found.keys(), pa.large_string()).cast(pa.large_binary())
    return merge_counts([pa.table([phrases, pa.array(found.values(), pa.int64())], schema=COUNTS)])


def learn_superwords(
    counts: pa.Table,
    n_merges: int,
    share: float,
    *,
    fine: str,
    min_count: int = MIN_COUNT,
    max_token_chars: int | None = None,
) -> NDArray[np.int32]:
    """At most `n_merges` merges as `learn_merges` gives them, the last `share` of them (0 to 1) across phrases.

    `counts`: of coarse pieces; `fine`: the pattern that cuts them into phrases. Parts of characters join
    only their own.
    """
    n_across = round(n_merges * share)
    inside = learn_merges(
        inner_counts(counts, fine), n_merges - n_across, min_count=min_count, max_token_chars=max_token_chars
    )
    data, offsets, weights = flat_counts(counts)
    ranks = rank_table(inside.reshape(-1, 2), 256)
    tokens = [bytes([byte]) for byte in range(256)]
    for left, right in inside.tolist():
        tokens.append(tokens[left] + tokens[right])
    alphabet = alphabet_of(tuple(tokens))
    threshold = max(min_count, _last_count(data, offsets, weights, ranks, len(tokens)))
    while True:
        pieces = cut_words(data, offsets, weights, threshold)
        kept = _joined(data, pieces.starts, pieces.sizes)
        ids, sizes = encode_words(kept, np.concatenate([[0], np.cumsum(pieces.sizes)]).astype(np.int64), ranks)
        long = np.flatnonzero(sizes > 1)
        starts = np.cumsum(sizes) - sizes
        chosen = pieces._replace(starts=starts[long], sizes=sizes[long].astype(np.int32), counts=pieces.counts[long])
        words = words_of(ids, chosen, len(tokens) + n_across, np.arange(len(tokens)))
        most = max_token_chars or 2**31 - 1
        across, _ = merge_loop(words, alphabet.missing, alphabet.chars, n_across, threshold, most, NO_PAIRS)
        if len(across) == n_across or threshold == min_count:
            return np.concatenate([inside.reshape(-1, 2), across]).astype(np.int32)
        threshold = max(min_count, threshold // RETRY_DIVISOR)


def _last_count(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], weights: NDArray[np.int64], ranks: object, n_tokens: int
) -> int:
    """How often the rarer half of the tokens stands in the pieces: about where the next merges will end."""
    ids, sizes = encode_words(data, offsets, ranks)  # type: ignore[arg-type]
    uses = np.bincount(ids, np.repeat(weights, sizes), n_tokens)
    return int(np.median(uses[256:]) // 2) if n_tokens > 256 else 0


def _joined(data: NDArray[np.uint8], starts: NDArray[np.int64], sizes: NDArray[np.int32]) -> NDArray[np.uint8]:
    ends = np.cumsum(sizes)
    index = np.repeat(starts - ends + sizes, sizes) + np.arange(int(ends[-1]) if len(ends) else 0)
    found: NDArray[np.uint8] = data[index]
    return found
