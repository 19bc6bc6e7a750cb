"""Two trainings on the same held-out documents in; a difference with an interval and a verdict out.

Letters: S seeds, D documents, H hosts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seimai.errors import ConfigError, InputError

__all__ = ["Comparison", "Verdict", "compare_paired"]

Verdict = Literal["better", "worse", "cannot be told apart"]

Floats = NDArray[np.float64]
DRAWS = 4000
CHUNK_NUMBERS = 1 << 22
T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Student's t, 97.5 %, by degrees of freedom from 1."""


@dataclass(frozen=True)
class Comparison:
    """B against A: cost of the same documents, difference as a share of A's cost, and what may be said of it."""

    verdict: Verdict
    """Of B: its interval lies wholly beyond the margin, or it cannot be told apart."""
    difference: float
    """Σ bits of B / Σ bits of A − 1 over all documents and seeds; below 0 B is better."""
    low: float
    """Lower end of the 95 % interval of `difference`."""
    high: float
    """Upper end."""
    margin: float
    """What a difference must pass to count."""
    within_margin: bool
    """The whole interval lies within ± margin: alike for all that matters, not only for lack of data."""
    bits_per_byte_a: float
    """Mean over seeds, all documents together."""
    bits_per_byte_b: float
    """The same of B."""
    by_seed: tuple[float, ...]
    """`difference` of every seed alone."""
    documents: int
    """D."""
    hosts: int
    """H."""


def compare_paired(
    bits_a: Floats,
    bits_b: Floats,
    n_bytes: NDArray[np.int64],
    hosts: Sequence[Any] | NDArray[Any],
    *,
    margin: float = 0.005,
    draws: int = DRAWS,
) -> Comparison:
    """Compare two trainings by the bits (S, D) that each document cost with each seed.

    `n_bytes` (D) is the documents' UTF-8 length, `hosts` (D) names what they came from; documents of a host are drawn
    together, because they are alike. The 95 % interval is a bootstrap over seeds and hosts, both drawn with
    replacement, seed for seed and document for document the same for A and B. A bootstrap of few things is too narrow
    (Hesterberg 2015, arXiv:1411.5279, section 4.3), so both parts are widened by √(n/(n−1)) · t(n−1)/z: 2.69 for three
    seeds. Draws are fixed: the same numbers give the same interval.

    Raises ConfigError for fewer than two seeds or shapes that do not fit, InputError for fewer than two hosts.

    >>> a = np.full((3, 50), 1000.0)
    >>> found = compare_paired(a, a * 1.02, np.full(50, 500), range(50))
    >>> found.verdict, round(found.difference, 4), round(found.bits_per_byte_a, 2)
    ('worse', 0.02, 2.0)
    """
    if bits_a.shape != bits_b.shape or bits_a.shape[1:] != n_bytes.shape or len(hosts) != len(n_bytes):
        raise ConfigError(f"bits of shapes {bits_a.shape} and {bits_b.shape} are no pairs; score the same documents")
    if len(bits_a) < 2:
        raise ConfigError("one seed says nothing about the noise of seeds; give --seeds 2 or more")
    if margin < 0:
        raise ConfigError(f"margin = {margin} is below 0; give a share such as 0.005")
    sums_a, sums_b = _by_host(bits_a, hosts), _by_host(bits_b, hosts)
    if sums_a.shape[1] < 2:
        raise InputError("held-out documents of one host say nothing about others; hold out more hosts")
    difference = float(bits_b.sum() / bits_a.sum() - 1)
    low, high = np.quantile(_draw(sums_a, sums_b, difference, draws), [0.025, 0.975]).tolist()
    total_bytes = len(bits_a) * int(n_bytes.sum())
    return Comparison(
        verdict="better" if high < -margin else "worse" if low > margin else "cannot be told apart",
        difference=difference,
        low=low,
        high=high,
        margin=margin,
        within_margin=-margin <= low and high <= margin,
        bits_per_byte_a=float(bits_a.sum()) / total_bytes,
        bits_per_byte_b=float(bits_b.sum()) / total_bytes,
        by_seed=tuple((bits_b.sum(1) / bits_a.sum(1) - 1).tolist()),
        documents=len(n_bytes),
        hosts=sums_a.shape[1],
    )


def _by_host(bits: Floats, hosts: Sequence[Any] | NDArray[Any]) -> Floats:
    """(S, D) -> (S, H)."""
    _, codes = np.unique(np.asarray(hosts), return_inverse=True)
    return np.stack([np.bincount(codes, row) for row in bits])


def _draw(sums_a: Floats, sums_b: Floats, difference: float, draws: int) -> Floats:
    """Differences of drawn seeds and hosts, both parts of their deviation widened for their small numbers."""
    seeds, hosts = sums_a.shape
    random = np.random.Generator(np.random.Philox(0))
    found = []
    chunk = max(1, CHUNK_NUMBERS // hosts)
    for first in range(0, draws, chunk):
        count = min(chunk, draws - first)
        of_hosts = random.multinomial(hosts, np.full(hosts, 1 / hosts), size=count).astype(np.float64)
        of_seeds = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=count)
        drawn_a, drawn_b = of_hosts @ sums_a.T, of_hosts @ sums_b.T
        all_seeds = drawn_b.sum(1) / drawn_a.sum(1) - 1
        drawn = (of_seeds * drawn_b).sum(1) / (of_seeds * drawn_a).sum(1) - 1
        found.append(difference + _widening(hosts) * (all_seeds - difference) + _widening(seeds) * (drawn - all_seeds))
    return np.concatenate(found)


def _widening(count: int) -> float:
    """√(n/(n−1)) · t(n−1)/z at 97.5 %.

    >>> [round(_widening(n), 2) for n in (2, 3, 5, 1000)]
    [9.17, 2.69, 1.58, 1.0]
    """
    free, z = count - 1, NormalDist().inv_cdf(0.975)
    # Beyond the table two terms of Fisher's expansion are right to 0.003.
    t = (
        T_975[free - 1]
        if free <= len(T_975)
        else z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    )
    return math.sqrt(count / free) * t / z
