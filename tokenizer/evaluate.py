"""A tokenizer and held-out documents in; compression, fertility and round trips by language out."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seimai.errors import InputError

from .encoder import Encoder
from .sources import batches, open_sources
from .split import word_pattern

__all__ = ["EVALUATION", "evaluate", "evaluation_json"]

EVALUATION = pa.schema(
    [
        ("lang", pa.string()),
        ("documents", pa.int64()),
        ("n_bytes", pa.int64()),
        ("n_chars", pa.int64()),
        ("n_tokens", pa.int64()),
        ("bytes_per_token", pa.float64()),
        ("chars_per_token", pa.float64()),
        ("fertility", pa.float64()),
        ("single_byte_share", pa.float64()),
        ("partial_char_share", pa.float64()),
        ("round_trip_failures", pa.int64()),
    ]
)
"""One row a language. Tokens are those of the texts, without BOS and EOS. `fertility`: tokens per word, a word being a
Japanese phrase or a run of letters (`word_pattern`). Shares, 0 to 1, of tokens that are one byte, and of tokens that
are no whole characters. A ratio is null where there is nothing to divide by."""

SUMS = ("documents", "n_bytes", "n_chars", "n_tokens", "n_words", "single_byte", "partial_char", "round_trip_failures")
Sums = NDArray[np.int64]


def evaluate(
    tokenizer: Path, source: Path | Sequence[Path], *, split: str = "held_out", field: str = "text"
) -> pa.Table:
    """Figures by language over all documents of `split`, languages by name, in the columns of EVALUATION.

    `field`: text column of plain files. Raises InputError where no document has that split.
    """
    encoder = Encoder(tokenizer)
    partial = np.array([_is_partial(token) for token in encoder.vocabulary.token_bytes])
    find_words = re.compile(word_pattern()).findall
    sums: dict[str, Sums] = {}
    for shard in open_sources(source, field=field):
        for batch in batches(shard, ("id", "split", "text", "lang")):
            chosen = batch.filter(pc.equal(batch.column("split"), split))
            langs = chosen.column("lang").fill_null("und")
            for lang in langs.unique().to_pylist():
                texts = chosen.filter(pc.equal(langs, lang)).column("text").to_pylist()
                n_words = sum(len(find_words(text)) for text in texts)
                sums[lang] = sums.get(lang, np.zeros(len(SUMS), np.int64)) + _sums(texts, n_words, encoder, partial)
    if not sums:
        raise InputError(f"no document with split {split!r} in the sources; give a run, or a field split in the files")
    rows = [_row(lang, sums[lang]) for lang in sorted(sums)]
    return pa.Table.from_pylist(rows, schema=EVALUATION)


def evaluation_json(table: pa.Table) -> str:
    """The table as JSON: an object of rows by language.

    >>> evaluation_json(pa.Table.from_pylist([{"lang": "ja", "documents": 2}], schema=EVALUATION))[:31]
    '{"ja": {"documents": 2, "n_byte'
    """
    return json.dumps({row.pop("lang"): row for row in table.to_pylist()})


def _sums(texts: list[str], n_words: int, encoder: Encoder, partial: NDArray[Any]) -> Sums:
    ids = encoder.ids(texts)
    flat = np.concatenate(ids)
    n_bytes, n_chars = (sum(map(len, each)) for each in ([text.encode() for text in texts], texts))
    failures = len(encoder.failures(texts, ids))
    numbers = (len(texts), n_bytes, n_chars, len(flat), n_words, (flat < 256).sum(), partial[flat].sum(), failures)
    return np.array(numbers, np.int64)


def _row(lang: str, sums: Sums) -> dict[str, Any]:
    total = dict(zip(SUMS, sums.tolist(), strict=True))
    tokens = total["n_tokens"]
    return {
        "lang": lang,
        **{name: total[name] for name in ("documents", "n_bytes", "n_chars", "n_tokens", "round_trip_failures")},
        "bytes_per_token": _ratio(total["n_bytes"], tokens),
        "chars_per_token": _ratio(total["n_chars"], tokens),
        "fertility": _ratio(tokens, total["n_words"]),
        "single_byte_share": _ratio(total["single_byte"], tokens),
        "partial_char_share": _ratio(total["partial_char"], tokens),
    }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _is_partial(token: bytes) -> bool:
    """Whether the bytes are not whole characters.

    >>> _is_partial("米".encode()[:2]), _is_partial(b"rice")
    (True, False)
    """
    try:
        token.decode()
    except UnicodeDecodeError:
        return True
    return False
