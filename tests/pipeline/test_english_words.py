"""English words against the tokens that spaCy 3.8 gives datatrove 0.10.1, and what must hold for any text."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seimai.pipeline.english_tables import english_tables
from seimai.pipeline.english_words import cut_english
from seimai.pipeline.text_kernels import as_strings, slices


def words(text: str) -> list[str]:
    """The words of a text."""
    part = next(slices(as_strings([text])))
    starts, ends = np.empty(len(part.codes), np.int32), np.empty(len(part.codes), np.int32)
    n = cut_english(part.codes, part.classes, *english_tables(), starts, ends)
    return [text[start:end] for start, end in zip(starts[:n], ends[:n], strict=True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop -- the well-known U.S. e-mail...", "Do|n't|stop|--|the|well|-|known|U.S.|e|-|mail|..."),
        ("a@b.com 3,000.5 (x) 'quote'", "a@b.com|3,000.5|(|x|)|'|quote|'"),
        ("http://a.b/c?d=e foo/bar", "http://a.b|/|c?d|=|e|foo|/|bar"),
        ("$5 10% it's", "$|5|10|%|it|'s"),
        ('The Emperor’s, Mr. Smith\'s "end."', 'The|Emperor|’s|,|Mr.|Smith|\'s|"|end|.|"'),
        ("he said:“No!”—and left", "he|said:“No!”—and|left"),
        ("64-bit 8-dan 1185-1333 34cm 512MB", "64|-|bit|8|-|dan|1185|-|1333|34|cm|512|MB"),
        ("www.example.org/path?x#y, end.Begin", "www.example.org/path?x#y|,|end|.|Begin"),
        ("cannot dont I'm thats id", "can|not|do|nt|I|'m|that|s|i|d"),
        ("C++ e.g. and/or etc. St. A. NATO. x.", "C++|e.g.|and/or|etc|.|St.|A.|NATO|.|x."),
        ("★new [1]; a,b 3+4 key=value /usr", "★|new|[|1|]|;|a|,|b|3|+|4|key|=|value|/usr"),
        ("wait....what? oh…well", "wait|....|what|?|oh|…|well"),
        ("精米は白い。 20°C", "精米は白い|。|20|°|C"),
    ],
)
def test_cuts_like_spacy(text: str, expected: str) -> None:
    assert words(text) == expected.split("|")


@settings(deadline=None)
@given(st.text(st.sampled_from("aZé9 .,'’-—:/@#$%+()…★精。\u3000\n"), max_size=60))
def test_words_are_the_text_without_white_space(text: str) -> None:
    found = words(text)
    assert "".join(found) == "".join(text.split())
    assert all(found)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_cut(text: str) -> None:
    if text:
        assert "".join(words(text)) == "".join(text.split())
