"""Words of a block that its title and the rest of its text share: table tests against counting by hand."""

import numpy as np
import pytest

from seimai.pipeline.block_topic import fill_topic, title_of
from seimai.pipeline.html_blocks import blocks_of
from seimai.pipeline.html_scan import scan_page


@pytest.mark.parametrize(
    ("page", "best", "expected"),
    [
        # Words of fewer than four letters count nowhere: "the" is none.
        (b"<title>Rice milling</title><p>rice husks<p>the rice bran", [1, 1], [(1 / 2, 1 / 2, 2), (1 / 2, 1 / 2, 2)]),
        (b"<title>Rice</title><p>rice rice rice<p>bran", [1, 1], [(0, 1, 1), (0, 0, 1)]),  # once a block
        (b"<p>menu home<p>rice bran<p>bran home", [0, 1, 0], [(0, 0, 2), (0, 0, 2), (1 / 2, 0, 2)]),
        ("<title>精米</title><p>精米機<p>白米".encode(), [1, 1], [(0, 1, 2), (0, 0, 1)]),  # pairs of kanji
        (b"<p>x", [0], [(0, 0, 0)]),
    ],
)
def test_shares_are_counted(page: bytes, best: list[float], expected: list[tuple[float, float, int]]) -> None:
    scan = scan_page(page)
    blocks = blocks_of(scan)
    rows = np.zeros((len(best), 3), np.float32)

    fill_topic(scan, blocks.blocks, title_of(scan), np.array(best, np.float32), rows)

    wanted = [(shared, titled, np.log2(1.0 + n_words)) for shared, titled, n_words in expected]
    np.testing.assert_allclose(rows, wanted, rtol=1e-6)


def test_a_page_without_a_title_has_an_empty_one() -> None:
    assert not len(title_of(scan_page(b"<p>rice")))
