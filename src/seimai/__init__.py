"""Seimai (精米): raw web crawls in; clean Japanese and English corpora, tokenizers and training data out."""

__version__ = "0.1.0"
