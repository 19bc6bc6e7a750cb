"""Pages with gold text, and the score of a text against it; shared by the benches of extraction."""

import os
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pyarrow.parquet as pq

from seimai.pipeline.charset import decode_html

__all__ = ["DATA", "SETS", "GoldPage", "gold_pages", "score", "tokens"]

DATA = Path(os.environ.get("SEIMAI_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
SETS = ("scrapinghub", "readability", "httpd-ja", "boostjp", "webmainbench")
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7a3]|\w+")


class GoldPage(NamedTuple):
    """A page, the site it is from (its own name where no address is known) and its main text."""

    subset: str
    site: str
    url: str | None
    page: str
    gold: str


def tokens(text: str) -> list[str]:
    """Words, and single characters of Japanese, Chinese and Korean.

    >>> tokens("GPU を2枚")
    ['GPU', 'を', '2', '枚']
    """
    return _TOKEN.findall(text)


def score(text: str, gold: str) -> tuple[float, float, float]:
    """Precision, recall and F1 of a text's bag of tokens.

    >>> score("a b c d", "b c")
    (0.5, 1.0, 0.6666666666666666)
    """
    found, wanted = Counter(tokens(text)), Counter(tokens(gold))
    both = sum((found & wanted).values())
    if not both:
        return 0.0, 0.0, 0.0
    precision, recall = both / sum(found.values()), both / sum(wanted.values())
    return precision, recall, 2 * precision * recall / (precision + recall)


def gold_pages() -> list[GoldPage]:
    """The development set."""
    rows = pq.read_table(DATA / "extraction" / "extraction_dev.parquet").to_pylist()
    return [
        GoldPage(
            row["set"],
            urlsplit(row["url"] or "").hostname or row["id"],
            row["url"],
            decode_html(row["html"], None).text,
            row["gold"],
        )
        for row in rows
    ]
