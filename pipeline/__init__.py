"""Crawl archives in, clean text shards out.

    from seimai.pipeline import decode_html, extract_text, identify_language, signals, minhash, shingle_hashes, polish

Names are loaded when they are first used, so that `import seimai.pipeline` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .charset import Decoded, decode_html
    from .contamination import eval_overlaps
    from .dedup_index import open_index
    from .duplicates import duplicate_clusters, read_signatures, to_datasketch
    from .eval_index import EvalIndex, build_eval_index
    from .eval_items import EvalItem, parse_eval_set, read_eval_items
    from .extract import Extracted, extract_text
    from .index_build import build_index, merge_indexes
    from .index_query import query_index
    from .job import RunSummary, polish
    from .language import identify_language
    from .manifest import verify
    from .measure import signals
    from .perplexity import perplexities
    from .pii import find_pii, mask_pii
    from .quality_model import quality_scores
    from .quality_train import train_quality
    from .run import Engine
    from .run_diff import diff_runs
    from .settings import RunConfig
    from .shingles import minhash, shingle_hashes
    from .store_run import polish_at
    from .store_verify import verify_at

_HOMES = {
    "Decoded": "charset",
    "Engine": "run",
    "EvalIndex": "eval_index",
    "EvalItem": "eval_items",
    "Extracted": "extract",
    "RunConfig": "settings",
    "RunSummary": "job",
    "build_eval_index": "eval_index",
    "build_index": "index_build",
    "decode_html": "charset",
    "diff_runs": "run_diff",
    "duplicate_clusters": "duplicates",
    "eval_overlaps": "contamination",
    "extract_text": "extract",
    "find_pii": "pii",
    "identify_language": "language",
    "mask_pii": "pii",
    "merge_indexes": "index_build",
    "minhash": "shingles",
    "open_index": "dedup_index",
    "parse_eval_set": "eval_items",
    "perplexities": "perplexity",
    "polish": "job",
    "polish_at": "store_run",
    "quality_scores": "quality_model",
    "query_index": "index_query",
    "read_eval_items": "eval_items",
    "read_signatures": "duplicates",
    "shingle_hashes": "shingles",
    "signals": "measure",
    "to_datasketch": "duplicates",
    "train_quality": "quality_train",
    "verify": "manifest",
    "verify_at": "store_verify",
}

__all__ = [
    "Decoded",
    "Engine",
    "EvalIndex",
    "EvalItem",
    "Extracted",
    "RunConfig",
    "RunSummary",
    "build_eval_index",
    "build_index",
    "decode_html",
    "diff_runs",
    "duplicate_clusters",
    "eval_overlaps",
    "extract_text",
    "find_pii",
    "identify_language",
    "mask_pii",
    "merge_indexes",
    "minhash",
    "open_index",
    "parse_eval_set",
    "perplexities",
    "polish",
    "polish_at",
    "quality_scores",
    "query_index",
    "read_eval_items",
    "read_signatures",
    "shingle_hashes",
    "signals",
    "to_datasketch",
    "train_quality",
    "verify",
    "verify_at",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
