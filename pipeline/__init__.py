"""Crawl archives in, clean text shards out.

    from seimai.pipeline import decode_html, extract_text, identify_language, signals, minhash, shingle_hashes, polish

Names are loaded when they are first used, so that `import seimai.pipeline` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .charset import Decoded, decode_html
    from .duplicates import duplicate_clusters, read_signatures, to_datasketch
    from .extract import Extracted, extract_text
    from .job import RunSummary, polish
    from .language import identify_language
    from .manifest import verify
    from .measure import signals
    from .run import Engine
    from .settings import RunConfig
    from .shingles import minhash, shingle_hashes

_HOMES = {
    "Decoded": "charset",
    "Engine": "run",
    "Extracted": "extract",
    "RunConfig": "settings",
    "RunSummary": "job",
    "decode_html": "charset",
    "duplicate_clusters": "duplicates",
    "extract_text": "extract",
    "identify_language": "language",
    "minhash": "shingles",
    "polish": "job",
    "read_signatures": "duplicates",
    "shingle_hashes": "shingles",
    "signals": "measure",
    "to_datasketch": "duplicates",
    "verify": "manifest",
}

__all__ = [
    "Decoded",
    "Engine",
    "Extracted",
    "RunConfig",
    "RunSummary",
    "decode_html",
    "duplicate_clusters",
    "extract_text",
    "identify_language",
    "minhash",
    "polish",
    "read_signatures",
    "shingle_hashes",
    "signals",
    "to_datasketch",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
