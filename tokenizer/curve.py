"""Tokenizers of several sizes and held-out documents in; bytes per token by language and size out."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from .counts import finder
from .sources import Shard, batches
from .vocabulary import engine

__all__ = ["CURVE", "bytes_per_token", "curve", "held_out_pretokens"]

CURVE = pa.schema(
    [("vocab_size", pa.int64()), ("lang", pa.string()), ("n_bytes", pa.int64()), ("n_tokens", pa.int64()),
     ("bytes_per_token", pa.float64())]
)  # fmt: skip
"""One row a size and language."""
MAX_BYTES = 8_000_000
"""Most held-out text of a language that is read."""
CALL = 20_000
"""Pre-tokens encoded in one call of the library."""


def held_out_pretokens(shards: Sequence[Shard], pattern: str, max_bytes: int = MAX_BYTES) -> dict[str, Counter[str]]:
    """Pre-tokens of the held-out documents by language, of each language the first `max_bytes` or a document more."""
    find = finder(pattern)
    found: dict[str, Counter[str]] = {}
    read: Counter[str] = Counter()
    for shard in sorted(shards, key=lambda shard: (shard.sha256, shard.path.name)):
        for lang, text in _held_out(shard):
            if read[lang] < max_bytes:
                read[lang] += len(text.encode())
                found.setdefault(lang, Counter()).update(find(text))
    return {lang: found[lang] for lang in sorted(found)}


def bytes_per_token(tokenizer: Path, pretokens: Mapping[str, int]) -> tuple[int, int]:
    """UTF-8 bytes of counted pre-tokens, and how many tokens of a tokenizer they are."""
    from tokenizers import pre_tokenizers

    library = engine(tokenizer)
    # They are cut already, and alone a piece might be cut otherwise than before its neighbour.
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    names, n_tokens = sorted(pretokens), 0
    for first in range(0, len(names), CALL):
        part = names[first : first + CALL]
        encoded = library.encode_batch_fast(part, add_special_tokens=False)
        n_tokens += sum(len(each) * pretokens[name] for each, name in zip(encoded, part, strict=True))
    return sum(len(name.encode()) * count for name, count in pretokens.items()), n_tokens


def curve(tokenizers: Mapping[int, Path], pretokens: Mapping[str, Mapping[str, int]]) -> pa.Table:
    """Bytes per token of each size and language, in the columns of CURVE, sizes rising."""
    rows: list[dict[str, Any]] = []
    for size, directory in sorted(tokenizers.items()):
        for lang, counted in pretokens.items():
            n_bytes, n_tokens = bytes_per_token(directory, counted)
            numbers = {"n_bytes": n_bytes, "n_tokens": n_tokens, "bytes_per_token": n_bytes / n_tokens}
            rows.append({"vocab_size": size, "lang": lang, **numbers})
    return pa.Table.from_pylist(rows, schema=CURVE)


def _held_out(shard: Shard) -> Iterator[tuple[str, str]]:
    for batch in batches(shard, ("id", "split", "lang", "text")):
        own = batch.filter(pc.equal(batch.column("split"), "held_out"))
        langs = own.column("lang").fill_null("und").to_pylist()
        for lang, text in zip(langs, own.column("text").to_pylist(), strict=True):
            if text:
                yield lang, text
