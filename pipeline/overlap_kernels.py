"""Which of some sampled shingle sets every other set resembles, exactly, by an index of the sample's hashes."""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import jit

__all__ = ["resembling"]


@jit
def resembling(
    index: NDArray[np.uint32],
    owners: NDArray[np.int64],
    buckets: NDArray[np.int64],
    shift: int,
    sizes: NDArray[np.int64],
    offsets: NDArray[np.int64],
    hashes: NDArray[np.uint32],
    at_least: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """(sampled set, set, Jaccard) of all pairs of at least that similarity.

    `index` holds the sampled sets' hashes ascending, `owners` their sets; those of bucket hash >> shift begin at
    buckets[hash >> shift]. Costs one look-up a hash and one step for each owner.
    """
    shared, touched = np.zeros(len(sizes), np.int64), np.empty(len(sizes), np.int64)
    firsts, seconds, found = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64, np.float64)
    n = 0
    for i in range(len(offsets) - 1):
        many = 0
        for k in range(offsets[i], offsets[i + 1]):
            bucket = np.int64(hashes[k]) >> shift
            for at in range(buckets[bucket], buckets[bucket + 1]):
                if index[at] == hashes[k]:
                    if shared[owners[at]] == 0:
                        touched[many] = owners[at]
                        many += 1
                    shared[owners[at]] += 1
        for t in range(many):
            both = shared[touched[t]]
            shared[touched[t]] = 0
            jaccard = both / (sizes[touched[t]] + offsets[i + 1] - offsets[i] - both)
            if jaccard >= at_least:
                if n == len(found):
                    firsts = np.concatenate((firsts, np.empty(n, np.int64)))
                    seconds = np.concatenate((seconds, np.empty(n, np.int64)))
                    found = np.concatenate((found, np.empty(n, np.float64)))
                firsts[n], seconds[n], found[n] = touched[t], i, jaccard
                n += 1
    return firsts[:n], seconds[:n], found[:n]
