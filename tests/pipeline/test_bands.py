"""S-curves against published figures, simulation and quadrature; shapes against datasketch and exhaustive search."""

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from datasketch.lsh import _optimal_param
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.pipeline.bands import PRESETS, RECALL, Shape, band_errors, choose_bands, curve_svg, describe_bands, s_curve
from seimai.pipeline.dedup import band_keys
from seimai.pipeline.shingles import minhash


@pytest.mark.parametrize(
    ("bands", "rows", "jaccard", "published"),
    [(14, 8, 0.6, 0.21), (14, 8, 0.7, 0.57), (26, 11, 0.8, 0.90), (20, 10, 0.7, 0.44), (40, 20, 0.8, 0.37)],
)
def test_s_curve_as_published(bands: int, rows: int, jaccard: float, published: float) -> None:
    assert s_curve(bands, rows, jaccard) == pytest.approx(published, abs=0.006)


@pytest.mark.parametrize("jaccard", [0.5, 0.7, 0.8])
def test_s_curve_as_simulated(jaccard: float) -> None:
    # Pairs of random shingle sets of known similarity, through permutations of our own signatures.
    generator, n, pairs = np.random.default_rng(5), 60, 400
    shared = round(2 * n * jaccard / (1 + jaccard))
    texts = []
    for _ in range(pairs):
        words = [f"w{number}" for number in generator.choice(10**9, 2 * n - shared, replace=False)]
        texts += [" ".join(words[:n]), " ".join(words[n - shared :])]
    keys = band_keys(minhash(texts, shingle="word", size=1), 16, 8)
    found = (keys[0::2] == keys[1::2]).any(axis=1).mean()
    exact = shared / (2 * n - shared)
    deviation = (s_curve(16, 8, exact) * (1 - s_curve(16, 8, exact)) / pairs) ** 0.5
    assert found == pytest.approx(s_curve(16, 8, exact), abs=4 * deviation + 0.01)


@pytest.mark.parametrize(("bands", "rows", "threshold"), [(16, 6, 0.8), (14, 8, 0.7), (1, 1, 0.5), (40, 20, 0.95)])
def test_errors_are_the_means_of_the_curve(bands: int, rows: int, threshold: float) -> None:
    places = (np.arange(10_000) + 0.5) / 10_000
    below = [s_curve(bands, rows, j) for j in threshold * places]
    above = [1 - s_curve(bands, rows, j) for j in threshold + (1 - threshold) * places]
    found = band_errors(bands, rows, threshold)
    assert found == pytest.approx((np.mean(below), np.mean(above)), abs=1e-6)


@pytest.mark.parametrize("num_perm", [64, 112, 128, 256])
@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7, 0.8, 0.9])
def test_without_verification_datasketchs_shape(num_perm: int, threshold: float) -> None:
    assert choose_bands(num_perm, threshold, verify=False) == _optimal_param(threshold, num_perm, 0.5, 0.5)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 200), st.floats(0.1, 1.0))
def test_with_verification_the_fewest_candidates_that_find_enough(num_perm: int, threshold: float) -> None:
    shape = choose_bands(num_perm, threshold)
    assert shape.bands * shape.rows <= num_perm
    every = [Shape(b, r) for b in range(1, num_perm + 1) for r in range(1, num_perm // b + 1)]
    enough = [other for other in every if s_curve(*other, threshold) >= RECALL]
    if enough:
        assert s_curve(*shape, threshold) >= RECALL
        fewest = min(band_errors(*other, threshold).false_positives for other in enough)
        assert band_errors(*shape, threshold).false_positives == fewest
    else:
        assert s_curve(*shape, threshold) == max(s_curve(*other, threshold) for other in every)


def test_the_default_finds_what_it_promises() -> None:
    shape = choose_bands(128, 0.8)
    assert s_curve(*shape, 0.82) >= 0.995
    assert band_errors(*shape, 0.8).false_negatives < 0.002


def test_given_bands_or_rows_stay() -> None:
    assert choose_bands(128, 0.8, bands=10).bands == 10
    assert choose_bands(128, 0.8, rows=7) == (18, 7)
    assert choose_bands(128, 0.8, bands=3, rows=9, verify=False) == (3, 9)
    with pytest.raises(ValueError, match="20 bands x 8 rows is more than num_perm 128"):
        choose_bands(128, 0.8, bands=20, rows=8)
    with pytest.raises(ValueError, match="above 0"):
        band_errors(1, 1, 0.0)


def test_the_line_for_the_log() -> None:
    line = describe_bands(Shape(14, 8), 0.8, verify=False)
    assert line.startswith("14 bands x 8 rows, threshold 0.8 not verified: found 0.092 % at Jaccard 0.3, ")
    assert "21 % at 0.6, 56 % at 0.7, 92 % at 0.8, > 99 % at 0.9" in line
    assert line.endswith("16 % of the pairs below are candidates, 1 % of those above are missed")


def test_the_picture() -> None:
    shapes = {name: Shape(preset.bands, preset.rows) for name, preset in PRESETS.items()}
    picture = ET.fromstring(curve_svg({"chosen": choose_bands(128, 0.8), **shapes}, 0.8))
    space = "{http://www.w3.org/2000/svg}"
    lines = picture.findall(f"{space}polyline")
    assert len(lines) == 5
    first = [tuple(map(float, point.split(","))) for point in lines[0].attrib["points"].split()]
    assert len(first) == 101
    assert first == sorted(first, key=lambda point: (point[0], -point[1]))
    assert "fineweb 14 × 8" in [text.text for text in picture.findall(f"{space}text")]


def test_the_picture_of_the_documentation_is_the_present_one() -> None:
    shapes = {"default": choose_bands(128, 0.8)}
    shapes |= {name: Shape(preset.bands, preset.rows) for name, preset in PRESETS.items()}
    drawn = Path(__file__).resolve().parents[2] / "docs" / "s_curve.svg"
    assert drawn.read_text(encoding="utf-8") == curve_svg(shapes, 0.8), "python bench/s_curve.py draws it anew"
