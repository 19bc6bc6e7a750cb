"""DCLM's repetition against counting tuples of words in plain Python."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.pipeline.measure import signals


def expected(words: list[str]) -> dict[str, float]:
    """The columns, by Counter and sets of positions."""
    total = sum(map(len, words))
    result: dict[str, float] = {"dclm_n_words": len(words)}
    for n in range(2, 11):
        grams = [tuple(words[k : k + n]) for k in range(len(words) - n + 1)]
        times = Counter(grams)
        most = max(times.values(), default=0)
        if n <= 4:
            chars = most * max((len("".join(g)) for g in grams if times[g] == most), default=0) if most > 1 else 0
        else:
            inside = {k + i for k, gram in enumerate(grams) if times[gram] > 1 for i in range(n)}
            chars = sum(len(words[k]) for k in inside)
        result[f"dclm_{'top' if n <= 4 else 'dup'}_{n}word_char_ratio"] = chars / max(total, 1)
    return result


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(["rice", "a", "mill", "42", "bran"]), max_size=60), st.sampled_from([" ", ", ", " - "]))
def test_counts_are_those_of_tuples(words: list[str], gap: str) -> None:
    row = signals([gap.join(words)], "en", groups=["dclm"]).to_pylist()[0]
    for name, value in expected(words).items():
        assert row[name] == pytest.approx(value), name


def test_no_text_touches_another() -> None:
    texts = ["a b c a b c", "", None, "a b c", "polished rice and polished rice"]
    together = signals(texts, "en", groups=["dclm"])
    for number, text in enumerate(texts):
        assert signals([text], "en", groups=["dclm"]).equals(together.slice(number, 1).combine_chunks())
