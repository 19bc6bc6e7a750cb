"""Texts and a KenLM model in; perplexity, and cc_net's head, middle and tail, out (Wenzek et al., arXiv:1911.00359).

Optional: `pip install kenlm` (built from source, wants g++ and cmake) and sentencepiece. A document is one sentence of
pieces: score in log10 of all pieces and the end, over their number plus one.
"""

import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, model_validator

from seimai.config import Section
from seimai.errors import ConfigError, InputError
from seimai.files import sha256_file

__all__ = ["PerplexityConfig", "buckets", "cutoffs", "normalized", "perplexities", "perplexity_parts"]

Normalization = Literal["cc_net", "kana", "none"]
HEAD, MIDDLE, TAIL = range(3)


class PerplexityConfig(Section):
    """Section [perplexity.<language>]: the language model whose perplexity is the column `perplexity`."""

    model: str = Field(min_length=1)
    """KenLM model: ARPA or binary."""
    pieces: str = ""
    """SentencePiece model (.model) or tokenizer.json that cut its training text; empty: words between spaces."""
    normalize: Normalization = "cc_net"
    """cc_net: its normalisation (lower case, no accents, digits 0, ASCII marks), under which が becomes か; kana: the
    same with voicing marks kept; none: the text as it is."""
    head: float | None = Field(default=None, gt=0)
    """Perplexity below which a text is head; `seimai quality cutoffs` finds it (cc_net: percentile 30)."""
    tail: float | None = Field(default=None, gt=0)
    """Perplexity from which on a text is tail (cc_net: percentile 60)."""

    @model_validator(mode="after")
    def _both_cutoffs(self) -> "PerplexityConfig":
        if (self.head is None) != (self.tail is None):
            raise ValueError("head and tail belong together; give both or neither")
        if self.head is not None and self.tail is not None and self.head > self.tail:
            raise ValueError(f"head {self.head} lies above tail {self.tail}; exchange them")
        return self


_MARKS: Mapping[str, str] = {
    **dict.fromkeys("„”“«»」「《》", '"'),
    **dict.fromkeys("、，", ","),
    **dict.fromkeys("´’", "'"),
    **dict.fromkeys("∶：", ":"),
    **dict.fromkeys("–━►", "-"),
    **{"。": ".", "？": "?", "！": "!", "（": "(", "）": ")", "；": ";", "—": " - ", "．": ". ", "～": "~", "…": "..."},
    **{"〈": "<", "〉": ">", "【": "[", "】": "]", "％": "%"},
}
"""cc_net's UNICODE_PUNCT; its entry for １ never comes to act, since digits are 0 by then."""
_VOICING = "\u3099\u309a"


@lru_cache(maxsize=2)
def _table(keep: str) -> dict[int, str | None]:
    """What each character becomes after NFD: marks nothing but those to keep, digits 0, cc_net's marks, controls."""
    found: dict[int, str | None] = {}
    for code in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        if category == "Mn" and chr(code) not in keep:
            found[code] = None
        elif category == "Nd":
            found[code] = "0"
    found |= {ord(mark): value for mark, value in _MARKS.items()}
    return found | dict.fromkeys((*range(32), *range(127, 160)), None)


def normalized(text: str, how: Normalization = "cc_net") -> str:
    """The text as a language model of cc_net's making wants it; line ends go too, as there.

    >>> normalized("がんばれ！ Café １２"), normalized("がんばれ！", "kana")
    ('かんはれ! cafe 00', 'がんばれ!')
    """
    if how == "none":
        return text
    text = unicodedata.normalize("NFD", text.strip().lower())
    if how == "cc_net":
        return text.translate(_table(""))
    return unicodedata.normalize("NFC", text.translate(_table(_VOICING)))


