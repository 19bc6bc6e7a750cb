"""Asking for memory early: it is asked for, and nothing else happens."""

from typing import Any

import numba
import numpy as np
import pytest

from seimai.tokenizer.prefetch import prefetch


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
@pytest.mark.parametrize("index", [0, 2, 3, -1, 10**12])
def test_any_place_may_be_asked_for(dtype: type, index: int) -> None:
    array: Any = np.arange(3, dtype=dtype)
    prefetch(array, index)
    assert array.tolist() == [0, 1, 2]


def test_the_processor_is_asked() -> None:
    @numba.njit
    def last(array: Any) -> Any:
        prefetch(array, 2)
        return array[2]

    assert last(np.arange(3)) == 2
    assert all("call void @llvm.prefetch" in code for code in last.inspect_llvm().values())
