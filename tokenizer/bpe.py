"""Pre-token counts in; the merges of exact byte-level BPE out, from flat arrays with 64-bit counts.

The same merges as `tokenizers.trainers.BpeTrainer` on the same text (boundary rule off): the pair seen most often is
merged, among equals the one with the smallest ids, bytes standing in the order of GPT-2's printable alphabet. That
library adds its counts in 32 bits, which wrap at 13 to 23 GB of Japanese.

A guess of the last merge's count makes it cheap: pairs seen less often need no list, and with the boundary rule words
of large tables are cut where no merge can reach (cut.py). Where the guess was too high, all begins again with a quarter
of it, so the merges never depend on it.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .counts import flat_counts
from .cut import cut_words, whole_words
from .first_merges import first_merges
from .merge_loop import CONTINUATION, NO_PAIRS, merge_loop
from .vocabulary import BYTE_ORDER
from .words import words_of

__all__ = ["learn_merges"]

NO_LIMIT = 2**31 - 1
CUT_BYTES = 1 << 27
"""Below, the cut takes longer than it saves (15 MB of text: 0.6 s against 0.3 s); above, memory counts."""
GUESS_FACTOR = 2
"""The last merge's count over the count of the pre-token of that rank: 2.7 to 7 measured on five tables."""
RETRY_DIVISOR = 4

Int64s = NDArray[np.int64]


def learn_merges(
    counts: pa.Table | Callable[[], pa.Table],
    n_merges: int,
    *,
    boundary: bool = True,
    min_count: int = 2,
    max_token_chars: int | None = None,
    guess: int | None = None,
    cut_bytes: int = CUT_BYTES,
) -> NDArray[np.int32]:
    """At most `n_merges` merges as pairs of token ids, shape (n, 2): ids 0 to 255 are bytes, 256 + i is merge i.

    `counts`: a table with the columns of COUNTS, or what reads it; then it need not stay in memory meanwhile, and is
    read again where the guess was too high. `boundary`: an unfinished character joins nothing but its own next byte.
    `min_count`: the least count of a merged pair; training stops early where none has it. `max_token_chars`: most
    characters in a token. `guess`: a count that the last merge hopefully has, by default twice that of the pre-token of
    rank `n_merges`; tables of more than `cut_bytes` distinct bytes are cut by it. Both change time and memory, not the
    result. Raises ConfigError above 2^31 bytes of distinct words.

    >>> import pyarrow as pa
    >>> table = pa.table({"pretoken": pa.array([b"ab", b"abc"], pa.large_binary()), "count": [5, 2]})
    >>> learn_merges(table, 9).tolist()
    [[97, 98], [256, 99]]
    """
    threshold = guess
    missing = (_missing_bytes() if boundary else np.zeros(256, np.int8))[BYTE_ORDER]
    chars = (_missing_bytes() != CONTINUATION).astype(np.int32)[BYTE_ORDER]
    while True:
        data, offsets, word_counts = flat_counts(counts() if callable(counts) else counts)
        if threshold is None:
            threshold = _guess(word_counts, n_merges)
        threshold = max(min_count, threshold)
        cut = boundary and threshold > min_count and len(data) > cut_bytes
        pieces = cut_words(data, offsets, word_counts, threshold) if cut else whole_words(offsets, word_counts)
        del offsets, word_counts
        words = words_of(data, pieces, 256 + n_merges)
        del data, pieces
        limit = max_token_chars or NO_LIMIT
        first, words, lacking, sizes = first_merges(words, missing, chars, n_merges, threshold, limit)
        rest, _ = merge_loop(words, lacking, sizes, n_merges - len(first), threshold, limit, NO_PAIRS)
        merges = np.concatenate([first, rest])
        if len(merges) == n_merges or threshold == min_count:
            return np.where(merges < 256, BYTE_ORDER[np.minimum(merges, 255)], merges).astype(np.int32)
        threshold //= RETRY_DIVISOR


def _guess(word_counts: Int64s, n_merges: int) -> int:
    """Twice the count of the word of that rank: a common word becomes a token, and its last merge serves others too."""
    if len(word_counts) <= n_merges:
        return 0
    rank = len(word_counts) - n_merges
    return GUESS_FACTOR * int(np.partition(word_counts, rank)[rank])


def _missing_bytes() -> NDArray[np.int8]:
    """For each byte how many more its character needs; -1 for a continuation byte."""
    missing = np.zeros(256, np.int8)
    missing[0x80:0xC0] = CONTINUATION
    missing[0xC0:0xE0], missing[0xE0:0xF0], missing[0xF0:] = 1, 2, 3
    return missing