def perplexities(texts: Sequence[str | None], config: PerplexityConfig) -> NDArray[np.float64]:
    """Perplexity of each text, above 0; NaN where there is none, or nothing is left of it.

    Raises ConfigError where kenlm or sentencepiece is not installed, InputError for a file that is no model.
    """
    if not any(texts):
        return np.full(len(texts), np.nan)
    model, cut = _language_model(config.model), _cutter(config.pieces)
    found = np.full(len(texts), np.nan)
    for row, text in enumerate(texts):
        line = cut(normalized(text, config.normalize)) if text else ""
        if line:
            found[row] = 10.0 ** (-model.score(line) / (len(line.split()) + 1))
    return found


def buckets(values: NDArray[np.float64], config: PerplexityConfig) -> pa.Array:
    """0 head, 1 middle, 2 tail, of each perplexity; null where there is none, or the config has no cutoffs.

    >>> config = PerplexityConfig(model="ja.arpa", head=1110, tail=1450)
    >>> buckets(np.array([300.0, 1110.0, 1450.0, np.nan]), config).to_pylist()
    [0, 1, 2, None]
    """
    if config.head is None or config.tail is None:
        return pa.nulls(len(values), pa.int64())
    found = np.searchsorted([config.head, config.tail], values, side="right").astype(np.int64)
    return pa.array(found, mask=np.isnan(values))


def cutoffs(values: NDArray[np.float64], head: float = 30, tail: float = 60) -> tuple[float, float]:
    """Perplexities at two percentiles of a reference sample: the ends of its head and of its middle.

    >>> cutoffs(np.arange(1.0, 102.0))
    (31.0, 61.0)
    """
    known = values[~np.isnan(values)]
    if not len(known):
        raise InputError("no text of the reference has a perplexity; give other texts")
    low, high = np.percentile(known, [head, tail]).tolist()
    return low, high


def perplexity_parts(config: PerplexityConfig) -> dict[str, Any]:
    """What perplexities depend on besides texts; raises ConfigError, one line, where kenlm is not installed."""
    _demand("kenlm", "perplexity needs kenlm; pip install kenlm (it is built with g++ and cmake)")
    files = [Path(name) for name in (config.model, config.pieces) if name]
    for path in files:
        if not path.is_file():
            raise InputError(f"{path}: no such file; give the model in [perplexity]")
    stats = [path.stat() for path in files]
    return {
        "files": [_digest(p, stat.st_size, stat.st_mtime_ns) for p, stat in zip(files, stats, strict=True)],
        "normalize": config.normalize,
        "head": config.head,
        "tail": config.tail,
        "unicode": unicodedata.unidata_version if config.normalize != "none" else "",
    }


def _demand(package: str, remedy: str) -> None:
    if find_spec(package) is None:
        raise ConfigError(remedy)


@lru_cache(maxsize=16)
def _digest(path: Path, _size: int, _mtime_ns: int) -> str:
    return sha256_file(path)


@lru_cache(maxsize=8)
def _language_model(path: str) -> Any:
    _demand("kenlm", "perplexity needs kenlm; pip install kenlm (it is built with g++ and cmake)")
    import kenlm

    try:
        return kenlm.Model(path)
    except OSError as error:
        raise InputError(
            f"{path}: not a KenLM model ({str(error).splitlines()[0]}); give an ARPA or binary file"
        ) from None


@lru_cache(maxsize=8)
def _cutter(path: str) -> Callable[[str], str]:
    """What makes of a text its pieces with a space between."""
    if not path:
        return lambda text: " ".join(text.split())
    if path.endswith(".json"):
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(path)
        return lambda text: " ".join(tokenizer.encode(text, add_special_tokens=False).tokens)
    _demand("sentencepiece", f"{path} needs sentencepiece; pip install sentencepiece")
    from sentencepiece import SentencePieceProcessor

    try:
        pieces = SentencePieceProcessor(model_file=path)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path}: not a SentencePiece model ({str(error).splitlines()[0]})") from None
    return lambda text: " ".join(pieces.encode(text, out_type=str))
