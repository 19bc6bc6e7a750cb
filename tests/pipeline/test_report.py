"""The funnel and the page that shows it."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from seimai.pipeline.canaries import CanaryVerdict
from seimai.pipeline.dedup import DedupConfig
from seimai.pipeline.report import funnel, write_report

TOTALS: dict[str, Any] = {
    "read": {"documents": 100, "records.response": 100, "archive.broken_member": 1, "quarantined": 0},
    "reasons": [
        ["", "status", 20],
        ["en", "kept", 30],
        ["en", "lang_score", 1],
        ["en", "min_words", 9],
        ["ja", "duplicate", 5],
        ["ja", "kept", 25],
        ["ja", "lang_score", 2],
        ["ja", "max_ellipses", 3],
        ["ja", "min_hiragana_ratio", 5],
    ],
    "alone": [["", "status", 20], ["en", "min_words", 7], ["ja", "max_ellipses", 2]],
    "kept": {"en": {"documents": 30, "chars": 3000, "bytes": 3100}, "ja": {"documents": 25, "chars": 9, "bytes": 27}},
    "cut": [["line_rules", "navigation", 1234, 5678]],
    "shards": 2,
}
HEAD: dict[str, Any] = {
    "seimai": "0.1.0",
    "inputs": [{"key": "x", "bytes": 1}],
    "totals": TOTALS,
    "failed_parts": [{"part": "p-0", "error": "<b>ValueError</b> & more"}],
}


def test_the_funnel_goes_from_pages_read_to_pages_kept() -> None:
    assert funnel(TOTALS) == [
        ("read", "pages read", "", 100),
        ("gate", "status", "", 20),
        ("gate", "lang_score", "", 3),
        ("quality", "min_words", "en", 9),
        ("quality", "min_hiragana_ratio", "ja", 5),
        ("quality", "max_ellipses", "ja", 3),
        ("duplicate", "duplicate", "ja", 5),
        ("kept", "kept", "en", 30),
        ("kept", "kept", "ja", 25),
    ]
    assert sum(count for _, _, _, count in funnel(TOTALS)[1:]) == 100


def test_a_run_without_pages() -> None:
    assert funnel({"read": {}, "reasons": [], "kept": {}, "shards": 0}) == [("read", "pages read", "", 0)]


class Tags(HTMLParser):
    """Collects what a page would fetch, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [f"{tag} {value}" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"


def test_the_page_is_offline_and_escapes_what_it_shows(tmp_path: Path) -> None:
    write_report(tmp_path, HEAD)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    assert tags.fetched == []
    assert "<b>ValueError" not in page
    for words in ("p-0: <b>ValueError</b> & more", "min_hiragana_ratio", "3,000", "archive.broken_member", "5,678"):
        assert words in tags.text
    assert "quarantined" not in tags.text
    write_report(tmp_path, {**HEAD, "failed_parts": []})
    assert "Parts that failed" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_page_shows_canaries_and_rules_that_drop_alone(tmp_path: Path) -> None:
    verdicts = [CanaryVerdict("ja-essay", "ja", True, "min_chars", "n_chars = 7, asked >= 9"),
                CanaryVerdict("en-menu", "en", False, "min_words", "")]  # fmt: skip
    write_report(tmp_path, HEAD, canaries=verdicts)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<td>ja-essay</td><td>good</td><td>WRONG</td><td>min_chars n_chars = 7, asked &gt;= 9</td>" in page
    assert "<td>en-menu</td><td>bad</td><td>right</td>" in page
    assert "<td>en</td><td>min_words</td><td class=n>7</td>" in page
    assert "<td></td><td>status</td><td class=n>20</td></tr><tr><td>en" not in page
    write_report(tmp_path, HEAD)
    assert "Canaries" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_same_totals_give_the_same_bytes(tmp_path: Path) -> None:
    pages = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_report(tmp_path / name, HEAD)
        pages.append((tmp_path / name / "report.html").read_bytes())
    assert pages[0] == pages[1]


def test_the_page_shows_what_the_bands_find(tmp_path: Path) -> None:
    write_report(tmp_path, HEAD, DedupConfig(preset="fineweb"))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "14 bands x 8 rows, threshold 0.8 not verified: found" in page
    assert page.count("<polyline") == 1
    tags = Tags()
    tags.feed(page)
    assert tags.fetched == []
