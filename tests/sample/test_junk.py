"""Pages to be dropped carry little or nothing that reads like prose, and say why they go."""

import pytest

from seimai.sample.junk import junk_pages
from seimai.sample.page import Page

CLASSES = {"status", "mime", "payload", "language", "empty", "extract", "quality"}


@pytest.mark.parametrize("page", junk_pages(), ids=lambda page: page.url)
def test_the_reason_is_a_known_class(page: Page) -> None:
    assert page.truth.expected == "drop"
    assert set(page.truth.reason.split("|")) <= CLASSES
    assert ("Content-Length", str(len(page.body))) in page.headers


def test_the_run_is_long_and_of_one_character() -> None:
    (page,) = [page for page in junk_pages() if page.truth.kind == "run"]

    assert page.body.decode().count("あ" * 66_000) == 1
    assert 190_000 < len(page.body) < 210_000
