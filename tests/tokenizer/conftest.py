"""Texts in the repository for the tokenizer's tests, and one small trained tokenizer for all of them."""

import json
from pathlib import Path

import pytest

from seimai.sample.articles import articles
from seimai.tokenizer.train import train_tokenizer


@pytest.fixture(scope="session")
def texts() -> dict[str, list[str]]:
    """Articles of the sample web by language."""
    found: dict[str, list[str]] = {}
    for article in articles():
        found.setdefault(article.lang, []).append(article.text)
    return found


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory, texts: dict[str, list[str]]) -> Path:
    """The same as JSON lines: every tenth document is held out."""
    path = tmp_path_factory.mktemp("source") / "articles.jsonl"
    rows = [(lang, text) for lang in ("ja", "en") for text in texts[lang]]
    lines = [
        json.dumps({"text": text, "lang": lang, "split": "held_out" if n % 10 == 0 else "train"}, ensure_ascii=False)
        for n, (lang, text) in enumerate(rows)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Path:
    """A tokenizer of 2,048 ids trained on them."""
    out = tmp_path_factory.mktemp("tokenizer") / "small"
    train_tokenizer(source, out, vocab_size=2048)
    return out
