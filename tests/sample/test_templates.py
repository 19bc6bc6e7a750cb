"""The templates under the reader the pass begins with: the article comes out whole, with little of its frame."""

import re

import pytest

from seimai.pipeline.charset import decode_html
from seimai.pipeline.extract import extract_text
from seimai.pipeline.payload import http_payload
from seimai.sample.articles import articles
from seimai.sample.build import records
from seimai.sample.pages import pages
from seimai.sample.sites import site
from seimai.sample.templates import TEMPLATES

BY_SLUG = {article.slug: article for article in articles()}
RESPONSES = {
    dict(record.headers)["WARC-Target-URI"]: record.block
    for record in records()
    if ("WARC-Type", "response") in record.headers
}


def bare(text: str) -> str:
    return re.sub(r"\s", "", text)


def read(url: str) -> str:
    payload = http_payload(RESPONSES[url], max_body_bytes=1 << 20)
    return bare(extract_text(decode_html(payload.body, payload.charset).text, url=url).text)


@pytest.mark.parametrize("template", sorted(TEMPLATES))
@pytest.mark.parametrize("lang", ["ja", "en"])
def test_extraction_finds_the_article_and_little_else(template: str, lang: str) -> None:
    whole = [page for page in pages() if page.truth.kind in ("original", "mirror") and page.truth.lang == lang]
    carriers = [page for page in whole if site(page.host).template == template]

    assert carriers
    for page in carriers:
        text, article = read(page.url), BY_SLUG[page.truth.slug]
        found = sum(len(bare(paragraph)) for paragraph in article.paragraphs if bare(paragraph) in text)

        assert found >= 0.95 * len(bare(article.text)), page.url
        assert len(text) - found <= 0.15 * len(text), page.url
