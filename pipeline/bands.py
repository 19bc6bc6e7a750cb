"""How many bands of how many rows: chosen from a threshold, given by name, and what they find as numbers and picture.

Two signatures share a band of r rows with probability j^r where j is their Jaccard similarity, and one of b bands with
1 - (1 - j^r)^b, the S-curve (Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, 3.4). Pairs that share one are
candidates.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["PRESETS", "Preset", "Shape", "band_errors", "choose_bands", "curve_svg", "describe_bands", "s_curve"]

RECALL = 0.99
"""Share of the pairs exactly at the threshold that must become candidates where candidates are verified."""


class Shape(NamedTuple):
    """Bands cut from a signature, and the rows (permutations) of each."""

    bands: int
    rows: int


class Preset(NamedTuple):
    """What a published pipeline uses; `verify`: exact Jaccard decides about candidates."""

    num_perm: int
    bands: int
    rows: int
    verify: bool


PRESETS = {
    "fineweb": Preset(112, 14, 8, False),  # arXiv:2406.17557
    "llmjp": Preset(200, 20, 10, False),  # llm-jp-corpus-v4
    "olmo3": Preset(286, 26, 11, True),  # Dolma 3
    "swallow": Preset(800, 40, 20, False),  # swallow-corpus v2, doubri
}


def s_curve(bands: int, rows: int, jaccard: float) -> float:
    """Probability that two documents of that Jaccard similarity share a band: 1 - (1 - j^rows)^bands.

    >>> round(s_curve(14, 8, 0.8), 2)
    0.92
    """
    return float(1.0 - (1.0 - jaccard**rows) ** bands)


class BandErrors(NamedTuple):
    """Shares, 0 to 1: pairs below the threshold that become candidates, pairs from it on that do not."""

    false_positives: float
    false_negatives: float


def band_errors(bands: int, rows: int, threshold: float) -> BandErrors:
    """The expected shares of false candidates and of missed pairs where similarities are spread evenly on each side.

    Raises ValueError for a threshold outside (0, 1].

    >>> [round(share, 3) for share in band_errors(16, 6, 0.8)]
    [0.274, 0.001]
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold = {threshold}: must be above 0 and at most 1")
    places, weights = _quadrature()
    below, above = threshold * places, threshold + (1 - threshold) * places
    found = 1.0 - (1.0 - below**rows) ** bands
    missed = (1.0 - above**rows) ** bands
    return BandErrors(float(weights @ found), float(weights @ missed))


@lru_cache(maxsize=1)
def _quadrature() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gauss and Legendre's places and weights on [0, 1]: nine digits hold for up to 4,096 permutations."""
    places, weights = np.polynomial.legendre.leggauss(200)
    return (places + 1) / 2, weights / 2


