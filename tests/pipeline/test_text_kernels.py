"""What the public functions take for texts: every form of strings, surrogates mended, all else refused in one line."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numba.core.errors import NumbaError
from numpy.typing import NDArray

from seimai.pipeline import find_pii, identify_language, minhash, signals
from seimai.pipeline.text_kernels import as_strings, jit_in_place

TEXTS = ["精米の話です。", None, ""]


@pytest.mark.parametrize(
    "given",
    [
        TEXTS,
        tuple(TEXTS),
        pa.array(TEXTS),
        pa.array(TEXTS, pa.large_string()),
        pa.array(TEXTS, pa.string_view()),
        pa.array(TEXTS).dictionary_encode(),
        pa.chunked_array([TEXTS[:1], TEXTS[1:]]),
        pa.array(["x", *TEXTS])[1:],
    ],
    ids=lambda given: str(getattr(given, "type", type(given).__name__)),
)
def test_every_form_of_strings(given: list[str | None] | pa.Array) -> None:
    array = as_strings(given)
    assert array.type == pa.large_string()
    assert array.to_pylist() == TEXTS


@pytest.mark.parametrize("given", [[], pa.array([], pa.string()), pa.chunked_array([], pa.string()), pa.nulls(0)])
def test_no_texts(given: list[str | None] | pa.Array) -> None:
    assert as_strings(given).to_pylist() == []


def test_surrogates_are_joined_or_replaced() -> None:
    broken = ["a\ud800b", json.loads('"\\ud83d\\ude00"'), "\udc00\ud800", "\ud83d" + "\ude00", None, "米"]
    mended = ["a\ufffdb", "😀", "\ufffd\ufffd", "😀", None, "米"]
    assert as_strings(broken).to_pylist() == mended
    assert signals(broken, "ja").equals(signals(mended, "ja"))
    assert identify_language(broken).equals(identify_language(mended))
    assert find_pii(broken).num_rows == 0
    assert minhash(broken, lang="ja").tolist() == minhash(mended, lang="ja").tolist()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("精米の話です。", r"one str \('精米の話です。'\); give a sequence of texts, as \[text\]"),
        (pa.array([1, 2]), "an Arrow array of int64; give strings"),
        (pa.chunked_array([[["a"]]]), "an Arrow array of list<item: string>; give strings"),
        ([1], "int"),
    ],
    ids=["str", "int64", "list", "numbers"],
)
def test_everything_else_is_refused(given: str, told: str) -> None:
    functions: list[Callable[[Any], pa.Table]] = [identify_language, find_pii, partial(signals, lang="en")]
    for function in functions:
        with pytest.raises(TypeError, match=told):
            function(given)


def test_a_kernel_in_place_makes_no_arrays() -> None:
    doubled = np.arange(3)

    @jit_in_place
    def double(numbers: NDArray[np.int64]) -> None:
        for row in numbers.reshape(-1, 1):
            row[0] *= 2

    @jit_in_place
    def first_of_copy(numbers: NDArray[np.int64]) -> int:
        return int(numbers.copy()[0])

    double(doubled)
    assert doubled.tolist() == [0, 2, 4]
    with pytest.raises(NumbaError, match="NRT required"):
        first_of_copy(doubled)
