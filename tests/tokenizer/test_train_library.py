"""The library's trainer over our split: merges as ids, and no more text than it can count."""

import pytest

from seimai.errors import ConfigError
from seimai.tokenizer.split import split_pattern
from seimai.tokenizer.train_library import MAX_BYTES, library_merges


def test_merges_are_ids_of_bytes_and_earlier_merges() -> None:
    merges = library_merges(["abab abab"] * 3, 27, 3, pattern=split_pattern())
    assert merges.tolist() == [[97, 98], [256, 256], [32, 257]]


def test_more_text_than_it_can_count_is_refused_unread() -> None:
    def never() -> str:
        raise AssertionError

    with pytest.raises(ConfigError, match="32-bit counts wrap"):
        library_merges(iter(never, ""), MAX_BYTES + 1, 3, pattern=split_pattern())
