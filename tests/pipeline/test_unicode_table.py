"""The shipped tables against Python's own Unicode data, where that has the pinned version."""

import unicodedata

import numpy as np
import pytest

from seimai.pipeline import unicode_table
from seimai.pipeline.unicode_table import class_table, fold_table

CODES = np.arange(0x110000)


def test_classes_of_well_known_characters() -> None:
    table = class_table()
    values = table.blocks[table.block_of[CODES >> 8], CODES & 255]
    for text, script in (("あゝ゛", 1), ("アーヽｱﾞ", 2), ("漢々〆𠮷", 3), ("a1１。", 0)):
        assert [int(values[ord(c)]) >> 3 & 3 for c in text] == [script] * len(text)
    for code in CODES[:0x3100]:
        assert bool(values[code] & unicode_table.SPACE_BIT) == chr(code).isspace()
        assert bool(values[code] & unicode_table.BREAK_BIT) == (len(f"a{chr(code)}b".splitlines()) == 2)


@pytest.mark.skipif(
    unicodedata.unidata_version != unicode_table.UNICODE_VERSION, reason="this Python has another Unicode version"
)
def test_tables_equal_pythons_own() -> None:
    table = class_table()
    kinds = table.blocks[table.block_of[CODES >> 8], CODES & 255] & unicode_table.CATEGORY_MASK
    letters = {"L": 1, "M": 2, "N": 3, "P": 4, "S": 5, "Z": 6}
    for code in range(0, 0x110000, 7):
        category = unicodedata.category(chr(code))
        other = 7 if category in ("Cn", "Co") else 0
        assert kinds[code] == letters.get(category[0], other), hex(code)


def test_tables_are_small_and_whole() -> None:
    table = fold_table()
    assert table.block_of.shape == (0x1100,)
    assert np.all(np.diff(table.pairs) > 0)
    assert sum(array.nbytes for array in (*table, *class_table())) < 500_000