@lru_cache(maxsize=256)
def choose_bands(
    num_perm: int, threshold: float, *, verify: bool = True, bands: int | None = None, rows: int | None = None
) -> Shape:
    """The best shape that fits in `num_perm` permutations, among those with the `bands` or `rows` that are given.

    With verification a false candidate costs one comparison, a missed pair is lost for good: the fewest false
    candidates among the shapes that find 99 % of the pairs exactly at the threshold; where none does, the shape that
    finds most. Without, a false candidate joins two clusters: the least sum of both kinds of errors, as datasketch's
    `MinHashLSH` with its default weights. Raises ValueError where nothing fits.

    >>> choose_bands(128, 0.8), choose_bands(128, 0.8, verify=False)
    (Shape(bands=16, rows=6), Shape(bands=9, rows=13))
    """
    found = [
        Shape(b, r)
        for b in ([bands] if bands else range(1, num_perm + 1))
        for r in ([rows] if rows else range(1, num_perm // b + 1))
        if b * r <= num_perm
    ]
    if not found:
        given = " x ".join(f"{n} {name}" for n, name in ((bands, "bands"), (rows, "rows")) if n)
        raise ValueError(f"{given} is more than num_perm {num_perm}; lower it or raise num_perm")
    if not verify:
        return min(found, key=lambda shape: _sum_of_errors(shape, threshold))
    good = [shape for shape in found if s_curve(*shape, threshold) >= RECALL]
    if not good:
        return max(found, key=lambda shape: s_curve(shape.bands, shape.rows, threshold))
    return min(good, key=lambda shape: band_errors(shape.bands, shape.rows, threshold).false_positives)


def _sum_of_errors(shape: Shape, threshold: float) -> float:
    """The areas below and above the curve on the wrong sides of the threshold."""
    errors = band_errors(*shape, threshold)
    return threshold * errors.false_positives + (1 - threshold) * errors.false_negatives


def describe_bands(shape: Shape, threshold: float, verify: bool) -> str:
    """One line for the log: the shape, its S-curve and its expected errors.

    >>> describe_bands(Shape(16, 6), 0.8, True)[:67]
    '16 bands x 6 rows, threshold 0.8 verified: found 1 % at Jaccard 0.3'
    """
    places = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    bands, rows = shape
    curve = ", ".join(f"{_percent(s_curve(bands, rows, j))} at {'Jaccard ' if j == 0.3 else ''}{j}" for j in places)
    errors = band_errors(bands, rows, threshold)
    return (
        f"{bands} bands x {rows} rows, threshold {threshold:g} {'' if verify else 'not '}verified: found "
        f"{curve}; expected over even similarities: {_percent(errors.false_positives)} of the pairs below are "
        f"candidates, {_percent(errors.false_negatives)} of those above are missed"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if 0.01 <= share <= 0.99 else f"{100 * share:.2g} %" if share < 0.01 else "> 99 %"


_WIDTH, _HEIGHT, _LEFT, _TOP = 480, 240, 44, 12
_COLOURS = ("#2a6f62", "#b5523b", "#3b62b5", "#8a6d1f", "#7a3b8f")


def curve_svg(shapes: dict[str, Shape], threshold: float) -> str:
    """The S-curves of named shapes (at most five) as an SVG picture; a dashed line stands at the threshold.

    >>> curve_svg({"chosen": Shape(16, 6)}, 0.8).count("<polyline")
    1
    """
    lines = [_grid(threshold)]
    for number, (name, shape) in enumerate(shapes.items()):
        colour = _COLOURS[number]
        points = " ".join(f"{_x(k / 100):.1f},{_y(s_curve(*shape, k / 100)):.1f}" for k in range(101))
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        label = f"{name} {shape.bands} × {shape.rows}"
        lines.append(f'<text x="{_LEFT + 10}" y="{_TOP + 16 + 16 * number}" fill="{colour}">{label}</text>')
    size = f'width="{_WIDTH + _LEFT + 16}" height="{_HEIGHT + _TOP + 44}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
    return "\n".join([head, *lines, "</svg>"]) + "\n"


def _x(jaccard: float) -> float:
    return _LEFT + _WIDTH * jaccard


def _y(share: float) -> float:
    return _TOP + _HEIGHT * (1 - share)


def _grid(threshold: float) -> str:
    parts = [f'<rect x="{_LEFT}" y="{_TOP}" width="{_WIDTH}" height="{_HEIGHT}" fill="#fff" stroke="#888"/>']
    for k in range(0, 11, 2):
        parts.append(f'<text x="{_x(k / 10):.0f}" y="{_y(0) + 16:.0f}" text-anchor="middle">{k / 10:g}</text>')
        parts.append(f'<text x="{_LEFT - 6}" y="{_y(k / 10) + 4:.0f}" text-anchor="end">{10 * k} %</text>')
        parts.append(f'<path d="M{_x(k / 10):.0f} {_y(0)}V{_y(1)}M{_x(0)} {_y(k / 10):.0f}H{_x(1)}" stroke="#ddd"/>')
    parts.append(f'<path d="M{_x(threshold):.1f} {_y(0)}V{_y(1)}" stroke="#555" stroke-dasharray="4 3"/>')
    middle = f'x="{_x(0.5):.0f}" y="{_y(0) + 36:.0f}" text-anchor="middle"'
    parts.append(f"<text {middle}>Jaccard similarity of two documents; upwards: share of such pairs found</text>")
    return "\n".join(parts)
