"""Token shards in, a trained decoder out: positions, attention, exact data order, a loop that resumes bit by bit.

`rows` and `Order` need numpy and pyarrow only; everything else imports torch. Names are loaded when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checkpoint import load_model as load_model
    from .config import Body as Body
    from .config import ModelConfig as ModelConfig
    from .config import resolve_body as resolve_body
    from .evaluate import LanguageScore as LanguageScore
    from .evaluate import bits_per_byte_by_language as bits_per_byte_by_language
    from .evaluate import evaluate_model as evaluate_model
    from .generate import Sampling as Sampling
    from .order import Order as Order
    from .order import rows as rows
    from .paired import Comparison as Comparison
    from .paired import compare_paired as compare_paired
    from .segments import Rows as Rows
    from .shards import TokenShards as TokenShards
    from .shards import open_tokens as open_tokens
    from .train_config import TrainConfig as TrainConfig
    from .train_report import write_train_report as write_train_report
    from .transformer import Transformer as Transformer
    from .transformer import with_scaling as with_scaling

_OWNERS = {
    "Body": "config",
    "Comparison": "paired",
    "LanguageScore": "evaluate",
    "ModelConfig": "config",
    "Order": "order",
    "Rows": "segments",
    "Sampling": "generate",
    "TokenShards": "shards",
    "TrainConfig": "train_config",
    "Transformer": "transformer",
    "bits_per_byte_by_language": "evaluate",
    "compare_paired": "paired",
    "evaluate_model": "evaluate",
    "load_model": "checkpoint",
    "open_tokens": "shards",
    "resolve_body": "config",
    "rows": "order",
    "with_scaling": "transformer",
    "write_train_report": "train_report",
}

__all__ = [
    "Body",
    "Comparison",
    "LanguageScore",
    "ModelConfig",
    "Order",
    "Rows",
    "Sampling",
    "TokenShards",
    "TrainConfig",
    "Transformer",
    "bits_per_byte_by_language",
    "compare_paired",
    "evaluate_model",
    "load_model",
    "open_tokens",
    "resolve_body",
    "rows",
    "with_scaling",
    "write_train_report",
]


def __getattr__(name: str) -> Any:
    if name not in _OWNERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_OWNERS[name]}", __name__), name)
