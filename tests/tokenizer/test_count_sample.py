"""Which documents are counted and what languages weigh: sizes kept, whole numbers, no order."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seimai.errors import ConfigError
from seimai.tokenizer.count_sample import ALL, Amount, Balance, keys, read_balance, thresholds, weights

SIZES = st.dictionaries(st.sampled_from(["de", "en", "fr", "ja"]), st.integers(0, 10**12), min_size=1)


def _amounts(documents: dict[str, list[tuple[str, int]]]) -> dict[str, Amount]:
    """What a survey finds of documents (id, bytes)."""
    found = {}
    for lang, rows in documents.items():
        buckets = np.zeros(4096, np.int64)
        np.add.at(buckets, (keys([name for name, _ in rows], 1) >> np.uint64(52)).astype(int), [n for _, n in rows])
        found[lang] = Amount(len(rows), sum(n for _, n in rows), buckets)
    return found


DOCUMENTS = {
    "en": [(f"en{n}", 100 + n % 17) for n in range(9000)],
    "ja": [(f"ja{n}", 300 + n % 7) for n in range(1000)],
}


def _taken(below: dict[str, int]) -> dict[str, int]:
    return {
        lang: sum(size for (_, size), key in zip(rows, keys([name for name, _ in rows], 1).tolist(), strict=True)
                  if key < below[lang])
        for lang, rows in DOCUMENTS.items()
    }  # fmt: skip


@pytest.mark.parametrize(
    ("balance", "total", "expected"),
    [
        (Balance(), 200_000, {"en": 200_000 * 972 / (972 + 303), "ja": 200_000 * 303 / (972 + 303)}),
        (Balance({"en": Fraction(1, 2), "ja": Fraction(1, 2)}), 200_000, {"en": 100_000, "ja": 100_000}),
        # Japanese has 303 kB; what it cannot fill of its 400 kB goes to English.
        (Balance({"en": Fraction(1, 2), "ja": Fraction(1, 2)}), 800_000, {"en": 497_000, "ja": 303_000}),
        (Balance(exponent=Fraction(0)), 100_000, {"en": 50_000, "ja": 50_000}),
        (Balance({"ja": Fraction(1)}), 50_000, {"en": 0, "ja": 50_000}),
    ],
)
def test_a_sample_has_the_bytes_asked_for(balance: Balance, total: int, expected: dict[str, float]) -> None:
    taken = _taken(thresholds(_amounts(DOCUMENTS), total, balance))
    for lang, size in expected.items():
        assert taken[lang] == pytest.approx(size, rel=0.02)


def test_no_limit_takes_everything() -> None:
    assert thresholds(_amounts(DOCUMENTS), 0, Balance()) == {"en": ALL, "ja": ALL}
    assert thresholds(_amounts(DOCUMENTS), 10**9, Balance()) == {"en": ALL, "ja": ALL}
    assert thresholds(_amounts(DOCUMENTS), 0, Balance({"ja": Fraction(1)})) == {"en": 0, "ja": ALL}


@given(sizes=SIZES, total=st.integers(1, 10**12), hundredths=st.integers(0, 100))
def test_thresholds_stay_in_bounds_and_rise_with_the_sample(sizes: dict[str, int], total: int, hundredths: int) -> None:
    found = {
        lang: Amount(1, size, np.array([size // 2, size - size // 2] + [0] * 4094)) for lang, size in sizes.items()
    }
    balance = Balance(exponent=Fraction(hundredths, 100))
    less, more = (thresholds(found, n, balance) for n in (total, 2 * total))
    for lang in sizes:
        assert 0 <= less[lang] <= more[lang] <= ALL
    if total >= sum(sizes.values()):
        assert all(below == ALL for below in less.values())


@given(sizes=SIZES, hundredths=st.integers(0, 100))
def test_an_exponent_is_that_power(sizes: dict[str, int], hundredths: int) -> None:
    parts = Balance(exponent=Fraction(hundredths, 100)).parts(sizes)
    if hundredths == 100:
        assert parts == sizes
        return
    for lang, size in sizes.items():
        assert parts[lang] / 2**32 == pytest.approx(size ** (hundredths / 100), rel=1e-9)


@given(
    mass=st.dictionaries(st.sampled_from(["de", "en", "fr", "ja"]), st.integers(1, 10**13), min_size=2),
    shares=st.lists(st.integers(0, 100), min_size=4, max_size=4),
    largest=st.integers(1, 10**12),
)
def test_weights_keep_the_parts_and_never_overflow(mass: dict[str, int], shares: list[int], largest: int) -> None:
    parts = dict(zip(mass, shares, strict=False))
    wished = {lang for lang in mass if parts[lang]}
    ratios = [Fraction(parts[lang], mass[lang]) for lang in wished]
    if wished and len(wished) * largest * max(ratios) / min(ratios) > 2**61:
        return
    found, bits = weights(mass, parts, largest)
    assert {lang for lang, weight in found.items() if weight} == wished
    assert sum(weight * largest for weight in found.values()) < 2**63
    if wished:
        assert min(found[lang] for lang in wished) == 1 << bits
        first = min(wished, key=lambda lang: Fraction(parts[lang], mass[lang]))
        for lang in wished:
            exact = Fraction(parts[lang] * mass[first], mass[lang] * parts[first])
            assert 0 <= exact - Fraction(found[lang], 1 << bits) < Fraction(1, 1 << bits)


def test_a_language_without_text_to_speak_of_is_refused() -> None:
    with pytest.raises(ConfigError, match="en has too little text, it would weigh 1,000,000,000,000 times"):
        weights({"en": 1, "ja": 10**12}, {"en": 1, "ja": 1}, 10**9)


@pytest.mark.parametrize(
    ("shares", "exponent", "words"),
    [
        ("ja=0.5,ja=0.5", "", "each language once"),
        ("ja=0", "", "above 0"),
        ("ja", "", "write ja=0.5,en=0.5"),
        ("ja=x", "", "write ja=0.5,en=0.5"),
        ("ja=1/0", "", "write ja=0.5,en=0.5"),
        ("", "1.5", "from 0"),
        ("", "0.001", "two digits"),
        ("ja=1", "0.5", "one of the two"),
    ],
)
def test_a_wrong_balance_is_one_line(shares: str, exponent: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        read_balance(shares, exponent)
    assert "\n" not in str(caught.value)
